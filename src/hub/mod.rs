//! One task per pair: it starts the pair's probes, folds what they bring back, derives evidence, samples and findings, and
//! publishes snapshots. The only state of a pair that changes lives here.

mod beacon;
mod derive;
mod histories;
mod peer_trees;
mod peers;
mod pulse;
mod readings;
pub mod rehearsal;
mod role_exec;
mod role_file;
mod roles;
mod saving;
mod schedule;
#[cfg(test)]
mod tests;
mod transitions;
mod waking;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::{self, BootId, Moment, PauseDetector, WallTime};
use crate::config::PairConfig;
use crate::evidence::Roles;
use crate::facts::Observation;
use crate::history::day::{Day, SharedDay};
use crate::history::rules::RuleTimers;
use crate::judge::rules::RuleBook;
use crate::metrics::SnapshotCost;
use crate::names::Name;
use crate::snapshot::Snapshot;
use crate::state_file::{Saved, StateFile};

use derive::{Derived, GRACE, Known, LONGEST_SHOWN};
use histories::Histories;
use peer_trees::PeerTrees;
use peers::{News, Peers};
use readings::Readings;
use role_file::RoleFileReading;
pub use saving::{StateWrites, keep, load};
use schedule::{Canaries, Listeners, Told};
use transitions::Transitions;

/// Readings that may wait for the hub; a probe whose reading does not fit waits with it.
const INBOX: usize = 64;

/// What is remembered of the servers is handed to be saved this often.
const HAND_EVERY: Duration = Duration::from_secs(15);

/// A running pair.
#[derive(Debug)]
pub struct Hub {
    pair: Arc<PairConfig>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    took: Arc<AtomicU64>,
    rules: watch::Sender<Arc<RuleBook>>,
    day: SharedDay,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Saved>,
    /// A probe has ended by a mistake of ours: what it asked is unknown from then on.
    lame: Arc<AtomicBool>,
    saving: Option<JoinHandle<()>>,
}

/// What the hubs of one agent share.
#[derive(Clone, Debug)]
pub struct Common {
    /// The rules in force.
    pub rules: Arc<RuleBook>,
    /// Where state lies, this agent's and that of `standbywatch rsync`.
    pub state_directory: PathBuf,
    /// How what must survive a restart is kept; `None`: it is not, as for a single look.
    pub keeping: Option<Keeping>,
}

/// How what must survive a restart is kept.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// This boot of the machine.
    pub boot: Option<BootId>,
    /// Counts writes.
    pub writes: Arc<StateWrites>,
}

impl Hub {
    /// Starts the pair's task and probes. Without memory of a hub before it, that comes from the state file, if any.
    pub async fn start(pair: Arc<PairConfig>, common: &Common, before: Option<Saved>) -> Self {
        let file = StateFile::new(&common.state_directory, &pair.name);
        let saved = match (before, &common.keeping) {
            (Some(before), _) => before,
            (None, Some(keeping)) => saving::load(file.clone(), keeping).await,
            (None, None) => Saved::default(),
        };
        let (state, states) = watch::channel(saved.clone());
        let present = (clock::now(), clock::wall());
        let (core, first) = Core::new(pair.clone(), common, saved, state, present);
        let (took, day, lame) = (core.took.clone(), core.day.clone(), core.lame.clone());
        let saving = match common.keeping.clone() {
            Some(keeping) => Some(saving::start(file, keeping, &day, states).await),
            None => None,
        };
        let (publish, snapshots) = watch::channel(first);
        let (stop, stopped) = oneshot::channel();
        let (rules, other_rules) = watch::channel(common.rules.clone());
        let task = tokio::spawn(core.run(publish, other_rules, stopped));
        Self { pair, snapshots, took, rules, day, stop, task, lame, saving }
    }

    /// From now on judges by these rules. Probes and their connections go on, and so do the timers of rules that are still
    /// switched on.
    pub fn judge_by(&self, rules: Arc<RuleBook>) {
        self.rules.send_replace(rules);
    }

    /// The pair that it watches.
    pub const fn pair(&self) -> &Arc<PairConfig> {
        &self.pair
    }

    /// What it publishes. Look at a snapshot only through `snapshot.at(clock::now())`.
    pub const fn snapshots(&self) -> &watch::Receiver<Arc<Snapshot>> {
        &self.snapshots
    }

    /// The last day of the pair.
    pub const fn day(&self) -> &SharedDay {
        &self.day
    }

    /// What its snapshots cost, as a function that may be called after it has stopped, too.
    pub fn cost(&self) -> impl Fn() -> SnapshotCost + Send + Sync + 'static {
        let (pair, snapshots, took) = (self.pair.name.clone(), self.snapshots.clone(), self.took.clone());
        move || SnapshotCost {
            pair: pair.clone(),
            made: snapshots.borrow().number,
            took: Duration::from_nanos(took.load(Ordering::Relaxed)),
        }
    }

    /// Ends the task as a panic would.
    #[cfg(test)]
    pub fn end_by_mistake(&self) {
        self.task.abort();
    }

    /// It, or one of its probes, has ended by a mistake of ours: only another one can watch the pair again.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished() || self.lame.load(Ordering::Relaxed)
    }

    /// Stops probes and task, and saves the state a last time. Gives it to a hub that follows; `None` if it had ended by itself, and what
    /// it knew is in the file.
    pub async fn stop(self) -> Option<Saved> {
        // It has ended already if nobody listens.
        let _ = self.stop.send(());
        let saved = self.task.await.ok();
        if let Some(saving) = self.saving {
            let _ = saving.await;
        }
        saved
    }
}

/// What the task owns.
struct Core {
    pair: Arc<PairConfig>,
    rules: Arc<RuleBook>,
    state_directory: PathBuf,
    /// A single look: nothing is saved.
    fleeting: bool,
    readings: Readings,
    histories: Histories,
    role_file: Option<RoleFileReading>,
    peers: Peers,
    peer_trees: PeerTrees,
    timers: RuleTimers,
    pause: PauseDetector,
    /// The last step failed by a mistake of ours.
    stumbled: bool,
    number: u64,
    next_change: Option<Moment>,
    /// From then on the last snapshot shows nothing any more.
    shown_until: Option<Moment>,
    transitions: Transitions,
    day: SharedDay,
    state: watch::Sender<Saved>,
    /// When memory beside the timers was last handed to be saved.
    handed: Moment,
    roles: watch::Sender<Roles>,
    /// The node that may be made to write a pulse.
    primary: watch::Sender<Option<Name>>,
    /// The node whose documents must not be counted, since its indices are being rebuilt.
    uncounted: watch::Sender<Option<Name>>,
    /// Whether this agent, of all that watch the pair, sends the canaries.
    acting: watch::Sender<bool>,
    /// Where on this machine the disk is that matters.
    disk: watch::Sender<PathBuf>,
    took: Arc<AtomicU64>,
    lame: Arc<AtomicBool>,
}

impl Core {
    fn new(
        pair: Arc<PairConfig>,
        common: &Common,
        saved: Saved,
        state: watch::Sender<Saved>,
        (now, wall): (Moment, WallTime),
    ) -> (Self, Arc<Snapshot>) {
        let mut core = Self {
            readings: Readings::new(&pair),
            histories: Histories::new(&pair),
            role_file: None,
            peers: Peers::new(&pair),
            peer_trees: PeerTrees::new(&pair),
            timers: saved.timers,
            pause: PauseDetector::new(now, wall),
            stumbled: false,
            number: 0,
            next_change: None,
            shown_until: None,
            transitions: Transitions::default(),
            day: SharedDay::new(Day::restored(saved.changes)),
            state,
            handed: now,
            roles: watch::channel(Roles::default()).0,
            primary: watch::channel(None).0,
            uncounted: watch::channel(None).0,
            acting: watch::channel(true).0,
            disk: watch::channel(peers::disk(&pair, None)).0,
            took: Arc::default(),
            lame: Arc::default(),
            pair,
            rules: common.rules.clone(),
            state_directory: common.state_directory.clone(),
            fleeting: common.keeping.is_none(),
        };
        // What was saved was seen by nobody since.
        core.timers.stand_still(now);
        core.histories.restore(saved.postgres, now);
        core.histories.restore_search(saved.search, &core.pair, now);
        core.histories.restore_canaries(saved.kvstore);
        let first = core.snapshot(now, wall);
        (core, first)
    }

    async fn run(
        mut self,
        publish: watch::Sender<Arc<Snapshot>>,
        mut other_rules: watch::Receiver<Arc<RuleBook>>,
        mut stopped: oneshot::Receiver<()>,
    ) -> Saved {
        let (inbox, mut told) = mpsc::channel(INBOX);
        // Ended with the task: dropping the set aborts the probes.
        let mut probes = self.start_probes(&inbox);
        loop {
            tokio::select! {
                Some(first) = told.recv() => {
                    let mut all = vec![first];
                    while let Ok(more) = told.try_recv() {
                        all.push(more);
                    }
                    publish.send_replace(self.step(all));
                }
                () = until(self.next_change) => {
                    publish.send_replace(self.step(Vec::new()));
                }
                Ok(()) = other_rules.changed() => {
                    self.rules = other_rules.borrow_and_update().clone();
                    publish.send_replace(self.step(Vec::new()));
                }
                Some(ended) = probes.join_next() => self.probe_ended(&ended),
                _ = &mut stopped => return self.hand_over(),
            }
        }
    }

    fn start_probes(&self, inbox: &mpsc::Sender<Told>) -> JoinSet<()> {
        let listeners = Listeners {
            roles: self.roles.subscribe(),
            primary: self.primary.subscribe(),
            uncounted: self.uncounted.subscribe(),
            acting: self.acting.subscribe(),
            disk: self.disk.subscribe(),
            trees: self.peer_trees.wanted(),
        };
        let canaries = Canaries { tracker: self.histories.kvstore.tracker.clone(), fleeting: self.fleeting };
        schedule::start(&self.pair, &self.state_directory, inbox, &listeners, canaries)
    }

    /// Takes in what was told and derives the next snapshot.
    fn advance(&mut self, mut all: Vec<Told>, now: Moment, wall: WallTime) -> Arc<Snapshot> {
        // They stand in the order in which tasks got a place in the inbox; what follows from them goes by their own moments.
        all.sort_by_key(Told::answered);
        for told in all {
            self.take(told, now, wall);
        }
        self.wake(now, wall);
        let snapshot = self.snapshot(now, wall);
        let took = u64::try_from(clock::now().since(now).as_nanos()).unwrap_or(u64::MAX);
        self.took.store(took, Ordering::Relaxed);
        snapshot
    }

    fn take(&mut self, told: Told, now: Moment, wall: WallTime) {
        match told {
            Told::Observation(observation) => {
                self.peers.own(&observation);
                if let Observation::Postgres(_, reading) = &observation
                    && let Some(facts) = reading.facts()
                {
                    let disk = peers::disk(&self.pair, facts.data_directory.as_deref());
                    self.disk.send_if_modified(|told| std::mem::replace(told, disk.clone()) != disk);
                }
                self.histories.record(&observation);
                self.readings.take(observation, now, wall);
            }
            Told::RoleFile(reading) => {
                self.peers.own_role(reading.reading());
                self.role_file = Some(reading);
            }
            Told::Beacon(node, trouble) => self.histories.config.record_beacon(&node, trouble),
            Told::Host(reading) => self.peers.own_host(reading),
            Told::PeerTree(node, fetched) => {
                let news = self.peer_trees.fetched(&node, fetched);
                self.learn_all(news, &node, now, wall);
            }
            Told::Peer(node, reading) => {
                let tree = self.peer_trees.told(&self.pair, &node, &reading, &self.readings.trees);
                self.learn_all(tree, &node, now, wall);
                let acting = *self.acting.borrow();
                let news = self.peers.take(&self.pair, &node, reading, acting);
                self.learn_all(news, &node, now, wall);
            }
        }
    }

    fn learn_all(&mut self, all: impl IntoIterator<Item = News>, node: &Name, now: Moment, wall: WallTime) {
        all.into_iter().for_each(|news| self.learn(news, node, now, wall));
    }

    /// Takes in one reading that another agent has made.
    fn learn(&mut self, news: News, node: &Name, now: Moment, wall: WallTime) {
        match news {
            News::New(observation) => {
                self.histories.record(&observation);
                self.readings.take(observation, now, wall);
            }
            News::Again(observation) => self.readings.take(observation, now, wall),
            News::Dropped(channel) => self.readings.drop_of(channel, node),
            News::Memory(memory) => self.histories.learn_search(memory, &self.pair),
        }
    }

    /// Derives what is shown now and later, and what follows from them for the next reading.
    fn snapshot(&mut self, now: Moment, wall: WallTime) -> Arc<Snapshot> {
        let known = Known {
            pair: &self.pair,
            rules: &self.rules,
            readings: &self.readings,
            histories: &self.histories,
            role_file: self.role_file.as_ref(),
            peers: &self.peers,
        };
        let complete = self.readings.complete(&self.pair);
        let Derived { view, next_change } = derive::view(known, &mut self.timers, now, wall);
        let next_change = next_change.unwrap_or(now + LONGEST_SHOWN).min(now + LONGEST_SHOWN);
        let shown_until = next_change + GRACE;
        let then = WallTime(wall.0 + shown_until.since(now).as_secs_f64());
        // The timers go on from here; what may never be shown does not advance them.
        let judged_by = (self.pair.clone(), self.rules.clone());
        let later = derive::later(known, judged_by, self.timers.clone(), (shown_until, then));
        self.histories.note(&view.evidence, now);
        self.acting.send_if_modified(|told| {
            let acts = peers::acts(&self.pair, &view.evidence);
            std::mem::replace(told, acts) != acts
        });
        self.tell_roles(&view.evidence.roles);
        tell(&self.primary, pulse::proven_primary(view.evidence.postgres.as_ref()).cloned());
        let search = view.evidence.search.as_ref();
        tell(&self.uncounted, search.and_then(|search| search.rebuild.uncounted.clone()));
        self.transitions.tell(&view, complete);
        let level_changed = self.day.with(|day| day.record(&view, complete));
        self.keep_state(now, level_changed);
        (self.next_change, self.shown_until) = (Some(next_change), Some(shown_until));
        self.number += 1;
        let own = self
            .pair
            .seat
            .as_ref()
            .map(|seat| Arc::new(self.peers.report(seat, &self.readings, &self.histories.search)));
        Arc::new(Snapshot::new(self.number, complete, view, later, shown_until).with_own(own))
    }

    /// Probes that go by roles are told when who is what has changed, not each time that it is proven again.
    fn tell_roles(&self, roles: &Roles) {
        self.roles.send_if_modified(|told| {
            let same = told.primary == roles.primary
                && told.standbys == roles.standbys
                && told.contradicted == roles.contradicted;
            if !same {
                told.clone_from(roles);
            }
            !same
        });
    }
}

/// Tells those who listen, if it is another than before.
fn tell<T: PartialEq>(listeners: &watch::Sender<T>, value: T) {
    listeners.send_if_modified(|told| {
        let changed = *told != value;
        *told = value;
        changed
    });
}

/// Until the moment has come; for ever without one. (tokio's clock stands still while the machine is suspended. A snapshot
/// that has run out meanwhile shows nothing old, whoever asks first.)
async fn until(moment: Option<Moment>) {
    match moment {
        // A millisecond more, since timers may fire a little early.
        Some(moment) => tokio::time::sleep(moment.since(clock::now()) + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}
