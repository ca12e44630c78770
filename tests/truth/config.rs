//! Rows C: the configuration's synchronisation.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{How, Result, RsyncDaemon, wait_until};

use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const STALE: &str = "StandbyConfigSyncStale";
const FAILING: &str = "StandbyConfigSyncFailing";
const PERIOD: Duration = Duration::from_secs(5);
const HELD: Duration = Duration::from_secs(2);
const USUAL: Duration = Duration::from_secs(60);

fn plan() -> Plan {
    Plan { config: Some(PERIOD), rules: "StandbyConfigSyncStale: { for: 2s }", ..Plan::postgres() }
}

#[tokio::test]
async fn c1_loop_stopped() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let mut row = Row::of(&site, "C1", "the loop stopped", &["postgres", "config"]).await?;
    sync.stop();
    row.fault();
    row.tells(Tells::running("config", "warning", &["sync_stale"], Number::Known, 20)).await?;
    row.tells(Tells::running("config", "critical", &["sync_stale"], Number::Known, 25)).await?;
    row.pages(STALE, HELD, USUAL, 20).await?;
    sync.resume()?;
    row.is_well_again("config", Some(STALE), 30).await?;
    row.finish().await
}

#[tokio::test]
async fn c1_rsync_exits_with_23() -> Result<()> {
    let Some(site) = Site::start(Plan { wrapped: true, ..plan() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let mut row = Row::of(&site, "C1", "rsync exits with 23, under the wrapper", &["postgres", "config"]).await?;
    sync.fail_partially();
    row.fault();
    sync.wait_for_exit(23, Duration::from_secs(20)).await?;
    row.tells(Tells::running("config", "warning", &["sync_failing", "sync_stale"], Number::Known, 25)).await?;
    row.tells(Tells::running("config", "critical", &["sync_failing", "sync_stale"], Number::Known, 30)).await?;
    row.pages(STALE, HELD, USUAL, 20).await?;
    row.pages(FAILING, Duration::ZERO, Duration::ZERO, 20).await?;
    sync.repair();
    row.is_well_again("config", Some(STALE), 30).await?;
    row.finish().await
}

/// What the page says in words of the `config` channel comes to contain this.
async fn says(site: &Site, wanted: &str, within: u64) -> Result<()> {
    let told = |status: &Value| {
        let mut channels = status["pairs"][0]["channels"].as_array().into_iter().flatten();
        let config = channels.find(|channel| channel["channel"] == "config");
        config.is_some_and(|config| config["detail"].as_str().is_some_and(|text| text.contains(wanted)))
    };
    site.agent.wait_for_json("/api/v1/status", wanted, Duration::from_secs(within), told).await?;
    Ok(())
}

#[tokio::test]
async fn c1_each_way_in_which_a_wrapped_job_ends() -> Result<()> {
    let Some(site) = Site::start(Plan { wrapped: true, ..plan() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let failing: &[&str] = &["sync_failing", "sync_stale"];

    // 24: the copy is slow enough for a file to vanish between its listing and its turn.
    let mut row = Row::of(&site, "C1", "rsync exits with 24, under the wrapper", &["postgres", "config"]).await?;
    std::fs::write(sync.source().join("a-large"), vec![b'x'; 3 << 20])?;
    std::fs::write(sync.source().join("z-gone"), "soon gone")?;
    sync.from_now_on(How { options: words(&["--archive", "--bwlimit=1500"]), ..How::default() });
    wait_until("the large file is being copied", Duration::from_secs(20), async || {
        let names =
            std::fs::read_dir(sync.destination())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.into_iter().any(|name| name.starts_with(".a-large.")).then_some(()))
    })
    .await?;
    std::fs::remove_file(sync.source().join("z-gone"))?;
    sync.wait_for_exit(24, Duration::from_secs(20)).await?;
    let good = |status: &Value| {
        let config = &status["pairs"][0]["config"];
        config["last_exit"] == 24
            && config["consecutive_failures"] == 0
            && status["pairs"][0]["channels"][1]["level"] == "ok"
    };
    // Set back at once, so that the run after it is a usual one.
    sync.repair();
    site.agent.wait_for_json("/api/v1/status", "24 is good", Duration::from_secs(10), good).await?;
    row.pages_nobody("a good run: a file vanished while it was copied").await?;
    row.finish().await?;

    // 255: what ssh ends with when it does not get there.
    let mut row = Row::of(&site, "C1", "rsync exits with 255, under the wrapper", &["config"]).await?;
    let options = words(&["--archive", "--rsh", "/bin/sh -c 'exit 255'"]);
    sync.from_now_on(How { options, from: Some("nowhere:/conf/".to_owned()), ..How::default() });
    row.fault();
    row.tells(Tells::running("config", "warning", failing, Number::Known, 30)).await?;
    says(&site, "exit 255 (ssh failed", 20).await?;
    row.pages(FAILING, Duration::ZERO, Duration::ZERO, 30).await?;
    sync.repair();
    row.is_well_again("config", Some(FAILING), 30).await?;
    row.finish().await?;

    // The standby has no room: every write beyond 32 KiB fails.
    let mut row = Row::of(&site, "C1", "disk full on the standby, under the wrapper", &["config"]).await?;
    std::fs::write(sync.source().join("big.conf"), vec![b'x'; 200_000])?;
    let before = words(&["/bin/sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
    sync.from_now_on(How { before, ..How::default() });
    row.fault();
    row.tells(Tells::running("config", "warning", failing, Number::Known, 30)).await?;
    says(&site, "exit 11 (reading or writing a file failed: disk full?)", 20).await?;
    row.pages(FAILING, Duration::ZERO, Duration::ZERO, 30).await?;
    sync.repair();
    row.is_well_again("config", Some(FAILING), 30).await?;
    row.finish().await?;

    // The other side stands still: only the deadline ends such a run.
    let daemon = RsyncDaemon::start(&site.lab, sync.source()).await?;
    sync.from_now_on(How { from: Some(daemon.url()), ..How::default() });
    sync.wait_for_good_run(Duration::from_secs(30)).await?;
    let mut row = Row::of(&site, "C1", "rsync hangs, under the wrapper", &["config"]).await?;
    daemon.server.freeze()?;
    row.fault();
    row.tells(Tells::running("config", "critical", failing, Number::Known, 40)).await?;
    row.pages(FAILING, Duration::ZERO, Duration::ZERO, 60).await?;
    says(&site, "killed by its deadline", 20).await?;
    daemon.server.thaw()?;
    row.is_well_again("config", Some(FAILING), 40).await?;
    row.finish().await
}
