//! Start, reload, restart, stop.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Context, Lab, Need, PgPair, Result, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn options(config: String) -> AgentOptions {
    AgentOptions {
        program: PathBuf::from(env!("CARGO_BIN_EXE_standbywatch")),
        config: Some(config),
        ..AgentOptions::default()
    }
}

/// Nobody listens on these ports.
const NOBODY: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: 127.0.0.1, port: 1, user: probe } }
      beta:  { postgres: { host: 127.0.0.1, port: 2, user: probe } }
";

fn of_pair(pair: &PgPair) -> String {
    let password = pair.password_file().display();
    let node =
        |port: u16| format!("{{ host: 127.0.0.1, port: {port}, user: {}, password_file: {password} }}", pair.user());
    format!(
        "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ postgres: {} }}\n      beta: {{ postgres: {} }}\n",
        node(pair.primary.port()),
        node(pair.standby.port())
    )
}

fn finding<'a>(status: &'a Value, rule: &str) -> Option<&'a Value> {
    let mut all = status["pairs"][0]["findings"].as_array()?.iter();
    all.find(|finding| finding["rule"] == rule)
}

#[tokio::test]
async fn a_pending_alert_goes_on_after_a_restart() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = Agent::start(&lab, options(NOBODY.to_owned())).await?;
    let pending = |status: &Value| finding(status, "StandbyReplicationUnknown").is_some();
    let before = agent.wait_for_json("/api/v1/status", "a finding", SOON, pending).await?;
    assert!(agent.stop().await?.success());
    let state: Value = serde_json::from_slice(&std::fs::read(agent.dir().join("state/catalog.json"))?)?;
    assert_eq!(state["version"], 1);
    agent.start_again().await?;
    let after = agent.wait_for_json("/api/v1/status", "the finding again", SOON, pending).await?;
    let since = |status: &Value| finding(status, "StandbyReplicationUnknown").map(|finding| finding["since"].clone());
    // Only the seconds in which nobody looked are left out.
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned)).context("a time");
    let [first, second] = [text(since(&before))?, text(since(&after))?].map(|text| humantime::parse_rfc3339(&text));
    assert!(second?.duration_since(first?)? < Duration::from_secs(5));
    Ok(())
}

#[tokio::test]
async fn a_corrupt_state_file_is_set_aside_and_the_agent_starts() -> Result<()> {
    let lab = Lab::bare()?;
    let directory = lab.dir().join("agent/state");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("catalog.json"), "{\"version\":1,")?;
    let agent = Agent::start(&lab, options(NOBODY.to_owned())).await?;
    assert!(directory.join("catalog.json.corrupt").exists());
    assert!(agent.server.log().contains("set aside"), "{}", agent.server.log());
    agent.wait_for_json("/monitor/replication", "unknown", SOON, |json| json["status"] == "unknown").await?;
    Ok(())
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_told_once_each_way() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = Agent::start(&lab, options(NOBODY.to_owned())).await?;
    let state = agent.dir().join("state");
    std::fs::remove_dir_all(&state)?;
    std::fs::write(&state, "in the way")?;
    let long = Duration::from_secs(60);
    wait_until("a failed write", long, async || {
        let failed = agent.metrics().await?.value("standby_agent_state_writes_total", &[("outcome", "failed")])?;
        Ok(failed.filter(|count| *count >= 1.0))
    })
    .await?;
    agent.wait_for_json("/monitor/replication", "told all the same", SOON, |json| json["status"] == "unknown").await?;
    std::fs::remove_file(&state)?;
    let again = |line: &str| line.contains("state is saved again") && line.contains("catalog.json");
    wait_until("saved again", long, async || Ok(agent.server.log().lines().any(again).then_some(()))).await?;
    let log = agent.server.log();
    let of_pair = log.lines().filter(|line| line.contains("state cannot be saved") && line.contains("catalog.json"));
    assert_eq!(of_pair.count(), 1, "{log}");
    assert!(state.join("catalog.json").exists());
    Ok(())
}

#[tokio::test]
async fn a_reload_swaps_or_leaves_everything_as_it_was() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let agent = Agent::start(&lab, options(of_pair(&pair))).await?;
    let is = |level: &'static str| move |json: &Value| json["status"] == level;
    agent.wait_for_json("/monitor/replication", "ok", SOON, is("ok")).await?;

    agent.write_config("pairs: [")?;
    agent.hang_up()?;
    wait_until("the reload fails", SOON, async || {
        let ok = agent.metrics().await?.value("standby_agent_reload_successful", &[])?;
        Ok((ok == Some(0.0)).then_some(()))
    })
    .await?;
    agent.wait_for_json("/monitor/replication", "still ok", SOON, is("ok")).await?;

    agent.write_config(&of_pair(&pair).replace("name: catalog", "name: other"))?;
    agent.hang_up()?;
    wait_until("another pair", SOON, async || {
        let metrics = agent.metrics().await?;
        let other = metrics.value("standby_pair_level", &[("pair", "other")])?;
        let gone = metrics.value("standby_pair_level", &[("pair", "catalog")])?.is_none();
        Ok((other.is_some() && gone).then_some(()))
    })
    .await?;
    assert_eq!(agent.metrics().await?.value("standby_agent_reload_successful", &[])?, Some(1.0));
    Ok(())
}

#[tokio::test]
async fn a_replaced_session_leaves_one_behind() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let config = of_pair(&pair) + "    postgres: { reconnect_every: 2s }\n";
    let agent = Agent::start(&lab, options(config)).await?;
    let pids = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'standbywatch'";
    let first = wait_until("a session", SOON, async || pair.primary.value(pids).await).await?;
    wait_until("one other session", SOON, async || {
        let now = pair.primary.value(pids).await?;
        Ok(now.filter(|now| *now != first && !now.contains(',')))
    })
    .await?;
    assert!(!agent.server.log().contains("level=error"), "{}", agent.server.log());
    assert!(agent.stop().await?.success());
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_frozen_answers_who_asks_next() -> Result<()> {
    use tokio::io::AsyncWriteExt;
    let lab = Lab::bare()?;
    let agent = Agent::start(&lab, options(NOBODY.to_owned())).await?;
    agent.server.freeze()?;
    // More than are served at the same time; all have given up when it goes on.
    for _ in 0..100 {
        let mut stream = tokio::net::TcpStream::connect(agent.address()?).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    }
    agent.server.thaw()?;
    assert_eq!(agent.get("/metrics").await?.status, 200);
    Ok(())
}
