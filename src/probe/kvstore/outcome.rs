//! What a canary's fate is called: a pure table over what was acknowledged and what each store holds.

use crate::names::{FailureKind, Outcome};

/// How the write ended, as an application's client would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Both stores acknowledged it.
    Yes,
    /// A store did not answer in time.
    TimedOut,
    /// A store could not be reached or answered an error.
    Failed,
}

impl Ack {
    /// How a write ended that failed like this.
    pub const fn of_failure(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Timeout => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

/// Whether a store holds the canary: this sequence with this nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Read back.
    Yes,
    /// The store answered without it.
    No,
    /// The store did not answer the read.
    Unreadable,
}

impl From<Option<bool>> for Held {
    fn from(holds: Option<bool>) -> Self {
        match holds {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unreadable,
        }
    }
}

/// The canary's outcome. An acknowledged write that cannot be read on some side is `unknown`, never `ok`; a refused write is
/// blocked or rejected as soon as some side cannot be read, since that much is certain.
pub const fn outcome(ack: Ack, standby: Held, primary: Held) -> Outcome {
    use Held::{No, Unreadable, Yes};
    match (ack, standby, primary) {
        (Ack::Yes, Yes, Yes) => Outcome::Ok,
        (Ack::Yes, No, Yes) => Outcome::PrimaryOnly,
        (Ack::Yes, Yes, No) => Outcome::PrimaryStale,
        (Ack::Yes, No, No) => Outcome::Lost,
        (Ack::Yes, Unreadable, _) | (Ack::Yes, _, Unreadable) => Outcome::Unknown,
        (_, Yes, No) => Outcome::StandbyOnly,
        (_, Yes, Yes) => Outcome::LostAck,
        (_, No, Yes) => Outcome::PrimaryOnlyUnacked,
        (Ack::TimedOut, ..) => Outcome::Blocked,
        (Ack::Failed, ..) => Outcome::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every one of the 27 cases, written down: acknowledgement, standby holds it, primary holds it, outcome.
    #[test]
    fn the_whole_table() {
        use Ack::{Failed, TimedOut, Yes as Acked};
        use Held::{No, Unreadable as Un, Yes};
        let table = [
            (Acked, Yes, Yes, Outcome::Ok),
            (Acked, No, Yes, Outcome::PrimaryOnly),
            (Acked, Yes, No, Outcome::PrimaryStale),
            (Acked, No, No, Outcome::Lost),
            (Acked, Un, Yes, Outcome::Unknown),
            (Acked, Un, No, Outcome::Unknown),
            (Acked, Un, Un, Outcome::Unknown),
            (Acked, Yes, Un, Outcome::Unknown),
            (Acked, No, Un, Outcome::Unknown),
            (TimedOut, Yes, No, Outcome::StandbyOnly),
            (TimedOut, Yes, Yes, Outcome::LostAck),
            (TimedOut, No, Yes, Outcome::PrimaryOnlyUnacked),
            (TimedOut, No, No, Outcome::Blocked),
            (TimedOut, Un, No, Outcome::Blocked),
            (TimedOut, Un, Un, Outcome::Blocked),
            (TimedOut, Un, Yes, Outcome::Blocked),
            (TimedOut, Yes, Un, Outcome::Blocked),
            (TimedOut, No, Un, Outcome::Blocked),
            (Failed, Yes, No, Outcome::StandbyOnly),
            (Failed, Yes, Yes, Outcome::LostAck),
            (Failed, No, Yes, Outcome::PrimaryOnlyUnacked),
            (Failed, No, No, Outcome::Rejected),
            (Failed, Un, No, Outcome::Rejected),
            (Failed, Un, Un, Outcome::Rejected),
            (Failed, Un, Yes, Outcome::Rejected),
            (Failed, Yes, Un, Outcome::Rejected),
            (Failed, No, Un, Outcome::Rejected),
        ];
        for (ack, standby, primary, expected) in table {
            assert_eq!(outcome(ack, standby, primary), expected, "{ack:?} {standby:?} {primary:?}");
        }
        for ack in [Acked, TimedOut, Failed] {
            for standby in [Yes, No, Un] {
                for primary in [Yes, No, Un] {
                    let rows = table.iter().filter(|row| (row.0, row.1, row.2) == (ack, standby, primary)).count();
                    assert_eq!(rows, 1, "{ack:?} {standby:?} {primary:?} stands in the table once");
                }
            }
        }
    }

    #[test]
    fn every_outcome_can_come_about() {
        let helds = [Held::Yes, Held::No, Held::Unreadable];
        // Eviction is found by asking the servers, not by this table.
        for wanted in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Evicted) {
            let found = [Ack::Yes, Ack::TimedOut, Ack::Failed]
                .iter()
                .any(|ack| helds.iter().any(|s| helds.iter().any(|p| outcome(*ack, *s, *p) == *wanted)));
            assert!(found, "{wanted}");
        }
    }
}
