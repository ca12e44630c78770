//! Each query of each dashboard has an answer in a real Prometheus that scrapes a real agent.

use std::time::Duration;

use standbywatch_lab::{Load, Monitoring, MonitoringOptions, Need, Result, wait_until};

use crate::dashboard::{Panel, expressions_in, needs_agents};
use crate::site::{SOON, Site, wait_for_level};

/// What is asked apart comes round once a minute.
const SLOW_ROUND: Duration = Duration::from_secs(120);

#[tokio::test]
async fn each_query_of_each_dashboard_has_data() -> Result<()> {
    let Some(site) = Site::whole(&[Need::Monitoring]).await? else { return Ok(()) };
    // The agent pushes, so that pushes have a rate; Prometheus only scrapes here.
    let options = |targets| MonitoringOptions { targets, ..MonitoringOptions::default() };
    let monitoring = Monitoring::start(&site.lab, &options(Vec::new())).await?;
    let pushed = format!("alerting:\n  alertmanagers: [{}]\n", monitoring.alertmanager.url());
    // A trend is known once a quarter of its window is filled, which takes over a minute by default.
    let agent = site.agent(site.config("    postgres: { trend_window: 20s, pulse: 5s }\n") + &pushed).await?;
    monitoring.prometheus.reload(&options(vec![agent.address()?])).await?;
    let _load = site.postgres.writer(Load::Light).await?;
    let _application = site.stores.as_ref().expect("planned").writer(20)?;
    wait_for_level(&agent, "ok").await?;
    site.postgres.standby.pause_replay().await?;
    let lags = "standby_replication_lag_bytes{pair=\"catalog\"} > 0";
    monitoring.prometheus.wait_for(lags, SOON).await?;
    site.postgres.standby.resume_replay().await?;

    let files = ["pair.json", "postgres.json", "fleet.json"];
    let mut missing = files.map(|file| expressions_in(file, "catalog")).concat();
    // What only an agent on each node tells has data in `tests/agents`.
    missing.retain(|panel| !needs_agents(panel));
    assert!(missing.len() > 80, "only {} queries were found", missing.len());
    let all = wait_until("each query has data", SLOW_ROUND, async || {
        for panel in missing.clone() {
            if !monitoring.prometheus.query(&panel.expression).await?.is_empty() {
                missing.retain(|other| other.expression != panel.expression);
            }
        }
        Ok(missing.is_empty().then_some(()))
    })
    .await;
    let empty: Vec<_> =
        missing.iter().map(|Panel { title, expression, .. }| format!("{title}: {expression}")).collect();
    assert!(all.is_ok(), "no data for\n{}", empty.join("\n"));
    Ok(())
}
