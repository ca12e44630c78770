//! rsync's own daemon, which serves one tree on `rsync://`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::find;
use crate::lab::Lab;
use crate::ports;
use crate::process::{As, Server};
use crate::wait::wait_until;

/// A daemon with one module, `conf`. Ends when dropped; freeze it, and whoever copies from it hangs.
#[derive(Debug)]
pub struct RsyncDaemon {
    port: u16,
    /// Its processes.
    pub server: Server,
}

impl RsyncDaemon {
    /// Serves `tree`, read-only.
    pub async fn start(lab: &Lab, tree: &Path) -> Result<Self> {
        let port = ports::lease()?;
        let directory = lab.dir().join("rsync-daemon");
        std::fs::create_dir_all(&directory)?;
        let settings = directory.join("rsyncd.conf");
        let text =
            format!("use chroot = no\nmunge symlinks = no\n[conf]\npath = {}\nread only = yes\n", tree.display());
        std::fs::write(&settings, text)?;
        let server = Server::new(lab, "rsync-daemon", &directory);
        let mut command = Command::new(find::program("rsync")?);
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}")]);
        command.arg(format!("--config={}", settings.display()));
        server.launch(command, As::Caller)?;
        wait_until("rsync's daemon answers", Duration::from_secs(20), async || {
            if !server.is_running() {
                bail!("it ended");
            }
            Ok(TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(()))
        })
        .await
        .with_context(|| server.log_tail())?;
        Ok(Self { port, server })
    }

    /// What to copy from.
    pub fn url(&self) -> String {
        format!("rsync://127.0.0.1:{}/conf/", self.port)
    }
}
