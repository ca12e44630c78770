//! The search engines: each node's, and what counts for service, the primary's.

use super::Presence::{Always, WhenKnown};
use super::{Kind, Metric, PairInput, Read, Unit, count, state, text};
use crate::evidence::SearchNodeEvidence;
use crate::names::SearchHealth;

fn nodes<'a>(input: &'a PairInput<'_>) -> impl Iterator<Item = &'a SearchNodeEvidence> {
    input.evidence.search.iter().flat_map(|search| &search.nodes)
}

/// The engine on the node with the primary's role, while it is known. So the rules need no join of engine and role.
fn primary<'a>(input: &'a PairInput<'_>) -> Option<&'a SearchNodeEvidence> {
    let search = input.evidence.search.as_ref()?;
    let primary = search.primary.as_ref()?;
    search.nodes.iter().find(|node| node.node == *primary && node.up && search.verdict.up)
}

/// Whether a configured index is known to be missing; `None` while that of any is not known and none is known missing.
fn index_missing(node: &SearchNodeEvidence) -> Option<bool> {
    let known: Option<Vec<bool>> = node.indices.iter().map(|index| index.exists).collect();
    match known {
        _ if node.indices.iter().any(|index| index.exists == Some(false)) => Some(true),
        Some(known) if !known.is_empty() => Some(false),
        _ => None,
    }
}

/// Whether the primary's engine is known to be so.
fn primary_is(input: &PairInput<'_>, emit: &mut super::Emit<'_>, is: impl Fn(&SearchNodeEvidence) -> Option<bool>) {
    emit.put_known([], primary(input).and_then(is).map(state));
}

pub(super) static METRICS: [Metric; 13] = [
    Metric {
        name: "standby_search_up",
        kind: Kind::Gauge,
        help: "1 while the node's engine answered lately.",
        labels: &["pair", "node"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.search.is_none() {
                return;
            }
            for node in &input.pair.nodes {
                let up = nodes(input).any(|engine| engine.node == node.name && engine.up);
                emit.put([text(&node.name)], state(up));
            }
        }),
    },
    Metric {
        name: "standby_search_primary_up",
        kind: Kind::Gauge,
        help: "1 while the engine on the node with the primary's role answered lately; 0 also while the roles are unknown.",
        labels: &["pair"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            if input.pair.search.is_some() {
                emit.put([], state(input.evidence.search.as_ref().is_some_and(|search| search.verdict.up)));
            }
        }),
    },
    Metric {
        name: "standby_search_primary_red",
        kind: Kind::Gauge,
        help: "1 while the engine on the node with the primary's role is red.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let health = primary(input).and_then(|engine| engine.health);
            emit.put_known([], health.map(|health| state(health == SearchHealth::Red)));
        }),
    },
    Metric {
        name: "standby_search_primary_index_missing",
        kind: Kind::Gauge,
        help: "1 while a configured index is missing on the node with the primary's role.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| emit.put_known([], primary(input).and_then(index_missing).map(state))),
    },
    Metric {
        name: "standby_search_health",
        kind: Kind::Gauge,
        help: "1 for the colour that the node's engine has now, 0 for the others.",
        labels: &["pair", "node", "state"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                let Some(own) = node.health else { continue };
                for health in SearchHealth::ALL {
                    emit.put([text(&node.node), health.as_str().into()], state(*health == own));
                }
            }
        }),
    },
    Metric {
        name: "standby_search_active_shards_percent",
        kind: Kind::Gauge,
        help: "Active shards of those that the node's engine should have.",
        labels: &["pair", "node"],
        unit: Unit::Percent,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                emit.put_known([text(&node.node)], node.active_shards_percent);
            }
        }),
    },
    Metric {
        name: "standby_search_documents",
        kind: Kind::Gauge,
        help: "Documents of a configured index, by the last count.",
        labels: &["pair", "node", "index"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                for index in &node.indices {
                    emit.put_known([text(&node.node), index.name.clone().into()], index.documents.map(count));
                }
            }
        }),
    },
    Metric {
        name: "standby_search_index_missing",
        kind: Kind::Gauge,
        help: "1 while a configured index is not there. On a standby that is expected before a failover.",
        labels: &["pair", "node", "index"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                for index in &node.indices {
                    let missing = index.exists.map(|exists| state(!exists));
                    emit.put_known([text(&node.node), index.name.clone().into()], missing);
                }
            }
        }),
    },
    Metric {
        name: "standby_search_primary_yellow",
        kind: Kind::Gauge,
        help: "1 while the engine on the node with the primary's role is yellow, and `yellow_is_ok` is not set.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            let counts = input.pair.search.as_ref().is_some_and(|channel| !channel.yellow_is_ok);
            primary_is(input, emit, |engine| Some(counts && engine.health? == SearchHealth::Yellow));
        }),
    },
    Metric {
        name: "standby_search_primary_read_only",
        kind: Kind::Gauge,
        help: "1 while a block keeps a configured index on the node with the primary's role from being written.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| primary_is(input, emit, SearchNodeEvidence::read_only)),
    },
    Metric {
        name: "standby_search_primary_disk_high",
        kind: Kind::Gauge,
        help: "1 while a disk of the engine on the node with the primary's role is over its high watermark; absent where it heeds none.",
        labels: &["pair"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| primary_is(input, emit, SearchNodeEvidence::disk_high)),
    },
    Metric {
        name: "standby_search_disk_used_ratio",
        kind: Kind::Gauge,
        help: "Used share of that disk of the node's engine which is nearest to its high watermark (1 is full).",
        labels: &["pair", "node"],
        unit: Unit::Ratio,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                emit.put_known([text(&node.node)], node.disk.map(|disk| disk.used));
            }
        }),
    },
    Metric {
        name: "standby_search_store_bytes",
        kind: Kind::Gauge,
        help: "Size of the primary shards of a configured index.",
        labels: &["pair", "node", "index"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for node in nodes(input) {
                for index in &node.indices {
                    let bytes = index.store.map(|store| count(store.0));
                    emit.put_known([text(&node.node), index.name.clone().into()], bytes);
                }
            }
        }),
    },
];
