//! Row P9: the agent is no longer let in, or no longer shown what it needs.

use standbywatch_lab::Result;

use crate::row::{Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const UNKNOWN: &str = "StandbyReplicationUnknown";

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
    row.finish()
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
    row.finish()
}
