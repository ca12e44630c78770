//! A pair whose servers cannot be asked, watched through the page of whoever can. Here that page is another agent's.

use std::time::Duration;

use standbywatch_lab::{Result, wait_until};

use crate::row::{Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

/// Every face says whose word it is, also while it is good.
async fn is_marked(site: &Site) -> Result<()> {
    let page = site.agent.json("/monitor/replication").await?;
    assert_eq!(page["channels"]["postgres"]["source"], "status_page", "{page}");
    let document = site.agent.json("/api/v1/pairs/catalog").await?;
    assert_eq!(document["postgres"]["source"], "status_page", "{document}");
    let metrics = site.agent.metrics().await?;
    assert_eq!(metrics.value("standby_postgres_source_info", &[("source", "status_page")])?, Some(1.0));
    for series in ["standby_postgres_primary_up", "standby_postgres_split_brain", "standby_postgres_node_role"] {
        assert!(!metrics.has(series), "{series} is nothing that a page tells");
    }
    let people = site.agent.get("/").await?.text;
    assert!(people.contains("vendor&#39;s page") || people.contains("vendor's page"), "{people}");
    Ok(())
}

#[tokio::test]
async fn p15_vendors_page_says_unknown() -> Result<()> {
    let Some(site) = Site::start(Plan { through_page: true, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P15", "vendor's page, standby stopped", &["postgres"]).await?;
    is_marked(&site).await?;
    site.postgres.standby.stop().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["reported_unknown"], 10)).await?;
    is_marked(&site).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    site.postgres.standby.start().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 40).await?;
    row.finish().await
}

#[tokio::test]
async fn p15_vendors_page_is_gone() -> Result<()> {
    let Some(site) = Site::start(Plan { through_page: true, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P15", "vendor's page frozen", &["postgres"]).await?;
    let vendor = site.vendor.as_ref().expect("the site has one");
    vendor.server.freeze()?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["timeout"], 10)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    vendor.server.thaw()?;
    row.is_well_again("postgres", Some(UNKNOWN), 40).await?;
    vendor.server.kill().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["refused"], 10)).await?;
    let up = async || site.agent.metrics().await?.value("standby_probe_up", &[("node", "status_page")]);
    wait_until("the probe is told as down", Duration::from_secs(10), async || {
        Ok((up().await? == Some(0.0)).then_some(()))
    })
    .await?;
    row.finish().await
}
