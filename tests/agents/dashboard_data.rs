//! What only an agent on each node tells has an answer in a real Prometheus that scrapes both, and two agents are told as one pair.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};

use crate::dashboard::{Panel, expressions_in, needs_agents};
use crate::site::{Plan, Site};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_query_about_agents_and_machines_has_data_and_two_agents_are_one_pair() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    let prometheus = &site.monitoring.prometheus;
    let mut missing = expressions_in("pair.json", "catalog");
    missing.retain(needs_agents);
    assert!(missing.len() >= 4, "only {} queries were found", missing.len());
    let all = wait_until("each query has data", WITHIN, async || {
        for panel in missing.clone() {
            if !prometheus.query(&panel.expression).await?.is_empty() {
                missing.retain(|other| other.expression != panel.expression);
            }
        }
        Ok(missing.is_empty().then_some(()))
    })
    .await;
    let empty: Vec<_> =
        missing.iter().map(|Panel { title, expression, .. }| format!("{title}: {expression}")).collect();
    assert!(all.is_ok(), "no data for\n{}", empty.join("\n"));
    // One field for the pair, one for its answer, nobody who is not proven: though two agents tell all of it.
    for (panel, wanted) in [("Pairs", 1), ("Promote now?", 1), ("Not proven now", 1), ("Lag", 1)] {
        let panels = expressions_in("fleet.json", "catalog");
        let shown = panels.iter().find(|shown| shown.title.ends_with(&format!(", {panel}"))).expect("a panel");
        let series = prometheus.query(&shown.expression).await?;
        assert_eq!(series.len(), wanted, "{panel}: {series:?}");
    }
    Ok(())
}
