//! Row A1: the agent is killed while a standby lags; what it knew of the time goes on.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Load, Result, wait_until};
use tokio::time::Instant;

use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

/// As long as the agent takes to write its state, and more.
const SAVED: Duration = Duration::from_secs(60);
/// Readings are a second apart, and the machine is busy.
const TOLERANCE: f64 = 4.0;
const PAUSED: &str = "StandbyPostgresReplayPaused";

async fn seconds(site: &Site) -> Result<Option<f64>> {
    site.agent.metrics().await?.value("standby_replication_lag_seconds", &[])
}

async fn standby_told(site: &Site) -> Result<Value> {
    let page = site.agent.json("/api/v1/status").await?;
    Ok(page["pairs"][0]["postgres"]["standbys"][0].clone())
}

async fn told_seconds(site: &Site, at_least: f64) -> Result<f64> {
    let what = format!("a lag of {at_least:.1} s or more is told");
    wait_until(&what, Duration::from_secs(60), async || Ok(seconds(site).await?.filter(|seconds| *seconds >= at_least)))
        .await
}

/// The saved ring knows the primary beyond this position, so it knows when it was passed.
async fn wait_until_saved(site: &Site, beyond: u64) -> Result<()> {
    let file = site.agent.dir().join("state/catalog.json");
    wait_until("the state is saved", SAVED, async || {
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        let saved: Value = serde_json::from_str(&text)?;
        let newest = saved["postgres"]["ring"]["newest"][1].as_u64();
        Ok(newest.filter(|newest| *newest > beyond).map(|_| ()))
    })
    .await
}

#[tokio::test]
async fn a1_agent_killed_while_the_standby_lags() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "A1", "agent killed and restarted while the standby lags", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Tps(50)).await?;
    // The upper bound below comes from the last transaction that was replayed: there must have been one.
    let replayed = "SELECT pg_last_xact_replay_timestamp()";
    wait_until("a transaction is replayed", Duration::from_secs(20), async || {
        site.postgres.standby.value(replayed).await
    })
    .await?;
    site.postgres.standby.pause_replay().await?;
    let frozen = site.postgres.standby.value("SELECT pg_last_wal_replay_lsn() - '0/0'").await?;
    let frozen: u64 = frozen.as_deref().unwrap_or_default().parse()?;
    told_seconds(&site, 3.0).await?;
    // More than a little, so that a save in the middle of the first bytes does not count.
    wait_until_saved(&site, frozen + 10_000).await?;

    let before = told_seconds(&site, 3.0).await?;
    let looked = Instant::now();
    site.agent.server.kill().await?;
    row.fault();
    site.start_agent_again().await?;
    row.tells(Tells::running("postgres", "critical", &["paused"], Number::Known, 30)).await?;
    row.pages(PAUSED, Duration::ZERO, Duration::ZERO, 30).await?;
    let after = told_seconds(&site, 0.0).await?;
    let away = looked.elapsed().as_secs_f64();
    println!("A1: {before:.1} s before, {after:.1} s after, {away:.1} s between");
    assert!((after - before - away).abs() <= TOLERANCE, "{before} s, {away} s later {after} s");
    let standby = standby_told(&site).await?;
    assert!(standby["lag_seconds_at_least"].is_null(), "told from what was saved, not a bound: {standby}");

    // Without what was saved it knows a lower bound by itself, and an upper one by the last transaction that was replayed.
    site.agent.server.kill().await?;
    std::fs::remove_file(site.agent.dir().join("state/catalog.json"))?;
    site.start_agent_again().await?;
    let at_most = told_seconds(&site, before).await?;
    let away = looked.elapsed().as_secs_f64();
    println!("A1: at most {at_most:.1} s after {away:.1} s");
    assert!(at_most + TOLERANCE >= before + away, "{at_most} s is no upper bound of {} s", before + away);
    let standby = standby_told(&site).await?;
    assert!(standby["lag_seconds_at_least"].is_number() && standby["lag_seconds"].is_number(), "{standby}");

    writer.stop().await;
    site.postgres.standby.resume_replay().await?;
    row.is_well_again("postgres", Some(PAUSED), 60).await?;
    row.finish().await
}
