//! The agent over a pair that has stores only, and what it must tell.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Context, Lab, Result, wait_until};

/// Enough for what comes within seconds, on a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(60);

/// Canaries twice a second; those that stay are written anew after 4 and 8 seconds.
pub const QUICK: &str = "interval: 500ms, timeout: 2s, sla: 3s, lanes: { medium: 4s, slow: 8s }";

/// A redis at this address, as a node's `kvstore` section.
pub fn redis(address: impl std::fmt::Display) -> String {
    format!("redis: {{ address: \"{address}\" }}")
}

/// A pair `shop` of two stores; `channel` is its `kvstore` section.
pub fn pair(alpha: &str, beta: &str, channel: &str) -> String {
    format!(
        "pairs:\n  - name: shop\n    role_from: {{ fixed: alpha }}\n    nodes:\n      alpha: {{ kvstore: {{ {alpha} }} }}\n      \
         beta: {{ kvstore: {{ {beta} }} }}\n    kvstore: {{ {channel} }}\n"
    )
}

pub async fn agent(lab: &Lab, config: String) -> Result<Agent> {
    let program = env!("CARGO_BIN_EXE_standbywatch").into();
    Agent::start(lab, AgentOptions { program, config: Some(config), ..AgentOptions::default() }).await
}

/// The channel's part of the API, and the channel itself.
pub async fn looked(agent: &Agent) -> Result<(Value, Value)> {
    let pair = agent.json("/api/v1/pairs/shop").await?;
    let channel =
        pair["channels"].as_array().and_then(|all| all.iter().find(|one| one["channel"] == "kvstore")).cloned();
    Ok((pair["kvstore"].clone(), channel.context("the channel is there")?))
}

/// Waits until the channel tells this level for one of these reasons (none: no reason); returns its part of the API.
pub async fn tells(agent: &Agent, level: &str, reasons: &[&str]) -> Result<Value> {
    let mut last = String::new();
    let told = wait_until("the channel tells it", SOON, async || {
        let (kvstore, channel) = looked(agent).await?;
        let reason = channel["reason"].as_str();
        let fits = if reasons.is_empty() { reason.is_none() } else { reason.is_some_and(|one| reasons.contains(&one)) };
        last = format!("{channel} {kvstore}");
        Ok((channel["level"] == level && fits).then_some(kvstore))
    })
    .await;
    told.with_context(|| format!("{level} {reasons:?} was expected, but it tells {last}"))
}

pub async fn is_well(agent: &Agent) -> Result<Value> {
    tells(agent, "ok", &[]).await
}

/// Waits until a finding of this rule stands (or is gone).
pub async fn finds(agent: &Agent, rule: &str, there: bool) -> Result<()> {
    wait_until("the finding", SOON, async || {
        Ok((findings(agent).await?.iter().any(|one| one == rule) == there).then_some(()))
    })
    .await
    .with_context(|| format!("{rule}: {there}"))
}

/// The rules that are met now.
pub async fn findings(agent: &Agent) -> Result<Vec<String>> {
    let pair = agent.json("/api/v1/pairs/shop").await?;
    let name = |finding: &Value| finding["rule"].as_str().map(str::to_owned);
    let all = pair["findings"].as_array().map(|all| all.iter().filter_map(name).collect()).unwrap_or_default();
    Ok(all)
}

/// How many canaries ended so.
pub async fn count(agent: &Agent, outcome: &str) -> Result<f64> {
    let metrics = agent.metrics().await?;
    Ok(metrics.value("standby_kvstore_outcomes_total", &[("outcome", outcome)])?.unwrap_or(0.0))
}

/// Waits until so many more canaries have ended so.
pub async fn more(agent: &Agent, outcome: &str, more: f64) -> Result<()> {
    let wanted = count(agent, outcome).await? + more;
    wait_until("canaries", SOON, async || Ok((count(agent, outcome).await? >= wanted).then_some(()))).await
}
