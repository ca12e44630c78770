//! The checked configuration: the only types that leave this room.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Alerting;
use super::glob::Glob;
use super::peer::{PeerConfig, Seat};
use super::search::{SearchChannel, SearchNode};
use super::stores::{KvstoreChannel, KvstoreNode};
use crate::names::{Channel, Name, PostgresSource};
use crate::secret::Secret;
use crate::units::Bytes;

/// A checked configuration: every value is usable as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// At least one pair, names distinct.
    pub pairs: Vec<Arc<PairConfig>>,
    /// How the agents of a pair know each other; `None` where no node names one.
    pub peer: Option<PeerConfig>,
    /// Where to push alerts to; `None` where a Prometheus evaluates the rules.
    pub alerting: Option<Alerting>,
    /// What the site changes in rules, by full alert name; the names are known to exist.
    pub rules: BTreeMap<String, RuleSetting>,
    /// What the operator should be told although it works (e.g. a secret in a URL).
    pub warnings: Vec<String>,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairConfig {
    /// Its name.
    pub name: Name,
    /// Two or more nodes, names distinct.
    pub nodes: Vec<NodeConfig>,
    /// Set if every node has `postgres`.
    pub postgres: Option<PostgresChannel>,
    /// Set if the pair has a `config` channel.
    pub config: Option<ConfigChannel>,
    /// Set if every node has `kvstore`.
    pub kvstore: Option<KvstoreChannel>,
    /// Set if every node has `search`.
    pub search: Option<SearchChannel>,
    /// Loss up to here is acceptable at a promotion.
    pub rpo: Rpo,
    /// How roles are known where there is no `postgres` channel.
    pub role_from: Option<RoleFrom>,
    /// The node that this process is the agent of, where each node has one; `None`: it probes every node from here.
    pub seat: Option<Seat>,
}

impl PairConfig {
    /// Whether the channel is configured.
    pub const fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Postgres => self.postgres.is_some(),
            Channel::Config => self.config.is_some(),
            Channel::Kvstore => self.kvstore.is_some(),
            Channel::Search => self.search.is_some(),
        }
    }

    /// The configured channels, in the order of [`Channel::ALL`].
    pub fn channels(&self) -> impl Iterator<Item = Channel> + '_ {
        Channel::ALL.iter().copied().filter(|channel| self.has(*channel))
    }

    /// When the channel's probes run; `None` if it is not configured.
    pub fn schedule(&self, channel: Channel) -> Option<Schedule> {
        match channel {
            Channel::Postgres => self.postgres.as_ref().map(|channel| channel.schedule),
            Channel::Config => self.config.as_ref().map(|channel| channel.schedule),
            Channel::Kvstore => self.kvstore.as_ref().map(|channel| channel.schedule),
            Channel::Search => self.search.as_ref().map(|channel| channel.schedule),
        }
    }

    /// The page that is asked instead of the servers, with its channel.
    pub fn status_page(&self) -> Option<(&PostgresChannel, &StatusPage)> {
        let channel = self.postgres.as_ref()?;
        Some((channel, channel.status_page.as_ref()?))
    }

    /// What is asked for PostgreSQL's replication.
    pub fn postgres_source(&self) -> Option<PostgresSource> {
        let page = self.postgres.as_ref()?.status_page.is_some();
        Some(if page { PostgresSource::StatusPage } else { PostgresSource::Servers })
    }

    /// Where its secrets come from, those of its nodes and of its status page.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> + '_ {
        let page = self.postgres.as_ref().and_then(|channel| channel.status_page.as_ref());
        self.nodes
            .iter()
            .flat_map(NodeConfig::secrets)
            .chain(page.and_then(|page| page.password.as_ref()))
            .chain(self.kvstore.as_ref().and_then(|channel| channel.write_via.as_ref()).and_then(KvstoreNode::password))
    }

    /// When the other agents are asked: as often as whatever is probed most often there.
    pub fn peer_schedule(&self) -> Option<Schedule> {
        self.channels().filter_map(|channel| self.schedule(channel)).min_by_key(|schedule| schedule.interval)
    }

    /// Whether this process probes the node itself, instead of asking that node's agent.
    pub fn probes(&self, node: &Name) -> bool {
        self.seat.as_ref().is_none_or(|seat| seat.node == *node)
    }

    /// The node with this name.
    pub fn node(&self, name: &Name) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.name == *name)
    }
}

/// How often a channel's probes run, under which deadline, and when a reading that no other has followed is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// From one start to the next.
    #[serde(with = "duration_as_text")]
    pub interval: Duration,
    /// One deadline for connect and answer together.
    #[serde(with = "duration_as_text")]
    pub timeout: Duration,
    /// Default: three intervals and a timeout.
    #[serde(with = "duration_as_text")]
    pub stale_after: Duration,
}

impl Schedule {
    /// With the default freshness.
    pub const fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, stale_after: interval.saturating_mul(3).saturating_add(timeout) }
    }
}

/// One machine of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeConfig {
    /// Its name. Says nothing about its role.
    pub name: Name,
    /// The URL of its own agent, where each node has one.
    pub agent: Option<String>,
    /// Its PostgreSQL server.
    pub postgres: Option<PostgresNode>,
    /// Its store.
    pub kvstore: Option<KvstoreNode>,
    /// Its search engine.
    pub search: Option<SearchNode>,
    /// Its copy of the configuration.
    pub config: Option<ConfigNode>,
}

impl NodeConfig {
    /// Where the node's secrets come from.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> + '_ {
        let postgres = self.postgres.as_ref().and_then(|server| server.password.as_ref());
        let kvstore = self.kvstore.as_ref().and_then(KvstoreNode::password);
        let search = self.search.iter().flat_map(SearchNode::secrets);
        [postgres, kvstore].into_iter().flatten().chain(search)
    }
}

/// How to reach one PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostgresNode {
    /// A host name, an address, or the directory of a Unix socket.
    pub host: String,
    /// Default 5432.
    pub port: u16,
    /// The role that probes.
    pub user: String,
    /// Default `postgres`.
    pub database: String,
    /// Without one, `.pgpass` is looked at.
    pub password: Option<SecretSource>,
    /// Default `prefer`.
    pub tls: PostgresTls,
    /// How its walsender is told from others.
    pub replica: Option<ReplicaMatch>,
    /// Declared to replay so much later than it receives, as a standby.
    #[serde(with = "optional_duration_as_text")]
    pub apply_delay: Option<Duration>,
}

/// libpq's `sslmode` and the files that go with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PostgresTls {
    /// How much the connection must prove.
    pub mode: SslMode,
    /// Certificates to trust instead of the system's.
    pub root_certificate: Option<PathBuf>,
    /// Client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS where the server has it.
    #[default]
    Prefer,
    /// TLS, whoever answers.
    Require,
    /// TLS with a trusted certificate.
    VerifyCa,
    /// TLS with a trusted certificate for that host.
    VerifyFull,
}

/// What a standby's walsender is recognised by. Exactly one of the fields is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaMatch {
    /// The slot that it streams from.
    Slot(String),
    /// What it calls itself.
    ApplicationName(String),
    /// Where it connects from.
    ClientAddr(std::net::IpAddr),
}

/// Where a secret's text comes from. Files are read anew at each connect, so that a changed password is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// Given in the configuration, on the command line or in the environment.
    Inline(Secret),
    /// The file's first line.
    File(PathBuf),
}

/// A node's copy of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigNode {
    /// The synced tree.
    pub root: PathBuf,
    /// Written by the job after success, outside the tree.
    pub timestamp_file: Option<PathBuf>,
    /// Rewritten in the tree by the agent while this node is the primary.
    pub beacon: Option<PathBuf>,
}

/// The `postgres` channel's limits; meanings in the docs of the judge that uses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct PostgresChannel {
    #[serde(flatten)]
    pub schedule: Schedule,
    pub lag_large: Bytes,
    #[serde(with = "duration_as_text")]
    pub trend_window: Duration,
    #[serde(with = "duration_as_text")]
    pub slot_window: Duration,
    #[serde(with = "duration_as_text")]
    pub initial_sync: Duration,
    pub low_load: Bytes,
    #[serde(with = "duration_as_text")]
    pub stall_after: Duration,
    #[serde(with = "duration_as_text")]
    pub stuck_after: Duration,
    #[serde(with = "duration_as_text")]
    pub reconnect_every: Duration,
    /// How often the proven primary is made to write a little WAL; `None`: never.
    #[serde(with = "optional_duration_as_text")]
    pub pulse: Option<Duration>,
    /// How WAL comes to the standbys.
    pub replication: Replication,
    /// With log shipping: a standby has replayed what could be shipped so long ago, or is late.
    #[serde(with = "duration_as_text")]
    pub archive_period: Duration,
    /// Asked instead of the servers, which cannot be asked.
    pub status_page: Option<StatusPage>,
}

/// How WAL comes to the standbys of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replication {
    /// Streamed by the primary.
    #[default]
    Streaming,
    /// Fetched by `restore_command`, a file at a time.
    Archive,
}

/// A vendor's own `/monitor/replication`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusPage {
    /// The whole address. A token may stand in its query.
    pub url: Secret,
    /// The address as it may be shown: without its query.
    pub shown: String,
    /// Basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretSource>,
    /// Certificates to trust instead of the system's.
    pub root_certificate: Option<PathBuf>,
}

/// The `config` channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct ConfigChannel {
    #[serde(flatten)]
    pub schedule: Schedule,
    #[serde(with = "duration_as_text")]
    pub period: Duration,
    /// The job runs under `standbywatch rsync`, whose record is read from the state directory.
    pub wrapper: bool,
    /// Several pairs go by such records: that of a job which names no pair may be another one's.
    #[serde(skip)]
    pub jobs_are_named: bool,
    /// If there are any, only files that one of them means are compared.
    pub include: Vec<Glob>,
    /// What is not compared, with all that is below it.
    pub exclude: Vec<Glob>,
    /// Entries of a tree that are compared at most.
    pub max_files: u32,
    /// Content of a tree that is compared at most.
    pub max_size: Bytes,
}

impl ConfigChannel {
    /// A tree is looked at, and a beacon written, twice a period, so that each copy has a new one to bring.
    pub fn half_period(&self) -> Duration {
        self.period / 2
    }

    /// From one look at a tree to the next.
    pub fn tree_every(&self) -> Duration {
        self.half_period().clamp(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// From when on a look at a tree says nothing any more.
    pub fn tree_stale_after(&self) -> Duration {
        self.tree_every() * 3 + self.schedule.timeout
    }
}

/// Recovery point objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct Rpo {
    pub bytes: Bytes,
    #[serde(with = "duration_as_text")]
    pub age: Duration,
}

/// How roles are known without PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleFrom {
    /// This node is the primary, always.
    Fixed(Name),
    /// A file whose first word is the primary's node name.
    File(PathBuf),
    /// A program and its arguments; the first word that it prints is the primary's node name.
    Exec(Vec<String>),
}

/// What a site changes in one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RuleSetting {
    /// Hold time.
    #[serde(with = "optional_duration_as_text")]
    pub hold: Option<Duration>,
    /// The condition's threshold, in the metric's base unit.
    pub threshold: Option<f64>,
    /// Switched off with `false`.
    pub enabled: Option<bool>,
}

pub(super) mod duration_as_text {
    use std::time::Duration;

    pub(in crate::config) fn serialize<S: serde::Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::units::duration_text(*value))
    }
}

pub(super) mod optional_duration_as_text {
    use std::time::Duration;

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::config) fn serialize<S: serde::Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(&crate::units::duration_text(*value)),
            None => serializer.serialize_none(),
        }
    }
}
