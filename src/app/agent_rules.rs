//! What fires in the agent itself, whatever becomes of its pairs: the dead-man's switch, and the rules over its own samples.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{self, Moment, PauseDetector, WallTime};
use crate::history::rules::RuleTimers;
use crate::judge::rules::{RuleBook, explained_by};
use crate::snapshot::{ByMetric, Finding, Sample, Snapshot};
use crate::state_file::Saved;

/// Between two looks, where no hold time runs out earlier. Their rules speak of minutes.
const EVERY: Duration = Duration::from_secs(5);
/// The same while alerts stand still.
const EVERY_STILL: Duration = Duration::from_secs(1);
/// What stands still goes on after this at the latest.
const LONGEST_STILL: Duration = Duration::from_secs(30);
/// On a busy machine a look comes late, too; that is no time in which nobody looked.
const OVERSLEPT: Duration = Duration::from_secs(10);

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

    /// Judges for ever, going on from what `state` has, and puts there how far each alert has come. `own` gives the agent's samples.
    pub(super) async fn run(&self, state: watch::Sender<Saved>, own: impl Fn() -> Vec<Sample>) {
        let mut course = Course::resumed(state.borrow().timers.clone(), clock::now(), clock::wall());
        loop {
            let pause = self.judge_once(&mut course, &own(), clock::now(), clock::wall());
            state.send_if_modified(|saved| {
                let changed = saved.timers != course.timers;
                if changed {
                    saved.timers.clone_from(&course.timers);
                }
                changed
            });
            tokio::select! {
                // A millisecond more, since timers may fire a little early.
                () = tokio::time::sleep(pause + Duration::from_millis(1)) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Publishes what is found; gives how long it holds if nothing changes.
    fn judge_once(&self, course: &mut Course, own: &[Sample], now: Moment, wall: WallTime) -> Duration {
        let (book, pairs) = self.judged.read().unwrap_or_else(PoisonError::into_inner).clone();
        let shown: Vec<_> = pairs.iter().map(|pair| pair.borrow().clone()).collect();
        let of_pairs = || shown.iter().map(|snapshot| snapshot.at(now));
        course.wake(now, wall, shown.iter().all(|snapshot| snapshot.complete));
        let samples = ByMetric::new(own.iter().chain(of_pairs().flat_map(|view| &view.samples)));
        let (found, next) = book.evaluate_agent(&samples, &mut course.timers, now, wall);
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
        let longest = if course.timers.standing().is_some() { EVERY_STILL } else { EVERY };
        let pause = next.map_or(longest, |next| next.since(now).min(longest));
        course.due = now + pause;
        pause
    }
}

/// How far the alerts have come, and whether anybody has looked of late.
struct Course {
    timers: RuleTimers,
    pause: PauseDetector,
    /// When the next look is due at the latest.
    due: Moment,
    /// Looks come again after a time without any. What pairs show then is still what ran out meanwhile.
    woken: bool,
}

impl Course {
    /// With what an agent before this one has saved. Since then nobody has looked.
    fn resumed(mut timers: RuleTimers, now: Moment, wall: WallTime) -> Self {
        timers.stand_still(now);
        Self { timers, pause: PauseDetector::new(now, wall), due: now, woken: false }
    }

    /// Alerts stand still until all has been asked (`complete`, after a start), and for a while after a time in which this process or its
    /// machine stood still: see `hub/waking.rs`.
    fn wake(&mut self, now: Moment, wall: WallTime, complete: bool) {
        let paused = self.pause.tick(now, wall);
        let overslept = self.due + OVERSLEPT < now;
        if overslept {
            self.timers.unobserved(now.since(self.due));
        }
        if paused || overslept {
            self.timers.stand_still(now);
            self.woken = true;
        }
        let Some(since) = self.timers.standing() else {
            self.woken = false;
            return;
        };
        if now >= since + LONGEST_STILL || (complete && !self.woken) {
            self.timers.look(now);
            self.woken = false;
        }
    }
}

#[cfg(test)]
mod tests;
