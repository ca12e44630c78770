//! Rows C2 and B6: whether the standby's files are the primary's; and the beacon among them.

#![allow(clippy::disallowed_methods, reason = "a timestamp file holds wall time, and this test writes one")]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use standbywatch_lab::{How, Result, RsyncDaemon, wait_until};
use tokio::time::{Instant, interval};

use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

const DRIFT: &str = "StandbyConfigDrift";
const PERIOD: Duration = Duration::from_secs(5);

fn plan() -> Plan {
    Plan { config: Some(PERIOD), rules: "StandbyConfigSyncStale: { for: 2s }", ..Plan::postgres() }
}

fn options(words: &[&str]) -> How {
    How { options: words.iter().map(|word| (*word).to_owned()).collect(), ..How::default() }
}

fn drift(status: &Value) -> &Value {
    &status["pairs"][0]["config"]["drift"]
}

/// Changes that this job's rsync does not mend: what it sees is neither content nor mode, and it makes no file anew.
#[tokio::test]
async fn c2_edited_deleted_and_mode_changed_on_the_standby() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    for name in ["edited.conf", "deleted.conf", "mode.conf"] {
        std::fs::write(sync.source().join(name), "answer = 42\n")?;
    }
    sync.wait_for_good_run(Duration::from_secs(20)).await?;
    sync.from_now_on(options(&["--recursive", "--times", "--existing"]));
    sync.wait_for_good_run(Duration::from_secs(20)).await?;
    let known = |status: &Value| drift(status)["compared"] == true && drift(status)["differing_files"] == 0;
    site.agent.wait_for_json("/api/v1/status", "both trees are the same", Duration::from_secs(30), known).await?;

    let fault = "a file edited, one deleted, a mode changed on the standby; rsync sees none of it";
    let mut row = Row::of(&site, "C2", fault, &["postgres", "config"]).await?;
    let edited = sync.destination().join("edited.conf");
    let modified = std::fs::metadata(&edited)?.modified()?;
    std::fs::write(&edited, "answer = 43\n")?;
    std::fs::File::options().write(true).open(&edited)?.set_modified(modified)?;
    std::fs::remove_file(sync.destination().join("deleted.conf"))?;
    std::fs::set_permissions(sync.destination().join("mode.conf"), std::fs::Permissions::from_mode(0o600))?;
    row.fault();
    row.tells(Tells::running("config", "warning", &["drift"], Number::Known, 25)).await?;
    assert!(row.passed() >= 2 * PERIOD.as_secs(), "a difference counts after two cycles, not {} s", row.passed());
    row.pages(DRIFT, Duration::ZERO, Duration::ZERO, 20).await?;
    let status = site.agent.json("/api/v1/status").await?;
    let named: Vec<_> = drift(&status)["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (file["path"].as_str(), file["kind"].as_str()))
        .collect();
    let wanted = [("deleted.conf", "missing"), ("edited.conf", "content"), ("mode.conf", "mode")];
    assert_eq!(named, wanted.map(|(path, kind)| (Some(path), Some(kind))));
    let metrics = site.agent.metrics().await?;
    assert_eq!(metrics.value("standby_config_drifted_files", &[])?, Some(3.0));
    sync.from_now_on(options(&["--archive", "--delete", "--checksum"]));
    row.is_well_again("config", Some(DRIFT), 30).await?;
    row.finish().await
}

/// Files change all the time, one takes most of a period to be copied, and the primary's clock is a day ahead.
#[tokio::test]
async fn b6_copies_in_flight_and_a_large_file() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let fault = "copies in flight, a large file being copied, files from tomorrow";
    let row = Row::of(&site, "B6", fault, &["postgres", "config"]).await?;
    sync.from_now_on(options(&["--archive", "--delete", "--bwlimit=2000"]));
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let (until, mut beat, mut round) =
        (Instant::now() + Duration::from_secs(45), interval(Duration::from_millis(300)), 0);
    let mut differed = false;
    while Instant::now() < until {
        beat.tick().await;
        round += 1;
        std::fs::write(sync.source().join("busy.conf"), format!("round = {round}\n"))?;
        std::fs::File::options()
            .write(true)
            .open(sync.source().join("busy.conf"))?
            .set_modified(tomorrow + Duration::from_secs(round))?;
        std::fs::write(sync.source().join(format!("new-{}.conf", round / 20)), "x")?;
        if round % 60 == 10 {
            std::fs::write(sync.source().join("large"), vec![u8::try_from(round % 251)?; 6 << 20])?;
        }
        let page = site.agent.json("/monitor/replication").await?;
        assert_eq!(page["channels"]["config"]["status"], "ok", "{page}");
        let differing = site.agent.metrics().await?.value("standby_config_differing_files", &[])?;
        differed |= differing.is_some_and(|count| count > 0.0);
    }
    assert!(differed, "nothing was in flight: that proves nothing");
    row.finish().await
}

#[tokio::test]
async fn c1_the_beacon_alone_tells_the_age_and_its_copy_is_deleted() -> Result<()> {
    let Some(site) = Site::start(Plan { beacon: true, ..plan() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let fault = "--delete removes the copy of the beacon, which alone tells the age";
    let mut row = Row::of(&site, "C1", fault, &["postgres", "config"]).await?;
    sync.from_now_on(options(&["--archive", "--delete", "--exclude=.beacon", "--delete-excluded"]));
    row.fault();
    row.tells(Tells::unknown("config", &["not_seen_yet"], 15)).await?;
    let status = site.agent.json("/api/v1/status").await?;
    assert_eq!(drift(&status)["compared"], true, "nothing else breaks: {status}");
    assert_eq!(drift(&status)["drifted_files"], 0, "it is no drift: {status}");
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    sync.repair();
    row.is_well_again("config", Some(UNKNOWN), 20).await?;
    row.finish().await?;
    let mut row = Row::of(&site, "C1", "the loop stopped, told by the beacon", &["config"]).await?;
    sync.stop();
    row.fault();
    row.tells(Tells::running("config", "critical", &["sync_stale"], Number::Known, 30)).await?;
    row.pages("StandbyConfigSyncStale", HELD, USUAL, 20).await?;
    // A beacon of tomorrow's clock, a clock that was set since, or another machine's: never fresh.
    let copy = sync.destination().join(".beacon");
    let beacon: Value = serde_json::from_slice(&std::fs::read(&copy)?)?;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = beacon.clone();
        change(&mut changed);
        std::fs::write(&copy, changed.to_string())
    };
    let wall = beacon["written"]["wall"].as_f64().expect("seconds");
    with(&|beacon| beacon["written"]["wall"] = (wall + 86_400.0).into())?;
    row.tells(Tells::unknown("config", &["clock_step"], 60)).await?;
    with(&|beacon| beacon["node"] = "beta".into())?;
    row.tells(Tells::unknown("config", &["not_seen_yet"], 60)).await?;
    sync.resume()?;
    row.is_well_again("config", None, 30).await?;
    row.finish().await
}

#[tokio::test]
async fn c1_a_timestamp_in_the_future() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let mut row = Row::of(&site, "C1", "the timestamp lies in the future", &["postgres", "config"]).await?;
    sync.stop();
    let tomorrow = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 86_400;
    std::fs::write(sync.timestamp_file(), format!("{tomorrow}\n"))?;
    row.fault();
    row.tells(Tells::unknown("config", &["future_timestamp"], 10)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    sync.resume()?;
    row.is_well_again("config", Some(UNKNOWN), 30).await?;
    row.finish().await
}

/// A link that leads in a circle, one that leads out, a pipe, and a name that is no text; the job copies from rsync's own daemon.
#[tokio::test]
async fn b6_a_strange_tree_copied_from_a_daemon() -> Result<()> {
    let Some(site) = Site::start(Plan { config: Some(PERIOD), ..Plan::silent() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let fault = "a link in a circle, a pipe and a name that is no text in the tree, copied over rsync://";
    let row = Row::of(&site, "B6", fault, &["postgres", "config"]).await?;
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.conf");
    std::fs::create_dir(sync.source().join("inner"))?;
    symlink("..", sync.source().join("inner/circle"))?;
    symlink("/etc", sync.source().join("out"))?;
    std::fs::write(sync.source().join(odd), "x")?;
    let made = std::process::Command::new("mkfifo").arg(sync.source().join("pipe")).status()?;
    assert!(made.success());
    let daemon = RsyncDaemon::start(&site.lab, sync.source()).await?;
    sync.from_now_on(How { from: Some(daemon.url()), ..How::default() });
    wait_until("all of it is copied", Duration::from_secs(30), async || {
        let there = |name: &std::ffi::OsStr| sync.destination().join(name).symlink_metadata().is_ok();
        Ok((there(odd) && ["inner/circle", "out", "pipe"].iter().all(|name| there(name.as_ref()))).then_some(()))
    })
    .await?;
    let alike = |status: &Value| {
        let drift = drift(status);
        drift["compared"] == true && drift["differing_files"] == 0 && drift["unreadable_files"] == 0
    };
    site.agent.wait_for_json("/api/v1/status", "both trees are the same", Duration::from_secs(30), alike).await?;
    let begun = Instant::now();
    while begun.elapsed() < 3 * PERIOD {
        let page = site.agent.json("/monitor/replication").await?;
        assert_eq!(page["channels"]["config"]["status"], "ok", "{page}");
        let age = page["config_sync_age_seconds"].as_f64().expect("a number");
        assert!(age < 3.0 * PERIOD.as_secs_f64(), "{page}");
        sync.wait_for_good_run(Duration::from_secs(30)).await?;
    }
    row.nobody_was_paged().await?;
    row.finish().await
}

#[tokio::test]
async fn c1_two_wrapped_runs_at_once() -> Result<()> {
    let Some(site) = Site::start(Plan { wrapped: true, ..plan() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let fault = "a second wrapped run while one is in progress: refused, and no failure";
    let mut row = Row::of(&site, "C1", fault, &["postgres", "config"]).await?;
    std::fs::write(sync.source().join("large"), vec![b'x'; 4 << 20])?;
    sync.from_now_on(options(&["--archive", "--bwlimit=1500"]));
    let second = async || {
        let state = site.lab.dir().join("agent/state");
        let words = ["rsync", "--pair", "catalog", "--state.directory"];
        let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"))
            .args(words)
            .arg(state)
            .args(["--", "--archive"])
            .args([format!("{}/", sync.source().display()), sync.destination().display().to_string()])
            .output();
        run.await
    };
    wait_until("the large file is being copied", Duration::from_secs(20), async || {
        let names =
            std::fs::read_dir(sync.destination())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.into_iter().any(|name| name.starts_with(".large.")).then_some(()))
    })
    .await?;
    let refused = second().await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("a run is in progress"), "{said}");
    sync.repair();
    sync.wait_for_good_run(Duration::from_secs(30)).await?;
    let status = site.agent.json("/api/v1/status").await?;
    assert_eq!(status["pairs"][0]["config"]["consecutive_failures"], 0, "{status}");
    assert_eq!(status["pairs"][0]["channels"][1]["level"], "ok", "{status}");
    row.pages_nobody("the run in progress goes on").await?;
    row.finish().await
}
