//! Key-value stores that refuse, and sockets that are none.

use std::net::SocketAddr;

use serde_json::Value;
use standbywatch_lab::{Agent, Context, Lab, Need, Persistence, RedisPair, RedisServer, Result, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::impostor::{Impostor, Says, WEB_PAGE, http};
use crate::watch::{self, SOON, memory, rises, tells_ok, tells_unknown};

/// Commands as a person types them, over one connection; for a store that wants its password first.
async fn typed(address: SocketAddr, lines: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{lines}QUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn outcome(agent: &Agent, pair: &str) -> Result<Value> {
    Ok(agent.json(&format!("/api/v1/pairs/{pair}")).await?["kvstore"]["outcome"].clone())
}

/// The channel is unknown for this reason, and the canary's outcome says the same.
async fn rejected(agent: &Agent, reasons: &[&str], word: &str) -> Result<()> {
    let told = tells_unknown(agent, "shop", "kvstore", reasons).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{told}");
    wait_until("the outcome is told", SOON, async || Ok((outcome(agent, "shop").await? == "rejected").then_some(())))
        .await
}

#[tokio::test]
async fn real_stores_that_refuse_and_relent() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let both = RedisPair::start(&lab, Persistence::Nothing).await?;
    let node = |address: SocketAddr| format!("address: {address}");
    let config = watch::stores("shop", &node(both.primary_address()), &node(both.standby_address()));
    let agent = watch::agent(&lab, format!("pairs:\n{config}")).await?;
    tells_ok(&agent, "shop", "kvstore").await?;
    for store in [&both.standby, &both.primary] {
        // A password that the configuration does not have; present sessions would be let be.
        let answer = typed(store.address(), "CONFIG SET requirepass hunter2\r\nCLIENT KILL TYPE normal\r\n").await?;
        assert!(answer.starts_with("+OK"), "{answer}");
        rejected(&agent, &["authentication"], "NOAUTH").await?;
        let answer = typed(store.address(), "AUTH hunter2\r\nCONFIG SET requirepass \"\"\r\n").await?;
        assert!(answer.starts_with("+OK\r\n+OK"), "{answer}");
        tells_ok(&agent, "shop", "kvstore").await?;

        let _: String = store.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
        // A write that the standby took and the primary refused is there after a failover: not the same as rejected.
        if std::ptr::eq(store, &both.standby) {
            rejected(&agent, &["rejected"], "OOM").await?;
        } else {
            tells_unknown(&agent, "shop", "kvstore", &["diverged", "rejected"]).await?;
        }
        let _: String = store.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        tells_ok(&agent, "shop", "kvstore").await?;
    }
    let port = both.primary_address().port().to_string();
    let _: String = both.standby.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
    let told = tells_unknown(&agent, "shop", "kvstore", &["rejected", "diverged"]).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("read only replica")), "{told}");
    let _: String = both.standby.command(&["REPLICAOF", "NO", "ONE"]).await?;
    tells_ok(&agent, "shop", "kvstore").await?;

    let _: String =
        typed(both.standby.address(), "CONFIG SET protected-mode yes\r\nCONFIG SET min-replicas-to-write 3\r\n")
            .await?;
    rejected(&agent, &["rejected"], "Not enough good replicas").await?;
    let _: String = both.standby.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await?;
    tells_ok(&agent, "shop", "kvstore").await
}

#[tokio::test]
async fn sockets_that_are_no_store() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else { return Ok(()) };
    let store = RedisServer::start(&lab, "store", Persistence::Nothing).await?;
    let primary = format!("address: {}", store.address());
    let page = http("400 Bad Request", "text/html", "", WEB_PAGE);
    let says: Vec<(&str, Says, &[&str])> = vec![
        ("web-page", Says::Last(page.clone()), &["protocol", "unreachable"]),
        ("page-held-open", Says::This(page), &["protocol"]),
        ("silent", Says::Nothing, &["blocked", "timeout"]),
        ("closes", Says::Last(Vec::new()), &["unreachable", "refused"]),
        ("zeros", Says::This(vec![0; 4096]), &["protocol"]),
        ("error", Says::This(b"-ERR out of order\r\n".to_vec()), &["refused", "rejected"]),
        ("no-error", Says::This(b"+\r\n".to_vec()), &["protocol", "lost", "rejected", "refused"]),
        ("loading", Says::This(b"-LOADING Redis is loading the dataset in memory\r\n".to_vec()), &["starting_up"]),
        ("denied", Says::This(b"-DENIED Redis is running in protected mode\r\n".to_vec()), &["permission"]),
        ("no-auth", Says::This(b"-NOAUTH Authentication required.\r\n".to_vec()), &["authentication"]),
        ("no-perm", Says::This(b"-NOPERM this user has no permissions\r\n".to_vec()), &["permission"]),
        ("moved", Says::This(b"-MOVED 3999 127.0.0.1:6381\r\n".to_vec()), &["refused", "rejected", "protocol"]),
        ("minus-length", Says::This(b"$-7\r\n".to_vec()), &["protocol"]),
        ("deep", Says::This(b"*1\r\n".repeat(20_000)), &["protocol", "timeout", "blocked", "unreachable"]),
    ];
    let mut config = "pairs:\n".to_owned();
    let mut impostors = Vec::new();
    for (name, says, reasons) in says {
        let impostor = Impostor::that_says(says).await?;
        config += &watch::stores(name, &primary, &format!("address: {}", impostor.address()));
        impostors.push((name, impostor, reasons));
    }
    config += &watch::stores("refused", "address: 127.0.0.1:1", "address: 127.0.0.1:2");
    let agent = watch::agent(&lab, config).await?;
    for (name, _, reasons) in &impostors {
        let told = tells_unknown(&agent, name, "kvstore", reasons).await?;
        println!("{name}: {} {}", told["reason"], told["detail"]);
    }
    tells_unknown(&agent, "refused", "kvstore", &["refused"]).await?;
    assert!(!agent.server.log().contains("panicked"), "{}", agent.server.log());
    Ok(())
}

/// A text of 400 MiB is announced, and comes.
#[tokio::test]
async fn a_flood_instead_of_a_store() -> Result<()> {
    let lab = Lab::bare()?;
    let flood = Impostor::that_says(Says::Nothing).await?;
    let config = watch::stores("flood", "address: 127.0.0.1:1", &format!("address: {}", flood.address()));
    let agent = watch::agent(&lab, format!("pairs:\n{config}")).await?;
    tells_unknown(&agent, "flood", "kvstore", &["blocked", "timeout"]).await?;
    let before = memory(&agent, "VmRSS")?;
    flood.change(|_| Says::Flood(b"$419430400\r\n".to_vec(), 400 << 20));
    rises("it is asked again and again", 4, || flood.connections()).await?;
    tells_unknown(&agent, "flood", "kvstore", &["too_large", "protocol"]).await?;
    let peak = memory(&agent, "VmHWM")?;
    println!("resident before {} KiB, at most {} KiB", before >> 10, peak >> 10);
    assert!(peak.saturating_sub(before) <= 20 << 20, "{before} bytes before, {peak} at most");
    agent.server.is_running().then_some(()).context("it runs on")
}
