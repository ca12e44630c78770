//! The links between two agents, cut in every way while replication runs.

use std::time::Duration;

use standbywatch_lab::{Mode, Result};

use crate::site::{Plan, Site, Told, tells};

const SOON: Duration = Duration::from_secs(12);

#[tokio::test]
async fn both_agents_tell_the_same_and_each_shows_its_own_node_only() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    for (agent, own, other) in [(&site.agents.alpha, "alpha", "beta"), (&site.agents.beta, "beta", "alpha")] {
        let metrics = agent.metrics().await?;
        assert_eq!(metrics.value("standby_probe_up", &[("node", own)])?, Some(1.0));
        assert_eq!(metrics.value("standby_probe_up", &[("node", other)])?, None, "{other} is told by its own agent");
        assert_eq!(metrics.value("standby_postgres_standby_up", &[("standby", "beta")])?, Some(1.0));
    }
    Ok(())
}

#[tokio::test]
async fn the_link_cut_leaves_each_agent_its_own_half_of_the_proof() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    for mode in [Mode::Refuse, Mode::BlackHole] {
        for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
            cable.set(mode);
        }
        // The walsender's positions are the primary's own; a standby alone knows only that it receives.
        tells(&site.agents.alpha, &Told::warned("peer_unreachable", true), SOON).await?;
        tells(&site.agents.beta, &Told::warned("peer_unreachable", false), SOON).await?;
        for cable in [&site.agents.to_alpha, &site.agents.to_beta] {
            cable.set(Mode::Pass);
        }
        site.well().await?;
    }
    Ok(())
}
