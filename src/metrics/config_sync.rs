//! The configuration's synchronisation.

use super::Presence::WhenKnown;
use super::{Emit, Kind, Metric, PairInput, Read, Unit};
use crate::evidence::ConfigEvidence;

fn of_pair(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&ConfigEvidence) -> Option<f64>) {
    emit.put_known([], input.evidence.config.as_ref().and_then(value));
}

pub(super) static METRICS: [Metric; 4] = [
    Metric {
        name: "standby_config_sync_age_seconds",
        kind: Kind::Gauge,
        help: "Time since the last good synchronisation started, as of the probe's last run.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.age.map(|age| age.as_secs_f64()))),
    },
    Metric {
        name: "standby_config_sync_age_periods",
        kind: Kind::Gauge,
        help: "The same age in configured periods; a healthy job stays below 2.",
        labels: &["pair"],
        unit: Unit::Periods,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.age_periods)),
    },
    Metric {
        name: "standby_config_sync_consecutive_failures",
        kind: Kind::Gauge,
        help: "Failed runs since the last good one; told by the wrapper only.",
        labels: &["pair"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.consecutive_failures.map(f64::from))),
    },
    Metric {
        name: "standby_config_sync_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the last finished run took; told by the wrapper only.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            of_pair(input, emit, |config| config.last_took.map(|took| took.as_secs_f64()))
        }),
    },
];
