//! What probes bring back: facts as plain data, or a failure with a kind. Not learned is `None`, never 0.

mod beacon;
mod host;
mod kvstore;
pub mod manifest;
mod node_report;
mod postgres;
mod search;
mod search_memory;
mod slow;
mod status_page;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, WallTime};
use crate::names::{Channel, FailureKind, Name, Reason};
use crate::units::Lsn;

pub use beacon::*;
pub use host::HostFacts;
pub use kvstore::*;
pub use manifest::Manifest;
pub use node_report::*;
pub use postgres::*;
pub use search::*;
pub use search_memory::*;
pub use slow::*;
pub use status_page::StatusPageFacts;
pub use tree::*;

/// Why a probe brought back nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(from = "FailureAsTold")]
#[error("{message}")]
pub struct Failure {
    /// The kind, out of a closed list.
    pub kind: FailureKind,
    /// The cause and, where there is one, the cure; for people only.
    pub message: String,
}

/// One that another agent, or a file, tells: its text may be of any length.
#[derive(Deserialize)]
struct FailureAsTold {
    kind: FailureKind,
    message: String,
}

impl From<FailureAsTold> for Failure {
    fn from(FailureAsTold { kind, message }: FailureAsTold) -> Self {
        Self::new(kind, message)
    }
}

impl Failure {
    /// A failure with its cause in words. Long texts of servers are cut, so that memory stays bounded.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if let Some((cut, _)) = message.char_indices().nth(500) {
            message.truncate(cut);
            message.push('…');
        }
        Self { kind, message }
    }
}

/// What one run of a probe brought back, with the moments (on this agent's clock) at which its request left and its answer came.
#[derive(Clone, Debug)]
pub struct Reading<T> {
    /// When the request left. Age counts from here.
    pub asked: Moment,
    /// When the answer came, or the failure was known.
    pub answered: Moment,
    /// The facts, or why there are none.
    pub result: Result<T, Failure>,
}

impl<T> Reading<T> {
    /// The facts, if there are any.
    pub fn facts(&self) -> Option<&T> {
        self.result.as_ref().ok()
    }

    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// How long the run took.
    pub fn took(&self) -> Duration {
        self.answered.since(self.asked)
    }
}

/// The newest that is held of one probe.
#[derive(Clone, Debug, Default)]
pub enum Latest<T> {
    /// The probe has not come back yet since the agent started.
    #[default]
    NeverAsked,
    /// There was a reading, but it may no longer be believed: this machine was paused, or the snapshot has run out.
    Dropped,
    /// The newest reading.
    Have(Arc<Reading<T>>),
}

impl<T> Latest<T> {
    /// The facts that may be believed at `now`, with the moment that their age counts from, or the reason why there are none.
    /// A failed reading hides the facts before it at once.
    ///
    /// # Errors
    /// `not_seen_yet`, `stale`, or the failure's kind.
    pub fn fresh(&self, now: Moment, stale_after: Duration) -> Result<(&T, Moment), Reason> {
        match self {
            Self::NeverAsked => Err(Reason::NotSeenYet),
            Self::Dropped => Err(Reason::Stale),
            Self::Have(reading) => match &reading.result {
                Err(failure) => Err(failure.kind.into()),
                Ok(_) if now.since(reading.asked) >= stale_after => Err(Reason::Stale),
                Ok(facts) => Ok((facts, reading.asked)),
            },
        }
    }

    /// It holds a reading whose request left later than this one's.
    pub fn is_newer(&self, reading: &Reading<T>) -> bool {
        matches!(self, Self::Have(held) if held.asked > reading.asked)
    }

    /// It was asked at or after this moment, and has answered or failed.
    pub fn is_of(&self, since: Moment) -> bool {
        matches!(self, Self::Have(held) if held.asked >= since)
    }

    /// Why the newest run failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Have(reading) => reading.failure(),
            Self::NeverAsked | Self::Dropped => None,
        }
    }

    /// The moment from which the facts are too old, while they are not.
    pub fn runs_out(&self, now: Moment, stale_after: Duration) -> Option<Moment> {
        self.fresh(now, stale_after).ok().map(|(_, asked)| asked + stale_after)
    }
}

/// A reading as it reaches the hub.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once into the hub")]
pub enum Observation {
    /// One node's PostgreSQL server.
    Postgres(Name, Reading<PostgresFacts>),
    /// The vendor's page that stands for servers which cannot be asked.
    StatusPage(Reading<StatusPageFacts>),
    /// A pulse that one node's server was to write into its WAL, and where it ends there.
    Pulse(Name, Reading<Lsn>),
    /// The configuration as it lies on one node (the standby's evidence is what counts).
    Config(Name, Reading<ConfigFacts>),
    /// The tree of the configuration as it lies on one node.
    Tree(Name, Reading<TreeFacts>),
    /// One canary's way through both stores.
    Kvstore(Reading<KvstoreFacts>),
    /// Both stores' own data, compared.
    Observed(Reading<ObservedFacts>),
    /// One node's search engine.
    Search(Name, Reading<SearchFacts>),
    /// How many documents the database says that this index should hold.
    SearchExpected(String, Reading<u64>),
}

impl Observation {
    /// The channel that it is about.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Postgres(..) | Self::StatusPage(..) | Self::Pulse(..) => Channel::Postgres,
            Self::Config(..) | Self::Tree(..) => Channel::Config,
            Self::Kvstore(..) | Self::Observed(..) => Channel::Kvstore,
            Self::Search(..) | Self::SearchExpected(..) => Channel::Search,
        }
    }

    /// When its answer came, or its failure was known.
    pub const fn answered(&self) -> Moment {
        match self {
            Self::Postgres(_, reading) => reading.answered,
            Self::StatusPage(reading) => reading.answered,
            Self::Pulse(_, reading) => reading.answered,
            Self::Config(_, reading) => reading.answered,
            Self::Tree(_, reading) => reading.answered,
            Self::Kvstore(reading) => reading.answered,
            Self::Observed(reading) => reading.answered,
            Self::Search(_, reading) => reading.answered,
            Self::SearchExpected(_, reading) => reading.answered,
        }
    }
}

/// A time stamp of some other clock. Only *that it changed* means anything; it is never subtracted from a clock of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Opaque(pub String);

/// What is known of the configuration's synchronisation, as read on the standby.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigFacts {
    /// The moment that the job's timestamp file gives, and this machine's wall time when it was read.
    pub timestamp: Option<Timestamp>,
    /// The wrapper's record.
    pub wrapper: Option<WrapperFacts>,
    /// The beacon that lies in this node's tree.
    pub beacon: Option<BeaconFacts>,
}

/// A time that the synchronisation job wrote, and the same machine's clock when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timestamp {
    /// What the file says.
    pub written: WallTime,
    /// The clock of the machine where the file lies, when it was read.
    pub read_at: WallTime,
}

/// The wrapper's record of its runs, with ages worked out where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WrapperFacts {
    /// Time since the *start* of the last good run.
    pub last_good_started_ago: Option<Duration>,
    /// A good run is on record, but with a start that lies in the future of the clock here: no age can be told.
    pub last_good_in_future: bool,
    /// Exit code of the last finished run; `None` if it was ended by a signal or a deadline, or none has finished.
    pub last_exit: Option<i32>,
    /// The last finished run was ended by its deadline or a signal.
    pub last_killed: bool,
    /// A run has finished at all.
    pub any_finished: bool,
    /// Failures since the last good run.
    pub consecutive_failures: u32,
    /// How long the last finished run took.
    pub last_took: Option<Duration>,
    /// Files that the last finished run transferred, where rsync told.
    pub files: Option<u64>,
    /// Bytes that the last finished run transferred, where rsync told.
    pub bytes: Option<u64>,
    /// A run is in progress since so long.
    pub running_for: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_of_a_time_only_if_it_was_asked_within_it() {
        let at = |seconds| Moment::after_boot(Duration::from_secs(seconds));
        let held = Latest::Have(Arc::new(Reading { asked: at(5), answered: at(9), result: Ok(()) }));
        assert!(held.is_of(at(5)) && !held.is_of(at(6)), "asked before, though answered after");
        let stale_after = Duration::from_secs(6);
        assert!(held.fresh(at(10), stale_after).is_ok());
        assert_eq!(held.fresh(at(11), stale_after), Err(Reason::Stale), "its age counts from the question");
        assert_eq!(held.runs_out(at(10), stale_after), Some(at(11)));
    }
}
