//! Row P5: the primary throws away WAL that the standby's slot was to keep.

use std::time::Duration;

use standbywatch_lab::{PgPair, Result, wait_until};

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
    row.finish()
}
