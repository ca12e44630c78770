//! The oracle itself: it sees what is wrong, and does not cry wolf.

use std::time::{Duration, Instant};

use serde_json::json;

use super::fault::{Fault, Silences};
use super::oracle::Oracle;
use super::sight::Look;
use crate::agent::Metrics;

/// What an agent tells of three channels, `postgres` like this.
fn look(begun: Instant, level: &str, lag: Option<u64>, verdict: &str) -> Look {
    let up = u8::from(level != "unknown");
    let reason = if level == "ok" { None } else { Some("not_connected") };
    let code = ["ok", "warning", "critical", "unknown"].iter().position(|name| *name == level).unwrap_or_default();
    let mut metrics = format!(
        "standby_replication_up{{channel=\"postgres\"}} {up}\nstandby_level{{channel=\"postgres\"}} {code}\n\
         standby_pair_level {code}\nstandby_failover_verdict{{verdict=\"{verdict}\"}} 1\nstandby_config_sync_age_seconds 1\n\
         standby_kvstore_round_trip_seconds 1\n"
    );
    for name in ["config", "kvstore"] {
        metrics += &format!("standby_replication_up{{channel=\"{name}\"}} 1\nstandby_level{{channel=\"{name}\"}} 0\n");
    }
    metrics += &lag.map(|lag| format!("standby_replication_lag_bytes {lag}\n")).unwrap_or_default();
    if let Some(reason) = reason {
        metrics += &format!("standby_channel_reason{{channel=\"postgres\",reason=\"{reason}\"}} 1\n");
    }
    let well = json!({ "status": "ok", "reason": null });
    Look {
        agent: "agent".to_owned(),
        begun,
        page: json!({
            "postgres_lag_bytes": lag.map_or(json!("unknown"), |lag| json!(lag)),
            "config_sync_age_seconds": 1.0, "kvstore_round_trip_seconds": 1.0, "status": level,
            "channels": { "postgres": { "status": level, "reason": reason }, "config": well, "kvstore": well },
        }),
        pair: json!({
            "level": level,
            "channels": [
                { "channel": "postgres", "level": level, "reason": reason },
                { "channel": "config", "level": "ok", "reason": null },
                { "channel": "kvstore", "level": "ok", "reason": null },
            ],
            "failover": { "verdict": verdict, "loss": { "wal_bytes": null, "at_least": false } },
            "findings": [],
        }),
        metrics: Metrics::parse(&metrics),
        strictly_ready: verdict == "ready",
        steady: true,
    }
}

fn kinds(oracle: &mut Oracle, look: &Look) -> Vec<String> {
    oracle.judge(look).into_iter().map(|wrong| wrong.kind).collect()
}

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn what_is_told_well_later_than_it_may_be_is_wrong() {
    let mut oracle = Oracle::new(Silences::TENTH, 1);
    oracle.begun(Fault::StandbyKilled, true);
    assert!(kinds(&mut oracle, &look(after(5), "ok", Some(0), "ready")).is_empty(), "not yet due");
    let late = kinds(&mut oracle, &look(after(7), "ok", Some(0), "ready_with_loss"));
    assert_eq!(late, ["well in spite of StandbyKilled"]);
    let ready = kinds(&mut oracle, &look(after(9), "unknown", None, "ready"));
    assert_eq!(ready, ["ready in spite of StandbyKilled"]);
    assert!(kinds(&mut oracle, &look(after(9), "unknown", None, "not_ready")).is_empty());
    let number = kinds(&mut oracle, &look(after(9), "unknown", Some(0), "not_ready"));
    assert_eq!(number, ["well in spite of StandbyKilled"], "a number of what is unknown");
    // With company it may take as long as the slower of both servers takes.
    oracle.begun(Fault::WayToPrimaryCut, true);
    assert!(kinds(&mut oracle, &look(after(12), "ok", Some(0), "unknown")).is_empty());
    assert_eq!(kinds(&mut oracle, &look(after(30), "ok", Some(0), "unknown")).len(), 2);
}

#[test]
fn an_alarm_without_a_cause_is_wrong_once_all_is_calm() {
    let mut oracle = Oracle::new(Silences::TENTH, 1);
    oracle.begun(Fault::LinkCut, true);
    oracle.ended(Fault::LinkCut);
    assert!(kinds(&mut oracle, &look(after(5), "unknown", None, "unknown")).is_empty(), "it may take a while");
    let late = kinds(&mut oracle, &look(after(60), "unknown", None, "unknown"));
    assert_eq!(late, ["false alarm of postgres", "not ready without a cause"]);
    let mut fires = look(after(60), "ok", Some(0), "ready");
    assert!(kinds(&mut oracle, &fires).is_empty());
    fires.pair["findings"] =
        json!([{ "rule": "StandbyX", "state": "pending" }, { "rule": "StandbyY", "state": "firing" }]);
    assert_eq!(kinds(&mut oracle, &fires), ["false StandbyY"]);
    oracle.begun(Fault::Load, true);
    assert_eq!(kinds(&mut oracle, &look(after(60), "warning", Some(0), "ready")), ["false alarm of postgres"]);
}

#[test]
fn replication_that_runs_while_one_node_cannot_be_asked_is_told_to_run() {
    let mut oracle = Oracle::new(Silences::TENTH, 1);
    oracle.begun(Fault::WayToStandbyCut, true);
    assert!(kinds(&mut oracle, &look(after(20), "warning", Some(0), "unknown")).is_empty());
    let alarm = kinds(&mut oracle, &look(after(2), "unknown", None, "unknown"));
    assert_eq!(alarm, ["false alarm during WayToStandbyCut"]);
}

#[test]
fn views_of_one_snapshot_must_not_differ() {
    let well = look(Instant::now(), "ok", Some(5), "ready");
    assert_eq!(well.contradictions(), Vec::<String>::new());
    let mut other = well.clone();
    other.page["postgres_lag_bytes"] = json!(6);
    assert_eq!(other.contradictions().len(), 1);
    let mut other = well.clone();
    other.pair["channels"][2]["level"] = json!("critical");
    assert_eq!(other.contradictions().len(), 1);
    let mut other = well;
    other.strictly_ready = false;
    assert_eq!(other.contradictions().len(), 1);
    other.steady = false;
    assert_eq!(other.contradictions(), Vec::<String>::new(), "two snapshots may differ");
    let number = look(Instant::now(), "unknown", Some(5), "unknown").contradictions();
    assert_eq!(number.len(), 1, "{number:?}");
}
