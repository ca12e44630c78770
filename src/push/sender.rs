//! One task per Alertmanager: sends the newest batch until it is taken, refused, or replaced by a newer one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, LOCATION};
use tokio::sync::watch;

use super::ahead::ahead;
use super::alert::body;
use super::{Batch, PushCounters, Timing};
use crate::clock;
use crate::config::AlertingAccess;
use crate::facts::Failure;
use crate::http_client::{Connection, Response};
use crate::names::PushOutcome;
use crate::probe::password::password_of;
use crate::units::duration_text;

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

/// Between two answers dates differ by a second, and clocks drift.
const AS_GOOD_AS_EQUAL: Duration = Duration::from_secs(10);

/// One Alertmanager: its address, with a form that may be shown, and how it is asked.
pub(super) struct Target {
    path: &'static str,
    base_url: String,
    shown: String,
    access: AlertingAccess,
    external_url: String,
    /// By how much its clock is ahead of ours.
    ahead: Duration,
    /// It took what was sent to it last.
    pub(super) takes: Arc<AtomicBool>,
}

impl Target {
    pub(super) fn new(base_url: &str, access: AlertingAccess, external_url: &str) -> Self {
        let shown = match (base_url.split_once("://"), base_url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
            _ => base_url.to_owned(),
        };
        let (base_url, external_url) = (base_url.to_owned(), external_url.to_owned());
        Self {
            path: "/api/v2/alerts",
            base_url,
            shown,
            access,
            external_url,
            ahead: Duration::ZERO,
            takes: Arc::default(),
        }
    }

    /// Password, token and certificates are read anew each time, so that changed ones are found.
    async fn connection(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::new(&self.base_url)?;
        if let Some(user) = &self.access.user {
            let password = password_of(self.access.password.as_ref()).await?;
            connection.authenticate(user, password.as_ref().map_or("", |password| password.expose()));
        }
        if let Some(token) = password_of(self.access.bearer.as_ref()).await? {
            connection.authorize("Bearer", &token)?;
        }
        if let Some(file) = &self.access.root_certificate {
            connection.trust_only(file)?;
        }
        Ok(connection)
    }

    async fn post(&self, body: Vec<u8>) -> Result<Response, Failure> {
        let headers = [("content-type", "application/json")];
        let mut connection = self.connection().await?;
        Ok(connection.send(Method::POST, self.path, &headers, body, MAX_ANSWER).await?)
    }

    /// Pushes once, and a second time if the answer tells that the ends were written in the wrong time.
    async fn push(&mut self, batch: &Batch, timing: Timing) -> Pushed {
        let (pushed, ahead) = self.push_once(batch, timing).await;
        let differs = ahead.is_some_and(|ahead| ahead.abs_diff(self.ahead) >= AS_GOOD_AS_EQUAL);
        let Some(ahead) = ahead.filter(|_| differs) else { return pushed };
        let (alertmanager, ahead_by) = (&self.shown, duration_text(Duration::from_secs(ahead.as_secs())));
        tracing::warn!(
            alertmanager,
            ahead_by,
            "its clock is ahead of this machine's; ends of alerts are told in its time"
        );
        self.ahead = ahead;
        self.push_once(batch, timing).await.0
    }

    /// What became of it, and by how much the clock there is ahead.
    async fn push_once(&self, batch: &Batch, timing: Timing) -> (Pushed, Option<Duration>) {
        let body = body(batch, &self.external_url, clock::wall(), timing.lives + self.ahead);
        let posted = tokio::time::timeout(timing.deadline, self.post(body)).await;
        let ahead =
            posted.as_ref().ok().and_then(|posted| posted.as_ref().ok()).map(|answer| ahead(answer, clock::wall()));
        let pushed = match posted {
            Ok(Ok(answer)) if answer.is_success() && !is_a_page(&answer) => Pushed::Taken,
            Ok(Ok(answer)) => {
                let text = format!("status {}{}: {}", answer.status, elsewhere(&answer), answer.excerpt(EXCERPT));
                // 408 and 429 say "later"; a password or token that is refused may be changed.
                match answer.status {
                    400..500 if !matches!(answer.status, 401 | 403 | 408 | 429) => Pushed::Refused(text),
                    _ => Pushed::Failed(text),
                }
            }
            Ok(Err(failure)) => Pushed::Failed(failure.to_string()),
            Err(_) => Pushed::Failed(format!("no complete answer within {}", duration_text(timing.deadline))),
        };
        (pushed, ahead)
    }
}

/// A login or an error page of something in between answers 200, too. Alertmanager never answers a push with a page.
fn is_a_page(answer: &Response) -> bool {
    answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"))
}

/// What keeps an answer from being Alertmanager's own, for the log.
fn elsewhere(answer: &Response) -> String {
    let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).filter(|_| matches!(answer.status, 300..400));
    match to {
        Some(to) => format!(" (it leads to {to:?}: write the address that takes alerts itself)"),
        None if answer.is_success() => " (a web page, not Alertmanager: a login in between?)".to_owned(),
        None => String::new(),
    }
}

/// Sends each batch to one Alertmanager, as long as there are any.
pub(super) async fn send_all(
    mut target: Target,
    mut batches: watch::Receiver<Batch>,
    counters: Arc<PushCounters>,
    timing: Timing,
) {
    let mut before = Pushed::Taken;
    while batches.changed().await.is_ok() {
        let mut pause = timing.first_pause;
        loop {
            let batch = batches.borrow_and_update().clone();
            if batch.is_empty() {
                break;
            }
            let now = target.push(&batch, timing).await;
            counters.count(outcome(&now));
            target.takes.store(now == Pushed::Taken, Ordering::Relaxed);
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
