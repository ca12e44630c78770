//! Everything of the demo: the pair, the agent that watches it, and who is told.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::watched::{Watched, product_program};
use crate::{
    Agent, AgentOptions, AgentPair, AgentPairOptions, Alertmanager, AlertmanagerPlan, Lab, Meet, Monitoring,
    MonitoringOptions,
};

/// How long the demo's rules hold, in seconds. The product's own hold times are up to a minute.
pub(super) const HOLD: u64 = 2;

/// Those rules whose hold time would make a demo long.
const HELD: [&str; 7] = [
    "StandbyReplicationUnknown",
    "StandbyPostgresNoPrimary",
    "StandbyConfigSyncStale",
    "StandbyKvstoreWritesBlocked",
    "StandbySearchUnknown",
    "StandbySearchRed",
    "StandbyAgentPeerUnreachable",
];

/// Who watches the pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One agent that asks both nodes.
    #[default]
    Observer,
    /// An agent on each node, that ask each other.
    Agents,
}

impl Topology {
    /// By the name that `make demo TOPOLOGY=` takes.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "observer" => Some(Self::Observer),
            "agents" => Some(Self::Agents),
            _ => None,
        }
    }
}

/// The agents of a demo.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
enum Watching {
    Observer(Agent),
    Agents(AgentPair),
}

/// All that runs. Ends when dropped, from top to bottom.
pub(super) struct Scene {
    watching: Watching,
    pub monitoring: Monitoring,
    pub watched: Watched,
    _lab: Lab,
}

impl Scene {
    /// Starts it all; returns once the agent listens and Prometheus knows its Alertmanager.
    pub async fn start(topology: Topology) -> Result<Self> {
        let program = product_program()?;
        let lab = Watched::open_lab()?;
        let watched = Watched::start(&lab).await?;
        let rules = HELD.map(|rule| format!("{rule}: {{ for: {HOLD}s }}"));
        let watching = match topology {
            Topology::Observer => {
                let config = Some(watched.configuration(&rules, None));
                Watching::Observer(
                    Agent::start(&lab, AgentOptions { program, config, ..AgentOptions::default() }).await?,
                )
            }
            Topology::Agents => {
                let options = AgentPairOptions { program, ..AgentPairOptions::default() };
                let config = |_: &str, meet: &Meet| watched.configuration(&rules, Some(meet));
                Watching::Agents(AgentPair::start(&lab, &options, config).await?)
            }
        };
        let mut targets = Vec::new();
        for agent in watching.all() {
            targets.push(agent.address()?);
        }
        let rules = vec![printed_rules(watching.first())?];
        let options = MonitoringOptions { targets, rules, ..MonitoringOptions::default() };
        let plan = AlertmanagerPlan { config: alertmanager_config()?, ..AlertmanagerPlan::default() };
        let monitoring = Monitoring::start_with(&lab, &options, Alertmanager::start_as(&lab, plan).await?).await?;
        Ok(Self { watching, monitoring, watched, _lab: lab })
    }

    /// The agent whose words are told in the terminal: the only one, or alpha's.
    pub fn agent(&self) -> &Agent {
        self.watching.first()
    }

    /// Where to look, one line each.
    pub fn addresses(&self) -> Result<String> {
        let prometheus = self.monitoring.prometheus.url();
        let other = match self.watching.all()[..] {
            [_, beta] => format!("  beta's agent  {}\n", beta.url("/")?),
            _ => String::new(),
        };
        Ok(format!(
            "  status page   {}\n{other}  replication   {}\n  metrics       {}\n  Prometheus    {prometheus}/alerts\n  \
             Alertmanager  {}/#/alerts\n",
            self.agent().url("/")?,
            self.agent().url("/monitor/replication")?,
            self.agent().url("/metrics")?,
            self.monitoring.alertmanager.url(),
        ))
    }
}

impl Watching {
    fn all(&self) -> Vec<&Agent> {
        match self {
            Self::Observer(agent) => vec![agent],
            Self::Agents(pair) => pair.both().to_vec(),
        }
    }

    fn first(&self) -> &Agent {
        match self {
            Self::Observer(agent) => agent,
            Self::Agents(pair) => &pair.alpha,
        }
    }
}

/// The example that comes with the product.
const EXAMPLE: &str = include_str!("../../../../alerts/alertmanager.example.yml");

/// Notifies of each alert at once; what explains what, and so mutes it, is as the product's example has it.
fn alertmanager_config() -> Result<String> {
    let at = EXAMPLE.find("\ninhibit_rules:").context("the example has inhibitions")?;
    Ok(format!(
        "route:\n  receiver: lab\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n\
         receivers:\n  - name: lab\n    webhook_configs:\n      - url: RECEIVER\n        send_resolved: true\n{}",
        &EXAMPLE[at..]
    ))
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
