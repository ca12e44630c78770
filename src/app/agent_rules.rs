//! What fires in the agent itself, whatever becomes of its pairs: the dead-man's switch, and the rules over its own samples.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{self, Moment, WallTime};
use crate::history::rules::RuleTimers;
use crate::judge::rules::{RuleBook, explained_by};
use crate::snapshot::{ByMetric, Finding, Sample, Snapshot};

/// Between two looks, where no hold time runs out earlier. Their rules speak of minutes.
const EVERY: Duration = Duration::from_secs(5);

type Pairs = Arc<[watch::Receiver<Arc<Snapshot>>]>;

/// What is judged, and what was found.
pub(super) struct AgentRules {
    began: (Moment, WallTime),
    judged: RwLock<(Arc<RuleBook>, Pairs)>,
    changed: Notify,
    found: watch::Sender<Arc<Vec<Finding>>>,
}

impl AgentRules {
    pub(super) fn new(began: (Moment, WallTime), book: Arc<RuleBook>) -> Self {
        let standing: Vec<_> = book.watchdog(began.0, began.1).into_iter().collect();
        let judged = RwLock::new((book, Pairs::from([])));
        Self { began, judged, changed: Notify::new(), found: watch::channel(Arc::new(standing)).0 }
    }

    /// Other rules, other pairs: after a reload.
    pub(super) fn judge(&self, book: Arc<RuleBook>, pairs: Pairs) {
        *self.judged.write().unwrap_or_else(PoisonError::into_inner) = (book, pairs);
        self.look_again();
    }

    /// A sample of the agent's own has changed.
    pub(super) fn look_again(&self) {
        self.changed.notify_one();
    }

    /// What was found last; the dead-man's switch first.
    pub(super) fn found(&self) -> watch::Receiver<Arc<Vec<Finding>>> {
        self.found.subscribe()
    }

    /// Judges for ever. `own` gives the agent's samples.
    pub(super) async fn run(&self, own: impl Fn() -> Vec<Sample>) {
        let mut timers = RuleTimers::default();
        loop {
            let (now, wall) = (clock::now(), clock::wall());
            let (book, pairs) = self.judged.read().unwrap_or_else(PoisonError::into_inner).clone();
            let own = own();
            let shown: Vec<_> = pairs.iter().map(|pair| pair.borrow().clone()).collect();
            let of_pairs = || shown.iter().map(|snapshot| snapshot.at(now));
            let samples = ByMetric::new(own.iter().chain(of_pairs().flat_map(|view| &view.samples)));
            let (found, next) = book.evaluate_agent(&samples, &mut timers, now, wall);
            let others: Vec<_> = of_pairs().flat_map(|view| view.findings.clone()).collect();
            let found = found.into_iter().map(|one| Finding { explained_by: explained_by(&one, &others), ..one });
            let all: Vec<_> = book.watchdog(self.began.0, self.began.1).into_iter().chain(found).collect();
            self.found.send_if_modified(|before| {
                let changed = **before != all;
                if changed {
                    *before = Arc::new(all);
                }
                changed
            });
            // A millisecond more, since timers may fire a little early.
            let pause = next.map_or(EVERY, |next| next.since(now).min(EVERY)) + Duration::from_millis(1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}
