//! Answers as servers give them, and what is learned of each.

use serde_json::{Value, json};

use super::*;

mod nulls;

fn settings() -> Value {
    json!({
        "wal_receiver_status_interval": 10, "wal_receiver_timeout": 60, "wal_sender_timeout": 0,
        "max_standby_streaming_delay": -1, "recovery_min_apply_delay": 0.25, "max_slot_wal_keep_size": -1,
        "wal_segment_size": 16_777_216, "synchronous_standby_names": "*",
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
        "synchronous_standby_names": "", "commits_waiting": 0, "longest_commit_wait": null,
        "archive_mode": "off", "last_archive_failed": true
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
    assert_eq!(
        facts.settings.synchronous_standby_names.as_deref(),
        Some("*"),
        "a standby's counts once it is promoted"
    );
}

#[test]
fn a_standby_without_a_receiver_is_a_fact() {
    let standby = json!({
        "replay_lsn": "0/3000060", "receive_lsn": null, "last_replayed_commit": null, "replay_paused": true,
        "startup_wait_event": "RecoveryPause", "receiver": null, "control_timeline": 3, "walsenders": []
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

#[test]
fn archiving_fails_by_its_last_word_and_cannot_where_it_is_off() {
    let failing = |mode: Value, failed: Value| {
        let mut primary = primary(&json!([]));
        primary["archive_mode"] = mode;
        primary["last_archive_failed"] = failed;
        let PostgresRole::Primary(primary) = facts(&answer(&primary, &Value::Null).to_string()).unwrap().role else {
            panic!("a primary")
        };
        primary.archiver_failing
    };
    assert_eq!(failing(json!("on"), json!(true)), Some(true));
    assert_eq!(failing(json!("always"), json!(false)), Some(false));
    assert_eq!(failing(json!("off"), json!(true)), Some(false), "what failed before it was switched off");
    assert_eq!(failing(json!("on"), Value::Null), None);
    assert_eq!(failing(Value::Null, json!(true)), None);
}

#[test]
fn positions_beyond_the_signed_range_are_exact() {
    let mut far = primary(&json!([walsender()]));
    far["wal_lsn"] = json!("FFFFFFFF/FFFFFFFF");
    far["slots"][0]["restart_lsn"] = json!("80000000/1");
    let PostgresRole::Primary(far) = facts(&answer(&far, &Value::Null).to_string()).unwrap().role else {
        panic!("a primary")
    };
    assert_eq!(far.wal_lsn, Some(Lsn(u64::MAX)));
    assert_eq!(far.slots[0].retained, Some(Bytes(0x7FFF_FFFF_FFFF_FFFE)));
}
