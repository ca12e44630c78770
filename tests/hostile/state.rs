//! A state directory that is full, in the way, or full of nonsense.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use standbywatch_lab::{Agent, AgentOptions, Lab, Result, full_disk, make_room, wait_until};

use crate::watch::{self, SOON};

fn config() -> String {
    let servers = watch::postgres_servers("catalog", "host: 127.0.0.1, port: 1", "host: 127.0.0.1, port: 2");
    format!("pairs:\n{servers}")
}

/// The state directory of the agent that will be started.
fn state(lab: &Lab) -> Result<PathBuf> {
    let directory = lab.dir().join("agent/state");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

async fn writes(agent: &Agent, outcome: &str) -> Result<f64> {
    let metrics = agent.metrics().await?;
    Ok(metrics.value("standby_agent_state_writes_total", &[("outcome", outcome)])?.unwrap_or_default())
}

async fn says(agent: &Agent, text: &str) -> Result<()> {
    wait_until(text, SOON, async || Ok(agent.server.log().contains(text).then_some(()))).await
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_its_end_too() -> Result<()> {
    let lab = Lab::bare()?;
    let options = AgentOptions {
        program: watch::PROGRAM.into(),
        config: Some(config()),
        wrapper: full_disk(),
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    wait_until("two writes have failed", SOON, async || Ok((writes(&agent, "failed").await? >= 2.0).then_some(())))
        .await?;
    says(&agent, "File too large").await?;
    let log = agent.server.log();
    let said = log.lines().filter(|line| line.contains("state cannot be saved") && line.contains("catalog.json"));
    assert_eq!(said.count(), 1, "{log}");
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    make_room(&agent)?;
    says(&agent, "state is saved again").await?;
    assert!(writes(&agent, "ok").await? >= 1.0);
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_directory_where_the_state_file_should_be() -> Result<()> {
    let lab = Lab::bare()?;
    // A directory where the file should be: it can be neither read nor replaced.
    std::fs::create_dir_all(state(&lab)?.join("catalog.json/in-the-way"))?;
    let agent = watch::agent(&lab, config()).await?;
    says(&agent, "state is not used").await?;
    says(&agent, "state cannot be saved").await?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    assert_eq!(agent.get("/-/healthy").await?.status, 200);
    assert_eq!(agent.stop().await?.code(), Some(0), "it ends although it cannot save");
    Ok(())
}

#[tokio::test]
async fn a_state_directory_that_takes_no_file() -> Result<()> {
    let lab = Lab::bare()?;
    std::fs::create_dir_all(lab.dir().join("agent"))?;
    // Not even root may make files there.
    symlink("/sys/kernel", lab.dir().join("agent/state"))?;
    let agent = watch::agent(&lab, config()).await?;
    says(&agent, "state cannot be saved").await?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    assert!(writes(&agent, "failed").await? >= 1.0);
    assert_eq!(agent.get("/-/healthy").await?.status, 200);
    assert_eq!(agent.stop().await?.code(), Some(0), "it ends although it cannot save");
    Ok(())
}

#[tokio::test]
async fn a_corrupt_file_is_set_aside_and_said() -> Result<()> {
    let lab = Lab::bare()?;
    let file = state(&lab)?.join("catalog.json");
    let nonsense: [&[u8]; 5] = [
        b"",
        b"{\"version\":1,\"pair\":\"cat",
        b"\xff\xfe\0",
        b"{\"version\":99}",
        b"{\"version\":1,\"pair\":\"catalog\",\"saved_at\":-5}",
    ];
    for bytes in nonsense {
        std::fs::write(&file, bytes)?;
        let agent = watch::agent(&lab, config()).await?;
        let log = agent.server.log();
        assert!(log.contains("state is not used") && log.contains("set aside as"), "{bytes:?}: {log}");
        assert_eq!(std::fs::read(file.with_extension("json.corrupt"))?, bytes);
        watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
        assert_eq!(agent.stop().await?.code(), Some(0));
        std::fs::remove_file(lab.dir().join("agent.log"))?;
    }
    Ok(())
}

/// Ended in the middle of whatever it does, it starts again with what was written last.
#[tokio::test]
async fn a_killed_agent_leaves_a_file_that_can_be_read() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = watch::agent(&lab, config()).await?;
    wait_until("state is saved", SOON, async || Ok((writes(&agent, "ok").await? >= 1.0).then_some(()))).await?;
    for _ in 0..3 {
        agent.server.kill().await?;
        agent.start_again().await?;
        watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    }
    assert!(!agent.server.log().contains("state is not used"), "{}", agent.server.log());
    Ok(())
}
