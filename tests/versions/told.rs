//! What the agent tells of a pair of one version: well, standby killed, well again, replay paused, well again.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Lab, Load, Need, PgPair, Result, wait_until};

const PAGE: &str = "/monitor/replication";
/// Replication that was never seen is unknown until a sign of life changes; an idle standby gives one each 10 s.
const WELL: Duration = Duration::from_secs(60);
const TOLD: Duration = Duration::from_secs(5);

pub async fn faults_are_told(major: u32) -> Result<()> {
    let Some(lab) = Lab::open(&[Need::PostgresVersion(major)])? else { return Ok(()) };
    let pair = PgPair::builder().version(major).start(&lab).await?;
    let program = env!("CARGO_BIN_EXE_standbywatch").into();
    let options = AgentOptions { program, config: Some(configuration(&pair)), ..AgentOptions::default() };
    let agent = Agent::start(&lab, options).await?;
    is_well(&agent).await?;

    pair.standby.kill().await?;
    agent
        .wait_for_json(PAGE, "the kill is told", TOLD, |page| says(page, "unknown", Some("not_connected"), false))
        .await?;
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(0.0));
    assert!(!metrics.has("standby_replication_lag_bytes"), "unknown is no number");
    pair.standby.start().await?;
    is_well(&agent).await?;

    pair.standby.pause_replay().await?;
    agent.wait_for_json(PAGE, "the pause is told", TOLD, |page| says(page, "critical", Some("paused"), true)).await?;
    lag_grows_at_replay(&agent, &pair).await?;
    pair.standby.resume_replay().await?;
    is_well(&agent).await
}

/// With a number that stands in `/metrics`, too.
async fn is_well(agent: &Agent) -> Result<()> {
    agent.wait_for_json(PAGE, "all is well", WELL, |page| says(page, "ok", None, true)).await?;
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_replication_up", &[("channel", "postgres")])?, Some(1.0));
    assert!(metrics.value("standby_replication_lag_bytes", &[])?.is_some());
    Ok(())
}

fn says(page: &Value, status: &str, reason: Option<&str>, number: bool) -> bool {
    let channel = &page["channels"]["postgres"];
    let lag = &page["postgres_lag_bytes"];
    channel["status"] == status
        && channel["reason"].as_str() == reason
        && if number { lag.is_number() } else { lag == "unknown" }
}

/// The primary writes, the standby receives it all and replays nothing: more than half of the lag is at its last stage.
async fn lag_grows_at_replay(agent: &Agent, pair: &PgPair) -> Result<()> {
    let writer = pair.writer(Load::Heavy).await?;
    let mut waits = 1_000_000.0;
    for _ in 0..2 {
        let at_replay = async || {
            let metrics = agent.metrics().await?;
            let stage = metrics.value("standby_postgres_stage_lag_bytes", &[("stage", "replay")])?;
            let total = metrics.value("standby_replication_lag_bytes", &[])?;
            Ok(stage.zip(total).filter(|(stage, total)| *stage > waits && *stage > total / 2.0))
        };
        // Twice as much as was seen, so that it has grown between two looks.
        waits = 2.0 * wait_until("lag grows at the stage replay", Duration::from_secs(30), at_replay).await?.0;
    }
    writer.stop().await;
    Ok(())
}

fn configuration(pair: &PgPair) -> String {
    let node = |name: &str, port: u16, replica: &str| {
        format!(
            "      {name}:\n        postgres: {{ host: 127.0.0.1, port: {port}, user: {}, password_file: {}{replica} }}\n",
            pair.user(),
            pair.password_file().display()
        )
    };
    let alpha = node("alpha", pair.primary_address().port(), "");
    let beta = node("beta", pair.standby_address().port(), ", replica: { slot: beta }");
    format!("pairs:\n  - name: catalog\n    nodes:\n{alpha}{beta}")
}
