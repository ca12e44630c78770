//! Row B4: the clocks of the nodes differ by ten minutes.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};

use crate::row::Row;
use crate::site::{Plan, Site, passes};

#[tokio::test]
async fn b4_clocks_ten_minutes_apart_change_nothing_and_are_measured() -> Result<()> {
    let wrapper = ["faketime", "-f", "+10m"].map(str::to_owned).to_vec();
    let Some(site) = Site::start(&Plan { wrapper: vec![("beta", wrapper)], silent: true, ..Plan::default() }).await?
    else {
        return Ok(());
    };
    let mut row = Row::of(&site, "B4", "an agent on each node, their clocks 10 minutes apart").await?;
    for (agent, peer) in [(&site.agents.alpha, "beta"), (&site.agents.beta, "alpha")] {
        let mut last = None;
        let measured = wait_until("the difference is measured", Duration::from_secs(12), async || {
            last = agent.metrics().await?.value("standby_agent_clock_skew_seconds", &[("peer", peer)])?;
            Ok(last.is_some_and(|skew| (595.0..=601.0).contains(&skew)).then_some(()))
        });
        measured.await.map_err(|error| error.context(format!("{last:?}")))?;
    }
    // Longer than the lab holds what could come of it.
    passes(Duration::from_secs(25)).await?;
    site.well().await?;
    row.holds("both agents measure the difference: 595 to 601 s");
    row.finish().await
}
