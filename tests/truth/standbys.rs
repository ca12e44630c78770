//! Rows P16: more than one standby, beside each other or one behind the other.

use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};

use crate::kinds::is_shown_as;
use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, Third, USUAL};

const POSTGRES: &[&str] = &["postgres"];
const UNKNOWN: &str = "StandbyReplicationUnknown";

/// `standby_postgres_standby_up` of both standbys.
async fn ups(site: &Site) -> Result<[Option<f64>; 2]> {
    let metrics = site.agent.metrics().await?;
    let up = |standby| metrics.value("standby_postgres_standby_up", &[("standby", standby)]);
    Ok([up("beta")?, up("gamma")?])
}

#[tokio::test]
async fn p16_two_standbys_the_synchronous_one_killed() -> Result<()> {
    let postgres = PgPair::builder().primary_setting("synchronous_standby_names", "beta");
    let plan = Plan { postgres, third: Some(Third::OfPrimary), ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row =
        Row::of(&site, "P16", "two standbys, the synchronous one killed while the other runs", POSTGRES).await?;
    for standby in site.third.iter().chain([&site.postgres.standby]) {
        is_shown_as(&site, standby.name(), "streaming").await?;
    }
    assert_eq!(ups(&site).await?, [Some(1.0); 2]);
    let page = site.agent.json("/api/v1/status").await?;
    let synchronous = |n: usize| page["pairs"][0]["postgres"]["standbys"][n]["synchronous"].clone();
    assert_eq!([synchronous(0), synchronous(1)], [true, false], "{page}");
    let writer = site.postgres.writer(Load::Light).await?;
    wait_until("commits go through", Duration::from_secs(10), async || Ok((writer.done() > 10).then_some(()))).await?;
    site.postgres.standby.kill().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    assert_eq!(ups(&site).await?, [Some(0.0), Some(1.0)], "each standby by its own proof");
    let page = site.agent.json("/api/v1/status").await?;
    let detail = page["pairs"][0]["channels"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("beta: "), "the worst one is named: {page}");
    row.pages("StandbyPostgresCommitsBlocked", Duration::ZERO, Duration::ZERO, 20).await?;
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some("StandbyPostgresCommitsBlocked"), 60).await?;
    assert_eq!(ups(&site).await?, [Some(1.0); 2]);
    // The page for people names each.
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"))
        .args(["status", "--url", &site.agent.url("")?])
        .output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("streaming, synchronous") && said.contains("gamma"), "{said}");
    let page = site.agent.get("/").await?.text;
    assert!(page.contains("streaming, synchronous") && page.contains("gamma"), "{page}");
    row.finish().await
}

#[tokio::test]
async fn p16_standby_of_a_standby() -> Result<()> {
    let plan = Plan { third: Some(Third::OfStandby), ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P16", "a standby of the other standby; the other one's stream is cut", &[]).await?;
    row.tells(Tells::running("postgres", "warning", &["cascaded"], Number::Known, 60)).await?;
    is_shown_as(&site, "beta", "streaming").await?;
    is_shown_as(&site, "gamma", "cascaded").await?;
    let writer = site.postgres.writer(Load::Light).await?;
    stays(&site, "warning", 10).await?;
    site.postgres.repl.set(standbywatch_lab::Mode::Refuse);
    row.fault();
    row.tells(Tells::unknown("postgres", &["not_connected"], 5)).await?;
    // Who hangs on it hears from it, and gets nothing more.
    wait_until("gamma is not taken for running", Duration::from_secs(40), async || {
        Ok((ups(&site).await? == [Some(0.0), Some(0.0)]).then_some(()))
    })
    .await?;
    row.pages(UNKNOWN, HELD, USUAL, 60).await?;
    site.postgres.repl.set(standbywatch_lab::Mode::Pass);
    row.tells(Tells::running("postgres", "warning", &["cascaded"], Number::Known, 120)).await?;
    writer.stop().await;
    row.finish().await
}

#[tokio::test]
async fn p16_cascaded_behind_a_server_that_is_not_watched() -> Result<()> {
    let Some(site) = Site::start(Plan { replica: None, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P16", "the standby streams from a server that is not watched", POSTGRES).await?;
    let relay = site.postgres.add_standby("relay", Some("relay")).await?;
    let standby = &site.postgres.standby;
    standby.stop().await?;
    standby.follow(relay.port(), None)?;
    standby.start().await?;
    row.fault();
    // By its own proof: it must hear from somebody while the primary has no walsender for it.
    row.tells(Tells::running("postgres", "warning", &["cascaded"], Number::Known, 60)).await?;
    is_shown_as(&site, "beta", "cascaded").await?;
    let writer = site.postgres.writer(Load::Light).await?;
    stays(&site, "warning", 10).await?;
    // While the standby was led to the relay nothing was proven, for longer than the laboratory holds an alert.
    site.alertmanager().wait_until_gone(UNKNOWN, &[], Duration::from_secs(60)).await?;
    relay.freeze()?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["stalled", "not_answering"], 40)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 60).await?;
    relay.thaw()?;
    row.fault();
    row.tells(Tells::running("postgres", "warning", &["cascaded"], Number::Known, 60)).await?;
    writer.stop().await;
    row.finish().await
}
