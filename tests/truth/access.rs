//! Rows P2b and P9: the agent is no longer let in, or no longer shown what it needs.

use std::time::Duration;

use standbywatch_lab::{Context, Result, wait_until};

use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";
const NOT_ACCEPTING: &str = "StandbyPostgresNotAccepting";
/// New sessions are tried this often in these rows; the product's default is 10 minutes.
const OFTEN: &str = "{ reconnect_every: 10s }";

/// Whether this stands anywhere on the status page: the cure is for people.
async fn says(site: &Site, cure: &str) -> Result<()> {
    let page = site.agent.json("/api/v1/status").await?.to_string();
    assert!(page.contains(cure), "no {cure:?} in {page}");
    Ok(())
}

#[tokio::test]
async fn p9_role_loses_pg_monitor() -> Result<()> {
    let Some(site) = Site::start(Plan::postgres()).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P9", "role loses pg_monitor", &["postgres"]).await?;
    site.postgres.primary.revoke_monitor().await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["permission"], 10)).await?;
    says(&site, "GRANT pg_monitor TO").await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    site.postgres.primary.grant_monitor().await?;
    row.is_well_again("postgres", Some(UNKNOWN), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn p9_password_changed() -> Result<()> {
    let limits = "{ reconnect_every: 10s }";
    let Some(site) = Site::start(Plan { limits, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P9", "password changed, reconnect_every 10 s", &["postgres"]).await?;
    site.postgres.primary.change_password("another").await?;
    row.fault();
    row.tells(Tells::unknown("postgres", &["authentication"], 20)).await?;
    says(&site, "check the password").await?;
    row.pages(UNKNOWN, HELD, USUAL, 30).await?;
    // Whoever was refused knocks slowly, so that no account is locked: after 30 s to 38 s, then after twice that.
    site.postgres.primary.change_password(site.postgres.password()).await?;
    row.is_well_again("postgres", Some(UNKNOWN), 90).await?;
    row.finish().await
}

/// Replication is told as it is, the node that lets nobody in beside it; whose alert it is, and that it is the only one.
async fn lets_nobody_in(row: &mut Row<'_>, site: &Site, words: &[&str]) -> Result<()> {
    // At the next new session, which is tried once more at once, each of which may itself take 3 s to fail; and the tick after it.
    row.tells(Tells::running("postgres", "critical", &["not_accepting"], Number::Known, 20)).await?;
    for word in words {
        says(site, word).await?;
    }
    row.pages(NOT_ACCEPTING, Duration::ZERO, Duration::ZERO, 30).await?;
    let alerts = site.alertmanager().alerts().await?;
    let named = |name: &str| alerts.iter().any(|alert| alert.labels.get("alertname").is_some_and(|is| is == name));
    assert!(named(NOT_ACCEPTING) && !named(UNKNOWN), "{alerts:?}");
    Ok(())
}

#[tokio::test]
async fn p2b_standbys_postmaster_frozen() -> Result<()> {
    let Some(site) = Site::start(Plan { limits: OFTEN, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P2b", "standby's postmaster frozen, reconnect_every 10 s", &["postgres"]).await?;
    site.postgres.standby.freeze_postmaster()?;
    row.fault();
    let words = ["beta answers over a held session", "did not accept a new session"];
    lets_nobody_in(&mut row, &site, &words).await?;
    site.postgres.standby.thaw()?;
    row.is_well_again("postgres", Some(NOT_ACCEPTING), 30).await?;
    row.finish().await
}

#[tokio::test]
async fn p9_certificate_expired() -> Result<()> {
    let plan = Plan { limits: OFTEN, verified: true, ..Plan::postgres() };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let authority = site.authority.as_ref().context("an authority")?;
    let mut row = Row::of(&site, "P9", "TLS certificate expired, reconnect_every 10 s", &["postgres"]).await?;
    site.postgres.primary.use_certificate(authority, &authority.expired(&["127.0.0.1"])?).await?;
    row.fault();
    lets_nobody_in(
        &mut row,
        &site,
        &["alpha answers over a held session", "expired", "renew the server's certificate"],
    )
    .await?;
    site.postgres.primary.use_certificate(authority, &authority.for_server(&["127.0.0.1"])?).await?;
    row.is_well_again("postgres", Some(NOT_ACCEPTING), 30).await?;
    row.finish().await
}

#[tokio::test]
async fn p9_too_many_connections() -> Result<()> {
    let Some(site) = Site::start(Plan { limits: OFTEN, ..Plan::postgres() }).await? else { return Ok(()) };
    let mut row = Row::of(&site, "P9", "too many connections, reconnect_every 10 s", &["postgres"]).await?;
    let mut held = Vec::new();
    site.postgres.primary.fill(&mut held).await?;
    row.fault();
    // A session that was just being replaced leaves a seat behind: fill up until the agent finds none.
    wait_until("the agent finds no seat", Duration::from_secs(60), async || {
        site.postgres.primary.fill(&mut held).await?;
        let refused = site.agent.metrics().await?.value("standby_postgres_not_accepting", &[("node", "alpha")])?;
        Ok((refused == Some(1.0)).then_some(()))
    })
    .await?;
    let words = ["alpha answers over a held session", "no session left", "raise max_connections"];
    lets_nobody_in(&mut row, &site, &words).await?;
    drop(held);
    row.is_well_again("postgres", Some(NOT_ACCEPTING), 30).await?;
    row.finish().await
}
