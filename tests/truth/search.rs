//! Rows S: the search engine of the primary.

use std::time::Duration;

use standbywatch_lab::{Lab, Need, OwnSearch, Result, SharedSearch};

use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const CHANNELS: &[&str] = &["postgres", "search"];

fn plan(url: String, index: &str) -> Plan {
    Plan { search: Some((url, index.to_owned())), ..Plan::postgres() }
}

/// A lab for an engine of the row's own. `None`: there is none here, which was said.
fn lab() -> Result<Option<Lab>> {
    Lab::open(&[Need::Search])
}

#[tokio::test]
async fn s1_index_is_red() -> Result<()> {
    let Some(_lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("red");
    shared.search.create_index(&index, 20, 0).await?;
    let Some(site) = Site::start(plan(shared.search.url(), &index)).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", "the index is red", CHANNELS).await?;
    shared.search.make_red(&index).await?;
    row.fault();
    row.tells(Tells::running("search", "critical", &["red"], Number::Known, 15)).await?;
    row.pages("StandbySearchRed", Duration::ZERO, Duration::ZERO, 30).await?;
    shared.search.make_green(&index).await?;
    row.is_well_again("search", Some("StandbySearchRed"), 40).await?;
    row.finish()
}

#[tokio::test]
async fn s1_index_deleted() -> Result<()> {
    let Some(_lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("gone");
    shared.search.create_index(&index, 20, 0).await?;
    let Some(site) = Site::start(plan(shared.search.url(), &index)).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", "the index is deleted", CHANNELS).await?;
    shared.search.delete_index(&index).await?;
    row.fault();
    row.tells(Tells::running("search", "critical", &["index_missing"], Number::Known, 15)).await?;
    row.pages("StandbySearchIndexMissing", Duration::ZERO, Duration::ZERO, 30).await?;
    shared.search.create_index(&index, 20, 0).await?;
    row.is_well_again("search", Some("StandbySearchIndexMissing"), 40).await?;
    row.finish()
}

async fn engine_is_silent(freeze: bool, fault: &'static str, reason: &'static str) -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let own = OwnSearch::start(&lab, "engine").await?;
    own.search.create_index("catalog", 20, 0).await?;
    let Some(site) = Site::start(plan(own.search.url(), "catalog")).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", fault, CHANNELS).await?;
    if freeze {
        own.server.freeze()?;
    } else {
        own.server.stop().await?;
    }
    row.fault();
    row.tells(Tells::unknown("search", &[reason], 15)).await?;
    row.pages("StandbySearchUnknown", HELD, USUAL, 30).await?;
    if freeze {
        own.server.thaw()?;
    } else {
        own.start_again().await?;
    }
    row.is_well_again("search", Some("StandbySearchUnknown"), 60).await?;
    row.finish()
}

#[tokio::test]
async fn s1_engine_stopped() -> Result<()> {
    engine_is_silent(false, "the engine is stopped", "refused").await
}

#[tokio::test]
async fn s1_engine_frozen() -> Result<()> {
    engine_is_silent(true, "the engine is frozen", "timeout").await
}
