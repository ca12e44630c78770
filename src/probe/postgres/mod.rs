//! Asks one PostgreSQL server all its facts, over one session that is held between the runs.
//!
//! No pool: one session, one deadline around connecting and asking together. After any error the session is dropped, not
//! ended politely, since a dead network would swallow the goodbye.

mod answer;
mod conninfo;
mod disk;
mod expected;
mod failure;
mod pace;
mod pgpass;
mod pulse;
mod replacement;
mod session;
mod slow;
mod turns;
mod versions;

pub use expected::ExpectedProbe;

use std::time::Duration;

use crate::clock::{self, Moment};
use crate::config::{PostgresChannel, PostgresNode, SecretSource};
use crate::facts::{Failure, PostgresFacts, Reading};
use crate::names::FailureKind;
use disk::WalDisk;
use pace::Pace;
use replacement::Replacement;
use session::{Credentials, NoAnswer, ServerLimits, Session, failed};
use slow::{SHORTEST_PAUSE, SlowQuestions};
use turns::{Place, Turn, Turns};

/// Sessions are not ended by the server for idleness before this, however short the interval.
const SHORTEST_IDLE: Duration = Duration::from_secs(10);

/// The probe of one node's PostgreSQL server. At most one session lives and at most one is being opened.
#[derive(Debug)]
pub struct PostgresProbe {
    node: PostgresNode,
    timeout: Duration,
    limits: ServerLimits,
    session: Option<Session>,
    pace: Pace,
    /// What the server refused last.
    refused: Option<Credentials>,
    replacement: Replacement,
    slow: SlowQuestions,
    disk: WalDisk,
    turns: Turns,
    /// Where it stands among those who are to make a session, while it is among them.
    place: Option<Place>,
}

impl PostgresProbe {
    /// A probe that connects at its first run.
    pub fn new(node: &PostgresNode, channel: &PostgresChannel) -> Self {
        let schedule = channel.schedule;
        // Long enough that a healthy session is never idle for so long, short enough that a lost one is soon gone.
        let idle = (schedule.interval * 2 + schedule.timeout).max(SHORTEST_IDLE);
        Self {
            node: node.clone(),
            timeout: schedule.timeout,
            limits: ServerLimits { statement: schedule.timeout, idle },
            session: None,
            pace: Pace::new(idle),
            disk: WalDisk::default(),
            refused: None,
            replacement: Replacement::new(channel.reconnect_every),
            slow: SlowQuestions::default(),
            turns: Turns::of_this_process(),
            place: None,
        }
    }

    /// It has not made its session yet, since others make theirs: its next run need not wait for a tick.
    pub const fn waits_for_its_turn(&self) -> bool {
        self.place.is_some()
    }

    /// Uses a pause between two runs, of which `left` remains, for one of the questions that are asked seldom. The server
    /// gives it up after half of that time: whatever comes of it, the next run finds the session free.
    pub async fn ask_apart(&mut self, left: Duration) {
        let now = clock::now();
        let (Some(session), Some(question)) = (&mut self.session, self.slow.due(now)) else { return };
        if left < SHORTEST_PAUSE {
            return;
        }
        let asking = tokio::time::timeout(left.mul_f64(0.8), session.ask_apart(question.message(left / 2)));
        let answer = asking.await.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned()));
        if let Some(cause) = self.slow.take(question, now, answer) {
            tracing::warn!(server = %failure::place(&self.node), ?question, cause, "a question that is asked seldom failed");
        }
    }

    /// One run: facts, or why there are none, within the deadline. While a new session must wait for its time, the last failure stands
    /// and is told again at once. While it must wait for its turn, that is told after the deadline, and it keeps its place: what others
    /// do takes no time from the session.
    pub async fn run(&mut self) -> Reading<PostgresFacts> {
        let started = clock::now();
        if let Err(failure) = self.replace_when_due(started).await {
            return failed(started, failure);
        }
        match tokio::time::timeout(self.timeout, self.ask()).await {
            Ok(Some(reading)) => reading,
            Ok(None) => self.connect_and_ask(started, self.timeout.saturating_sub(clock::now().since(started))).await,
            Err(_elapsed) => self.give_up(started, "answer"),
        }
    }

    /// The deadline has passed. Whatever was in flight is dropped.
    fn give_up(&mut self, started: Moment, doing: &str) -> Reading<PostgresFacts> {
        let now = clock::now();
        let failure = failure::timeout(&self.node, doing, self.timeout);
        if self.session.take().is_some() {
            self.pace.lost_session(now);
        }
        self.pace.failed(&failure, now, fastrand::f64());
        failed(started, failure)
    }

    /// Opens a session, since there is none or the server has ended it, and asks over it. Both have `left` together.
    async fn connect_and_ask(&mut self, started: Moment, left: Duration) -> Reading<PostgresFacts> {
        let turn = match self.turn(started).await {
            Ok(turn) => turn,
            Err(failure) => return failed(started, failure),
        };
        let begun = clock::now();
        match self.connect(turn, left).await {
            None => return self.give_up(begun, "accept a session"),
            Some(Err(failure)) => return failed(begun, failure),
            Some(Ok(())) => {}
        }
        let left = left.saturating_sub(clock::now().since(begun));
        match tokio::time::timeout(left, self.ask()).await {
            Ok(Some(reading)) => reading,
            // Opened and ended again in one run: what the server said while ending it is its state.
            Ok(None) => failed(begun, self.ended_at_once()),
            Err(_elapsed) => self.give_up(begun, "answer"),
        }
    }

    /// The turn to make a session, as soon as there is one and the server may be asked for it.
    ///
    /// # Errors
    /// It may not yet, or others come first.
    async fn turn(&mut self, now: Moment) -> Result<Option<Turn>, Failure> {
        if self.pace.was_refused() && self.password_has_changed().await {
            self.pace.retry_at_once();
        }
        if let Some(standing) = self.pace.holds_back(now) {
            return Err(standing);
        }
        // A replacement that is on its way is the one connect that may be in flight, and has had its turn.
        if self.replacement.is_on_its_way() {
            return Ok(None);
        }
        let place = self.place.get_or_insert_with(|| self.turns.place());
        match tokio::time::timeout(self.timeout, place).await {
            Ok(turn) => {
                self.place = None;
                Ok(turn.ok())
            }
            Err(_elapsed) => Err(failure::waits_for_its_turn(&self.node, self.turns.waiting())),
        }
    }

    fn ended_at_once(&mut self) -> Failure {
        let text = format!("{} ends each new session at once; its log tells why", failure::place(&self.node));
        let failure = Failure::new(FailureKind::Refused, text);
        self.pace.failed(&failure, clock::now(), fastrand::f64());
        failure
    }

    /// The answer over the held session; `None` if that session turned out to be gone. The session stays in its place
    /// while it is asked, so that a deadline in the middle finds it there.
    async fn ask(&mut self) -> Option<Reading<PostgresFacts>> {
        let (asked, result) = self.session.as_mut()?.ask(&self.node).await;
        let answered = clock::now();
        let result = match result {
            Ok(mut facts) => {
                self.slow.add_to(&mut facts, asked);
                self.disk.look(&self.node, &mut facts).await;
                self.pace.succeeded();
                self.refused = None;
                Ok(PostgresFacts { new_sessions: Some(self.replacement.told(asked)), ..facts })
            }
            // The session is well; what it answers lacks rights.
            Err(NoAnswer::Failed(failure)) if failure.kind == FailureKind::Permission => Err(failure),
            Err(NoAnswer::Failed(failure)) => {
                self.session = None;
                self.pace.failed(&failure, answered, fastrand::f64());
                Err(failure)
            }
            Err(NoAnswer::SessionGone(failure)) => {
                tracing::debug!(server = %failure::place(&self.node), cause = %failure, "session ended");
                self.session = None;
                return None;
            }
        };
        Some(Reading { asked, answered, result })
    }

    /// A session, within `limit`. `None`: there was none by then.
    async fn connect(&mut self, turn: Option<Turn>, limit: Duration) -> Option<Result<(), Failure>> {
        let opened = match turn {
            Some(turn) => turn.make(limit, Session::open(&self.node, self.limits)).await?,
            None => tokio::time::timeout(limit, self.replacement.on_its_way()).await.ok()??,
        };
        Some(match opened {
            Ok(session) => {
                if let Some(major) = session.untested_version() {
                    tracing::warn!(server = %failure::place(&self.node), version = major, "untested version of PostgreSQL");
                }
                self.let_in();
                self.session = Some(session);
                Ok(())
            }
            Err(failure) => {
                self.note_failed_connect(&failure).await;
                Err(failure)
            }
        })
    }

    async fn note_failed_connect(&mut self, failure: &Failure) {
        self.pace.failed(failure, clock::now(), fastrand::f64());
        if failure.kind == FailureKind::Authentication {
            self.refused = Credentials::of(&self.node).await.ok();
        }
    }

    /// A refused password is tried again early if its file says something else now.
    async fn password_has_changed(&self) -> bool {
        !matches!(self.node.password, Some(SecretSource::Inline(_)))
            && Credentials::of(&self.node).await.is_ok_and(|now| Some(&now) != self.refused.as_ref())
    }

    /// Opens a new session beside the held one when it is time, and takes it over once it is open.
    ///
    /// # Errors
    /// The server lets new sessions of this role in no longer: the held one proves nothing any more.
    async fn replace_when_due(&mut self, now: Moment) -> Result<(), Failure> {
        let Some(held) = &self.session else { return Ok(()) };
        let opened = held.opened;
        match self.replacement.outcome(now) {
            Some(Ok(session)) => {
                self.let_in();
                if let Some(old) = self.session.replace(session) {
                    old.close();
                }
            }
            Some(Err(failure)) if failure.kind == FailureKind::Authentication => {
                self.session = None;
                self.note_failed_connect(&failure).await;
                return Err(failure);
            }
            Some(Err(failure)) => self.keep_held_session(failure, now),
            // Two sessions at most: none is opened while the server may still hold a lost one, but for the attempt that has to bear out
            // that it lets none in.
            None if self.replacement.is_due(opened, now)
                && (self.replacement.is_to_confirm() || !self.pace.lost_linger(now)) =>
            {
                // Who has no session at all comes first.
                let Some(turn) = self.turns.at_once() else { return Ok(()) };
                let (node, limits, deadline) = (self.node.clone(), self.limits, self.timeout);
                self.replacement.start(async move {
                    let opened = turn.make(deadline, Session::open(&node, limits)).await;
                    opened.unwrap_or_else(|| Err(failure::timeout(&node, "accept a new session", deadline)))
                });
            }
            None => {}
        }
        Ok(())
    }

    fn keep_held_session(&mut self, failure: Failure, now: Moment) {
        if failure.kind == FailureKind::Timeout {
            self.pace.lost_session(now);
        }
        let place = failure::place(&self.node);
        let cause = failure.to_string();
        if self.replacement.failed(failure, now) {
            tracing::warn!(server = %place, %cause, "no new session; the held one is kept");
        }
    }

    fn let_in(&mut self) {
        if self.replacement.succeeded() {
            tracing::info!(server = %failure::place(&self.node), "new sessions are let in again");
        }
    }
}
