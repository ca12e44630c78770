//! One `etcd`, asked through its HTTP gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{find, http, ports};

const START: Duration = Duration::from_secs(30);

/// A store of its own, a cluster of one.
#[derive(Debug)]
pub struct EtcdServer {
    /// The process: freeze, thaw, stop, kill.
    pub server: Server,
    port: u16,
    peers: u16,
}

impl EtcdServer {
    /// Starts it and waits until it answers.
    pub async fn start(lab: &Lab, name: &str) -> Result<Self> {
        let dir = lab.server_dir(name)?;
        let this = Self { server: Server::new(lab, name, &dir), port: ports::lease()?, peers: ports::lease()? };
        this.start_again().await?;
        Ok(this)
    }

    /// Starts it after it was stopped or killed, with its data, on the same port.
    pub async fn start_again(&self) -> Result<()> {
        let [clients, peers] = [self.port, self.peers].map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new(find::program("etcd")?);
        command
            .args(["--data-dir", "data", "--name", "lab", "--unsafe-no-fsync"])
            .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("lab={peers}")]);
        self.server.launch(command, As::Server)?;
        wait_until("etcd answers", START, async || {
            if !self.server.is_running() {
                bail!("it ended");
            }
            let health = http::get(&format!("{clients}/health")).await?;
            Ok(health.text.contains("true").then_some(()))
        })
        .await
        .with_context(|| self.server.log_tail())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}
