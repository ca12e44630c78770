//! One task per Alertmanager: sends the newest batch until it is taken, refused, or replaced by a newer one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::alert::body;
use super::{Batch, PushCounters, Timing};
use crate::clock;
use crate::http_client;
use crate::names::PushOutcome;

/// What became of one push, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pushed {
    Taken,
    /// It will be refused again: not repeated.
    Refused(String),
    /// It may work later: repeated.
    Failed(String),
}

/// Alertmanager's answers are short.
const MAX_ANSWER: usize = 64 * 1024;
/// So much of an answer stands in the log.
const EXCERPT: usize = 300;

/// One Alertmanager's address, with a form that may be shown.
struct Target {
    url: String,
    shown: String,
}

impl Target {
    fn new(base_url: &str) -> Self {
        let url = format!("{}/api/v2/alerts", base_url.trim_end_matches('/'));
        let shown = match (base_url.split_once("://"), base_url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
            _ => base_url.to_owned(),
        };
        Self { url, shown }
    }
}

/// Sends each batch to one Alertmanager, as long as there are any.
pub(super) async fn send_all(
    base_url: String,
    external_url: Arc<str>,
    mut batches: watch::Receiver<Batch>,
    counters: Arc<PushCounters>,
    timing: Timing,
) {
    let target = Target::new(&base_url);
    let mut before = Pushed::Taken;
    while batches.changed().await.is_ok() {
        let mut pause = timing.first_pause;
        loop {
            let batch = batches.borrow_and_update().clone();
            if batch.is_empty() {
                break;
            }
            let now = push(&target, &batch, &external_url, timing).await;
            counters.count(outcome(&now));
            log_change(&target, &before, &now);
            before = now;
            if !matches!(before, Pushed::Failed(_)) {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(pause)) => {}
                // A newer state is tried at once; the pause goes on growing while it fails.
                changed = batches.changed() => if changed.is_err() { return },
            }
            pause = pause.saturating_mul(2).min(timing.longest_pause);
        }
    }
}

async fn push(target: &Target, batch: &Batch, external_url: &str, timing: Timing) -> Pushed {
    let body = body(batch, external_url, clock::wall(), timing.lives);
    let headers = [("content-type", "application/json")];
    match http_client::post(&target.url, &headers, body, timing.deadline, MAX_ANSWER).await {
        Ok(answer) if answer.is_success() => Pushed::Taken,
        Ok(answer) => {
            let text = format!("status {}: {}", answer.status, answer.excerpt(EXCERPT));
            // 408 and 429 say "later".
            match answer.status {
                400..500 if !matches!(answer.status, 408 | 429) => Pushed::Refused(text),
                _ => Pushed::Failed(text),
            }
        }
        Err(error) => Pushed::Failed(error.to_string()),
    }
}

const fn outcome(pushed: &Pushed) -> PushOutcome {
    match pushed {
        Pushed::Taken => PushOutcome::Ok,
        Pushed::Refused(_) => PushOutcome::Refused,
        Pushed::Failed(_) => PushOutcome::Failed,
    }
}

/// One line when it changes, not one per push. Alerts that reach nobody are something a person must act on.
fn log_change(target: &Target, before: &Pushed, now: &Pushed) {
    let alertmanager = &target.shown;
    match (before, now) {
        (Pushed::Taken, Pushed::Taken) => {}
        (_, Pushed::Taken) => tracing::info!(alertmanager, "alerts are taken again"),
        (Pushed::Failed(_), Pushed::Failed(_)) => {}
        (_, Pushed::Failed(answer)) => tracing::error!(alertmanager, answer, "alerts do not get through; trying again"),
        (before, Pushed::Refused(answer)) => {
            if before != now {
                tracing::error!(alertmanager, answer, "alerts were refused; not sent again as they are");
            }
        }
    }
}

/// So that many agents do not come back at the same instant: between half and all of the pause.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
