//! One engine's process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{Engine, Search, archive};
use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{http, ports};

/// On a machine that does much else an engine took over 90 s.
const START: Duration = Duration::from_secs(240);

/// An engine of a test's own: it may be stopped, killed and frozen. About 450 MB of memory.
#[derive(Debug)]
pub struct OwnSearch {
    /// The client.
    pub search: Search,
    /// The process: freeze, thaw, stop, kill.
    pub server: Server,
    engine: Engine,
    home: PathBuf,
    java_home: PathBuf,
    transport: u16,
}

impl OwnSearch {
    /// Unpacks and starts OpenSearch 2 and waits until it is green (7 to 20 s).
    pub async fn start(lab: &Lab, name: &str) -> Result<Self> {
        Self::start_engine(lab, Engine::OpenSearch2, name).await
    }

    /// The same with another engine.
    pub async fn start_engine(lab: &Lab, engine: Engine, name: &str) -> Result<Self> {
        let parts = tokio::task::spawn_blocking(move || archive::prepare(engine)).await??;
        let dir = lab.server_dir(name)?;
        unpack(lab, &parts, &dir).await?;
        give_to_server(lab, &dir).await?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lease()?));
        let this = Self {
            search: Search::at(address),
            server: Server::new(lab, name, &dir),
            engine,
            home: dir.join(engine.top_directory()),
            java_home: parts.java_home,
            transport: ports::lease()?,
        };
        this.start_again().await?;
        Ok(this)
    }

    /// Starts it after it was stopped or killed, on the same port with its data.
    pub async fn start_again(&self) -> Result<()> {
        let began = Instant::now();
        let mut command = Command::new(self.home.join("bin").join(self.engine.distribution()));
        let temporary = self.home.join("tmp");
        crate::user::ServerUser::make_dir(self.server.lab().user(), &temporary, 0o700)?;
        let prefix = self.engine.prefix();
        command
            // Elasticsearch 7 reads this one, all others their own.
            .env("JAVA_HOME", &self.java_home)
            .env(format!("{prefix}_JAVA_HOME"), &self.java_home)
            .env(format!("{prefix}_JAVA_OPTS"), "-Xms256m -Xmx256m")
            .env(format!("{prefix}_TMPDIR"), temporary)
            .env(format!("{prefix}_PATH_CONF"), self.home.join("config"))
            .args(["-Ediscovery.type=single-node", "-Enetwork.host=127.0.0.1"])
            .arg(format!("-Ehttp.port={}", self.search.address().port()))
            .arg(format!("-Etransport.port={}", self.transport))
            // The fill of this machine's disk is no fault of the lab.
            .arg("-Ecluster.routing.allocation.disk.threshold_enabled=false");
        if self.engine == Engine::Elasticsearch8 {
            command.arg("-Expack.security.enabled=false");
        }
        self.server.launch(command, As::Server)?;
        let url = format!("{}/_cluster/health", self.search.url());
        wait_until("the engine is green", START, async || {
            if !self.server.is_running() {
                return Ok(Some(false));
            }
            let green = http::get(&url).await?.json()?["status"] == "green";
            Ok(green.then_some(true))
        })
        .await
        .and_then(|green| if green { Ok(()) } else { bail!("it ended") })
        .with_context(|| self.server.log_tail())?;
        println!("lab: {} ready in {:.1?}", self.engine.top_directory(), began.elapsed());
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
        bail!("unpack the engine: {}", program.log_tail());
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
