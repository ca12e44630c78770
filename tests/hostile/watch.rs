//! The agent under test: how it is started, and what it must tell of a channel.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Context, Lab, PgPair, Result, wait_until};
use tokio::process::Command;

/// Enough for what comes within seconds, on a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(40);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_standbywatch");

/// Starts the agent with this configuration.
pub async fn agent(lab: &Lab, config: String) -> Result<Agent> {
    agent_with(lab, config, &[]).await
}

pub async fn agent_with(lab: &Lab, config: String, args: &[&str]) -> Result<Agent> {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    Agent::start(lab, AgentOptions { program: PROGRAM.into(), config: Some(config), args, ..AgentOptions::default() })
        .await
}

/// How a command ended that ends by itself.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program until it ends.
///
/// # Errors
/// It runs on, or cannot be started.
pub async fn ended(args: &[&str]) -> Result<Ended> {
    ended_with(args, &[]).await
}

/// The same with further environment variables.
pub async fn ended_with(args: &[&str], environment: &[(String, String)]) -> Result<Ended> {
    let mut command = Command::new(PROGRAM);
    command.args(args).envs(environment.iter().cloned()).kill_on_drop(true);
    let output =
        tokio::time::timeout(SOON, command.output()).await.with_context(|| format!("{args:?} does not end"))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// A pair of PostgreSQL servers at these addresses.
pub fn postgres_servers(name: &str, alpha: &str, beta: &str) -> String {
    format!(
        "  - name: {name}\n    nodes:\n      alpha: {{ postgres: {{ {alpha} }} }}\n      beta: {{ postgres: {{ {beta} }} }}\n"
    )
}

/// The pair of the laboratory as the pair `catalog`, with a password file.
pub fn catalog(pair: &PgPair, password_file: &str) -> String {
    catalog_at([pair.primary_address(), pair.standby_address()], pair, password_file)
}

/// The same with its servers asked at these addresses.
pub fn catalog_at([alpha, beta]: [SocketAddr; 2], pair: &PgPair, password_file: &str) -> String {
    let node = |address: SocketAddr| {
        format!(
            "host: {}, port: {}, user: {}, password_file: {password_file}",
            address.ip(),
            address.port(),
            pair.user()
        )
    };
    let servers = postgres_servers("catalog", &node(alpha), &node(beta));
    format!("pairs:\n{servers}")
}

/// A pair with search engines only, asked each second; `alpha` is the primary.
pub fn engines(name: &str, alpha: &str, beta: &str) -> String {
    format!(
        "  - name: {name}\n    role_from: {{ fixed: alpha }}\n    nodes:\n      alpha: {{ search: {{ {alpha} }} }}\n      \
         beta: {{ search: {{ {beta} }} }}\n    search: {{ indices: [catalog], interval: 1s, timeout: 1s }}\n"
    )
}

/// A pair with key-value stores only, asked each second; `alpha` is the primary.
pub fn stores(name: &str, alpha: &str, beta: &str) -> String {
    format!(
        "  - name: {name}\n    role_from: {{ fixed: alpha }}\n    nodes:\n      alpha: {{ kvstore: {{ redis: {{ {alpha} }} }} }}\n      \
         beta: {{ kvstore: {{ redis: {{ {beta} }} }} }}\n    kvstore: {{ interval: 1s, timeout: 1s }}\n"
    )
}

/// A channel's number on the compatible page and in the metrics, and the series that says whether it runs.
fn names_of(channel: &str) -> (&'static str, &'static str, &'static str) {
    match channel {
        "postgres" => ("postgres_lag_bytes", "standby_replication_lag_bytes", "standby_replication_up"),
        "kvstore" => ("kvstore_round_trip_seconds", "standby_kvstore_round_trip_seconds", "standby_replication_up"),
        "search" => {
            ("search_active_shards_percent", "standby_search_active_shards_percent", "standby_search_primary_up")
        }
        other => panic!("not a channel of these tests: {other}"),
    }
}

/// Waits until the channel is `unknown` for one of these reasons, on every face; returns what the API says of it.
///
/// # Errors
/// When it tells something else, or a number all the same.
pub async fn tells_unknown(agent: &Agent, pair: &str, channel: &str, reasons: &[&str]) -> Result<Value> {
    let (key, number, up) = names_of(channel);
    let mut last = String::new();
    let told = wait_until("it is unknown for the right reason", SOON, async || {
        let told = channel_of(agent, pair, channel).await?;
        let page = agent.json(&format!("/monitor/replication?pair={pair}")).await?;
        let metrics = agent.metrics().await?;
        // Of the other node's engine the number may well be known.
        let mut numbers = metrics.all(number, &[("pair", pair)]);
        numbers.retain(|(labels, _)| labels.get("node").is_none_or(|node| node == "alpha"));
        let runs = metrics.all(up, &[("pair", pair)]);
        let runs: Vec<f64> = runs
            .iter()
            .filter(|(labels, _)| labels.get("channel").is_none_or(|of| of == channel))
            .map(|run| run.1)
            .collect();
        last = format!("{told}\n{page}\n{number} {numbers:?}, {up} {runs:?}");
        let right = told["level"] == "unknown"
            && told["reason"].as_str().is_some_and(|reason| reasons.contains(&reason))
            && page[key] == "unknown"
            && page["channels"][channel]["status"] == "unknown"
            && numbers.is_empty()
            && runs == [0.0];
        Ok(right.then_some(told))
    })
    .await;
    told.with_context(|| format!("{pair}: wanted {reasons:?}, told was {last}"))
}

/// Waits until the channel is ok, with its number.
pub async fn tells_ok(agent: &Agent, pair: &str, channel: &str) -> Result<()> {
    let (key, _, _) = names_of(channel);
    let path = format!("/monitor/replication?pair={pair}");
    let well = |page: &Value| page["channels"][channel]["status"] == "ok" && page[key].is_number();
    let told = agent.wait_for_json(&path, "the channel is ok", Duration::from_secs(60), well).await;
    told.with_context(|| agent.server.log()).map(|_| ())
}

/// What the API says of one channel of a pair.
pub async fn channel_of(agent: &Agent, pair: &str, channel: &str) -> Result<Value> {
    let document = agent.json(&format!("/api/v1/pairs/{pair}")).await?;
    let channels = document["channels"].as_array().with_context(|| document.to_string())?;
    let found = channels.iter().find(|entry| entry["channel"] == channel);
    Ok(found.with_context(|| document.to_string())?.clone())
}

/// A line of the agent's `/proc/PID/status`, in bytes: `VmRSS`, or `VmHWM` for the most that it ever was.
pub fn memory(agent: &Agent, line: &str) -> Result<u64> {
    let pid = agent.server.pid().context("the agent runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value =
        status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).context("a line of the status")?;
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().context("a number of kB")?;
    Ok(kibibytes << 10)
}

/// Waits until the impostor's count (or another one) has risen by so much.
pub async fn rises(what: &str, by: u64, count: impl Fn() -> u64) -> Result<()> {
    let before = count();
    wait_until(what, SOON, async || Ok((count() >= before + by).then_some(()))).await
}
