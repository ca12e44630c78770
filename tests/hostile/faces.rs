//! Requests that are wrong, not meant for it, or far too many.

use std::time::Duration;

use standbywatch_lab::{Agent, Context, Lab, Result, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::watch::{self, SOON, memory};

async fn started(lab: &Lab) -> Result<Agent> {
    let servers = watch::postgres_servers("catalog", "host: 127.0.0.1, port: 1", "host: 127.0.0.1, port: 2");
    watch::agent(lab, format!("pairs:\n{servers}")).await
}

/// Sends bytes as they are; what comes back until the agent closes.
async fn raw(agent: &Agent, bytes: &[u8]) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(agent.address()?).await?;
        // It may have answered and closed before the last byte.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(SOON, exchange).await.context("the agent does not close")?
}

async fn ask(agent: &Agent, method: &str, path: &str, host: &str) -> Result<(u16, String)> {
    let answer =
        raw(agent, format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| answer.clone())?;
    Ok((status, answer))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn wrong_requests_get_their_status() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = started(&lab).await?;
    for path in
        ["/nothing", "/metrics/", "//", "/-/", "/api/v1/pairs/", "/monitor", "/%2e%2e/etc/passwd", "/api/v2/status"]
    {
        assert_eq!(ask(&agent, "GET", path, "localhost").await?.0, 404, "{path}");
    }
    assert_eq!(ask(&agent, "GET", "/api/v1/pairs/none", "localhost").await?.0, 404);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let (status, answer) = ask(&agent, method, "/metrics", "localhost").await?;
        assert_eq!(status, 405, "{method}");
        assert!(answer.to_lowercase().contains("\r\nallow: get, head\r\n"), "{method}: {answer}");
    }
    let (status, answer) = ask(&agent, "HEAD", "/metrics", "localhost").await?;
    assert_eq!((status, body(&answer)), (200, ""));
    let oversized = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(100 << 10));
    assert!(raw(&agent, oversized.as_bytes()).await?.starts_with("HTTP/1.1 431 "));
    let many: String = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    assert!(raw(&agent, many.as_bytes()).await?.starts_with("HTTP/1.1 431 "));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "y".repeat(100 << 10));
    let answer = raw(&agent, long_path.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    Ok(())
}

#[tokio::test]
async fn only_this_machine_sees_more_than_numbers() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = started(&lab).await?;
    for path in ["/", "/api/v1/status", "/api/v1/pairs/catalog"] {
        assert_eq!(ask(&agent, "GET", path, "localhost:19517").await?.0, 200, "{path}");
        for stranger in ["monitor.example", "127.0.0.1.evil.example:19517", "evil@localhost", ""] {
            let (status, answer) = ask(&agent, "GET", path, stranger).await?;
            assert_eq!(status, 403, "{path} as {stranger:?}");
            let told = body(&answer);
            assert!(told.contains("ssh -L") && told.lines().count() == 1 && !told.contains("catalog"), "{told}");
        }
    }
    for path in ["/metrics", "/monitor/replication", "/-/healthy", "/-/ready"] {
        assert_ne!(ask(&agent, "GET", path, "monitor.example").await?.0, 403, "{path} is open to all");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_request_ends_and_harms_nobody() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = started(&lab).await?;
    let noise: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let garbage: [&[u8]; 9] = [
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n\r\nhello\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nxxxxx",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &noise,
    ];
    for bytes in garbage {
        let answer = raw(&agent, bytes).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(answer.is_empty() || status.starts_with('4') || status.starts_with('5'), "{answer}");
    }
    assert_eq!(ask(&agent, "GET", "/-/healthy", "localhost").await?.0, 200);
    assert!(!agent.server.log().contains("panicked"), "{}", agent.server.log());
    Ok(())
}

/// Two hundred at once, then two hundred that say nothing: none waits for ever, and the agent answers again afterwards.
#[tokio::test]
async fn a_crowd_is_served_or_sent_away() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = std::sync::Arc::new(started(&lab).await?);
    let before = memory(&agent, "VmRSS")?;
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let agent = agent.clone();
        crowd.spawn(async move {
            raw(&agent, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await
        });
    }
    let mut served = 0;
    while let Some(answer) = crowd.join_next().await {
        let answer = answer??;
        let status = answer.split(' ').nth(1).unwrap_or("closed").to_owned();
        assert!(["200", "503", "closed"].contains(&status.as_str()), "{answer}");
        served += u32::from(status == "200");
    }
    assert!(served >= 40, "{served} of 200 were served");

    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(agent.address()?).await?);
    }
    // While they sit there the limit holds; they are sent away when no request comes.
    let began = tokio::time::Instant::now();
    wait_until("it answers again", SOON, async || {
        let (status, _) = ask(&agent, "GET", "/-/healthy", "localhost").await?;
        Ok((status == 200).then_some(()))
    })
    .await?;
    println!("{served} of 200 at once were served; after 200 silent ones it answers within {:.1?}", began.elapsed());
    drop(silent);
    let peak = memory(&agent, "VmHWM")?;
    assert!(peak.saturating_sub(before) <= 20 << 20, "{before} bytes before, {peak} at most");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    Ok(())
}
