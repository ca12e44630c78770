//! Each field of an answer NULL in turn: nothing breaks, and no number comes from nowhere.

use super::*;

/// A primary's answer in which nothing is NULL, as version 17 gives it for a slot that is idle beside one that streams.
fn whole_primary() -> Value {
    let mut walsender = walsender();
    for (field, value) in [("flush", "0/3000060"), ("reply_time", "r")] {
        walsender[field] = json!(value);
    }
    for field in ["write_lag", "replay_lag"] {
        walsender[field] = json!(0.25);
    }
    let slot = json!({
        "name": "gamma", "physical": true, "active": false, "active_pid": 4, "restart_lsn": "0/1000000",
        "wal_status": "extended", "safe_wal_size": 1_000_000, "inactive_since": "i", "inactive_age": 61.5,
        "invalidation_reason": "wal_removed"
    });
    let mut primary = primary(&json!([walsender]));
    primary["slots"] = json!([slot]);
    primary["longest_commit_wait"] = json!(0.5);
    primary["archive_mode"] = json!("on");
    of_any(&answer(&primary, &Value::Null))
}

fn whole_standby() -> Value {
    let standby = json!({
        "replay_lsn": "0/3000060", "receive_lsn": "0/3000070", "last_replayed_commit": 1.5, "replay_paused": true,
        "startup_wait_event": "RecoveryPause",
        "receiver": {
            "status": "streaming", "slot": "beta", "conninfo": "application_name=beta", "timeline": 2,
            "last_message": "m", "last_message_age": 0.5, "latest_end": "0/3000080", "sender_host": "10.0.0.1",
            "sender_port": 5432
        },
        "control_timeline": 2, "conflicts": 3, "walsenders": [],
        "prefetch": {"prefetched": 1, "hit": 2, "wal_distance": 3, "block_distance": 4, "io_depth": 5}
    });
    of_any(&answer(&Value::Null, &standby))
}

fn of_any(answer: &Value) -> Value {
    let mut answer = answer.clone();
    answer["data_directory"] = json!("/data");
    answer["settings"]["max_standby_streaming_delay"] = json!(30);
    answer["settings"]["max_slot_wal_keep_size"] = json!(67_108_864);
    answer
}

/// The path of every field and element below `value`, as JSON pointers.
fn paths(value: &Value, here: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{here}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (format!("{here}/{n}"), value)).collect(),
        _ => return,
    };
    for (path, value) in below {
        paths(value, &path, found);
        found.push(path);
    }
}

/// The facts as JSON, so that they can be looked through whatever their type.
fn told(answer: &Value) -> Result<Value, Failure> {
    facts(&answer.to_string()).map(|facts| serde_json::to_value(facts).unwrap())
}

/// Where `nulled` says something that `whole` did not say: anything but null, or but nothing at all.
fn invented(whole: &Value, nulled: &Value, here: &str) -> Vec<String> {
    match (whole, nulled) {
        (_, Value::Null) => Vec::new(),
        (Value::Object(whole), Value::Object(nulled)) => nulled
            .iter()
            .flat_map(|(name, value)| {
                invented(whole.get(name).unwrap_or(&Value::Null), value, &format!("{here}/{name}"))
            })
            .collect(),
        (Value::Array(whole), Value::Array(nulled)) if whole.len() == nulled.len() => {
            whole.iter().zip(nulled).flat_map(|(whole, nulled)| invented(whole, nulled, here)).collect()
        }
        (whole, nulled) if whole == nulled => Vec::new(),
        (whole, nulled) => vec![format!("{here}: {whole} became {nulled}")],
    }
}

#[test]
fn a_field_that_is_null_makes_its_fact_unknown_or_the_answer_a_failure() {
    // What these say is needed for words only, or another field says it, too.
    let without_a_trace = ["/asked_as", "/standby/control_timeline"];
    let (mut unknown, mut failures) = (0, 0);
    for whole in [whole_primary(), whole_standby()] {
        let facts = told(&whole).unwrap();
        assert!(!facts["settings"].as_object().unwrap().values().any(Value::is_null), "whole: {facts}");
        let mut all = Vec::new();
        paths(&whole, "", &mut all);
        for path in all {
            let mut nulled = whole.clone();
            let field = nulled.pointer_mut(&path).unwrap();
            if field.is_null() {
                continue;
            }
            *field = Value::Null;
            match told(&nulled) {
                Ok(told) => {
                    assert_eq!(invented(&facts, &told, ""), [""; 0], "{path}");
                    assert_eq!(
                        told == facts,
                        without_a_trace.contains(&path.as_str()),
                        "{path} leaves a trace: {told}"
                    );
                    unknown += 1;
                }
                Err(failure) => {
                    let kinds = [FailureKind::Permission, FailureKind::Protocol];
                    assert!(kinds.contains(&failure.kind), "{path}: {failure:?}");
                    failures += 1;
                }
            }
        }
    }
    println!("{unknown} fields made one fact unknown, {failures} the whole answer");
    assert!(unknown > 60, "{unknown}");
}

#[test]
fn an_answer_without_what_tells_two_servers_apart_is_none() {
    for path in ["/system_identifier", "/primary/timeline"] {
        let mut nulled = whole_primary();
        *nulled.pointer_mut(path).unwrap() = Value::Null;
        assert_eq!(told(&nulled).unwrap_err().kind, FailureKind::Protocol, "{path}");
    }
}
