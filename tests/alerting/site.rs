//! Agents that watch a pair of which nothing answers: they have something to tell at once.

use std::time::Duration;

use standbywatch_lab::{Agent, AgentOptions, Lab, Notice, Result};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_standbywatch");

/// Enough for what comes within seconds, on a machine that does other things too.
pub const SOON: Duration = Duration::from_secs(60);

pub const UNKNOWN: &str = "StandbyReplicationUnknown";

/// Nobody listens on these ports.
pub const PAIR: &str = "pairs:\n  - name: catalog\n    nodes:\n      alpha: { postgres: { host: 127.0.0.1, port: 1, user: x } }\n      \
     beta: { postgres: { host: 127.0.0.1, port: 2, user: x } }\n";

/// The pair is told after a second, not after a minute.
pub const HELD: &str = "rules:\n  StandbyReplicationUnknown: { for: 1s }\n";

/// The pair with these Alertmanagers.
pub fn pushing_to(alertmanagers: &[String]) -> String {
    format!("{PAIR}{HELD}alerting:\n  alertmanagers: [{}]\n", alertmanagers.join(", "))
}

pub async fn agent(lab: &Lab, name: &str, config: String, args: &[&str]) -> Result<Agent> {
    let options = AgentOptions {
        program: PROGRAM.into(),
        name: name.to_owned(),
        config: Some(config),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..AgentOptions::default()
    };
    Agent::start(lab, options).await
}

/// What was told of an alert, by its `source` and status.
pub fn told(notices: &[Notice], name: &str) -> Vec<(String, String)> {
    let of = |notice: &Notice, label: &str| notice.labels.get(label).cloned().unwrap_or_default();
    let named = notices.iter().filter(|notice| of(notice, "alertname") == name);
    named.map(|notice| (of(notice, "source"), notice.status.clone())).collect()
}
