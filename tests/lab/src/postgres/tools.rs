//! Other receivers of the primary's WAL: what must not be taken for the standby.

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
            let mut backup = std::process::Command::new(primary.bin_dir().join("pg_basebackup"));
            backup
                .args(["--no-sync", "--checkpoint=fast", "-U", super::SUPERUSER, "-h"])
                .arg(primary.socket_dir())
                .args(["-p", &primary.port().to_string(), "-D"])
                .arg(data);
            template::run_as_server(&self.lab, backup)
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
