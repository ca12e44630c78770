//! Two real Alertmanagers as one, two agents that watch the same pair, and Prometheus beside them.

use std::time::Duration;

use standbywatch_lab::{Alertmanager, AlertmanagerPlan, Lab, Monitoring, MonitoringOptions, Need, Result, wait_until};

use crate::site::{HELD, PAIR, SOON, UNKNOWN, agent, pushing_to, told};

const NOBODY: &[(&str, &str)] = &[];

/// Tells at once, and again when something changes.
const AT_ONCE: &str = "route:\n  receiver: lab\n  group_by: ['...']\n  group_wait: 1s\n  group_interval: 1s\n  \
     repeat_interval: 1h\nreceivers:\n  - name: lab\n    webhook_configs:\n      - url: RECEIVER\n        send_resolved: true\n";

#[tokio::test]
async fn two_agents_and_two_alertmanagers_make_one_notification() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let cluster = Alertmanager::start_cluster(&lab, AT_ONCE).await?;
    let urls: Vec<String> = cluster.iter().map(Alertmanager::url).collect();
    let agents = [
        agent(&lab, "agent-alpha", pushing_to(&urls), &[]).await?,
        agent(&lab, "agent-beta", pushing_to(&urls), &[]).await?,
    ];
    for alertmanager in &cluster {
        alertmanager.wait_for_alert(UNKNOWN, &[("pair", "catalog"), ("source", "agent")], SOON).await?;
        let held = alertmanager.alerts_named(UNKNOWN, NOBODY).await?;
        assert_eq!(held.len(), 1, "the agents' copies are one: {held:?}");
    }
    let notices = || cluster.iter().flat_map(|alertmanager| alertmanager.receiver.notices()).collect::<Vec<_>>();
    // Each alert that fires is told once; what comes later tells that the earlier ones had their time.
    wait_until("everything is told", SOON, async || {
        let names = [UNKNOWN, "StandbyPostgresNoPrimary", "StandbyWatchdog"];
        Ok(names.iter().all(|name| !told(&notices(), name).is_empty()).then_some(()))
    })
    .await?;
    for agent in &agents {
        let metrics = agent.metrics().await?;
        assert_eq!(metrics.value("standby_agent_pushes_total", &[("outcome", "refused")])?, Some(0.0));
    }
    for name in [UNKNOWN, "StandbyWatchdog"] {
        assert_eq!(told(&notices(), name), [("agent".to_owned(), "firing".to_owned())], "{name}");
    }
    // One agent ends: the other goes on, and nobody is told that it is over.
    let [first, second] = agents;
    assert_eq!(first.stop().await?.code(), Some(0));
    let before = second.metrics().await?.value("standby_agent_pushes_total", &[("outcome", "ok")])?.unwrap_or_default();
    wait_until("the other has sent again", Duration::from_secs(100), async || {
        let now = second.metrics().await?.value("standby_agent_pushes_total", &[("outcome", "ok")])?;
        Ok((now >= Some(before + 2.0)).then_some(()))
    })
    .await?;
    assert_eq!(told(&notices(), UNKNOWN), [("agent".to_owned(), "firing".to_owned())]);
    Ok(())
}

/// With the shipped mute: Prometheus's copy is the only one that is told, at its beginning and at its end; when Prometheus is gone, the
/// agent's speaks.
#[tokio::test]
async fn beside_prometheus_the_agents_are_mute_until_it_is_gone() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let plan = AlertmanagerPlan { config: shipped()?, ..AlertmanagerPlan::default() };
    let alertmanager = Alertmanager::start_as(&lab, plan).await?;
    let agent = agent(&lab, "", pushing_to(&[alertmanager.url()]), &[]).await?;
    let rules = printed(&agent).await?;
    let options =
        MonitoringOptions { targets: vec![agent.address()?], rules: vec![rules], ..MonitoringOptions::default() };
    let Monitoring { prometheus, alertmanager } = Monitoring::start_with(&lab, &options, alertmanager).await?;
    let (theirs, ours) =
        (|status: &str| (String::new(), status.to_owned()), |status: &str| ("agent".to_owned(), status.to_owned()));
    // The agent was alone at first, and spoke.
    let receiver = &alertmanager.receiver;
    receiver.wait_for("StandbyAgentReloadFailed", "firing", &[("source", "agent")], Duration::ZERO).await.unwrap_err();
    wait_until("Prometheus's switch arrives", SOON, async || {
        let held = alertmanager.alerts_named("StandbyWatchdog", NOBODY).await?;
        Ok(held.iter().any(|alert| !alert.labels.contains_key("source")).then_some(()))
    })
    .await?;

    // Both tell of a reload that failed, and of its end.
    let good = std::fs::read_to_string(agent.dir().join("standbywatch.yml"))?;
    agent.write_config("pairs: [")?;
    agent.hang_up()?;
    alertmanager.wait_for_alert("StandbyAgentReloadFailed", NOBODY, SOON).await?;
    receiver.wait_for("StandbyAgentReloadFailed", "firing", NOBODY, SOON).await?;
    wait_until("the agent's copy is there, and mute", SOON, async || {
        let held = alertmanager.alerts_named("StandbyAgentReloadFailed", &[("source", "agent")]).await?;
        Ok(held.iter().any(|alert| alert.state == "suppressed").then_some(()))
    })
    .await?;
    agent.write_config(&good)?;
    agent.hang_up()?;
    receiver.wait_for("StandbyAgentReloadFailed", "resolved", NOBODY, SOON).await?;
    // The agent's copy is still there: it runs out in three minutes. Nobody hears of it.
    let held = alertmanager.alerts_named("StandbyAgentReloadFailed", &[("source", "agent")]).await?;
    assert_eq!(held.iter().map(|alert| alert.state.as_str()).collect::<Vec<_>>(), ["suppressed"]);
    assert_eq!(told(&receiver.notices(), "StandbyAgentReloadFailed"), [theirs("firing"), theirs("resolved")]);

    prometheus.server.kill().await?;
    wait_until("the agent speaks", Duration::from_secs(120), async || {
        let held = alertmanager.alerts_named(UNKNOWN, &[("source", "agent")]).await?;
        Ok(held.iter().any(|alert| alert.state == "active").then_some(()))
    })
    .await?;
    receiver.wait_for(UNKNOWN, "firing", &[("source", "agent")], SOON).await?;
    assert!(!told(&receiver.notices(), UNKNOWN).contains(&ours("resolved")), "no false end of the agent's");
    Ok(())
}

/// The shipped example, with one receiver and without its pauses.
fn shipped() -> Result<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/alertmanager.example.yml");
    let text = std::fs::read_to_string(path)?;
    let (head, inhibitions) = text.split_once("inhibit_rules:").expect("the example mutes something");
    assert!(head.contains("receiver: pager"), "{head}");
    Ok(format!("{AT_ONCE}inhibit_rules:{inhibitions}"))
}

/// The rules as the agent prints them for this site.
async fn printed(agent: &standbywatch_lab::Agent) -> Result<String> {
    let file = agent.dir().join("standbywatch.yml");
    assert!(std::fs::read_to_string(&file)?.starts_with(PAIR) && std::fs::read_to_string(&file)?.contains(HELD));
    let printed =
        tokio::process::Command::new(crate::site::PROGRAM).args(["rules", "--config.file"]).arg(&file).output().await?;
    Ok(String::from_utf8(printed.stdout)?)
}
