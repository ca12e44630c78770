//! Rows C: the configuration's synchronisation.

use std::time::Duration;

use standbywatch_lab::Result;

use crate::row::{Number, Row, Tells};
use crate::site::{Plan, Site};

const STALE: &str = "StandbyConfigSyncStale";
const PERIOD: Duration = Duration::from_secs(5);
const HELD: Duration = Duration::from_secs(2);
const USUAL: Duration = Duration::from_secs(60);

fn plan() -> Plan {
    Plan { config: Some(PERIOD), rules: "StandbyConfigSyncStale: { for: 2s }", ..Plan::postgres() }
}

#[tokio::test]
async fn c1_loop_stopped() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let mut row = Row::of(&site, "C1", "the loop stopped", &["postgres", "config"]).await?;
    sync.stop();
    row.fault();
    row.tells(Tells::running("config", "warning", &["sync_stale"], Number::Known, 20)).await?;
    row.tells(Tells::running("config", "critical", &["sync_stale"], Number::Known, 25)).await?;
    row.pages(STALE, HELD, USUAL, 20).await?;
    sync.resume()?;
    row.is_well_again("config", Some(STALE), 30).await?;
    row.finish()
}

#[tokio::test]
async fn c1_rsync_exits_with_23() -> Result<()> {
    let Some(site) = Site::start(Plan { wrapped: true, ..plan() }).await? else { return Ok(()) };
    let sync = site.sync.as_ref().expect("planned");
    let mut row = Row::of(&site, "C1", "rsync exits with 23, under the wrapper", &["postgres", "config"]).await?;
    sync.fail_partially();
    row.fault();
    sync.wait_for_exit(23, Duration::from_secs(20)).await?;
    row.tells(Tells::running("config", "warning", &["sync_failing", "sync_stale"], Number::Known, 25)).await?;
    row.tells(Tells::running("config", "critical", &["sync_failing", "sync_stale"], Number::Known, 30)).await?;
    row.pages(STALE, HELD, USUAL, 20).await?;
    sync.repair();
    row.is_well_again("config", Some(STALE), 30).await?;
    row.finish()
}
