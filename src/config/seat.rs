//! Which node of each pair this process is the agent of.

use std::sync::Arc;

use super::checked::{Config, PairConfig};
use super::peer::Seat;
use crate::names::Name;

/// What is said of this process.
#[derive(Clone, Debug, Default)]
pub struct Sitting {
    /// `--observer`: it probes every node from where it is.
    pub observer: bool,
    /// `--node`.
    pub node: Option<String>,
    /// This machine's host name.
    pub host: String,
}

/// Nodes have agents of their own, and this process is none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "pair {pair}: each node has an agent of its own, and {who} is none of them; start it on its node with --node={nodes}, \
     or with --observer to probe every node from here"
)]
pub struct NoSeat {
    pair: Name,
    who: String,
    nodes: String,
}

impl Config {
    /// The same configuration from this process's point of view.
    ///
    /// # Errors
    /// A pair with agents, and this process neither one of them nor an observer.
    pub fn seen_from(mut self, sitting: &Sitting) -> Result<Self, NoSeat> {
        let with_agents = self.pairs.iter().any(|pair| has_agents(pair));
        if let (Some(node), false) = (&sitting.node, with_agents && !sitting.observer) {
            let why = if sitting.observer { "--observer is given" } else { "no node names an agent" };
            self.warnings.push(format!("--node={node} has no effect: {why}, so every node is probed from here"));
        }
        // Checked: where a node names an agent, there is a section `peer`.
        let Some(peer) = self.peer.clone().filter(|_| !sitting.observer) else { return Ok(self) };
        for pair in self.pairs.iter_mut().filter(|pair| has_agents(pair)) {
            let node = own_node(pair, sitting)?;
            Arc::make_mut(pair).seat = Some(Seat { node, peer: peer.clone() });
        }
        Ok(self)
    }
}

fn has_agents(pair: &PairConfig) -> bool {
    pair.nodes.iter().any(|node| node.agent.is_some())
}

/// The node of that name. A host name counts with its domain and without.
fn own_node(pair: &PairConfig, sitting: &Sitting) -> Result<Name, NoSeat> {
    let named = |name: &str| pair.nodes.iter().map(|node| &node.name).find(|node| node.as_str() == name).cloned();
    let short = sitting.host.split('.').next().unwrap_or_default();
    let found = match &sitting.node {
        Some(node) => named(node),
        None => named(&sitting.host).or_else(|| named(short)),
    };
    found.ok_or_else(|| {
        let who = match &sitting.node {
            Some(node) => format!("--node={node}"),
            None => format!("this machine ({})", sitting.host),
        };
        let nodes: Vec<&str> = pair.nodes.iter().map(|node| node.name.as_str()).collect();
        NoSeat { pair: pair.name.clone(), who, nodes: nodes.join("|") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    const AGENTS: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { agent: 'http://127.0.0.1:1', postgres: { host: /run/postgresql, user: probe } }
      beta:  { agent: 'http://127.0.0.1:2', postgres: { host: /run/postgresql, user: probe } }
peer: { token_file: /etc/standbywatch/peer.token }
";
    const NONE: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: a, user: probe } }
      beta:  { postgres: { host: b, user: probe } }
";

    fn seen(text: &str, sitting: &Sitting) -> Result<Config, NoSeat> {
        parse(text, "test", &Environment::default()).expect("a right configuration").seen_from(sitting)
    }

    fn seat(text: &str, sitting: &Sitting) -> Option<String> {
        let config = seen(text, sitting).expect("a seat or none needed");
        config.pairs[0].seat.as_ref().map(|seat| seat.node.to_string())
    }

    fn at(node: Option<&str>, host: &str) -> Sitting {
        Sitting { observer: false, node: node.map(str::to_owned), host: host.to_owned() }
    }

    #[test]
    fn the_flag_counts_before_the_host_name_with_or_without_its_domain() {
        assert_eq!(seat(AGENTS, &at(Some("beta"), "alpha")).as_deref(), Some("beta"));
        assert_eq!(seat(AGENTS, &at(None, "alpha")).as_deref(), Some("alpha"));
        assert_eq!(seat(AGENTS, &at(None, "beta.example.org")).as_deref(), Some("beta"));
        assert_eq!(seat(NONE, &at(None, "alpha")), None, "without agents there are no seats");
    }

    #[test]
    fn who_is_none_of_the_agents_must_say_that_it_observes() {
        let told = |sitting| seen(AGENTS, &sitting).expect_err("no seat").to_string();
        let text = told(at(None, "build7"));
        assert!(text.starts_with("pair catalog: each node") && text.contains("this machine (build7)"), "{text}");
        assert!(text.contains("--node=alpha|beta") && text.contains("--observer"), "{text}");
        assert!(told(at(Some("gamma"), "alpha")).contains("--node=gamma is none of them"));
        let observer = Sitting { observer: true, ..at(None, "build7") };
        assert_eq!(seat(AGENTS, &observer), None);
    }

    #[test]
    fn a_flag_without_effect_is_told() {
        let config = seen(NONE, &at(Some("alpha"), "x")).expect("nothing to sit on");
        assert!(config.warnings.iter().any(|warning| warning.contains("no node names an agent")));
    }
}
