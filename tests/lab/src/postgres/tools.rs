//! Other receivers of the primary's WAL: what must not be taken for the standby.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::copying::copy_running;
use super::pair::PgPair;
use super::server::PgServer;
use super::template;
use crate::find::is_program;
use crate::process::{As, Server};
use crate::wait::wait_until;

/// Takes the primary's WAL, or a copy of it, and is not the pair's standby. Ends when dropped.
#[derive(Debug)]
pub enum Taker {
    /// PostgreSQL's own program.
    Program(Server),
    /// A second standby of the program's name, where the version comes without its programs.
    Standby(PgServer),
}

impl Taker {
    /// True while it runs.
    pub fn is_running(&self) -> bool {
        match self {
            Self::Program(program) => program.is_running(),
            Self::Standby(standby) => standby.is_running(),
        }
    }

    /// SIGKILL; waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        match self {
            Self::Program(program) => program.kill().await,
            Self::Standby(standby) => standby.kill().await,
        }
    }

    /// Asks it to end and waits until it is gone.
    pub async fn stop(&self) -> Result<()> {
        match self {
            Self::Program(program) => program.stop().await.map(|_| ()),
            Self::Standby(standby) => standby.stop().await,
        }
    }
}

impl PgPair {
    /// Adds and starts another physical standby, directly on the primary, without a slot unless one is named
    /// (it is made). `name` becomes its `application_name`. Waits until it streams.
    pub async fn add_standby(&self, name: &str, slot: Option<&str>) -> Result<PgServer> {
        self.add_standby_of(&self.primary, name, slot).await
    }

    /// As [`PgPair::add_standby`], but it streams from this server, which may be a standby itself.
    pub async fn add_standby_of(&self, upstream: &PgServer, name: &str, slot: Option<&str>) -> Result<PgServer> {
        let primary = &self.primary;
        if let Some(slot) = slot {
            upstream.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)")).await?;
        }
        let copy = self.lab.dir().join(format!("{name}.copy"));
        copy_running(&self.lab, primary, &copy).await?;
        let standby = PgServer::prepare(&self.lab, name, primary.bin_dir(), &[], |data| {
            std::fs::rename(&copy, data).context("move the copy in")
        })?;
        standby.follow(upstream.port(), slot)?;
        standby.start().await?;
        wait_until("the added standby streams", Duration::from_secs(30), async || {
            let senders = upstream.sender_pids(name).await?;
            Ok((!senders.is_empty()).then_some(()))
        })
        .await?;
        Ok(standby)
    }

    /// Rewinds the ended old primary to where the promoted standby parted from it (where the version comes without `pg_rewind`,
    /// it is copied anew), makes it that one's standby, without a slot, and starts it. The pair must have been started with
    /// `full_page_writes` on.
    pub async fn rejoin_old_primary(&self) -> Result<()> {
        let (old, new) = (&self.primary, &self.standby);
        if is_program(&old.bin_dir().join("pg_rewind")) {
            self.rewind(old, new).await?;
        } else {
            std::fs::remove_dir_all(old.data_dir()).context("remove the old primary")?;
            copy_running(&self.lab, new, &old.data_dir()).await?;
        }
        old.follow(new.port(), None)?;
        old.start().await
    }

    async fn rewind(&self, old: &PgServer, new: &PgServer) -> Result<()> {
        // pg_rewind goes by the control file, which is late after a promotion.
        new.sql("CHECKPOINT").await?;
        let source = format!(
            "host={} port={} user={} dbname=postgres",
            new.socket_dir().display(),
            new.port(),
            super::SUPERUSER
        );
        let mut rewind = std::process::Command::new(old.bin_dir().join("pg_rewind"));
        rewind.args(["--no-sync", "--source-server", &source, "--target-pgdata"]).arg(old.data_dir());
        template::run_as_server(&self.lab, rewind)
    }

    /// Makes the stopped standby anew from a base backup of the primary, with its slot made anew too, and starts it.
    pub async fn rebuild_standby(&self, slot: &str) -> Result<()> {
        let (primary, data) = (&self.primary, self.standby.data_dir());
        primary.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await?;
        primary.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)")).await?;
        std::fs::remove_dir_all(&data).context("remove the old standby")?;
        copy_running(&self.lab, primary, &data).await?;
        self.standby.follow(self.repl.port(), Some(slot))?;
        self.standby.start().await
    }

    /// Starts a `pg_receivewal` on the primary and waits until it is connected.
    pub async fn receivewal(&self) -> Result<Taker> {
        self.tool("pg_receivewal", &["--no-sync"]).await
    }

    /// Starts a `pg_basebackup` of the primary that takes at most `kib_per_second` (32 at least) and waits
    /// until it is connected.
    pub async fn basebackup(&self, kib_per_second: u32) -> Result<Taker> {
        let rate = format!("--max-rate={}k", kib_per_second.max(32));
        self.tool("pg_basebackup", &["--no-sync", "--checkpoint=fast", "-X", "fetch", &rate]).await
    }

    async fn tool(&self, program: &str, args: &[&str]) -> Result<Taker> {
        if !is_program(&self.primary.bin_dir().join(program)) {
            return self.add_standby(program, None).await.map(Taker::Standby);
        }
        let dir = self.lab.server_dir(program)?;
        let tool = Server::new(&self.lab, program, &dir);
        let mut command = Command::new(self.primary.bin_dir().join(program));
        command
            .args(["-U", super::SUPERUSER, "-h"])
            .arg(self.primary.socket_dir())
            .args(["-p", &self.primary.port().to_string(), "-D"])
            .arg(dir.join("files"))
            .args(args);
        crate::user::ServerUser::make_dir(self.lab.user(), &dir.join("files"), 0o700)?;
        tool.launch(command, As::Server)?;
        wait_until("the tool is connected", Duration::from_secs(20), async || {
            if !tool.is_running() {
                bail!("{program} ended: {}", tool.log_tail());
            }
            let senders = self.primary.sender_pids(program).await?;
            Ok((!senders.is_empty()).then_some(()))
        })
        .await
        .with_context(|| tool.log_tail())?;
        Ok(Taker::Program(tool))
    }
}
