//! Reads a pair's state file at the start and writes it from time to time, beside the hub: a slow or full disk delays no verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Keeping;
use crate::clock::{self, BootId, Moment};
use crate::history::rules::RuleTimers;
use crate::names::Name;
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
    /// Of each pair whose file cannot be written now, why not.
    failing: Mutex<BTreeMap<Name, String>>,
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
        let cannot = failing.iter().map(|(pair, why)| {
            format!("The state of pair {pair} cannot be saved ({why}): a restart would forget pending alerts.")
        });
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = unused.iter().filter(|(when, _)| now.since(*when) < SHOWN_FOR);
        let lost = recent.map(|(_, why)| format!("State was not used, pending alerts began anew: {why}."));
        cannot.chain(lost).collect()
    }

    /// Whether that is news.
    fn note(&self, pair: &Name, result: &std::io::Result<()>) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => failing.remove(pair).is_some(),
            Err(error) => failing.insert(pair.clone(), error.to_string()).is_none(),
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
pub async fn keep(file: StateFile, boot: Option<BootId>, states: watch::Receiver<Saved>, writes: Arc<StateWrites>) {
    keep_timed(file, boot, states, writes, (PAUSE, REFRESH)).await;
}

async fn keep_timed(
    file: StateFile,
    boot: Option<BootId>,
    mut states: watch::Receiver<Saved>,
    writes: Arc<StateWrites>,
    (pause, refresh): (Duration, Duration),
) {
    let mut failed = false;
    loop {
        // Looked at without taking it in: what changes from the last write on is still to be written.
        let idle = states.borrow().timers == RuleTimers::default();
        let closed = tokio::select! {
            changed = states.changed() => changed.is_err(),
            // What could not be written is tried again though nothing changes: the disk may have room by now.
            () = tokio::time::sleep(refresh), if !idle || failed => false,
        };
        let saved = states.borrow_and_update().clone();
        let result = write(&file, saved, boot.clone()).await;
        failed = result.is_err();
        let counter = if result.is_ok() { &writes.ok } else { &writes.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        // One line per transition: a full disk says so once.
        if writes.note(file.pair(), &result) {
            match result {
                Err(error) => {
                    tracing::error!(file = %file.path().display(), %error, "state cannot be saved; a restart would forget pending alerts");
                }
                Ok(()) => tracing::info!(file = %file.path().display(), "state is saved again"),
            }
        }
        if closed {
            // Nobody writes it any more, so nothing is wrong with it now.
            let _ = writes.note(file.pair(), &Ok(()));
            return;
        }
        // Ends early when the hub does.
        let _ = tokio::time::timeout(pause, states.clone().wait_for(|_| false)).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::history::day::Change;
    use crate::level::Level;
    use crate::names::Channel;

    /// A file that is kept, with what goes into it, and counts of writes.
    struct Kept {
        place: std::path::PathBuf,
        file: StateFile,
        state: watch::Sender<Saved>,
        writes: Arc<StateWrites>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Kept {
        fn start(name: &str, prepare: impl FnOnce(&std::path::Path), times: (Duration, Duration)) -> Self {
            let place = std::env::temp_dir().join(format!("standbywatch-saving-{name}-{}", std::process::id()));
            prepare(&place);
            let (file, writes) = (StateFile::new(&place, &Name::new("catalog")), Arc::new(StateWrites::default()));
            let (state, states) = watch::channel(Saved::default());
            let task = tokio::spawn(keep_timed(file.clone(), None, states, writes.clone(), times));
            Self { place, file, state, writes, task }
        }

        /// A level that changed, and nothing that is pending.
        fn change(&self, at: f64) {
            let change =
                Change { time: WallTime(at), channel: Channel::Config, was: None, level: Level::Ok, reason: None };
            self.state.send_replace(Saved { changes: vec![change], ..Saved::default() });
        }

        async fn until(&self, wanted: impl Fn((u64, u64)) -> bool) {
            let counted = async {
                while !wanted(self.writes.counts()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), counted).await.expect("it is counted");
        }

        async fn end(self) {
            drop(self.state);
            self.task.await.unwrap();
            std::fs::remove_dir_all(&self.place).unwrap();
        }
    }

    #[tokio::test]
    async fn what_could_not_be_saved_is_saved_as_soon_as_it_can_be_though_nothing_changes() {
        // Where the directory should be, lies a file: nothing can be written.
        let quick = (Duration::from_millis(5), Duration::from_millis(20));
        let kept = Kept::start("room", |place| std::fs::write(place, "").unwrap(), quick);
        kept.change(1e9);
        kept.until(|(_, failed)| failed > 1).await;
        assert!(kept.writes.troubles(clock::now())[0].contains("cannot be saved"));
        std::fs::remove_file(&kept.place).unwrap();
        kept.until(|(ok, _)| ok > 0).await;
        assert!(kept.writes.troubles(clock::now()).is_empty() && kept.file.path().exists());
        let written = kept.writes.counts();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(kept.writes.counts(), written, "and then only when something changes");
        kept.end().await;
    }

    /// Else an alert that ended then would fire again after a crash.
    #[tokio::test]
    async fn what_changes_between_two_writes_is_written_though_nothing_changes_after_it() {
        let times = (Duration::from_millis(200), Duration::from_secs(3600));
        let kept = Kept::start("between", |_| {}, times);
        kept.change(1e9);
        kept.until(|(ok, _)| ok == 1).await;
        kept.change(2e9);
        kept.until(|(ok, _)| ok == 2).await;
        assert!(std::fs::read_to_string(kept.file.path()).unwrap().contains("2000000000"));
        kept.end().await;
    }
}
