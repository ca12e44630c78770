//! What survives the agent's death.

use serde_json::Value;
use standbywatch_lab::{Agent, Alertmanager, Need, Result, wait_until};

use crate::site::{SOON, Site, wait_for_level};

const RULE: &str = "StandbyReplicationUnknown";
const HOLD: f64 = 25.0;

/// State, beginning (seconds since 1970) and age of the rule's alert.
#[derive(Clone, Debug)]
struct Told {
    state: String,
    since: f64,
    age: f64,
}

async fn told(agent: &Agent) -> Result<Option<Told>> {
    let status = agent.json("/api/v1/status").await?;
    let findings = status["pairs"][0]["findings"].as_array().cloned().unwrap_or_default();
    let finding = findings.iter().find(|finding| finding["rule"] == RULE);
    Ok(finding.map(|finding| Told {
        state: finding["state"].as_str().unwrap_or_default().to_owned(),
        since: seconds(&finding["since"]),
        age: finding["for_seconds"].as_f64().unwrap_or(f64::NAN),
    }))
}

fn seconds(time: &Value) -> f64 {
    time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok()).map_or(f64::NAN, unix)
}

fn unix(time: jiff::Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

async fn wait_for_state(agent: &Agent, state: &str) -> Result<Told> {
    wait_until(&format!("{RULE} is {state}"), SOON, async || Ok(told(agent).await?.filter(|told| told.state == state)))
        .await
}

/// The state file holds the alert in this way.
async fn wait_for_saved(agent: &Agent, firing: bool) -> Result<()> {
    let file = agent.dir().join("state/catalog.json");
    wait_until("the state is saved", SOON, async || {
        let saved: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let timers = saved["timers"].as_array().cloned().unwrap_or_default();
        let ours = |timer: &Value| timer["key"]["rule"] == RULE && timer["firing"] == firing;
        Ok(timers.iter().any(ours).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_killed_agent_goes_on_where_it_was() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let Some(_) = standbywatch_lab::Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&site.lab).await?;
    let config = format!(
        "{}rules: {{ {RULE}: {{ for: {HOLD}s }} }}\nalerting: {{ alertmanagers: [{}] }}\n",
        site.config(""),
        alertmanager.url()
    );
    let agent = site.agent(config).await?;
    wait_for_level(&agent, "ok").await?;
    site.postgres.standby.kill().await?;

    // Killed while the alert is pending: what was counted before still counts, the time without an agent does not.
    let pending = wait_for_state(&agent, "pending").await?;
    wait_for_saved(&agent, false).await?;
    let killed = unix(jiff::Timestamp::now());
    agent.server.kill().await?;
    agent.start_again().await?;
    let again = wait_for_state(&agent, "pending").await?;
    let away = unix(jiff::Timestamp::now()) - killed;
    // Up to 5 s pass between a change and the file; that is lost, too. Times are told in whole seconds.
    let moved = again.since - pending.since;
    assert!((-1.0..=away + 6.0).contains(&moved), "{pending:?}, away {away} s, {again:?}");
    let firing = wait_for_state(&agent, "firing").await?;
    assert!((firing.since - again.since).abs() <= 1.0, "{again:?}, {firing:?}");
    assert!(firing.age >= HOLD && firing.age < HOLD + 5.0, "{firing:?}");

    // Killed while it fires: Alertmanager is told of the same alert as before.
    let first = alertmanager.wait_for_alert(RULE, &[], SOON).await?;
    wait_for_saved(&agent, true).await?;
    agent.server.kill().await?;
    agent.start_again().await?;
    let after = wait_for_state(&agent, "firing").await?;
    assert!((after.since - firing.since).abs() <= 1.0, "{firing:?}, {after:?}");
    let sent_again = wait_until("the alert is sent again", SOON, async || {
        let alerts = alertmanager.alerts_named(RULE, &[]).await?;
        Ok(alerts.into_iter().find(|alert| alert.ends_at != first.ends_at))
    })
    .await?;
    assert_eq!(sent_again.starts_at, first.starts_at);
    assert_eq!(sent_again.labels, first.labels);
    let notices = alertmanager.receiver.notices();
    let ours = notices.iter().filter(|notice| notice.labels.get("alertname").is_some_and(|name| name == RULE));
    assert_eq!(ours.map(|notice| notice.status.as_str()).collect::<Vec<_>>(), ["firing"], "told once");

    Ok(())
}

/// A state file that was cut off is set aside, and said to be; the agent starts all the same.
#[tokio::test]
async fn a_damaged_state_file_is_set_aside() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let agent = site.agent(site.config("")).await?;
    agent.stop().await?;
    let state = agent.dir().join("state");
    std::fs::write(state.join("catalog.json"), "{\"version\": 1, \"pai")?;
    agent.start_again().await?;
    wait_for_level(&agent, "ok").await?;
    assert!(state.join("catalog.json.corrupt").exists(), "{}", agent.server.log());
    assert!(agent.server.log().contains("set aside"), "{}", agent.server.log());
    Ok(())
}
