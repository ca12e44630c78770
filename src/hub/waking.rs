//! The hub when something is wrong with itself: after a time in which it could not look, after a mistake of ours, and at its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinError;

use super::Core;
use super::histories::Histories;
use super::schedule::Told;
use crate::clock::{self, Moment, WallTime};
use crate::snapshot::Snapshot;
use crate::state_file::Saved;

/// A hub on a busy machine comes late, too; that is no time in which nobody looked.
const OVERSLEPT: Duration = Duration::from_secs(10);

impl Core {
    /// Takes in what was told, now.
    pub(super) fn step(&mut self, told: Vec<Told>) -> Arc<Snapshot> {
        let (now, wall) = (clock::now(), clock::wall());
        self.guarded(now, wall, |core| core.advance(told, now, wall))
    }

    /// A hub that ended by a mistake of ours would judge nothing any more, and what is not judged is never told. Instead all that it
    /// may have half understood is dropped: everything is unknown, and told as such.
    pub(super) fn guarded(
        &mut self,
        now: Moment,
        wall: WallTime,
        step: impl FnOnce(&mut Self) -> Arc<Snapshot>,
    ) -> Arc<Snapshot> {
        if let Ok(snapshot) = catch_unwind(AssertUnwindSafe(|| step(self))) {
            self.stumbled = false;
            return snapshot;
        }
        if !std::mem::replace(&mut self.stumbled, true) {
            let pair = self.pair.name.as_str();
            tracing::error!(
                pair,
                "what was read cannot be judged: a mistake in standbywatch, please report it; until then all is unknown"
            );
        }
        self.readings = self.readings.dropped();
        self.histories = Histories::new(&self.pair);
        self.role_file = None;
        self.peers.forget();
        self.peer_trees.forget();
        self.snapshot(now, wall)
    }

    /// If the machine was paused from outside since the last snapshot, nothing from before is believed, nor what came in with this
    /// waking. If only this process stood still (its own moment has passed long ago), the alerts' time did, too.
    pub(super) fn wake(&mut self, now: Moment, wall: WallTime) {
        if self.pause.tick(now, wall) {
            tracing::warn!(pair = %self.pair.name, "this machine was paused; all readings are dropped");
            self.readings = self.readings.dropped();
            self.histories.forget_moments(&self.pair);
            self.role_file = None;
            self.peers.forget();
            self.peer_trees.forget();
            self.timers.stand_still(now);
        }
        if let Some(until) = self.shown_until.filter(|until| *until + OVERSLEPT < now) {
            self.timers.unobserved(now.since(until));
            self.timers.stand_still(now);
        }
    }

    /// Probes end with the hub only. One that ends before it panicked: what it asked becomes unknown by itself, and stays so until a
    /// reload finds this hub lame and starts another.
    pub(super) fn probe_ended(&self, ended: &Result<(), JoinError>) {
        let why = ended.as_ref().err().map_or_else(|| "it has ended".to_owned(), ToString::to_string);
        let pair = self.pair.name.as_str();
        tracing::error!(
            pair,
            why,
            "a probe asks no more: a mistake in standbywatch, please report it; a reload starts it again"
        );
        self.lame.store(true, Ordering::Relaxed);
    }

    /// The newest state, also for the last write.
    pub(super) fn hand_over(self) -> Saved {
        let search = self.pair.search.is_some().then(|| self.histories.search.saved());
        let kvstore = self.histories.kvstore.tracker.clone();
        let changes = self.day.with(|day| day.changes().cloned().collect());
        let saved = Saved { timers: self.timers, postgres: self.histories.saved(), search, kvstore, changes };
        self.state.send_replace(saved.clone());
        saved
    }
}
