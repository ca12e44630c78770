//! The agents of a pair, as they see each other, and the machines that they run on.

use super::Presence::WhenKnown;
use super::{Emit, Kind, Metric, PairInput, Read, Unit, count, state, text};
use crate::facts::HostFacts;

fn per_machine(input: &PairInput<'_>, emit: &mut Emit<'_>, value: fn(&HostFacts) -> Option<f64>) {
    for machine in &input.evidence.machines {
        emit.put_known([text(&machine.node)], value(&machine.facts));
    }
}

pub(super) static METRICS: [Metric; 7] = [
    Metric {
        name: "standby_agent_peer_up",
        kind: Kind::Gauge,
        help: "1 while the agent of the node `peer` answers this one and is understood, 0 while not; there from the first scrape on, but \
               only where nodes have agents of their own.",
        labels: &["pair", "peer"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for peer in &input.evidence.peers {
                emit.put([text(&peer.node)], state(peer.up));
            }
        }),
    },
    Metric {
        name: "standby_agent_clock_skew_seconds",
        kind: Kind::Gauge,
        help: "By how much the wall clocks of this machine and of the node `peer` differ for certain; the round trip is taken off. No age \
               is derived from it.",
        labels: &["pair", "peer"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for peer in &input.evidence.peers {
                emit.put_known([text(&peer.node)], peer.clock_skew);
            }
        }),
    },
    Metric {
        name: "standby_machine_cpus",
        kind: Kind::Gauge,
        help: "Processors of this node's machine; from its own agent only.",
        labels: &["pair", "node"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_machine(input, emit, |facts| facts.cpus.map(count))),
    },
    Metric {
        name: "standby_machine_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory of this node's machine; from its own agent only.",
        labels: &["pair", "node"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_machine(input, emit, |facts| facts.memory.map(|memory| memory.as_f64()));
        }),
    },
    Metric {
        name: "standby_machine_disk_bytes",
        kind: Kind::Gauge,
        help: "The disk of this node's machine with PostgreSQL's data, or else with the configuration; from its own agent only.",
        labels: &["pair", "node"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| per_machine(input, emit, |facts| facts.disk.map(|disk| disk.as_f64()))),
    },
    Metric {
        name: "standby_machine_disk_free_bytes",
        kind: Kind::Gauge,
        help: "What is free on that disk.",
        labels: &["pair", "node"],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            per_machine(input, emit, |facts| facts.disk_free.map(|disk| disk.as_f64()));
        }),
    },
    Metric {
        name: "standby_machine_differs",
        kind: Kind::Gauge,
        help: "1 while this standby's machine has fewer processors, less memory or a smaller disk than its primary's, an older PostgreSQL \
               or another system; only where nodes have agents of their own.",
        labels: &["pair", "standby"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for parity in &input.evidence.parity {
                let differs = parity.differs.as_ref().map(|differs| state(!differs.is_empty()));
                emit.put_known([text(&parity.standby)], differs);
            }
        }),
    },
];
