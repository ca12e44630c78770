//! The facts of each engine, asked by the probe itself. Each is started once, one after the other (see `.config/nextest.toml`).

use std::time::Duration;

use hyper::Method;
use serde_json::json;
use standbywatch::config::{Schedule, SearchChannel, SearchNode};
use standbywatch::facts::{IndexFacts, SearchFacts};
use standbywatch::names::SearchHealth;
use standbywatch::probe::search::SearchProbe;
use standbywatch_lab::{Context, Engine, Lab, Need, OwnSearch, Result, Search, wait_until};

/// Longer than anything takes that is awaited, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn look(probe: &mut SearchProbe) -> Result<(SearchFacts, IndexFacts)> {
    let facts = probe.run(true).await.result?;
    let index = facts.indices.first().context("the configured index")?.clone();
    Ok((facts, index))
}

fn probe(search: &Search, index: &str) -> SearchProbe {
    let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(10));
    let node = SearchNode { url: search.url(), ..SearchNode::default() };
    let channel = SearchChannel {
        // So that each look counts.
        count_every: Duration::from_millis(1),
        ..SearchChannel::new(schedule, vec![index.to_owned()])
    };
    SearchProbe::new(&node, &channel)
}

async fn facts_of(engine: Engine) -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Engine(engine)])? else { return Ok(()) };
    let own = OwnSearch::start_engine(&lab, engine, "engine").await?;
    let search = &own.search;
    let mut catalog = probe(search, "catalog");

    let (facts, index) = look(&mut catalog).await?;
    assert_eq!(facts.distribution.as_deref(), Some(engine.distribution()));
    assert_eq!(facts.version.as_deref(), Some(engine.version()));
    assert_eq!((facts.health, facts.timed_out, facts.nodes), (Some(SearchHealth::Green), Some(false), Some(1)));
    assert_eq!((facts.unassigned_shards, facts.initializing_shards), (Some(0), Some(0)));
    assert_eq!((facts.relocating_shards, facts.in_flight_fetches), (Some(0), Some(0)));
    assert!(facts.pending_tasks.is_some() && facts.active_shards_percent == Some(100.0), "{facts:?}");
    let disk = facts.disk.context("the disk's fill")?;
    assert!(disk.used > 0.0 && disk.used < 1.0 && disk.high.is_none(), "no watermark is heeded in the lab: {disk:?}");
    assert_eq!(index.exists, Some(false), "missing is a fact");

    search.create_index("catalog", 20, 0).await?;
    let (_, index) = look(&mut catalog).await?;
    assert_eq!((index.exists, index.health, index.read_only), (Some(true), Some(SearchHealth::Green), Some(false)));
    assert_eq!((index.documents, index.indexed, index.indexed_when_counted), (Some(20), Some(20), Some(20)));
    assert!(index.store.is_some_and(|store| store.0 > 0), "{index:?}");
    assert_eq!(index.behind.len(), 1, "{index:?}");
    assert!(index.behind[0].name == "catalog" && index.behind[0].uuid.is_some(), "{index:?}");
    assert!(index.behind[0].created.as_ref().is_some_and(|created| created.0.len() >= 13), "{index:?}");

    let alias = json!({ "actions": [{ "add": { "index": "catalog", "alias": "shop" } }] });
    search.ask(Method::POST, "_aliases", Some(&alias)).await?;
    let (_, shop) = look(&mut probe(search, "shop")).await?;
    assert_eq!((shop.documents, shop.health), (Some(20), Some(SearchHealth::Green)));
    assert_eq!(shop.behind, index.behind, "what an alias stands for");

    search.add("catalog", 0, 5).await?;
    wait_until("what is added is counted", SOON, async || {
        let (_, index) = look(&mut catalog).await?;
        assert_eq!(index.indexed, Some(25));
        Ok((index.documents == Some(25)).then_some(()))
    })
    .await?;

    search.block_writes("catalog", true).await?;
    assert_eq!(look(&mut catalog).await?.1.read_only, Some(true));
    search.block_writes("catalog", false).await?;

    let on = json!({
        "cluster.routing.allocation.disk.threshold_enabled": true,
        "cluster.routing.allocation.disk.watermark.low": "97%",
        "cluster.routing.allocation.disk.watermark.high": "98%",
        "cluster.routing.allocation.disk.watermark.flood_stage": "99%",
    });
    search.set(&on).await?;
    let (facts, _) = look(&mut probe(search, "catalog")).await?;
    let disk = facts.disk.context("the disk's fill")?;
    // Elasticsearch 8 asks for no more than its headroom where nobody has set one; with a watermark that was set there is none.
    let close = |share: Option<f64>, wanted: f64| share.is_some_and(|share| (share - wanted).abs() < 1e-6);
    assert!(close(disk.high, 0.98) && close(disk.flood, 0.99), "{disk:?}");
    search.set(&json!({ "cluster.routing.allocation.disk.watermark.*": null })).await?;

    let before = look(&mut catalog).await?.1.behind;
    search.delete_index("catalog").await?;
    search.create_index("catalog", 3, 1).await?;
    let (facts, index) = look(&mut catalog).await?;
    assert_eq!((facts.health, index.health), (Some(SearchHealth::Yellow), Some(SearchHealth::Yellow)));
    assert_eq!((index.documents, index.indexed), (Some(3), Some(3)), "counted anew");
    assert_ne!(index.behind[0].uuid, before[0].uuid);
    search.make_red("catalog").await?;
    let (_, red) = look(&mut catalog).await?;
    assert_eq!(
        (red.health, red.documents, red.indexed),
        (Some(SearchHealth::Red), None, None),
        "a part is not the whole"
    );
    Ok(())
}

#[tokio::test]
async fn opensearch_2() -> Result<()> {
    facts_of(Engine::OpenSearch2).await
}

#[tokio::test]
async fn opensearch_3() -> Result<()> {
    facts_of(Engine::OpenSearch3).await
}

#[tokio::test]
async fn elasticsearch_7() -> Result<()> {
    facts_of(Engine::Elasticsearch7).await
}

#[tokio::test]
async fn elasticsearch_8() -> Result<()> {
    facts_of(Engine::Elasticsearch8).await
}
