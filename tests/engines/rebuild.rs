//! A rebuild of 200,000 documents on a real engine, watched by the agent as it is installed.

use std::time::Duration;

use serde_json::{Value, json};
use standbywatch_lab::{
    Agent, AgentOptions, Context, Lab, Monitoring, MonitoringOptions, Need, OwnSearch, Result, SharedSearch, wait_until,
};
use tokio::time::Instant;

use crate::dashboard::{Panel, expressions_in};

/// Longer than anything takes that is awaited, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const ALL: u64 = 200_000;
const BATCH: u64 = 2000;
/// From the beginning of one batch to that of the next: a minute for all, however fast the machine.
const PACE: Duration = Duration::from_millis(600);

fn config(url: &str, index: &str) -> String {
    format!(
        "pairs:\n  - name: shop\n    role_from: {{ fixed: alpha }}\n    nodes:\n      alpha: {{ search: {{ url: '{url}' }} }}\n      \
         beta: {{ search: {{ url: '{url}/' }} }}\n    search:\n      indices: [{index}]\n      interval: 1s\n      \
         expected: {{ {index}: {{ documents: {ALL} }} }}\n      rate_window: 20s\n      count_every: 1s\n      \
         rebuild_stalls_after: 8s\n"
    )
}

async fn search_of(agent: &Agent) -> Result<Value> {
    Ok(agent.json("/api/v1/pairs/shop").await?["search"].clone())
}

async fn rebuild_is(agent: &Agent, state: &str) -> Result<Value> {
    let last = std::cell::RefCell::new(Value::Null);
    let what = format!("the rebuild is {state}");
    let told = wait_until(&what, SOON, async || {
        let search = search_of(agent).await?;
        last.replace(search.clone());
        Ok((search["rebuild"]["state"] == state).then_some(search))
    });
    told.await.with_context(|| format!("last was {}", last.borrow()))
}

/// What the agent said once half of it was written.
struct AtHalf {
    at: Instant,
    least: f64,
    most: f64,
}

#[tokio::test]
async fn of_two_hundred_thousand_documents() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let search = &shared.search;
    let index = search.fresh_name("rebuilt");
    let options = AgentOptions {
        program: env!("CARGO_BIN_EXE_standbywatch").into(),
        config: Some(config(&search.url(), &index)),
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;

    let idle = rebuild_is(&agent, "idle").await?;
    assert_eq!(idle["rebuild_estimate"]["by"], "unknown");
    let line = idle["rebuild_estimate"]["detail"].as_str().context("a line")?;
    assert!(line.contains("rebuild_takes"), "{line}");
    search.create_index(&index, 0, 0).await?;

    let mut written = 0;
    let mut half: Option<AtHalf> = None;
    let mut pause = Duration::ZERO;
    let mut next = Instant::now();
    while written < ALL {
        tokio::time::sleep_until(next).await;
        next = (next + PACE).max(Instant::now());
        search.add(&index, written, BATCH).await?;
        written += BATCH;
        let rebuild = &search_of(&agent).await?["rebuild"];
        let progress = rebuild["progress_ratio"].as_f64().unwrap_or_default();
        if rebuild["state"] == "rebuilding" && half.is_none() && progress >= 0.5 {
            let seconds = |key: &str| rebuild[key].as_f64().with_context(|| format!("{key} in {rebuild}"));
            half = Some(AtHalf {
                at: Instant::now(),
                least: seconds("left_least_seconds")?,
                most: seconds("left_most_seconds")?,
            });
            println!("at half: {rebuild}");
        }
        assert_ne!(rebuild["left_least_seconds"], 0.0, "{rebuild}");
        if written == ALL * 7 / 10 {
            let before = Instant::now();
            paused(&agent).await?;
            pause = before.elapsed();
            next = Instant::now();
        }
    }
    let AtHalf { at, least, most } = half.context("half of it was seen")?;
    let took = at.elapsed().saturating_sub(pause).as_secs_f64();
    println!("told at half: {least:.1} to {most:.1} s, and it took {took:.1} s");
    assert!(least <= 2.0 * took && most >= took / 2.0 && least <= most, "{least} to {most}, but it took {took}");
    let middle = f64::midpoint(least, most);
    assert!(middle <= 2.0 * took && middle >= took / 2.0, "{least} to {most}, but it took {took}");

    let whole = rebuild_is(&agent, "complete").await?;
    assert_eq!(whole["rebuild_estimate"]["by"], "measured");
    let estimate = whole["rebuild_estimate"]["seconds"].as_f64().context("an estimate")?;
    assert!((20.0..600.0).contains(&estimate), "{estimate}");
    assert_eq!(agent.json("/monitor/replication").await?["channels"]["search"]["status"], "ok");
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_search_rebuild_state", &[("pair", "shop"), ("state", "complete")])?, Some(1.0));
    assert_eq!(metrics.value("standby_search_rebuild_left_least_seconds", &[("pair", "shop")])?, None);
    search.delete_index(&index).await
}

/// The queries of the search dashboard, while a small rebuild runs.
#[tokio::test]
async fn each_query_of_the_dashboard_has_data() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search, Need::Monitoring])? else { return Ok(()) };
    // Of its own: the disk's watermarks are set for the whole engine.
    let own = OwnSearch::start(&lab, "engine").await?;
    let on = |mark: &str| format!("cluster.routing.allocation.disk.{mark}");
    let marks = json!({
        on("threshold_enabled"): true, on("watermark.low"): "97%", on("watermark.high"): "98%", on("watermark.flood_stage"): "99%",
    });
    own.search.set(&marks).await?;
    own.search.create_index("catalog", 20, 0).await?;
    let options = AgentOptions {
        program: env!("CARGO_BIN_EXE_standbywatch").into(),
        config: Some(config(&own.search.url(), "catalog")),
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    let scraped = MonitoringOptions { targets: vec![agent.address()?], ..MonitoringOptions::default() };
    let monitoring = Monitoring::start(&lab, &scraped).await?;
    let mut missing = expressions_in("search.json", "shop");
    assert!(missing.len() > 20, "only {} queries were found", missing.len());
    let mut written = 0;
    // Before the first is written they drift; during a rebuild nothing is said of that.
    let drift = "standby_search_documents_drift{pair=\"shop\"} == 1";
    monitoring.prometheus.wait_for(drift, SOON).await?;
    let all = wait_until("each query has data", SOON, async || {
        for panel in missing.clone() {
            if !monitoring.prometheus.query(&panel.expression).await?.is_empty() {
                missing.retain(|other| other.expression != panel.expression);
            }
        }
        own.search.add("catalog", written, 100).await?;
        written += 100;
        Ok(missing.is_empty().then_some(()))
    })
    .await;
    let empty: Vec<_> =
        missing.iter().map(|Panel { title, expression, .. }| format!("{title}: {expression}")).collect();
    assert!(all.is_ok(), "no data for\n{}", empty.join("\n"));
    Ok(())
}

/// Nothing is written: first no time left can be told, then it has stalled.
async fn paused(agent: &Agent) -> Result<()> {
    let stalled = rebuild_is(agent, "stalled").await?;
    assert_eq!(stalled["rebuild"]["left_least_seconds"], Value::Null);
    let told = agent.json("/monitor/replication").await?["channels"]["search"].clone();
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&Value::from("critical"), &Value::from("rebuild_stalled")),
        "{told}"
    );
    Ok(())
}
