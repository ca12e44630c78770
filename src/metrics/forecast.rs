//! PostgreSQL: what is coming if nothing changes.

use super::Presence::{Always, WhenKnown};
use super::postgres::per_standby;
use super::{Kind, Metric, Read, Unit, state};

pub(super) static METRICS: [Metric; 5] = [
    Metric {
        name: "standby_postgres_slot_loss_seconds",
        kind: Kind::Gauge,
        help: "Time until this standby's slot may lose WAL at the rates of the last minutes; +Inf while what it keeps does not grow.",
        labels: &["pair", "standby"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.outlook.slot_loss_seconds)),
    },
    Metric {
        name: "standby_postgres_slot_used_ratio",
        kind: Kind::Gauge,
        help: "WAL that this standby's slot keeps, as a share of max_slot_wal_keep_size (1 is all of it).",
        labels: &["pair", "standby"],
        unit: Unit::Ratio,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.outlook.slot_share)),
    },
    Metric {
        name: "standby_postgres_wal_disk_full_seconds",
        kind: Kind::Gauge,
        help: "Time until this standby's slot, which has no limit, has filled the primary's disk; +Inf while what it keeps does not grow. Known only where the agent sees that disk.",
        labels: &["pair", "standby"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |standby| standby.outlook.wal_disk_full_seconds)),
    },
    Metric {
        name: "standby_postgres_set_up_age_seconds",
        kind: Kind::Gauge,
        help: "This standby has been one of this primary for at least so long, reconnects included.",
        labels: &["pair", "standby"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_standby(input, emit, |standby| standby.outlook.set_up_age.map(|age| age.as_secs_f64()))
        }),
    },
    Metric {
        name: "standby_postgres_established",
        kind: Kind::Gauge,
        help: "1 while the replication whose lag grows (all of them, while none does) is known to be older than `initial_sync`.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        // Beside `standby_postgres_lag_growing`, wherever that is: a rule needs both.
        read: Read::Evidence(|input, emit| {
            if input.pair.postgres.is_some() {
                emit.put([], state(input.evidence.postgres.as_ref().is_some_and(|postgres| postgres.established)));
            }
        }),
    },
];
