//! Rows S: the search engine of the primary.

use std::time::Duration;

use standbywatch_lab::{Lab, Need, OwnSearch, PgPair, Result, SharedSearch, wait_until};

use crate::postgres::stays;
use crate::row::{Number, Row, Tells};
use crate::site::{HELD, Plan, Site, USUAL};

const CHANNELS: &[&str] = &["postgres", "search"];

fn plan(url: String, index: &str) -> Plan {
    // What was repaired is to be counted soon.
    let search_limits = ", yellow_is_ok: true, count_every: 1s";
    Plan { search: Some((url, index.to_owned())), search_limits, ..Plan::postgres() }
}

/// Rules that wait for half an hour wait for seconds here.
const SHORT: &str = "StandbySearchYellow: { for: 2s }\nStandbySearchDocumentsDrift: { for: 2s }\nStandbySearchStandbyUnknown: { for: 2s }";
const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

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
    row.pages("StandbySearchRed", HELD, USUAL, 30).await?;
    shared.search.make_green(&index).await?;
    // What it held is gone, and an empty index is not whole.
    row.tells(Tells::running("search", "warning", &["documents_drift"], Number::Known, 60)).await?;
    shared.search.add(&index, 0, 20).await?;
    row.is_well_again("search", Some("StandbySearchRed"), 40).await?;
    row.finish().await
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
    row.pages("StandbySearchIndexMissing", HELD, USUAL, 30).await?;
    shared.search.create_index(&index, 20, 0).await?;
    row.is_well_again("search", Some("StandbySearchIndexMissing"), 40).await?;
    row.finish().await
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
    row.finish().await
}

#[tokio::test]
async fn s1_engine_stopped() -> Result<()> {
    engine_is_silent(false, "the engine is stopped", "refused").await
}

#[tokio::test]
async fn s1_engine_frozen() -> Result<()> {
    engine_is_silent(true, "the engine is frozen", "timeout").await
}

#[tokio::test]
async fn s1_index_is_yellow() -> Result<()> {
    let Some(_lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("yellow");
    shared.search.create_index(&index, 20, 0).await?;
    let plan = Plan { search_limits: ", count_every: 1s", rules: SHORT, ..plan(shared.search.url(), &index) };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", "the index is yellow", CHANNELS).await?;
    set_replicas(&shared, &index, 1).await?;
    row.fault();
    row.tells(Tells::running("search", "warning", &["yellow"], Number::Known, 15)).await?;
    row.pages("StandbySearchYellow", HELD, HALF_AN_HOUR, 30).await?;
    set_replicas(&shared, &index, 0).await?;
    row.is_well_again("search", Some("StandbySearchYellow"), 40).await?;
    row.finish().await
}

async fn set_replicas(shared: &SharedSearch, index: &str, replicas: u32) -> Result<()> {
    let settings = serde_json::json!({ "index.number_of_replicas": replicas });
    shared.search.ask(hyper::Method::PUT, &format!("{index}/_settings"), Some(&settings)).await.map(|_| ())
}

#[tokio::test]
async fn s1_index_takes_no_writes() -> Result<()> {
    let Some(_lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("blocked");
    shared.search.create_index(&index, 20, 0).await?;
    let Some(site) = Site::start(plan(shared.search.url(), &index)).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", "the index is blocked for writing, as by a full disk", CHANNELS).await?;
    shared.search.block_writes(&index, true).await?;
    row.fault();
    row.tells(Tells::running("search", "critical", &["read_only"], Number::Known, 15)).await?;
    row.pages("StandbySearchReadOnly", Duration::ZERO, Duration::ZERO, 30).await?;
    shared.search.block_writes(&index, false).await?;
    row.is_well_again("search", Some("StandbySearchReadOnly"), 40).await?;
    row.finish().await
}

#[tokio::test]
async fn s1_disk_over_its_watermark() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    // Of its own: watermarks are those of the whole engine.
    let own = OwnSearch::start(&lab, "engine").await?;
    own.search.create_index("catalog", 20, 0).await?;
    let Some(site) = Site::start(plan(own.search.url(), "catalog")).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S1", "a disk of the engine is over its high watermark", CHANNELS).await?;
    // More must be free than the disk has, before anything is written to it.
    let on = |mark: &str| format!("cluster.routing.allocation.disk.{mark}");
    let marks = |free: serde_json::Value, threshold: serde_json::Value| {
        serde_json::json!({
            on("threshold_enabled"): threshold, on("watermark.low"): free, on("watermark.high"): free,
            on("watermark.flood_stage"): if free.is_null() { free.clone() } else { "1b".into() },
        })
    };
    own.search.set(&marks("900tb".into(), true.into())).await?;
    row.fault();
    row.tells(Tells::running("search", "critical", &["disk_high"], Number::Known, 40)).await?;
    row.pages("StandbySearchDiskHigh", Duration::ZERO, Duration::ZERO, 60).await?;
    own.search.set(&marks(serde_json::Value::Null, false.into())).await?;
    row.is_well_again("search", Some("StandbySearchDiskHigh"), 60).await?;
    row.finish().await
}

/// How many documents there should be, by the primary's database; the monitoring role has to be let in.
async fn items(site: &Site, count: u32) -> Result<()> {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS items (id int); TRUNCATE items; INSERT INTO items SELECT generate_series(1, {count}); GRANT SELECT ON items TO PUBLIC"
    );
    site.postgres.primary.sql(&sql).await.map(|_| ())
}

#[tokio::test]
async fn s1_documents_drift() -> Result<()> {
    let Some(_lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("drift");
    shared.search.create_index(&index, 20, 0).await?;
    let limits: &'static str = format!(
        ", count_every: 1s, expected: {{ {index}: {{ sql: 'SELECT count(*) FROM items', period: 1s, documents: 20 }} }}"
    )
    .leak();
    let plan = Plan { search_limits: limits, rules: SHORT, ..plan(shared.search.url(), &index) };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    items(&site, 20).await?;
    let mut row = Row::of(&site, "S1", "the index lacks documents that the database has", CHANNELS).await?;
    items(&site, 30).await?;
    row.fault();
    row.tells(Tells::running("search", "warning", &["documents_drift"], Number::Known, 40)).await?;
    row.pages("StandbySearchDocumentsDrift", HELD, HALF_AN_HOUR, 60).await?;
    shared.search.add(&index, 100, 10).await?;
    row.is_well_again("search", Some("StandbySearchDocumentsDrift"), 90).await?;
    row.finish().await
}

#[tokio::test]
async fn s1_engine_of_the_standby_stopped() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("standby");
    shared.search.create_index(&index, 20, 0).await?;
    let own = OwnSearch::start(&lab, "engine").await?;
    let plan = Plan { search_of_standby: Some(own.search.url()), rules: SHORT, ..plan(shared.search.url(), &index) };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    // B7: its index has never been there, and that is no fault.
    let mut row = Row::of(&site, "S1", "the standby's engine is stopped", CHANNELS).await?;
    own.server.stop().await?;
    row.fault();
    row.tells(Tells::running("search", "warning", &["peer_unreachable"], Number::Known, 20)).await?;
    row.pages("StandbySearchStandbyUnknown", HELD, HALF_AN_HOUR, 40).await?;
    own.start_again().await?;
    row.is_well_again("search", Some("StandbySearchStandbyUnknown"), 60).await?;
    row.finish().await
}

#[tokio::test]
async fn s2_rebuild_after_a_promotion() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("rebuilt");
    shared.search.create_index(&index, 2000, 0).await?;
    let own = OwnSearch::start(&lab, "engine").await?;
    let plan = Plan {
        postgres: PgPair::builder().setting("full_page_writes", "on"),
        search_of_standby: Some(own.search.url()),
        search_limits: ", yellow_is_ok: true, count_every: 1s, rate_window: 4s, rebuild_stalls_after: 4s, rebuild_takes: 4h",
        ..plan(shared.search.url(), &index)
    };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let mut row = Row::of(&site, "S2", "a rebuild after a promotion runs, stalls, completes", CHANNELS).await?;
    let before = search_of(&site).await?;
    assert_eq!(
        (&before["rebuild"]["state"], &before["rebuild_estimate"]["by"]),
        (&"not_expected".into(), &"declared".into())
    );
    site.postgres.wait_caught_up(Duration::from_secs(10)).await?;
    site.postgres.primary.kill().await?;
    row.fault();
    site.postgres.standby.promote().await?;
    // The primary's last count is all that says how many documents there should be.
    row.tells(Tells::running("search", "critical", &["index_missing"], Number::Known, 60)).await?;
    row.pages("StandbySearchIndexMissing", HELD, USUAL, 90).await?;
    let idle = rebuild_is(&site, "idle").await?;
    let expected = &idle["nodes"][1]["indices"][0];
    assert_eq!((&expected["expected_documents"], &expected["expected_by"]), (&2000.into(), &"remembered".into()));
    own.search.create_index(&index, 0, 0).await?;
    add(&own, &index, 0..800).await?;
    rebuild_is(&site, "rebuilding").await?;
    row.tells(Tells::running("search", "critical", &["rebuild_stalled"], Number::Known, 150)).await?;
    row.pages("StandbySearchRebuildStalled", Duration::ZERO, Duration::ZERO, 180).await?;
    let stalled = search_of(&site).await?;
    assert_eq!(stalled["rebuild"]["progress_ratio"], 0.4, "{stalled}");
    add(&own, &index, 800..2000).await?;
    let complete = rebuild_is(&site, "complete").await?;
    assert_eq!(complete["rebuild_estimate"]["by"], "measured", "{complete}");
    site.postgres.rejoin_old_primary().await?;
    row.is_well_again("search", Some("StandbySearchRebuildStalled"), 90).await?;
    row.finish().await
}

/// As an application that rebuilds: a batch now and then.
async fn add(own: &OwnSearch, index: &str, ids: std::ops::Range<u64>) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    for first in ids.step_by(100) {
        pace.tick().await;
        own.search.add(index, first, 100).await?;
    }
    Ok(())
}

async fn search_of(site: &Site) -> Result<serde_json::Value> {
    Ok(site.agent.json("/api/v1/pairs/catalog").await?["search"].clone())
}

async fn rebuild_is(site: &Site, state: &str) -> Result<serde_json::Value> {
    wait_until(&format!("the rebuild is {state}"), Duration::from_secs(60), async || {
        let search = search_of(site).await?;
        Ok((search["rebuild"]["state"] == state).then_some(search))
    })
    .await
}

#[tokio::test]
async fn b7_empty_engine_of_the_standby_and_a_yellow_single_node() -> Result<()> {
    let Some(lab) = lab()? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("single");
    // A replica that one node never holds.
    shared.search.create_index(&index, 20, 1).await?;
    let own = OwnSearch::start(&lab, "engine").await?;
    let plan = plan(shared.search.url(), &index);
    let plan = Plan { search_of_standby: Some(own.search.url()), rules: SHORT, silent: true, ..plan };
    let Some(site) = Site::start(plan).await? else { return Ok(()) };
    let fault = "the standby's engine is empty before any failover; a single node is yellow, with yellow_is_ok";
    let row = Row::of(&site, "B7", fault, CHANNELS).await?;
    stays(&site, "ok", 30).await?;
    assert_eq!(search_of(&site).await?["rebuild"]["state"], "not_expected");
    row.finish().await
}
