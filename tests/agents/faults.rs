//! What is broken beside the agents: told apart from an agent that is gone.

use std::time::Duration;

use standbywatch_lab::{Mode, Result, wait_until};

use crate::site::{HELD, Plan, Site, Told, passes, tells};

const SOON: Duration = Duration::from_secs(12);
const UNKNOWN: &str = "StandbyReplicationUnknown";

#[tokio::test]
async fn a3_an_agent_that_is_gone_is_told_apart_from_a_node_that_is_gone() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    site.agents.beta.server.kill().await?;
    tells(&site.agents.alpha, &Told::warned("postgres", &["peer_unreachable"], true), SOON).await?;
    passes(HELD).await?;
    tells(&site.agents.alpha, &Told::warned("postgres", &["peer_unreachable"], true), SOON).await?;
    site.nobody_was_paged();
    // Now the node goes, too: the primary's agent alone sees it and pages.
    site.postgres.standby.kill().await?;
    tells(&site.agents.alpha, &Told::unknown("postgres", &["not_connected"]), SOON).await?;
    site.monitoring.alertmanager.wait_for_alert(UNKNOWN, &[("channel", "postgres")], HELD + SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_standby_that_dies_is_told_by_both_agents_and_pages_once() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    site.postgres.standby.kill().await?;
    for agent in site.agents.both() {
        tells(agent, &Told::unknown("postgres", &["not_connected"]), SOON).await?;
    }
    site.monitoring.alertmanager.wait_for_alert(UNKNOWN, &[("channel", "postgres")], HELD + SOON).await?;
    let same = site.monitoring.alertmanager.alerts_named(UNKNOWN, &[]).await?;
    assert_eq!(same.len(), 1, "both agents' series fold into one alert: {same:?}");
    site.postgres.standby.start().await?;
    site.well().await
}

#[tokio::test]
async fn a3_a_wrong_database_password_of_one_agent_pages_nobody_while_the_other_proves() -> Result<()> {
    let plan = Plan { wrong_password: Some("beta"), ..Plan::default() };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    for agent in site.agents.both() {
        tells(agent, &Told::warned("postgres", &["authentication"], true), Duration::from_secs(60)).await?;
    }
    passes(HELD + HELD).await?;
    for agent in site.agents.both() {
        tells(agent, &Told::warned("postgres", &["authentication"], true), SOON).await?;
    }
    site.nobody_was_paged();
    Ok(())
}

#[tokio::test]
async fn a2_an_agent_that_was_stopped_for_a_minute_shows_nothing_old_and_tells_nothing_old() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    site.agents.beta.server.freeze()?;
    site.postgres.repl.set(Mode::BlackHole);
    tells(&site.agents.alpha, &Told::unknown("postgres", &["not_answering", "not_connected"]), Duration::from_secs(40))
        .await?;
    passes(Duration::from_secs(45)).await?;
    site.agents.beta.server.thaw()?;
    // The very first answers: of a minute ago it was running.
    for look in 0..20 {
        for agent in site.agents.both() {
            let page = agent.json("/monitor/replication").await?;
            assert_eq!(page["postgres_lag_bytes"], "unknown", "look {look}: {page}");
            let metrics = agent.metrics().await?;
            assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(0.0), "look {look}");
        }
    }
    for agent in site.agents.both() {
        tells(agent, &Told::unknown("postgres", &["not_answering", "not_connected"]), SOON).await?;
    }
    site.postgres.repair();
    // The two servers connect again by their own timeouts.
    wait_until("both are well", Duration::from_secs(90), async || Ok(site.well().await.is_ok().then_some(()))).await
}
