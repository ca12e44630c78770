//! Everything of the demo: the pair, the agent that watches it, and who is told.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::watched::{Watched, product_program};
use crate::{Agent, AgentOptions, Lab, Monitoring, MonitoringOptions};

/// How long the demo's rules hold, in seconds. The product's own hold times are up to a minute.
pub(super) const HOLD: u64 = 2;

/// Those rules whose hold time would make a demo long.
const HELD: [&str; 5] = [
    "StandbyReplicationUnknown",
    "StandbyPostgresNoPrimary",
    "StandbyConfigSyncStale",
    "StandbyKvstoreWritesBlocked",
    "StandbySearchUnknown",
];

/// All that runs. Ends when dropped, from top to bottom.
pub(super) struct Scene {
    pub agent: Agent,
    pub monitoring: Monitoring,
    pub watched: Watched,
    _lab: Lab,
}

impl Scene {
    /// Starts it all; returns once the agent listens and Prometheus knows its Alertmanager.
    pub async fn start() -> Result<Self> {
        let program = product_program()?;
        let lab = Watched::open_lab()?;
        let watched = Watched::start(&lab).await?;
        let rules = HELD.map(|rule| format!("{rule}: {{ for: {HOLD}s }}"));
        let config = Some(watched.configuration(&rules));
        let agent = Agent::start(&lab, AgentOptions { program, config, ..AgentOptions::default() }).await?;
        let options = MonitoringOptions {
            targets: vec![agent.address()?],
            rules: vec![printed_rules(&agent)?],
            ..MonitoringOptions::default()
        };
        let monitoring = Monitoring::start(&lab, &options).await?;
        Ok(Self { agent, monitoring, watched, _lab: lab })
    }

    /// Where to look, one line each.
    pub fn addresses(&self) -> Result<String> {
        let prometheus = self.monitoring.prometheus.url();
        Ok(format!(
            "  status page   {}\n  replication   {}\n  metrics       {}\n  Prometheus    {prometheus}/alerts\n  \
             Alertmanager  {}/#/alerts\n",
            self.agent.url("/")?,
            self.agent.url("/monitor/replication")?,
            self.agent.url("/metrics")?,
            self.monitoring.alertmanager.url(),
        ))
    }
}

/// The rules as the product prints them for this configuration.
fn printed_rules(agent: &Agent) -> Result<String> {
    let printed = Command::new(product_program()?)
        .args(["rules", "--config.file"])
        .arg(agent.dir().join("standbywatch.yml"))
        .output()
        .context("print the rules")?;
    if !printed.status.success() {
        bail!("`standbywatch rules` failed: {}", String::from_utf8_lossy(&printed.stderr));
    }
    Ok(String::from_utf8(printed.stdout)?)
}
