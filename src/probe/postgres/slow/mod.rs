//! Questions that cost more than the others: each is asked once a minute, over the same session, in the pause between two runs.
//! What one of them meets (a missing right, a slow disk) leaves that one alone unknown.

use std::time::Duration;

use serde::Deserialize;

use super::versions;
use crate::clock::Moment;
use crate::facts::{Aged, Opaque, PostgresFacts, PostgresRole, SLOW_EVERY, SlowFacts};
use crate::units::Bytes;

/// A pause shorter than this is left to the next run.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    WalDirectory,
    ArchiveReady,
    Settings,
    Counters,
}

impl Question {
    const ALL: [Self; 4] = [Self::Settings, Self::WalDirectory, Self::ArchiveReady, Self::Counters];

    const fn sql(self) -> &'static str {
        match self {
            Self::WalDirectory => include_str!("wal_directory.sql"),
            Self::ArchiveReady => include_str!("archive_ready.sql"),
            Self::Settings => include_str!("settings.sql"),
            Self::Counters => include_str!("counters.sql"),
        }
    }

    /// The question as one message, which the server gives up after `within`. That limit ends with the message: it is
    /// local to the transaction that several statements in one message are.
    pub(super) fn message(self, within: Duration) -> String {
        format!("SET LOCAL statement_timeout = {}; {}", within.as_millis().max(1), self.sql())
    }
}

/// Settings and version, in answer to one question.
#[derive(Clone, Debug, Deserialize)]
struct Settings {
    data_checksums: Option<bool>,
    version_text: Option<String>,
}

/// The counters that version 14 gives slowly.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Counters {
    last_archive_failed: Option<bool>,
    conflicts: Option<u64>,
}

/// An answer, and when its request left.
type Learned<T> = Option<(T, Moment)>;

/// What was asked when, and what was learned of one server.
#[derive(Debug, Default)]
pub(super) struct SlowQuestions {
    /// The start of the server that the answers are of.
    of: Option<Opaque>,
    version: Option<u32>,
    asked: [Option<Moment>; Question::ALL.len()],
    failing: [bool; Question::ALL.len()],
    wal_directory: Learned<Bytes>,
    archive_ready: Learned<u64>,
    settings: Learned<Settings>,
    counters: Learned<Counters>,
}

impl SlowQuestions {
    /// Adds what is known to a reading that was asked at `asked`. Of another server than before, nothing is.
    pub(super) fn add_to(&mut self, facts: &mut PostgresFacts, asked: Moment) {
        if self.of.is_none() || self.of != facts.postmaster_start {
            *self = Self { of: facts.postmaster_start.clone(), version: facts.version, ..Self::default() };
        }
        let settings = |(settings, at): &(Settings, Moment)| (settings.clone(), asked.since(*at));
        let settings = self.settings.as_ref().map(settings);
        facts.slow = SlowFacts {
            wal_directory: aged(self.wal_directory, asked),
            archive_ready: aged(self.archive_ready, asked),
            data_checksums: settings.as_ref().and_then(|(settings, age)| of_age(settings.data_checksums, *age)),
            version_text: settings.and_then(|(settings, age)| of_age(settings.version_text, age)),
        };
        let counters = aged(self.counters, asked);
        let Some(counters) = counters.as_ref().and_then(|counters| counters.fresh(Duration::ZERO)) else { return };
        match &mut facts.role {
            PostgresRole::Primary(primary) => {
                primary.archiver_failing = primary.archiver_failing.or(counters.last_archive_failed);
            }
            PostgresRole::Standby(standby) => standby.conflicts = standby.conflicts.or(counters.conflicts),
        }
    }

    /// The question to ask at `now`, if one is due: that which has waited longest.
    pub(super) fn due(&self, now: Moment) -> Option<Question> {
        self.of.as_ref()?;
        let needed = |question: &Question| *question != Question::Counters || versions::counts_slowly(self.version);
        let due = |question: &Question| self.asked_at(*question).is_none_or(|asked| now.since(asked) >= SLOW_EVERY);
        Question::ALL.into_iter().filter(needed).filter(due).min_by_key(|question| self.asked_at(*question))
    }

    fn asked_at(&self, question: Question) -> Option<Moment> {
        Question::ALL.iter().zip(self.asked).find(|(known, _)| **known == question).and_then(|(_, asked)| asked)
    }

    /// Takes in what came of a question that was asked at `at`: the answer's text, or why there is none.
    /// Returns the cause if the question fails and did not fail before.
    pub(super) fn take(&mut self, question: Question, at: Moment, answer: Result<String, String>) -> Option<String> {
        let outcome = answer.and_then(|text| self.learn(question, at, &text));
        if outcome.is_err() {
            self.forget(question);
        }
        let place = Question::ALL.iter().position(|known| *known == question)?;
        self.asked[place] = Some(at);
        let failed_before = std::mem::replace(&mut self.failing[place], outcome.is_err());
        outcome.err().filter(|_| !failed_before)
    }

    fn learn(&mut self, question: Question, at: Moment, text: &str) -> Result<(), String> {
        let strange = |error: serde_json::Error| format!("the answer cannot be read: {error}");
        let number = || text.parse::<u64>().map_err(|error| format!("{text:?} is no count: {error}"));
        match question {
            Question::WalDirectory => self.wal_directory = Some((Bytes(number()?), at)),
            Question::ArchiveReady => self.archive_ready = Some((number()?, at)),
            Question::Settings => self.settings = Some((serde_json::from_str(text).map_err(strange)?, at)),
            Question::Counters => self.counters = Some((serde_json::from_str(text).map_err(strange)?, at)),
        }
        Ok(())
    }

    fn forget(&mut self, question: Question) {
        match question {
            Question::WalDirectory => self.wal_directory = None,
            Question::ArchiveReady => self.archive_ready = None,
            Question::Settings => self.settings = None,
            Question::Counters => self.counters = None,
        }
    }
}

fn aged<T>(learned: Learned<T>, asked: Moment) -> Option<Aged<T>> {
    learned.map(|(value, at)| Aged { value, age: asked.since(at) })
}

fn of_age<T>(value: Option<T>, age: Duration) -> Option<Aged<T>> {
    value.map(|value| Aged { value, age })
}

#[cfg(test)]
mod tests;
