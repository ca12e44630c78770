//! Row A2: the agent itself is stopped for a minute.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};
use tokio::time::Instant;

use crate::row::{Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

#[tokio::test]
async fn a2_agent_stopped_for_a_minute_while_the_standby_dies() -> Result<()> {
    let Some(site) = Site::start(Plan { kvstore: true, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row =
        Row::of(&site, "A2", "agent stopped for a minute, the standby dies meanwhile", &["postgres", "kvstore"])
            .await?;
    site.agent.server.freeze()?;
    let stopped = Instant::now();
    site.postgres.standby.kill().await?;
    let minute = async || Ok((stopped.elapsed() >= Duration::from_secs(60)).then_some(()));
    wait_until("a minute has gone by", Duration::from_secs(70), minute).await?;
    site.agent.server.thaw()?;
    row.fault();
    // The very first answers: whatever was known a minute ago must not be shown.
    for look in 0..20 {
        let page = site.agent.json("/monitor/replication").await?;
        assert_eq!(page["postgres_lag_bytes"], "unknown", "look {look}: {page}");
        assert_ne!(page["status"], "ok", "look {look}: {page}");
        let metrics = site.agent.metrics().await?;
        assert!(!metrics.has("standby_replication_lag_bytes"), "look {look}");
        assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(0.0), "look {look}");
    }
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 60).await?;
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.is_well_again("kvstore", None, 60).await?;
    row.finish().await
}
