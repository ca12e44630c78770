//! Rows of what is coming: a lag beyond any excuse, one of 2 GiB that is caught up with, replication that comes and goes.

use std::time::Duration;

use standbywatch_lab::{Mode, Result, wait_until};
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
    row.finish()
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
    row.finish()
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
    row.finish()
}
