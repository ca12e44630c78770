//! What an administrator has set: archiving that fails, and what both servers must have alike.

use std::time::Duration;

use standbywatch_lab::{PgPair, Result};

use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const POSTGRES: &[&str] = &["postgres"];
const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn settings_archiver_failing() -> Result<()> {
    const ALERT: &str = "StandbyPostgresArchiverFailing";
    let postgres = PgPair::builder().primary_setting("archive_mode", "on").primary_setting("archive_command", "true");
    let Some(site) = Site::start(Plan { postgres, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "Settings", "archive_command fails on the primary", POSTGRES).await?;
    let failing = async || site.agent.metrics().await?.value("standby_postgres_archiver_failing", &[]);
    assert_eq!(failing().await?, Some(0.0));
    let primary = &site.postgres.primary;
    primary.set("archive_command", "false")?;
    primary.sql("INSERT INTO load (filler) VALUES ('one'); SELECT pg_switch_wal()").await?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["archiver_failing"], Number::Known, 20)).await?;
    row.pages(ALERT, AT_ONCE, AT_ONCE, 30).await?;
    assert_eq!(failing().await?, Some(1.0));
    // A reload makes the archiver try again at once.
    primary.set("archive_command", "true")?;
    row.is_well_again("postgres", Some(ALERT), 90).await?;
    row.finish().await
}

#[tokio::test]
async fn settings_lower_on_the_standby() -> Result<()> {
    const ALERT: &str = "StandbySettingsParity";
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "Settings", "max_worker_processes raised on the primary only", POSTGRES).await?;
    site.postgres.primary.set("max_worker_processes", "12")?;
    site.postgres.primary.restart().await?;
    row.fault();
    // Replay stops as soon as the change reaches it: that is told first, and the warning stands beside it.
    row.tells(Tells::running("postgres", "critical", &["blocked_by_settings"], Number::Known, 20)).await?;
    row.pages(ALERT, AT_ONCE, AT_ONCE, 30).await?;
    let page = site.agent.get("/").await?.text;
    assert!(page.contains("max_worker_processes is 8, on the primary 12"), "{page}");
    site.postgres.standby.set("max_worker_processes", "12")?;
    site.postgres.standby.restart().await?;
    row.is_well_again("postgres", Some(ALERT), 60).await?;
    row.finish().await
}
