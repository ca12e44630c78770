//! Between the agent and an Alertmanager: a front that wants a token, and clocks that differ.

use std::net::SocketAddr;

use standbywatch_lab::{Agent, AgentOptions, Alertmanager, Lab, Need, Result, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::site::{HELD, PAIR, PROGRAM, SOON, UNKNOWN, agent, pushing_to};

/// In front of an Alertmanager, under a path of its own: lets in who shows this token.
async fn front(behind: SocketAddr, token: &'static str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/behind/the/front", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { drop(pass(stream, behind, token).await) });
        }
    });
    Ok(url)
}

async fn pass(mut client: TcpStream, behind: SocketAddr, token: &str) -> Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.lines().any(|line| line.eq_ignore_ascii_case(&format!("authorization: bearer {token}"))) {
        client.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        return Ok(());
    }
    let mut server = TcpStream::connect(behind).await?;
    server.write_all(head.replacen("/behind/the/front/", "/", 1).as_bytes()).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn pushes(agent: &Agent, outcome: &str) -> Result<f64> {
    let metrics = agent.metrics().await?;
    Ok(metrics.value("standby_agent_pushes_total", &[("outcome", outcome)])?.unwrap_or_default())
}

#[tokio::test]
async fn behind_a_front_that_wants_a_bearer_token() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    let front = front(alertmanager.address(), "hunter2").await?;
    let token = lab.write("token", "an old one\n")?;
    let config = format!(
        "{PAIR}{HELD}alerting:\n  alertmanagers: [{front}]\n  access: {{ bearer_file: {} }}\n  external_labels: {{ site: fra1 }}\n",
        token.display()
    );
    let agent = agent(&lab, "", config, &[]).await?;
    wait_until("not let in", SOON, async || Ok((pushes(&agent, "failed").await? > 0.0).then_some(()))).await?;
    assert!(alertmanager.alerts().await?.is_empty());
    std::fs::write(&token, "hunter2\n")?;
    let alert = alertmanager.wait_for_alert(UNKNOWN, &[("source", "agent"), ("site", "fra1")], SOON).await?;
    assert_eq!(alert.state, "active");
    assert_eq!(pushes(&agent, "refused").await?, 0.0, "a token that is not taken may be changed: tried again");
    let log = agent.server.log();
    assert!(log.contains("status 401") && !log.contains("hunter2") && !log.contains("an old one"), "{log}");
    Ok(())
}

/// The clock of the agent's machine is ten minutes slow: an end three minutes ahead would be long past for the Alertmanager.
#[tokio::test]
async fn an_alert_of_an_agent_whose_clock_is_slow_is_told_all_the_same() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring, Need::Faketime])? else { return Ok(()) };
    let alertmanager = Alertmanager::start(&lab).await?;
    let options = AgentOptions {
        program: PROGRAM.into(),
        config: Some(pushing_to(&[alertmanager.url()])),
        wrapper: ["faketime", "-f", "-10m"].map(str::to_owned).to_vec(),
        env: vec![("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned())],
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    let alert = alertmanager.wait_for_alert(UNKNOWN, &[("source", "agent")], SOON).await?;
    assert_eq!(alert.state, "active", "{alert:?}");
    let slow = agent.json("/api/v1/status").await?["time"].as_str().unwrap_or_default().to_owned();
    let ahead = |time: &str| Result::<f64>::Ok(time.parse::<jiff::Timestamp>()?.as_duration().as_secs_f64());
    let ahead = ahead(&alert.ends_at)? - ahead(&slow)?;
    assert!((700.0..800.0).contains(&ahead), "ten minutes, and three: {ahead}");
    alertmanager.receiver.wait_for(UNKNOWN, "firing", &[], SOON).await?;
    assert!(agent.server.log().contains("its clock is ahead of this machine"), "{}", agent.server.log());
    let told = crate::site::told(&alertmanager.receiver.notices(), UNKNOWN);
    assert_eq!(told, [("agent".to_owned(), "firing".to_owned())], "no false end");
    Ok(())
}
