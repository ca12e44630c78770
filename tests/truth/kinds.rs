//! Rows P15: standbys that are fed by files, for good or until their stream is back, and standbys that replay late on purpose.

use std::time::Duration;

use standbywatch_lab::{Load, Mode, PgPair, Result, wait_until};

use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const POSTGRES: &[&str] = &["postgres"];

/// What kind of standby `node` is shown as, in JSON and in metrics.
pub async fn is_shown_as(site: &Site, node: &str, kind: &str) -> Result<()> {
    wait_until(&format!("{node} is shown as {kind}"), Duration::from_secs(10), async || {
        let page = site.agent.json("/api/v1/status").await?;
        let standbys = page["pairs"][0]["postgres"]["standbys"].as_array().cloned().unwrap_or_default();
        let shown = standbys.iter().any(|standby| standby["node"] == node && standby["kind"] == kind);
        let series = [("standby", node), ("kind", kind)];
        let series = site.agent.metrics().await?.value("standby_postgres_standby_kind", &series)?;
        Ok((shown && series == Some(1.0)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn p15_log_shipping_late_and_repaired() -> Result<()> {
    let postgres = PgPair::builder().log_shipping();
    let limits = "{ replication: archive, archive_period: 10s }";
    let plan = Plan { postgres, replica: None, limits, ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row =
        Row::of(&site, "P15", "log shipping, archive_period 10 s: restore_command fails under load", POSTGRES).await?;
    is_shown_as(&site, "beta", "archive").await?;
    let writer = site.postgres.writer(Load::Light).await?;
    let steps = async {
        stays(&site, "ok", 30).await?;
        site.postgres.standby.set("restore_command", "false")?;
        row.fault();
        // A file of two seconds more, and what of a period had been shipped before.
        row.tells(Tells::unknown("postgres", &["archive_late"], 20)).await?;
        row.pages("StandbyReplicationUnknown", HELD, USUAL, 60).await?;
        let gap = site.agent.metrics().await?.value("standby_postgres_gap_bytes", &[("standby", "beta")])?;
        assert!(gap.is_some_and(|gap| gap > 0.0), "what a failover would lose is told: {gap:?}");
        site.postgres.standby.set("restore_command", &site.postgres.restore_command())?;
        row.is_well_again("postgres", Some("StandbyReplicationUnknown"), 60).await
    };
    tokio::select! { done = steps => done?, failed = site.postgres.ship() => failed? }
    writer.stop().await;
    // The last file is not full, and nobody ships it: that is not late.
    stays(&site, "ok", 30).await?;
    row.finish().await
}

#[tokio::test]
async fn p15_restoring_from_the_archive_while_the_stream_is_cut() -> Result<()> {
    let postgres = PgPair::builder().archived();
    let Some(site) = Site::start(Plan { postgres, held: USUAL, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P15", "stream cut, the standby restores from the archive", POSTGRES).await?;
    is_shown_as(&site, "beta", "streaming").await?;
    let writer = site.postgres.writer(Load::Light).await?;
    site.postgres.repl.set(Mode::Refuse);
    row.fault();
    // What was received is no proof; what was written since then is.
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    let steps = async {
        row.tells(Tells::running("postgres", "warning", &["restoring_from_archive"], Number::Known, 40)).await?;
        is_shown_as(&site, "beta", "archive").await?;
        stays(&site, "warning", 20).await
    };
    tokio::select! { done = steps => done?, failed = site.postgres.ship() => failed? }
    site.postgres.repl.set(Mode::Pass);
    row.is_well_again("postgres", None, 60).await?;
    is_shown_as(&site, "beta", "streaming").await?;
    writer.stop().await;
    row.pages_nobody("proven by what the archive brought, within the minute of StandbyReplicationUnknown").await?;
    row.finish().await
}

/// A pair whose standby replays what the primary committed five minutes ago.
fn delayed() -> standbywatch_lab::PgPairBuilder {
    PgPair::builder().standby_setting("recovery_min_apply_delay", "5min")
}

const SMALL: &str = "StandbyPostgresLagHigh: { for: 1s, threshold: 64KiB }";

#[tokio::test]
async fn b9_delayed_standby_that_is_declared() -> Result<()> {
    let replica = Some("{ slot: beta, apply_delay: 5m }");
    let plan = Plan { postgres: delayed(), replica, limits: "{ stuck_after: 5s }", rules: SMALL, ..Plan::silent() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    // Its own start, too, waits for the delay of what it has not replayed.
    let row = Row::of(&site, "B9", "delayed standby, declared", POSTGRES).await?;
    let writer = site.postgres.writer(Load::Tps(50)).await?;
    let lags =
        async || Ok(site.agent.metrics().await?.value("standby_replication_lag_bytes", &[])?.filter(|lag| *lag > 5e5));
    wait_until("lag beyond the limit", Duration::from_secs(60), lags).await?;
    stays(&site, "ok", 20).await?;
    let metrics = site.agent.metrics().await?;
    let undelayed = metrics.value("standby_replication_undelayed_lag_bytes", &[])?;
    assert!(undelayed.is_some_and(|lag| lag < 65_536.0), "{undelayed:?}");
    let state = metrics.value("standby_postgres_replay_state", &[("state", "delayed")])?;
    assert_eq!(state, Some(1.0), "it says so all the same");
    writer.stop().await;
    row.finish().await
}

#[tokio::test]
async fn p15_delayed_standby_that_is_not_declared() -> Result<()> {
    let plan = Plan { postgres: delayed(), rules: SMALL, ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P15", "delayed standby, not declared", POSTGRES).await?;
    let writer = site.postgres.writer(Load::Tps(50)).await?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["delayed"], Number::Known, 15)).await?;
    row.pages("StandbyPostgresLagHigh", Duration::from_secs(1), Duration::from_secs(300), 60).await?;
    writer.stop().await;
    site.postgres.standby.set("recovery_min_apply_delay", "0")?;
    row.is_well_again("postgres", Some("StandbyPostgresLagHigh"), 60).await?;
    row.finish().await
}
