//! When probes run: each in its own task, never twice at once, none waiting for another.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::pulse::{self, Pulse};
use super::role_file::{self, RoleFileReading};
use crate::config::{PairConfig, RoleFrom};
use crate::evidence::Roles;
use crate::facts::{CanaryTracker, Observation};
use crate::names::Name;
use crate::probe::config_sync::ConfigProbe;
use crate::probe::kvstore::KvstoreProbe;
use crate::probe::kvstore::observe::KvstoreObserver;
use crate::probe::postgres::PostgresProbe;
use crate::probe::search::SearchProbe;
use crate::probe::status_page::StatusPageProbe;

/// What reaches the hub's inbox.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once into the hub")]
pub enum Told {
    /// A probe came back.
    Observation(Observation),
    /// The role file was read.
    RoleFile(RoleFileReading),
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
    roles: &watch::Receiver<Roles>,
    primary: &watch::Receiver<Option<Name>>,
    canaries: Canaries,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some((channel, page)) = pair.status_page() {
        let mut probe = StatusPageProbe::new(page, channel);
        tasks.spawn(beat(channel.schedule.interval, inbox.clone(), async move || {
            Told::Observation(Observation::StatusPage(probe.run().await))
        }));
    }
    for node in &pair.nodes {
        let (name, inbox) = (&node.name, || inbox.clone());
        if let (Some(channel), Some(server)) = (&pair.postgres, &node.postgres) {
            let probe = PostgresProbe::new(server, channel);
            let pulse = Pulse::new(name, channel, primary);
            tasks.spawn(postgres(probe, name.clone(), channel.schedule.interval, pulse, inbox()));
        }
        if let (Some(channel), Some(tree)) = (&pair.config, &node.config) {
            let (name, mut probe) = (name.clone(), ConfigProbe::new(tree, channel, state_directory, &pair.name));
            tasks.spawn(beat(channel.schedule.interval, inbox(), async move || {
                Told::Observation(Observation::Config(name.clone(), probe.run().await))
            }));
        }
        if let (Some(channel), Some(engine)) = (&pair.search, &node.search) {
            let (name, mut probe) = (name.clone(), SearchProbe::new(engine, channel));
            tasks.spawn(beat(channel.schedule.interval, inbox(), async move || {
                Told::Observation(Observation::Search(name.clone(), probe.run().await))
            }));
        }
    }
    if let Some(channel) = &pair.kvstore {
        let probe = KvstoreProbe::new(pair, channel).resuming(canaries.tracker);
        let probe = if canaries.fleeting { probe.fleeting() } else { probe };
        if channel.observe.any() {
            let (mut observer, roles) = (KvstoreObserver::new(pair, channel), roles.clone());
            tasks.spawn(beat(channel.schedule.interval, inbox.clone(), async move || {
                let now = roles.borrow().clone();
                Told::Observation(Observation::Observed(observer.run(&now).await))
            }));
        }
        tasks.spawn(kvstore(probe, channel.schedule.interval, roles.clone(), inbox.clone()));
    }
    if let Some(RoleFrom::File(path)) = &pair.role_from {
        let path = path.clone();
        tasks.spawn(beat(role_file::EVERY, inbox.clone(), async move || {
            Told::RoleFile(RoleFileReading::read(&path).await)
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
        ticks.next().await;
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
/// primary are still asked), and sets out at once when they change.
async fn kvstore(
    mut probe: KvstoreProbe,
    interval: Duration,
    mut roles: watch::Receiver<Roles>,
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
        let reading = probe.run(&now).await;
        if inbox.send(Told::Observation(Observation::Kvstore(reading))).await.is_err() {
            return;
        }
    }
}

/// A probe's beat: the first run at once, the next ones at a phase of their own, so that probes do not march in step. A run
/// that outlasts its interval makes the ticks in between fall out.
struct Ticks {
    interval: Duration,
    /// With its first tick after the one at once.
    beat: Option<(Interval, Instant)>,
}

impl Ticks {
    const fn new(interval: Duration) -> Self {
        Self { interval, beat: None }
    }

    async fn next(&mut self) {
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
