//! The key-value store: what canaries show besides their outcome, and how the application's own data compare.

use super::Presence::WhenKnown;
use super::{Emit, Kind, Metric, PairInput, Read, Unit, count, state, text};
use crate::evidence::{CanaryEvidence, LATENCY_EDGES, LatencyCount, ObservedEvidence};
use crate::names::Outcome;

fn canary(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&CanaryEvidence) -> Option<f64>) {
    emit.put_known([], input.evidence.kvstore.as_ref().and_then(|kvstore| value(&kvstore.canaries)));
}

fn observed(input: &PairInput<'_>, emit: &mut Emit<'_>, read: impl FnOnce(&ObservedEvidence, &mut Emit<'_>)) {
    let observed = input.evidence.kvstore.as_ref().and_then(|kvstore| kvstore.observed.as_ref());
    if let Some(observed) = observed {
        read(observed, emit);
    }
}

const fn of_pair(
    name: &'static str,
    help: &'static str,
    unit: Unit,
    read: fn(&PairInput<'_>, &mut Emit<'_>),
) -> Metric {
    Metric { name, kind: Kind::Gauge, help, labels: &["pair"], unit, presence: WhenKnown, read: Read::Evidence(read) }
}

/// A histogram's samples: its edges, all, and the sum of all.
fn latency(emit: &mut Emit<'_>, step: &'static str, counts: &LatencyCount) {
    for (edge, number) in &counts.buckets {
        let usual = LATENCY_EDGES.iter().find(|(seconds, _)| seconds.total_cmp(edge).is_eq());
        let label = usual.map_or_else(|| edge.to_string().into(), |(_, label)| (*label).into());
        emit.put([step.into(), label], count(*number));
    }
    emit.put([step.into(), "+Inf".into()], count(counts.count));
    emit.put([step.into(), "sum".into()], counts.sum);
}

pub(super) static METRICS: [Metric; 17] = [
    of_pair(
        "standby_kvstore_diverged",
        "1 while the two stores are known to differ: in three canaries running, in one that stays, or in the application's own data.",
        Unit::State,
        |input, emit| canary(input, emit, |canaries| canaries.diverged.map(state)),
    ),
    of_pair(
        "standby_kvstore_lost_write",
        "1 while an acknowledged canary is lost or was rolled back, and for a while after.",
        Unit::State,
        |input, emit| canary(input, emit, |canaries| canaries.lost.map(state)),
    ),
    of_pair(
        "standby_kvstore_evicted",
        "1 while a store has thrown a canary away to make room, and for a while after.",
        Unit::State,
        |input, emit| canary(input, emit, |canaries| canaries.evicted.map(state)),
    ),
    of_pair(
        "standby_kvstore_slow",
        "1 while 99 of 100 round trips of the last minutes are not all within the SLA, or an acknowledgement was lost.",
        Unit::State,
        |input, emit| canary(input, emit, |canaries| canaries.slow.map(state)),
    ),
    of_pair(
        "standby_kvstore_link_up",
        "1 while the standby's port answers, 0 while it does not or nobody knows. Only where a port is all that is watched; proves no replication.",
        Unit::State,
        |input, emit| canary(input, emit, |canaries| canaries.link_up.map(state)),
    ),
    of_pair(
        "standby_kvstore_connect_seconds",
        "How long connecting to the standby's port took. Only where a port is all that is watched.",
        Unit::Seconds,
        |input, emit| canary(input, emit, |canaries| canaries.connect.map(|took| took.as_secs_f64())),
    ),
    of_pair(
        "standby_kvstore_round_trip_p99_seconds",
        "99 of 100 round trips of the last minutes took no longer.",
        Unit::Seconds,
        |input, emit| canary(input, emit, |canaries| canaries.round_trip_p99.map(|took| took.as_secs_f64())),
    ),
    Metric {
        name: "standby_kvstore_latency_seconds",
        kind: Kind::Histogram,
        help: "How long canaries took until they were acknowledged, and until each side showed them. The SLA is one of the edges.",
        labels: &["pair", "step", "le"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (step, counts) in input.evidence.kvstore.iter().flat_map(|kvstore| &kvstore.canaries.latencies) {
                latency(emit, step.as_str(), counts);
            }
        }),
    },
    of_pair(
        "standby_kvstore_last_ok_age_seconds",
        "Time since the last canary that went all the way; absent if none has.",
        Unit::Seconds,
        |input, emit| canary(input, emit, |canaries| canaries.last_ok.map(|age| age.as_secs_f64())),
    ),
    of_pair(
        "standby_kvstore_at_risk_canaries",
        "Canaries that were acknowledged and are not on the standby: a failover now would lose them.",
        Unit::Count,
        |input, emit| {
            emit.put_known(
                [],
                input.evidence.kvstore.as_ref().and_then(|kvstore| kvstore.at_risk).map(|risk| count(risk.canaries)),
            )
        },
    ),
    of_pair(
        "standby_kvstore_at_risk_seconds",
        "For how long acknowledged canaries have not reached the standby: what a failover now would lose, in time.",
        Unit::Seconds,
        |input, emit| {
            emit.put_known(
                [],
                input
                    .evidence
                    .kvstore
                    .as_ref()
                    .and_then(|kvstore| kvstore.at_risk)
                    .map(|risk| risk.since.as_secs_f64()),
            )
        },
    ),
    of_pair(
        "standby_kvstore_indeterminate_pending",
        "Canaries whose write was not answered and may still land.",
        Unit::Count,
        |input, emit| canary(input, emit, |canaries| canaries.pending.map(|pending| count(pending as u64))),
    ),
    Metric {
        name: "standby_kvstore_indeterminate_resolved_total",
        kind: Kind::Counter,
        help: "Canaries whose write was not answered, by what became of them in the end.",
        labels: &["pair", "outcome"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (outcome, number) in input.evidence.kvstore.iter().flat_map(|kvstore| &kvstore.canaries.resolved) {
                emit.put([outcome.as_str().into()], count(*number));
            }
        }),
    },
    Metric {
        name: "standby_kvstore_lane_ok",
        kind: Kind::Gauge,
        help: "1 while the canary that stays in this lane is on both sides, 0 while it is known not to be.",
        labels: &["pair", "lane"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (lane, outcome) in input.evidence.kvstore.iter().flat_map(|kvstore| &kvstore.canaries.lanes) {
                let known = outcome.filter(|outcome| *outcome != Outcome::Unknown);
                emit.put_known([lane.as_str().into()], known.map(|outcome| state(outcome == Outcome::Ok)));
            }
        }),
    },
    Metric {
        name: "standby_kvstore_observed_keys",
        kind: Kind::Gauge,
        help: "Keys of the application in the last comparisons, by how they compare; those that differ are among the compared ones.",
        labels: &["pair", "state"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            observed(input, emit, |observed, emit| {
                let ObservedEvidence { compared, differing, missing_on_standby, missing_on_primary, .. } = observed;
                if observed.drift_ratio.is_some() {
                    emit.put(["compared".into()], count(*compared));
                    emit.put(["differing".into()], count(*differing));
                    emit.put(["missing_on_standby".into()], count(*missing_on_standby));
                    emit.put(["missing_on_primary".into()], count(*missing_on_primary));
                }
            });
        }),
    },
    of_pair(
        "standby_kvstore_drift_ratio",
        "The share of the application's keys that are not the same on both sides, estimated from the last comparisons.",
        Unit::Ratio,
        |input, emit| observed(input, emit, |observed, emit| emit.put_known([], observed.drift_ratio)),
    ),
    Metric {
        name: "standby_kvstore_keys",
        kind: Kind::Gauge,
        help: "Keys in the node's database, as the store counts them.",
        labels: &["pair", "node"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            observed(input, emit, |observed, emit| {
                for (node, size) in &observed.sizes {
                    emit.put([text(node)], count(*size));
                }
            });
        }),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_an_edge_is_the_edge() {
        for (edge, label) in LATENCY_EDGES {
            assert_eq!(label, edge.to_string());
        }
    }
}
