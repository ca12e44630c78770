//! Row B5: agents are restarted, one after the other, as an update does it.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};

use crate::row::Row;
use crate::site::{Plan, Site, Told, tells};

#[tokio::test]
async fn b5_a_rolling_restart_of_both_agents_pages_nobody() -> Result<()> {
    let Some(site) = Site::start(&Plan { silent: true, ..Plan::default() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "B5", "an agent on each node, restarted one after the other").await?;
    for (agent, other) in [(&site.agents.alpha, &site.agents.beta), (&site.agents.beta, &site.agents.alpha)] {
        agent.stop().await?;
        row.fault();
        // The primary's agent knows the lag by its walsender; the standby's alone knows only that it receives.
        let knows = other.server.name() == site.agents.alpha.server.name();
        row.tells(other, &Told::warned("postgres", &["peer_unreachable"], knows), Duration::from_secs(12)).await?;
        agent.start_again().await?;
        site.agents.connect().await?;
        row.is_well_again(Duration::from_secs(60)).await?;
    }
    row.finish().await
}

#[tokio::test]
async fn a_reload_keeps_both_agents_in_touch() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    let text = std::fs::read_to_string(site.agents.alpha.dir().join("standbywatch.yml"))?;
    site.agents.alpha.write_config(&text.replace("rules:\n", "rules:\n  StandbyPostgresLagHigh: { for: 1m }\n"))?;
    site.agents.alpha.hang_up()?;
    let loaded = wait_until("it is reloaded", Duration::from_secs(30), async || {
        Ok(site.agents.alpha.server.log().contains("configuration reloaded").then_some(()))
    });
    loaded.await?;
    site.well().await?;
    tells(&site.agents.beta, &Told::ok("postgres"), Duration::from_secs(12)).await?;
    site.nobody_was_paged();
    Ok(())
}
