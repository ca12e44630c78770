//! PostgreSQL's servers beside their replication: slots, archiving, settings, versions.

use super::Presence::WhenKnown;
use super::{Emit, Kind, Metric, PairInput, Read, Unit, count, state, text};
use crate::evidence::{NodeTold, StandbyTold, WalStatus};

fn per_node(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&NodeTold) -> Option<f64>) {
    for node in input.evidence.postgres.iter().flat_map(|postgres| &postgres.nodes) {
        emit.put_known([text(&node.node)], value(&node.told));
    }
}

fn per_standby(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&StandbyTold) -> Option<f64>) {
    for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
        emit.put_known([text(&standby.node)], value(&standby.told));
    }
}

pub(super) static METRICS: [Metric; 10] = [
    Metric {
        name: "standby_postgres_timeline",
        kind: Kind::Gauge,
        help: "Timeline of this node's server; a promotion begins a new one.",
        labels: &["pair", "node"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in input.evidence.postgres.iter().flat_map(|postgres| &postgres.nodes) {
                emit.put_known([text(&node.node)], node.timeline.map(f64::from));
            }
        }),
    },
    Metric {
        name: "standby_postgres_slot_active",
        kind: Kind::Gauge,
        help: "1 while somebody streams from this standby's slot on the primary.",
        labels: &["pair", "standby"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |told| told.slot_active.map(state))),
    },
    Metric {
        name: "standby_postgres_slot_retained_bytes",
        kind: Kind::Gauge,
        help: "WAL that the primary keeps for this standby's slot.",
        labels: &["pair", "standby"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_standby(input, emit, |told| told.slot_retained.map(|bytes| bytes.as_f64()))
        }),
    },
    Metric {
        name: "standby_postgres_slot_wal_status",
        kind: Kind::Gauge,
        help: "1 for what the primary says of the WAL that this standby's slot is to keep, 0 for the other states.",
        labels: &["pair", "standby", "state"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for standby in input.evidence.postgres.iter().flat_map(|postgres| &postgres.standbys) {
                let Some(own) = standby.told.slot_wal_status else { continue };
                for status in WalStatus::ALL {
                    emit.put([text(&standby.node), status.as_str().into()], state(*status == own));
                }
            }
        }),
    },
    Metric {
        name: "standby_postgres_recovery_conflicts_total",
        kind: Kind::Counter,
        help: "Queries on this standby that its replay has cancelled, since its statistics began.",
        labels: &["pair", "standby"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_standby(input, emit, |told| told.conflicts.map(count))),
    },
    Metric {
        name: "standby_postgres_settings_differ",
        kind: Kind::Gauge,
        help: "1 while a setting that may not be lower on this standby than on its primary is, or their data checksums or major versions differ.",
        labels: &["pair", "standby"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_standby(input, emit, |told| told.settings_differ.as_ref().map(|differ| state(!differ.is_empty())))
        }),
    },
    Metric {
        name: "standby_postgres_archiver_failing",
        kind: Kind::Gauge,
        help: "1 while the primary's last attempt to archive WAL failed, 0 while it succeeded or nothing is archived.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let failing = input.evidence.postgres.as_ref().and_then(|postgres| postgres.archiver_failing);
            emit.put_known([], failing.map(state));
        }),
    },
    Metric {
        name: "standby_postgres_archive_ready_files",
        kind: Kind::Gauge,
        help: "Files of WAL on this node that wait to be archived; asked once a minute.",
        labels: &["pair", "node"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_node(input, emit, |told| told.archive_ready.map(count))),
    },
    Metric {
        name: "standby_postgres_wal_directory_bytes",
        kind: Kind::Gauge,
        help: "All files in the directory of this node's WAL; asked once a minute.",
        labels: &["pair", "node"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_node(input, emit, |told| told.wal_directory.map(|bytes| bytes.as_f64()))
        }),
    },
    Metric {
        name: "standby_postgres_untested_version",
        kind: Kind::Gauge,
        help: "1 while this node's server is of a major version that this agent was not tried on.",
        labels: &["pair", "node"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_node(input, emit, |told| told.untested_version.map(state))),
    },
];
