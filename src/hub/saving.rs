//! Reads a state file at the start and writes it from time to time, beside the hub: a slow or full disk delays no verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Core, HAND_EVERY, Keeping};
use crate::clock::{self, BootId, Moment};
use crate::history::rules::RuleTimers;
use crate::state_file::{Present, Saved, StateFile};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(5);
/// While an alert is pending or firing the file is written this often even if nothing changes, since the time between the
/// last write and a crash counts as not observed.
const REFRESH: Duration = Duration::from_secs(15);

/// So long is it shown that a file could not be used.
const SHOWN_FOR: Duration = Duration::from_hours(24);
/// More of them are counted, not shown.
const MOST_SHOWN: usize = 100;

/// How often state files were written, over all pairs, and what is wrong with them.
#[derive(Debug, Default)]
pub struct StateWrites {
    ok: AtomicU64,
    failed: AtomicU64,
    not_loaded: AtomicU64,
    /// Whose file cannot be written now, and why not.
    failing: Mutex<BTreeMap<String, String>>,
    /// Files that could not be used, and when that was.
    unused: Mutex<Vec<(Moment, String)>>,
}

impl StateWrites {
    /// Writes that succeeded and that failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.ok.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Files that were there and could not be used.
    pub fn not_loaded(&self) -> u64 {
        self.not_loaded.load(Ordering::Relaxed)
    }

    /// What is wrong with state files, as sentences for people.
    pub fn troubles(&self, now: Moment) -> Vec<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let cannot = failing.iter().map(|(whose, why)| {
            format!("The state of {whose} cannot be saved ({why}): a restart would forget pending alerts.")
        });
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = unused.iter().filter(|(when, _)| now.since(*when) < SHOWN_FOR);
        let lost = recent.map(|(_, why)| format!("State was not used, pending alerts began anew: {why}."));
        cannot.chain(lost).collect()
    }

    /// Whether that is news.
    fn note(&self, whose: String, result: &std::io::Result<()>) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => failing.remove(&whose).is_some(),
            Err(error) => failing.insert(whose, error.to_string()).is_none(),
        }
    }

    fn note_unused(&self, why: String) {
        self.not_loaded.fetch_add(1, Ordering::Relaxed);
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < MOST_SHOWN {
            unused.push((clock::now(), why));
        }
    }
}

/// What was saved of a pair; nothing if it cannot be used, which is said.
pub async fn load(file: StateFile, keeping: &Keeping) -> Saved {
    let boot = keeping.boot.clone();
    let loaded =
        tokio::task::spawn_blocking(move || file.load(&Present { boot, now: clock::now(), wall: clock::wall() }));
    match loaded.await {
        Ok(Ok(saved)) => saved.unwrap_or_default(),
        Ok(Err(error)) => {
            tracing::error!(%error, "state is not used; pending alerts begin anew");
            keeping.writes.note_unused(error.to_string());
            Saved::default()
        }
        Err(_) => Saved::default(),
    }
}

/// Keeps the file like the newest state until the sender is gone; then writes it a last time.
pub async fn keep(file: StateFile, boot: Option<BootId>, mut states: watch::Receiver<Saved>, writes: Arc<StateWrites>) {
    loop {
        let idle = states.borrow_and_update().timers == RuleTimers::default();
        let closed = tokio::select! {
            changed = states.changed() => changed.is_err(),
            () = tokio::time::sleep(REFRESH), if !idle => false,
        };
        let saved = states.borrow_and_update().clone();
        let result = write(&file, saved, boot.clone()).await;
        let counter = if result.is_ok() { &writes.ok } else { &writes.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        // One line per transition: a full disk says so once.
        if writes.note(file.whose(), &result) {
            match result {
                Err(error) => {
                    tracing::error!(file = %file.path().display(), %error, "state cannot be saved; a restart would forget pending alerts");
                }
                Ok(()) => tracing::info!(file = %file.path().display(), "state is saved again"),
            }
        }
        if closed {
            // Nobody writes it any more, so nothing is wrong with it now.
            let _ = writes.note(file.whose(), &Ok(()));
            return;
        }
        // Ends early when the hub does.
        let _ = tokio::time::timeout(PAUSE, states.wait_for(|_| false)).await;
    }
}

impl Core {
    /// Hands on what is to be saved: timers and levels as soon as one changes, the rest now and then, since it changes with each reading.
    pub(super) fn keep_state(&mut self, now: Moment, level_changed: bool) {
        let due = now.since(self.handed) >= HAND_EVERY;
        let postgres = if due { self.histories.saved() } else { None };
        let search = (due && self.pair.search.is_some()).then(|| self.histories.search.saved());
        if due {
            self.handed = now;
        }
        self.state.send_if_modified(|saved| {
            let search_changed = search.is_some() && saved.search != search;
            let canaries = self.histories.kvstore.tracker_to_save(saved.kvstore.as_ref(), due);
            let learned = postgres.is_some() || search_changed || canaries.is_some();
            let changed = saved.timers != self.timers || learned || level_changed;
            if level_changed {
                saved.changes = self.day.with(|day| day.changes().cloned().collect());
            }
            if changed {
                saved.timers.clone_from(&self.timers);
                saved.postgres = postgres.or_else(|| saved.postgres.take());
                saved.search = search.or_else(|| saved.search.take());
                saved.kvstore = canaries.or_else(|| saved.kvstore.take());
            }
            changed
        });
    }
}

async fn write(file: &StateFile, saved: Saved, boot: Option<BootId>) -> std::io::Result<()> {
    let file = file.clone();
    let write = tokio::task::spawn_blocking(move || {
        let present = Present { boot, now: clock::now(), wall: clock::wall() };
        file.save(&saved, &present)
    });
    write.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
