//! The catalogue against what it emits, of a pair that knows everything, of one that knows nothing, and of a small one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::clock::{Moment, WallTime};
use crate::config::{
    ConfigChannel, KvstoreChannel, NodeConfig, PostgresChannel, Rpo, Schedule, SearchChannel, WriteOrder,
};
use crate::evidence::*;
use crate::names::*;
use crate::units::Bytes;

fn name(text: &str) -> Name {
    Name::new(text)
}

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn pair(channels: &[Channel]) -> PairConfig {
    let schedule = Schedule::new(Duration::from_secs(1), Duration::from_secs(3));
    let node =
        |text| NodeConfig { name: name(text), agent: None, postgres: None, kvstore: None, search: None, config: None };
    let has = |channel| channels.contains(&channel);
    PairConfig {
        name: name("catalog"),
        nodes: vec![node("alpha"), node("beta")],
        postgres: has(Channel::Postgres).then(|| PostgresChannel {
            schedule,
            lag_large: Bytes::mib(64),
            trend_window: Duration::from_secs(300),
            low_load: Bytes::mib(1),
            stall_after: Duration::from_secs(15),
            stuck_after: Duration::from_secs(600),
            reconnect_every: Duration::from_secs(600),
        }),
        config: has(Channel::Config).then(|| ConfigChannel {
            schedule,
            period: Duration::from_secs(60),
            wrapper: true,
        }),
        kvstore: has(Channel::Kvstore).then(|| KvstoreChannel {
            schedule,
            order: WriteOrder::StandbyFirst,
            sla: Duration::from_millis(250),
            prefix: "standbywatch".to_owned(),
        }),
        search: has(Channel::Search).then(|| SearchChannel {
            schedule,
            indices: vec!["catalog".to_owned()],
            yellow_is_ok: false,
            rebuild_takes: None,
        }),
        rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
        role_from: None,
    }
}

fn nothing_known() -> PairEvidence {
    PairEvidence {
        roles: Roles::default(),
        postgres: None,
        config: None,
        kvstore: None,
        search: None,
        next_change: None,
    }
}

fn postgres_known() -> PostgresEvidence {
    let node = |text, role| NodeEvidence {
        node: name(text),
        role: Some(role),
        timeline: Some(1),
        version: Some(150_018),
        position: None,
    };
    PostgresEvidence {
        verdict: Verdict::proven(at(10)),
        primary: Some(name("alpha")),
        primary_seen: true,
        nodes: vec![node("alpha", Role::Primary), node("beta", Role::Standby)],
        standbys: vec![StandbyEvidence {
            node: name("beta"),
            verdict: Verdict::proven(at(10)),
            stages: Some([
                (Stage::Pending, Bytes(1)),
                (Stage::Network, Bytes(2)),
                (Stage::StandbyDisk, Bytes(3)),
                (Stage::Replay, Bytes(4)),
            ]),
            total: Some(Bytes(10)),
            lag_seconds: Some(0.5),
            lag_seconds_at_least: None,
            gap: Some(Bytes(3)),
            replay_state: Some(ReplayState::Applying),
            lag_slope: Some(-1.0),
            catch_up_seconds: Some(f64::INFINITY),
            bottleneck: Some(Stage::Replay),
            last_heartbeat: None,
        }],
        lag: Some(Bytes(10)),
        lag_seconds: Some(0.5),
        wal_rate: Some(1000.0),
        at_low_load: Some(true),
        growing: false,
    }
}

fn search_known() -> SearchEvidence {
    let node = |text, health, exists| SearchNodeEvidence {
        node: name(text),
        up: true,
        reason: None,
        health: Some(health),
        active_shards_percent: Some(100.0),
        indices: vec![SearchIndexEvidence {
            name: "catalog".to_owned(),
            exists: Some(exists),
            health: Some(health),
            documents: Some(7),
            read_only: Some(false),
        }],
    };
    SearchEvidence {
        verdict: Verdict::proven(at(10)),
        primary: Some(name("alpha")),
        nodes: vec![node("alpha", SearchHealth::Green, true), node("beta", SearchHealth::Red, false)],
    }
}

fn all_known() -> PairEvidence {
    PairEvidence {
        roles: Roles::default(),
        postgres: Some(postgres_known()),
        config: Some(ConfigEvidence {
            verdict: Verdict::proven(at(10)),
            age: Some(Duration::from_secs(30)),
            age_periods: Some(0.5),
            consecutive_failures: Some(0),
            last_exit: Some(0),
            last_took: Some(Duration::from_secs(1)),
        }),
        kvstore: Some(KvstoreEvidence {
            verdict: Verdict::proven(at(10)),
            proof: Proof::Path,
            outcome: Some(Outcome::Ok),
            round_trip: Some(Duration::from_millis(2)),
            outcomes: Outcome::ALL.iter().map(|outcome| (*outcome, 4)).collect(),
            blocked_for: None,
            stores: Vec::new(),
        }),
        search: Some(search_known()),
        next_change: None,
    }
}

fn probes() -> Vec<ProbeHealth> {
    let probe = |node, last_success| ProbeHealth {
        channel: Channel::Postgres,
        node: name(node),
        up: true,
        last_success,
        failure: None,
        took: Some(Duration::from_millis(3)),
    };
    vec![probe("alpha", Some(WallTime(1.7e9))), probe("beta", None)]
}

fn views() -> Vec<ChannelView> {
    let view = |channel: &Channel| ChannelView {
        channel: *channel,
        level: Level::Unknown,
        reason: Some(Reason::NotSeenYet),
        detail: None,
        as_of: None,
    };
    Channel::ALL.iter().map(view).collect()
}

fn agent() -> AgentStatus {
    AgentStatus {
        version: "0.1.0",
        started: WallTime(1.7e9),
        reload_ok: true,
        reloaded: WallTime(1.7e9),
        snapshots: vec![SnapshotCost { pair: name("catalog"), made: 3, took: Duration::from_micros(90) }],
        pushes: vec![(PushOutcome::Ok, 1)],
        state_writes: vec![(WriteOutcome::Ok, 1)],
        process: process::read(),
    }
}

fn value(samples: &[Sample], metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |sample: &&Sample| {
        sample.metric == metric && labels.iter().all(|(label, value)| sample.label(label) == Some(*value))
    };
    samples.iter().find(fits).map(|sample| sample.value)
}

#[test]
fn every_metric_is_emitted_with_its_own_labels_and_no_other_is() {
    let pair = pair(Channel::ALL);
    let mut samples = evidence_samples(&pair, &all_known(), &probes());
    samples.extend(verdict_samples(&pair, Level::Unknown, &views()));
    samples.extend(agent_samples(&agent()));
    for sample in &samples {
        let metric = find(sample.metric).expect("a metric of the catalogue");
        let labels: Vec<_> = sample.labels.iter().map(|(label, _)| *label).collect();
        assert_eq!(labels, metric.labels, "{}", sample.metric);
        assert!(!sample.value.is_nan(), "{}", sample.metric);
    }
    let emitted: BTreeSet<_> = samples.iter().map(|sample| sample.metric).collect();
    let declared: BTreeSet<_> = all().map(|metric| metric.name).collect();
    assert_eq!(emitted, declared, "a pair that knows everything shows every metric");
    assert_eq!(all().count(), declared.len(), "no name twice");
    let series: BTreeSet<_> = samples.iter().map(|sample| format!("{}{:?}", sample.metric, sample.labels)).collect();
    assert_eq!(series.len(), samples.len(), "no series twice");
}

#[test]
fn knowing_nothing_leaves_exactly_what_is_always_there() {
    let pair = pair(Channel::ALL);
    let mut samples = evidence_samples(&pair, &nothing_known(), &probes());
    samples.extend(verdict_samples(&pair, Level::Unknown, &views()));
    let emitted: BTreeSet<_> = samples.iter().map(|sample| sample.metric).collect();
    let always: BTreeSet<_> = all()
        .filter(|metric| metric.presence == Presence::Always && !matches!(metric.read, Read::Agent(_)))
        .map(|metric| metric.name)
        .chain(["standby_probe_duration_seconds"])
        .collect();
    assert_eq!(emitted, always);
    for channel in ["postgres", "config", "kvstore"] {
        assert_eq!(value(&samples, "standby_replication_up", &[("channel", channel)]), Some(0.0), "{channel}");
    }
    for node in ["alpha", "beta"] {
        assert_eq!(value(&samples, "standby_postgres_standby_up", &[("standby", node)]), Some(0.0));
        assert_eq!(value(&samples, "standby_search_up", &[("node", node)]), Some(0.0));
    }
    assert_eq!(value(&samples, "standby_postgres_primary_up", &[]), Some(0.0));
    assert_eq!(value(&samples, "standby_search_primary_up", &[]), Some(0.0));
}

#[test]
fn a_channel_that_is_not_configured_has_no_series() {
    let samples = evidence_samples(&pair(&[Channel::Config]), &nothing_known(), &[]);
    let emitted: Vec<_> = samples.iter().map(|sample| (sample.metric, sample.label("channel"))).collect();
    assert_eq!(emitted, [("standby_replication_up", Some("config"))]);
}

#[test]
fn a_probe_that_never_succeeded_says_so() {
    let samples = evidence_samples(&pair(&[]), &nothing_known(), &probes());
    let metric = "standby_probe_last_success_timestamp_seconds";
    assert_eq!(value(&samples, metric, &[("node", "alpha")]), Some(1.7e9));
    assert_eq!(value(&samples, metric, &[("node", "beta")]), Some(0.0));
}

#[test]
fn the_primary_s_engine_is_told_by_its_role_and_only_while_known() {
    let pair = pair(&[Channel::Search]);
    let metrics = ["standby_search_primary_red", "standby_search_primary_index_missing"];
    let told = |search: SearchEvidence| {
        let evidence = PairEvidence { search: Some(search), ..nothing_known() };
        let samples = evidence_samples(&pair, &evidence, &[]);
        metrics.map(|metric| value(&samples, metric, &[]))
    };
    let before = search_known();
    assert_eq!(told(before.clone()), [Some(0.0), Some(0.0)], "the standby's red and empty engine is expected");
    let promoted = SearchEvidence { primary: Some(name("beta")), ..before.clone() };
    assert_eq!(told(promoted), [Some(1.0), Some(1.0)]);
    let unproven = SearchEvidence { verdict: Verdict::unproven(Reason::Timeout, "", None), ..before.clone() };
    assert_eq!(told(unproven), [None, None]);
    let mut half_read = before;
    half_read.nodes[0].indices[0].exists = None;
    assert_eq!(told(half_read), [Some(0.0), None]);
}

#[test]
fn writes_are_unblocked_only_by_proof() {
    let pair = pair(&[Channel::Kvstore]);
    let told = |outcome, blocked_for| {
        let mut evidence = all_known();
        if let Some(kvstore) = &mut evidence.kvstore {
            kvstore.outcome = outcome;
            kvstore.blocked_for = blocked_for;
        }
        let samples = evidence_samples(&pair, &evidence, &[]);
        ["standby_kvstore_writes_blocked", "standby_kvstore_blocked_seconds"].map(|metric| value(&samples, metric, &[]))
    };
    assert_eq!(told(Some(Outcome::Ok), None), [Some(0.0), Some(0.0)]);
    assert_eq!(told(None, None), [None, None]);
    assert_eq!(told(Some(Outcome::Blocked), Some(Duration::ZERO)), [Some(1.0), Some(0.0)]);
    assert_eq!(told(None, Some(Duration::from_secs(9))), [Some(1.0), Some(9.0)]);
}
