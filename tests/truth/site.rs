//! A watched pair: real servers, the agent, and either Prometheus with the printed rules or the agent's own pushes.

use std::fmt::Write as _;
use std::ops::Add as _;
use std::time::Duration;

use standbywatch_lab::{
    Agent, AgentOptions, Alertmanager, AllRules, Authority, Cable, Context, Ear, Gateway, Lab, Monitoring,
    MonitoringOptions, Need, Persistence, PgPair, PgPairBuilder, PgServer, Prometheus, RedisPair, Result, SyncLoop,
};

/// In the lab `StandbyReplicationUnknown` and its like are held this long instead of a minute.
pub const HELD: Duration = Duration::from_secs(2);
/// The product's own hold time for them.
pub const USUAL: Duration = Duration::from_secs(60);

/// Who brings alerts to Alertmanager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Prometheus evaluates the rules that the agent prints.
    Prometheus,
    /// The agent evaluates and pushes.
    Agent,
}

/// Whose standby the third server of a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Third {
    /// The primary's, as the other one is.
    OfPrimary,
    /// The other standby's.
    OfStandby,
}

/// How the key-value stores are watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Channel {
    /// Canaries go through the application's own write path, a gateway of the lab.
    pub through_gateway: bool,
    /// Of the pair's `kvstore` section.
    pub lines: &'static str,
}

/// What a site is made of.
pub struct Plan {
    pub postgres: PgPairBuilder,
    /// Added to the standby's `postgres` section, e.g. `replica: { slot: beta }`.
    pub replica: Option<&'static str>,
    /// A second standby, `gamma`.
    pub third: Option<Third>,
    /// The pair's `postgres:` section, e.g. `{ stuck_after: 3s }`.
    pub limits: &'static str,
    /// The agent under test asks only the page of another agent, which stands for a vendor's and asks the servers.
    pub through_page: bool,
    /// Both servers have a certificate, and the agent checks it.
    pub verified: bool,
    pub kvstore: bool,
    /// How the stores are watched.
    pub channel: Channel,
    /// The period of the synchronisation, if there is one.
    pub config: Option<Duration>,
    /// The synchronisation runs under `standbywatch rsync`, instead of writing a timestamp file.
    pub wrapped: bool,
    /// The agent's beacon in the tree is all that tells the age.
    pub beacon: bool,
    /// The address of a search engine and the index on it.
    pub search: Option<(String, String)>,
    /// The standby's engine, where it is another one.
    pub search_of_standby: Option<String>,
    /// Added to the pair's `search:` section, e.g. `, count_every: 1s`.
    pub search_limits: &'static str,
    pub paging: Paging,
    /// Added under `rules:`.
    pub rules: &'static str,
    /// `standby_replication_up` and the like are held this long.
    pub held: Duration,
    /// Nothing may be told: every rule is held as short as the lab holds it, instead of `held`.
    pub silent: bool,
}

impl Plan {
    /// A pair with PostgreSQL only, paged by Prometheus.
    pub fn postgres() -> Self {
        Self {
            postgres: PgPair::builder(),
            replica: Some("{ slot: beta }"),
            third: None,
            limits: "{}",
            through_page: false,
            verified: false,
            kvstore: false,
            channel: Channel::default(),
            config: None,
            wrapped: false,
            beacon: false,
            search: None,
            search_of_standby: None,
            search_limits: ", yellow_is_ok: true",
            paging: Paging::Prometheus,
            rules: "",
            held: HELD,
            silent: false,
        }
    }

    /// What is benign is watched on all channels that are at hand, under the complete set of rules.
    pub fn silent() -> Self {
        // As many rows share two cores as fit: how long a store may take there is not what the product has by default.
        let channel = Channel { lines: "interval: 5s, sla: 2s", ..Channel::default() };
        Self { kvstore: true, channel, config: Some(Duration::from_secs(5)), silent: true, ..Self::postgres() }
    }
}

/// Everything of one row. Ends when dropped, the agent first.
pub struct Site {
    pub agent: Agent,
    /// By which it is watched: an address that stays when the agent is started again.
    watch: Cable,
    /// Every rule, where nothing may be told.
    all_rules: Option<AllRules>,
    /// Whose page it asks, where it asks a page.
    pub vendor: Option<Agent>,
    monitoring: Option<Monitoring>,
    alone: Option<Alertmanager>,
    /// Who signed the servers' certificates, if they have any.
    pub authority: Option<Authority>,
    /// The second standby, if there is one.
    pub third: Option<PgServer>,
    pub postgres: PgPair,
    pub stores: Option<RedisPair>,
    /// The application's own write path, where one is planned.
    pub gateway: Option<Gateway>,
    pub sync: Option<SyncLoop>,
    pub lab: Lab,
}

impl Site {
    /// Starts what is planned, on the version of PostgreSQL that this program plays. `None`: a server is missing here, which was said.
    pub async fn start(plan: Plan) -> Result<Option<Self>> {
        let mut needs = vec![Need::PostgresVersion(crate::MAJOR), Need::Monitoring];
        needs.extend(plan.kvstore.then_some(Need::Redis));
        needs.extend(plan.config.map(|_| Need::Rsync));
        let Some(lab) = Lab::open(&needs)? else { return Ok(None) };
        let postgres = plan.postgres.clone().version(crate::MAJOR).start(&lab).await?;
        let third = match plan.third {
            Some(Third::OfPrimary) => Some(postgres.add_standby("gamma", Some("gamma")).await?),
            Some(Third::OfStandby) => Some(postgres.add_standby_of(&postgres.standby, "gamma", Some("gamma")).await?),
            None => None,
        };
        let authority = if plan.verified { Some(certify(&lab, &postgres).await?) } else { None };
        let stores = if plan.kvstore { Some(RedisPair::start(&lab, Persistence::Nothing).await?) } else { None };
        let gateway = match stores.as_ref().filter(|_| plan.channel.through_gateway) {
            Some(stores) => Some(Gateway::start(stores.standby_address(), stores.primary_address()).await?),
            None => None,
        };
        let sync = plan.config.map(|period| start_sync(&lab, period, plan.wrapped)).transpose()?;
        let alone = match plan.paging {
            Paging::Agent => Some(Alertmanager::start(&lab).await?),
            Paging::Prometheus => None,
        };
        let program = env!("CARGO_BIN_EXE_standbywatch");
        let all_rules = if plan.silent { Some(AllRules::of(program.as_ref())?) } else { None };
        let text = configuration(
            &plan,
            &postgres,
            third.as_ref(),
            authority.as_ref(),
            stores.as_ref(),
            sync.as_ref(),
            alone.as_ref(),
        )
        .add(&rules(&plan, all_rules.as_ref()))
        .replace("GATEWAY", &gateway.as_ref().map(|gateway| gateway.address().to_string()).unwrap_or_default());
        let (vendor, text) = if plan.through_page {
            let name = "vendor".to_owned();
            let options = AgentOptions { program: program.into(), name, config: Some(text), ..AgentOptions::default() };
            let vendor = Agent::start(&lab, options).await?;
            let text = page_configuration(&plan, &vendor.url("/monitor/replication")?);
            (Some(vendor), text)
        } else {
            (None, text)
        };
        let options = AgentOptions { program: program.into(), config: Some(text), ..AgentOptions::default() };
        let agent = Agent::start(&lab, options).await?;
        let watch = Cable::to(agent.address()?).await?;
        let monitoring = match plan.paging {
            Paging::Agent => None,
            Paging::Prometheus => Some(Monitoring::start(&lab, &monitoring(&agent, &watch)?).await?),
        };
        Ok(Some(Self {
            agent,
            watch,
            all_rules,
            vendor,
            monitoring,
            alone,
            authority,
            third,
            postgres,
            stores,
            gateway,
            sync,
            lab,
        }))
    }

    /// Starts the agent again after it was stopped or killed; it is watched as before.
    pub async fn start_agent_again(&self) -> Result<()> {
        self.agent.start_again().await?;
        self.watch.lead_to(self.agent.address()?).await
    }

    /// Hears all that is told from now on, where nothing may be told.
    pub fn ear(&self) -> Result<Ear> {
        let rules = self.all_rules.clone().context("a row in which nothing may be told needs a `Plan::silent()`")?;
        Ear::listen(rules, vec![self.watch.address()])
    }

    pub fn prometheus(&self) -> Option<&Prometheus> {
        self.monitoring.as_ref().map(|monitoring| &monitoring.prometheus)
    }

    pub fn alertmanager(&self) -> &Alertmanager {
        let own = self.monitoring.as_ref().map(|monitoring| &monitoring.alertmanager);
        own.or(self.alone.as_ref()).expect("every site has an Alertmanager")
    }

    pub fn pushes(&self) -> bool {
        self.alone.is_some()
    }
}

/// Both servers speak TLS with certificates for the address that the agent connects to.
async fn certify(lab: &Lab, pair: &PgPair) -> Result<Authority> {
    let authority = Authority::new(lab, "authority")?;
    for server in [&pair.primary, &pair.standby] {
        server.use_certificate(&authority, &authority.for_server(&["127.0.0.1"])?).await?;
    }
    Ok(authority)
}

/// Prometheus scrapes the agent and evaluates the rules that the agent itself prints for this configuration.
fn monitoring(agent: &Agent, watch: &Cable) -> Result<MonitoringOptions> {
    let file = agent.dir().join("standbywatch.yml");
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_standbywatch"))
        .args(["rules", "--config.file"])
        .arg(&file)
        .output()
        .context("print the rules")?;
    let rules = String::from_utf8(printed.stdout)?;
    let complaint = String::from_utf8_lossy(&printed.stderr);
    assert!(printed.status.success() && rules.contains("StandbyReplicationUnknown"), "{rules}{complaint}");
    Ok(MonitoringOptions { targets: vec![watch.address()], rules: vec![rules], ..MonitoringOptions::default() })
}

/// Of a wrapped run.
const DEADLINE: &str = "8s";

/// The agent keeps its state, and looks for the wrapper's record, in `agent/state` of the lab.
fn start_sync(lab: &Lab, period: Duration, wrapped: bool) -> Result<SyncLoop> {
    if !wrapped {
        return SyncLoop::start(lab, period);
    }
    let state = lab.dir().join("agent/state");
    std::fs::create_dir_all(&state)?;
    let program = env!("CARGO_BIN_EXE_standbywatch");
    let words = [
        program,
        "rsync",
        "--pair",
        "catalog",
        "--state.directory",
        &state.to_string_lossy(),
        "--deadline",
        DEADLINE,
        "--",
    ];
    SyncLoop::wrapped(lab, period, words.map(str::to_owned).to_vec())
}

/// A pair of which nothing but a page can be asked.
fn page_configuration(plan: &Plan, url: &str) -> String {
    let held = plan.held.as_secs();
    format!(
        "pairs:\n  - name: catalog\n    nodes: {{ alpha: {{}}, beta: {{}} }}\n    postgres: {{ status_url: '{url}' }}\n\
         rules:\n  StandbyReplicationUnknown: {{ for: {held}s }}\n"
    )
}

fn configuration(
    plan: &Plan,
    postgres: &PgPair,
    third: Option<&PgServer>,
    authority: Option<&Authority>,
    stores: Option<&RedisPair>,
    sync: Option<&SyncLoop>,
    alertmanager: Option<&Alertmanager>,
) -> String {
    let mut text = String::from("pairs:\n  - name: catalog\n    nodes:\n");
    for node in ["alpha", "beta"] {
        let standby = node == "beta";
        let _ = writeln!(text, "      {node}:");
        let address = if standby { postgres.standby_address() } else { postgres.primary_address() };
        let replica =
            plan.replica.filter(|_| standby).map(|replica| format!(", replica: {replica}")).unwrap_or_default();
        let tls = authority.map_or_else(String::new, |authority| {
            format!(", tls: {{ mode: verify-full, root_certificate: {} }}", authority.root().display())
        });
        let _ = writeln!(
            text,
            "        postgres: {{ host: {}, port: {}, user: {}, password_file: {}{replica}{tls} }}",
            address.ip(),
            address.port(),
            postgres.user(),
            postgres.password_file().display()
        );
        if let Some(stores) = stores {
            let address = if standby { stores.standby_address() } else { stores.primary_address() };
            let _ = writeln!(text, "        kvstore: {{ redis: {{ address: {address} }} }}");
        }
        if let Some((url, _)) = &plan.search {
            let url = plan.search_of_standby.as_ref().filter(|_| standby).unwrap_or(url);
            let _ = writeln!(text, "        search: {{ url: {url} }}");
        }
        if let Some(sync) = sync {
            let root = if standby { sync.destination() } else { sync.source() };
            let file = format!(", timestamp_file: {}", sync.timestamp_file().display());
            let file = match (plan.wrapped, plan.beacon) {
                (_, true) => format!(", beacon: {}/.beacon", root.display()),
                (true, _) => String::new(),
                (false, _) => file,
            };
            let _ = writeln!(text, "        config: {{ root: {}{file} }}", root.display());
        }
    }
    if let Some(third) = third {
        let (port, user, file) = (third.port(), postgres.user(), postgres.password_file().display());
        let _ = writeln!(
            text,
            "      gamma: {{ postgres: {{ host: 127.0.0.1, port: {port}, user: {user}, password_file: {file}, replica: {{ slot: gamma }} }} }}"
        );
    }
    let _ = writeln!(text, "    postgres: {}", plan.limits);
    if plan.kvstore {
        let via = if plan.channel.through_gateway { ", write_via: { redis: { address: GATEWAY } }" } else { "" };
        let lines = if plan.channel.lines.is_empty() { "interval: 5s" } else { plan.channel.lines };
        let _ = writeln!(text, "    kvstore: {{ {lines}{via} }}");
    }
    if let Some(period) = plan.config {
        let (seconds, wrapper) = (period.as_secs(), plan.wrapped);
        let _ = writeln!(text, "    config: {{ period: {seconds}s, interval: 1s, wrapper: {wrapper} }}");
    }
    if let Some((_, index)) = &plan.search {
        let _ = writeln!(text, "    search: {{ indices: [{index}]{} }}", plan.search_limits);
    }
    if let Some(alertmanager) = alertmanager {
        let _ = writeln!(text, "alerting:\n  alertmanagers: [{}]", alertmanager.url());
    }
    text
}

/// What the plan sets, and for how long the rest is held.
fn rules(plan: &Plan, all_rules: Option<&AllRules>) -> String {
    let held = plan.held.as_secs();
    let some = ["StandbyReplicationUnknown", "StandbySearchUnknown", "StandbySearchRed", "StandbySearchIndexMissing"]
        .map(|rule| format!("{rule}: {{ for: {held}s }}"));
    let rules = match all_rules {
        Some(all) => all.lines(plan.rules),
        None => some.into_iter().chain(plan.rules.lines().map(str::to_owned)).collect(),
    };
    format!("rules:\n  {}\n", rules.join("\n  "))
}
