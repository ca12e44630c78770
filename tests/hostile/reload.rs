//! SIGHUP with a good configuration and with broken ones.

use rustix::fs::{CWD, Mode, mkfifoat};
use standbywatch_lab::{Agent, Lab, Result, wait_until};

use crate::watch::{self, SOON};

fn watching(pair: &str) -> String {
    let servers = watch::postgres_servers(pair, "host: 127.0.0.1, port: 1", "host: 127.0.0.1, port: 2");
    format!("pairs:\n{servers}")
}

async fn reloaded(agent: &Agent, successful: f64, since: f64) -> Result<f64> {
    wait_until("the reload is told", SOON, async || {
        let metrics = agent.metrics().await?;
        let told = metrics.value("standby_agent_reload_successful", &[])?;
        let when = metrics.value("standby_agent_reload_success_timestamp_seconds", &[])?.unwrap_or_default();
        let fresh = if successful == 1.0 { when > since } else { when == since };
        Ok((told == Some(successful) && fresh).then_some(when))
    })
    .await
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_a_good_one_takes_effect() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = watch::agent(&lab, watching("catalog")).await?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    let mut loaded = reloaded(&agent, 1.0, 0.0).await?;
    let broken = ["", "pairs: [", "pairs:\n  - name: catalog\n", "\0\u{1}\u{2}", "{{{{{{", "pairs: &a [*a, *a]"];
    for (number, text) in broken.iter().enumerate() {
        agent.write_config(text)?;
        agent.hang_up()?;
        wait_until("it says so", SOON, async || {
            let said = agent.server.log().matches("configuration not reloaded").count();
            Ok((said > number).then_some(()))
        })
        .await?;
        reloaded(&agent, 0.0, loaded).await?;
        watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    }
    std::fs::remove_file(agent.dir().join("standbywatch.yml"))?;
    agent.hang_up()?;
    wait_until("it says so", SOON, async || Ok(agent.server.log().contains("No such file").then_some(()))).await?;
    let errors: Vec<String> =
        agent.server.log().lines().filter(|line| line.contains("not reloaded")).map(str::to_owned).collect();
    assert_eq!(errors.len(), broken.len() + 1, "one line each: {errors:#?}");
    assert!(errors.iter().all(|line| line.contains("level=error") && line.contains("standbywatch.yml")), "{errors:#?}");

    for pair in ["orders", "catalog"] {
        agent.write_config(&watching(pair))?;
        agent.hang_up()?;
        loaded = reloaded(&agent, 1.0, loaded).await?;
        watch::tells_unknown(&agent, pair, "postgres", &["refused"]).await?;
        let metrics = agent.metrics().await?;
        let pairs: Vec<_> =
            metrics.all("standby_pair_level", &[]).into_iter().map(|(labels, _)| labels["pair"].clone()).collect();
        assert_eq!(pairs, [pair], "the other one is gone");
    }
    Ok(())
}

/// Reading it never ends: the agent goes on as it was, and stops when told.
#[tokio::test]
async fn a_file_that_hangs_keeps_nothing_from_going_on() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = watch::agent(&lab, watching("catalog")).await?;
    let file = agent.dir().join("standbywatch.yml");
    std::fs::remove_file(&file)?;
    mkfifoat(CWD, &file, Mode::RUSR)?;
    agent.hang_up()?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    assert_eq!(agent.get("/-/healthy").await?.status, 200);
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}

/// More signals than reloads can be done: the last file counts.
#[tokio::test]
async fn a_storm_of_signals_ends_with_the_last_file() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = watch::agent(&lab, watching("catalog")).await?;
    for number in 0..20 {
        let text = if number % 2 == 0 { "pairs: [".to_owned() } else { watching(&format!("pair-{number}")) };
        agent.write_config(&text)?;
        agent.hang_up()?;
    }
    watch::tells_unknown(&agent, "pair-19", "postgres", &["refused"]).await?;
    wait_until("the last reload is told", SOON, async || {
        Ok((agent.metrics().await?.value("standby_agent_reload_successful", &[])? == Some(1.0)).then_some(()))
    })
    .await
}
