//! The key-value store: canaries and blocked writes.

use super::Presence::WhenKnown;
use super::{Emit, Kind, Metric, PairInput, Read, Unit, count, state};
use crate::evidence::KvstoreEvidence;
use crate::names::Outcome;

fn of_pair(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&KvstoreEvidence) -> Option<f64>) {
    emit.put_known([], input.evidence.kvstore.as_ref().and_then(value));
}

/// Zero only where a fresh canary proves that writes are not blocked.
fn blocked_seconds(kvstore: &KvstoreEvidence) -> Option<f64> {
    match kvstore.blocked_for {
        Some(blocked) => Some(blocked.as_secs_f64()),
        None => takes_writes(kvstore).then_some(0.0),
    }
}

/// The last canary's write was acknowledged. Whose fate is not known, or who was refused by one side only, does not say so.
fn takes_writes(kvstore: &KvstoreEvidence) -> bool {
    kvstore.outcome.is_some_and(Outcome::was_acknowledged)
}

pub(super) static METRICS: [Metric; 4] = [
    Metric {
        name: "standby_kvstore_outcomes_total",
        kind: Kind::Counter,
        help: "Canaries by what became of them.",
        labels: &["pair", "outcome"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (outcome, number) in input.evidence.kvstore.iter().flat_map(|kvstore| &kvstore.outcomes) {
                emit.put([outcome.as_str().into()], count(*number));
            }
        }),
    },
    Metric {
        name: "standby_kvstore_round_trip_seconds",
        kind: Kind::Gauge,
        help: "From the write's departure to the last read's answer, of the last canary that was whole.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            of_pair(input, emit, |kvstore| kvstore.round_trip.map(|round_trip| round_trip.as_secs_f64()));
        }),
    },
    Metric {
        name: "standby_kvstore_writes_blocked",
        kind: Kind::Gauge,
        help: "1 while writes time out or are refused, 0 while the last canary's write was taken.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            of_pair(input, emit, |kvstore| {
                let blocked = kvstore.blocked_for.is_some();
                (blocked || takes_writes(kvstore)).then_some(state(blocked))
            });
        }),
    },
    Metric {
        name: "standby_kvstore_blocked_seconds",
        kind: Kind::Gauge,
        help: "For how long writes have timed out or been refused; 0 while they have not.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, blocked_seconds)),
    },
];
