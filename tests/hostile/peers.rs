//! Agents of the other node that are none, or not as they should be: each of many pairs asks one of them. The primary's own server
//! proves that replication runs; nothing that such an agent says makes it more than that, or less.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Context, Lab, Need, PgPair, Result, wait_until};

use crate::impostor::{Impostor, Says, WEB_PAGE, http};
use crate::watch::{self, PROGRAM, SOON};

/// What the standby's agent of version 0.1.0 answered once, about another pair of servers.
const RECORDED: &str = include_str!("../../src/facts/node_report/standby.json");
/// Which cluster it was about.
const CLUSTER: &str = "7713973194233620823";
const MIB: u64 = 1 << 20;
/// What the whole agent may take, in bytes, with over twenty pairs and no optimisation.
const MEMORY: u64 = 96 * MIB;

/// The recorded answer as one about the pair of this name, with some text replaced.
fn answer(pair: &str, replaced: &[(&str, &str)]) -> Vec<u8> {
    assert!(RECORDED.contains(CLUSTER), "{RECORDED}");
    // Of another cluster, for certain: the laboratory's own, unpacked from its cache, may be the very one that was recorded.
    let mut text = RECORDED.replace("\"pair\": \"catalog\"", &format!("\"pair\": \"{pair}\"")).replace(CLUSTER, "1");
    for (old, new) in replaced {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    http("200 OK", "application/json", "", &text)
}

fn says(status: &str, headers: &str, body: &str) -> Says {
    Says::This(http(status, "text/html", headers, body))
}

/// Name of the pair, what its other agent says, and what is then told of that agent.
fn strangers() -> Vec<(&'static str, Says, &'static [&'static str])> {
    let recorded = |pair: &str, replaced: &[(&str, &str)]| Says::This(answer(pair, replaced));
    let whole = answer("cut-short", &[]);
    let unknown: String = (0..20_000).map(|number| format!("\"reading-{number}\": {{\"facts\": []}}, ")).collect();
    let endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
    let (long, huge) = (format!("\"{}\"", "n".repeat(MIB as usize / 2)), format!("\"readings\": {{{unknown}"));
    let age = "\"asked_ago\": 0.294561666";
    let protocol = "\"protocol\": 1, \"readable_by\": 1";
    vec![
        ("as-it-should-be", recorded("as-it-should-be", &[]), &[]),
        ("fifty-mebibytes", Says::Flood(endless, 50 * MIB), &["is over 1 MiB", "check the URL"]),
        ("web-page", says("200 OK", "", WEB_PAGE), &["no answer of an agent", "check the URL"]),
        ("half-of-it", says("200 OK", "", &RECORDED[..900]), &["no answer of an agent", "EOF"]),
        ("cut-short", Says::Last(whole[..whole.len() - 100].to_vec()), &["cut short"]),
        ("silent", Says::Nothing, &["no complete answer within 3s", "is it running"]),
        ("a-byte-a-second", Says::Drip(whole.clone(), Duration::from_secs(1)), &["no complete answer within 3s"]),
        ("no-http", Says::Last(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), &["check the URL"]),
        ("another-pair", recorded("orders", &[]), &["of pair orders", "--node"]),
        (
            "another-node",
            recorded("another-node", &[("\"node\": \"beta\"", "\"node\": \"gamma\"")]),
            &["agent of gamma", "--node"],
        ),
        ("redirect", says("302 Found", "location: http://127.0.0.1:1/\r\n", ""), &["redirect", "its own address"]),
        ("no-token", says("401 Unauthorized", "", ""), &["does not take our token", "copy"]),
        ("forbidden", says("403 Forbidden", "", ""), &["over TLS only", "https://"]),
        ("not-found", says("404 Not Found", "", ""), &["no agent of a node of pair not-found"]),
        ("broken", says("500 Internal Server Error", "", WEB_PAGE), &["status 500", "look at its log"]),
        ("protocol-0", recorded("protocol-0", &[(protocol, "\"protocol\": 0")]), &["too old", "update it"]),
        ("protocol-2", recorded("protocol-2", &[(protocol, "\"protocol\": 2")]), &["version 2 of", "update this one"]),
        ("protocol-999", recorded("protocol-999", &[(protocol, "\"protocol\": 999")]), &["update this one"]),
        ("long-name", recorded("long-name", &[("\"beta\", \"run\"", &format!("{long}, \"run\""))]), &["agent of nnn"]),
        // These are agents; one of their readings is none, or there is much that is not known here.
        ("much-unknown", recorded("much-unknown", &[("\"readings\": {", &huge)]), &[]),
        ("negative-age", recorded("negative-age", &[(age, "\"asked_ago\": -5.0")]), &[]),
        ("age-of-ages", recorded("age-of-ages", &[(age, "\"asked_ago\": 1e300")]), &[]),
        ("from-the-future", recorded("from-the-future", &[(age, "\"asked_ago\": 0.1")]), &[]),
    ]
}

fn peer_init(lab: &Lab, name: &str) -> Result<String> {
    let made = Command::new(PROGRAM).args(["peer", "init", "--directory"]).arg(lab.dir().join(name)).output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?)
}

/// A pair whose standby's agent is asked at this address.
fn pair_of(name: &str, url: &str, servers: &PgPair) -> String {
    let (alpha, user, file) = (servers.primary_address(), servers.user(), servers.password_file().display());
    let postgres = format!("host: {}, port: {}, user: {user}, password_file: {file}", alpha.ip(), alpha.port());
    format!(
        "  - name: {name}\n    nodes:\n      alpha: {{ agent: 'http://127.0.0.1:1', postgres: {{ {postgres} }} }}\n      \
         beta: {{ agent: '{url}', postgres: {{ {postgres}, replica: {{ slot: beta }} }} }}\n    \
         postgres: {{ interval: 5s }}\n"
    )
}

fn of_pair<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let pairs = status["pairs"].as_array().context("pairs")?;
    pairs.iter().find(|pair| pair["pair"] == name).with_context(|| format!("{name}: {status}"))
}

/// So many pairs in one agent: sessions of all of them begin at once, and each has to be there within its three seconds.
const AT_ONCE: usize = 7;

#[tokio::test]
async fn whatever_is_there_in_place_of_the_other_agent_is_told_and_makes_nothing_ok() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let servers = PgPair::builder().start(&lab).await?;
    let peer = peer_init(&lab, "peer")?;
    let start = async |name: &str, config: String| {
        let args = vec!["--node=alpha".to_owned()];
        let name = name.to_owned();
        Agent::start(
            &lab,
            AgentOptions { program: PROGRAM.into(), name, config: Some(config), args, ..Default::default() },
        )
        .await
    };
    let mut impostors = Vec::new();
    let mut strange = Vec::new();
    for (name, says, words) in strangers() {
        let impostor = Impostor::that_says(says).await?;
        strange.push((name, format!("http://{}", impostor.address()), words));
        impostors.push(impostor);
    }
    // Asked over TLS: who speaks none, and an agent with files of its own.
    let others =
        format!("pairs:\n{}{}", pair_of("catalog", "https://127.0.0.1:1", &servers), peer_init(&lab, "others")?);
    let other = start("other", others).await?;
    strange.push(("no-tls", format!("https://{}", impostors[0].address()), &["TLS", "peer.crt"]));
    strange.push((
        "wrong-certificate",
        format!("https://{}", other.address()?),
        &["fingerprint is configured", "peer.crt"],
    ));

    for (number, some) in strange.chunks(AT_ONCE).enumerate() {
        let pairs: String = some.iter().map(|(name, url, _)| pair_of(name, url, &servers)).collect();
        let agent = start(&format!("agent-{number}"), format!("pairs:\n{pairs}{peer}")).await?;
        for (name, _, words) in some {
            is_told(&agent, name, words).await?;
        }
        // Long enough for each to have been asked again.
        let begun = tokio::time::Instant::now();
        wait_until("time has gone by", SOON, async || {
            let status = agent.json("/api/v1/status").await?;
            for (name, ..) in some {
                let channel = &of_pair(&status, name)?["channels"][0];
                assert_ne!(channel["level"], "ok", "{name}: {channel}");
            }
            Ok((begun.elapsed() > Duration::from_secs(7)).then_some(()))
        })
        .await?;
        let most = watch::memory(&agent, "VmHWM")?;
        println!("{} MiB at most", most / MIB);
        assert!(most < MEMORY, "{} MiB", most / MIB);
        assert!(!agent.server.log().contains("panic"), "{}", agent.server.log());
        assert_eq!(agent.stop().await?.code(), Some(0));
    }
    Ok(())
}

/// What the agent says of the other one of this pair; its own server proves the replication all the same.
async fn is_told(agent: &Agent, name: &str, words: &[&str]) -> Result<()> {
    let spoilt = ["negative-age", "age-of-ages", "from-the-future"];
    let mut last = Value::Null;
    let told = wait_until("it is told", 3 * SOON, async || {
        let status = agent.json("/api/v1/status").await?;
        last = of_pair(&status, name)?.clone();
        let (peer, channel) = (&last["peers"][0], &last["channels"][0]);
        let failure = peer["failure"].as_str().unwrap_or_default();
        let of_it = failure.starts_with("the agent of beta: ") && words.iter().all(|word| failure.contains(word));
        let proven = |reason: &str| channel["level"] == "warning" && channel["reason"] == reason;
        let right = match (words.is_empty(), spoilt.contains(&name)) {
            (false, _) => peer["up"] == false && of_it && proven("peer_unreachable"),
            (true, true) => peer["up"] == true && proven("protocol"),
            (true, false) => peer["up"] == true,
        };
        Ok(right.then(|| failure.to_owned()))
    });
    let failure = told.await.with_context(|| format!("{name}: wanted {words:?}, but {last}"))?;
    println!("{name}: {failure}");
    assert!(failure.chars().count() < 700, "{name}: {} characters", failure.len());
    let up = agent.metrics().await?.value("standby_replication_up", &[("pair", name)])?;
    assert!(words.is_empty() || up == Some(1.0), "{name}: its own server proves it");
    Ok(())
}
