//! The Alertmanager client: pushes what fires to every Alertmanager, each on its own, and holds up nothing else.
//!
//! What is to be pushed lies in a `watch`: the newest state wins, and a queue cannot grow. An alert is sent again each minute
//! with an end three minutes ahead; what is sent no more ends by itself. An explicit "resolved" of one agent would hide the alert
//! that another still fires.

mod ahead;
mod alert;
mod heartbeat;
mod resolved;
mod sender;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::clock::{self, Moment};
use crate::config::{Alerting, OnResolve};
use crate::history::rules::TOLD_FOR;
use crate::names::PushOutcome;
use crate::snapshot::{Finding, FindingState, Snapshot};
use alert::{Alert, Identity, alerts_of};
use resolved::Resolved;

/// Counts of pushes for the agent's own metrics; shared with whoever renders them.
#[derive(Debug, Default)]
pub struct PushCounters([AtomicU64; 3]);

impl PushCounters {
    /// How many pushes ended in each outcome.
    pub fn totals(&self) -> Vec<(PushOutcome, u64)> {
        PushOutcome::ALL.iter().map(|outcome| (*outcome, self.0[*outcome as usize].load(Ordering::Relaxed))).collect()
    }

    fn count(&self, outcome: PushOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// What is pushed, and from where.
pub struct Push {
    /// Where to, and the labels of the site.
    pub alerting: Alerting,
    /// Where people find the agent's page; `generatorURL` of every alert.
    pub external_url: String,
    /// The snapshots of all pairs.
    pub pairs: Vec<watch::Receiver<Arc<Snapshot>>>,
    /// What fires in the agent itself, whatever becomes of pairs; the dead-man's switch among it.
    pub standing: watch::Receiver<Arc<Vec<Finding>>>,
    /// Counted here.
    pub counters: Arc<PushCounters>,
}

/// When things are sent again.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// What fires is sent again this long after it was sent last.
    resend: Duration,
    /// How far ahead an alert's end lies; longer than two resends, so that one lost push resolves nothing.
    lives: Duration,
    /// One push, connecting and answer together.
    deadline: Duration,
    /// The first pause after a failed push; it doubles up to `longest_pause`.
    first_pause: Duration,
    longest_pause: Duration,
}

const TIMING: Timing = Timing {
    resend: Duration::from_secs(60),
    lives: TOLD_FOR,
    deadline: Duration::from_secs(10),
    first_pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(30),
};

/// A hub that has ended by mistake is given up after this; one that a reload replaces is followed by another long before.
const GONE: Duration = Duration::from_secs(60);

/// All alerts that fire at one moment.
type Batch = Arc<Vec<Alert>>;

/// Pushes until `shutdown` is done. Nothing is said of the end: what fired ends by itself, or is taken over by the next run.
pub async fn run(push: Push, shutdown: impl Future<Output = ()>) {
    run_timed(push, TIMING, shutdown).await;
}

async fn run_timed(push: Push, timing: Timing, shutdown: impl Future<Output = ()>) {
    let (batches, newest) = watch::channel(Batch::default());
    // Dropped at the end, which ends the tasks.
    let mut tasks = JoinSet::new();
    let mut takers = Vec::new();
    for base_url in &push.alerting.alertmanagers {
        let to = sender::Target::new(base_url, push.alerting.access.clone(), &push.external_url);
        takers.push(to.takes.clone());
        tasks.spawn(sender::send_all(to, newest.clone(), push.counters.clone(), timing));
    }
    if let Some(heartbeat) = push.alerting.heartbeat.clone() {
        tasks.spawn(heartbeat::beat(heartbeat, push.pairs.clone(), takers, timing));
    }
    let changed = Arc::new(Notify::new());
    for pair in &push.pairs {
        tasks.spawn(forward(pair.clone(), changed.clone()));
    }
    tasks.spawn(forward(push.standing.clone(), changed.clone()));
    tokio::select! {
        () = compose(&push, &batches, &changed, timing) => {}
        () = shutdown => {}
    }
}

/// Tells of each new snapshot (or finding of the agent itself); ends when its hub does.
async fn forward<T>(mut news: watch::Receiver<T>, changed: Arc<Notify>) {
    while news.changed().await.is_ok() {
        changed.notify_one();
    }
}

/// Publishes a batch when an alert begins or ends, and each minute.
async fn compose(push: &Push, batches: &watch::Sender<Batch>, changed: &Notify, timing: Timing) {
    let mut last: Option<(Moment, Vec<Identity>)> = None;
    let mut resolved = Resolved::default();
    loop {
        let now = clock::now();
        let mut batch = firing(push, now);
        let identities: Vec<_> = batch.iter().map(Alert::identity).collect();
        if push.alerting.on_resolve == OnResolve::Send {
            batch.extend(resolved.since_last(&batch, (now, clock::wall()), timing.lives));
        }
        let due = last
            .as_ref()
            .is_none_or(|(sent, sent_identities)| now.since(*sent) >= timing.resend || *sent_identities != identities);
        if due {
            batches.send_replace(Arc::new(batch));
            last = Some((now, identities));
        }
        let next = last.as_ref().map_or(now, |(sent, _)| *sent + timing.resend);
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(next.since(now)) => {}
        }
    }
}

/// What fires now, over all pairs.
fn firing(push: &Push, now: Moment) -> Vec<Alert> {
    let mut alerts = alerts_of(None, &push.standing.borrow(), &[], &push.alerting.external_labels);
    for pair in &push.pairs {
        let snapshot = pair.borrow().clone();
        let view = snapshot.at(now);
        let mut findings = view.findings.clone();
        // Nobody judges this pair any more, so that no hold time can run out: what it waits for has come.
        if pair.has_changed().is_err() && now >= snapshot.shown_until() + GONE {
            findings
                .iter_mut()
                .filter(|one| one.state == FindingState::Pending)
                .for_each(|one| one.state = FindingState::Firing);
        }
        alerts.extend(alerts_of(Some(&view.pair), &findings, &view.channels, &push.alerting.external_labels));
    }
    alerts
}
