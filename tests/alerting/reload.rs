//! Reloads: asked for by POST, told where they fail, and free of charge.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::Value;
use standbywatch_lab::{Agent, Lab, Need, PgPair, Result, http, wait_until};

use crate::site::{HELD, PAIR, SOON, UNKNOWN, agent, pushing_to};

const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];

async fn ask(agent: &Agent) -> Result<http::Answer> {
    http::send(Method::POST, &agent.url("/-/reload")?, None).await
}

#[tokio::test]
async fn a_reload_is_asked_for_by_post_where_that_is_enabled() -> Result<()> {
    let lab = Lab::bare()?;
    let closed = agent(&lab, "closed", PAIR.to_owned(), &[]).await?;
    let answer = ask(&closed).await?;
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("--web.enable-lifecycle"), "{}", answer.text);

    let agent = agent(&lab, "open", PAIR.to_owned(), LIFECYCLE).await?;
    assert_eq!(agent.get("/-/reload").await?.status, 405);
    assert_eq!(ask(&agent).await?.status, 200);
    assert!(!agent.get("/").await?.text.contains("StandbyAgentReloadFailed"));

    agent.write_config("pairs:\n  - name: catalog\n    nodse: {}\n")?;
    let answer = ask(&agent).await?;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("did you mean nodes?"), "{}", answer.text);
    // The old one runs on, and it is told on every face.
    let metrics = agent.metrics().await?;
    assert_eq!(metrics.value("standby_agent_reload_successful", &[])?, Some(0.0));
    assert_eq!(metrics.value("standby_replication_up", &[("pair", "catalog")])?, Some(0.0));
    wait_until("the page tells", SOON, async || {
        Ok(agent.get("/").await?.text.contains("StandbyAgentReloadFailed").then_some(()))
    })
    .await?;
    let status = agent.json("/api/v1/status").await?;
    assert_eq!(status["agent_findings"][0]["rule"], "StandbyAgentReloadFailed");
    assert!(agent.server.log().contains("configuration not reloaded"));

    agent.write_config(PAIR)?;
    assert_eq!(ask(&agent).await?.status, 200);
    wait_until("the page tells no more", SOON, async || {
        Ok((!agent.get("/").await?.text.contains("StandbyAgentReloadFailed")).then_some(()))
    })
    .await
}

/// When the alert of this rule began, as the page for programs has it.
async fn since(agent: &Agent, rule: &str) -> Result<Value> {
    wait_until("it is told", SOON, async || {
        let status = agent.json("/api/v1/status").await?;
        let findings = status["pairs"][0]["findings"].as_array().cloned().unwrap_or_default();
        Ok(findings.into_iter().find(|finding| finding["rule"] == rule).map(|finding| finding["since"].clone()))
    })
    .await
}

#[tokio::test]
async fn other_rules_leave_the_timers_of_the_unchanged_ones() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = agent(&lab, "", format!("{PAIR}rules:\n  {UNKNOWN}: {{ for: 10m }}\n"), LIFECYCLE).await?;
    let before = since(&agent, UNKNOWN).await?;
    let made = async || {
        let metrics = agent.metrics().await?;
        Result::<f64>::Ok(metrics.value("standby_agent_snapshots_total", &[("pair", "catalog")])?.unwrap_or_default())
    };
    let number: f64 = made().await?;
    let off = "StandbyPostgresNoPrimary: { enabled: false }";
    agent.write_config(&format!("{PAIR}rules:\n  {UNKNOWN}: {{ for: 10m }}\n  {off}\n"))?;
    assert_eq!(ask(&agent).await?.status, 200);
    wait_until("the other rule is off", SOON, async || {
        let status = agent.json("/api/v1/status").await?;
        let findings = status["pairs"][0]["findings"].as_array().cloned().unwrap_or_default();
        Ok(findings.iter().all(|finding| finding["rule"] != "StandbyPostgresNoPrimary").then_some(()))
    })
    .await?;
    assert_eq!(since(&agent, UNKNOWN).await?, before);
    assert!(made().await? > number, "the same hub counts on");
    Ok(())
}

/// With real servers: the sessions are the same before and after, and nothing grows.
#[tokio::test]
async fn a_hundred_reloads_leak_nothing_and_keep_the_sessions() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().start(&lab).await?;
    let node = |address: std::net::SocketAddr| {
        let (ip, port, user, file) = (address.ip(), address.port(), pair.user(), pair.password_file());
        format!("{{ host: {ip}, port: {port}, user: {user}, password_file: {} }}", file.display())
    };
    let (alpha, beta) = (node(pair.primary_address()), node(pair.standby_address()));
    let servers = format!(
        "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ postgres: {alpha} }}\n      beta: {{ postgres: {beta} }}\n"
    );
    let nobody = ["http://127.0.0.1:1".to_owned()];
    let alerting = pushing_to(&nobody).replace(PAIR, "");
    let agent = agent(&lab, "", format!("{servers}{alerting}"), LIFECYCLE).await?;
    let sessions = async || {
        let pids = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE application_name = 'standbywatch'";
        let both = (pair.primary.value(pids).await?, pair.standby.value(pids).await?);
        Ok(both.0.is_some().then_some(()).and(both.1.is_some().then_some(both)))
    };
    let before = wait_until("both sessions are there", SOON, async || sessions().await).await?;
    let usage = async || {
        let metrics = agent.metrics().await?;
        let value = |name: &str| -> Result<f64> { Ok(metrics.value(name, &[])?.unwrap_or_default()) };
        Result::<(f64, f64)>::Ok((value("process_open_fds")?, value("process_resident_memory_bytes")?))
    };
    let rules = [HELD.replace("1s", "2s"), HELD.to_owned()];
    let reload = async |number: usize| {
        let text = match number % 3 {
            0 => "pairs: [".to_owned(),
            other => format!("{servers}{}{}", rules[other - 1], alerting.replace(HELD, "")),
        };
        agent.write_config(&text)?;
        let status = ask(&agent).await?.status;
        assert_eq!(status, if number.is_multiple_of(3) { 500 } else { 200 });
        Result::<()>::Ok(())
    };
    // What is allocated once is there after some.
    for number in 0..20 {
        reload(number).await?;
    }
    let first = usage().await?;
    for number in 0..100 {
        reload(number).await?;
    }
    let mut last = first;
    wait_until("no descriptor is left over", SOON, async || {
        last = usage().await?;
        Ok((last.0 <= first.0 + 2.0).then_some(()))
    })
    .await?;
    println!(
        "descriptors {} -> {}, memory {:.1} -> {:.1} MiB",
        first.0,
        last.0,
        first.1 / 1048576.0,
        last.1 / 1048576.0
    );
    assert!(last.1 < first.1 + 3.0 * 1048576.0, "{first:?} {last:?}");
    assert_eq!(sessions().await?, Some(before), "the same sessions as before");
    let logged: BTreeSet<_> =
        agent.server.log().lines().filter(|line| line.contains("panic")).map(str::to_owned).collect();
    assert!(logged.is_empty(), "{logged:?}");
    Ok(())
}
