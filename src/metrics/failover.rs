//! "Promote now?" as numbers.

use super::Presence::{Always, WhenKnown};
use super::{Kind, Metric, Read, Unit, state};
use crate::names::FailoverVerdict;

pub(super) static METRICS: [Metric; 2] = [
    Metric {
        name: "standby_failover_verdict",
        kind: Kind::Gauge,
        help: "1 for the answer to \"promote now?\", 0 for the other answers; unknown also while nothing was asked yet.",
        labels: &["pair", "verdict"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.postgres.is_none() {
                return;
            }
            let told = input.evidence.readiness.as_ref().map_or(FailoverVerdict::Unknown, |told| told.verdict);
            for verdict in FailoverVerdict::ALL {
                emit.put([verdict.as_str().into()], state(*verdict == told));
            }
        }),
    },
    Metric {
        name: "standby_failover_loss_bytes",
        kind: Kind::Gauge,
        help: "WAL that a promotion now would lose; while the verdict is primary_gone it is at least so much, up to where the primary was seen last.",
        labels: &["pair"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let loss = input.evidence.readiness.as_ref().and_then(|told| told.loss.wal);
            emit.put_known([], loss.map(|wal| wal.as_f64()));
        }),
    },
];
