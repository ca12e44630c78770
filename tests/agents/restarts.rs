//! Row B5: agents are restarted, one after the other, as an update does it.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};

use crate::site::{HELD, Plan, Site, Told, tells};

#[tokio::test]
async fn b5_a_rolling_restart_of_both_agents_pages_nobody() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    for (agent, other) in [(&site.agents.alpha, &site.agents.beta), (&site.agents.beta, &site.agents.alpha)] {
        agent.stop().await?;
        let alone = wait_until("the other one is alone", Duration::from_secs(12), async || {
            let page = other.json("/monitor/replication").await?;
            Ok((page["channels"]["postgres"]["reason"] == "peer_unreachable").then_some(()))
        });
        alone.await?;
        let metrics = other.metrics().await?;
        assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(1.0), "it still proves");
        agent.start_again().await?;
        site.agents.connect().await?;
        site.well().await?;
    }
    // What was pending while one was away would have come by now.
    let watchdog = || site.monitoring.alertmanager.wait_for_alert("StandbyWatchdog", &[], HELD);
    watchdog().await?;
    site.nobody_was_paged();
    Ok(())
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
