//! Rows A1 and A5 of the table of truth: what is pending or fires outlives the agent, and what it cannot read or keep does not end it.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use standbywatch_lab::{
    Agent, AgentOptions, Alertmanager, Context, Lab, Need, Record, Result, full_disk, http, make_room, wait_until,
};

use crate::site::{PAIR, PROGRAM, SOON, UNKNOWN, agent, pushing_to, told};

const NOBODY: &[(&str, &str)] = &[];
/// The product's own hold time of [`UNKNOWN`].
const USUAL: Duration = Duration::from_secs(60);
/// Why state that is lost calls nobody.
const NO_RULE: &str = "watching goes on; the page, the log and a metric say so";

/// State and begin of an alert, as the page for programs has it.
async fn finding(agent: &Agent, rule: &str) -> Result<Option<(Value, Value)>> {
    let status = agent.json("/api/v1/status").await?;
    let findings = status["pairs"][0]["findings"].as_array().cloned().unwrap_or_default();
    let found = findings.into_iter().find(|finding| finding["rule"] == rule);
    Ok(found.map(|finding| (finding["state"].clone(), finding["since"].clone())))
}

/// A time of the page as seconds since the epoch.
fn seconds(time: &Value) -> Result<f64> {
    let time: jiff::Timestamp = time.as_str().context("a time")?.parse()?;
    Ok(time.as_second() as f64)
}

/// The timer is in the state file.
async fn saved(agent: &Agent, text: &str) -> Result<()> {
    let file = agent.dir().join("state/catalog.json");
    let holds = async || Ok(std::fs::read_to_string(&file)?.contains(text).then_some(()));
    wait_until("it is saved", SOON, holds).await
}

#[tokio::test]
async fn a1_an_agent_killed_while_an_alert_is_pending_and_again_while_it_fires() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    let held = Duration::from_secs(20);
    let config = pushing_to(&[alertmanager.url()]).replace("for: 1s", "for: 20s");
    let agent = agent(&lab, "", config, &[]).await?;
    let mut record = Record::of(
        "A1",
        "nothing of the pair answers; the agent killed while the alert is pending, and while it fires",
    );
    let pending = wait_until("it is pending", SOON, async || finding(&agent, UNKNOWN).await).await?;
    assert_eq!(pending.0, "pending");
    record.fault();
    saved(&agent, UNKNOWN).await?;
    agent.server.kill().await?;
    agent.start_again().await?;
    let after = wait_until("it is told again", SOON, async || finding(&agent, UNKNOWN).await).await?;
    // Time in which nobody looked is no time in which it was met: as in Prometheus.
    let away = seconds(&after.1)? - seconds(&pending.1)?;
    assert!((0.0..=record.passed().as_secs_f64() + 1.0).contains(&away), "{away} s later");
    record.said("after the restart the hold time goes on, less what went unobserved", SOON);
    alertmanager.wait_for_alert(UNKNOWN, &[("source", "agent")], held + SOON).await?;
    record.paged(UNKNOWN, held, USUAL, true);
    alertmanager.receiver.wait_for(UNKNOWN, "firing", NOBODY, SOON).await?;
    saved(&agent, "\"firing\":true").await?;
    let (_, before) = finding(&agent, UNKNOWN).await?.expect("it fires");

    record.fault();
    agent.server.kill().await?;
    agent.start_again().await?;
    let (state, since) = wait_until("it fires at once", SOON, async || {
        Ok(finding(&agent, UNKNOWN).await?.filter(|(state, _)| state == "firing"))
    })
    .await?;
    assert_eq!((state, &since), (Value::from("firing"), &before), "no second hold time");
    record.said("after the restart it fires at once, since the same moment", SOON);
    assert_eq!(alertmanager.alerts_named(UNKNOWN, NOBODY).await?.len(), 1);
    let notices = told(&alertmanager.receiver.notices(), UNKNOWN);
    assert_eq!(notices, [("agent".to_owned(), "firing".to_owned())], "told once, and no end of it");
    record.holds("told once, and no end of it");
    record.finish(env!("CARGO_TARGET_TMPDIR"))
}

#[tokio::test]
async fn a5_a_broken_configuration_leaves_the_old_one_running() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    let config = pushing_to(&[alertmanager.url()]);
    let agent = agent(&lab, "", config.clone(), &["--web.enable-lifecycle"]).await?;
    alertmanager.wait_for_alert(UNKNOWN, NOBODY, SOON).await?;
    let mut record = Record::of("A5", "a broken configuration on reload");
    let reload = async || http::send(Method::POST, &agent.url("/-/reload")?, None).await;
    agent.write_config("pairs:\n  - name: catalog\n    nodse: {}\n")?;
    record.fault();
    assert_eq!(reload().await?.status, 500);
    let says = async |text: &str, there: bool| {
        wait_until(text, SOON, async || Ok((agent.get("/").await?.text.contains(text) == there).then_some(()))).await
    };
    says("StandbyAgentReloadFailed", true).await?;
    record.said("the page says so, the pair is watched as before", SOON);
    alertmanager.wait_for_alert("StandbyAgentReloadFailed", NOBODY, SOON).await?;
    record.paged("StandbyAgentReloadFailed", Duration::ZERO, Duration::ZERO, true);
    assert_eq!(agent.metrics().await?.value("standby_replication_up", &[("pair", "catalog")])?, Some(0.0));
    assert_eq!(alertmanager.alerts_named(UNKNOWN, NOBODY).await?.len(), 1, "what fired fires on");
    agent.write_config(&config)?;
    record.fault();
    assert_eq!(reload().await?.status, 200);
    says("StandbyAgentReloadFailed", false).await?;
    record.said("after the repair the page says no more", SOON);
    record.finish(env!("CARGO_TARGET_TMPDIR"))
}

#[tokio::test]
async fn a5_state_that_cannot_be_read_or_kept_is_said_and_watching_goes_on() -> Result<()> {
    let goes_on = async |agent: &Agent| {
        assert_eq!(agent.get("/-/healthy").await?.status, 200);
        assert_eq!(agent.metrics().await?.value("standby_replication_up", &[("pair", "catalog")])?, Some(0.0));
        Result::<()>::Ok(())
    };
    let logs = async |agent: &Agent, text: &str| {
        wait_until(text, SOON, async || Ok(agent.server.log().contains(text).then_some(()))).await
    };
    let lab = Lab::bare()?;
    let mut record = Record::of("A5", "the state directory is full");
    let options = AgentOptions {
        program: PROGRAM.into(),
        name: "full".to_owned(),
        config: Some(PAIR.to_owned()),
        wrapper: full_disk(),
        ..AgentOptions::default()
    };
    let full = Agent::start(&lab, options).await?;
    logs(&full, "state cannot be saved").await?;
    record.said("the log says so", SOON);
    goes_on(&full).await?;
    make_room(&full)?;
    record.fault();
    logs(&full, "state is saved again").await?;
    record.said("saved again after the repair", SOON);
    record.nobody(NO_RULE);
    record.finish(env!("CARGO_TARGET_TMPDIR"))?;

    lab.write("corrupt/state/catalog.json", "{\"version\": 1, \"timers\":")?;
    let mut record = Record::of("A5", "the state file is corrupt");
    let corrupt = agent(&lab, "corrupt", PAIR.to_owned(), &[]).await?;
    logs(&corrupt, "state is not used").await?;
    record.said("set aside, the log says so", SOON);
    goes_on(&corrupt).await?;
    assert!(corrupt.dir().join("state/catalog.json.corrupt").exists());
    record.nobody(NO_RULE);
    record.finish(env!("CARGO_TARGET_TMPDIR"))
}

/// Alerts about the agent itself have a file of their own.
#[tokio::test]
async fn a1_an_alert_of_the_agent_s_own_goes_on_after_it_was_killed() -> Result<()> {
    let lab = Lab::bare()?;
    const FAILING: &str = "StandbyAgentProbeFailing";
    let agent = agent(&lab, "", format!("{PAIR}rules:\n  {FAILING}: {{ for: 1s }}\n"), &[]).await?;
    let own = async || {
        let status = agent.json("/api/v1/status").await?;
        let findings = status["agent_findings"].as_array().cloned().unwrap_or_default();
        let found = findings.into_iter().find(|finding| finding["rule"] == FAILING);
        Result::<Option<Value>>::Ok(found.filter(|one| one["state"] == "firing").map(|one| one["since"].clone()))
    };
    let since = wait_until("it fires", SOON, async || own().await).await?;
    let file = agent.dir().join("state/_agent.json");
    let holds = async || Ok(std::fs::read_to_string(&file)?.contains("\"firing\":true").then_some(()));
    wait_until("it is saved", SOON, holds).await?;
    agent.server.kill().await?;
    agent.start_again().await?;
    assert_eq!(wait_until("it is told again", SOON, async || own().await).await?, since, "since the same moment");

    // Cut in two: set aside, said, and the pair's own file is none the worse.
    agent.server.kill().await?;
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, &text[..text.len() / 2])?;
    agent.start_again().await?;
    assert_eq!(std::fs::read_to_string(file.with_added_extension("corrupt"))?, text[..text.len() / 2]);
    let page = wait_until("the page says so", SOON, async || {
        Ok(Some(agent.get("/").await?.text).filter(|text| text.contains("State was not used")))
    });
    assert!(page.await?.contains("_agent.json"));
    assert_eq!(agent.metrics().await?.value("standby_agent_state_not_loaded_total", &[])?, Some(1.0));
    Ok(())
}
