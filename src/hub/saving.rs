//! Reads a state file at the start and writes it from time to time, beside the hub: a slow or full disk delays no verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Core, HAND_EVERY, Keeping};
use crate::clock::{self, BootId, Moment};
use crate::history::day::SharedDay;
use crate::history::rules::RuleTimers;
use crate::state_file::{DayFile, Present, Saved, StateFile};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(5);
/// While an alert is pending or firing the file is written this often even if nothing changes, since the time between the
/// last write and a crash counts as not observed.
const REFRESH: Duration = Duration::from_secs(15);

/// Between two writes of the minutes of a day: they are many, and some of them may be lost.
const DAY_PAUSE: Duration = Duration::from_mins(5);

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
    /// What became of files that could not be used, in a sentence, and when that was.
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
        cannot.chain(recent.map(|(_, told)| told.clone())).collect()
    }

    /// Whether that is news.
    fn note(&self, whose: String, result: &std::io::Result<()>) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => failing.remove(&whose).is_some(),
            Err(error) => failing.insert(whose, error.to_string()).is_none(),
        }
    }

    fn note_unused(&self, told: String) {
        self.not_loaded.fetch_add(1, Ordering::Relaxed);
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < MOST_SHOWN {
            unused.push((clock::now(), told));
        }
    }
}

/// Saves a pair's state and its last day until the sender of `states` is gone. Before that, the day goes on from what was saved of it.
pub(super) async fn start(
    file: StateFile,
    keeping: Keeping,
    day: &SharedDay,
    states: watch::Receiver<Saved>,
) -> JoinHandle<()> {
    let of_day = DayFile::beside(&file);
    load_day(of_day.clone(), &keeping, day.clone()).await;
    let (boot, writes) = (keeping.boot.clone(), keeping.writes.clone());
    let days = keep_day(of_day, keeping, day.clone(), states.clone());
    tokio::spawn(async {
        tokio::join!(keep(file, boot, states, writes), days);
    })
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
            keeping.writes.note_unused(format!("State was not used, pending alerts began anew: {error}."));
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
        let _ = tokio::time::timeout(pause, states.clone().wait_for(|_| false)).await;
    }
}

/// Puts the minutes that were saved of a pair's last day into it; none if they cannot be used, which is said.
async fn load_day(file: DayFile, keeping: &Keeping, day: SharedDay) {
    let boot = keeping.boot.clone();
    let load = move || day.with(|day| file.load(day, &Present { boot, now: clock::now(), wall: clock::wall() }));
    if let Ok(Err(error)) = tokio::task::spawn_blocking(load).await {
        tracing::warn!(%error, "the plots of the last day begin anew");
        keeping.writes.note_unused(format!("The plots of the last day began anew: {error}."));
    }
}

/// Saves the minutes of a pair's last day now and then, and a last time when the hub has gone (whose `states` end then).
async fn keep_day(file: DayFile, keeping: Keeping, day: SharedDay, mut states: watch::Receiver<Saved>) {
    let mut failed = false;
    loop {
        // Not those of all pairs at once.
        let pause = DAY_PAUSE.mul_f64(1.0 + 0.2 * fastrand::f64());
        let closed = tokio::time::timeout(pause, states.wait_for(|_| false)).await.is_ok();
        let (of, boot, day) = (file.clone(), keeping.boot.clone(), day.clone());
        let write = move || match day.with(|day| day.saved()) {
            saved if saved.is_empty() => Ok(()),
            saved => of.save(&saved, &Present { boot, now: clock::now(), wall: clock::wall() }),
        };
        let result = tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match &result {
            Err(error) if !failed => {
                let file = file.path().display();
                tracing::warn!(%file, %error, "the last day cannot be saved; after a restart its plots would begin anew");
            }
            _ => {}
        }
        failed = result.is_err();
        if closed {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::history::day::Change;
    use crate::level::Level;
    use crate::names::{Channel, Name};

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
