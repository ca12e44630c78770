//! Rows P3: replay that stands still while WAL goes on arriving, each cause told by its name.

use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};

use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const POSTGRES: &[&str] = &["postgres"];

/// What waits is told at the stage of replay, and grows while the primary writes.
async fn lag_grows_at_replay(site: &Site) -> Result<()> {
    let writer = site.postgres.writer(Load::Heavy).await?;
    let lag = async || {
        let metrics = site.agent.metrics().await?;
        let stage = metrics.value("standby_postgres_stage_lag_bytes", &[("stage", "replay")])?;
        Ok(stage.filter(|stage| *stage > 4_000_000.0))
    };
    wait_until("lag grows at the stage replay", Duration::from_secs(30), lag).await?;
    writer.stop().await;
    Ok(())
}

#[tokio::test]
async fn p3_replay_blocked_by_max_connections() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P3", "max_connections raised on the primary only", POSTGRES).await?;
    site.postgres.primary.set("max_connections", "150")?;
    site.postgres.primary.restart().await?;
    row.fault();
    row.tells(Tells::running("postgres", "critical", &["blocked_by_settings"], Number::Known, 20)).await?;
    row.pages("StandbyPostgresReplayBlockedBySettings", Duration::ZERO, Duration::ZERO, 30).await?;
    let page = site.agent.json("/api/v1/status").await?.to_string();
    assert!(page.contains("max_connections is 100, on the primary 150"), "{page}");
    lag_grows_at_replay(&site).await?;
    site.postgres.standby.set("max_connections", "150")?;
    site.postgres.standby.restart().await?;
    row.is_well_again("postgres", Some("StandbyPostgresReplayBlockedBySettings"), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p3_replay_stuck_behind_a_long_query() -> Result<()> {
    let postgres = PgPair::builder().standby_setting("max_standby_streaming_delay", "-1");
    let Some(site) = Site::start(Plan { postgres, limits: "{ stuck_after: 5s }", ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(&site, "P3", "replay stuck behind a long query, stuck_after 5 s", POSTGRES).await?;
    let query = site.postgres.standby.open_transaction("SELECT count(*) FROM load").await?;
    // Its replay needs the lock that the query holds.
    site.postgres.primary.sql("TRUNCATE load").await?;
    row.fault();
    // The pair was idle before, its replay unmoved: that does not count.
    stays(&site, "ok", 3).await?;
    row.tells(Tells::running("postgres", "critical", &["stuck"], Number::Known, 15)).await?;
    row.pages("StandbyPostgresReplayStuck", Duration::ZERO, Duration::ZERO, 30).await?;
    lag_grows_at_replay(&site).await?;
    drop(query);
    row.is_well_again("postgres", Some("StandbyPostgresReplayStuck"), 60).await?;
    row.finish().await
}
