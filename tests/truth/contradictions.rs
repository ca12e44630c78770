//! Rows P6 to P8 and P13: what the servers say contradicts what the pair is meant to be, or has changed it.

use std::net::SocketAddr;
use std::time::Duration;

use standbywatch_lab::{Load, PgPair, Result, wait_until};

use crate::row::{Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

const POSTGRES: &[&str] = &["postgres"];

/// The contradictions, as series and as alerts.
const ALL: [(&str, &str); 4] = [
    ("standby_postgres_split_brain", "StandbyPostgresSplitBrain"),
    ("standby_postgres_timeline_diverged", "StandbyPostgresTimelineDiverged"),
    ("standby_postgres_wrong_cluster", "StandbyPostgresWrongCluster"),
    ("standby_postgres_same_server", "StandbyPostgresSameServer"),
];

/// Unknown with this reason, paged by its own alert, and none of the other contradictions is told.
async fn is_told(site: &Site, row: &mut Row<'_>, reason: &'static str, series: &str) -> Result<()> {
    row.tells(Tells::unknown("postgres", &[reason], 10)).await?;
    let metrics = site.agent.metrics().await?;
    for (other, _) in ALL {
        assert_eq!(metrics.value(other, &[])?, Some(f64::from(u8::from(other == series))), "{other} at {reason}");
    }
    let alert = ALL.iter().find(|(told, _)| *told == series).expect("one of the contradictions").1;
    row.pages(alert, Duration::ZERO, Duration::ZERO, 30).await?;
    let alerts = site.alertmanager().alerts().await?;
    let named = |name: &str| alerts.iter().any(|told| told.labels.get("alertname").is_some_and(|own| own == name));
    let loud: Vec<_> = ALL.iter().filter(|(_, name)| named(name)).collect();
    assert_eq!(loud, [&(series, alert)]);
    Ok(())
}

/// The detail that a person reads.
async fn detail(site: &Site) -> Result<String> {
    let page = site.agent.json("/api/v1/status").await?;
    let channels = page["pairs"][0]["channels"].as_array().cloned().unwrap_or_default();
    let postgres = channels.iter().find(|channel| channel["channel"] == "postgres");
    Ok(postgres.and_then(|channel| channel["detail"].as_str()).unwrap_or_default().to_owned())
}

/// `pg_rewind` wants full pages in the WAL, which the lab otherwise does without.
fn rewindable() -> Plan {
    Plan { postgres: PgPair::builder().setting("full_page_writes", "on"), ..Plan::postgres() }
}

#[tokio::test]
async fn p6_standby_promoted_while_the_primary_lives() -> Result<()> {
    let Some(site) = Site::start(rewindable()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P6", "standby promoted while the primary lives", POSTGRES).await?;
    site.postgres.standby.promote().await?;
    row.fault();
    is_told(&site, &mut row, "two_primaries", "standby_postgres_split_brain").await?;
    let detail = detail(&site).await?;
    assert!(detail.contains("alpha (timeline 1)") && detail.contains("beta (timeline 2)"), "{detail}");
    // The old primary is fenced and rejoined behind the promoted one: no configuration is changed.
    site.postgres.primary.stop().await?;
    site.postgres.rejoin_old_primary().await?;
    row.is_well_again("postgres", Some("StandbyPostgresSplitBrain"), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p7_failover_and_the_old_primary_rejoins() -> Result<()> {
    let Some(site) = Site::start(rewindable()).await? else { return Ok(()) };
    let mut row =
        Row::of(&site, "P7", "failover: primary killed, standby promoted, old primary rejoined", POSTGRES).await?;
    site.postgres.wait_caught_up(Duration::from_secs(10)).await?;
    site.postgres.primary.kill().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["refused"], 60)).await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    site.postgres.standby.promote().await?;
    site.postgres.rejoin_old_primary().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    let swapped = async || {
        let metrics = site.agent.metrics().await?;
        let role = |node, role| metrics.value("standby_postgres_node_role", &[("node", node), ("role", role)]);
        Ok((role("alpha", "standby")? == Some(1.0) && role("beta", "primary")? == Some(1.0)).then_some(()))
    };
    wait_until("the roles are swapped", Duration::from_secs(5), swapped).await?;
    row.finish().await
}

/// A second standby was promoted by mistake, and the pair's own standby has been led to it: both take writes, each for itself, and the
/// pair's primary and standby are of two histories.
#[tokio::test]
async fn p6_standby_follows_the_wrong_server() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let pair = &site.postgres;
    let gamma = pair.add_standby("gamma", None).await?;
    let mut row =
        Row::of(&site, "P6", "standby follows a server on another timeline, the primary goes on", POSTGRES).await?;
    gamma.promote().await?;
    let away = format!(
        "host=127.0.0.1 port={} user=replicator password=''{}'' application_name=beta",
        gamma.port(),
        pair.password()
    );
    pair.standby.set("primary_slot_name", "")?;
    pair.standby.set("primary_conninfo", &away)?;
    row.fault();
    let writer = pair.writer(Load::Light).await?;
    let streams = async || Ok((!gamma.sender_pids("beta").await?.is_empty()).then_some(()));
    wait_until("the standby streams from the wrong server", Duration::from_secs(20), streams).await?;
    row.fault();
    is_told(&site, &mut row, "timeline_diverged", "standby_postgres_timeline_diverged").await?;
    let told = detail(&site).await?;
    assert!(told.contains("beta is on timeline 2, its primary alpha on 1"), "{told}");
    // Positions of two histories are not compared: there is no gap that anybody could believe.
    assert!(!site.agent.metrics().await?.has("standby_postgres_gap_bytes"));
    writer.stop().await;
    pair.standby.stop().await?;
    pair.rebuild_standby("beta").await?;
    row.is_well_again("postgres", Some("StandbyPostgresTimelineDiverged"), 60).await?;
    row.finish().await
}

/// From now on the address of the node leads to another server.
async fn address_leads_to(site: &Site, row: &mut Row<'_>, target: SocketAddr) -> Result<()> {
    site.postgres.probe.lead_to(target).await?;
    row.fault();
    Ok(())
}

#[tokio::test]
async fn p8_standby_from_another_cluster() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let foreign = PgPair::builder().version(crate::MAJOR).fresh_cluster().named("foreign-").slot(None);
    let foreign = foreign.start(&site.lab).await?;
    let mut row = Row::of(&site, "P8", "standby is one of another cluster", POSTGRES).await?;
    address_leads_to(&site, &mut row, foreign.standby.address()).await?;
    is_told(&site, &mut row, "wrong_cluster", "standby_postgres_wrong_cluster").await?;
    site.postgres.probe.lead_to(site.postgres.standby.address()).await?;
    row.is_well_again("postgres", Some("StandbyPostgresWrongCluster"), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p13_both_addresses_lead_to_one_server() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P13", "both nodes' addresses lead to the same server", POSTGRES).await?;
    address_leads_to(&site, &mut row, site.postgres.primary.address()).await?;
    is_told(&site, &mut row, "same_server", "standby_postgres_same_server").await?;
    site.postgres.probe.lead_to(site.postgres.standby.address()).await?;
    row.is_well_again("postgres", Some("StandbyPostgresSameServer"), 60).await?;
    row.finish().await
}
