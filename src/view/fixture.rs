//! Made-up views that the tests of all formats share: a pair in good health, one with a warning, one of which nothing is known.

mod parts;

use std::time::Duration;

use crate::clock::{Moment, WallTime};
use crate::evidence::{
    CanaryEvidence, ConfigEvidence, Denied, DriftEvidence, KvstoreEvidence, NodeEvidence, NodeTold, ObservedEvidence,
    Outlook, PairEvidence, PostgresEvidence, RebuildEstimate, RebuildEvidence, SearchEvidence, StandbyEvidence,
    StandbyTold, Verdict,
};
use crate::facts::{AtRisk, Failure};
use crate::level::Level;
use crate::metrics;
use crate::names::{
    Channel, EstimateBy, FailureKind, Lane, Outcome, PostgresSource, Proof, Reason, RebuildState, ReplayState,
    Severity, Stage, StandbyKind,
};
use crate::snapshot::{ChannelView, Finding, FindingState, ProbeHealth, Sample, Snapshot, View};
use crate::units::Bytes;
use parts::{ago, blind_search_node, name, postgres, roles, search_node};

const WALL: WallTime = WallTime(1_790_000_000.0);

/// The moment of all fixtures.
pub fn now() -> Moment {
    Moment::after_boot(Duration::from_secs(10_000))
}

/// The wall time of that moment.
pub const fn wall() -> WallTime {
    WALL
}

/// A snapshot that shows `view` for 15 s, and the unknown view of the same pair after it.
pub fn snapshot(view: View) -> Snapshot {
    let mut expired = unknown();
    expired.pair = view.pair.clone();
    expired.samples = samples(&expired);
    Snapshot::new(7, true, view, || expired, now() + Duration::from_secs(15))
}

/// All channels fine.
pub fn ok() -> View {
    let evidence = PairEvidence {
        roles: roles("alpha", "beta"),
        postgres: Some(postgres(Bytes(4096), Bytes(1024))),
        config: Some(ConfigEvidence {
            verdict: Verdict::proven(ago(0.4)),
            age: Some(Duration::from_millis(21_000)),
            age_periods: Some(0.35),
            consecutive_failures: Some(0),
            last_exit: Some(0),
            last_took: Some(Duration::from_millis(740)),
            drift: DriftEvidence {
                compared: true,
                drifted_files: Some(0),
                differing_files: Some(1),
                unreadable_files: Some(0),
                ..DriftEvidence::default()
            },
        }),
        kvstore: Some(KvstoreEvidence {
            verdict: Verdict::proven(ago(2.0)),
            proof: Proof::Path,
            outcome: Some(Outcome::Ok),
            round_trip: Some(Duration::from_micros(1800)),
            outcomes: vec![(Outcome::Ok, 412), (Outcome::Blocked, 1)],
            blocked_for: None,
            stores: vec![(name("alpha"), true), (name("beta"), true)],
            at_risk: Some(AtRisk::default()),
            canaries: CanaryEvidence {
                proofs: vec![Proof::Path, Proof::Observed],
                lanes: vec![(Lane::Medium, Some(Outcome::Ok)), (Lane::Slow, None)],
                pending: Some(0),
                ..CanaryEvidence::default()
            },
            observed: Some(ObservedEvidence {
                compared: 1180,
                drift_ratio: Some(0.0),
                differs: Some(false),
                ..ObservedEvidence::default()
            }),
        }),
        search: Some(SearchEvidence {
            verdict: Verdict::proven(ago(3.0)),
            primary: Some(name("alpha")),
            nodes: vec![search_node("alpha", 120_000), search_node("beta", 119_998)],
            standbys_up: true,
            drift: Some(false),
            rebuild: RebuildEvidence { state: RebuildState::NotExpected, detail: None, ..RebuildEvidence::unknown("") },
            estimate: RebuildEstimate {
                seconds: Some(3600.0),
                by: EstimateBy::Measured,
                detail: "120000 documents at the last measured 33 per second".into(),
            },
        }),
        peers: Vec::new(),
        readiness: None,
        machines: Vec::new(),
        parity: Vec::new(),
        flaps: Vec::new(),
        next_change: None,
    };
    view("catalog", evidence, Vec::new())
}

/// As [`ok`], with a second standby that is fed by files and replays late on purpose.
pub fn three_nodes() -> View {
    let mut view = ok();
    let standbys = view.evidence.postgres.as_mut().map(|postgres| &mut postgres.standbys);
    let standbys = standbys.expect("the channel is there");
    standbys[0].synchronous = Some(true);
    let (kind, delay) = (Some(StandbyKind::Archive), Some(Duration::from_secs(3600)));
    standbys.push(StandbyEvidence {
        node: name("gamma"),
        kind,
        apply_delay: delay,
        synchronous: None,
        ..standbys[0].clone()
    });
    view
}

/// Replay is paused and lag grows; the configuration is late; the rest is fine.
pub fn warned() -> View {
    let mut evidence = ok().evidence;
    let mut postgres = postgres(Bytes::mib(700), Bytes(0));
    let detail = "Replay on beta is paused: 700 MiB wait. Run SELECT pg_wal_replay_resume() on beta.";
    postgres.verdict = Verdict::warned(Reason::ReplayPaused, detail, ago(0.4));
    postgres.growing = true;
    let standby = &mut postgres.standbys[0];
    standby.verdict = postgres.verdict.clone();
    standby.replay_state = Some(ReplayState::Paused);
    standby.catch_up_seconds = Some(f64::INFINITY);
    standby.lag_seconds = None;
    standby.lag_seconds_at_least = Some(300.0);
    standby.bottleneck = Some(Stage::Replay);
    postgres.lag_seconds = None;
    evidence.postgres = Some(postgres);
    if let Some(config) = &mut evidence.config {
        config.age = Some(Duration::from_secs(141));
        config.age_periods = Some(2.35);
    }
    let mut view = view("orders <eu> & \"more\"", evidence, vec![paused(), sync_late(), watchdog()]);
    view.channels[0].level = Level::Critical;
    view.channels[1].level = Level::Warning;
    view.channels[1].reason = Some(Reason::SyncStale);
    view.channels[1].detail = Some("The last good run began 2m 21s ago; one is due each 1m.".into());
    view.level = Level::Critical;
    view
}

/// Nothing can be asked.
pub fn unknown() -> View {
    let unproven = |detail: &str| Verdict::unproven(Reason::Timeout, detail, None);
    let verdict = unproven("Neither alpha nor beta answered within 3s.");
    let node = |node: &str| NodeEvidence {
        node: name(node),
        role: None,
        timeline: None,
        version: None,
        position: None,
        not_accepting: None,
        no_new_session: None,
        told: NodeTold::default(),
    };
    let standby = |node: &str| StandbyEvidence {
        node: name(node),
        verdict: verdict.clone(),
        stages: None,
        total: None,
        undelayed: None,
        kind: None,
        apply_delay: None,
        synchronous: None,
        served: None,
        lag_seconds: None,
        lag_seconds_at_least: None,
        gap: None,
        slot_lost: None,
        told: StandbyTold::default(),
        outlook: Outlook::default(),
        replay_state: None,
        lag_slope: None,
        catch_up_seconds: None,
        bottleneck: None,
        last_heartbeat: None,
        recognised: None,
        denied: Denied::default(),
        reported: None,
    };
    let evidence = PairEvidence {
        roles: roles("alpha", "beta"),
        postgres: Some(PostgresEvidence {
            source: PostgresSource::Servers,
            unchanged_for: None,
            pulses: Vec::new(),
            verdict: verdict.clone(),
            primary: None,
            primary_seen: false,
            nodes: vec![node("alpha"), node("beta")],
            standbys: vec![standby("alpha"), standby("beta")],
            lag: None,
            lag_undelayed: None,
            lag_seconds: None,
            wal_rate: None,
            at_low_load: None,
            growing: false,
            established: true,
            commits_blocked: None,
            roles_changed: None,
            archiver_failing: None,
            contradiction: None,
        }),
        config: Some(ConfigEvidence {
            verdict: unproven("No run has been recorded."),
            age: None,
            age_periods: None,
            consecutive_failures: None,
            last_exit: None,
            last_took: None,
            drift: DriftEvidence {
                not_compared: Some("the tree of beta cannot be read here: no such directory".to_owned()),
                ..DriftEvidence::default()
            },
        }),
        kvstore: Some(KvstoreEvidence {
            verdict: unproven("No canary within 18s."),
            proof: Proof::Path,
            outcome: None,
            round_trip: None,
            outcomes: vec![(Outcome::Ok, 412)],
            blocked_for: None,
            stores: vec![(name("alpha"), false), (name("beta"), false)],
            at_risk: None,
            canaries: CanaryEvidence { proofs: vec![Proof::Path], ..CanaryEvidence::default() },
            observed: None,
        }),
        search: Some(SearchEvidence {
            verdict: unproven("alpha's engine did not answer."),
            primary: Some(name("alpha")),
            nodes: vec![blind_search_node("alpha"), blind_search_node("beta")],
            standbys_up: false,
            drift: None,
            rebuild: RebuildEvidence::unknown("the primary's engine is not known"),
            estimate: RebuildEstimate {
                seconds: None,
                by: EstimateBy::Unknown,
                detail: "unknown: declare `search: { rebuild_takes: 4h }` in the pair".into(),
            },
        }),
        peers: Vec::new(),
        readiness: None,
        machines: Vec::new(),
        parity: Vec::new(),
        flaps: Vec::new(),
        next_change: None,
    };
    view("far-away", evidence, vec![replication_unknown(), watchdog()])
}

fn view(pair: &str, evidence: PairEvidence, findings: Vec<Finding>) -> View {
    let verdicts = [
        (Channel::Postgres, evidence.postgres.as_ref().map(|postgres| postgres.verdict.clone())),
        (Channel::Config, evidence.config.as_ref().map(|config| config.verdict.clone())),
        (Channel::Kvstore, evidence.kvstore.as_ref().map(|kvstore| kvstore.verdict.clone())),
        (Channel::Search, evidence.search.as_ref().map(|search| search.verdict.clone())),
    ];
    let channels: Vec<_> = verdicts
        .into_iter()
        .filter_map(|(channel, verdict)| verdict.map(|verdict| channel_view(channel, verdict)))
        .collect();
    let mut view = View {
        pair: name(pair),
        made: now(),
        made_wall: WALL,
        level: channels.iter().map(|channel| channel.level).max().unwrap_or(Level::Unknown),
        channels,
        evidence,
        probes: Vec::new(),
        samples: Vec::new(),
        findings,
    };
    view.probes = probes(&view);
    view.samples = samples(&view);
    view
}

fn channel_view(channel: Channel, verdict: Verdict) -> ChannelView {
    let level = match (verdict.up, verdict.reason) {
        (false, _) => Level::Unknown,
        (true, Some(_)) => Level::Warning,
        (true, None) => Level::Ok,
    };
    ChannelView { channel, level, reason: verdict.reason, detail: verdict.detail, as_of: verdict.as_of }
}

fn probes(view: &View) -> Vec<ProbeHealth> {
    let probe = |channel: &ChannelView, node: &str| {
        let up = channel.level != Level::Unknown;
        let message = format!("no complete answer from {node} within 3s; is a firewall <between>?");
        ProbeHealth {
            channel: channel.channel,
            node: name(node),
            up,
            last_success: Some(WallTime(WALL.0 - if up { 1.0 } else { 90.0 })),
            failure: (!up).then(|| Failure::new(FailureKind::Timeout, message)),
            took: Some(Duration::from_millis(if up { 2 } else { 3000 })),
        }
    };
    view.channels.iter().flat_map(|channel| ["alpha", "beta"].map(|node| probe(channel, node))).collect()
}

pub fn samples(view: &View) -> Vec<Sample> {
    let mut config = metrics::fixture::pair(Channel::ALL);
    config.name = view.pair.clone();
    let mut samples = metrics::evidence_samples(&config, &view.evidence, &view.probes);
    metrics::add_verdict(&mut samples, &config, view.level, &view.channels);
    samples
}

fn finding(rule: &'static str, severity: Severity, channel: Option<Channel>, state: FindingState) -> Finding {
    let since = ago(95.0);
    Finding {
        rule,
        severity,
        channel,
        state,
        since,
        since_wall: WallTime(WALL.0 - 95.0),
        summary: "",
        description: String::new(),
        remedy: "",
        reason: None,
        explained_by: None,
    }
}

fn paused() -> Finding {
    Finding {
        summary: "Replay on the standby is paused.",
        description: "Replay on beta is paused; 700 MiB wait.".into(),
        remedy: "1. Ask who paused it.\n2. SELECT pg_wal_replay_resume();\n3. Watch the lag fall.",
        reason: Some(Reason::ReplayPaused),
        ..finding("StandbyPostgresReplayPaused", Severity::Critical, Some(Channel::Postgres), FindingState::Firing)
    }
}

fn sync_late() -> Finding {
    Finding {
        summary: "The configuration is not being copied.",
        description: "2.4 periods since the last good run.".into(),
        remedy: "Look whether cron runs on the standby.",
        reason: Some(Reason::SyncStale),
        ..finding("StandbyConfigSyncStale", Severity::Warning, Some(Channel::Config), FindingState::Pending)
    }
}

fn replication_unknown() -> Finding {
    Finding {
        summary: "Nobody can prove that this channel replicates.",
        description: "postgres of far-away: Neither alpha nor beta answered within 3s.".into(),
        remedy: "See whether both machines are up and reachable from here.",
        reason: Some(Reason::Timeout),
        ..finding("StandbyReplicationUnknown", Severity::Critical, Some(Channel::Postgres), FindingState::Firing)
    }
}

/// The dead-man's switch.
pub fn watchdog() -> Finding {
    Finding {
        summary: "Alerting works.",
        description: "This alert always fires.".into(),
        remedy: "Nothing: raise an alarm when it stops.",
        ..finding("StandbyWatchdog", Severity::None, None, FindingState::Firing)
    }
}
