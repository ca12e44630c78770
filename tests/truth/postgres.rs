//! Rows P: PostgreSQL's faults.

use std::time::Duration;

use standbywatch_lab::{Load, Mode, PgPair, Result, Writer, wait_until};

use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Paging, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";
const POSTGRES: &[&str] = &["postgres"];

/// The way of a fault after which replication is unknown and somebody is paged, and back.
async fn is_told_and_paged(row: &mut Row<'_>, tells: Tells<'_>) -> Result<()> {
    row.tells(tells).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await
}

async fn standby_stops(paging: Paging, kill: bool, fault: &'static str) -> Result<()> {
    let Some(site) = Site::start(Plan { paging, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P1", fault, POSTGRES).await?;
    if kill {
        site.postgres.standby.kill().await?;
    } else {
        site.postgres.standby.stop().await?;
    }
    row.fault();
    // Beside other rows a machine of two cores may be late; the bound of 2 s is kept by the rows that run alone.
    let within = if paging == Paging::Agent { 5 } else { 2 };
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["not_connected"], within)).await?;
    gap_grows(&site).await?;
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 30).await?;
    row.finish().await
}

/// What a failover would lose is told while replication is not running, and grows as the primary writes.
async fn gap_grows(site: &Site) -> Result<()> {
    let gap = async || Ok(site.agent.metrics().await?.value("standby_postgres_gap_bytes", &[("standby", "beta")])?);
    let before = wait_until("the gap is told", Duration::from_secs(5), gap).await?;
    let writer = site.postgres.writer(Load::Heavy).await?;
    let grown = async || Ok(gap().await?.filter(|now| *now > before + 1_000_000.0));
    wait_until("the gap grows", Duration::from_secs(20), grown).await?;
    writer.stop().await;
    Ok(())
}

#[tokio::test]
async fn alone_p1_standby_stopped() -> Result<()> {
    standby_stops(Paging::Prometheus, false, "standby stopped cleanly").await
}

#[tokio::test]
async fn alone_p1_standby_killed() -> Result<()> {
    standby_stops(Paging::Prometheus, true, "standby killed").await
}

#[tokio::test]
async fn p1_standby_killed_pushed() -> Result<()> {
    standby_stops(Paging::Agent, true, "standby killed (pushed by the agent)").await
}

#[tokio::test]
async fn p1_replication_link_in_a_black_hole() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P1", "replication link in a black hole", POSTGRES).await?;
    let _writer = under(Load::Light, &site).await?;
    site.postgres.repl.set(Mode::BlackHole);
    row.fault();
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["not_answering", "stalled"], 20)).await?;
    // The primary gives its walsender up after wal_sender_timeout, 60 s.
    row.tells(Tells::unknown("postgres", &["not_connected"], 90)).await?;
    site.postgres.repair();
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn alone_p1_standbys_host_gone() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P1", "standby's host gone", POSTGRES).await?;
    let _writer = under(Load::Light, &site).await?;
    site.postgres.cut_off_standby();
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["timeout"], Number::Known, 5)).await?;
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["not_answering", "stalled"], 20)).await?;
    site.postgres.repair();
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

/// A load that has been running for a while: replies are as fresh as they can be when the fault comes, which is the worst case.
async fn under(load: Load, site: &Site) -> Result<Writer> {
    let writer = site.postgres.writer(load).await?;
    if load != Load::Idle {
        let running = async || Ok((writer.done() >= 10).then_some(()));
        wait_until("the load runs", Duration::from_secs(20), running).await?;
    }
    Ok(writer)
}

async fn receiver_frozen(load: Load, fault: &'static str) -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P2", fault, POSTGRES).await?;
    let writer = under(load, &site).await?;
    site.postgres.standby.freeze_receiver()?;
    row.fault();
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["not_answering", "stalled"], 20)).await?;
    writer.stop().await;
    site.postgres.standby.thaw_receiver()?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p2_receiver_frozen_under_load() -> Result<()> {
    receiver_frozen(Load::Tps(100), "receiver frozen under load").await
}

#[tokio::test]
async fn p2_receiver_frozen_on_an_idle_pair() -> Result<()> {
    receiver_frozen(Load::Idle, "receiver frozen on an idle pair").await
}

#[tokio::test]
async fn alone_p2_all_of_the_primary_frozen() -> Result<()> {
    let Some(site) = Site::start(Plan { rules: "StandbyPostgresNoPrimary: { for: 2s }", ..Plan::postgres() }).await?
    else {
        return Ok(());
    };
    let mut row = Row::of(&site, "P2", "all of the primary frozen", POSTGRES).await?;
    site.postgres.primary.freeze()?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["timeout"], Number::Unknown, 5)).await?;
    row.nobody_was_paged().await?;
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["timeout"], 40)).await?;
    row.pages("StandbyPostgresNoPrimary", HELD, Duration::from_secs(30), 20).await?;
    site.postgres.primary.thaw()?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p3_replay_paused_by_hand() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P3", "replay paused by hand", POSTGRES).await?;
    site.postgres.standby.pause_replay().await?;
    row.fault();
    row.tells(Tells::running("postgres", "critical", &["paused"], Number::Known, 5)).await?;
    row.pages("StandbyPostgresReplayPaused", Duration::ZERO, Duration::ZERO, 30).await?;
    let writer = site.postgres.writer(Load::Heavy).await?;
    let lag = async || {
        let metrics = site.agent.metrics().await?;
        let stage = metrics.value("standby_postgres_stage_lag_bytes", &[("stage", "replay")])?;
        let total = metrics.value("standby_replication_lag_bytes", &[])?;
        Ok(stage.zip(total).filter(|(stage, total)| *stage > 4_000_000.0 && *stage > total / 2.0))
    };
    wait_until("lag grows at the stage replay", Duration::from_secs(30), lag).await?;
    writer.stop().await;
    site.postgres.standby.resume_replay().await?;
    row.is_well_again("postgres", Some("StandbyPostgresReplayPaused"), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p12_standby_down_while_others_are_up() -> Result<()> {
    // No `replica:` is configured, so that only what the standby itself said can tell its walsender from others.
    let Some(site) = Site::start(Plan { replica: None, ..Plan::postgres() }).await? else { return Ok(()) };
    let other = site.postgres.add_standby("gamma", Some("gamma")).await?;
    let archiver = site.postgres.receivewal().await?;
    let mut row = Row::of(&site, "P12", "standby down, another replica and pg_receivewal up", POSTGRES).await?;
    site.postgres.standby.stop().await?;
    row.fault();
    is_told_and_paged(&mut row, Tells::unknown("postgres", &["not_connected", "ambiguous"], 5)).await?;
    assert!(other.is_running() && archiver.is_running(), "the others are up");
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

const PROVEN_BY_THE_OTHER: &str = "the other node proves it; StandbyAgentProbeFailing warns after 15 minutes";

#[tokio::test]
async fn p14_primary_cannot_be_asked_but_replication_runs() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P14", "primary cannot be asked, replication runs", POSTGRES).await?;
    site.postgres.probe_primary.set(Mode::BlackHole);
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["timeout"], Number::Unknown, 10)).await?;
    stays(&site, "warning", 60).await?;
    row.pages_nobody(PROVEN_BY_THE_OTHER).await?;
    site.postgres.repair();
    row.is_well_again("postgres", None, 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p14_standby_cannot_be_asked_but_replication_runs() -> Result<()> {
    let postgres = PgPair::builder().standby_setting("hot_standby", "off");
    let Some(site) = Site::start(Plan { postgres, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P14", "standby cannot be asked (hot_standby=off), replication runs", &[]).await?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["starting_up"], Number::Known, 30)).await?;
    stays(&site, "warning", 40).await?;
    row.pages_nobody(PROVEN_BY_THE_OTHER).await?;
    row.finish().await
}

/// For so many seconds, each look finds the channel at this level.
pub async fn stays(site: &Site, level: &str, seconds: u64) -> Result<()> {
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut looks = tokio::time::interval(Duration::from_millis(500));
    while tokio::time::Instant::now() < end {
        looks.tick().await;
        let page = site.agent.json("/monitor/replication").await?;
        assert_eq!(page["status"], level, "it must stay {level}: {page}");
    }
    Ok(())
}
