//! Builds everything from a configuration, reloads it, stops it in order. Tests start it in their own process, with port 0.

mod agent_rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::{self, BootId, WallTime};
use crate::config::Config;
use crate::history::day::SharedDay;
use crate::hub::{self, Common, Hub, Keeping, StateWrites};
use crate::judge::rules::RuleBook;
use crate::metrics::process::ProcessUsage;
use crate::metrics::{self, AgentStatus, SnapshotCost, process};
use crate::names::{Name, Reason, WriteOutcome};
use crate::probe::kvstore::exchange::OwnStore;
use crate::push::{self, Push, PushCounters};
use crate::serve::peer::PeerAccess;
use crate::serve::peer_store::OwnStores;
use crate::serve::{ReloadRequest, ServeState, WebSettings, serve};
use crate::snapshot::{ChannelView, Sample, Snapshot};
use crate::state_file::StateFile;
use agent_rules::AgentRules;

/// After a reload, pairs that have changed may take this long until they have seen everything once, before they are shown.
const WARM_UP: Duration = Duration::from_secs(5);

/// What the flags say beside the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// `ADDRESS:PORT` or `:PORT` for all addresses; port 0 takes a free one.
    pub listen: Vec<String>,
    /// How HTTP is served.
    pub web: WebSettings,
    /// Where state is kept over restarts.
    pub state_directory: PathBuf,
    /// Where `POST /-/reload` asks for a reload; `None` where that is not enabled.
    pub lifecycle: Option<mpsc::Sender<ReloadRequest>>,
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {cause}; {}", cure(cause))]
    Listen {
        /// As it was written.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// What other agents must be shown cannot be had.
    #[error("other agents cannot be let in: {0}")]
    Peer(String),
}

fn cure(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: end it, or choose another --web.listen-address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights: choose another --web.listen-address",
        _ => "give --web.listen-address as ADDRESS:PORT or :PORT, with an address of this machine",
    }
}

/// A running agent.
pub struct App {
    options: Options,
    hubs: Vec<Hub>,
    agent: Arc<Agent>,
    state: Arc<ServeState>,
    addresses: Vec<SocketAddr>,
    stop_serving: watch::Sender<bool>,
    servers: JoinSet<()>,
    /// Judges the agent's own rules; ends when this is dropped.
    judging: JoinSet<()>,
    /// Saves how far the alerts of these rules are; ends after them, with a last write.
    keeping: JoinHandle<()>,
    pushing: Option<Pushing>,
}

/// The task that pushes alerts. Dropped without being stopped, it ends at its next await.
struct Pushing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pushing {
    /// Starts it, where the configuration wants it.
    fn start(config: &Config, agent: &Agent, hubs: &[Hub], address: Option<SocketAddr>) -> Option<Self> {
        let push = Push {
            alerting: config.alerting.clone()?,
            external_url: external_url(address),
            pairs: receivers(hubs).to_vec(),
            standing: agent.rules.found(),
            counters: agent.pushes.clone(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(push::run(push, async {
            let _ = stopped.await;
        }));
        Some(Self { stop, task })
    }

    async fn stop(self) {
        // It has ended already if nobody listens.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Where people find the page: the first listener, by this machine's name where it listens on all addresses.
fn external_url(address: Option<SocketAddr>) -> String {
    match address {
        Some(address) if !address.ip().is_unspecified() => format!("http://{address}"),
        other => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let port = other.map_or_else(String::new, |address| format!(":{}", address.port()));
            format!("http://{host}{port}")
        }
    }
}

impl App {
    /// Opens the listeners, then starts a hub per pair.
    ///
    /// # Errors
    /// A listener that cannot be opened.
    pub async fn start(config: Config, options: Options) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for address in &options.listen {
            let listener = listen(address).await;
            listeners.push(listener.map_err(|cause| StartError::Listen { address: address.clone(), cause })?);
        }
        let access = access(&config).await.map_err(StartError::Peer)?;
        let addresses: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let agent = Arc::new(Agent::new(&config));
        let common = agent.common(&options, &config);
        let own = StateFile::of_agent(&options.state_directory);
        let remembered = hub::load(own.clone(), &agent.keeping()).await;
        let mut hubs = Vec::new();
        for pair in &config.pairs {
            hubs.push(Hub::start(pair.clone(), &common, None).await);
        }
        agent.watch(&hubs, common.rules);
        let samples = agent.clone();
        let state = ServeState::new(options.web.clone(), receivers(&hubs), move || samples.samples())
            .with_findings(agent.rules.found())
            .with_notes({
                let writes = agent.writes.clone();
                move || writes.troubles(clock::now())
            })
            .with_reload(options.lifecycle.clone());
        state.replace_days(days(&hubs));
        let state = Arc::new(state);
        state.let_in(access);
        state.replace_stores(own_stores(&hubs));
        let (stop_serving, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        for listener in listeners {
            let mut stopped = stopped.clone();
            let shutdown = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            servers.spawn(serve(listener, state.clone(), shutdown));
        }
        let mut judging = JoinSet::new();
        let judge = agent.clone();
        let (alerts, states) = watch::channel(remembered);
        let keeping = tokio::spawn(hub::keep(own, agent.boot.clone(), states, agent.writes.clone()));
        judging.spawn(async move { judge.rules.run(alerts, || judge.samples()).await });
        let pushing = Pushing::start(&config, &agent, &hubs, addresses.first().copied());
        Ok(Self { options, hubs, agent, state, addresses, stop_serving, servers, judging, keeping, pushing })
    }

    /// Where it listens, in the order of the flags.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The published snapshots of all pairs.
    pub fn snapshots(&self) -> Arc<[watch::Receiver<Arc<Snapshot>>]> {
        receivers(&self.hubs)
    }

    /// Takes another configuration into use. Pairs that have not changed run on, with their connections and the timers of
    /// rules that are still there, whatever becomes of rules and Alertmanagers; one whose hub has ended by a mistake of ours begins anew. The others are shown as they were (and run
    /// out as they would) until their new hub has asked everything once.
    ///
    /// # Errors
    /// What other agents must be shown cannot be had: nothing was changed then, but for [`Self::reload_failed`].
    pub async fn reload(&mut self, config: Config) -> Result<(), StartError> {
        let access = access(&config).await.map_err(|error| {
            self.reload_failed();
            StartError::Peer(error)
        })?;
        let common = self.agent.common(&self.options, &config);
        self.state.reloads(true);
        let mut before = std::mem::take(&mut self.hubs);
        let mut hubs = Vec::new();
        for pair in &config.pairs {
            let position = before.iter().position(|hub| hub.pair().name == pair.name);
            let old = position.map(|at| before.swap_remove(at));
            hubs.push(match old {
                Some(old) if **old.pair() == **pair && !old.has_ended() => {
                    old.judge_by(common.rules.clone());
                    old
                }
                // The old hub stops first: two of them would overwrite each other's canaries.
                old => {
                    let before = match old {
                        Some(old) => old.stop().await,
                        None => None,
                    };
                    Hub::start(pair.clone(), &common, before).await
                }
            });
        }
        let warm = hubs.iter().map(|hub| hub.snapshots().clone()).map(async |mut snapshots| {
            let _ = snapshots.wait_for(|snapshot| has_seen_all(snapshot)).await;
        });
        let mut all: JoinSet<()> = JoinSet::new();
        for one in warm {
            all.spawn(one);
        }
        let _ = tokio::time::timeout(WARM_UP, all.join_all()).await;
        self.agent.watch(&hubs, common.rules);
        self.state.let_in(access);
        // Shown together: who sees the new pairs sees that the reload succeeded.
        self.state.replace_pairs(receivers(&hubs));
        self.state.replace_days(days(&hubs));
        self.state.replace_stores(own_stores(&hubs));
        self.state.reloads(false);
        self.agent.reloaded(true);
        if let Some(pushing) = self.pushing.take() {
            pushing.stop().await;
        }
        self.pushing = Pushing::start(&config, &self.agent, &hubs, self.addresses.first().copied());
        for removed in before {
            removed.stop().await;
        }
        self.hubs = hubs;
        Ok(())
    }

    /// A reload that failed before anything was changed: the configuration in use stays, and the agent says so.
    pub fn reload_failed(&self) {
        self.agent.reloaded(false);
    }

    /// Stops in order: no new requests, then pushes, then probes, then a last write of the state.
    pub async fn stop(mut self) {
        // Nobody listens if every server has ended.
        let _ = self.stop_serving.send(true);
        while self.servers.join_next().await.is_some() {}
        if let Some(pushing) = self.pushing {
            pushing.stop().await;
        }
        self.judging.shutdown().await;
        let _ = self.keeping.await;
        for hub in self.hubs {
            hub.stop().await;
        }
    }
}

/// How other agents are let in, where this process is the agent of a node.
async fn access(config: &Config) -> Result<Option<PeerAccess>, String> {
    let Some(seat) = config.pairs.iter().find_map(|pair| pair.seat.clone()) else { return Ok(None) };
    let loaded = tokio::task::spawn_blocking(move || PeerAccess::load(&seat.peer)).await;
    loaded.unwrap_or_else(|gone| Err(gone.to_string())).map(Some)
}

/// Everything was asked once, and whatever has to be seen to change was seen to.
fn has_seen_all(snapshot: &Snapshot) -> bool {
    let waits = |channel: &ChannelView| channel.reason == Some(Reason::NotSeenYet);
    snapshot.complete && !snapshot.at(clock::now()).channels.iter().any(waits)
}

fn receivers(hubs: &[Hub]) -> Arc<[watch::Receiver<Arc<Snapshot>>]> {
    hubs.iter().map(|hub| hub.snapshots().clone()).collect()
}

fn days(hubs: &[Hub]) -> BTreeMap<Name, SharedDay> {
    hubs.iter().map(|hub| (hub.pair().name.clone(), hub.day().clone())).collect()
}

/// What other agents may ask of this node's stores.
fn own_stores(hubs: &[Hub]) -> OwnStores {
    let of = |hub: &Hub| Some((hub.pair().name.clone(), Arc::new(OwnStore::of(hub.pair())?)));
    hubs.iter().filter_map(of).collect()
}

/// `:PORT` listens on every address: on IPv6's, which takes IPv4 in as well, else on IPv4's.
async fn listen(address: &str) -> io::Result<TcpListener> {
    match address.strip_prefix(':') {
        None => TcpListener::bind(address).await,
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::InvalidInput => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            other => other,
        },
    }
}

type Cost = Box<dyn Fn() -> SnapshotCost + Send + Sync>;

/// What the agent knows of itself.
struct Agent {
    rules: AgentRules,
    started: WallTime,
    pushes: Arc<PushCounters>,
    boot: Option<BootId>,
    writes: Arc<StateWrites>,
    reload: RwLock<(bool, WallTime)>,
    costs: RwLock<Vec<Cost>>,
}

impl Agent {
    fn new(config: &Config) -> Self {
        let (began, started) = (clock::now(), clock::wall());
        let boot = clock::boot_id().inspect_err(|error| tracing::warn!(%error, "no boot id: saved state is not used"));
        Self {
            rules: AgentRules::new((began, started), Arc::new(RuleBook::new(&config.rules))),
            started,
            pushes: Arc::default(),
            boot: boot.ok(),
            writes: Arc::default(),
            reload: RwLock::new((true, started)),
            costs: RwLock::default(),
        }
    }

    fn common(&self, options: &Options, config: &Config) -> Common {
        Common {
            rules: Arc::new(RuleBook::new(&config.rules)),
            state_directory: options.state_directory.clone(),
            keeping: Some(self.keeping()),
        }
    }

    fn keeping(&self) -> Keeping {
        Keeping { boot: self.boot.clone(), writes: self.writes.clone() }
    }

    fn watch(&self, hubs: &[Hub], rules: Arc<RuleBook>) {
        let costs = hubs.iter().map(|hub| Box::new(hub.cost()) as Cost).collect();
        *self.costs.write().unwrap_or_else(PoisonError::into_inner) = costs;
        self.rules.judge(rules, receivers(hubs));
    }

    fn reloaded(&self, ok: bool) {
        let mut reload = self.reload.write().unwrap_or_else(PoisonError::into_inner);
        *reload = (ok, if ok { clock::wall() } else { reload.1 });
        self.rules.look_again();
    }

    fn samples(&self) -> Vec<Sample> {
        let (reload_ok, reloaded) = *self.reload.read().unwrap_or_else(PoisonError::into_inner);
        let (written, failed) = self.writes.counts();
        let process: ProcessUsage = process::read();
        metrics::agent_samples(&AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            reload_ok,
            reloaded,
            snapshots: self.costs.read().unwrap_or_else(PoisonError::into_inner).iter().map(|cost| cost()).collect(),
            pushes: self.pushes.totals(),
            state_writes: vec![(WriteOutcome::Ok, written), (WriteOutcome::Failed, failed)],
            state_not_loaded: self.writes.not_loaded(),
            process,
        })
    }
}
