//! Turns the one answer of `facts.sql` into facts. Pure: text in, facts out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::conninfo;
use crate::facts::{
    Failure, Opaque, PostgresFacts, PostgresRole, PostgresSettings, PrimaryFacts, Receiver, Slot, StandbyFacts,
    Walsender,
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
        let hidden = |primary: &Primary| primary.walsenders.iter().any(|row| row.state.is_none());
        if !self.may_read_statistics || self.primary.as_ref().is_some_and(hidden) {
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
        Ok(PostgresFacts {
            version: self.version,
            system_identifier: self.system_identifier,
            postmaster_start: self.postmaster_start,
            data_directory: self.data_directory,
            timeline,
            server_clock: self.server_clock,
            role,
            settings: self.settings.facts(),
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
}

impl Primary {
    fn facts(self) -> (PostgresRole, Option<u32>) {
        let timeline = self.timeline.as_deref().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let primary = PrimaryFacts {
            wal_lsn: self.wal_lsn,
            walsenders: self.walsenders.into_iter().map(Walsender::from).collect(),
            slots: self.slots.into_iter().map(Slot::from).collect(),
            synchronous_standby_names: self.synchronous_standby_names,
            // Not the server's to say.
            wal_disk_free: None,
            commits_waiting: self.commits_waiting,
            longest_commit_wait: self.longest_commit_wait.and_then(seconds),
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
}

impl From<SlotRow> for Slot {
    fn from(row: SlotRow) -> Self {
        Self {
            name: row.name,
            physical: row.physical,
            active: row.active,
            active_pid: row.active_pid,
            restart_lsn: row.restart_lsn,
            wal_status: row.wal_status,
            safe_wal_size: row.safe_wal_size,
        }
    }
}

#[derive(Deserialize)]
struct Standby {
    #[serde(deserialize_with = "lsn")]
    replay_lsn: Option<Lsn>,
    #[serde(deserialize_with = "lsn")]
    receive_lsn: Option<Lsn>,
    last_replayed_commit: Option<f64>,
    replay_paused: Option<bool>,
    startup_wait_event: Option<String>,
    receiver: Option<ReceiverRow>,
    control_timeline: Option<u32>,
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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings() -> Value {
        json!({
            "wal_receiver_status_interval": 10, "wal_receiver_timeout": 60, "wal_sender_timeout": 0,
            "max_standby_streaming_delay": -1, "recovery_min_apply_delay": 0.25, "max_slot_wal_keep_size": -1,
            "must_not_be_lower": {"max_connections": 100}
        })
    }

    fn answer(primary: &Value, standby: &Value) -> Value {
        json!({
            "version": 150_018, "asked_as": "standbywatch", "may_read_statistics": true,
            "system_identifier": "7711107820406854484", "postmaster_start": "2026-01-22 21:16:38.157054+00",
            "data_directory": null, "server_clock": 1_795_382_247.868_282,
            "primary": primary, "standby": standby, "settings": settings()
        })
    }

    fn walsender() -> Value {
        json!({
            "pid": 13229, "application_name": "walreceiver", "client_addr": "127.0.0.1", "slot": "beta",
            "state": "streaming", "sync_state": "async", "sent": "0/3000060", "write": "0/3000060",
            "flush": null, "replay": "FFFFFFFF/3000060", "backend_start": "b", "backend_age": 12.5, "reply_time": null,
            "write_lag": null, "flush_lag": 0.5, "replay_lag": null
        })
    }

    fn primary(walsenders: &Value) -> Value {
        json!({
            "walsenders": walsenders, "wal_lsn": "FFFFFFFF/4000000", "timeline": "0000001A",
            "slots": [{"name": "beta", "physical": true, "active": true, "active_pid": 13229, "restart_lsn": null,
                       "wal_status": "lost", "safe_wal_size": null}],
            "synchronous_standby_names": "", "commits_waiting": 0, "longest_commit_wait": null
        })
    }

    #[test]
    fn a_primarys_answer_keeps_every_null() {
        let facts = facts(&answer(&primary(&json!([walsender()])), &Value::Null).to_string()).unwrap();
        assert_eq!(facts.timeline, Some(26));
        assert_eq!(facts.data_directory, None);
        let PostgresRole::Primary(primary) = facts.role else { panic!("a primary") };
        assert_eq!(primary.wal_lsn, Some(Lsn(0xFFFF_FFFF_0400_0000)));
        assert_eq!(primary.longest_commit_wait, None);
        let row = &primary.walsenders[0];
        assert_eq!((row.flush, row.write_lag, row.flush_lag), (None, None, Some(0.5)));
        assert_eq!(row.reply_time, None, "a connection's first moments: starting, not forbidden");
        assert_eq!(primary.slots[0].safe_wal_size, None);
        assert_eq!(facts.settings.wal_sender_timeout, Some(Duration::ZERO), "switched off");
        assert_eq!(facts.settings.standby_waits_for_ever, Some(true));
        assert_eq!(facts.settings.max_standby_streaming_delay, None);
        assert_eq!(facts.settings.recovery_min_apply_delay, Some(Duration::from_millis(250)));
        assert_eq!(facts.settings.max_slot_wal_keep_size, None);
    }

    #[test]
    fn a_standby_without_a_receiver_is_a_fact() {
        let standby = json!({
            "replay_lsn": "0/3000060", "receive_lsn": null, "last_replayed_commit": null, "replay_paused": true,
            "startup_wait_event": "RecoveryPause", "receiver": null, "control_timeline": 3
        });
        let facts = facts(&answer(&Value::Null, &standby).to_string()).unwrap();
        assert_eq!(facts.timeline, Some(3));
        let PostgresRole::Standby(standby) = facts.role else { panic!("a standby") };
        assert_eq!((standby.receive_lsn, standby.receiver), (None, None));
        assert_eq!(standby.replay_paused, Some(true));
    }

    #[test]
    fn settings_that_a_later_version_lacks_are_alone_unknown() {
        let mut answer = answer(&primary(&json!([walsender()])), &Value::Null);
        answer["version"] = json!(990_001);
        for (_, value) in answer["settings"].as_object_mut().unwrap() {
            *value = Value::Null;
        }
        answer["settings"]["must_not_be_lower"] = json!({"max_connections": 100, "max_worker_processes": null});
        answer["primary"]["synchronous_standby_names"] = Value::Null;
        let facts = facts(&answer.to_string()).unwrap();
        assert_eq!(facts.version, Some(990_001));
        let lower = BTreeMap::from([("max_connections".to_owned(), 100)]);
        assert_eq!(facts.settings, PostgresSettings { must_not_be_lower: lower, ..PostgresSettings::default() });
        let PostgresRole::Primary(primary) = facts.role else { panic!("a primary") };
        assert!(primary.wal_lsn.is_some() && primary.walsenders[0].replay.is_some(), "{primary:?}");
    }

    #[test]
    fn rows_without_contents_are_a_missing_right() {
        let mut row = walsender();
        row["state"] = Value::Null;
        let hidden = facts(&answer(&primary(&json!([row])), &Value::Null).to_string()).unwrap_err();
        let mut answer = answer(&primary(&json!([])), &Value::Null);
        answer["may_read_statistics"] = json!(false);
        let forbidden = facts(&answer.to_string()).unwrap_err();
        for failure in [hidden, forbidden] {
            assert_eq!(failure.kind, FailureKind::Permission);
            assert!(failure.message.contains("GRANT pg_monitor TO \"standbywatch\""), "{failure}");
        }
    }

    #[test]
    fn an_answer_that_is_not_ours_is_a_protocol_failure() {
        let neither = answer(&Value::Null, &Value::Null).to_string();
        let mut odd = answer(&primary(&json!([])), &Value::Null);
        odd["primary"]["wal_lsn"] = json!("elsewhere");
        for text in ["", "{}", "<html>", neither.as_str(), odd.to_string().as_str()] {
            assert_eq!(facts(text).unwrap_err().kind, FailureKind::Protocol, "{text}");
        }
    }
}
