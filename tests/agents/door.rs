//! Who is let in where agents ask each other, and who this process says that it is.

use std::process::Command;
use std::time::Duration;

use standbywatch_lab::{Context, Result, http, wait_until};

use crate::site::{Plan, Site, Told, tells};

const PATH: &str = "/api/v1/node?pair=catalog";

#[tokio::test]
async fn without_the_token_nobody_learns_anything() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    let answer = http::get(&site.agents.alpha.url(PATH)?).await?;
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert!(!answer.text.contains("catalog") && !answer.text.contains("alpha"), "{}", answer.text);
    Ok(())
}

#[tokio::test]
async fn another_token_is_told_with_its_cure_and_mended_by_copying_the_file() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    // Both read the one file here: beta's agent is given a file of its own.
    let (right, own) = (site.lab.dir().join("peer/peer.token"), site.lab.write("own.token", "0123456789abcdef\n")?);
    let beta = &site.agents.beta;
    let text = std::fs::read_to_string(beta.dir().join("standbywatch.yml"))?;
    let peer = site.lab.dir().join("peer");
    let files =
        format!("  certificate: {}\n  key: {}\n", peer.join("peer.crt").display(), peer.join("peer.key").display());
    let changed = text.replace(&right.display().to_string(), &own.display().to_string()) + &files;
    beta.write_config(&changed)?;
    beta.hang_up()?;
    tells(&site.agents.alpha, &Told::warned("postgres", &["peer_unreachable"], true), Duration::from_secs(20)).await?;
    let status = site.agents.alpha.json("/api/v1/status").await?;
    let failure = status["pairs"][0]["peers"][0]["failure"].as_str().context("a failure")?;
    assert!(failure.contains("beta") && failure.contains("does not take our token"), "{failure}");
    std::fs::copy(&right, &own)?;
    beta.hang_up()?;
    site.well().await
}

#[tokio::test]
async fn another_certificate_is_not_believed() -> Result<()> {
    let Some(site) = Site::start(&Plan::default()).await? else { return Ok(()) };
    site.well().await?;
    let alpha = &site.agents.alpha;
    let text = std::fs::read_to_string(alpha.dir().join("standbywatch.yml"))?;
    let fingerprint = text.lines().find_map(|line| line.trim().strip_prefix("fingerprint: sha256:")).context("one")?;
    // An agent whose own files do not fit its fingerprint keeps the configuration that it had.
    alpha.write_config(&text.replace(fingerprint, &"ab".repeat(32)))?;
    alpha.hang_up()?;
    let refused = wait_until("the reload is refused", Duration::from_secs(20), async || {
        Ok(alpha.server.log().contains("must belong together").then_some(()))
    });
    refused.await?;
    site.well().await
}

#[test]
fn who_is_neither_an_agent_of_the_pair_nor_an_observer_does_not_start() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/right/two-agents.yml");
    for (flags, told) in [(vec![], "this machine ("), (vec!["--node=gamma"], "--node=gamma is none of them")] {
        let output = Command::new(env!("CARGO_BIN_EXE_standbywatch"))
            .args(["run", "--web.listen-address=127.0.0.1:0", "--config.file", file])
            .args(&flags)
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("pair catalog") && text.contains(told) && text.contains("--observer"), "{text}");
    }
}
