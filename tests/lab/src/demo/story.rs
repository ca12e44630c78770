//! The worst hour, played to its end: the primary dies, the agent is asked what a promotion costs, the standby is promoted.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::scene::Scene;
use super::watched::product_program;
use crate::wait_until;

/// The agent gives a primary up when nobody hears from it any more.
const GONE: Duration = Duration::from_secs(60);
const FOLLOWED: Duration = Duration::from_secs(30);

/// What follows once the primary is dead; returns what to say of it in the other terminal.
pub(super) async fn promote(scene: &Scene, tell: impl Fn(&str)) -> Result<String> {
    let pair = async || scene.agent().json("/api/v1/pairs/catalog").await;
    wait_until("the agent says that the primary is gone", GONE, async || {
        Ok((pair().await?["failover"]["verdict"] == "primary_gone").then_some(()))
    })
    .await?;
    let url = scene.agent().url("")?;
    let mut failover = Command::new(product_program()?);
    failover.args(["failover", "catalog", "--url", &url]);
    let told = tokio::task::spawn_blocking(move || failover.output()).await?.context("ask `standbywatch failover`")?;
    tell("story    `standbywatch failover` says THE PRIMARY IS GONE; what it says stands in the other terminal");
    scene.watched.postgres.standby.promote().await?;
    scene.watched.lead_application(true).await?;
    tell("story    beta was promoted, and the application writes there");
    wait_until("the agent says that beta is the primary", FOLLOWED, async || {
        Ok((pair().await?["roles"]["primary"] == "beta").then_some(()))
    })
    .await?;
    tell("story    the agent has followed: beta is the primary");
    Ok(format!(
        "`standbywatch failover` said before the promotion:\n\n{}\nThen: SELECT pg_promote() on beta. The agent has followed: beta is the primary.\n",
        String::from_utf8_lossy(&told.stdout)
    ))
}
