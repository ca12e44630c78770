//! The search engines: what is expected of the primary's indices, their rebuild after a failover, and how long one would take.

use super::Presence::{Always, WhenKnown};
use super::{Kind, Metric, PairInput, Read, Unit, count, state};
use crate::evidence::{RebuildEvidence, SearchEvidence};
use crate::names::{EstimateBy, RebuildState};

fn search<'a>(input: &'a PairInput<'_>) -> Option<&'a SearchEvidence> {
    input.evidence.search.as_ref()
}

fn rebuild<'a>(input: &'a PairInput<'_>) -> Option<&'a RebuildEvidence> {
    search(input).map(|search| &search.rebuild)
}

pub(super) static METRICS: [Metric; 10] = [
    Metric {
        name: "standby_search_standby_up",
        kind: Kind::Gauge,
        help: "1 while the engine of every node but the one with the primary's role answered lately.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.search.is_some() {
                emit.put([], state(search(input).is_some_and(|search| search.standbys_up)));
            }
        }),
    },
    Metric {
        name: "standby_search_expected_documents",
        kind: Kind::Gauge,
        help: "How many documents a configured index should hold: by the database, by configuration, or by the primary's last good count.",
        labels: &["pair", "index"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let Some(search) = search(input) else { return };
            let own = search.nodes.iter().find(|node| Some(&node.node) == search.primary.as_ref());
            for index in own.into_iter().flat_map(|node| &node.indices) {
                emit.put_known([index.name.clone().into()], index.expected.map(count));
            }
        }),
    },
    Metric {
        name: "standby_search_documents_drift",
        kind: Kind::Gauge,
        help: "1 while a configured index on the node with the primary's role holds more or fewer documents than expected, beyond `drift_percent`; absent during a rebuild.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            emit.put_known([], search(input).and_then(|search| search.drift).map(state))
        }),
    },
    Metric {
        name: "standby_search_rebuild_state",
        kind: Kind::Gauge,
        help: "1 for the state that the rebuild of the primary's indices is in, 0 for the others.",
        labels: &["pair", "state"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.search.is_none() {
                return;
            }
            let own = rebuild(input).map_or(RebuildState::Unknown, |rebuild| rebuild.state);
            for other in RebuildState::ALL {
                emit.put([other.as_str().into()], state(*other == own));
            }
        }),
    },
    Metric {
        name: "standby_search_rebuild_progress_ratio",
        kind: Kind::Gauge,
        help: "Documents written of those that are expected, over all configured indices, while a rebuild is awaited or under way (1 is all).",
        labels: &["pair"],
        unit: Unit::Ratio,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| emit.put_known([], rebuild(input).and_then(|rebuild| rebuild.progress))),
    },
    Metric {
        name: "standby_search_rebuild_documents_per_second",
        kind: Kind::Gauge,
        help: "How fast a rebuild writes, over the last minutes.",
        labels: &["pair"],
        unit: Unit::PerSecond,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| emit.put_known([], rebuild(input).and_then(|rebuild| rebuild.rate))),
    },
    Metric {
        name: "standby_search_rebuild_left_least_seconds",
        kind: Kind::Gauge,
        help: "Time until a rebuild is complete, at the faster of its rates over the last minutes and as a whole.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            emit.put_known([], rebuild(input).and_then(|rebuild| rebuild.left).map(|(least, _)| least));
        }),
    },
    Metric {
        name: "standby_search_rebuild_left_most_seconds",
        kind: Kind::Gauge,
        help: "The same at the slower of both rates.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            emit.put_known([], rebuild(input).and_then(|rebuild| rebuild.left).map(|(_, most)| most));
        }),
    },
    Metric {
        name: "standby_search_rebuild_estimate_seconds",
        kind: Kind::Gauge,
        help: "How long a whole rebuild would take, were the standby promoted now.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            emit.put_known([], search(input).and_then(|search| search.estimate.seconds))
        }),
    },
    Metric {
        name: "standby_search_rebuild_estimate_measured",
        kind: Kind::Gauge,
        help: "1 while that estimate rests on a rebuild that was watched, 0 while it is as declared in the configuration.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let by = search(input).map(|search| search.estimate.by).filter(|by| *by != EstimateBy::Unknown);
            emit.put_known([], by.map(|by| state(by == EstimateBy::Measured)));
        }),
    },
];
