//! Words about PostgreSQL's replication: its stages, what replay does, and whose word the evidence is.

use std::fmt;

use serde::{Deserialize, Serialize};

closed_list! {
    /// Whose word the evidence of PostgreSQL's replication rests on.
    PostgresSource {
        /// The servers themselves are asked, and both ends of the replication are judged here.
        Servers = "servers",
        /// A page of the vendor tells a number; nothing of it can be proven here.
        StatusPage = "status_page",
    }
}

closed_list! {
    /// What became of one pulse.
    PulseOutcome {
        Ok = "ok",
        Failed = "failed",
    }
}

closed_list! {
    /// A stretch of the way from the primary's WAL to the standby's tables.
    Stage {
        /// Written on the primary, not sent.
        Pending = "pending",
        /// Sent, not written on the standby.
        Network = "network",
        /// Written on the standby, not flushed.
        StandbyDisk = "standby_disk",
        /// Flushed on the standby, not replayed.
        Replay = "replay",
    }
}

closed_list! {
    /// What the standby's replay does.
    ReplayState {
        CaughtUp = "caught_up",
        Applying = "applying",
        Paused = "paused",
        Conflict = "conflict",
        Delayed = "delayed",
        BlockedBySettings = "blocked_by_settings",
        Stuck = "stuck",
    }
}

closed_list! {
    /// How WAL comes to a standby.
    StandbyKind {
        /// The pair's primary streams to it.
        Streaming = "streaming",
        /// `restore_command` fetches it, a file at a time.
        Archive = "archive",
        /// Another server than the pair's primary streams to it.
        Cascaded = "cascaded",
    }
}
