//! What became of pulses: a few bytes that the primary writes, so that a standby which lives has something to answer at once.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::PostgresChannel;
use crate::facts::{Failure, Reading, Walsender};
use crate::names::PulseOutcome;
use crate::units::Lsn;

/// A pulse that has been on its way for this long, unanswered, will not be answered: a healthy pair takes a fifth of a second.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// It takes a reading this much later than the one that saw the pulse on its way to say that no answer came.
const SEEN_AGAIN: Duration = Duration::from_millis(500);

/// How the pulses of a pair went.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    ok: u64,
    failed: u64,
    /// Why the last one failed, if it did.
    pub failure: Option<Failure>,
}

impl Pulses {
    /// Takes in one more.
    pub fn record(&mut self, reading: &Reading<Lsn>) {
        match &reading.result {
            Ok(_) => self.ok += 1,
            Err(_) => self.failed += 1,
        }
        self.failure = reading.failure().cloned();
    }

    /// How many ended in each outcome; empty where the channel sends none.
    pub fn counts(&self, channel: &PostgresChannel) -> Vec<(PulseOutcome, u64)> {
        match channel.pulse {
            None => Vec::new(),
            Some(_) => vec![(PulseOutcome::Ok, self.ok), (PulseOutcome::Failed, self.failed)],
        }
    }
}

/// One walsender's standby and the pulse that it has not answered yet.
///
/// Only what the primary shows of the standby's replies counts as an answer, so a pulse never makes a dead link look alive. It
/// counts as missed only if the standby was prompt when it was last heard: on a link that is slower than the load, replies
/// come rarely though all is alive, and the servers' own heartbeat decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PulseWait {
    /// Where the unanswered pulse ends in the WAL, and when it was asked for.
    expected: Option<(Lsn, Moment)>,
    /// It was seen on its way, unanswered, at this moment.
    on_its_way: Option<Moment>,
    /// The last reading of the row.
    seen: Option<Moment>,
    /// The primary's position in that reading.
    position: Option<Lsn>,
    /// At its last sign of life the standby had written all that the primary had one reading before.
    prompt: bool,
}

/// What a pulse that is not answered says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No answer is due yet; at this moment it will be.
    DueAt(Moment),
    /// There is no answer, and there should have been one. The pulse was written at this moment.
    Missed(Moment),
}

impl PulseWait {
    /// The server has written a pulse. One that waits for its answer goes on waiting: the oldest tells most.
    pub fn sent(&mut self, end: Lsn, asked: Moment) {
        self.expected.get_or_insert((end, asked));
    }

    /// Takes in the row's next reading. `moved`: something of it changed since the one before; `alive`: the standby is known to
    /// have replied at this moment or later.
    pub fn read(&mut self, row: &Walsender, position: Option<Lsn>, moved: bool, alive: Option<Moment>, asked: Moment) {
        let reached = row.write.max(row.flush).max(row.replay);
        if moved {
            self.prompt = reached.zip(self.position).is_some_and(|(reached, position)| reached >= position);
        }
        if let Some((end, sent)) = self.expected {
            if reached >= Some(end) || alive >= Some(sent) {
                self.expected = None;
                self.on_its_way = None;
            } else if row.sent >= Some(end) || row.sent > reached {
                self.on_its_way.get_or_insert(asked);
            }
        }
        self.position = position;
        self.seen = Some(asked);
    }

    /// Whether an answer is missing at `now`. `None`: there is nothing to answer, or silence has another cause.
    pub fn silence(&self, now: Moment) -> Option<Silence> {
        let (_, sent) = self.expected.filter(|_| self.prompt)?;
        let since = self.on_its_way?;
        let due = since + ANSWER_WITHIN;
        if now < due {
            return Some(Silence::DueAt(due));
        }
        // Without a later reading nobody has looked for the answer.
        let looked = self.seen.is_some_and(|seen| seen >= since + SEEN_AGAIN);
        looked.then_some(Silence::Missed(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::FailureKind;

    fn at(seconds: f64) -> Moment {
        Moment::after_boot(Duration::from_secs_f64(1000.0 + seconds))
    }

    fn row(sent: u64, reached: u64) -> Walsender {
        let reached = Some(Lsn(reached));
        Walsender { sent: Some(Lsn(sent)), write: reached, flush: reached, replay: reached, ..Walsender::default() }
    }

    /// A standby that has just answered promptly at 100.
    fn prompt() -> PulseWait {
        let mut wait = PulseWait::default();
        wait.read(&row(100, 100), Some(Lsn(100)), false, None, at(-1.0));
        wait.read(&row(100, 100), Some(Lsn(100)), true, None, at(0.0));
        wait
    }

    #[test]
    fn a_pulse_without_an_answer_is_missed_after_a_moment() {
        let mut wait = prompt();
        wait.sent(Lsn(164), at(0.1));
        assert_eq!(wait.silence(at(0.5)), None, "nobody has looked yet");
        wait.read(&row(164, 100), Some(Lsn(164)), false, None, at(1.0));
        assert_eq!(wait.silence(at(1.1)), Some(Silence::DueAt(at(2.5))));
        assert_eq!(wait.silence(at(2.5)), None, "no reading since");
        wait.read(&row(164, 100), Some(Lsn(164)), false, None, at(2.0));
        assert_eq!(wait.silence(at(2.4)), Some(Silence::DueAt(at(2.5))));
        assert_eq!(wait.silence(at(2.5)), Some(Silence::Missed(at(0.1))));
        wait.sent(Lsn(228), at(5.1));
        assert_eq!(wait.silence(at(5.2)), Some(Silence::Missed(at(0.1))), "another pulse is no answer");
        wait.read(&row(228, 228), Some(Lsn(228)), true, None, at(6.0));
        assert_eq!(wait.silence(at(6.0)), None);
    }

    #[test]
    fn any_sign_of_life_after_it_is_an_answer() {
        let mut wait = prompt();
        wait.sent(Lsn(164), at(0.1));
        wait.read(&row(164, 100), Some(Lsn(164)), false, Some(at(0.0)), at(1.0));
        assert!(wait.silence(at(1.0)).is_some(), "from before");
        wait.read(&row(164, 100), Some(Lsn(164)), true, Some(at(1.0)), at(2.0));
        assert_eq!(wait.silence(at(9.0)), None);
    }

    #[test]
    fn a_pulse_that_has_not_left_the_primary_proves_nothing() {
        let mut wait = prompt();
        wait.sent(Lsn(164), at(0.1));
        for second in 1..20 {
            // A WAL writer that sleeps long: nothing beyond 100 has been flushed and sent.
            wait.read(&row(100, 100), Some(Lsn(164)), false, None, at(f64::from(second)));
        }
        assert_eq!(wait.silence(at(20.0)), None);
    }

    #[test]
    fn a_standby_that_was_behind_when_last_heard_is_left_to_its_heartbeat() {
        let mut wait = prompt();
        wait.read(&row(900, 200), Some(Lsn(1000)), true, None, at(1.0));
        wait.read(&row(1900, 250), Some(Lsn(2000)), true, None, at(2.0));
        wait.sent(Lsn(2064), at(2.1));
        wait.read(&row(2500, 250), Some(Lsn(3000)), false, None, at(3.0));
        wait.read(&row(2600, 250), Some(Lsn(4000)), false, None, at(4.0));
        assert_eq!(wait.silence(at(9.0)), None);
    }

    #[test]
    fn counts_are_kept_and_the_last_failure_until_the_next_pulse() {
        let mut pulses = Pulses::default();
        let reading = |result| Reading { asked: at(0.0), answered: at(0.1), result };
        pulses.record(&reading(Err(Failure::new(FailureKind::Permission, "GRANT"))));
        assert_eq!(pulses.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Permission));
        pulses.record(&reading(Ok(Lsn(7))));
        assert_eq!((pulses.ok, pulses.failed, pulses.failure), (1, 1, None));
    }
}
