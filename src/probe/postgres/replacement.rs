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

/// Until the attempt that has to bear a first failure out. One alone may be a busy moment of either machine, and nobody is called for that.
const TO_CONFIRM: Duration = Duration::from_secs(1);

/// The attempts to replace one held session after the other. The one under way ends with the probe.
#[derive(Debug)]
pub(super) struct Replacement {
    every: Duration,
    opening: JoinSet<Result<Session, Failure>>,
    not_before: Option<Moment>,
    /// The one attempt that has failed so far: until it was made again, nobody knows.
    doubted: Option<(Moment, Failure)>,
    /// Since when attempts fail, and why the newest did.
    refused: Option<(Moment, Failure)>,
}

impl Replacement {
    /// For sessions that are to be replaced at this age.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, opening: JoinSet::new(), not_before: None, doubted: None, refused: None }
    }

    /// Whether an attempt is to be started at `now`, beside a session that is open since `opened`.
    pub(super) fn is_due(&self, opened: Moment, now: Moment) -> bool {
        let old = now.since(opened) >= self.every;
        old && self.opening.is_empty() && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// The next attempt is to bear out, at once, what one alone does not prove.
    pub(super) const fn is_to_confirm(&self) -> bool {
        self.doubted.is_some()
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

    /// An attempt failed at `now` while the held session goes on. True if it is from now on told that new sessions are not let in.
    pub(super) fn failed(&mut self, failure: Failure, now: Moment) -> bool {
        let since = self.refused.as_ref().map(|(since, _)| *since);
        let first = self.doubted.take().map(|(first, _)| first);
        // What this machine does not let the agent read is no busy moment.
        if since.is_none() && first.is_none() && failure.kind != FailureKind::Permission {
            self.doubted = Some((now, failure));
            self.not_before = Some(now + TO_CONFIRM);
            return false;
        }
        self.refused = Some((since.or(first).unwrap_or(now), failure));
        self.not_before = Some(now + AGAIN.min(self.every));
        since.is_none()
    }

    /// A new session was let in. True if others had not been before.
    pub(super) fn succeeded(&mut self) -> bool {
        (self.not_before, self.doubted) = (None, None);
        self.refused.take().is_some()
    }

    /// What facts that were asked for at `asked` are to say.
    pub(super) fn told(&self, asked: Moment) -> NewSessions {
        match self.refused.as_ref().or(self.doubted.as_ref()) {
            None => NewSessions::Accepted,
            // What this machine does not let the agent read says nothing of the server, and one attempt says too little.
            Some((since, failure)) if failure.kind == FailureKind::Permission || self.is_to_confirm() => {
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

    #[tokio::test]
    async fn one_failure_alone_is_tried_again_at_once_before_it_is_told() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        assert!(!replacement.failed(failure(FailureKind::Timeout), at(1000)));
        let not_known = NewSessions::NotTried(Duration::from_secs(1), failure(FailureKind::Timeout));
        assert_eq!(replacement.told(at(1001)), not_known, "it may have been a busy moment");
        assert!(replacement.is_to_confirm() && replacement.is_due(at(100), at(1001)));
        assert!(!replacement.succeeded(), "nothing was told, so nothing is taken back");
        assert!(!replacement.is_to_confirm());
        assert!(!replacement.failed(failure(FailureKind::Timeout), at(2000)), "the one before was long ago");
    }

    #[test]
    fn refused_counts_from_the_first_failure_until_one_is_let_in() {
        let mut replacement = Replacement::new(Duration::from_secs(600));
        assert_eq!(replacement.told(at(1)), NewSessions::Accepted);
        assert!(!replacement.failed(failure(FailureKind::Timeout), at(1000)));
        assert!(replacement.failed(failure(FailureKind::Timeout), at(1004)), "that is worth a line in the log");
        assert!(!replacement.failed(failure(FailureKind::Refused), at(1030)));
        let told = NewSessions::Refused(Duration::from_secs(45), failure(FailureKind::Refused));
        assert_eq!(replacement.told(at(1045)), told);
        assert!(replacement.succeeded());
        assert_eq!(replacement.told(at(1046)), NewSessions::Accepted);
        assert!(!replacement.succeeded());
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
        replacement.failed(failure(FailureKind::Timeout), at(696));
        replacement.failed(failure(FailureKind::Timeout), at(700));
        assert!(!replacement.is_due(at(100), at(729)));
        assert!(replacement.is_due(at(100), at(730)));
        let mut often = Replacement::new(Duration::from_secs(5));
        often.failed(failure(FailureKind::Timeout), at(696));
        often.failed(failure(FailureKind::Timeout), at(700));
        assert!(often.is_due(at(100), at(705)), "never rarer than without failures");
    }
}
