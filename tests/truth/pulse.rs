//! What a pulse of 5 s lets the agent tell within 8 s, and that it takes nothing from the rest.

use std::time::Duration;

use standbywatch_lab::{Mode, Result, wait_until};

use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

const PULSE: &str = "{ pulse: 5s }";

fn plan() -> Plan {
    Plan { limits: PULSE, ..Plan::postgres() }
}

/// Waits for one more pulse that was written; how many there were.
async fn a_pulse_more(site: &Site) -> Result<f64> {
    let count = async || {
        let metrics = site.agent.metrics().await?;
        metrics.value("standby_postgres_pulses_total", &[("outcome", "ok")])
    };
    let before = count().await?.unwrap_or(-1.0);
    wait_until("a pulse is written", Duration::from_secs(20), async || {
        Ok(count().await?.filter(|now| *now > before.max(0.0)))
    })
    .await
}

/// The worst moment for a fault: the standby has just answered, and the next pulse is as far away as it can be.
async fn a_pulse_was_answered(site: &Site) -> Result<()> {
    a_pulse_more(site).await?;
    a_pulse_more(site).await?;
    let all =
        "SELECT coalesce(bool_and(flush_lsn >= pg_current_wal_insert_lsn()), false)::text FROM pg_stat_replication";
    wait_until("the standby has it", Duration::from_secs(2), async || {
        Ok((site.postgres.primary.value(all).await?.as_deref() == Some("true")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn alone_p1_black_hole_on_an_idle_pair_with_a_pulse() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P1", "replication link in a black hole, idle, pulse 5 s", &["postgres"]).await?;
    a_pulse_was_answered(&site).await?;
    site.postgres.repl.set(Mode::BlackHole);
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_answering"], 8)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    // More pulses go into the void: none of them makes the dead link look alive.
    a_pulse_more(&site).await?;
    a_pulse_more(&site).await?;
    stays(&site, "unknown", 3).await?;
    site.postgres.repair();
    row.is_well_again("postgres", Some(UNKNOWN), 90).await?;
    row.finish().await
}

#[tokio::test]
async fn alone_p2_receiver_frozen_on_an_idle_pair_with_a_pulse() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P2", "receiver frozen on an idle pair, pulse 5 s", &["postgres"]).await?;
    a_pulse_was_answered(&site).await?;
    site.postgres.standby.freeze_receiver()?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_answering"], 8)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    site.postgres.standby.thaw_receiver()?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn b1_idle_pair_with_a_pulse() -> Result<()> {
    let Some(site) = Site::start(Plan { limits: PULSE, ..Plan::silent() }).await? else { return Ok(()) };
    let row = Row::of(&site, "B1", "idle pair for 1 minute, pulse 5 s", &["postgres"]).await?;
    stays(&site, "ok", 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p9_pulse_may_not_be_written() -> Result<()> {
    let Some(site) = Site::start(plan()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P9", "role may not write the pulse", &["postgres"]).await?;
    a_pulse_more(&site).await?;
    let every = "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.proname = 'pg_logical_emit_message'";
    let change = |verb: &str, preposition: &str| {
        format!(
            "DO $$ DECLARE f text; BEGIN FOR f IN {every} LOOP EXECUTE '{verb} EXECUTE ON FUNCTION ' || f || ' {preposition} PUBLIC'; \
             END LOOP; END $$"
        )
    };
    site.postgres.primary.sql(&change("REVOKE", "FROM")).await?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["pulse_failing"], Number::Known, 20)).await?;
    let told = site.agent.json("/api/v1/status").await?.to_string();
    assert!(told.contains("GRANT EXECUTE ON FUNCTION pg_logical_emit_message"), "{told}");
    site.postgres.primary.sql(&change("GRANT", "TO")).await?;
    // What failed is tried again after a minute.
    row.is_well_again("postgres", None, 80).await?;
    row.pages_nobody("replication is proven without a pulse, too: the page warns").await?;
    row.finish().await
}
