//! Rows of what is coming: a lag beyond any excuse, one of 2 GiB that is caught up with, replication that comes and goes.

use std::time::Duration;

use standbywatch_lab::{Context, Mode, Result, wait_until};
use tokio::time::Instant;

use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const GIB: f64 = 1_073_741_824.0;
/// 64 MiB of WAL that leave no data behind.
const A_LOT: &str = "SELECT pg_logical_emit_message(false, 'lab', repeat('x', 16 << 20)) FROM generate_series(1, 4)";
const LARGE: &[&str] = &["lag_high"];

async fn lag(site: &Site) -> Result<Option<f64>> {
    site.agent.metrics().await?.value("standby_replication_lag_bytes", &[])
}

#[tokio::test]
async fn p4_lag_over_the_ceiling() -> Result<()> {
    let rules = "StandbyPostgresLagCeiling: { threshold: 8MiB, for: 1s }";
    let Some(site) = Site::start(Plan { rules, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P4", "lag over the ceiling (8 MiB)", &["postgres"]).await?;
    site.postgres.repl.set(Mode::Throttle(200_000));
    row.fault();
    site.postgres.primary.sql(A_LOT).await?;
    row.tells(Tells::running("postgres", "critical", LARGE, Number::Known, 20)).await?;
    row.pages("StandbyPostgresLagCeiling", Duration::from_secs(1), Duration::from_secs(60), 30).await?;
    site.postgres.repair();
    row.is_well_again("postgres", Some("StandbyPostgresLagCeiling"), 60).await?;
    row.finish().await
}

/// The link is nearly shut while the primary writes 2 GiB, then opened to 64 MiB a second.
#[tokio::test]
async fn alone_p4_two_gibibytes_behind() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P4", "2 GiB behind, then catching up", &["postgres"]).await?;
    site.postgres.repl.set(Mode::Throttle(1 << 20));
    row.fault();
    for _ in 0..33 {
        site.postgres.primary.sql(A_LOT).await?;
    }
    row.tells(Tells::running("postgres", "warning", LARGE, Number::Known, 120)).await?;
    let two = async || Ok(lag(&site).await?.filter(|lag| *lag >= 2.0 * GIB));
    wait_until("the standby is 2 GiB behind", Duration::from_secs(10), two).await?;
    site.postgres.repl.set(Mode::Throttle(64 << 20));
    let half = async || {
        let metrics = site.agent.metrics().await?;
        let lag = metrics.value("standby_replication_lag_bytes", &[])?;
        let told = metrics.value("standby_postgres_catch_up_seconds", &[("standby", "beta")])?;
        Ok(lag.zip(told).filter(|(lag, _)| *lag <= GIB))
    };
    let (left, told) = wait_until("half of it is caught up with", Duration::from_secs(90), half).await?;
    let began = Instant::now();
    let caught_up = async || Ok(lag(&site).await?.filter(|lag| *lag < 1e6));
    wait_until("all of it is caught up with", Duration::from_secs(120), caught_up).await?;
    let took = began.elapsed().as_secs_f64();
    println!("P4: {:.0} MiB left, {told:.1} s told, it took {took:.1} s", left / 1_048_576.0);
    assert!((took / 2.0..=took * 2.0).contains(&told), "{told} s were told, it took {took} s");
    row.is_well_again("postgres", None, 60).await?;
    row.pages_nobody("caught up with within the 5 minutes for which StandbyPostgresLagHigh is held").await?;
    row.finish().await
}

/// Half a mebibyte of WAL.
const A_LITTLE: &str = "SELECT pg_logical_emit_message(false, 'lab', repeat('x', 512 << 10))";

/// What is told of beta's bottleneck and of the time until it has caught up.
async fn outlook(site: &Site) -> Result<(Option<String>, bool)> {
    let page = site.agent.json("/api/v1/status").await?;
    let standby = &page["pairs"][0]["postgres"]["standbys"][0];
    let told = site.agent.metrics().await?.value("standby_postgres_catch_up_seconds", &[("standby", "beta")])?;
    let never = standby["catch_up_seconds"] == "never" && told == Some(f64::INFINITY);
    Ok((standby["bottleneck"].as_str().map(str::to_owned), never))
}

/// The link carries a fraction of what the primary writes, for a minute and a half.
#[tokio::test]
async fn p4_network_slow_under_load() -> Result<()> {
    const GROWING: &str = "StandbyPostgresLagGrowing";
    let limits = "{ lag_large: 4MiB, trend_window: 1m, initial_sync: 1s, low_load: 64KiB }";
    let rules = "StandbyPostgresLagGrowing: { for: 5s }";
    let plan = Plan { limits, rules, held: Duration::from_secs(60), ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P4", "network slow (30 kB/s) under load", &["postgres"]).await?;
    site.postgres.repl.set(Mode::Throttle(30_000));
    row.fault();
    let (mut seen, mut paged, mut written) = ((false, false), false, Instant::now());
    let end = Instant::now() + Duration::from_secs(90);
    let slow = wait_until("the load has run and all was told", Duration::from_secs(150), async || {
        if written.elapsed() >= Duration::from_millis(500) {
            site.postgres.primary.sql(A_LITTLE).await?;
            written = Instant::now();
        }
        let metrics = site.agent.metrics().await?;
        let up = metrics.value("standby_replication_up", &[("channel", "postgres")])?;
        assert_eq!(up, Some(1.0), "slow is not gone: {}", site.agent.json("/monitor/replication").await?);
        let (bottleneck, never) = outlook(&site).await?;
        if lag(&site).await?.is_some_and(|lag| lag > 8e6) {
            assert_eq!(bottleneck.as_deref(), Some("network"), "where the bytes wait");
        }
        seen.0 |= never;
        seen.1 |= metrics.value("standby_postgres_lag_growing", &[])? == Some(1.0);
        paged = paged
            || site
                .alertmanager()
                .alerts()
                .await?
                .iter()
                .any(|alert| alert.labels.get("alertname").is_some_and(|name| name == GROWING));
        Ok((Instant::now() >= end && seen == (true, true) && paged).then_some(()))
    });
    slow.await.with_context(|| format!("never caught up, growing: {seen:?}, paged: {paged}"))?;
    let within = row.passed() + 5;
    row.tells(Tells::running("postgres", "warning", &["lag_growing"], Number::Known, within)).await?;
    row.pages(GROWING, Duration::from_secs(5), Duration::from_secs(600), 5).await?;
    let changes = site.agent.metrics().await?.value("standby_replication_changes", &[("channel", "postgres")])?;
    assert_eq!(changes, Some(0.0), "it did not flap");
    site.postgres.repair();
    row.is_well_again("postgres", Some(GROWING), 90).await?;
    row.finish().await
}

#[tokio::test]
async fn p1_replication_comes_and_goes() -> Result<()> {
    let Some(site) = Site::start(Plan { held: Duration::from_secs(60), ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let mut row = Row::of(&site, "P1", "standby stopped and started, twice, for seconds", &["postgres"]).await?;
    // The state before the first change counts once it has lasted.
    stays(&site, "ok", 6).await?;
    row.fault();
    for change in 1..=4_u32 {
        row.nobody_was_paged().await?;
        if change.is_multiple_of(2) {
            site.postgres.standby.start().await?;
        } else {
            site.postgres.standby.stop().await?;
        }
        let counted = async || {
            let metrics = site.agent.metrics().await?;
            let changes = metrics.value("standby_replication_changes", &[("channel", "postgres")])?;
            Ok(changes.filter(|changes| *changes >= f64::from(change)))
        };
        wait_until("the change has lasted", Duration::from_secs(45), counted).await?;
    }
    let within = row.passed() + 20;
    row.tells(Tells::running("postgres", "warning", &["flapping"], Number::Known, within)).await?;
    row.pages("StandbyReplicationFlapping", Duration::ZERO, Duration::ZERO, 30).await?;
    row.finish().await
}
