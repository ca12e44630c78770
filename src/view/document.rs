//! Views into documents: ages are counted to the present, durations become seconds.

use std::time::Duration;

use crate::clock::{Moment, WallTime};
use crate::evidence::{
    ConfigEvidence, DriftEvidence, DriftedFile, KvstoreEvidence, NodeEvidence, ObservedEvidence, ParityEvidence,
    PeerEvidence, PostgresEvidence, Roles, StandbyEvidence,
};
use crate::level::Level;
use crate::names::Severity;
use crate::snapshot::{ChannelView, Finding, FindingState, ProbeHealth, View};
use crate::view::api::{
    CatchUp, ChannelDocument, ConfigDocument, DriftDocument, DriftedFileDocument, FailureDocument, FindingDocument,
    KvstoreDocument, LaneDocument, MachineDocument, Never, ObservedDocument, OutcomeCount, PairDocument, PeerDocument,
    PostgresDocument, PostgresNodeDocument, ProbeDocument, RolesDocument, StageDocument, StandbyDocument,
    StatusDocument, StoreDocument, VERSION,
};
use crate::view::failover::FailoverDocument;
use crate::view::search::search_document;

impl StatusDocument {
    /// The document of all pairs; each view with whether its snapshot is complete.
    pub fn new<'a>(views: impl IntoIterator<Item = (&'a View, bool)>, now: Moment, wall: WallTime) -> Self {
        let pairs: Vec<_> = views.into_iter().map(|(view, complete)| PairDocument::new(view, complete, now)).collect();
        Self {
            version: VERSION,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            time: wall.to_string(),
            // Nothing watched is nothing known.
            level: pairs.iter().map(|pair| pair.level).max().unwrap_or(Level::Unknown),
            pairs,
            agent_findings: Vec::new(),
            agent_notes: Vec::new(),
        }
    }

    /// The same with what fires in the agent itself. What is merely pending is left out: a probe that fails is told by its
    /// channel at once.
    #[must_use]
    pub fn with_agent_findings(self, findings: &[Finding], now: Moment) -> Self {
        let fires = |finding: &&Finding| finding.severity != Severity::None && finding.state != FindingState::Pending;
        let told = findings.iter().filter(fires);
        Self { agent_findings: told.map(|finding| finding_document(finding, now)).collect(), ..self }
    }

    /// The same with what else is wrong with the agent.
    #[must_use]
    pub fn with_agent_notes(self, agent_notes: Vec<String>) -> Self {
        Self { agent_notes, ..self }
    }
}

impl PairDocument {
    /// The document of one pair at `now`.
    pub fn new(view: &View, complete: bool, now: Moment) -> Self {
        let evidence = &view.evidence;
        Self {
            pair: view.pair.clone(),
            level: view.level,
            made: view.made_wall.to_string(),
            complete,
            channels: view.channels.iter().map(|channel| channel_document(channel, now)).collect(),
            roles: roles_document(&evidence.roles, now),
            postgres: evidence.postgres.as_ref().map(|postgres| postgres_document(postgres, now)),
            failover: evidence.readiness.as_ref().map(FailoverDocument::new),
            config: evidence.config.as_ref().map(|config| config_document(config, now)),
            kvstore: evidence.kvstore.as_ref().map(kvstore_document),
            search: evidence.search.as_ref().map(search_document),
            peers: evidence.peers.iter().map(peer_document).collect(),
            machines: evidence.parity.iter().map(machine_document).collect(),
            probes: view.probes.iter().map(probe_document).collect(),
            findings: view.findings.iter().map(|finding| finding_document(finding, now)).collect(),
        }
    }
}

/// Seconds to the microsecond: more digits say nothing.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// How long ago, to the millisecond.
pub(super) fn age(since: Option<Moment>, now: Moment) -> Option<f64> {
    since.map(|since| (now.since(since).as_secs_f64() * 1e3).round() / 1e3)
}

/// Time since the start of the last good run, counted on to `now`.
pub(super) fn config_age(config: &ConfigEvidence, now: Moment) -> Option<f64> {
    let passed = config.verdict.as_of.map_or(Duration::ZERO, |as_of| now.since(as_of));
    config.age.map(|age| (age.saturating_add(passed).as_secs_f64() * 1e3).round() / 1e3)
}

fn channel_document(view: &ChannelView, now: Moment) -> ChannelDocument {
    ChannelDocument {
        channel: view.channel,
        level: view.level,
        reason: view.reason,
        detail: view.detail.clone(),
        age_seconds: age(view.as_of, now),
    }
}

fn peer_document(peer: &PeerEvidence) -> PeerDocument {
    PeerDocument {
        node: peer.node.clone(),
        up: peer.up,
        version: peer.version.clone(),
        clock_skew_seconds: peer.clock_skew.map(|skew| (skew * 1e3).round() / 1e3),
        failure: peer.failure.as_ref().map(|failure| failure.message.clone()),
    }
}

fn machine_document(parity: &ParityEvidence) -> MachineDocument {
    MachineDocument { standby: parity.standby.clone(), differs: parity.differs.clone() }
}

fn roles_document(roles: &Roles, now: Moment) -> RolesDocument {
    RolesDocument {
        primary: roles.primary.clone(),
        standbys: roles.standbys.clone(),
        proven_seconds_ago: age(roles.proven_at, now),
        contradicted: roles.contradicted,
    }
}

fn postgres_document(postgres: &PostgresEvidence, now: Moment) -> PostgresDocument {
    PostgresDocument {
        source: postgres.source,
        unchanged_seconds: postgres.unchanged_for.map(seconds),
        up: postgres.verdict.up,
        primary: postgres.primary.clone(),
        primary_seen: postgres.primary_seen,
        lag_bytes: postgres.lag.map(|lag| lag.0),
        lag_seconds: postgres.lag_seconds,
        wal_bytes_per_second: postgres.wal_rate,
        growing: postgres.growing,
        nodes: postgres.nodes.iter().map(node_document).collect(),
        standbys: postgres.standbys.iter().map(|standby| standby_document(standby, now)).collect(),
    }
}

fn node_document(node: &NodeEvidence) -> PostgresNodeDocument {
    PostgresNodeDocument {
        node: node.node.clone(),
        role: node.role,
        timeline: node.timeline,
        version: node.version,
        position: node.position.map(|position| position.to_string()),
        no_new_session: node.no_new_session.clone(),
        untested_version: node.told.untested_version,
        wal_directory_bytes: node.told.wal_directory.map(|size| size.0),
        archive_ready_files: node.told.archive_ready,
    }
}

fn standby_document(standby: &StandbyEvidence, now: Moment) -> StandbyDocument {
    let stage = |(stage, lag): &(_, crate::units::Bytes)| StageDocument { stage: *stage, lag_bytes: lag.0 };
    StandbyDocument {
        node: standby.node.clone(),
        up: standby.verdict.up,
        reason: standby.verdict.reason,
        detail: standby.verdict.detail.clone(),
        stages: standby.stages.as_ref().map(|stages| stages.iter().map(stage).collect()),
        total_lag_bytes: standby.total.map(|total| total.0),
        kind: standby.kind,
        synchronous: standby.synchronous,
        apply_delay_seconds: standby.apply_delay.map(seconds),
        undelayed_lag_bytes: standby.undelayed.filter(|_| standby.apply_delay.is_some()).map(|lag| lag.0),
        lag_seconds: standby.lag_seconds,
        lag_seconds_at_least: standby.lag_seconds_at_least,
        gap_bytes: standby.gap.map(|gap| gap.0),
        settings_differ: standby.told.settings_differ.clone(),
        slot_retained_bytes: standby.told.slot_retained.map(|retained| retained.0),
        replay_state: standby.replay_state,
        lag_slope_bytes_per_second: standby.lag_slope,
        catch_up_seconds: standby.catch_up_seconds.map(|seconds| match seconds.is_finite() {
            true => CatchUp::Seconds(seconds),
            false => CatchUp::Never(Never::Never),
        }),
        bottleneck: standby.bottleneck,
        heartbeat_age_seconds: age(standby.last_heartbeat, now),
    }
}

fn drift_document(drift: &DriftEvidence, now: Moment) -> DriftDocument {
    let file = |file: &DriftedFile| DriftedFileDocument {
        path: file.path.clone(),
        kind: file.kind,
        for_seconds: age(Some(file.since), now),
    };
    DriftDocument {
        compared: drift.compared,
        not_compared: drift.not_compared.clone(),
        drifted_files: drift.drifted_files,
        at_least: drift.at_least,
        differing_files: drift.differing_files,
        unreadable_files: drift.unreadable_files,
        bound: drift.bound,
        files: drift.named.iter().map(file).collect(),
    }
}

fn config_document(config: &ConfigEvidence, now: Moment) -> ConfigDocument {
    ConfigDocument {
        up: config.verdict.up,
        age_seconds: config_age(config, now),
        age_periods: config.age_periods,
        consecutive_failures: config.consecutive_failures,
        last_exit: config.last_exit,
        last_took_seconds: config.last_took.map(seconds),
        drift: Some(drift_document(&config.drift, now)),
    }
}

fn kvstore_document(kvstore: &KvstoreEvidence) -> KvstoreDocument {
    KvstoreDocument {
        up: kvstore.verdict.up,
        proof: kvstore.proof,
        outcome: kvstore.outcome,
        round_trip_seconds: kvstore.round_trip.map(seconds),
        blocked_seconds: kvstore.blocked_for.map(seconds),
        outcomes: kvstore.outcomes.iter().map(|&(outcome, count)| OutcomeCount { outcome, count }).collect(),
        stores: kvstore.stores.iter().map(|(node, up)| StoreDocument { node: node.clone(), up: *up }).collect(),
        proofs: kvstore.canaries.proofs.clone(),
        at_risk_canaries: kvstore.at_risk.map(|risk| risk.canaries),
        at_risk_seconds: kvstore.at_risk.map(|risk| seconds(risk.since)),
        lanes: kvstore.canaries.lanes.iter().map(|&(lane, outcome)| LaneDocument { lane, outcome }).collect(),
        indeterminate_pending: kvstore.canaries.pending,
        round_trip_p99_seconds: kvstore.canaries.round_trip_p99.map(seconds),
        link_up: kvstore.canaries.link_up,
        observed: kvstore.observed.as_ref().map(observed_document),
    }
}

fn observed_document(observed: &ObservedEvidence) -> ObservedDocument {
    let known = |count: u64| observed.drift_ratio.map(|_| count);
    ObservedDocument {
        differs: observed.differs,
        drift_ratio: observed.drift_ratio,
        compared: known(observed.compared),
        differing: known(observed.differing),
        missing_on_standby: known(observed.missing_on_standby),
        missing_on_primary: known(observed.missing_on_primary),
    }
}

fn probe_document(probe: &ProbeHealth) -> ProbeDocument {
    ProbeDocument {
        channel: probe.channel,
        node: probe.node.clone(),
        up: probe.up,
        last_success: probe.last_success.map(|time| time.to_string()),
        failure: probe
            .failure
            .as_ref()
            .map(|failure| FailureDocument { kind: failure.kind, message: failure.message.clone() }),
        took_seconds: probe.took.map(seconds),
    }
}

fn finding_document(finding: &Finding, now: Moment) -> FindingDocument {
    FindingDocument {
        rule: finding.rule.to_owned(),
        severity: finding.severity,
        channel: finding.channel,
        state: finding.state,
        since: finding.since_wall.to_string(),
        for_seconds: (now.since(finding.since).as_secs_f64() * 1e3).round() / 1e3,
        summary: finding.summary.to_owned(),
        description: finding.description.clone(),
        remedy: finding.remedy.to_owned(),
        reason: finding.reason,
        explained_by: finding.explained_by.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture;

    fn status() -> StatusDocument {
        let (ok, warned, unknown) = (fixture::ok(), fixture::warned(), fixture::unknown());
        StatusDocument::new([(&ok, true), (&warned, true), (&unknown, false)], fixture::now(), fixture::wall())
    }

    #[test]
    fn the_document_as_json() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&status()).unwrap());
    }

    #[test]
    fn a_document_reads_back_as_it_was_written() {
        let json = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<StatusDocument>(&json).unwrap(), status());
    }

    #[test]
    fn in_the_unknown_pair_no_number_is_left() {
        let pair = PairDocument::new(&fixture::unknown(), true, fixture::now());
        let mut json = serde_json::to_value(&pair).unwrap();
        // What has happened stays known: counts, configured names, times of the last success and of findings.
        for told in ["findings", "probes", "roles"] {
            json.as_object_mut().unwrap().remove(told);
        }
        json["kvstore"].as_object_mut().unwrap().remove("outcomes");
        fn numbers(value: &serde_json::Value) -> usize {
            match value {
                serde_json::Value::Number(_) => 1,
                serde_json::Value::Array(items) => items.iter().map(numbers).sum(),
                serde_json::Value::Object(fields) => fields.values().map(numbers).sum(),
                _ => 0,
            }
        }
        assert_eq!(numbers(&json), 0, "{json:#}");
    }

    #[test]
    fn watching_nothing_is_unknown() {
        let none: [(&View, bool); 0] = [];
        assert_eq!(StatusDocument::new(none, fixture::now(), fixture::wall()).level, Level::Unknown);
    }
}
