//! When probes run: each in its own task, never twice at once, none waiting for another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::beacon;
use super::peer_trees::{self, Fetched};
use super::peers::HOST_EVERY;
use super::pulse::{self, Pulse};
use super::role_file::{self, RoleFileReading};
use crate::clock::Moment;
use crate::config::{PairConfig, RoleFrom};
use crate::evidence::Roles;
use crate::facts::{CanaryTracker, HostFacts, Observation, PeerFacts, Reading};
use crate::names::Name;
use crate::probe::config_sync::ConfigProbe;
use crate::probe::host;
use crate::probe::kvstore::KvstoreProbe;
use crate::probe::kvstore::observe::KvstoreObserver;
use crate::probe::peer::PeerProbe;
use crate::probe::peer_tree::PeerTreeProbe;
use crate::probe::postgres::{ExpectedProbe, PostgresProbe};
use crate::probe::search::SearchProbe;
use crate::probe::status_page::StatusPageProbe;
use crate::probe::tree::TreeProbe;

/// A query for expected documents that failed is asked again after this long.
const EXPECTED_AGAIN: Duration = Duration::from_secs(30);

/// What reaches the hub's inbox.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once into the hub")]
pub enum Told {
    /// A probe came back.
    Observation(Observation),
    /// The role file was read, or the program asked that tells the roles.
    RoleFile(RoleFileReading),
    /// A node's beacon was written, or why it could not be.
    Beacon(Name, Option<String>),
    /// Another node's agent was asked.
    Peer(Name, Reading<PeerFacts>),
    /// Another node's agent was asked for its whole tree.
    PeerTree(Name, Fetched),
    /// This machine was looked at.
    Host(Reading<HostFacts>),
}

/// What probes that go by evidence listen to.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// Which node is what.
    pub roles: watch::Receiver<Roles>,
    /// The node that may be made to write a pulse.
    pub primary: watch::Receiver<Option<Name>>,
    /// The node whose documents must not be counted.
    pub uncounted: watch::Receiver<Option<Name>>,
    /// Whether this agent, of all that watch the pair, sends the canaries.
    pub acting: watch::Receiver<bool>,
    /// Where on this machine the disk is that matters.
    pub disk: watch::Receiver<PathBuf>,
    /// The manifests that are to be asked for, by the node whose agent has them.
    pub trees: BTreeMap<Name, watch::Receiver<Option<String>>>,
}

impl Told {
    /// When that was, by this agent's clock; `None` for what tells of no moment.
    pub fn answered(&self) -> Option<Moment> {
        match self {
            Self::Observation(observation) => Some(observation.answered()),
            Self::RoleFile(reading) => Some(reading.reading().asked),
            Self::Peer(_, reading) => Some(reading.answered),
            Self::PeerTree(_, Ok(arrived)) => Some(arrived.reading.answered),
            Self::PeerTree(_, Err(reading)) => Some(reading.answered),
            Self::Host(reading) => Some(reading.answered),
            Self::Beacon(..) => None,
        }
    }
}

/// What the canaries go on from.
#[derive(Debug, Default)]
pub struct Canaries {
    /// Those of before.
    pub tracker: Option<CanaryTracker>,
    /// Nothing is saved, so nothing may stay behind in the stores.
    pub fleeting: bool,
}

/// Starts every configured probe of the pair. The tasks end with the set, or when the inbox is closed.
pub fn start(
    pair: &PairConfig,
    state_directory: &Path,
    inbox: &mpsc::Sender<Told>,
    listeners: &Listeners,
    canaries: Canaries,
) -> JoinSet<()> {
    let Listeners { roles, primary, uncounted, acting, disk, trees } = listeners;
    let mut tasks = JoinSet::new();
    if let Some((channel, page)) = pair.status_page() {
        let mut probe = StatusPageProbe::new(page, channel);
        tasks.spawn(beat(channel.schedule.interval, inbox.clone(), async move || {
            Told::Observation(Observation::StatusPage(probe.run().await))
        }));
    }
    for node in &pair.nodes {
        let (name, inbox) = (&node.name, || inbox.clone());
        if let Some(seat) = pair.seat.as_ref().filter(|seat| seat.node != *name) {
            let Some((url, schedule)) = node.agent.as_ref().zip(pair.peer_schedule()) else { continue };
            if let Some((channel, wanted)) = pair.config.as_ref().zip(trees.get(name)) {
                let probe = PeerTreeProbe::new(&pair.name, name, url, seat, channel.max_files);
                let pause = channel.tree_every();
                tasks.spawn(peer_trees::fetch(probe, name.clone(), wanted.clone(), pause, inbox()));
            }
            let (name, mut probe) = (name.clone(), PeerProbe::new(&pair.name, name, url, seat, schedule));
            tasks.spawn(beat(schedule.interval, inbox(), async move || Told::Peer(name.clone(), probe.run().await)));
            continue;
        }
        if let (Some(channel), Some(server)) = (&pair.postgres, &node.postgres) {
            let probe = PostgresProbe::new(server, channel);
            let pulse = Pulse::new(name, channel, primary);
            tasks.spawn(postgres(probe, name.clone(), channel.schedule.interval, pulse, inbox()));
        }
        if let (Some(channel), Some(tree)) = (&pair.config, &node.config) {
            if let Some(path) = &tree.beacon {
                tasks.spawn(beacon::keep(name.clone(), path.clone(), channel.half_period(), roles.clone(), inbox()));
            }
            let (of, mut probe) = (name.clone(), TreeProbe::new(tree, channel));
            tasks.spawn(beat(channel.tree_every(), inbox(), async move || {
                Told::Observation(Observation::Tree(of.clone(), probe.run().await))
            }));
            let (name, mut probe) = (name.clone(), ConfigProbe::new(tree, channel, state_directory, &pair.name));
            tasks.spawn(beat(channel.schedule.interval, inbox(), async move || {
                Told::Observation(Observation::Config(name.clone(), probe.run().await))
            }));
        }
        if let (Some(channel), Some(engine)) = (&pair.search, &node.search) {
            let (name, mut probe) = (name.clone(), SearchProbe::new(engine, channel));
            let uncounted = uncounted.clone();
            tasks.spawn(beat(channel.schedule.interval, inbox(), async move || {
                let may_count = uncounted.borrow().as_ref() != Some(&name);
                Told::Observation(Observation::Search(name.clone(), probe.run(may_count).await))
            }));
        }
    }
    for (index, probe, period) in ExpectedProbe::all(pair) {
        let own = pair.seat.as_ref().map(|seat| seat.node.clone());
        tasks.spawn(expected(index, probe, period, own, roles.clone(), inbox.clone()));
    }
    if let Some(channel) = &pair.kvstore {
        let probe = KvstoreProbe::new(pair, channel).resuming(canaries.tracker);
        let probe = if canaries.fleeting { probe.fleeting() } else { probe };
        if channel.observe.any() {
            let observer = KvstoreObserver::new(pair, channel);
            let (roles, acting) = (roles.clone(), acting.clone());
            tasks.spawn(observed(observer, channel.schedule.interval, roles, acting, inbox.clone()));
        }
        let acting = acting.clone();
        tasks.spawn(kvstore(probe, channel.schedule.interval, roles.clone(), acting, inbox.clone()));
    }
    if pair.seat.is_some() {
        tasks.spawn(host(disk.clone(), inbox.clone()));
    }
    if let Some(RoleFrom::File(path)) = &pair.role_from {
        let path = path.clone();
        tasks.spawn(beat(role_file::EVERY, inbox.clone(), async move || {
            Told::RoleFile(RoleFileReading::read(&path).await)
        }));
    }
    if let Some(RoleFrom::Exec(command)) = &pair.role_from {
        let command = command.clone();
        tasks.spawn(beat(role_file::EVERY, inbox.clone(), async move || {
            Told::RoleFile(RoleFileReading::ask(&command).await)
        }));
    }
    tasks
}

/// Runs a probe at each tick and hands over what it brings, until nobody takes it.
async fn beat(interval: Duration, inbox: mpsc::Sender<Told>, mut run: impl AsyncFnMut() -> Told) {
    let mut ticks = Ticks::new(interval);
    loop {
        ticks.next().await;
        if inbox.send(run().await).await.is_err() {
            return;
        }
    }
}

/// As [`beat`]; after a reading comes the pulse, where one is due, and in the pauses the probe may ask what is slow.
async fn postgres(
    mut probe: PostgresProbe,
    name: Name,
    interval: Duration,
    mut pulse: Option<Pulse>,
    inbox: mpsc::Sender<Told>,
) {
    let mut ticks = Ticks::new(interval);
    loop {
        // Its turn comes when it comes.
        if !probe.waits_for_its_turn() {
            ticks.next().await;
        }
        let reading = probe.run().await;
        let says_primary = pulse::says_primary(&reading);
        if inbox.send(Told::Observation(Observation::Postgres(name.clone(), reading))).await.is_err() {
            return;
        }
        if let Some(pulse) = &mut pulse
            && let Some(written) = pulse.write(&mut probe, says_primary).await
            && inbox.send(Told::Observation(Observation::Pulse(name.clone(), written))).await.is_err()
        {
            return;
        }
        probe.ask_apart(ticks.left()).await;
    }
}

/// The canary goes by roles: it waits for them at the start (not longer than an interval, since stores without a known
/// primary are still asked), and sets out at once when they change. While another agent sends its canaries, this one does not.
async fn kvstore(
    mut probe: KvstoreProbe,
    interval: Duration,
    mut roles: watch::Receiver<Roles>,
    acting: watch::Receiver<bool>,
    inbox: mpsc::Sender<Told>,
) {
    let _ = tokio::time::timeout(interval, roles.wait_for(|roles| roles.primary.is_some())).await;
    let mut ticks = Ticks::new(interval);
    loop {
        tokio::select! {
            () = ticks.next() => {}
            changed = roles.changed() => if changed.is_err() { return },
        }
        let now = roles.borrow_and_update().clone();
        if !*acting.borrow() {
            continue;
        }
        let reading = probe.run(&now).await;
        if inbox.send(Told::Observation(Observation::Kvstore(reading))).await.is_err() {
            return;
        }
    }
}

/// Compares what the application wrote. One agent of those that watch a pair does: two would read twice as much.
async fn observed(
    mut observer: KvstoreObserver,
    interval: Duration,
    roles: watch::Receiver<Roles>,
    acting: watch::Receiver<bool>,
    inbox: mpsc::Sender<Told>,
) {
    let mut ticks = Ticks::new(interval);
    loop {
        ticks.next().await;
        if !*acting.borrow() {
            continue;
        }
        let now = roles.borrow().clone();
        if inbox.send(Told::Observation(Observation::Observed(observer.run(&now).await))).await.is_err() {
            return;
        }
    }
}

/// A count on the primary's database: as soon as the primary is known, and again when another one is. An agent of a node counts on
/// that node only: what it would reach under the other one's address may be its own.
async fn expected(
    index: String,
    mut probe: ExpectedProbe,
    period: Duration,
    own: Option<Name>,
    mut roles: watch::Receiver<Roles>,
    inbox: mpsc::Sender<Told>,
) {
    let mut ticks = Ticks::new(period);
    loop {
        ticks.next().await;
        let may_count = |primary: &Name| own.as_ref().is_none_or(|own| own == primary);
        let known = roles.wait_for(|roles| roles.primary.as_ref().is_some_and(may_count) && !roles.contradicted).await;
        let Some(primary) = known.ok().and_then(|roles| roles.primary.clone()) else { return };
        let reading = probe.run(&primary).await;
        let failed = reading.result.is_err();
        if inbox.send(Told::Observation(Observation::SearchExpected(index.clone(), reading))).await.is_err() {
            return;
        }
        // A primary that has just changed may not answer yet.
        if failed {
            tokio::time::sleep(period.min(EXPECTED_AGAIN)).await;
            ticks = Ticks::new(period);
        }
    }
}

/// This machine now and then, and at once when another disk turns out to matter.
async fn host(mut disk: watch::Receiver<PathBuf>, inbox: mpsc::Sender<Told>) {
    let mut ticks = Ticks::new(HOST_EVERY);
    loop {
        tokio::select! {
            () = ticks.next() => {}
            changed = disk.changed() => if changed.is_err() { return },
        }
        let path = disk.borrow_and_update().clone();
        if inbox.send(Told::Host(host::look(path).await)).await.is_err() {
            return;
        }
    }
}

/// A probe's beat: the first run at once, the next ones at a phase of their own, so that probes do not march in step. A run
/// that outlasts its interval makes the ticks in between fall out.
pub(super) struct Ticks {
    interval: Duration,
    /// With its first tick after the one at once.
    beat: Option<(Interval, Instant)>,
}

impl Ticks {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, beat: None }
    }

    pub(super) async fn next(&mut self) {
        if let Some((beat, _)) = &mut self.beat {
            beat.tick().await;
            return;
        }
        let phase = self.interval.mul_f64(0.2 + 0.8 * fastrand::f64());
        let first = Instant::now() + phase;
        let mut beat = interval_at(first, self.interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.beat = Some((beat, first));
    }

    /// How long it is until the next tick.
    fn left(&self) -> Duration {
        let Some((_, first)) = self.beat else { return Duration::ZERO };
        let now = Instant::now();
        let mut next = first;
        if next <= now {
            let beats = (now - first).as_secs_f64() / self.interval.as_secs_f64();
            next += self.interval.mul_f64(beats.floor() + 1.0);
        }
        next - now
    }
}
