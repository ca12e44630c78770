//! Words about where PostgreSQL's evidence comes from.

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
