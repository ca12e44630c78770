//! "Promote now?" over HTTP and at a terminal. What really was lost then is measured in `tests/agents/failover.rs`.

use serde_json::Value;
use standbywatch_lab::{Agent, Load, Mode, Result};

use crate::site::{SOON, Site, standbywatch, wait_for_level};

/// Waits until the answer is as wanted; returns it.
async fn answer(agent: &Agent, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let page = "/api/v1/pairs/catalog";
    let told = agent.wait_for_json(page, what, SOON, |pair| wanted(&pair["failover"])).await?;
    Ok(told["failover"].clone())
}

fn is(verdict: &'static str) -> impl Fn(&Value) -> bool {
    move |told| told["verdict"] == verdict
}

/// The same answer over HTTP and at a terminal: the status of `?strict=1`, the text, the exit code.
async fn everywhere(agent: &Agent, strict: u16, code: i32, text: &str) -> Result<()> {
    let page = agent.get("/failover/catalog").await?;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains(text), "{text} is not in\n{}", page.text);
    assert_eq!(agent.get("/failover/catalog?strict=1").await?.status, strict);
    let said = standbywatch(&["failover", "catalog", "--url", &agent.url("")?], &[]).await?;
    assert_eq!(said.code, Some(code));
    assert!(said.out.contains(text), "{text} is not in\n{}", said.out);
    let said = standbywatch(&["status", "--url", &agent.url("")?], &[]).await?.out;
    let line = said.lines().find(|line| line.trim_start().starts_with("promote beta now?"));
    assert!(line.is_some_and(|line| line.contains(text)), "{text} is not in\n{said}");
    let page = agent.get("/").await?.text;
    for told in ["Promote now?", text, "<svg role=\"img\" aria-label=\"postgres, the last 1 h"] {
        assert!(page.contains(told), "{told} is not on the page:\n{page}");
    }
    Ok(())
}

#[tokio::test]
async fn the_answer_is_the_same_everywhere_while_the_primary_lives_and_when_it_is_gone() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let pair = &site.postgres;
    let writer = pair.writer(Load::Tps(50)).await?;
    let agent = site.agent(site.config("")).await?;
    wait_for_level(&agent, "ok").await?;
    let told = answer(&agent, "ready", is("ready")).await?;
    assert!(told["steps"][0].as_str().is_some_and(|step| step.contains("fence it first")), "{told:#}");
    everywhere(&agent, 200, 0, "READY").await?;

    // The standby misses some seconds of a steady load; then the primary dies, and its standby's connection with it.
    pair.repl.set(Mode::BlackHole);
    let missed = |told: &Value| told["loss"]["wal_bytes"].as_u64().is_some_and(|bytes| bytes > 20 << 10);
    let before = answer(&agent, "the standby misses something", missed).await?;
    assert_eq!(before["loss"]["at_least"], false, "the primary is seen: {before:#}");
    pair.primary.kill().await?;
    pair.repl.set(Mode::Reset);
    let told = answer(&agent, "the primary is gone", is("primary_gone")).await?;
    assert!(told["steps"][0].as_str().is_some_and(|step| step.contains("stays down")), "{told:#}");
    everywhere(&agent, 503, 3, "at least").await?;
    let metrics = agent.metrics().await?;
    let gone = metrics.value("standby_failover_verdict", &[("verdict", "primary_gone")])?;
    assert_eq!(gone, Some(1.0));
    writer.stop().await;
    Ok(())
}
