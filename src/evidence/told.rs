//! What servers tell of themselves beside their replication, while it may be believed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::closed_list;
use crate::units::Bytes;

closed_list! {
    /// What the primary says of the WAL that a slot is to keep.
    WalStatus {
        Reserved = "reserved",
        Extended = "extended",
        Unreserved = "unreserved",
        Lost = "lost",
    }
}

/// One node's server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeTold {
    /// Its major version is none of those that the statements are tried on.
    pub untested_version: Option<bool>,
    /// All files in the directory of its WAL.
    pub wal_directory: Option<Bytes>,
    /// Files of WAL that wait to be archived.
    pub archive_ready: Option<u64>,
}

/// One standby, and its slot on the primary.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StandbyTold {
    /// Its slot has a walsender.
    pub slot_active: Option<bool>,
    /// WAL that its slot keeps.
    pub slot_retained: Option<Bytes>,
    /// What the primary says of that WAL.
    pub slot_wal_status: Option<WalStatus>,
    /// Queries that its replay has cancelled since the statistics began.
    pub conflicts: Option<u64>,
    /// What is lower than, or differs from, its primary though it may not: each in words, with both values. `None` while something
    /// of it is not known and nothing is seen to differ.
    pub settings_differ: Option<Vec<String>>,
}
