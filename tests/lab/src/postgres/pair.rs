//! A primary and its standby, with the cables between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::server::PgServer;
use super::writer::{Load, Writer};
use super::{AGENT, PASSWORD, template};
use crate::cable::Cable;
use crate::find;
use crate::lab::Lab;
use crate::wait::wait_until;

/// What a pair shall be like; [`PgPair::builder`] gives the default.
#[derive(Clone, Debug)]
pub struct PgPairBuilder {
    version: Option<u32>,
    slot: Option<String>,
    fresh: bool,
    wal_from: Option<String>,
    prefix: String,
    primary: Vec<(String, String)>,
    standby: Vec<(String, String)>,
}

impl Default for PgPairBuilder {
    fn default() -> Self {
        Self {
            version: None,
            slot: Some("beta".to_owned()),
            fresh: false,
            wal_from: None,
            prefix: String::new(),
            primary: Vec::new(),
            standby: Vec::new(),
        }
    }
}

impl PgPairBuilder {
    /// A pair of this major version, where [`crate::Need::PostgresVersion`] is met; otherwise it is the highest version that
    /// the machine has in full. `pg_basebackup` and `pg_receivewal` may be missing beside it.
    pub fn version(mut self, major: u32) -> Self {
        self.version = Some(major);
        self
    }

    /// Another slot than `beta`; `None`: no slot.
    pub fn slot(mut self, name: Option<&str>) -> Self {
        self.slot = name.map(str::to_owned);
        self
    }

    /// A setting of both servers, over the lab's own.
    pub fn setting(self, name: &str, value: &str) -> Self {
        self.primary_setting(name, value).standby_setting(name, value)
    }

    /// A setting of the primary, e.g. `max_slot_wal_keep_size`.
    pub fn primary_setting(mut self, name: &str, value: &str) -> Self {
        self.primary.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A setting of the standby, e.g. `hot_standby`.
    pub fn standby_setting(mut self, name: &str, value: &str) -> Self {
        self.standby.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Heartbeats and timeouts of replication at a tenth of PostgreSQL's defaults.
    pub fn tenth_timeouts(self) -> Self {
        self.setting("wal_receiver_status_interval", "1s")
            .setting("wal_receiver_timeout", "6s")
            .setting("wal_sender_timeout", "6s")
            .setting("wal_retrieve_retry_interval", "500ms")
    }

    /// A cluster made anew: pairs otherwise come from one template and have the same system identifier.
    pub fn fresh_cluster(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// The WAL begins with this segment, e.g. `0000000180000000000000AB`, where the version comes with `pg_resetwal`.
    pub fn wal_from(mut self, segment: &str) -> Self {
        self.wal_from = Some(segment.to_owned());
        self
    }

    /// Put before the names of both servers, for a second pair in one lab.
    pub fn named(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// Starts the pair and waits until the standby streams and has caught up.
    pub async fn start(self, lab: &Lab) -> Result<PgPair> {
        let began = Instant::now();
        let [alpha, beta] = ["alpha", "beta"].map(|name| format!("{}{name}", self.prefix));
        let bin = self.version.map_or_else(find::postgres_bin_dir, find::postgres_of)?;
        let primary = PgServer::prepare(lab, &alpha, &bin, &self.primary, |data| {
            if self.fresh {
                template::init_fresh(lab, &bin, data)?
            } else {
                template::unpack(lab, &bin, data)?
            }
            self.wal_from.as_ref().map_or(Ok(()), |segment| template::begin_wal(lab, &bin, data, segment))
        })?;
        if self.wal_from.is_some() {
            // pg_resetwal leaves a cluster that no standby could follow; the server itself sets that right.
            primary.start().await?;
            primary.stop().await?;
        }
        // A copy of a cluster that was shut down cleanly is a standby that starts at the same point.
        let standby = PgServer::prepare(lab, &beta, &bin, &self.standby, |data| {
            if self.fresh || self.wal_from.is_some() {
                template::copy(lab, &primary.data_dir(), data)
            } else {
                template::unpack(lab, &bin, data)
            }
        })?;
        let repl = Cable::to(primary.address()).await?;
        let probe = Cable::to(standby.address()).await?;
        let probe_primary = Cable::to(primary.address()).await?;
        standby.follow(repl.port(), self.slot.as_deref())?;
        primary.start().await?;
        if let Some(slot) = &self.slot {
            primary.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)")).await?;
        }
        standby.start().await?;
        let pair = PgPair {
            primary,
            standby,
            repl,
            probe,
            probe_primary,
            password_file: lab.write(&format!("{}password", self.prefix), PASSWORD)?,
            lab: lab.clone(),
        };
        pair.wait_caught_up(Duration::from_secs(30)).await?;
        println!("lab: pair {alpha}, {beta} ready in {:.1?}", began.elapsed());
        Ok(pair)
    }
}

/// A running pair. The standby streams through [`PgPair::repl`]; the agent is to ask through the two probe cables.
#[derive(Debug)]
pub struct PgPair {
    /// The primary, `alpha`.
    pub primary: PgServer,
    /// The standby, `beta`; its `application_name` is its name.
    pub standby: PgServer,
    /// The standby's way to the primary: its WAL.
    pub repl: Cable,
    /// The observer's way to the standby.
    pub probe: Cable,
    /// The observer's way to the primary.
    pub probe_primary: Cable,
    password_file: PathBuf,
    pub(super) lab: Lab,
}

impl PgPair {
    /// A pair with the defaults: slot `beta`, PostgreSQL's default timeouts, hot standby.
    pub fn builder() -> PgPairBuilder {
        PgPairBuilder::default()
    }

    /// The role of the agent: it has `pg_monitor` and a password.
    pub fn user(&self) -> &'static str {
        AGENT
    }

    /// The password of [`PgPair::user`].
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A file with that password.
    pub fn password_file(&self) -> &PathBuf {
        &self.password_file
    }

    /// Where the agent reaches the primary: through its probe cable.
    pub fn primary_address(&self) -> SocketAddr {
        self.probe_primary.address()
    }

    /// Where the agent reaches the standby: through its probe cable.
    pub fn standby_address(&self) -> SocketAddr {
        self.probe.address()
    }

    /// Starts a writer on the primary.
    pub async fn writer(&self, load: Load) -> Result<Writer> {
        Writer::start(&self.primary, load).await
    }

    /// Waits until the primary has a walsender in state `streaming` for the standby.
    pub async fn wait_streaming(&self, within: Duration) -> Result<()> {
        let sql = format!(
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{}'",
            self.standby.name()
        );
        wait_until("the standby streams", within, async || Ok(self.primary.value(&sql).await?.map(|_| ()))).await
    }

    /// Waits until the standby has replayed what the primary had written when this was called.
    pub async fn wait_caught_up(&self, within: Duration) -> Result<()> {
        let began = Instant::now();
        self.wait_streaming(within).await?;
        let target = self.primary.value("SELECT pg_current_wal_lsn()").await?.context("the primary has no position")?;
        let sql = format!(
            "SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= '{target}' AND application_name = '{}'",
            self.standby.name()
        );
        let left = within.saturating_sub(began.elapsed());
        wait_until("the standby has caught up", left, async || Ok(self.primary.value(&sql).await?.map(|_| ()))).await
    }

    /// The host of the standby is gone: all its links are black holes. [`PgPair::repair`] brings it back.
    pub fn cut_off_standby(&self) {
        use crate::cable::Mode::BlackHole;
        self.repl.set(BlackHole);
        self.probe.set(BlackHole);
    }

    /// All cables pass again.
    pub fn repair(&self) {
        use crate::cable::Mode::Pass;
        for cable in [&self.repl, &self.probe, &self.probe_primary] {
            cable.set(Pass);
        }
    }
}

impl Drop for PgPair {
    /// The standby first, both at once and without ceremony.
    fn drop(&mut self) {
        self.standby.kill_now();
        self.primary.kill_now();
    }
}
