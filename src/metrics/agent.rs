//! The agent's own cost and health.

use std::time::Duration;

use super::Presence::{Always, WhenKnown};
use super::process::ProcessUsage;
use super::{Kind, Metric, Read, Unit, count, state, text};
use crate::clock::WallTime;
use crate::names::{Name, PushOutcome, WriteOutcome};

/// What deriving the snapshots of one pair costs.
#[derive(Clone, Debug)]
pub struct SnapshotCost {
    /// The pair.
    pub pair: Name,
    /// How many there have been.
    pub made: u64,
    /// How long the last took.
    pub took: Duration,
}

/// What the agent knows of itself when it is scraped.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// Its version.
    pub version: &'static str,
    /// When the process started.
    pub started: WallTime,
    /// The last load of the configuration succeeded (the first one counts).
    pub reload_ok: bool,
    /// When the configuration in use was loaded.
    pub reloaded: WallTime,
    /// One entry for each pair that has a snapshot.
    pub snapshots: Vec<SnapshotCost>,
    /// Empty where nothing is pushed.
    pub pushes: Vec<(PushOutcome, u64)>,
    /// Writes of state files.
    pub state_writes: Vec<(WriteOutcome, u64)>,
    /// State files that were there and could not be used.
    pub state_not_loaded: u64,
    /// From [`super::process::read`], called for each scrape.
    pub process: ProcessUsage,
}

pub(super) static METRICS: [Metric; 14] = [
    Metric {
        name: "standby_build_info",
        kind: Kind::Gauge,
        help: "Always 1; the label tells the agent's version.",
        labels: &["version"],
        unit: Unit::State,
        presence: Always,
        read: Read::Agent(|status, emit| emit.put([status.version.into()], 1.0)),
    },
    Metric {
        name: "standby_agent_reload_successful",
        kind: Kind::Gauge,
        help: "1 if the last load of the configuration succeeded; with 0 the one before is still in use.",
        labels: &[],
        unit: Unit::State,
        presence: Always,
        read: Read::Agent(|status, emit| emit.put([], state(status.reload_ok))),
    },
    Metric {
        name: "standby_agent_reload_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the configuration in use was loaded.",
        labels: &[],
        unit: Unit::Timestamp,
        presence: Always,
        read: Read::Agent(|status, emit| emit.put([], status.reloaded.0)),
    },
    Metric {
        name: "standby_agent_snapshots_total",
        kind: Kind::Counter,
        help: "Snapshots derived of the pair.",
        labels: &["pair"],
        unit: Unit::Count,
        presence: Always,
        read: Read::Agent(|status, emit| {
            for snapshot in &status.snapshots {
                emit.put([text(&snapshot.pair)], count(snapshot.made));
            }
        }),
    },
    Metric {
        name: "standby_agent_snapshot_duration_seconds",
        kind: Kind::Gauge,
        help: "Time that deriving the pair's last snapshot took.",
        labels: &["pair"],
        unit: Unit::Seconds,
        presence: Always,
        read: Read::Agent(|status, emit| {
            for snapshot in &status.snapshots {
                emit.put([text(&snapshot.pair)], snapshot.took.as_secs_f64());
            }
        }),
    },
    Metric {
        name: "standby_agent_pushes_total",
        kind: Kind::Counter,
        help: "Pushes of alerts to Alertmanagers by what became of them; absent where nothing is pushed.",
        labels: &["outcome"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| {
            for (outcome, number) in &status.pushes {
                emit.put([outcome.as_str().into()], count(*number));
            }
        }),
    },
    Metric {
        name: "standby_agent_state_writes_total",
        kind: Kind::Counter,
        help: "Writes of state files by what became of them.",
        labels: &["outcome"],
        unit: Unit::Count,
        presence: Always,
        read: Read::Agent(|status, emit| {
            for (outcome, number) in &status.state_writes {
                emit.put([outcome.as_str().into()], count(*number));
            }
        }),
    },
    Metric {
        name: "standby_agent_state_not_loaded_total",
        kind: Kind::Counter,
        help: "State files that could not be read, or were another version's, and were set aside: pending alerts began anew.",
        labels: &[],
        unit: Unit::Count,
        presence: Always,
        read: Read::Agent(|status, emit| emit.put([], count(status.state_not_loaded))),
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "User and system CPU time that the agent has used.",
        labels: &[],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| emit.put_known([], status.process.cpu_seconds)),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory of the agent that is in RAM.",
        labels: &[],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| {
            emit.put_known([], status.process.resident_memory.map(|memory| memory.as_f64()));
        }),
    },
    Metric {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        help: "Address space of the agent.",
        labels: &[],
        unit: Unit::Bytes,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| {
            emit.put_known([], status.process.virtual_memory.map(|memory| memory.as_f64()));
        }),
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Gauge,
        help: "Files and sockets that the agent has open.",
        labels: &[],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| emit.put_known([], status.process.open_fds.map(count))),
    },
    Metric {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "Files and sockets that the agent may have open.",
        labels: &[],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Agent(|status, emit| emit.put_known([], status.process.max_fds.map(count))),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the agent started.",
        labels: &[],
        unit: Unit::Timestamp,
        presence: Always,
        read: Read::Agent(|status, emit| emit.put([], status.started.0)),
    },
];
