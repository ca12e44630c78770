//! One OpenSearch process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Search, archive};
use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{http, ports};

const START: Duration = Duration::from_secs(120);

/// An OpenSearch server of a test's own: it may be stopped, killed and frozen. About 450 MB of memory.
#[derive(Debug)]
pub struct OwnSearch {
    /// The client.
    pub search: Search,
    /// The process: freeze, thaw, stop, kill.
    pub server: Server,
    home: PathBuf,
    java_home: PathBuf,
    transport: u16,
}

impl OwnSearch {
    /// Unpacks and starts a server and waits until it is green (7 to 20 s).
    pub async fn start(lab: &Lab, name: &str) -> Result<Self> {
        let parts = tokio::task::spawn_blocking(archive::prepare).await??;
        let dir = lab.server_dir(name)?;
        unpack(lab, &parts, &dir).await?;
        give_to_server(lab, &dir).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lease()?));
        let this = Self {
            search: Search::at(address),
            server: Server::new(lab, name, &dir),
            home: dir.join(archive::top_directory()),
            java_home: parts.java_home,
            transport: ports::lease()?,
        };
        this.start_again().await?;
        Ok(this)
    }

    /// Starts it after it was stopped or killed, on the same port with its data.
    pub async fn start_again(&self) -> Result<()> {
        let began = Instant::now();
        let mut command = Command::new(self.home.join("bin/opensearch"));
        let temporary = self.home.join("tmp");
        crate::user::ServerUser::make_dir(self.server.lab().user(), &temporary, 0o700)?;
        command
            .env("OPENSEARCH_JAVA_HOME", &self.java_home)
            .env("OPENSEARCH_JAVA_OPTS", "-Xms256m -Xmx256m")
            .env("OPENSEARCH_TMPDIR", temporary)
            .env("OPENSEARCH_PATH_CONF", self.home.join("config"))
            .args(["-Ediscovery.type=single-node", "-Enetwork.host=127.0.0.1"])
            .arg(format!("-Ehttp.port={}", self.search.address().port()))
            .arg(format!("-Etransport.port={}", self.transport))
            // The fill of this machine's disk is no fault of the lab.
            .arg("-Ecluster.routing.allocation.disk.threshold_enabled=false");
        self.server.launch(command, As::Server)?;
        let url = format!("{}/_cluster/health", self.search.url());
        wait_until("OpenSearch is green", START, async || {
            if !self.server.is_running() {
                return Ok(Some(false));
            }
            let green = http::get(&url).await?.json()?["status"] == "green";
            Ok(green.then_some(true))
        })
        .await
        .and_then(|green| if green { Ok(()) } else { bail!("it ended") })
        .with_context(|| self.server.log_tail())?;
        println!("lab: OpenSearch ready in {:.1?}", began.elapsed());
        Ok(())
    }
}

/// As root, since the cache may be closed to the servers' user.
async fn unpack(lab: &Lab, parts: &archive::Parts, dir: &std::path::Path) -> Result<()> {
    let program = Server::new(lab, "unzip", dir);
    let mut unzip = Command::new(&parts.unzip);
    unzip.arg("-q").arg(&parts.archive).args(["-d", "."]);
    program.launch(unzip, As::Caller)?;
    if !program.wait().await?.success() {
        bail!("unpack OpenSearch: {}", program.log_tail());
    }
    Ok(())
}

async fn give_to_server(lab: &Lab, dir: &std::path::Path) -> Result<()> {
    let Some(user) = lab.user() else {
        return Ok(());
    };
    let ended = Command::new("chown")
        .arg("-R")
        .arg(format!("{}:{}", user.uid, user.gid))
        .arg(dir)
        .stdin(Stdio::null())
        .status()
        .await
        .context("start chown")?;
    if !ended.success() {
        bail!("chown of {} failed", dir.display());
    }
    Ok(())
}
