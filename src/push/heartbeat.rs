//! Calls somebody else's dead-man's switch while all is well here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::Timing;
use crate::clock;
use crate::config::Heartbeat;
use crate::http_client;
use crate::snapshot::Snapshot;

/// Answers are not read, only taken.
const MAX_ANSWER: usize = 64 * 1024;

/// Calls it on each healthy minute: every pair is looked at, and an Alertmanager takes alerts. (Whether the pairs are well is
/// what alerts are for.)
pub(super) async fn beat(
    heartbeat: Heartbeat,
    pairs: Vec<watch::Receiver<Arc<Snapshot>>>,
    takers: Vec<Arc<AtomicBool>>,
    timing: Timing,
) {
    let mut failing = false;
    loop {
        tokio::time::sleep(if failing { timing.longest_pause } else { timing.resend }).await;
        if !is_healthy(&pairs, &takers) {
            continue;
        }
        let called = http_client::get(heartbeat.url.expose(), &[], timing.deadline, MAX_ANSWER).await;
        let trouble = match called {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => Some(format!("status {}", answer.status)),
            Err(error) => Some(error.to_string()),
        };
        let url = &heartbeat.shown;
        match &trouble {
            Some(trouble) if !failing => tracing::error!(url, trouble, "the heartbeat does not get through"),
            None if failing => tracing::info!(url, "the heartbeat gets through again"),
            _ => {}
        }
        failing = trouble.is_some();
    }
}

fn is_healthy(pairs: &[watch::Receiver<Arc<Snapshot>>], takers: &[Arc<AtomicBool>]) -> bool {
    let now = clock::now();
    // A hub that publishes no more has let its last snapshot run out.
    let looks = |pair: &watch::Receiver<Arc<Snapshot>>| pair.has_changed().is_ok() && pair.borrow().shown_until() > now;
    pairs.iter().all(looks) && takers.iter().any(|takes| takes.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::view::fixture;

    #[test]
    fn a_minute_is_healthy_if_every_pair_is_looked_at_and_somebody_takes_alerts() {
        let snapshot = |ahead| {
            let until = clock::now() + Duration::from_secs(ahead);
            watch::channel(Arc::new(Snapshot::new(1, true, fixture::unknown(), fixture::unknown, until)))
        };
        let (_looks, looked_at) = snapshot(3600);
        let (_sleeps, run_out) = snapshot(0);
        let (hub, ended) = snapshot(3600);
        drop(hub);
        let takers = |takes: [bool; 2]| takes.map(|takes| Arc::new(AtomicBool::new(takes)));
        let one = takers([false, true]);
        assert!(is_healthy(std::slice::from_ref(&looked_at), &one), "how the pair is does not matter");
        assert!(!is_healthy(std::slice::from_ref(&looked_at), &takers([false, false])), "nobody would hear of it");
        assert!(!is_healthy(&[looked_at.clone(), run_out], &one));
        assert!(!is_healthy(&[looked_at, ended], &one));
    }
}
