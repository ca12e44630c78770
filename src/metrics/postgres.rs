//! PostgreSQL: roles, lag by stage, gap, replay, load.

use super::Presence::{Always, WhenKnown};
use super::{Emit, Kind, Metric, PairInput, Read, Unit, state, text};
use crate::evidence::{PostgresEvidence, StandbyEvidence};
use crate::names::{PostgresSource, Reason, ReplayState, Role, StandbyKind};

/// One number of each standby, where it is known.
pub(super) fn per_standby(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&StandbyEvidence) -> Option<f64>) {
    for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
        emit.put_known([text(&standby.node)], value(standby));
    }
}

/// One number of the pair, where it is known.
fn of_pair(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&PostgresEvidence) -> Option<f64>) {
    emit.put_known([], input.evidence.postgres.as_ref().and_then(value));
}

/// The servers themselves are asked. A page tells nothing of roles: what it cannot tell is absent, not 0.
fn asks_servers(input: &PairInput<'_>) -> bool {
    input.pair.postgres_source() == Some(PostgresSource::Servers)
}

/// One state of the pair that is always told while the channel is configured: what is not proven is 0.
pub(super) fn proven_of_pair(input: &PairInput<'_>, emit: &mut Emit<'_>, holds: fn(&PostgresEvidence) -> bool) {
    if asks_servers(input) {
        emit.put([], state(input.evidence.postgres.as_ref().is_some_and(holds)));
    }
}

/// Whether the pair contradicts itself in this way. Only the first contradiction is told: it explains the others.
fn contradicted(input: &PairInput<'_>, emit: &mut Emit<'_>, reason: Reason) {
    if asks_servers(input) {
        let told = input.evidence.postgres.as_ref().and_then(|postgres| postgres.contradiction);
        emit.put([], state(told == Some(reason)));
    }
}

pub(super) static METRICS: [Metric; 24] = [
    Metric {
        name: "standby_postgres_primary_up",
        kind: Kind::Gauge,
        help: "1 while the primary answered lately or a standby's receiver heard from it lately.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| proven_of_pair(input, emit, |postgres| postgres.primary_seen)),
    },
    Metric {
        name: "standby_postgres_standby_up",
        kind: Kind::Gauge,
        help: "1 while this standby's replication is proven; 0 also while the node's role is unknown. The proven primary has none.",
        labels: &["pair", "standby"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| match &input.evidence.postgres {
            Some(postgres) => {
                for standby in &postgres.standbys {
                    emit.put([text(&standby.node)], state(standby.verdict.up));
                }
            }
            None if asks_servers(input) => {
                for node in &input.pair.nodes {
                    emit.put([text(&node.name)], 0.0);
                }
            }
            None => {}
        }),
    },
    Metric {
        name: "standby_postgres_node_role",
        kind: Kind::Gauge,
        help: "1 for the role that the node's server has now, 0 for the other; absent while it cannot be asked.",
        labels: &["pair", "node", "role"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in input.evidence.postgres.iter().flat_map(|postgres| &postgres.nodes) {
                let Some(own) = node.role else { continue };
                for role in Role::ALL {
                    emit.put([text(&node.node), role.as_str().into()], state(*role == own));
                }
            }
        }),
    },
    Metric {
        name: "standby_replication_lag_bytes",
        kind: Kind::Gauge,
        help: "WAL that the worst standby has not replayed yet; absent unless every standby's lag is known.",
        labels: &["pair"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.lag.map(|lag| lag.as_f64()))),
    },
    Metric {
        name: "standby_replication_undelayed_lag_bytes",
        kind: Kind::Gauge,
        help: "The lag of the worst standby without what is younger than the delay declared for it (apply_delay); an upper bound while the primary's positions are not remembered for that long. Without declared delays it is the lag itself.",
        labels: &["pair"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            of_pair(input, emit, |postgres| postgres.lag_undelayed.map(|lag| lag.as_f64()));
        }),
    },
    Metric {
        name: "standby_replication_lag_seconds",
        kind: Kind::Gauge,
        help: "How long ago the primary was where the worst standby's replay is now; 0 when nothing is outstanding.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.lag_seconds)),
    },
    Metric {
        name: "standby_postgres_stage_lag_bytes",
        kind: Kind::Gauge,
        help: "WAL waiting at one stage of its way to the standby; the stages add up to the total lag.",
        labels: &["pair", "standby", "stage"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
                for (stage, lag) in standby.stages.iter().flatten() {
                    emit.put([text(&standby.node), stage.as_str().into()], lag.as_f64());
                }
            }
        }),
    },
    Metric {
        name: "standby_postgres_total_lag_bytes",
        kind: Kind::Gauge,
        help: "WAL that this standby has not replayed yet.",
        labels: &["pair", "standby"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_standby(input, emit, |standby| standby.total.map(|total| total.as_f64()))
        }),
    },
    Metric {
        name: "standby_postgres_gap_bytes",
        kind: Kind::Gauge,
        help: "WAL that this standby has not received: what a promotion now would lose. Known also while replication is not running.",
        labels: &["pair", "standby"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.gap.map(|gap| gap.as_f64()))),
    },
    Metric {
        name: "standby_postgres_lag_slope_bytes_per_second",
        kind: Kind::Gauge,
        help: "By how much the lag grows (or, below 0, shrinks) over the trend window, without what a declared delay holds back.",
        labels: &["pair", "standby"],
        unit: Unit::BytesPerSecond,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.lag_slope)),
    },
    Metric {
        name: "standby_postgres_catch_up_seconds",
        kind: Kind::Gauge,
        help: "Time until this standby has caught up at the present rates; +Inf is never.",
        labels: &["pair", "standby"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.catch_up_seconds)),
    },
    Metric {
        name: "standby_postgres_replay_state",
        kind: Kind::Gauge,
        help: "1 for what this standby's replay does now, 0 for the other states.",
        labels: &["pair", "standby", "state"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
                let Some(own) = standby.replay_state else { continue };
                for replay in ReplayState::ALL {
                    emit.put([text(&standby.node), replay.as_str().into()], state(*replay == own));
                }
            }
        }),
    },
    Metric {
        name: "standby_postgres_standby_kind",
        kind: Kind::Gauge,
        help: "1 for the way on which WAL comes to this standby now (a stream from the primary, files from an archive, a stream from another server), 0 for the others; absent while that is not known.",
        labels: &["pair", "standby", "kind"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
                let Some(own) = standby.kind else { continue };
                for kind in StandbyKind::ALL {
                    emit.put([text(&standby.node), kind.as_str().into()], state(*kind == own));
                }
            }
        }),
    },
    Metric {
        name: "standby_postgres_wal_rate_bytes_per_second",
        kind: Kind::Gauge,
        help: "WAL that the primary writes.",
        labels: &["pair"],
        unit: Unit::BytesPerSecond,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.wal_rate)),
    },
    Metric {
        name: "standby_postgres_low_load",
        kind: Kind::Gauge,
        help: "1 while the primary writes less WAL than the configured low load.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.at_low_load.map(state))),
    },
    Metric {
        name: "standby_postgres_lag_growing",
        kind: Kind::Gauge,
        help: "1 while the lag is large and grows; the last proven verdict is held for at most a minute of unknown.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.postgres.is_some() {
                emit.put([], state(input.evidence.postgres.as_ref().is_some_and(|postgres| postgres.growing)));
            }
        }),
    },
    Metric {
        name: "standby_postgres_split_brain",
        kind: Kind::Gauge,
        help: "1 while more than one node of the pair answers as a primary.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| contradicted(input, emit, Reason::TwoPrimaries)),
    },
    Metric {
        name: "standby_postgres_timeline_diverged",
        kind: Kind::Gauge,
        help: "1 while a standby has a history of its own: a later timeline than its primary's, or WAL that the primary does not have.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| contradicted(input, emit, Reason::TimelineDiverged)),
    },
    Metric {
        name: "standby_postgres_wrong_cluster",
        kind: Kind::Gauge,
        help: "1 while two nodes of the pair belong to different clusters, by their system identifiers.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| contradicted(input, emit, Reason::WrongCluster)),
    },
    Metric {
        name: "standby_postgres_same_server",
        kind: Kind::Gauge,
        help: "1 while two nodes of the pair are answered for by one and the same server.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| contradicted(input, emit, Reason::SameServer)),
    },
    Metric {
        name: "standby_postgres_roles_changed",
        kind: Kind::Gauge,
        help: "1 for half an hour after the primary became another node, as after a promotion; absent while no primary was ever seen.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.roles_changed.map(state))),
    },
    Metric {
        name: "standby_postgres_commits_blocked",
        kind: Kind::Gauge,
        help: "1 while commits on the primary have waited for a synchronous standby for more than 15 seconds.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |postgres| postgres.commits_blocked.map(state))),
    },
    Metric {
        name: "standby_postgres_slot_lost",
        kind: Kind::Gauge,
        help: "1 while the primary no longer has WAL that this standby's slot was to keep: the standby must be rebuilt.",
        labels: &["pair", "standby"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.slot_lost.map(state))),
    },
    Metric {
        name: "standby_postgres_not_accepting",
        kind: Kind::Gauge,
        help: "1 while this node's server answers but lets no new session in, 0 while the newest one was let in.",
        labels: &["pair", "node"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in input.evidence.postgres.iter().flat_map(|postgres| &postgres.nodes) {
                emit.put_known([text(&node.node)], node.not_accepting.map(state));
            }
        }),
    },
];
