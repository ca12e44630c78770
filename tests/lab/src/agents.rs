//! Two agents, one on each node of a pair, and the cables by which they ask each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::agent::{Agent, AgentOptions};
use crate::cable::Cable;
use crate::lab::Lab;

/// How to start two agents.
#[derive(Debug, Default)]
pub struct AgentPairOptions {
    /// Path of the program, e.g. `env!("CARGO_BIN_EXE_standbywatch")`.
    pub program: PathBuf,
    /// Programs to start them with, by node: `("beta", ["faketime", "-f", "+10m"])`.
    pub wrapper: Vec<(&'static str, Vec<String>)>,
}

/// How the agents meet: what both configuration files say of it.
#[derive(Clone, Debug)]
pub struct Meet {
    /// `https://…` of alpha's agent, through its cable.
    pub alpha: String,
    /// The same of beta's.
    pub beta: String,
    /// The section `peer:` that `peer init` printed.
    pub peer: String,
}

/// An agent on alpha and one on beta. They end when dropped.
#[derive(Debug)]
pub struct AgentPair {
    /// The agent of alpha.
    pub alpha: Agent,
    /// The agent of beta.
    pub beta: Agent,
    /// By which beta's agent asks alpha's.
    pub to_alpha: Cable,
    /// By which alpha's agent asks beta's.
    pub to_beta: Cable,
    /// By which Prometheus scrapes alpha's agent: an address that stays when the agent is started again.
    pub watch_alpha: Cable,
    /// The same of beta's.
    pub watch_beta: Cable,
}

impl AgentPair {
    /// Makes key, certificate and token, and starts both agents. `config` gives the text of a node's configuration file.
    pub async fn start(lab: &Lab, options: &AgentPairOptions, config: impl Fn(&str, &Meet) -> String) -> Result<Self> {
        // Neither agent has a port yet: each cable is led to its agent once that listens.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let (to_alpha, to_beta) = (Cable::to(nowhere).await?, Cable::to(nowhere).await?);
        let (watch_alpha, watch_beta) = (Cable::to(nowhere).await?, Cable::to(nowhere).await?);
        let url = |cable: &Cable| format!("https://{}", cable.address());
        let meet = Meet { alpha: url(&to_alpha), beta: url(&to_beta), peer: peer_init(lab, options)? };
        let start = async |node: &'static str| {
            let wrapper = options.wrapper.iter().find(|(of, _)| *of == node).map(|(_, wrapper)| wrapper.clone());
            let options = AgentOptions {
                program: options.program.clone(),
                name: format!("agent-{node}"),
                config: Some(config(node, &meet)),
                args: vec![format!("--node={node}")],
                wrapper: wrapper.unwrap_or_default(),
                ..AgentOptions::default()
            };
            Agent::start(lab, options).await
        };
        let (alpha, beta) = (start("alpha").await?, start("beta").await?);
        let pair = Self { alpha, beta, to_alpha, to_beta, watch_alpha, watch_beta };
        pair.connect().await?;
        Ok(pair)
    }

    /// Leads the cables to where the agents listen now: after one was started again.
    pub async fn connect(&self) -> Result<()> {
        for (cables, agent) in
            [([&self.to_alpha, &self.watch_alpha], &self.alpha), ([&self.to_beta, &self.watch_beta], &self.beta)]
        {
            for cable in cables {
                cable.lead_to(agent.address()?).await?;
            }
        }
        Ok(())
    }

    /// Both agents.
    pub const fn both(&self) -> [&Agent; 2] {
        [&self.alpha, &self.beta]
    }
}

fn peer_init(lab: &Lab, options: &AgentPairOptions) -> Result<String> {
    let directory = lab.dir().join("peer");
    let made = Command::new(&options.program).args(["peer", "init", "--directory"]).arg(&directory).output();
    let made = made.context("peer init")?;
    if !made.status.success() {
        bail!("peer init: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(String::from_utf8(made.stdout)?)
}
