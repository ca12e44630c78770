//! Rows K: the key-value store.

use std::time::Duration;

use standbywatch_lab::{Mode, Result};

use crate::row::{Row, Tells};
use crate::site::{Paging, Plan, Site};

const BLOCKED: &str = "StandbyKvstoreWritesBlocked";

async fn link_cut(paging: Paging, fault: &'static str) -> Result<()> {
    let rules = "StandbyKvstoreWritesBlocked: { for: 2s }";
    let Some(site) = Site::start(Plan { paging, kvstore: true, rules, ..Plan::postgres() }).await? else {
        return Ok(());
    };
    let stores = site.stores.as_ref().expect("planned");
    let mut row = Row::of(&site, "K1", fault, &["postgres", "kvstore"]).await?;
    stores.kv.set(Mode::BlackHole);
    row.fault();
    row.tells(Tells::unknown("kvstore", &["blocked"], 15)).await?;
    row.pages(BLOCKED, Duration::from_secs(2), Duration::from_secs(30), 30).await?;
    row.pages("StandbyReplicationUnknown", crate::site::HELD, crate::site::USUAL, 30).await?;
    stores.kv.set(Mode::Pass);
    row.is_well_again("kvstore", Some(BLOCKED), 40).await?;
    row.finish()
}

#[tokio::test]
async fn k1_link_cut() -> Result<()> {
    link_cut(Paging::Prometheus, "link to the standby's store cut").await
}

#[tokio::test]
async fn k1_link_cut_pushed() -> Result<()> {
    link_cut(Paging::Agent, "link to the standby's store cut (pushed by the agent)").await
}
