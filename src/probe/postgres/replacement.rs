//! A new session, opened now and then beside the held one. Only a new session can see a changed password, an expired
//! certificate, a full server or a frozen postmaster; the held one goes on answering meanwhile.

use std::time::Duration;

use tokio::task::JoinSet;

use super::session::Session;
use crate::clock::Moment;
use crate::facts::{Failure, NewSessions};
use crate::names::FailureKind;

/// After a session could not be replaced, until the next attempt, unless replacing is due more often anyway.
const AGAIN: Duration = Duration::from_secs(30);

/// The attempts to replace one held session after the other. The one under way ends with the probe.
#[derive(Debug)]
pub(super) struct Replacement {
    every: Duration,
    opening: JoinSet<Result<Session, Failure>>,
    not_before: Option<Moment>,
    /// Since when attempts fail, and why the newest did.
    refused: Option<(Moment, Failure)>,
    /// How many in a row have.
    failures: u32,
}

impl Replacement {
    /// For sessions that are to be replaced at this age.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, opening: JoinSet::new(), not_before: None, refused: None, failures: 0 }
    }

    /// Whether an attempt is to be started at `now`, beside a session that is open since `opened`.
    pub(super) fn is_due(&self, opened: Moment, now: Moment) -> bool {
        let old = now.since(opened) >= self.every;
        old && self.opening.is_empty() && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// Starts an attempt.
    pub(super) fn start(&mut self, opening: impl Future<Output = Result<Session, Failure>> + Send + 'static) {
        self.opening.spawn(opening);
    }

    /// What came of the attempt, once it is over; without waiting.
    pub(super) fn outcome(&mut self, now: Moment) -> Option<Result<Session, Failure>> {
        match self.opening.try_join_next()? {
            Ok(opened) => Some(opened),
            Err(_gone) => {
                self.not_before = Some(now + AGAIN);
                None
            }
        }
    }

    /// An attempt is under way.
    pub(super) fn is_on_its_way(&self) -> bool {
        !self.opening.is_empty()
    }

    /// The attempt that is on its way, awaited: it is the one connect that may be in flight.
    pub(super) async fn on_its_way(&mut self) -> Option<Result<Session, Failure>> {
        self.opening.join_next().await?.ok()
    }

    /// An attempt failed at `now` while the held session goes on. True if it is the first of a row of failures.
    pub(super) fn failed(&mut self, failure: Failure, now: Moment) -> bool {
        let since = self.refused.as_ref().map(|(since, _)| *since);
        self.failures = self.failures.saturating_add(1);
        let pause = if self.is_late_once(&failure) { Duration::ZERO } else { AGAIN.min(self.every) };
        self.refused = Some((since.unwrap_or(now), failure));
        self.not_before = Some(now + pause);
        since.is_none()
    }

    /// A new session was let in. True if others had not been before.
    pub(super) fn succeeded(&mut self) -> bool {
        self.not_before = None;
        self.failures = 0;
        self.refused.take().is_some()
    }

    /// One attempt was late, and none before it: a busy machine is late, too, and the held session answers. A second attempt, as soon as the
    /// server can have noticed that the first has gone, tells a server that lets nobody in from one that took long.
    fn is_late_once(&self, failure: &Failure) -> bool {
        self.failures == 1 && failure.kind == FailureKind::Timeout
    }

    /// What facts that were asked for at `asked` are to say.
    pub(super) fn told(&self, asked: Moment) -> NewSessions {
        match &self.refused {
            None => NewSessions::Accepted,
            // What this machine does not let the agent read says nothing of the server, and one late answer says too little.
            Some((since, failure)) if failure.kind == FailureKind::Permission || self.is_late_once(failure) => {
                NewSessions::NotTried(asked.since(*since), failure.clone())
            }
            Some((since, failure)) => NewSessions::Refused(asked.since(*since), failure.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "")
    }

    #[test]
    fn refused_counts_from_the_first_failure_until_one_is_let_in() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        assert_eq!(replacement.told(at(1)), NewSessions::Accepted);
        assert!(replacement.failed(failure(FailureKind::Timeout), at(1000)), "the first is worth a line in the log");
        assert!(!replacement.failed(failure(FailureKind::Refused), at(1030)));
        let told = NewSessions::Refused(Duration::from_secs(45), failure(FailureKind::Refused));
        assert_eq!(replacement.told(at(1045)), told);
        assert!(replacement.succeeded());
        assert_eq!(replacement.told(at(1046)), NewSessions::Accepted);
        assert!(!replacement.succeeded());
    }

    #[test]
    fn one_late_attempt_is_not_a_refusal_and_is_made_again_at_once() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        replacement.failed(failure(FailureKind::Timeout), at(1000));
        let not_known = NewSessions::NotTried(Duration::from_secs(5), failure(FailureKind::Timeout));
        assert_eq!(replacement.told(at(1005)), not_known);
        assert!(replacement.is_due(at(100), at(1000)));
        replacement.failed(failure(FailureKind::Timeout), at(1013));
        let refused = NewSessions::Refused(Duration::from_secs(15), failure(FailureKind::Timeout));
        assert_eq!(replacement.told(at(1015)), refused);
        assert!(!replacement.is_due(at(100), at(1042)) && replacement.is_due(at(100), at(1043)));
        replacement.succeeded();
        replacement.failed(failure(FailureKind::Timeout), at(2000));
        assert!(matches!(replacement.told(at(2000)), NewSessions::NotTried(..)), "the next one is the first again");
        let mut replacement = Replacement::new(Duration::from_secs(600));
        replacement.failed(failure(FailureKind::Refused), at(1000));
        assert!(
            matches!(replacement.told(at(1000)), NewSessions::Refused(..)),
            "the server's own word is told at once"
        );
    }

    #[test]
    fn what_the_agent_itself_may_not_read_is_not_the_servers_refusal() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        replacement.failed(failure(FailureKind::Permission), at(10));
        let told = NewSessions::NotTried(Duration::from_secs(5), failure(FailureKind::Permission));
        assert_eq!(replacement.told(at(15)), told);
    }

    #[tokio::test]
    async fn an_attempt_at_the_sessions_age_and_each_half_minute_while_they_fail() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        assert!(!replacement.is_due(at(100), at(699)));
        assert!(replacement.is_due(at(100), at(700)));
        replacement.start(std::future::pending());
        assert!(!replacement.is_due(at(100), at(701)), "one at a time");
        let mut replacement = Replacement::new(Duration::from_secs(600));
        replacement.failed(failure(FailureKind::Refused), at(700));
        assert!(!replacement.is_due(at(100), at(729)));
        assert!(replacement.is_due(at(100), at(730)));
        let mut often = Replacement::new(Duration::from_secs(5));
        often.failed(failure(FailureKind::Refused), at(700));
        assert!(often.is_due(at(100), at(705)), "never rarer than without failures");
    }
}
