//! The exporters that are usually there: one for each server, and the one that shows a text file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::demo::Watched;
use crate::process::{As, Server};
use crate::{Lab, PgPair, find, http, ports, wait_until};

const READY: Duration = Duration::from_secs(30);
const POSTGRES: &str = "prometheus-postgres-exporter";
const REDIS: &str = "prometheus-redis-exporter";
/// What the exporter beside the primary is called in the tables.
pub(super) const ON_PRIMARY: &str = "postgres_exporter (primary)";
const NODE: &str = "prometheus-node-exporter";

/// The role of PostgreSQL's exporter, and its password.
pub(super) const ROLE: &str = "exporter";

/// A running exporter. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Exporter {
    /// What it is called in the tables.
    pub name: &'static str,
    server: Server,
    address: SocketAddr,
}

impl Exporter {
    async fn start(lab: &Lab, name: &'static str, make: impl FnOnce(SocketAddr) -> Command) -> Result<Self> {
        let dir = lab.server_dir(name)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lease()?));
        let this = Self { name, server: Server::new(lab, name, &dir), address };
        this.server.launch(make(address), As::Server)?;
        wait_until(&format!("{name} answers"), READY, async || {
            if !this.server.is_running() {
                return Ok(Some(false));
            }
            Ok((http::get(&this.url()).await?.status == 200).then_some(true))
        })
        .await
        .and_then(|ready| if ready { Ok(()) } else { bail!("it ended") })
        .with_context(|| this.server.log_tail())?;
        Ok(this)
    }

    /// What is scraped.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// Its process.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid().with_context(|| format!("{} has ended:\n{}", self.name, self.server.log_tail()))
    }
}

/// Starts an exporter beside each server of the pair, as they are meant to run, and one for the text file.
pub(super) async fn start(lab: &Lab, watched: &Watched) -> Result<Vec<Exporter>> {
    let [_, redis, node] = programs()?;
    let mut all = of_postgres(lab, &watched.postgres, &[]).await?;
    let stores = [&watched.stores.primary, &watched.stores.standby].map(|store| store.address());
    for (name, store) in ["redis_exporter (primary)", "redis_exporter (standby)"].into_iter().zip(stores) {
        let make = |address: SocketAddr| {
            let mut command = Command::new(&redis);
            command.arg(format!("-redis.addr=redis://{store}")).arg(format!("-web.listen-address={address}"));
            command
        };
        all.push(Exporter::start(lab, name, make).await?);
    }
    let texts = text_files(lab)?;
    let make = |address: SocketAddr| {
        let mut command = Command::new(&node);
        command
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .arg(format!("--collector.textfile.directory={}", texts.display()))
            .arg(format!("--web.listen-address={address}"));
        command
    };
    all.push(Exporter::start(lab, "node_exporter (textfile only)", make).await?);
    Ok(all)
}

/// Starts PostgreSQL's exporter beside the primary and beside the standby, with further arguments.
pub(crate) async fn of_postgres(lab: &Lab, pair: &PgPair, args: &[String]) -> Result<Vec<Exporter>> {
    let [postgres, ..] = programs()?;
    // Its own role: it cannot read a password with a space.
    pair.primary.sql(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' IN ROLE pg_monitor")).await?;
    pair.wait_caught_up(READY).await?;
    let mut all = Vec::new();
    for (name, server) in [(ON_PRIMARY, &pair.primary), ("postgres_exporter (standby)", &pair.standby)] {
        let uri = format!("{}/postgres?sslmode=disable", server.address());
        let make = |address: SocketAddr| {
            let mut command = Command::new(&postgres);
            command.arg(format!("--web.listen-address={address}")).args(args).env("DATA_SOURCE_URI", uri);
            command.env("DATA_SOURCE_USER", ROLE).env("DATA_SOURCE_PASS", ROLE);
            command
        };
        all.push(Exporter::start(lab, name, make).await?);
    }
    Ok(all)
}

fn programs() -> Result<[PathBuf; 3]> {
    let found = [POSTGRES, REDIS, NODE].map(find::program);
    let missing: Vec<String> =
        found.iter().filter_map(|found| found.as_ref().err()).map(|error| format!("{error:#}")).collect();
    if !missing.is_empty() {
        bail!("{}; `bash tests/lab/install.sh --bench` installs the exporters", missing.join(", "));
    }
    let [postgres, redis, node] = found;
    Ok([postgres?, redis?, node?])
}

/// What a cron job would leave there after each synchronisation.
fn text_files(lab: &Lab) -> Result<PathBuf> {
    let file = lab.write("textfile/config_sync.prom", "config_sync_last_success_timestamp_seconds 1700000000\n")?;
    Ok(file.parent().context("a directory")?.to_owned())
}
