//! A pair of PostgreSQL servers, an agent on each node, and one Prometheus that scrapes both.

use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{
    Agent, AgentPair, AgentPairOptions, Context, Lab, Meet, Monitoring, MonitoringOptions, Need, PgPair, Result,
    wait_until,
};

/// In the lab the rules that page are held this long instead of a minute.
pub const HELD: Duration = Duration::from_secs(5);

/// What is special about a site.
#[derive(Default)]
pub struct Plan {
    /// The node whose agent has a wrong database password.
    pub wrong_password: Option<&'static str>,
    /// Programs to start agents with, by node.
    pub wrapper: Vec<(&'static str, Vec<String>)>,
    /// Added below `rules:`.
    pub rules: &'static str,
}

/// Everything of one test. Ends when dropped, the agents first.
pub struct Site {
    pub agents: AgentPair,
    pub monitoring: Monitoring,
    pub postgres: PgPair,
    pub lab: Lab,
}

impl Site {
    /// `None`: a server is missing here, which was said.
    pub async fn start(plan: &Plan) -> Result<Option<Self>> {
        let Some(lab) = Lab::open(&[Need::Postgres, Need::Monitoring])? else { return Ok(None) };
        let postgres = PgPair::builder().start(&lab).await?;
        lab.write("wrong-password", "not this one\n")?;
        let options =
            AgentPairOptions { program: env!("CARGO_BIN_EXE_standbywatch").into(), wrapper: plan.wrapper.clone() };
        let agents =
            AgentPair::start(&lab, &options, |node, meet| configuration(plan, &lab, &postgres, node, meet)).await?;
        let mut targets = Vec::new();
        for agent in agents.both() {
            targets.push(agent.address()?);
        }
        let rules = vec![printed_rules(&agents.alpha)?];
        let monitoring = Monitoring::start(&lab, &MonitoringOptions { targets, rules, ..Default::default() }).await?;
        Ok(Some(Self { agents, monitoring, postgres, lab }))
    }

    /// Both agents tell that all is well, with the lag known.
    pub async fn well(&self) -> Result<()> {
        for agent in self.agents.both() {
            tells(agent, &Told::ok(), Duration::from_secs(60)).await.context("all is well")?;
        }
        Ok(())
    }
}

/// What an agent is to tell of PostgreSQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub level: &'static str,
    pub reason: Option<&'static str>,
    pub lag_known: bool,
    pub up: bool,
}

impl Told {
    pub const fn ok() -> Self {
        Self { level: "ok", reason: None, lag_known: true, up: true }
    }

    pub const fn warned(reason: &'static str, lag_known: bool) -> Self {
        Self { level: "warning", reason: Some(reason), lag_known, up: true }
    }

    pub const fn unknown(reason: &'static str) -> Self {
        Self { level: "unknown", reason: Some(reason), lag_known: false, up: false }
    }
}

/// Awaits that page and metrics of the agent tell this, both at once.
pub async fn tells(agent: &Agent, told: &Told, within: Duration) -> Result<()> {
    let mut last = String::new();
    let found = wait_until("the agent tells", within, async || {
        let page = agent.json("/monitor/replication").await?;
        let metrics = agent.metrics().await?;
        let up = metrics.value("standby_replication_up", &[("channel", "postgres")])?;
        let channel = &page["channels"]["postgres"];
        last = format!("{page} up={up:?}");
        let level = channel["status"] == told.level && channel["reason"].as_str() == told.reason;
        let lag = page["postgres_lag_bytes"].is_number() == told.lag_known
            && metrics.has("standby_replication_lag_bytes") == told.lag_known;
        Ok((level && lag && up == Some(f64::from(u8::from(told.up)))).then_some(()))
    });
    found.await.with_context(|| format!("{told:?}, but last {last}"))
}

/// The reading of a channel's page now.
pub async fn page(agent: &Agent) -> Result<Value> {
    agent.json("/monitor/replication").await
}

fn configuration(plan: &Plan, lab: &Lab, postgres: &PgPair, node: &str, meet: &Meet) -> String {
    let password = if plan.wrong_password == Some(node) {
        lab.dir().join("wrong-password")
    } else {
        postgres.password_file().clone()
    };
    let server = |address: std::net::SocketAddr, replica: &str| {
        format!(
            "{{ host: {}, port: {}, user: {}, password_file: {}{replica} }}",
            address.ip(),
            address.port(),
            postgres.user(),
            password.display()
        )
    };
    let (alpha, beta) =
        (server(postgres.primary_address(), ""), server(postgres.standby_address(), ", replica: { slot: beta }"));
    let held = HELD.as_secs();
    let rules: String = plan.rules.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ agent: '{}', postgres: {alpha} }}\n      beta: {{ agent: '{}', \
         postgres: {beta} }}\nrules:\n  StandbyReplicationUnknown: {{ for: {held}s }}\n{rules}{}",
        meet.alpha, meet.beta, meet.peer
    )
}

fn printed_rules(agent: &Agent) -> Result<String> {
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"))
        .args(["rules", "--config.file"])
        .arg(agent.dir().join("standbywatch.yml"))
        .output()
        .context("print the rules")?;
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Ok(String::from_utf8(printed.stdout)?)
}
