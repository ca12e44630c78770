//! Pairs without PostgreSQL, each of one channel only: a file or a program on each node says who is the primary.

#![allow(clippy::disallowed_methods, reason = "a timestamp file holds wall time, and this test writes one")]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use standbywatch_lab::{
    Agent, AgentOptions, AgentPair, AgentPairOptions, Context, Lab, Meet, Need, Persistence, RedisPair, Result,
    SharedSearch, wait_until,
};

const SOON: Duration = Duration::from_secs(90);
const CHANNELS: [&str; 3] = ["search", "kvstore", "config"];

/// One pair for each channel, called as its channel.
fn configuration(lab: &Lab, stores: &RedisPair, engine: (&str, &str), seat: &str, meet: &Meet) -> String {
    let dir = lab.dir().display();
    let (url, index) = engine;
    let mut text = "pairs:\n".to_owned();
    for channel in CHANNELS {
        let node = |node: &str, slash: &str, store: std::net::SocketAddr| match channel {
            "search" => format!("search: {{ url: '{url}{slash}' }}"),
            "kvstore" => format!("kvstore: {{ redis: {{ address: {store} }}, local: false }}"),
            _ => format!("config: {{ root: {dir}/tree-{node}, timestamp_file: {dir}/{node}.stamp }}"),
        };
        let alpha = node("alpha", "", stores.primary_address());
        let beta = node("beta", "/", stores.standby_address());
        let more = match channel {
            "search" => format!("search: {{ indices: [{index}], yellow_is_ok: true, interval: 1s }}"),
            "kvstore" => "kvstore: { interval: 1s }".to_owned(),
            _ => "config: { period: 1h, interval: 1s }".to_owned(),
        };
        let who = match channel {
            "kvstore" => format!("{{ exec: [/bin/cat, '{dir}/who-{seat}'] }}"),
            _ => format!("{{ file: '{dir}/who-{seat}' }}"),
        };
        let (at_alpha, at_beta) = (&meet.alpha, &meet.beta);
        let _ = writeln!(
            text,
            "  - name: {channel}\n    role_from: {who}\n    nodes:\n      alpha: {{ agent: '{at_alpha}', {alpha} }}\n      \
             beta: {{ agent: '{at_beta}', {beta} }}\n    {more}"
        );
    }
    text + &meet.peer
}

/// What is expected of all three pairs.
enum Told<'a> {
    Primary(&'a str),
    /// No role is known; this is in the explanation.
    Nobody(&'a str),
}

async fn tells(agent: &Agent, told: &Told<'_>) -> Result<()> {
    for channel in CHANNELS {
        let last = std::cell::RefCell::new(Value::Null);
        let found = wait_until("the agent tells", SOON, async || {
            let pair = agent.json(&format!("/api/v1/pairs/{channel}")).await?;
            let page = agent.json(&format!("/monitor/replication?pair={channel}")).await?;
            let seen = pair["channels"][0].clone();
            let fits = match told {
                Told::Primary(primary) => {
                    pair["roles"]["primary"] == **primary && seen["level"] == "ok" && page["status"] == "ok"
                }
                Told::Nobody(word) => {
                    let known = pair["roles"]["primary"].is_string() || page["status"] != "unknown";
                    !known
                        && seen["reason"] == "role_unknown"
                        && seen["detail"].as_str().is_some_and(|text| text.contains(word))
                }
            };
            last.replace(serde_json::json!([pair["roles"], seen, page]));
            Ok(fits.then_some(()))
        });
        found.await.with_context(|| format!("{} of {channel}: last was {}", agent.server.name(), last.borrow()))?;
    }
    Ok(())
}

#[tokio::test]
async fn two_agents_tell_each_other_who_is_named_the_primary() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search, Need::Redis])? else { return Ok(()) };
    let shared = SharedSearch::join().await?;
    let index = shared.search.fresh_name("roles");
    shared.search.create_index(&index, 20, 0).await?;
    let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for node in ["alpha", "beta"] {
        lab.write(&format!("tree-{node}/app.conf"), "answer = 42\n")?;
        lab.write(&format!("{node}.stamp"), &format!("{now}\n"))?;
    }
    let name = |alpha: &str, beta: &str| -> Result<()> {
        lab.write("who-alpha", alpha)?;
        lab.write("who-beta", beta)?;
        Ok(())
    };
    name("alpha\n", "alpha\n")?;
    let url = shared.search.url();
    let options =
        AgentPairOptions { program: env!("CARGO_BIN_EXE_standbywatch").into(), ..AgentPairOptions::default() };
    let agents =
        AgentPair::start(&lab, &options, |seat, meet| configuration(&lab, &stores, (&url, &index), seat, meet)).await?;
    let observer = AgentOptions {
        program: env!("CARGO_BIN_EXE_standbywatch").into(),
        name: "observer".to_owned(),
        config: Some(std::fs::read_to_string(agents.alpha.dir().join("standbywatch.yml"))?),
        args: vec!["--observer".to_owned()],
        ..AgentOptions::default()
    };
    // It reads the same file as alpha's agent.
    let observer = Agent::start(&lab, observer).await?;
    let (both, all) = (agents.both(), [&agents.alpha, &agents.beta, &observer]);
    for agent in all {
        tells(agent, &Told::Primary("alpha")).await?;
    }

    // A failover that has reached one of the files only: two agents that are told another primary each know none.
    name("alpha\n", "beta\n")?;
    for agent in both {
        tells(agent, &Told::Nobody("both are told the same")).await?;
    }
    tells(&observer, &Told::Primary("alpha")).await?;
    name("beta\n", "beta\n")?;
    for agent in all {
        tells(agent, &Told::Primary("beta")).await?;
    }

    // One word is enough.
    std::fs::remove_file(lab.dir().join("who-alpha"))?;
    tells(&observer, &Told::Nobody("not known: /")).await?;
    for agent in both {
        tells(agent, &Told::Primary("beta")).await?;
    }

    name("gamma\n", "gamma\n")?;
    for agent in all {
        tells(agent, &Told::Nobody("name alpha or beta")).await?;
    }
    name("alpha\n", "alpha\n")?;
    for agent in all {
        tells(agent, &Told::Primary("alpha")).await?;
    }
    Ok(())
}
