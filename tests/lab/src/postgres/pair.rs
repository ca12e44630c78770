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
use crate::user::ServerUser;
use crate::wait::wait_until;

/// How long a file of WAL is in a pair with an archive, in MiB: a sixteenth of the default, so that shipping is quick.
const FILE: u32 = 1;

/// How a file comes out of the archive `DIR`.
const RESTORE: &str = "cp DIR/%f %p";

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Archive {
    /// The standby streams, and goes by files while it cannot.
    BesideTheStream,
    /// The standby has nothing else.
    Alone,
}

/// What a pair shall be like; [`PgPair::builder`] gives the default.
#[derive(Clone, Debug)]
pub struct PgPairBuilder {
    version: Option<u32>,
    slot: Option<String>,
    fresh: bool,
    archive: Option<Archive>,
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
            archive: None,
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

    /// The primary archives its WAL into a directory, a file of 1 MiB at a time, and the standby restores from it what it cannot
    /// stream. A cluster made anew. See [`PgPair::ship`].
    pub fn archived(mut self) -> Self {
        self.archive = Some(Archive::BesideTheStream);
        self.fresh_cluster()
    }

    /// As [`PgPairBuilder::archived`], and the standby does not stream at all.
    pub fn log_shipping(mut self) -> Self {
        self.archive = Some(Archive::Alone);
        self.slot(None).fresh_cluster()
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
    pub async fn start(mut self, lab: &Lab) -> Result<PgPair> {
        let began = Instant::now();
        let archive = lab.dir().join(format!("{}archive", self.prefix));
        if self.archive.is_some() {
            ServerUser::make_dir(lab.user(), &archive, 0o700)?;
            let (to, from) = (format!("cp %p {0}/%f.part && mv {0}/%f.part {0}/%f", archive.display()), RESTORE);
            let defaults = [("archive_mode", "on"), ("archive_command", to.as_str())];
            let defaults = defaults.map(|(setting, value)| (setting.to_owned(), value.to_owned()));
            self.primary.splice(0..0, defaults);
            let restore = from.replace("DIR", &archive.display().to_string());
            let retry = ("wal_retrieve_retry_interval".to_owned(), "500ms".to_owned());
            self.standby.splice(0..0, [("restore_command".to_owned(), restore), retry]);
        }
        let file = self.archive.map(|_| FILE);
        let [alpha, beta] = ["alpha", "beta"].map(|name| format!("{}{name}", self.prefix));
        let bin = self.version.map_or_else(find::postgres_bin_dir, find::postgres_of)?;
        let primary = PgServer::prepare(lab, &alpha, &bin, &self.primary, |data| {
            if self.fresh {
                template::init_fresh(lab, &bin, data, file)?
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
        if self.archive == Some(Archive::Alone) {
            standby.wait_for_files()?;
        } else {
            standby.follow(repl.port(), self.slot.as_deref())?;
        }
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
            archive,
            lab: lab.clone(),
        };
        if self.archive == Some(Archive::Alone) {
            pair.wait_shipped(Duration::from_secs(30)).await?;
        } else {
            pair.wait_caught_up(Duration::from_secs(30)).await?;
        }
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
    archive: PathBuf,
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

    /// Starts a writer on the standby, after its promotion.
    pub async fn writer_on_promoted(&self, load: Load) -> Result<Writer> {
        Writer::start(&self.standby, load).await
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

    /// How the standby fetches a file of WAL, for its `restore_command`.
    pub fn restore_command(&self) -> String {
        RESTORE.replace("DIR", &self.archive.display().to_string())
    }

    /// Ends the primary's present file of WAL every two seconds, if something was written into it, as `archive_timeout` would.
    ///
    /// # Errors
    /// Ends only if the primary does not do it.
    pub async fn ship<T>(&self) -> Result<T> {
        let mut due = tokio::time::interval(Duration::from_secs(2));
        loop {
            due.tick().await;
            self.primary.sql("SELECT pg_switch_wal()").await?;
        }
    }

    /// Ends the primary's present file of WAL and waits until the standby has replayed it.
    pub async fn wait_shipped(&self, within: Duration) -> Result<()> {
        let target = self.primary.value("SELECT pg_switch_wal()").await?.context("the primary has no position")?;
        let sql = format!("SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{target}'");
        wait_until("a file was shipped", within, async || Ok(self.standby.value(&sql).await?.map(|_| ()))).await
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
