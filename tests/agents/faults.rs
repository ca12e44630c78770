//! What is broken beside the agents: told apart from an agent that is gone.

use std::time::Duration;

use standbywatch_lab::{Load, Mode, Result};

use crate::row::Row;
use crate::site::{HELD, Plan, Site, Told, passes, tells};

const SOON: Duration = Duration::from_secs(12);
const UNKNOWN: &str = "StandbyReplicationUnknown";

#[tokio::test]
async fn a3_an_agent_that_is_gone_is_told_apart_from_a_node_that_is_gone() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "A3", "the standby's agent killed; later its server, too").await?;
    let alone = Told::warned("postgres", &["peer_unreachable"], true);
    site.agents.beta.server.kill().await?;
    row.fault();
    row.tells(&site.agents.alpha, &alone, SOON).await?;
    passes(HELD).await?;
    row.tells(&site.agents.alpha, &alone, HELD + SOON).await?;
    row.pages_nobody("the other agent proves it");
    // Now the node goes, too: the primary's agent alone sees it and pages.
    site.postgres.standby.kill().await?;
    row.fault();
    row.tells(&site.agents.alpha, &Told::unknown("postgres", &["not_connected"]), SOON).await?;
    row.pages(UNKNOWN, &[("channel", "postgres")], HELD + SOON).await?;
    site.postgres.standby.start().await?;
    site.agents.beta.start_again().await?;
    site.agents.connect().await?;
    row.is_well_again(Duration::from_secs(60)).await?;
    row.finish().await
}

#[tokio::test]
async fn p1_a_standby_that_dies_is_told_by_both_agents_and_pages_once() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P1", "standby killed, an agent on each node").await?;
    site.postgres.standby.kill().await?;
    row.fault();
    row.both_tell(&Told::unknown("postgres", &["not_connected"]), SOON).await?;
    row.pages(UNKNOWN, &[("channel", "postgres")], HELD + SOON).await?;
    let same = site.monitoring.alertmanager.alerts_named(UNKNOWN, &[]).await?;
    assert_eq!(same.len(), 1, "both agents' series fold into one alert: {same:?}");
    site.postgres.standby.start().await?;
    row.is_well_again(Duration::from_secs(60)).await?;
    row.finish().await
}

#[tokio::test]
async fn a3_a_wrong_database_password_of_one_agent_pages_nobody_while_the_other_proves() -> Result<()> {
    for (blind, fault) in [
        ("beta", "the standby's agent has a wrong database password"),
        ("alpha", "the primary's agent has a wrong database password"),
    ] {
        let plan = Plan { wrong_password: Some(blind), ..Plan::default() };
        let Some(site) = Site::start(&plan).await? else { return Ok(()) };
        let mut row = Row::unwell(&site, "A3", fault);
        // A standby alone knows that it receives, and not how far the primary is.
        let told = Told::warned("postgres", &["authentication"], blind == "beta");
        row.both_tell(&told, Duration::from_secs(60)).await?;
        passes(HELD + HELD).await?;
        for agent in site.agents.both() {
            tells(agent, &told, SOON).await?;
        }
        row.pages_nobody("the other agent proves it");
        row.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a2_an_agent_that_was_stopped_for_a_minute_shows_nothing_old_and_tells_nothing_old() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    let fault = "the standby's agent stopped for a minute, replication in a black hole meanwhile";
    let mut row = Row::of(&site, "A2", fault).await?;
    let silent: &[&str] = &["not_answering", "not_connected"];
    site.agents.beta.server.freeze()?;
    site.postgres.repl.set(Mode::BlackHole);
    row.fault();
    row.tells(&site.agents.alpha, &Told::unknown("postgres", silent), Duration::from_secs(40)).await?;
    row.pages(UNKNOWN, &[("channel", "postgres")], HELD + SOON).await?;
    passes(Duration::from_secs(60)).await?;
    site.agents.beta.server.thaw()?;
    row.fault();
    // The very first answers: of a minute ago it was running.
    for look in 0..20 {
        for agent in site.agents.both() {
            let page = agent.json("/monitor/replication").await?;
            assert_eq!(page["postgres_lag_bytes"], "unknown", "look {look}: {page}");
            let metrics = agent.metrics().await?;
            assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(0.0), "look {look}");
        }
    }
    row.holds("the resumed agent shows nothing old, from its first answer on");
    row.both_tell(&Told::unknown("postgres", silent), SOON).await?;
    site.postgres.repair();
    // The two servers connect again by their own timeouts.
    row.is_well_again(Duration::from_secs(90)).await?;
    row.finish().await
}

#[tokio::test]
async fn a2_an_agent_that_was_stopped_for_a_minute_while_all_is_well_pages_nobody() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    // Some load: an idle standby replies every 10 s only, and until then neither agent believes that all of it runs again.
    let writer = site.postgres.writer(Load::Tps(5)).await?;
    let mut row = Row::of(&site, "A2", "the primary's agent stopped for a minute, replication runs").await?;
    // Of an agent that was never scraped nobody knows which pairs it watches.
    site.monitoring.prometheus.wait_for("count(standby_pair_level) == 2", SOON).await?;
    site.agents.alpha.server.freeze()?;
    row.fault();
    // Its port still takes connections, and nothing answers.
    row.tells(&site.agents.beta, &Told::warned("postgres", &["peer_unreachable"], false), SOON).await?;
    passes(Duration::from_secs(60)).await?;
    site.agents.alpha.server.thaw()?;
    // The minute counts as one in which nobody looked: unknown until it has looked, then well, without a restart.
    row.is_well_again(SOON).await?;
    row.pages_nobody("the other agent proves it");
    writer.stop().await;
    row.finish().await
}
