//! The words of the key-value channel.

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// What became of one canary.
    Outcome {
        Ok = "ok",
        PrimaryOnly = "primary_only",
        PrimaryStale = "primary_stale",
        Lost = "lost",
        StandbyOnly = "standby_only",
        LostAck = "lost_ack",
        PrimaryOnlyUnacked = "primary_only_unacked",
        Blocked = "blocked",
        Rejected = "rejected",
        Unknown = "unknown",
        /// A store made room by throwing it away, as it is configured to.
        Evicted = "evicted",
    }
}

impl Outcome {
    /// The write was acknowledged: whatever else became of it, writes are taken. Of the others that is not known, or known not to be.
    pub const fn was_acknowledged(self) -> bool {
        matches!(self, Self::Ok | Self::PrimaryOnly | Self::PrimaryStale | Self::Lost | Self::Evicted)
    }
}

closed_list! {
    /// What a key-value channel's configuration can prove at best.
    Proof {
        RoundTrip = "round_trip",
        Path = "path",
        Observed = "observed",
        Reachability = "reachability",
    }
}

closed_list! {
    /// How long a canary stays before it is written anew.
    Lane {
        Fast = "fast",
        Medium = "medium",
        Slow = "slow",
    }
}

closed_list! {
    /// A part of a canary's way.
    CanaryStep {
        /// Until the write was acknowledged.
        Write = "write",
        /// Until the standby showed it.
        Standby = "standby_visible",
        /// Until the primary showed it.
        Primary = "primary_visible",
    }
}
