//! Rows P5 and B9: the primary throws away WAL that the standby's slot was to keep; it is told before, and not told of a slot that keeps up.

use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};

use crate::postgres::stays;
use crate::row::{Row, Tells};
use crate::site::{Plan, Site};

const STATE: &str = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'beta'";

#[tokio::test]
async fn p5_slot_lost() -> Result<()> {
    let postgres = PgPair::builder().primary_setting("max_slot_wal_keep_size", "16MB");
    let Some(site) = Site::start(Plan { postgres, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P5", "slot invalidated by max_slot_wal_keep_size", &["postgres"]).await?;
    let lost = async || site.agent.metrics().await?.value("standby_postgres_slot_lost", &[("standby", "beta")]);
    let primary = &site.postgres.primary;
    site.postgres.standby.stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    assert_eq!(lost().await?, Some(0.0), "a slot that nobody streams from is not lost yet");
    wait_until("the slot is lost", Duration::from_secs(60), async || {
        primary.sql("INSERT INTO load (filler) VALUES ('one'); SELECT pg_switch_wal()").await?;
        primary.sql("CHECKPOINT").await?;
        Ok((primary.value(STATE).await?.as_deref() == Some("lost")).then_some(()))
    })
    .await?;
    // The standby's absence was the first fault; from here on the second one is timed.
    row.fault();
    row.pages("StandbyPostgresSlotLost", Duration::ZERO, Duration::ZERO, 20).await?;
    assert_eq!(lost().await?, Some(1.0));
    site.postgres.rebuild_standby("beta").await?;
    row.is_well_again("postgres", Some("StandbyPostgresSlotLost"), 60).await?;
    assert_eq!(lost().await?, Some(0.0));
    row.finish().await
}

const SOON: &str = "StandbyPostgresSlotLossSoon";
/// Ten mebibytes of WAL that leave no data behind.
const TEN_MIB: &str = "SELECT pg_logical_emit_message(false, 'lab', repeat('x', 10 << 20))";

/// Time to the loss of the standby's slot, and the share of its room in use.
async fn room(site: &Site) -> Result<Option<(f64, f64)>> {
    let metrics = site.agent.metrics().await?;
    let seconds = metrics.value("standby_postgres_slot_loss_seconds", &[("standby", "beta")])?;
    Ok(seconds.zip(metrics.value("standby_postgres_slot_used_ratio", &[("standby", "beta")])?))
}

#[tokio::test]
async fn p5_slot_that_will_be_lost() -> Result<()> {
    let postgres = PgPair::builder().primary_setting("max_slot_wal_keep_size", "64MB");
    let rules = "StandbyPostgresSlotLossSoon: { for: 1s }";
    let plan = Plan { postgres, limits: "{ slot_window: 10s }", rules, ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P5", "slot that will be lost", &["postgres"]).await?;
    let idle = async || Ok(room(&site).await?.filter(|(seconds, share)| seconds.is_infinite() && *share < 0.25));
    wait_until("a slot that keeps up has all the time", Duration::from_secs(60), idle).await?;
    let primary = &site.postgres.primary;
    site.postgres.standby.stop().await?;
    row.fault();
    for _ in 0..3 {
        primary.sql(TEN_MIB).await?;
    }
    let writer = site.postgres.writer(Load::Tps(100)).await?;
    row.pages(SOON, Duration::from_secs(1), Duration::from_secs(60), 60).await?;
    let (seconds, share) = wait_until("the time is told", Duration::from_secs(5), async || room(&site).await).await?;
    assert!(seconds < 14_400.0 && (0.25..1.0).contains(&share), "{seconds} s, {share} of the room");
    assert_ne!(primary.value(STATE).await?.as_deref(), Some("lost"), "it has not lost anything yet");
    writer.stop().await;
    for _ in 0..8 {
        primary.sql(TEN_MIB).await?;
    }
    primary.sql("SELECT pg_switch_wal(); CHECKPOINT").await?;
    row.fault();
    row.pages("StandbyPostgresSlotLost", Duration::ZERO, Duration::ZERO, 20).await?;
    assert_eq!(room(&site).await?, None, "PostgreSQL's numbers of a lost slot are NULL");
    site.postgres.rebuild_standby("beta").await?;
    row.is_well_again("postgres", Some(SOON), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn alone_b9_healthy_slot_with_a_small_limit() -> Result<()> {
    let postgres = PgPair::builder().primary_setting("max_slot_wal_keep_size", "128MB");
    let rules = "StandbyPostgresSlotLossSoon: { for: 0s }";
    let plan = Plan { postgres, limits: "{ slot_window: 10s }", rules, ..Plan::silent() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let row = Row::of(&site, "B9", "healthy slot with a small limit, under load", &["postgres"]).await?;
    let writer = site.postgres.writer(Load::Full).await?;
    wait_until("the time is told", Duration::from_secs(60), async || room(&site).await).await?;
    stays(&site, "ok", 60).await?;
    let rate = site.agent.metrics().await?.value("standby_postgres_wal_rate_bytes_per_second", &[])?;
    let naive = rate.map_or(f64::INFINITY, |rate| 128e6 / rate);
    println!("B9: 128 MB over the WAL rate are {naive:.0} s, and nobody is warned");
    assert!(naive < 14_400.0, "{naive} s: the primary has hardly written");
    writer.stop().await;
    row.finish().await
}

#[tokio::test]
async fn p5_unlimited_slot_fills_the_disk() -> Result<()> {
    // The lab's disk is large and its load small: any time that can be told at all is short enough.
    let rules = "StandbyPostgresWalDiskFullSoon: { threshold: 30d, for: 1s }";
    let Some(site) = Site::start(Plan { limits: "{ slot_window: 10s }", rules, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(&site, "P5", "slot without a limit fills the disk (threshold 30 d)", &["postgres"]).await?;
    let full =
        async || site.agent.metrics().await?.value("standby_postgres_wal_disk_full_seconds", &[("standby", "beta")]);
    let idle = async || Ok(full().await?.filter(|seconds| seconds.is_infinite()));
    wait_until("the disk is seen, and nothing grows", Duration::from_secs(60), idle).await?;
    site.postgres.standby.stop().await?;
    row.fault();
    let writer = site.postgres.writer(Load::Heavy).await?;
    row.pages("StandbyPostgresWalDiskFullSoon", Duration::from_secs(1), Duration::from_secs(300), 60).await?;
    writer.stop().await;
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some("StandbyPostgresWalDiskFullSoon"), 60).await?;
    row.finish().await
}
