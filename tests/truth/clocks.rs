//! Row B4: the clocks of the nodes are minutes apart, before or behind each other, and nothing that is told goes by them.

use std::time::Duration;

use standbywatch_lab::{Lab, Load, Need, PgServer, Result, wait_until};
use tokio::time::Instant;

use crate::benign::{RESTART_OF_THE_AGENT, is_asked_again};
use crate::row::Row;
use crate::site::{Plan, Site};

const TEN_MINUTES: f64 = 600.0;

/// Wall time of a server, in seconds since the epoch.
async fn clock(server: &PgServer) -> Result<f64> {
    let seconds = server.value("SELECT extract(epoch FROM clock_timestamp())::text").await?;
    Ok(seconds.unwrap_or_default().parse()?)
}

/// For so many seconds it runs without a warning, its lag in seconds never being the clocks'.
async fn lag_is_small(site: &Site, seconds: u64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    wait_until("the time has gone by", Duration::from_secs(seconds + 20), async || {
        let page = site.agent.json("/monitor/replication").await?;
        assert_eq!(page["status"], "ok", "{page}");
        let lag = site.agent.metrics().await?.value("standby_replication_lag_seconds", &[])?;
        assert!(lag.is_none_or(|lag| lag < TEN_MINUTES / 10.0), "{lag:?}");
        Ok((Instant::now() >= end && lag.is_some()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn b4_clocks_ten_minutes_apart() -> Result<()> {
    if Lab::open(&[Need::Faketime])?.is_none() {
        return Ok(());
    }
    let Some(site) = Site::start(Plan::silent()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "B4", "clocks of the nodes 10 minutes apart, both ways", &["postgres"])
        .await?
        .passing(RESTART_OF_THE_AGENT);
    let pair = &site.postgres;
    let writer = pair.writer(Load::Tps(50)).await?;
    for (offset, apart) in [("+600s", TEN_MINUTES), ("-600s", -TEN_MINUTES)] {
        pair.standby.shift_clock(offset)?;
        pair.standby.restart().await?;
        let seen = clock(&pair.standby).await? - clock(&pair.primary).await?;
        assert!((seen - apart).abs() < 30.0, "the clocks are {seen} s apart");
        is_asked_again(&site).await?;
        row.is_well_again("postgres", None, 30).await?;
        lag_is_small(&site, 20).await?;
        // An agent that knows nothing yet takes the servers' own words for it.
        site.agent.stop().await?;
        site.start_agent_again().await?;
        for channel in ["postgres", "config", "kvstore"] {
            row.is_well_again(channel, None, 30).await?;
        }
        lag_is_small(&site, 10).await?;
    }
    writer.stop().await;
    row.finish().await
}
