//! Whether we know, how well it is and why: of each channel, of the pair, of each probe.

use super::Presence::{Always, WhenKnown};
use super::{Kind, Metric, PairInput, Read, Unit, count, state, text};
use crate::names::{Channel, Proof};

/// Whether the channel is proven to replicate now. `None` where it has no such series: search is rebuilt, not
/// replicated, and a port that answers proves no replication.
fn replication_up(input: &PairInput<'_>, channel: Channel) -> Option<bool> {
    let evidence = input.evidence;
    let verdict = match channel {
        Channel::Postgres => evidence.postgres.as_ref().map(|postgres| &postgres.verdict),
        Channel::Config => evidence.config.as_ref().map(|config| &config.verdict),
        Channel::Kvstore => {
            // A port that answers proves no replication.
            let kvstore = evidence.kvstore.as_ref();
            if kvstore.is_some_and(|kvstore| kvstore.proof == Proof::Reachability) {
                return None;
            }
            kvstore.map(|kvstore| &kvstore.verdict)
        }
        Channel::Search => return None,
    };
    Some(verdict.is_some_and(|verdict| verdict.up))
}

pub(super) static METRICS: [Metric; 9] = [
    Metric {
        name: "standby_replication_up",
        kind: Kind::Gauge,
        help: "1 while the channel is proven to replicate now, by all standbys, or a vendor's status page that stands for the servers says so; 0 while it is not, whatever the cause.",
        labels: &["pair", "channel"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            for channel in input.pair.channels() {
                let up = replication_up(input, channel);
                emit.put_known([channel.as_str().into()], up.map(state));
            }
        }),
    },
    Metric {
        name: "standby_replication_changes",
        kind: Kind::Gauge,
        help: "How often the channel has changed between proven and not proven in the last 15 minutes, each time for 5 seconds or more.",
        labels: &["pair", "channel"],
        unit: Unit::Count,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for (channel, changes) in &input.evidence.flaps {
                emit.put([channel.as_str().into()], count(*changes as u64));
            }
        }),
    },
    Metric {
        name: "standby_level",
        kind: Kind::Gauge,
        help: "Level of the channel: 0 ok, 1 warning, 2 critical, 3 unknown.",
        labels: &["pair", "channel"],
        unit: Unit::Level,
        presence: Always,
        read: Read::Verdict(|input, emit| {
            for view in input.channels {
                emit.put([view.channel.as_str().into()], f64::from(view.level.code()));
            }
        }),
    },
    Metric {
        name: "standby_pair_level",
        kind: Kind::Gauge,
        help: "Level of the pair, the worst of its channels: 0 ok, 1 warning, 2 critical, 3 unknown.",
        labels: &["pair"],
        unit: Unit::Level,
        presence: Always,
        read: Read::Verdict(|input, emit| emit.put([], f64::from(input.level.code()))),
    },
    Metric {
        name: "standby_channel_reason",
        kind: Kind::Gauge,
        help: "1 for the reason why the channel is not ok, 0 for all other reasons that it can have.",
        labels: &["pair", "channel", "reason"],
        unit: Unit::State,
        presence: Always,
        read: Read::Verdict(|input, emit| {
            for view in input.channels {
                for reason in view.channel.reasons() {
                    let labels = [view.channel.as_str().into(), reason.as_str().into()];
                    emit.put(labels, state(view.reason == Some(reason)));
                }
            }
        }),
    },
    Metric {
        name: "standby_channel_proof_info",
        kind: Kind::Gauge,
        help: "1 for each thing that the channel's configuration can prove.",
        labels: &["pair", "channel", "proof"],
        unit: Unit::State,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            if let Some(kvstore) = &input.evidence.kvstore {
                for proof in &kvstore.canaries.proofs {
                    emit.put([Channel::Kvstore.as_str().into(), proof.as_str().into()], 1.0);
                }
            }
        }),
    },
    Metric {
        name: "standby_probe_up",
        kind: Kind::Gauge,
        help: "1 while the probe's last run brought facts and they are fresh.",
        labels: &["pair", "channel", "node"],
        unit: Unit::State,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            for probe in input.probes {
                emit.put([probe.channel.as_str().into(), text(&probe.node)], state(probe.up));
            }
        }),
    },
    Metric {
        name: "standby_probe_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the probe last brought facts; 0 if it never has since the agent started.",
        labels: &["pair", "channel", "node"],
        unit: Unit::Timestamp,
        presence: Always,
        read: Read::Evidence(|input, emit| {
            for probe in input.probes {
                let labels = [probe.channel.as_str().into(), text(&probe.node)];
                // a default is right: 0 is Prometheus's own way to say "never", and the help says so.
                emit.put(labels, probe.last_success.map_or(0.0, |success| success.0));
            }
        }),
    },
    Metric {
        name: "standby_probe_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the probe's last run took, failed or not.",
        labels: &["pair", "channel", "node"],
        unit: Unit::Seconds,
        presence: WhenKnown,
        read: Read::Evidence(|input, emit| {
            for probe in input.probes {
                let took = probe.took.map(|took| took.as_secs_f64());
                emit.put_known([probe.channel.as_str().into(), text(&probe.node)], took);
            }
        }),
    },
];
