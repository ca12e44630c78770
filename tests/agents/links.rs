//! The links between two agents, cut in every way while replication runs.

use std::time::Duration;

use standbywatch_lab::{Mode, Result, Way};

use crate::row::Row;
use crate::site::{HELD, Plan, Site, Told, passes};

const SOON: Duration = Duration::from_secs(12);
const ALONE: &[&str] = &["peer_unreachable"];

#[tokio::test]
async fn both_agents_tell_the_same_and_each_shows_its_own_node_only() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    for (agent, own, other) in [(&site.agents.alpha, "alpha", "beta"), (&site.agents.beta, "beta", "alpha")] {
        let metrics = agent.metrics().await?;
        assert_eq!(metrics.value("standby_probe_up", &[("node", own)])?, Some(1.0));
        assert_eq!(metrics.value("standby_probe_up", &[("node", other)])?, None, "{other} is told by its own agent");
        assert_eq!(metrics.value("standby_postgres_standby_up", &[("standby", "beta")])?, Some(1.0));
        assert_eq!(metrics.value("standby_agent_peer_up", &[("peer", other)])?, Some(1.0));
        assert!(metrics.value("standby_machine_memory_bytes", &[("node", own)])?.is_some_and(|bytes| bytes > 1e6));
        let page = agent.json("/api/v1/status").await?;
        assert_eq!(page["pairs"][0]["peers"][0]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(page["pairs"][0]["machines"][0]["differs"], serde_json::json!([]), "one machine is like itself");
    }
    Ok(())
}

#[tokio::test]
async fn a3_the_link_cut_leaves_each_agent_its_own_half_of_the_proof_and_nobody_is_paged() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    for (mode, fault) in [
        (Mode::Refuse, "the way between the agents refused, replication runs"),
        (Mode::BlackHole, "the way between the agents in a black hole, replication runs"),
    ] {
        let mut row = Row::of(&site, "A3", fault).await?;
        for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
            cable.set(mode);
        }
        row.fault();
        // The walsender's positions are the primary's own; a standby alone knows only that it receives.
        row.tells(&site.agents.alpha, &Told::warned("postgres", ALONE, true), SOON).await?;
        row.tells(&site.agents.beta, &Told::warned("postgres", ALONE, false), SOON).await?;
        let unreachable = "StandbyAgentPeerUnreachable";
        row.pages(unreachable, &[("pair", "catalog")], HELD + SOON).await?;
        for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
            cable.set(Mode::Pass);
        }
        row.is_well_again(Duration::from_secs(60)).await?;
        site.monitoring.alertmanager.wait_until_gone(unreachable, &[], SOON).await?;
        row.pages_nobody("each agent has its half of the proof; StandbyAgentPeerUnreachable is a warning");
        row.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a3_a_link_that_carries_one_way_blinds_one_agent_only() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    let fault = "the way between the agents carries one way, replication runs";
    let mut row = Row::of(&site, "A3", fault).await?;
    // Alpha's questions arrive, their answers do not.
    site.agents.to_beta.set(Mode::OneWay(Way::ToServer));
    row.fault();
    row.tells(&site.agents.alpha, &Told::warned("postgres", ALONE, true), SOON).await?;
    row.tells(&site.agents.beta, &Told::ok("postgres"), SOON).await?;
    let metrics = site.agents.beta.metrics().await?;
    assert_eq!(metrics.value("standby_agent_peer_up", &[("peer", "alpha")])?, Some(1.0));
    passes(HELD).await?;
    site.agents.to_beta.set(Mode::Pass);
    row.is_well_again(Duration::from_secs(60)).await?;
    row.pages_nobody("each agent has its half of the proof");
    row.finish().await
}
