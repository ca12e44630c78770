//! Stores that listen on loopback: each is read by its own node's agent, and nobody takes its own for the other's.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{
    Agent, AgentPair, AgentPairOptions, Context, Gateway, Lab, Mode, Need, Persistence, RedisPair, Result, Skips,
    wait_until,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(60);
const DIVERGED: &str = "StandbyKvstoreDiverged";

struct Site {
    agents: AgentPair,
    stores: RedisPair,
    gateway: Gateway,
    lab: Lab,
}

impl Site {
    /// The same file on both nodes says `127.0.0.1:6379` of both stores, and each agent finds its own there: here, where both nodes are
    /// one machine, each agent's file says its own store's address of both.
    async fn start(channel: impl Fn(SocketAddr) -> String) -> Result<Option<Self>> {
        let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(None) };
        let stores = RedisPair::start(&lab, Persistence::Nothing).await?;
        let gateway = Gateway::start(stores.standby.address(), stores.primary.address()).await?;
        let options =
            AgentPairOptions { program: env!("CARGO_BIN_EXE_standbywatch").into(), ..AgentPairOptions::default() };
        let channel = channel(gateway.address());
        let agents = AgentPair::start(&lab, &options, |node, meet| {
            let own = if node == "alpha" { stores.primary.address() } else { stores.standby.address() };
            let store = format!("kvstore: {{ redis: {{ address: \"{own}\" }} }}");
            format!(
                "pairs:\n  - name: shop\n    role_from: {{ fixed: alpha }}\n    nodes:\n      \
                 alpha: {{ agent: '{}', {store} }}\n      beta: {{ agent: '{}', {store} }}\n    \
                 kvstore: {{ interval: 1s, timeout: 3s, sla: 1s, {channel} }}\n{}",
                meet.alpha, meet.beta, meet.peer
            )
        })
        .await?;
        Ok(Some(Self { agents, stores, gateway, lab }))
    }

    async fn both_tell(&self, level: &str, reasons: &[&str]) -> Result<Value> {
        tells(&self.agents.beta, level, reasons).await?;
        tells(&self.agents.alpha, level, reasons).await
    }

    async fn both_find(&self, rule: &str, there: bool) -> Result<()> {
        for agent in self.agents.both() {
            wait_until("the finding", SOON, async || {
                let pair = agent.json("/api/v1/pairs/shop").await?;
                let findings = pair["findings"].as_array().cloned().unwrap_or_default();
                Ok((findings.iter().any(|finding| finding["rule"] == rule) == there).then_some(()))
            })
            .await
            .with_context(|| format!("{rule}: {there}"))?;
        }
        Ok(())
    }

    /// Keys in both stores that begin with this, the primary's first.
    async fn keys(&self, pattern: &str) -> Result<[Vec<String>; 2]> {
        let primary = self.stores.primary.command(&["KEYS", pattern]).await?;
        Ok([primary, self.stores.standby.command(&["KEYS", pattern]).await?])
    }
}

/// Awaits that the channel tells this level for one of these reasons (none: no reason); returns its part of the API.
async fn tells(agent: &Agent, level: &str, reasons: &[&str]) -> Result<Value> {
    let mut last = String::new();
    let told = wait_until("the channel tells it", SOON, async || {
        let pair = agent.json("/api/v1/pairs/shop").await?;
        let channel = &pair["channels"][0];
        let fits = channel["reason"].as_str().map_or(reasons.is_empty(), |reason| reasons.contains(&reason));
        let up = agent.metrics().await?.value("standby_replication_up", &[("channel", "kvstore")])?;
        last = format!("{channel} {} up={up:?}", pair["kvstore"]);
        let up_fits = up == Some(if level == "unknown" { 0.0 } else { 1.0 });
        Ok((channel["level"] == level && fits && up_fits).then(|| pair["kvstore"].clone()))
    })
    .await;
    told.with_context(|| format!("{}: {level} {reasons:?}, but last {last}", agent.server.name()))
}

#[tokio::test]
async fn what_both_agents_read_is_compared_and_nothing_is_written() -> Result<()> {
    let Some(site) = Site::start(|_| "observe: { sample: 20 }".to_owned()).await? else { return Ok(()) };
    let fill =
        "for i = 1, 300 do redis.call('SET', 'data:' .. i, i) redis.call('HSET', 'hash:' .. i, 'a', i) end return 1";
    for store in [&site.stores.primary, &site.stores.standby] {
        let _: i64 = store.command(&["EVAL", fill, "0"]).await?;
    }
    let told = site.both_tell("ok", &[]).await?;
    assert_eq!((&told["proof"], &told["observed"]["differs"]), (&"observed".into(), &false.into()), "{told}");
    assert_eq!(site.keys("standbywatch/*").await?, [[""; 0]; 2], "no agent writes where none can write to both");

    // They differ: only whoever looks at both can tell.
    let drift = "for i = 1, 300, 3 do redis.call('SET', 'data:' .. i, 'another') end return 1";
    let _: i64 = site.stores.standby.command(&["EVAL", drift, "0"]).await?;
    site.both_tell("unknown", &["diverged"]).await?;
    site.both_find(DIVERGED, true).await?;
    let _: i64 = site.stores.standby.command(&["EVAL", fill, "0"]).await?;
    site.both_tell("ok", &[]).await?;
    site.both_find(DIVERGED, false).await?;

    // One side missing, by its own agent's word: the store is gone, and its agent is not.
    site.stores.standby.server.stop().await?;
    site.both_tell("unknown", &["refused"]).await?;
    site.stores.standby.start_again().await?;
    let _: i64 = site.stores.standby.command(&["EVAL", fill, "0"]).await?;
    site.both_tell("ok", &[]).await?;

    // Without the other agent nothing is known of the other side.
    site.agents.to_beta.set(Mode::BlackHole);
    tells(&site.agents.alpha, "unknown", &["peer_unreachable"]).await?;
    site.agents.to_beta.set(Mode::Pass);
    tells(&site.agents.alpha, "ok", &[]).await?;
    site.agents.beta.server.kill().await?;
    tells(&site.agents.alpha, "unknown", &["peer_unreachable"]).await?;
    site.agents.beta.start_again().await?;
    site.agents.connect().await?;
    site.both_tell("ok", &[]).await?;
    let log = site.agents.alpha.server.log() + &site.agents.beta.server.log();
    assert!(!log.contains("data:") && !log.contains("another"), "keys and values are never logged");
    Ok(())
}

#[tokio::test]
async fn a_canary_through_the_gateway_is_read_on_each_side_by_that_side_s_own_agent() -> Result<()> {
    let channel =
        |gateway| format!("write_via: {{ redis: {{ address: \"{gateway}\" }} }}, lanes: {{ medium: 5s, slow: 10s }}");
    let Some(site) = Site::start(channel).await? else { return Ok(()) };
    let told = site.both_tell("ok", &[]).await?;
    assert_eq!((&told["proof"], &told["outcome"]), (&"round_trip".into(), &"ok".into()), "{told}");
    wait_until("the canaries that stay are there on both", SOON, async || {
        let pair = site.agents.alpha.json("/api/v1/pairs/shop").await?;
        let lanes = pair["kvstore"]["lanes"].as_array().cloned().unwrap_or_default();
        Ok((lanes.len() == 2 && lanes.iter().all(|lane| lane["outcome"] == "ok")).then_some(()))
    })
    .await?;
    let [primary, standby] = site.keys("standbywatch/shop/*").await?;
    // Three of each agent at most: before it knows the primary's agent, the standby's may have sent some itself.
    assert!(matches!(primary.len(), 3..=6) && primary.len() == standby.len(), "{primary:?} {standby:?}");

    for (skips, outcome) in [(Skips::Standby, "primary_only"), (Skips::Primary, "primary_stale")] {
        site.gateway.skip(skips);
        site.both_tell("unknown", &["diverged"]).await?;
        wait_until("its outcome", SOON, async || {
            let pair = site.agents.alpha.json("/api/v1/pairs/shop").await?;
            Ok((pair["kvstore"]["outcome"] == outcome).then_some(()))
        })
        .await?;
        site.both_find(DIVERGED, true).await?;
        site.gateway.skip(Skips::Nothing);
        site.both_tell("ok", &[]).await?;
        site.both_find(DIVERGED, false).await?;
    }

    // The primary's agent is gone: the standby's sends the canaries now and cannot see where they arrive there.
    site.agents.alpha.server.kill().await?;
    tells(&site.agents.beta, "unknown", &["peer_unreachable", "stale"]).await?;
    site.agents.alpha.start_again().await?;
    site.agents.connect().await?;
    site.both_tell("ok", &[]).await?;
    Ok(())
}

/// The status of alpha's agent's answer to a question that stands in `body`, and what it says.
async fn asked(site: &Site, method: &str, token: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(site.agents.alpha.address()?).await?;
    let head = format!(
        "{method} /api/v1/node/store?pair=shop HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    // It may answer and close before it has read all.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, answer))
}

#[tokio::test]
async fn the_door_to_a_store_opens_for_the_token_and_for_reads_only() -> Result<()> {
    let Some(site) = Site::start(|_| "observe: { sample: 5 }".to_owned()).await? else { return Ok(()) };
    let token = std::fs::read_to_string(site.lab.dir().join("peer/peer.token"))?;
    let token = token.trim();
    let identity = r#"{"protocol":1,"ask":"identity"}"#;
    for wrong in ["", "0123456789abcdef"] {
        let (status, answer) = asked(&site, "POST", wrong, identity).await?;
        assert_eq!(status, 401, "{answer}");
        assert!(!answer.contains("run_id") && !answer.contains("alpha"), "{answer}");
    }
    let (status, answer) = asked(&site, "POST", token, identity).await?;
    assert!(status == 200 && answer.contains("run_id") && answer.contains(r#""node":"alpha""#), "{answer}");
    let (status, answer) = asked(&site, "GET", token, "").await?;
    assert_eq!(status, 405, "{answer}");
    let (status, answer) = asked(&site, "POST", token, r#"{"protocol":1,"ask":{"put":"x"}}"#).await?;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = asked(&site, "POST", token, &"x".repeat(300_000)).await?;
    assert_eq!(status, 413, "{answer}");
    Ok(())
}
