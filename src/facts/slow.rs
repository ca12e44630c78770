//! What a PostgreSQL server is asked seldom, since it costs more: each answer has an age of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// Each of these is asked this often.
pub const SLOW_EVERY: Duration = Duration::from_secs(60);
/// Older answers count no more: two were missed, and the third is late.
const SLOW_STALE_AFTER: Duration = Duration::from_secs(190);

/// One answer, and how old it was when the request of the reading that carries it left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aged<T> {
    /// The answer.
    pub value: T,
    /// Its age then.
    pub age: Duration,
}

impl<T> Aged<T> {
    /// The answer, if it still counts where the reading that carries it is `reading_age` old.
    pub fn fresh(&self, reading_age: Duration) -> Option<&T> {
        (self.age.saturating_add(reading_age) < SLOW_STALE_AFTER).then_some(&self.value)
    }
}

/// Answers to the questions that are asked apart. `None`: not learned yet, or the last attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowFacts {
    /// All files in the directory of the WAL.
    pub wal_directory: Option<Aged<Bytes>>,
    /// Files of WAL that wait to be archived.
    pub archive_ready: Option<Aged<u64>>,
    /// Pages carry checksums.
    pub data_checksums: Option<Aged<bool>>,
    /// `version()`, in full.
    pub version_text: Option<Aged<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_until_two_were_missed() {
        let seconds = Duration::from_secs;
        let answer = Aged { value: 7, age: seconds(61) };
        assert_eq!(answer.fresh(seconds(3)), Some(&7));
        assert_eq!(answer.fresh(seconds(128)), Some(&7));
        assert_eq!(answer.fresh(seconds(129)), None);
    }
}
