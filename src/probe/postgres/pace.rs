//! How often a server may be asked for a new session. Pure: the clock is handed in.

use std::time::Duration;

use crate::clock::Moment;
use crate::facts::Failure;
use crate::names::FailureKind;

/// Between attempts at a server that does not answer: rises to this.
const SLOWEST: u32 = 3;
/// After a refused authentication, so that no account is locked.
const FIRST_REFUSAL: Duration = Duration::from_secs(30);
const LONGEST_REFUSAL: Duration = Duration::from_mins(5);
/// Sessions that a server may hold for this probe at once.
const MOST_SESSIONS: usize = 2;

/// Holds new sessions back after failures, and counts those that the server may not have noticed to be gone.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long the server keeps a session whose client has vanished.
    linger: Duration,
    failures: u32,
    refusals: u32,
    not_before: Option<Moment>,
    /// When sessions were given up without an end that the server saw.
    lost: Vec<Moment>,
    last: Option<Failure>,
}

impl Pace {
    /// For a server that ends a vanished client's session after `linger`.
    pub(super) const fn new(linger: Duration) -> Self {
        Self { linger, failures: 0, refusals: 0, not_before: None, lost: Vec::new(), last: None }
    }

    /// The failure that still stands at `now`, if no new session may be opened yet.
    pub(super) fn holds_back(&mut self, now: Moment) -> Option<Failure> {
        self.lost_linger(now);
        let early = self.not_before.is_some_and(|not_before| now < not_before);
        let crowded = self.lost.len() >= MOST_SESSIONS;
        if early || crowded { self.last.clone() } else { None }
    }

    /// The server answered: the next failure begins anew.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.refusals = 0;
        self.not_before = None;
        self.last = None;
    }

    /// An attempt failed at `now`. `spread` between 0 and 1 keeps several agents from knocking in step.
    pub(super) fn failed(&mut self, failure: &Failure, now: Moment, spread: f64) {
        let pause = if failure.kind == FailureKind::Authentication {
            let doubled = FIRST_REFUSAL.saturating_mul(2_u32.saturating_pow(self.refusals));
            self.refusals = self.refusals.saturating_add(1);
            doubled.min(LONGEST_REFUSAL)
        } else {
            self.failures = self.failures.saturating_add(1);
            Duration::from_secs(u64::from(self.failures.min(SLOWEST)))
        };
        self.not_before = Some(now + pause.mul_f64(1.0 + spread.clamp(0.0, 1.0) / 4.0));
        self.last = Some(failure.clone());
    }

    /// A session was given up at `now` while the server may still hold it.
    pub(super) fn lost_session(&mut self, now: Moment) {
        self.lost.push(now);
    }

    /// The server may at `now` still hold a session that was given up.
    pub(super) fn lost_linger(&mut self, now: Moment) -> bool {
        self.lost.retain(|lost| now.since(*lost) < self.linger);
        !self.lost.is_empty()
    }

    /// What was refused has changed: the next attempt need not wait.
    pub(super) const fn retry_at_once(&mut self) {
        self.not_before = None;
    }

    /// The last attempt was refused authentication.
    pub(super) fn was_refused(&self) -> bool {
        self.last.as_ref().is_some_and(|failure| failure.kind == FailureKind::Authentication)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Moment {
        Moment::after_boot(Duration::from_secs_f64(seconds))
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "")
    }

    #[test]
    fn attempts_come_after_one_two_and_three_seconds() {
        let mut pace = Pace::new(Duration::from_secs(10));
        for (now, next) in [(100.0, 101.0), (101.0, 103.0), (103.0, 106.0), (106.0, 109.0)] {
            pace.failed(&failure(FailureKind::Refused), at(now), 0.0);
            assert!(pace.holds_back(at(next - 0.1)).is_some());
            assert!(pace.holds_back(at(next)).is_none());
        }
        pace.succeeded();
        pace.failed(&failure(FailureKind::Refused), at(200.0), 1.0);
        assert!(pace.holds_back(at(201.2)).is_some(), "a quarter longer at most");
        assert!(pace.holds_back(at(201.25)).is_none());
    }

    #[test]
    fn a_refused_password_is_tried_rarely() {
        let mut pace = Pace::new(Duration::from_secs(10));
        for pause in [30.0, 60.0, 120.0, 240.0, 300.0, 300.0] {
            pace.failed(&failure(FailureKind::Authentication), at(1000.0), 0.0);
            let held = pace.holds_back(at(999.9 + pause)).expect("held back");
            assert_eq!(held.kind, FailureKind::Authentication);
            assert!(pace.holds_back(at(1000.0 + pause)).is_none());
        }
        pace.failed(&failure(FailureKind::Authentication), at(2000.0), 0.0);
        pace.retry_at_once();
        assert!(pace.holds_back(at(2000.0)).is_none());
    }

    #[test]
    fn a_third_session_waits_until_the_server_has_freed_one() {
        let mut pace = Pace::new(Duration::from_secs(10));
        pace.failed(&failure(FailureKind::Timeout), at(100.0), 0.0);
        pace.lost_session(at(100.0));
        assert!(pace.holds_back(at(102.0)).is_none(), "one may linger beside a new one");
        pace.failed(&failure(FailureKind::Timeout), at(104.0), 0.0);
        pace.lost_session(at(104.0));
        assert!(pace.holds_back(at(109.9)).is_some());
        assert!(pace.holds_back(at(110.0)).is_none(), "the first is gone by now");
    }
}
