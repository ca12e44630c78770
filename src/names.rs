//! Closed lists: every word that may stand in a label, in JSON or in an alert's name. Free text never does.

use std::fmt;

use serde::{Deserialize, Serialize};

mod file_name;
mod name;

pub use file_name::file_name;
pub use name::Name;

/// Declares an enum whose variants each have one fixed text.
macro_rules! closed_list {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* #[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl $name {
            /// All of the list, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The fixed text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The member with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|member| member.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_text(&text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|member| member.as_str()).collect();
                    serde::de::Error::custom(format!("{text:?} is none of: {}", known.join(", ")))
                })
            }
        }
    };
}
pub(crate) use closed_list;

mod drift;
mod failover;
mod kvstore;
mod replication;
mod rules;
mod search;
pub use drift::{DriftKind, TreeBound};
pub use failover::{Blocker, FailoverVerdict, PrimaryLife};
pub use kvstore::{CanaryStep, Lane, Outcome, Proof};
pub use replication::{PostgresSource, PulseOutcome, ReplayState, Stage, StandbyKind};
pub use rules::{RuleName, Severity, ThresholdUnit};
pub use search::{EstimateBy, ExpectedBy, RebuildState};

closed_list! {
    /// One of the four ways by which data travels from primary to standby.
    Channel {
        Postgres = "postgres",
        Config = "config",
        Kvstore = "kvstore",
        Search = "search",
    }
}

closed_list! {
    /// What a server says of itself now. Never a name.
    Role {
        Primary = "primary",
        Standby = "standby",
    }
}

closed_list! {
    /// Why a probe brought back no facts.
    FailureKind {
        /// No route, or the name was not found.
        Unreachable = "unreachable",
        Refused = "refused",
        Timeout = "timeout",
        Tls = "tls",
        Authentication = "authentication",
        Permission = "permission",
        /// An answer that is not the protocol's, or is cut short.
        Protocol = "protocol",
        TooLarge = "too_large",
        StartingUp = "starting_up",
        /// The other node's own agent cannot be asked for what it reads there.
        PeerUnreachable = "peer_unreachable",
    }
}

impl FailureKind {
    /// Nobody was reached: not where somebody refused, or said what was not understood.
    pub const fn is_out_of_reach(self) -> bool {
        matches!(self, Self::Unreachable | Self::Refused | Self::Timeout)
    }
}

closed_list! {
    /// Why a channel is not proven, or runs with a warning. The first that fits wins (see each channel's judge).
    Reason {
        SameServer = "same_server",
        WrongCluster = "wrong_cluster",
        TwoPrimaries = "two_primaries",
        TimelineDiverged = "timeline_diverged",
        NoPrimary = "no_primary",
        NotSeenYet = "not_seen_yet",
        NotConnected = "not_connected",
        Ambiguous = "ambiguous",
        Starting = "starting",
        Stalled = "stalled",
        NotAnswering = "not_answering",
        IdleUnprovable = "idle_unprovable",
        Stale = "stale",
        PeerUnreachable = "peer_unreachable",
        RestoringFromArchive = "restoring_from_archive",
        Cascaded = "cascaded",
        ArchiveLate = "archive_late",
        ReplayPaused = "paused",
        ReplayConflict = "conflict",
        ReplayDelayed = "delayed",
        ReplayBlockedBySettings = "blocked_by_settings",
        ReplayStuck = "stuck",
        SyncStale = "sync_stale",
        SyncFailing = "sync_failing",
        Drift = "drift",
        FutureTimestamp = "future_timestamp",
        ClockStep = "clock_step",
        RoleUnknown = "role_unknown",
        Blocked = "blocked",
        Rejected = "rejected",
        Diverged = "diverged",
        Lost = "lost",
        NotObservable = "not_observable",
        Evicted = "evicted",
        Slow = "slow",
        Red = "red",
        Yellow = "yellow",
        IndexMissing = "index_missing",
        ReadOnly = "read_only",
        DiskHigh = "disk_high",
        DocumentsDrift = "documents_drift",
        Rebuilding = "rebuilding",
        RebuildStalled = "rebuild_stalled",
        Unreachable = "unreachable",
        Refused = "refused",
        Timeout = "timeout",
        Tls = "tls",
        Authentication = "authentication",
        Permission = "permission",
        Protocol = "protocol",
        TooLarge = "too_large",
        StartingUp = "starting_up",
        /// A rule of the channel is met; its alert says which.
        LagHigh = "lag_high",
        LagGrowing = "lag_growing",
        CommitsBlocked = "commits_blocked",
        SlotLossSoon = "slot_loss_soon",
        SlotLost = "slot_lost",
        ReportedUnknown = "reported_unknown",
        PulseFailing = "pulse_failing",
        NotAccepting = "not_accepting",
        ArchiverFailing = "archiver_failing",
        SettingsParity = "settings_parity",
        WalDiskFullSoon = "wal_disk_full_soon",
        Flapping = "flapping",
        FailoverNotReady = "failover_not_ready",
    }
}

/// The failure kinds, as reasons: a channel of any sort may give them.
const FAILURES: [Reason; 10] = [
    Reason::Unreachable,
    Reason::Refused,
    Reason::Timeout,
    Reason::Tls,
    Reason::Authentication,
    Reason::Permission,
    Reason::Protocol,
    Reason::TooLarge,
    Reason::StartingUp,
    Reason::PeerUnreachable,
];

impl From<FailureKind> for Reason {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Unreachable => Self::Unreachable,
            FailureKind::Refused => Self::Refused,
            FailureKind::Timeout => Self::Timeout,
            FailureKind::Tls => Self::Tls,
            FailureKind::Authentication => Self::Authentication,
            FailureKind::Permission => Self::Permission,
            FailureKind::Protocol => Self::Protocol,
            FailureKind::TooLarge => Self::TooLarge,
            FailureKind::StartingUp => Self::StartingUp,
            FailureKind::PeerUnreachable => Self::PeerUnreachable,
        }
    }
}

impl Channel {
    /// The closed set of reasons that this channel can give.
    pub fn reasons(self) -> Vec<Reason> {
        use Reason as R;
        let own: &[Reason] = match self {
            Self::Postgres => &[
                R::SameServer,
                R::WrongCluster,
                R::TwoPrimaries,
                R::TimelineDiverged,
                R::NoPrimary,
                R::NotSeenYet,
                R::NotConnected,
                R::Ambiguous,
                R::Starting,
                R::Stalled,
                R::NotAnswering,
                R::IdleUnprovable,
                R::Stale,
                R::RestoringFromArchive,
                R::Cascaded,
                R::ArchiveLate,
                R::ReplayPaused,
                R::ReplayConflict,
                R::ReplayDelayed,
                R::ReplayBlockedBySettings,
                R::ReplayStuck,
                R::LagHigh,
                R::LagGrowing,
                R::CommitsBlocked,
                R::SlotLossSoon,
                R::SlotLost,
                R::ReportedUnknown,
                R::PulseFailing,
                R::NotAccepting,
                R::ArchiverFailing,
                R::SettingsParity,
                R::WalDiskFullSoon,
                R::Flapping,
                R::FailoverNotReady,
            ],
            Self::Config => &[
                R::NotSeenYet,
                R::SyncStale,
                R::SyncFailing,
                R::Drift,
                R::FutureTimestamp,
                R::ClockStep,
                R::RoleUnknown,
                R::Stale,
                R::Flapping,
            ],
            Self::Kvstore => &[
                R::SameServer,
                R::NotSeenYet,
                R::Blocked,
                R::Rejected,
                R::Diverged,
                R::Lost,
                R::NotObservable,
                R::Evicted,
                R::Slow,
                R::RoleUnknown,
                R::Stale,
                R::Flapping,
            ],
            Self::Search => &[
                R::NotSeenYet,
                R::Red,
                R::Yellow,
                R::IndexMissing,
                R::ReadOnly,
                R::DiskHigh,
                R::DocumentsDrift,
                R::Rebuilding,
                R::RebuildStalled,
                R::RoleUnknown,
                R::Stale,
            ],
        };
        own.iter().chain(&FAILURES).copied().collect()
    }
}

closed_list! {
    /// A search cluster's colour.
    SearchHealth {
        Green = "green",
        Yellow = "yellow",
        Red = "red",
    }
}

closed_list! {
    /// What became of one push of alerts to one Alertmanager.
    PushOutcome {
        Ok = "ok",
        /// It answered that it does not want them (4xx); not repeated.
        Refused = "refused",
        /// Not reached, timed out, or its own error (5xx); tried again.
        Failed = "failed",
    }
}

closed_list! {
    /// What became of one write of a state file.
    WriteOutcome {
        Ok = "ok",
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_kind_is_a_reason_of_the_same_text() {
        for kind in FailureKind::ALL {
            assert_eq!(kind.as_str(), Reason::from(*kind).as_str());
        }
    }

    #[test]
    fn every_reason_belongs_to_a_channel() {
        for reason in Reason::ALL {
            assert!(Channel::ALL.iter().any(|channel| channel.reasons().contains(reason)), "{reason}");
        }
    }
}
