//! Reads a pair's state file at the start and writes it from time to time, beside the hub: a slow or full disk delays no verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{self, BootId};
use crate::history::rules::RuleTimers;
use crate::state_file::{Present, Saved, StateFile};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(5);
/// While an alert is pending or firing the file is written this often even if nothing changes, since the time between the
/// last write and a crash counts as not observed.
const REFRESH: Duration = Duration::from_secs(15);

/// How often state files were written, over all pairs.
#[derive(Debug, Default)]
pub struct StateWrites {
    ok: AtomicU64,
    failed: AtomicU64,
}

impl StateWrites {
    /// Writes that succeeded and that failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.ok.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// What the file remembers; nothing if it cannot be used, which is logged.
pub async fn load(file: StateFile, boot: Option<BootId>) -> Saved {
    let loaded =
        tokio::task::spawn_blocking(move || file.load(&Present { boot, now: clock::now(), wall: clock::wall() }));
    match loaded.await {
        Ok(Ok(saved)) => saved.unwrap_or_default(),
        Ok(Err(error)) => {
            tracing::error!(%error, "state is not used; pending alerts begin anew");
            Saved::default()
        }
        Err(_) => Saved::default(),
    }
}

/// Keeps the file like the newest state until the sender is gone; then writes it a last time.
pub async fn keep(file: StateFile, boot: Option<BootId>, mut states: watch::Receiver<Saved>, writes: Arc<StateWrites>) {
    let mut failing = false;
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
        match result {
            Err(error) if !failing => {
                tracing::error!(file = %file.path().display(), %error, "state cannot be saved; a restart would forget pending alerts");
                failing = true;
            }
            Ok(()) if failing => {
                tracing::info!(file = %file.path().display(), "state is saved again");
                failing = false;
            }
            _ => {}
        }
        if closed {
            return;
        }
        // Ends early when the hub does.
        let _ = tokio::time::timeout(PAUSE, states.wait_for(|_| false)).await;
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
