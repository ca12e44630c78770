//! What one PostgreSQL server says of itself and of its replication.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Failure, Opaque, SlowFacts};
use crate::units::{Bytes, Lsn};

/// All that one round trip learns of one PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostgresFacts {
    /// `server_version_num`, e.g. 150018.
    pub version: Option<u32>,
    /// `pg_control_system()`'s identifier: the same on all servers of one cluster.
    pub system_identifier: Option<String>,
    /// `pg_postmaster_start_time()`.
    pub postmaster_start: Option<Opaque>,
    /// `data_directory`, where the role may read it.
    pub data_directory: Option<String>,
    /// The current timeline (a primary's from its WAL file name).
    pub timeline: Option<u32>,
    /// `clock_timestamp()` in seconds since the epoch, on the server's own clock.
    pub server_clock: Option<f64>,
    /// Facts that depend on the role.
    pub role: PostgresRole,
    /// Settings that evidence needs.
    pub settings: PostgresSettings,
    /// What is asked apart and seldom.
    #[serde(default)]
    pub slow: SlowFacts,
    /// Whether new sessions were let in lately; `None` if that is not known.
    pub new_sessions: Option<NewSessions>,
}

/// What came of the newest attempt at a new session, while the held one goes on answering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewSessions {
    /// It was let in.
    Accepted,
    /// It was not, and neither was any since so long before these facts were asked for.
    Refused(Duration, Failure),
    /// Nobody knows: the agent could not try, for a reason of its own (a file that it may not read), or has tried once and is about to
    /// try again.
    NotTried(Duration, Failure),
}

/// The major versions that the statements are tried on.
pub const TESTED_VERSIONS: RangeInclusive<u32> = 14..=18;

impl PostgresFacts {
    /// The server's major version.
    pub fn major(&self) -> Option<u32> {
        self.version.map(|version| version / 10_000)
    }

    /// It answers, but is of a version that nobody has tried.
    pub fn untested_version(&self) -> Option<bool> {
        self.major().map(|major| !TESTED_VERSIONS.contains(&major))
    }
}

/// What the server is, by `pg_is_in_recovery()` in the same statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one per node, behind an Arc")]
pub enum PostgresRole {
    /// It takes writes.
    Primary(PrimaryFacts),
    /// It is in recovery.
    Standby(StandbyFacts),
}

/// Settings that limits are derived from. `Some(Duration::ZERO)` means switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSettings {
    /// How often the standby reports to its primary.
    pub wal_receiver_status_interval: Option<Duration>,
    /// After this long without a word the standby gives up its connection.
    pub wal_receiver_timeout: Option<Duration>,
    /// After this long without a word the primary gives up its standby.
    pub wal_sender_timeout: Option<Duration>,
    /// `max_standby_streaming_delay`; `None` also where it is -1 (wait for ever), told by `waits_for_ever`.
    pub max_standby_streaming_delay: Option<Duration>,
    /// `max_standby_streaming_delay` is -1.
    pub standby_waits_for_ever: Option<bool>,
    /// `recovery_min_apply_delay`.
    pub recovery_min_apply_delay: Option<Duration>,
    /// `max_slot_wal_keep_size` in bytes; `None` where unlimited or not learned.
    pub max_slot_wal_keep_size: Option<Bytes>,
    /// `max_slot_wal_keep_size` is -1: slots keep WAL until the disk is full.
    #[serde(default)]
    pub slots_keep_all: Option<bool>,
    /// `wal_segment_size`: how long one file of WAL is. Only whole files are archived.
    #[serde(default)]
    pub wal_segment_size: Option<Bytes>,
    /// `synchronous_standby_names`, empty where none. A standby's counts from its promotion on.
    #[serde(default)]
    pub synchronous_standby_names: Option<String>,
    /// The settings that a standby may not have lower than its primary, by name.
    pub must_not_be_lower: BTreeMap<String, i64>,
}

/// Facts that only a primary has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PrimaryFacts {
    /// `pg_current_wal_lsn()`, read after the walsenders' view.
    pub wal_lsn: Option<Lsn>,
    /// Rows of `pg_stat_replication`, those of base backups left out.
    pub walsenders: Vec<Walsender>,
    /// Rows of `pg_replication_slots`.
    pub slots: Vec<Slot>,
    /// `synchronous_standby_names`, empty where none.
    pub synchronous_standby_names: Option<String>,
    /// Free on the disk that holds the WAL, seen by the agent itself; `None` unless the server is proven to run on its machine.
    #[serde(default)]
    pub wal_disk_free: Option<Bytes>,
    /// Backends that wait on `SyncRep`.
    pub commits_waiting: Option<u64>,
    /// The longest of these waits.
    pub longest_commit_wait: Option<Duration>,
    /// The last attempt to archive WAL failed and none has succeeded since. `Some(false)` also where nothing is archived.
    #[serde(default)]
    pub archiver_failing: Option<bool>,
}

/// One row of `pg_stat_replication`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walsender {
    /// Process id on the primary.
    pub pid: i32,
    /// What the standby calls itself.
    pub application_name: Option<String>,
    /// Where it connects from; `None` over a Unix socket.
    pub client_addr: Option<IpAddr>,
    /// The slot whose `active_pid` this is.
    pub slot: Option<String>,
    /// `startup`, `catchup`, `streaming`, `stopping`; NULL for a role without rights.
    pub state: Option<String>,
    /// `async`, `sync`, `potential`, `quorum`.
    pub sync_state: Option<String>,
    /// Sent so far.
    pub sent: Option<Lsn>,
    /// Written by the standby.
    pub write: Option<Lsn>,
    /// Flushed by the standby.
    pub flush: Option<Lsn>,
    /// Replayed by the standby.
    pub replay: Option<Lsn>,
    /// When the connection began.
    pub backend_start: Option<Opaque>,
    /// How long ago that was by the primary's own clock in the same statement, in seconds.
    pub backend_age: Option<f64>,
    /// The standby's last reply, on the standby's clock.
    pub reply_time: Option<Opaque>,
    /// PostgreSQL's own estimates, in seconds.
    pub write_lag: Option<f64>,
    /// See `write_lag`.
    pub flush_lag: Option<f64>,
    /// See `write_lag`.
    pub replay_lag: Option<f64>,
}

/// One row of `pg_replication_slots`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `physical` slots feed standbys.
    pub physical: bool,
    /// Someone streams from it.
    pub active: bool,
    /// The walsender that does.
    pub active_pid: Option<i32>,
    /// The oldest WAL that it keeps.
    pub restart_lsn: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// Bytes until it may be lost; NULL where unlimited or lost.
    pub safe_wal_size: Option<i64>,
    /// WAL that it keeps, by the primary's position in the same answer; `None` where it keeps none.
    #[serde(default)]
    pub retained: Option<Bytes>,
    /// When it lost its last stream, on the primary's clock; `None` while active and before version 17.
    #[serde(default)]
    pub inactive_since: Option<Opaque>,
    /// How long ago that was by the primary's own clock in the same statement, in seconds.
    #[serde(default)]
    pub inactive_age: Option<f64>,
    /// Why it is of no more use, e.g. `wal_removed`; `None` while it is, and before version 17.
    #[serde(default)]
    pub invalidation_reason: Option<String>,
}

/// Facts that only a standby has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandbyFacts {
    /// `pg_last_wal_receive_lsn()`.
    pub receive_lsn: Option<Lsn>,
    /// `pg_last_wal_replay_lsn()`.
    pub replay_lsn: Option<Lsn>,
    /// The WAL receiver's row; that there is none is a fact too.
    pub receiver: Option<Receiver>,
    /// `pg_get_wal_replay_pause_state()` is `paused` or `pause requested`.
    pub replay_paused: Option<bool>,
    /// What the startup process waits on, e.g. `RecoveryConflictSnapshot`, `RecoveryApplyDelay`.
    pub startup_wait_event: Option<String>,
    /// Commit time of the last replayed transaction, seconds since the epoch on the *primary's* clock.
    pub last_replayed_commit: Option<f64>,
    /// Queries that replay has cancelled, in all databases since their statistics began.
    #[serde(default)]
    pub conflicts: Option<u64>,
    /// What replay reads ahead; `None` before version 15.
    #[serde(default)]
    pub prefetch: Option<Prefetch>,
    /// Rows of its own `pg_stat_replication`: standbys that it passes WAL on to.
    #[serde(default)]
    pub walsenders: Vec<Walsender>,
}

/// The row of `pg_stat_recovery_prefetch`: how far replay looks ahead, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefetch {
    /// Blocks that were asked for ahead of their replay.
    pub prefetched: Option<u64>,
    /// Blocks that were in memory already.
    pub hit: Option<u64>,
    /// How many bytes of WAL it looks ahead now.
    pub wal_distance: Option<Bytes>,
    /// How many blocks it looks ahead now.
    pub block_distance: Option<u64>,
    /// Reads that it has begun and that have not ended.
    pub io_depth: Option<u64>,
}

/// The row of `pg_stat_wal_receiver`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Receiver {
    /// `streaming` when it streams; NULL for a role without rights.
    pub status: Option<String>,
    /// The slot on the primary that it streams from.
    pub slot: Option<String>,
    /// `application_name` in its `conninfo`.
    pub application_name: Option<String>,
    /// The timeline that it receives.
    pub timeline: Option<u32>,
    /// The last message from the primary, on the standby's clock.
    pub last_message: Option<Opaque>,
    /// Age of that message by the standby's own clock in the same statement, in seconds; may be negative if that clock was set.
    pub last_message_age: Option<f64>,
    /// `latest_end_lsn`: the primary's position as last reported.
    pub latest_end: Option<Lsn>,
    /// Host and port that it receives from.
    pub sender: Option<String>,
}
