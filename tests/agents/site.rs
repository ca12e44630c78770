//! A pair with an agent on each node, and one Prometheus that scrapes both.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use standbywatch_lab::{
    Agent, AgentOptions, AgentPair, AgentPairOptions, AllRules, Context, Ear, Lab, Meet, Monitoring, MonitoringOptions,
    Need, Persistence, PgPair, RedisPair, Result, SyncLoop, wait_until,
};

/// In the lab the rules that page are held this long instead of a minute.
pub const HELD: Duration = Duration::from_secs(5);
/// The period of the synchronisation.
pub const PERIOD: Duration = Duration::from_secs(5);

const PROGRAM: &str = env!("CARGO_BIN_EXE_standbywatch");

/// What is special about a site.
#[derive(Default)]
pub struct Plan {
    /// The node whose agent has a wrong database password.
    pub wrong_password: Option<&'static str>,
    /// Programs to start agents with, by node.
    pub wrapper: Vec<(&'static str, Vec<String>)>,
    /// Two stores.
    pub kvstore: bool,
    /// A synchronisation.
    pub config: bool,
    /// A beacon is all that tells its age, in place of a timestamp file.
    pub beacon: bool,
    /// The address of a search engine, the same for both nodes, and an index on it.
    pub search: Option<(String, String)>,
    /// The address of another one for the standby.
    pub search_of_standby: Option<String>,
    /// More of the channel, where SEAT stands for whose file it is; begins with a comma.
    pub search_limits: String,
    /// Nothing may be told: the complete set of rules, each held as short as the lab holds it.
    pub silent: bool,
}

/// Everything of one test. Ends when dropped, the agents first.
pub struct Site {
    pub agents: AgentPair,
    pub monitoring: Monitoring,
    pub postgres: PgPair,
    pub stores: Option<RedisPair>,
    pub sync: Option<SyncLoop>,
    pub lab: Lab,
}

impl Site {
    /// `None`: a server is missing here, which was said.
    pub async fn start(plan: &Plan) -> Result<Option<Self>> {
        let mut needs = vec![Need::Postgres, Need::Monitoring];
        needs.extend(plan.kvstore.then_some(Need::Redis));
        needs.extend(plan.config.then_some(Need::Rsync));
        let Some(lab) = Lab::open(&needs)? else { return Ok(None) };
        let postgres = PgPair::builder().start(&lab).await?;
        lab.write("wrong-password", "not this one\n")?;
        let stores = if plan.kvstore { Some(RedisPair::start(&lab, Persistence::Nothing).await?) } else { None };
        let sync = plan.config.then(|| SyncLoop::start(&lab, PERIOD)).transpose()?;
        let options =
            AgentPairOptions { program: env!("CARGO_BIN_EXE_standbywatch").into(), wrapper: plan.wrapper.clone() };
        let all_rules = if plan.silent { AllRules::of(PROGRAM.as_ref())?.lines("") } else { Vec::new() };
        let agents = AgentPair::start(&lab, &options, |node, meet| {
            let text = configuration(plan, &lab, &postgres, stores.as_ref(), sync.as_ref(), node, meet);
            text + &rules(&all_rules) + &meet.peer
        })
        .await?;
        let targets = vec![agents.watch_alpha.address(), agents.watch_beta.address()];
        let rules = vec![printed_rules(&agents.alpha)?];
        let monitoring = Monitoring::start(&lab, &MonitoringOptions { targets, rules, ..Default::default() }).await?;
        Ok(Some(Self { agents, monitoring, postgres, stores, sync, lab }))
    }

    /// Both agents tell that PostgreSQL is well, with the lag known.
    pub async fn well(&self) -> Result<()> {
        for agent in self.agents.both() {
            tells(agent, &Told::ok("postgres"), Duration::from_secs(60)).await.context("all is well")?;
        }
        Ok(())
    }

    /// Hears all that either agent tells from now on, where nothing may be told.
    pub fn ear(&self) -> Result<Ear> {
        let agents = vec![self.agents.watch_alpha.address(), self.agents.watch_beta.address()];
        Ear::listen(AllRules::of(PROGRAM.as_ref())?, agents)
    }

    /// Nobody has told anything but the dead-man's switch since that ear began to listen; `passing` may have been met for a while.
    pub async fn nothing_was_told(&self, ear: &Ear, passing: &[&str]) -> Result<()> {
        let met = ear.heard_nothing(Some(&self.monitoring.prometheus), &self.monitoring.alertmanager, passing).await?;
        println!("nothing was told; met: {met}");
        Ok(())
    }

    /// A third agent with the same file that probes every node by itself.
    pub async fn observer(&self) -> Result<Agent> {
        let text = std::fs::read_to_string(self.agents.alpha.dir().join("standbywatch.yml"))?;
        let options = AgentOptions {
            program: env!("CARGO_BIN_EXE_standbywatch").into(),
            name: "observer".to_owned(),
            config: Some(text),
            args: vec!["--observer".to_owned()],
            ..AgentOptions::default()
        };
        Agent::start(&self.lab, options).await
    }

    /// Everything that ever came to the receiver, but for the watchdog: names, with their severities.
    pub fn notices(&self) -> Vec<(String, String)> {
        let label = |labels: &std::collections::BTreeMap<String, String>, name: &str| {
            labels.get(name).cloned().unwrap_or_default()
        };
        let notices = self.monitoring.alertmanager.receiver.notices();
        let named =
            notices.iter().map(|notice| (label(&notice.labels, "alertname"), label(&notice.labels, "severity")));
        named.filter(|(name, _)| name != "StandbyWatchdog").collect()
    }

    /// Nobody was got out of bed since the start.
    pub fn nobody_was_paged(&self) {
        let pages: Vec<_> = self.notices().into_iter().filter(|(_, severity)| severity == "critical").collect();
        assert!(pages.is_empty(), "paged: {pages:?}");
    }
}

/// What an agent is to tell of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub channel: &'static str,
    pub level: &'static str,
    /// One of these; empty: no reason at all.
    pub reasons: &'static [&'static str],
    pub number_known: bool,
    pub up: bool,
}

impl Told {
    pub const fn ok(channel: &'static str) -> Self {
        Self { channel, level: "ok", reasons: &[], number_known: true, up: true }
    }

    pub const fn warned(channel: &'static str, reasons: &'static [&'static str], number_known: bool) -> Self {
        Self { channel, level: "warning", reasons, number_known, up: true }
    }

    pub const fn critical(channel: &'static str, reasons: &'static [&'static str]) -> Self {
        Self { channel, level: "critical", reasons, number_known: true, up: true }
    }

    pub const fn unknown(channel: &'static str, reasons: &'static [&'static str]) -> Self {
        Self { channel, level: "unknown", reasons, number_known: false, up: false }
    }

    /// The key of the channel's number in `/monitor/replication`, its series, and the series that says whether it is up.
    fn names(&self) -> (&'static str, &'static str, &'static str) {
        match self.channel {
            "postgres" => ("postgres_lag_bytes", "standby_replication_lag_bytes", "standby_replication_up"),
            "config" => ("config_sync_age_seconds", "standby_config_sync_age_seconds", "standby_replication_up"),
            "kvstore" => ("kvstore_round_trip_seconds", "standby_kvstore_round_trip_seconds", "standby_replication_up"),
            // The percentage is a node's: only that node's own agent shows its series.
            "search" => ("search_active_shards_percent", "", "standby_search_primary_up"),
            other => panic!("no such channel: {other}"),
        }
    }
}

/// Awaits that page and metrics of the agent tell this, both at once; returns the reason that is given.
pub async fn tells(agent: &Agent, told: &Told, within: Duration) -> Result<Option<String>> {
    let mut last = String::new();
    let (key, series, up_series) = told.names();
    let labels: &[(&str, &str)] = if told.channel == "search" { &[] } else { &[("channel", told.channel)] };
    let found = wait_until("the agent tells", within, async || {
        let page = agent.json("/monitor/replication").await?;
        let metrics = agent.metrics().await?;
        let up = metrics.value(up_series, labels)?;
        let channel = &page["channels"][told.channel];
        last = format!("{page} up={up:?}");
        let given = channel["reason"].as_str();
        let reason = match given {
            None => told.reasons.is_empty(),
            Some(reason) => told.reasons.contains(&reason),
        };
        let number = page[key].is_number() == told.number_known
            && (series.is_empty() || metrics.has(series) == told.number_known);
        let fits = channel["status"] == told.level && reason && number;
        Ok((fits && up == Some(f64::from(u8::from(told.up)))).then(|| given.map(str::to_owned)))
    });
    found.await.with_context(|| format!("{}: {told:?}, but last {last}", agent.server.name()))
}

/// Awaits that so much time has gone by.
pub async fn passes(time: Duration) -> Result<()> {
    let begun = tokio::time::Instant::now();
    wait_until("time has gone by", time + Duration::from_secs(10), async || Ok((begun.elapsed() >= time).then_some(())))
        .await
}

fn configuration(
    plan: &Plan,
    lab: &Lab,
    postgres: &PgPair,
    stores: Option<&RedisPair>,
    sync: Option<&SyncLoop>,
    seat: &str,
    meet: &Meet,
) -> String {
    let password = match plan.wrong_password == Some(seat) {
        true => lab.dir().join("wrong-password"),
        false => postgres.password_file().clone(),
    };
    let mut text = String::from("pairs:\n  - name: catalog\n    nodes:\n");
    let node = |text: &mut String, name: &str, agent: &str, address: SocketAddr, replica: &str| {
        let standby = name == "beta";
        let (host, port, user) = (address.ip(), address.port(), postgres.user());
        let password = password.display();
        let _ = writeln!(text, "      {name}:\n        agent: '{agent}'");
        let _ = writeln!(
            text,
            "        postgres: {{ host: {host}, port: {port}, user: {user}, password_file: {password}{replica} }}"
        );
        if let Some(stores) = stores {
            let address = if standby { stores.standby_address() } else { stores.primary_address() };
            // Both nodes are this machine: either one's agent reaches either one's store by its loopback address.
            let _ = writeln!(text, "        kvstore: {{ redis: {{ address: {address} }}, local: false }}");
        }
        if let Some(sync) = sync {
            let root = if standby { sync.destination() } else { sync.source() };
            let (root, file) = (root.display(), sync.timestamp_file().display());
            let source =
                if plan.beacon { format!("beacon: {root}/.beacon") } else { format!("timestamp_file: {file}") };
            let _ = writeln!(text, "        config: {{ root: {root}, {source} }}");
        }
        if let Some((url, _)) = &plan.search {
            let url = plan.search_of_standby.as_ref().filter(|_| standby).unwrap_or(url);
            let _ = writeln!(text, "        search: {{ url: {url} }}");
        }
    };
    node(&mut text, "alpha", &meet.alpha, postgres.primary_address(), "");
    node(&mut text, "beta", &meet.beta, postgres.standby_address(), ", replica: { slot: beta }");
    if plan.config {
        let period = PERIOD.as_secs();
        let _ = writeln!(text, "    config: {{ period: {period}s, interval: 1s }}");
    }
    if let Some((_, index)) = &plan.search {
        let limits = plan.search_limits.replace("SEAT", seat);
        let _ = writeln!(text, "    search: {{ indices: [{index}], yellow_is_ok: true{limits} }}");
    }
    text
}

/// All rules as the lab holds them, or else two that are held for a few seconds.
fn rules(all: &[String]) -> String {
    let held = HELD.as_secs();
    let two = ["StandbyReplicationUnknown", "StandbyAgentPeerUnreachable"];
    let lines =
        if all.is_empty() { two.map(|rule| format!("{rule}: {{ for: {held}s }}")).to_vec() } else { all.to_vec() };
    format!("rules:\n  {}\n", lines.join("\n  "))
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
