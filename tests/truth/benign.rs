//! Rows B: what must stay silent.

use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};
use tokio::time::Instant;

use crate::postgres::stays;
use crate::row::Row;
use crate::site::{Plan, Site};

/// Rules at the product's own hold times: what is benign must not need the lab's short ones.
fn plan() -> Plan {
    Plan { held: Duration::from_secs(60), ..Plan::postgres() }
}

#[tokio::test]
async fn b1_idle_pair_for_three_minutes() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let row = Row::of(&site, "B1", "idle pair for 3 minutes, default heartbeats", &["postgres"]).await?;
    stays(&site, "ok", 180).await?;
    row.nobody_was_paged().await?;
    row.finish()
}

#[tokio::test]
async fn b1_idle_pair_with_short_heartbeats_and_a_restart_of_the_standby() -> Result<()> {
    let Some(site) = Site::start(Plan { postgres: PgPair::builder().tenth_timeouts(), ..plan() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(
        &site,
        "B1",
        "idle pair for 1 minute, heartbeats at a tenth; then the standby restarted",
        &["postgres"],
    )
    .await?;
    stays(&site, "ok", 60).await?;
    site.postgres.standby.restart().await?;
    row.is_well_again("postgres", None, 20).await?;
    stays(&site, "ok", 10).await?;
    row.nobody_was_paged().await?;
    row.finish()
}

#[tokio::test]
async fn b2_bulk_load() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "B2", "bulk load for 90 s", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Heavy).await?;
    runs(&site, 90).await?;
    let done = writer.stop().await;
    assert!(done > 5, "{done} bulk inserts");
    row.is_well_again("postgres", None, 120).await?;
    row.nobody_was_paged().await?;
    row.finish()
}

#[tokio::test]
async fn alone_b9_busy_pair() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let row = Row::of(&site, "B9", "busy pair, as many transactions as the machine gives", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Full).await?;
    stays(&site, "ok", 60).await?;
    println!("B9: {:.0} transactions a second", writer.rate());
    assert!(writer.rate() >= 300.0, "{} transactions a second are not a busy pair", writer.rate());
    writer.stop().await;
    row.nobody_was_paged().await?;
    row.finish()
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
