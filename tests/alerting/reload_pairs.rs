//! Reloads that change what is watched, and how: pairs, intervals, Alertmanagers, other agents.

use std::process::Command;

use hyper::Method;
use serde_json::Value;
use standbywatch_lab::{Agent, Alertmanager, Lab, Need, PgPair, Result, http, wait_until};

use crate::site::{HELD, PAIR, PROGRAM, SOON, UNKNOWN, agent, pushing_to};

const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];

async fn reload(agent: &Agent, text: &str) -> Result<http::Answer> {
    agent.write_config(text)?;
    http::send(Method::POST, &agent.url("/-/reload")?, None).await
}

/// State and beginning of a pair's alert, as the page for programs has it.
async fn finding(agent: &Agent, pair: &str, rule: &str) -> Result<Option<(String, String)>> {
    let status = agent.json("/api/v1/status").await?;
    let pairs = status["pairs"].as_array().cloned().unwrap_or_default();
    let of_pair = pairs.into_iter().find(|document| document["pair"] == pair).unwrap_or_default();
    let findings = of_pair["findings"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = findings.into_iter().find(|finding| finding["rule"] == rule);
    Ok(found.map(|finding| (text(&finding["state"]), text(&finding["since"]))))
}

async fn firing(agent: &Agent, pair: &str, rule: &str) -> Result<String> {
    wait_until(&format!("{rule} fires"), SOON, async || {
        Ok(finding(agent, pair, rule).await?.filter(|(state, _)| state == "firing").map(|(_, since)| since))
    })
    .await
}

fn other(name: &str) -> String {
    PAIR.replace("pairs:\n", "").replace("catalog", name)
}

#[tokio::test]
async fn a_pair_that_is_added_or_removed_leaves_the_others_alone() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = agent(&lab, "", format!("{PAIR}{HELD}"), LIFECYCLE).await?;
    let since = firing(&agent, "catalog", UNKNOWN).await?;
    let both = format!("{PAIR}{}{HELD}", other("orders"));
    assert_eq!(reload(&agent, &both).await?.status, 200);
    let orders = firing(&agent, "orders", UNKNOWN).await?;
    assert_eq!(firing(&agent, "catalog", UNKNOWN).await?, since);

    assert_eq!(reload(&agent, &format!("{PAIR}{HELD}")).await?.status, 200);
    for path in ["/", "/metrics", "/monitor/replication", "/api/v1/status"] {
        assert!(!agent.get(path).await?.text.contains("orders"), "{path}");
    }
    for path in ["/failover/orders", "/api/v1/pairs/orders", "/api/v1/pairs/orders/history"] {
        assert_eq!(agent.get(path).await?.status, 404, "{path}");
    }
    assert_eq!(firing(&agent, "catalog", UNKNOWN).await?, since);

    // What was known of it is still in its file.
    assert_eq!(reload(&agent, &both).await?.status, 200);
    assert_eq!(firing(&agent, "orders", UNKNOWN).await?, orders);
    Ok(())
}

/// On real servers: the alert over a contradiction is neither ended nor begun anew while the new probes have not asked yet.
#[tokio::test]
async fn another_interval_and_a_killed_agent_leave_what_fires() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres, Need::Monitoring])? else { return Ok(()) };
    const PAUSED: &str = "StandbyPostgresReplayPaused";
    let pair = PgPair::builder().start(&lab).await?;
    let alertmanager = Alertmanager::start(&lab).await?;
    let node = |address: std::net::SocketAddr| {
        let (ip, port, user, file) = (address.ip(), address.port(), pair.user(), pair.password_file());
        format!("{{ host: {ip}, port: {port}, user: {user}, password_file: {} }}", file.display())
    };
    let (alpha, beta) = (node(pair.primary_address()), node(pair.standby_address()));
    let config = |interval: &str| {
        format!(
            "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ postgres: {alpha} }}\n      beta: {{ postgres: {beta} }}\n    \
             postgres: {{ interval: {interval} }}\nalerting: {{ alertmanagers: [{}], on_resolve: send }}\n",
            alertmanager.url()
        )
    };
    pair.standby.pause_replay().await?;
    let agent = agent(&lab, "", config("1s"), LIFECYCLE).await?;
    let since = firing(&agent, "catalog", PAUSED).await?;
    alertmanager.receiver.wait_for(PAUSED, "firing", &[], SOON).await?;

    assert_eq!(reload(&agent, &config("2s")).await?.status, 200);
    assert_eq!(finding(&agent, "catalog", PAUSED).await?, Some(("firing".to_owned(), since.clone())));
    let file = agent.dir().join("state/catalog.json");
    wait_until("it is saved", SOON, async || {
        Ok(std::fs::read_to_string(&file)?.contains("ReplayPaused").then_some(()))
    })
    .await?;
    agent.server.kill().await?;
    agent.start_again().await?;
    let seen = wait_until("both servers were asked", SOON, async || {
        let status = agent.json("/api/v1/status").await?;
        let now = finding(&agent, "catalog", PAUSED).await?;
        assert_eq!(now, Some(("firing".to_owned(), since.clone())), "at no moment");
        Ok((status["pairs"][0]["channels"][0]["reason"] == "paused").then_some(now))
    });
    seen.await?;
    let told = crate::site::told(&alertmanager.receiver.notices(), PAUSED);
    assert_eq!(told, [("agent".to_owned(), "firing".to_owned())], "no false end, no second call");
    pair.standby.resume_replay().await?;
    alertmanager.receiver.wait_for(PAUSED, "resolved", &[], SOON).await?;
    Ok(())
}

#[tokio::test]
async fn other_alertmanagers_are_told_from_the_reload_on() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let plan = |name: &str| standbywatch_lab::AlertmanagerPlan { name: name.to_owned(), ..Default::default() };
    let (one, two) =
        (Alertmanager::start_as(&lab, plan("one")).await?, Alertmanager::start_as(&lab, plan("two")).await?);
    let agent = agent(&lab, "", pushing_to(&[one.url()]), LIFECYCLE).await?;
    one.wait_for_alert(UNKNOWN, &[], SOON).await?;
    assert_eq!(reload(&agent, &pushing_to(&[two.url()])).await?.status, 200);
    let told = two.wait_for_alert(UNKNOWN, &[], SOON).await?;
    assert_eq!(told.starts_at, one.wait_for_alert(UNKNOWN, &[], SOON).await?.starts_at, "the same alert");
    // A mistake in the list leaves the ones before in use.
    let answer = reload(&agent, &pushing_to(&["ftp://127.0.0.1".to_owned()])).await?;
    assert!(answer.status == 500 && answer.text.contains("neither http:// nor https://"), "{}", answer.text);
    two.wait_for_alert("StandbyAgentReloadFailed", &[("source", "agent")], SOON).await?;
    Ok(())
}

#[tokio::test]
async fn the_other_node_s_agent_is_let_in_until_its_section_is_removed() -> Result<()> {
    let lab = Lab::bare()?;
    let made = Command::new(PROGRAM).args(["peer", "init", "--directory"]).arg(lab.dir().join("peer")).output()?;
    let peer = String::from_utf8(made.stdout)?;
    let nodes = |agent: &str| {
        PAIR.replace("alpha: { ", &format!("alpha: {{ {agent}")).replace("beta: { ", &format!("beta: {{ {agent}"))
    };
    let with_agents =
        nodes("agent: 'https://127.0.0.1:9', ").replacen("https://127.0.0.1:9", "https://127.0.0.1:10", 1);
    let agent = agent(&lab, "", format!("{with_agents}{peer}"), &["--web.enable-lifecycle", "--node=alpha"]).await?;
    let door = async || Result::<u16>::Ok(agent.get("/api/v1/node?pair=catalog").await?.status);
    assert_eq!(door().await?, 401, "there, for who has the token");

    let answer = reload(&agent, &with_agents).await?;
    assert!(answer.status == 500 && answer.text.contains("peer"), "{}: {}", answer.status, answer.text);
    assert_eq!(door().await?, 401, "as it was");

    agent.write_config(PAIR)?;
    let answer = reload(&agent, PAIR).await?;
    println!("{} {}", answer.status, answer.text);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(matches!(door().await?, 403 | 404), "nobody is let in any more");
    assert!(!agent.get("/metrics").await?.text.contains("standby_agent_peer_up{"), "and nobody is asked");
    Ok(())
}

/// A pair's hub ends before the next one has asked: whoever watches the agent's life must not take that for its end.
#[tokio::test]
async fn a_reload_is_no_end_of_the_agent() -> Result<()> {
    let lab = Lab::bare()?;
    // Takes connections, and never answers: the new hub's first look takes as long as it may.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = silent.local_addr()?.port();
    let config = |interval: &str| {
        let pair = PAIR.replace("port: 1,", &format!("port: {port},"));
        format!("{pair}    postgres: {{ interval: {interval}, timeout: 3s }}\n")
    };
    let agent = agent(&lab, "", config("1s"), LIFECYCLE).await?;
    let slower = config("2s");
    let answer = reload(&agent, &slower);
    let mut answer = std::pin::pin!(answer);
    let mut looks = 0;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer?,
            told = agent.get("/-/healthy") => assert_eq!(told?.status, 200, "after {looks} looks"),
        }
        looks += 1;
    };
    assert_eq!(answer.status, 200);
    assert!(looks > 3, "the reload took too short a time to tell: {looks} looks");
    assert_eq!(agent.get("/-/healthy").await?.status, 200);
    Ok(())
}
