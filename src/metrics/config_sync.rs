//! The configuration's synchronisation.

use super::Presence::{Always, WhenKnown};
use super::{Emit, Kind, Metric, PairInput, Read, Unit, count, state};
use crate::evidence::ConfigEvidence;

fn of_pair(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&ConfigEvidence) -> Option<f64>) {
    emit.put_known([], input.evidence.config.as_ref().and_then(value));
}

pub(super) static METRICS: [Metric; 8] = [
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
    Metric {
        name: "standby_config_compared",
        kind: Kind::Gauge,
        help: "1 while the trees of the primary and the standby were both read as a whole and lately, so that drift is known.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.config.is_some() {
                let compared = input.evidence.config.as_ref().is_some_and(|config| config.drift.compared);
                emit.put([], state(compared));
            }
        }),
    },
    Metric {
        name: "standby_config_drifted_files",
        kind: Kind::Gauge,
        help: "Paths of the standby's copy that have differed from the primary's for two periods; at least so many.",
        labels: &["pair"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.drift.drifted_files.map(count))),
    },
    Metric {
        name: "standby_config_differing_files",
        kind: Kind::Gauge,
        help: "Paths of the standby's copy that differ from the primary's now, those that are still to be copied among them.",
        labels: &["pair"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.drift.differing_files.map(count))),
    },
    Metric {
        name: "standby_config_unreadable_files",
        kind: Kind::Gauge,
        help: "Entries of both trees that the agent may not read, or that a bound leaves out: they are not compared.",
        labels: &["pair"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| of_pair(input, emit, |config| config.drift.unreadable_files.map(count))),
    },
];
