//! Data checksums that only one server of the pair has. Only the distribution's PostgreSQL brings the program that switches them.

use std::time::Duration;

use standbywatch_lab::Result;

use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const ALERT: &str = "StandbySettingsParity";

#[tokio::test]
async fn settings_checksums_differ() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "Settings", "data checksums differ", &["postgres"]).await?;
    let standby = &site.postgres.standby;
    let has = standby.value("SHOW data_checksums").await?.as_deref() == Some("on");
    let (theirs, ours) = if has { ("off", "on") } else { ("on", "off") };
    standby.stop().await?;
    standby.switch_checksums(!has)?;
    standby.start().await?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["settings_parity"], Number::Known, 60)).await?;
    row.pages(ALERT, Duration::ZERO, Duration::ZERO, 60).await?;
    let page = site.agent.get("/").await?.text;
    assert!(page.contains(&format!("data_checksums is {theirs}, on the primary {ours}")), "{page}");
    standby.stop().await?;
    standby.switch_checksums(has)?;
    standby.start().await?;
    row.is_well_again("postgres", Some(ALERT), 60).await?;
    row.finish().await
}
