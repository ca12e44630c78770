//! Turns the one answer of `facts.sql` into facts. Pure: text in, facts out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::conninfo;
use crate::facts::{
    Failure, Opaque, PostgresFacts, PostgresRole, PostgresSettings, Prefetch, PrimaryFacts, Receiver, Slot, SlowFacts,
    StandbyFacts, Walsender,
};
use crate::names::FailureKind;
use crate::units::{Bytes, Lsn};

/// The facts in `text`, the JSON that `facts.sql` answers with.
///
/// # Errors
/// `permission` if the role sees other sessions' rows without their contents: its NULLs mean "not allowed", not "no lag".
/// `protocol` if the text is not what the statement promises.
pub(super) fn facts(text: &str) -> Result<PostgresFacts, Failure> {
    let answer: Answer = serde_json::from_str(text).map_err(|error| {
        Failure::new(FailureKind::Protocol, format!("the server's answer to the probe cannot be read: {error}"))
    })?;
    answer.facts()
}

#[derive(Deserialize)]
struct Answer {
    version: Option<u32>,
    asked_as: Option<String>,
    may_read_statistics: bool,
    system_identifier: Option<String>,
    postmaster_start: Option<Opaque>,
    data_directory: Option<String>,
    server_clock: Option<f64>,
    primary: Option<Primary>,
    standby: Option<Standby>,
    settings: Settings,
}

impl Answer {
    fn facts(self) -> Result<PostgresFacts, Failure> {
        let hidden = |rows: &[WalsenderRow]| rows.iter().any(|row| row.state.is_none());
        let primary_hides = self.primary.as_ref().is_some_and(|primary| hidden(&primary.walsenders));
        let standby_hides = self.standby.as_ref().is_some_and(|standby| hidden(&standby.walsenders));
        if !self.may_read_statistics || primary_hides || standby_hides {
            let role = self.asked_as.as_deref().unwrap_or("of the probe");
            return Err(Failure::new(
                FailureKind::Permission,
                format!(
                    "role {role:?} may not read the statistics of other sessions; run as a superuser: GRANT pg_monitor TO \"{role}\""
                ),
            ));
        }
        let (role, timeline) = match (self.primary, self.standby) {
            (Some(primary), None) => primary.facts(),
            (None, Some(standby)) => standby.facts(),
            _ => {
                return Err(Failure::new(FailureKind::Protocol, "the server did not say whether it is in recovery"));
            }
        };
        // Without these nobody can say that two servers belong together, and what PostgreSQL always knows is never NULL by right.
        let missing = match (&self.system_identifier, &role, timeline) {
            (None, ..) => Some("system identifier"),
            (_, PostgresRole::Primary(_), None) => Some("timeline"),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(Failure::new(FailureKind::Protocol, format!("the server did not tell its {missing}")));
        }
        Ok(PostgresFacts {
            version: self.version,
            system_identifier: self.system_identifier,
            postmaster_start: self.postmaster_start,
            data_directory: self.data_directory,
            timeline,
            server_clock: self.server_clock,
            role,
            settings: self.settings.facts(),
            slow: SlowFacts::default(),
            // Not the statement's to tell.
            new_sessions: None,
        })
    }
}

#[derive(Deserialize)]
struct Primary {
    walsenders: Vec<WalsenderRow>,
    #[serde(deserialize_with = "lsn")]
    wal_lsn: Option<Lsn>,
    timeline: Option<String>,
    slots: Vec<SlotRow>,
    synchronous_standby_names: Option<String>,
    commits_waiting: Option<u64>,
    longest_commit_wait: Option<f64>,
    archive_mode: Option<String>,
    last_archive_failed: Option<bool>,
}

impl Primary {
    fn facts(self) -> (PostgresRole, Option<u32>) {
        let timeline = self.timeline.as_deref().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let archiver_failing = match self.archive_mode.as_deref() {
            Some("off") => Some(false),
            Some(_) => self.last_archive_failed,
            None => None,
        };
        let primary = PrimaryFacts {
            wal_lsn: self.wal_lsn,
            walsenders: self.walsenders.into_iter().map(Walsender::from).collect(),
            slots: self.slots.into_iter().map(|row| row.slot(self.wal_lsn)).collect(),
            synchronous_standby_names: self.synchronous_standby_names,
            // Not the server's to say.
            wal_disk_free: None,
            commits_waiting: self.commits_waiting,
            longest_commit_wait: self.longest_commit_wait.and_then(seconds),
            archiver_failing,
        };
        (PostgresRole::Primary(primary), timeline)
    }
}

#[derive(Deserialize)]
struct WalsenderRow {
    pid: i32,
    application_name: Option<String>,
    client_addr: Option<String>,
    slot: Option<String>,
    state: Option<String>,
    sync_state: Option<String>,
    #[serde(deserialize_with = "lsn")]
    sent: Option<Lsn>,
    #[serde(deserialize_with = "lsn")]
    write: Option<Lsn>,
    #[serde(deserialize_with = "lsn")]
    flush: Option<Lsn>,
    #[serde(deserialize_with = "lsn")]
    replay: Option<Lsn>,
    backend_start: Option<Opaque>,
    backend_age: Option<f64>,
    reply_time: Option<Opaque>,
    write_lag: Option<f64>,
    flush_lag: Option<f64>,
    replay_lag: Option<f64>,
}

impl From<WalsenderRow> for Walsender {
    fn from(row: WalsenderRow) -> Self {
        Self {
            pid: row.pid,
            application_name: row.application_name,
            client_addr: row.client_addr.and_then(|text| text.parse::<IpAddr>().ok()),
            slot: row.slot,
            state: row.state,
            sync_state: row.sync_state,
            sent: row.sent,
            write: row.write,
            flush: row.flush,
            replay: row.replay,
            backend_start: row.backend_start,
            backend_age: row.backend_age,
            reply_time: row.reply_time,
            write_lag: row.write_lag,
            flush_lag: row.flush_lag,
            replay_lag: row.replay_lag,
        }
    }
}

#[derive(Deserialize)]
struct SlotRow {
    name: String,
    physical: bool,
    active: bool,
    active_pid: Option<i32>,
    #[serde(deserialize_with = "lsn")]
    restart_lsn: Option<Lsn>,
    wal_status: Option<String>,
    safe_wal_size: Option<i64>,
    inactive_since: Option<Opaque>,
    inactive_age: Option<f64>,
    invalidation_reason: Option<String>,
}

impl SlotRow {
    /// `current` is the primary's position, read after this row.
    fn slot(self, current: Option<Lsn>) -> Slot {
        Slot {
            name: self.name,
            physical: self.physical,
            active: self.active,
            active_pid: self.active_pid,
            restart_lsn: self.restart_lsn,
            wal_status: self.wal_status,
            safe_wal_size: self.safe_wal_size,
            retained: current.zip(self.restart_lsn).map(|(current, oldest)| current.bytes_after(oldest)),
            inactive_since: self.inactive_since,
            inactive_age: self.inactive_age,
            invalidation_reason: self.invalidation_reason,
        }
    }
}

#[derive(Deserialize)]
struct Standby {
    walsenders: Vec<WalsenderRow>,
    #[serde(deserialize_with = "lsn")]
    replay_lsn: Option<Lsn>,
    #[serde(deserialize_with = "lsn")]
    receive_lsn: Option<Lsn>,
    last_replayed_commit: Option<f64>,
    replay_paused: Option<bool>,
    startup_wait_event: Option<String>,
    receiver: Option<ReceiverRow>,
    control_timeline: Option<u32>,
    conflicts: Option<u64>,
    prefetch: Option<PrefetchRow>,
}

#[derive(Deserialize)]
struct PrefetchRow {
    prefetched: Option<u64>,
    hit: Option<u64>,
    wal_distance: Option<u64>,
    block_distance: Option<u64>,
    io_depth: Option<u64>,
}

impl From<PrefetchRow> for Prefetch {
    fn from(row: PrefetchRow) -> Self {
        Self {
            prefetched: row.prefetched,
            hit: row.hit,
            wal_distance: row.wal_distance.map(Bytes),
            block_distance: row.block_distance,
            io_depth: row.io_depth,
        }
    }
}

impl Standby {
    fn facts(self) -> (PostgresRole, Option<u32>) {
        let receiver = self.receiver.map(Receiver::from);
        let timeline = receiver.as_ref().and_then(|receiver| receiver.timeline).or(self.control_timeline);
        let standby = StandbyFacts {
            receive_lsn: self.receive_lsn,
            replay_lsn: self.replay_lsn,
            receiver,
            replay_paused: self.replay_paused,
            startup_wait_event: self.startup_wait_event,
            last_replayed_commit: self.last_replayed_commit,
            conflicts: self.conflicts,
            prefetch: self.prefetch.map(Prefetch::from),
            walsenders: self.walsenders.into_iter().map(Walsender::from).collect(),
        };
        (PostgresRole::Standby(standby), timeline)
    }
}

#[derive(Deserialize)]
struct ReceiverRow {
    status: Option<String>,
    slot: Option<String>,
    conninfo: Option<String>,
    timeline: Option<u32>,
    last_message: Option<Opaque>,
    last_message_age: Option<f64>,
    #[serde(deserialize_with = "lsn")]
    latest_end: Option<Lsn>,
    sender_host: Option<String>,
    sender_port: Option<i32>,
}

impl From<ReceiverRow> for Receiver {
    fn from(row: ReceiverRow) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            status: row.status,
            slot: filled(row.slot),
            application_name: row.conninfo.as_deref().and_then(conninfo::application_name),
            timeline: row.timeline,
            last_message: row.last_message,
            last_message_age: row.last_message_age,
            latest_end: row.latest_end,
            sender: filled(row.sender_host).zip(row.sender_port).map(|(host, port)| format!("{host}:{port}")),
        }
    }
}

#[derive(Deserialize)]
struct Settings {
    wal_receiver_status_interval: Option<f64>,
    wal_receiver_timeout: Option<f64>,
    wal_sender_timeout: Option<f64>,
    max_standby_streaming_delay: Option<f64>,
    recovery_min_apply_delay: Option<f64>,
    max_slot_wal_keep_size: Option<i64>,
    wal_segment_size: Option<u64>,
    synchronous_standby_names: Option<String>,
    /// `None`: this version has no such setting.
    must_not_be_lower: BTreeMap<String, Option<i64>>,
}

impl Settings {
    fn facts(self) -> PostgresSettings {
        PostgresSettings {
            wal_receiver_status_interval: self.wal_receiver_status_interval.and_then(seconds),
            wal_receiver_timeout: self.wal_receiver_timeout.and_then(seconds),
            wal_sender_timeout: self.wal_sender_timeout.and_then(seconds),
            max_standby_streaming_delay: self.max_standby_streaming_delay.and_then(seconds),
            standby_waits_for_ever: self.max_standby_streaming_delay.map(|delay| delay < 0.0),
            recovery_min_apply_delay: self.recovery_min_apply_delay.and_then(seconds),
            // -1 stands for "no limit".
            max_slot_wal_keep_size: self.max_slot_wal_keep_size.and_then(|size| u64::try_from(size).ok()).map(Bytes),
            slots_keep_all: self.max_slot_wal_keep_size.map(|size| size < 0),
            wal_segment_size: self.wal_segment_size.filter(|size| *size > 0).map(Bytes),
            synchronous_standby_names: self.synchronous_standby_names,
            must_not_be_lower: self
                .must_not_be_lower
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect(),
        }
    }
}

/// Seconds as a duration; `None` for a negative number, which stands for "no limit" in PostgreSQL's settings.
fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

fn lsn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Lsn>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests;
