//! A pair that knows everything, one that knows nothing, and what goes with them.

use std::time::Duration;

use super::{AgentStatus, SnapshotCost, process};
use crate::clock::{Moment, WallTime};
use crate::config::{
    ConfigChannel, KvstoreChannel, NodeConfig, PairConfig, PostgresChannel, Replication, Rpo, Schedule, SearchChannel,
};
use crate::evidence::*;
use crate::facts::{AtRisk, HostFacts, SearchDisk};
use crate::level::Level;
use crate::names::*;
use crate::snapshot::{ChannelView, ProbeHealth};
use crate::units::Bytes;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text)
}

pub(crate) fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

pub(crate) fn pair(channels: &[Channel]) -> PairConfig {
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
            slot_window: Duration::from_secs(600),
            initial_sync: Duration::from_hours(24),
            low_load: Bytes::mib(1),
            stall_after: Duration::from_secs(15),
            stuck_after: Duration::from_secs(600),
            reconnect_every: Duration::from_secs(600),
            pulse: None,
            replication: Replication::Streaming,
            archive_period: Duration::from_secs(300),
            status_page: None,
        }),
        config: has(Channel::Config).then(|| ConfigChannel {
            schedule,
            period: Duration::from_secs(60),
            wrapper: true,
            jobs_are_named: false,
            include: Vec::new(),
            exclude: Vec::new(),
            max_files: 200_000,
            max_size: Bytes::mib(4096),
        }),
        kvstore: has(Channel::Kvstore).then(|| KvstoreChannel::path(schedule)),
        search: has(Channel::Search).then(|| SearchChannel::new(schedule, vec!["catalog".to_owned()])),
        rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
        role_from: None,
        seat: None,
    }
}

pub(crate) fn nothing_known() -> PairEvidence {
    PairEvidence {
        roles: Roles::default(),
        postgres: None,
        config: None,
        kvstore: None,
        search: None,
        peers: Vec::new(),
        readiness: None,
        machines: Vec::new(),
        parity: Vec::new(),
        flaps: Vec::new(),
        next_change: None,
    }
}

pub(crate) fn postgres_known() -> PostgresEvidence {
    let node = |text, role| NodeEvidence {
        node: name(text),
        role: Some(role),
        timeline: Some(1),
        version: Some(150_018),
        position: None,
        not_accepting: Some(false),
        no_new_session: None,
        told: NodeTold { untested_version: Some(false), wal_directory: Some(Bytes::mib(32)), archive_ready: Some(0) },
    };
    PostgresEvidence {
        source: PostgresSource::Servers,
        unchanged_for: Some(Duration::from_secs(60)),
        pulses: PulseOutcome::ALL.iter().map(|outcome| (*outcome, 3)).collect(),
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
            undelayed: Some(Bytes(10)),
            kind: Some(StandbyKind::Streaming),
            apply_delay: None,
            synchronous: Some(false),
            served: None,
            lag_seconds: Some(0.5),
            lag_seconds_at_least: None,
            gap: Some(Bytes(3)),
            slot_lost: Some(false),
            told: StandbyTold {
                slot_active: Some(true),
                slot_retained: Some(Bytes::mib(1)),
                slot_wal_status: Some(WalStatus::Reserved),
                conflicts: Some(0),
                settings_differ: Some(Vec::new()),
            },
            outlook: Outlook {
                slot_loss_seconds: Some(f64::INFINITY),
                slot_share: Some(0.1),
                wal_disk_full_seconds: Some(1e6),
                set_up_age: Some(Duration::from_hours(48)),
                set_up_of: None,
            },
            replay_state: Some(ReplayState::Applying),
            lag_slope: Some(-1.0),
            catch_up_seconds: Some(f64::INFINITY),
            bottleneck: Some(Stage::Replay),
            last_heartbeat: None,
            recognised: None,
            denied: Denied::default(),
            reported: None,
        }],
        lag: Some(Bytes(10)),
        lag_undelayed: Some(Bytes(10)),
        lag_seconds: Some(0.5),
        wal_rate: Some(1000.0),
        at_low_load: Some(true),
        growing: false,
        established: true,
        commits_blocked: Some(false),
        roles_changed: Some(false),
        archiver_failing: Some(false),
        contradiction: None,
    }
}

pub(crate) fn search_known() -> SearchEvidence {
    let node = |text, health, exists| SearchNodeEvidence {
        node: name(text),
        up: true,
        reason: None,
        engine: Some("opensearch 2.19.3".to_owned()),
        health: Some(health),
        active_shards_percent: Some(100.0),
        pending_tasks: Some(0),
        disk: Some(SearchDisk { used: 0.5, high: Some(0.9), flood: Some(0.95) }),
        indices: vec![SearchIndexEvidence {
            name: "catalog".to_owned(),
            exists: Some(exists),
            health: Some(health),
            documents: Some(7),
            read_only: Some(false),
            store: Some(Bytes(7000)),
            expected: Some(8),
            expected_by: Some(ExpectedBy::Remembered),
            expected_age: Some(Duration::from_secs(90)),
            progress: Some(0.875),
            alias_of: Vec::new(),
        }],
    };
    SearchEvidence {
        verdict: Verdict::proven(at(10)),
        primary: Some(name("alpha")),
        nodes: vec![node("alpha", SearchHealth::Green, true), node("beta", SearchHealth::Red, false)],
        standbys_up: true,
        drift: Some(false),
        rebuild: RebuildEvidence {
            state: RebuildState::Rebuilding,
            detail: Some("7 of 8 documents are written on alpha; about 2s left".to_owned()),
            progress: Some(0.875),
            rate: Some(0.5),
            left: Some((2.0, 3.0)),
            running_for: Some(Duration::from_secs(14)),
            uncounted: None,
        },
        estimate: RebuildEstimate { seconds: Some(16.0), by: EstimateBy::Measured, detail: "8 documents".to_owned() },
    }
}

fn canaries_known() -> CanaryEvidence {
    let counts = LatencyCount { buckets: vec![(0.01, 3), (0.25, 4)], count: 5, sum: 1.5 };
    CanaryEvidence {
        proofs: vec![Proof::Path, Proof::Observed],
        last_ok: Some(Duration::from_secs(1)),
        lanes: vec![(Lane::Medium, Some(Outcome::Ok)), (Lane::Slow, Some(Outcome::Lost))],
        pending: Some(1),
        resolved: vec![(Outcome::StandbyOnly, 2)],
        latencies: vec![(CanaryStep::Write, counts)],
        round_trip_p99: Some(Duration::from_millis(9)),
        slow: Some(false),
        diverged: Some(true),
        lost: Some(true),
        evicted: Some(false),
        link_up: Some(true),
        connect: Some(Duration::from_millis(1)),
    }
}

fn machine() -> HostFacts {
    HostFacts {
        cpus: Some(4),
        memory: Some(Bytes::mib(8192)),
        disk: Some(Bytes::mib(100_000)),
        disk_free: Some(Bytes::mib(50_000)),
        system: Some("debian 12".to_owned()),
    }
}

pub(crate) fn all_known() -> PairEvidence {
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
            drift: DriftEvidence {
                compared: true,
                drifted_files: Some(0),
                differing_files: Some(0),
                unreadable_files: Some(0),
                ..DriftEvidence::default()
            },
        }),
        kvstore: Some(KvstoreEvidence {
            verdict: Verdict::proven(at(10)),
            proof: Proof::Path,
            outcome: Some(Outcome::Ok),
            round_trip: Some(Duration::from_millis(2)),
            outcomes: Outcome::ALL.iter().map(|outcome| (*outcome, 4)).collect(),
            blocked_for: None,
            stores: Vec::new(),
            at_risk: Some(AtRisk { canaries: 2, since: Duration::from_secs(3) }),
            canaries: canaries_known(),
            observed: Some(ObservedEvidence {
                compared: 900,
                differing: 3,
                missing_on_standby: 2,
                missing_on_primary: 1,
                drift_ratio: Some(0.006),
                differs: Some(true),
                sizes: vec![(name("alpha"), 1000), (name("beta"), 998)],
            }),
        }),
        search: Some(search_known()),
        peers: vec![PeerEvidence {
            node: name("beta"),
            up: true,
            failure: None,
            version: Some("0.1.0".to_owned()),
            clock_skew: Some(0.5),
        }],
        machines: vec![MachineEvidence { node: name("alpha"), facts: machine() }],
        parity: vec![ParityEvidence { standby: name("beta"), differs: Some(Vec::new()) }],
        readiness: Some(Readiness {
            verdict: FailoverVerdict::Ready,
            reasons: vec!["a promotion would lose 3 B of WAL".to_owned()],
            primary: Some(name("alpha")),
            primary_life: PrimaryLife::Answers,
            standby: Some(name("beta")),
            blockers: Vec::new(),
            loss: Loss { wal: Some(Bytes(3)), seconds: Some(0.5), ..Loss::default() },
            serve: TimeToServe::default(),
            besides: Vec::new(),
            steps: Vec::new(),
        }),
        flaps: [Channel::Postgres, Channel::Config, Channel::Kvstore].map(|channel| (channel, 0)).into(),
        next_change: None,
    }
}

pub(crate) fn probes() -> Vec<ProbeHealth> {
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

pub(crate) fn views() -> Vec<ChannelView> {
    let view = |channel: &Channel| ChannelView {
        channel: *channel,
        level: Level::Unknown,
        reason: Some(Reason::NotSeenYet),
        detail: None,
        as_of: None,
    };
    Channel::ALL.iter().map(view).collect()
}

pub(crate) fn agent() -> AgentStatus {
    AgentStatus {
        version: "0.1.0",
        started: WallTime(1.7e9),
        reload_ok: true,
        reloaded: WallTime(1.7e9),
        snapshots: vec![SnapshotCost { pair: name("catalog"), made: 3, took: Duration::from_micros(90) }],
        pushes: vec![(PushOutcome::Ok, 1)],
        state_writes: vec![(WriteOutcome::Ok, 1)],
        state_not_loaded: 0,
        process: process::read(),
    }
}
