//! Rows B: what must stay silent.

use std::time::Duration;

use standbywatch_lab::{Cable, Load, Mode, PgPair, Result, wait_until};
use tokio::time::Instant;

use crate::postgres::stays;
use crate::row::Row;
use crate::site::{Plan, Site};

/// What is met for a moment while a server is restarted, or a sample is lost.
pub const RESTART: &[&str] = &["StandbyReplicationUnknown"];
/// An agent that has just been started has not seen a primary yet.
pub const RESTART_OF_THE_AGENT: &[&str] = &["StandbyReplicationUnknown", "StandbyPostgresNoPrimary"];

#[tokio::test]
async fn b1_idle_pair_for_three_minutes() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let row = Row::of(&site, "B1", "idle pair for 3 minutes, default heartbeats", &["postgres"]).await?;
    stays(&site, "ok", 180).await?;
    row.finish().await
}

#[tokio::test]
async fn b1_idle_pair_with_short_heartbeats_and_a_restart_of_the_standby() -> Result<()> {
    let Some(site) = Site::start(Plan { postgres: PgPair::builder().tenth_timeouts(), ..Plan::silent() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(
        &site,
        "B1",
        "idle pair for 1 minute, heartbeats at a tenth; then the standby restarted",
        &["postgres"],
    )
    .await?
    .passing(RESTART);
    stays(&site, "ok", 60).await?;
    site.postgres.standby.restart().await?;
    is_asked_again(&site).await?;
    row.is_well_again("postgres", None, 20).await?;
    stays(&site, "ok", 10).await?;
    row.finish().await
}

#[tokio::test]
async fn b2_bulk_load() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "B2", "bulk load for 90 s", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Heavy).await?;
    runs(&site, 90).await?;
    let done = writer.stop().await;
    assert!(done > 5, "{done} bulk inserts");
    row.is_well_again("postgres", None, 120).await?;
    row.finish().await
}

#[tokio::test]
async fn alone_b9_busy_pair() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let row = Row::of(&site, "B9", "busy pair, as many transactions as the machine gives", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Full).await?;
    stays(&site, "ok", 60).await?;
    println!("B9: {:.0} transactions a second", writer.rate());
    assert!(writer.rate() >= 300.0, "{} transactions a second are not a busy pair", writer.rate());
    writer.stop().await;
    row.finish().await
}

/// Waits until both servers have been asked anew: before that, what was told of them is from before their restart.
pub async fn is_asked_again(site: &Site) -> Result<()> {
    let answered = async || {
        let metrics = site.agent.metrics().await?;
        let told = metrics.all("standby_probe_last_success_timestamp_seconds", &[("channel", "postgres")]);
        Ok::<_, standbywatch_lab::Error>(told.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    };
    for _ in 0..2 {
        let before = answered().await?;
        wait_until("both servers answer anew", Duration::from_secs(30), async || {
            let now = answered().await?;
            Ok((now.len() == before.len() && now.iter().zip(&before).all(|(now, then)| now > then)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Every connection on the cable breaks; the next one is made at once.
async fn loses_a_sample(site: &Site, cable: &Cable) -> Result<()> {
    let failed = async || {
        let metrics = site.agent.metrics().await?;
        let up = metrics.all("standby_probe_up", &[("channel", "postgres")]);
        Ok(up.iter().any(|(_, up)| *up < 1.0).then_some(()))
    };
    cable.set(Mode::Reset);
    wait_until("a sample is lost", Duration::from_secs(10), failed).await?;
    cable.set(Mode::Pass);
    runs(site, 5).await
}

/// Logs go to standard error alone: whoever keeps them rotates them, and the agent has no file to open anew.
#[tokio::test]
async fn b5_a_sample_lost_and_a_reload() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let fault = "one sample of each node lost; a reload with the same and with a changed configuration";
    let mut row = Row::of(&site, "B5", fault, &["postgres"]).await?.passing(RESTART);
    let writer = site.postgres.writer(Load::Light).await?;
    for cable in [&site.postgres.probe, &site.postgres.probe_primary] {
        loses_a_sample(&site, cable).await?;
        row.is_well_again("postgres", None, 10).await?;
    }
    let text = std::fs::read_to_string(site.agent.dir().join("standbywatch.yml"))?;
    for changed in [text.clone(), text.replace("postgres: {}", "postgres: { lag_large: 1GiB }")] {
        site.agent.write_config(&changed)?;
        let reloads = site.agent.server.log().matches("configuration reloaded").count();
        site.agent.hang_up()?;
        let done =
            async || Ok((site.agent.server.log().matches("configuration reloaded").count() > reloads).then_some(()));
        wait_until("it has reloaded", Duration::from_secs(10), done).await?;
        runs(&site, 10).await?;
        row.is_well_again("postgres", None, 10).await?;
    }
    writer.stop().await;
    row.finish().await
}

/// Housekeeping on the primary makes bursts of WAL and holds replay up for a while; so does a query on the standby that ends in time.
#[tokio::test]
async fn b8_vacuum_checkpoints_and_a_query_on_the_standby() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let fault = "vacuum, checkpoints, and a query on the standby within max_standby_streaming_delay, under load";
    let mut row = Row::of(&site, "B8", fault, &["postgres"]).await?;
    let (primary, standby) = (&site.postgres.primary, &site.postgres.standby);
    primary.sql("INSERT INTO load (filler) SELECT repeat('much', 100) FROM generate_series(1, 50000)").await?;
    let writer = site.postgres.writer(Load::Tps(50)).await?;
    for _ in 0..5 {
        for statement in
            ["UPDATE load SET filler = filler || 'x'", "VACUUM (FREEZE) load", "CHECKPOINT", "VACUUM FULL load"]
        {
            primary.sql(statement).await?;
        }
        runs(&site, 3).await?;
    }
    row.is_well_again("postgres", None, 30).await?;
    // Its replay needs the lock that the query holds; 30 s it may wait.
    let query = standby.open_transaction("SELECT count(*) FROM load").await?;
    primary.sql("VACUUM FULL load").await?;
    let state = [("standby", "beta"), ("state", "conflict")];
    let conflict = async || {
        let metrics = site.agent.metrics().await?;
        Ok(metrics.value("standby_postgres_replay_state", &state)?.filter(|told| *told > 0.5))
    };
    wait_until("replay waits for the query", Duration::from_secs(10), conflict).await?;
    stays(&site, "ok", 15).await?;
    assert!(conflict().await?.is_some(), "it has waited all the time");
    drop(query);
    writer.stop().await;
    row.is_well_again("postgres", None, 30).await?;
    row.finish().await
}

/// The rows can fail: what fires for a few seconds is heard, in the agent by whoever listened, and later by what has been notified.
#[tokio::test]
async fn what_fires_in_passing_is_heard() -> Result<()> {
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let row = Row::of(&site, "B1", "replay paused for a moment: not benign", &["postgres"]).await?;
    let standby = &site.postgres.standby;
    standby.sql("SELECT pg_wal_replay_pause()").await?;
    site.alertmanager()
        .receiver
        .wait_for("StandbyPostgresReplayPaused", "firing", &[], Duration::from_secs(30))
        .await?;
    standby.sql("SELECT pg_wal_replay_resume()").await?;
    is_well_again(&site).await?;
    let told = format!("{:#}", row.finish().await.expect_err("a rule has fired"));
    assert!(
        told.contains("told without a fault by the agent") && told.contains("StandbyPostgresReplayPaused"),
        "{told}"
    );
    let later = Row::of(&site, "B1", "begun after it", &["postgres"]).await?;
    stays(&site, "ok", 5).await?;
    let told = format!("{:#}", later.finish().await.expect_err("it was notified"));
    assert!(told.contains("notified") && told.contains("StandbyPostgresReplayPaused"), "{told}");
    Ok(())
}

/// Awaits that all is well, and no rule is met any more.
async fn is_well_again(site: &Site) -> Result<()> {
    let well = |status: &serde_json::Value| {
        status["level"] == "ok" && status["pairs"][0]["findings"].as_array().is_some_and(Vec::is_empty)
    };
    site.agent.wait_for_json("/api/v1/status", "all is well", Duration::from_secs(60), well).await?;
    Ok(())
}

/// For so many seconds replication is up at each look, whatever the lag.
async fn runs(site: &Site, seconds: u64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let looking = wait_until("the load has run", Duration::from_secs(seconds + 10), async || {
        let metrics = site.agent.metrics().await?;
        let up = metrics.value("standby_replication_up", &[("channel", "postgres")])?;
        assert_eq!(up, Some(1.0), "replication is up under load: {}", site.agent.json("/monitor/replication").await?);
        Ok((Instant::now() >= end).then_some(()))
    });
    looking.await
}
