//! Other receivers of the primary's WAL: what must not be taken for the standby.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::pair::PgPair;
use super::server::PgServer;
use super::template;
use crate::process::{As, Server};
use crate::wait::wait_until;

impl PgPair {
    /// Adds and starts another physical standby, directly on the primary, without a slot unless one is named
    /// (it is made). `name` becomes its `application_name`. Waits until it streams.
    pub async fn add_standby(&self, name: &str, slot: Option<&str>) -> Result<PgServer> {
        let primary = &self.primary;
        if let Some(slot) = slot {
            primary.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)")).await?;
        }
        let standby = PgServer::prepare(&self.lab, name, primary.bin_dir(), &[], |data| {
            template::run_as_server(&self.lab, base_backup(primary, data))
        })?;
        standby.follow(primary.port(), slot)?;
        standby.start().await?;
        wait_until("the added standby streams", Duration::from_secs(30), async || {
            let senders = primary.sender_pids(name).await?;
            Ok((!senders.is_empty()).then_some(()))
        })
        .await?;
        Ok(standby)
    }

    /// Rewinds the ended old primary to where the promoted standby parted from it, makes it that one's standby, without a
    /// slot, and starts it. The pair must have been started with `full_page_writes` on.
    pub async fn rejoin_old_primary(&self) -> Result<()> {
        let (old, new) = (&self.primary, &self.standby);
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
        template::run_as_server(&self.lab, rewind)?;
        old.follow(new.port(), None)?;
        old.start().await
    }

    /// Makes the stopped standby anew from a base backup of the primary, with its slot made anew too, and starts it.
    pub async fn rebuild_standby(&self, slot: &str) -> Result<()> {
        let (primary, data) = (&self.primary, self.standby.data_dir());
        primary.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await?;
        primary.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)")).await?;
        std::fs::remove_dir_all(&data).context("remove the old standby")?;
        template::run_as_server(&self.lab, base_backup(primary, &data))?;
        self.standby.follow(self.repl.port(), Some(slot))?;
        self.standby.start().await
    }

    /// Starts a `pg_receivewal` on the primary and waits until it is connected. Ends when dropped.
    pub async fn receivewal(&self) -> Result<Server> {
        self.tool("pg_receivewal", &["--no-sync"]).await
    }

    /// Starts a `pg_basebackup` of the primary that takes at most `kib_per_second` (32 at least) and waits
    /// until it is connected. [`Server::wait`] waits for its end.
    pub async fn basebackup(&self, kib_per_second: u32) -> Result<Server> {
        let rate = format!("--max-rate={}k", kib_per_second.max(32));
        self.tool("pg_basebackup", &["--no-sync", "--checkpoint=fast", "-X", "fetch", &rate]).await
    }

    async fn tool(&self, program: &str, args: &[&str]) -> Result<Server> {
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
        Ok(tool)
    }
}

fn base_backup(primary: &PgServer, data: &Path) -> std::process::Command {
    let mut backup = std::process::Command::new(primary.bin_dir().join("pg_basebackup"));
    backup
        .args(["--no-sync", "--checkpoint=fast", "-U", super::SUPERUSER, "-h"])
        .arg(primary.socket_dir())
        .args(["-p", &primary.port().to_string(), "-D"])
        .arg(data);
    backup
}
