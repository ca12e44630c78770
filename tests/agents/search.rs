//! What there is to rebuild, and how long that takes, when the primary's machine is gone: the standby's agent is all that is left.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, Context, Lab, Need, OwnSearch, Result, Search, SharedSearch, wait_until};

use crate::site::{Plan, Site};

const SOON: Duration = Duration::from_secs(90);
/// An agent that counts for itself counts something of its own: so it is seen who did.
const COUNTED_BY_ALPHA: u64 = 2000;
const COUNTED_BY_BETA: u64 = 2100;

async fn search_of(agent: &Agent) -> Result<Value> {
    Ok(agent.json("/api/v1/pairs/catalog").await?["search"].clone())
}

async fn told(agent: &Agent, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let last = std::cell::RefCell::new(Value::Null);
    let told = wait_until(what, SOON, async || {
        let search = search_of(agent).await?;
        last.replace(search.clone());
        Ok(fits(&search).then_some(search))
    });
    told.await.with_context(|| format!("{}: last was {}", agent.server.name(), last.borrow()))
}

/// A batch now and then, as an application writes it that rebuilds.
async fn write(engine: &Search, index: &str, ids: Range<u64>) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    for first in ids.step_by(200) {
        pace.tick().await;
        engine.add(index, first, 200).await?;
    }
    Ok(())
}

/// By whom and how many, of the index at that place on the node at that place.
fn expected(search: &Value, node: usize, index: usize) -> (Option<&str>, Option<u64>) {
    let index = &search["nodes"][node]["indices"][index];
    (index["expected_by"].as_str(), index["expected_documents"].as_u64())
}

#[tokio::test]
async fn what_the_lost_primary_held_is_known_to_the_standby_s_agent_after_its_restart() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let (counted, kept) = (shared.search.fresh_name("counted"), shared.search.fresh_name("kept"));
    shared.search.create_index(&kept, 50, 0).await?;
    let own = OwnSearch::start(&lab, "engine").await?;
    let sql = format!("SELECT CASE 'SEAT' WHEN 'alpha' THEN {COUNTED_BY_ALPHA} ELSE {COUNTED_BY_BETA} END");
    let search_limits = format!(
        ", count_every: 1s, interval: 1s, rate_window: 4s, rebuild_stalls_after: 4s, \
         expected: {{ {counted}: {{ sql: \"{sql}\", period: 2s, timeout: 20s }} }}"
    );
    let plan = Plan {
        search: Some((shared.search.url(), format!("{counted}, {kept}"))),
        search_of_standby: Some(own.search.url()),
        search_limits,
        ..Plan::default()
    };
    let Some(site) = Site::start(&plan).await? else { return Ok(()) };
    let (alpha, beta) = (&site.agents.alpha, &site.agents.beta);

    // One index is to be made: a rebuild that both watch, each knowing from alpha's database how many there will be.
    for agent in site.agents.both() {
        let by_alpha = (Some("sql"), Some(COUNTED_BY_ALPHA));
        told(agent, "idle", |search| search["rebuild"]["state"] == "idle" && expected(search, 0, 0) == by_alpha)
            .await?;
    }
    shared.search.create_index(&counted, 0, 0).await?;
    write(&shared.search, &counted, 0..COUNTED_BY_ALPHA).await?;
    for agent in site.agents.both() {
        let whole = told(agent, "measured", |search| search["rebuild_estimate"]["by"] == "measured").await?;
        assert_eq!(expected(&whole, 0, 0), (Some("sql"), Some(COUNTED_BY_ALPHA)), "{whole}");
        let whole = |search: &Value| search["rebuild"]["state"] == "complete";
        told(agent, "whole", |search| whole(search) && expected(search, 0, 1) == (Some("remembered"), Some(50)))
            .await?;
    }

    // The machine of the primary is gone, and the agent that is left begins anew.
    alpha.server.kill().await?;
    site.postgres.primary.kill().await?;
    beta.stop().await?;
    beta.start_again().await?;
    let before = told(beta, "an estimate", |search| search["rebuild_estimate"]["by"] == "measured").await?;
    let detail = before["rebuild_estimate"]["detail"].as_str().context("in words")?;
    assert!(detail.starts_with("2050 documents at ") && detail.contains("as measured"), "{detail}");
    let page = beta.get("/failover/catalog").await?.text;
    assert!(page.contains(detail.split(" at ").next().context("a number")?), "{page}");
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"))
        .args(["failover", "catalog", "--url", &beta.url("")?])
        .output()
        .context("ask the agent")?;
    let command = String::from_utf8(command.stdout)?;
    assert!(command.contains("2050 documents at ") && command.contains("as measured"), "{command}");

    site.postgres.standby.promote().await?;
    let idle = told(beta, "idle on beta", |search| {
        search["primary"] == "beta"
            && search["rebuild"]["state"] == "idle"
            && expected(search, 1, 0) == (Some("sql"), Some(COUNTED_BY_BETA))
    });
    let idle = idle.await?;
    assert_eq!(expected(&idle, 1, 1), (Some("remembered"), Some(50)), "{idle}");
    let age = idle["nodes"][1]["indices"][1]["expected_age_seconds"].as_f64().context("an age")?;
    assert!(age > 1.0, "{idle}");
    own.search.create_index(&kept, 50, 0).await?;
    own.search.create_index(&counted, 0, 0).await?;
    write(&own.search, &counted, 0..1000).await?;
    let half = told(beta, "half of it", |search| {
        search["rebuild"]["progress_ratio"].as_f64().is_some_and(|progress| (0.4..0.6).contains(&progress))
    });
    let half = half.await?;
    let progress = |index: usize| half["nodes"][1]["indices"][index]["progress_ratio"].as_f64();
    assert!(progress(0) < Some(0.6) && progress(1) == Some(1.0), "{half}");
    write(&own.search, &counted, 1000..COUNTED_BY_BETA).await?;
    told(beta, "complete on beta", |search| search["rebuild"]["state"] == "complete").await?;
    Ok(())
}
