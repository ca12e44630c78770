//! One standby: both halves of its proof put together, and its numbers.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::config::{PairConfig, PostgresChannel};
use crate::evidence::{Denied, Recognised, StandbyEvidence, Verdict};
use crate::facts::{Latest, PostgresFacts, PostgresSettings, StandbyFacts, Walsender};
use crate::history::catch_up::Course;
use crate::history::lsn_ring::Passed;
use crate::history::postgres::{Held, NodeMemory, PostgresHistory, sender_key};
use crate::names::{Name, Reason, ReplayState};
use crate::units::Bytes;

use super::nodes::{Node, Nodes, Primary};
use super::proof::{self, Proof};
use super::{outlook, position, recognise, servers};

/// All that a standby's evidence is derived from.
pub(super) struct Surroundings<'a> {
    pub(super) channel: &'a PostgresChannel,
    pub(super) pair: &'a PairConfig,
    pub(super) history: &'a PostgresHistory,
    pub(super) nodes: &'a Nodes<'a>,
    pub(super) primary: Option<Primary<'a>>,
    pub(super) latest: &'a BTreeMap<Name, Latest<PostgresFacts>>,
    pub(super) now: Moment,
}

/// A standby's evidence, and what follows from it for the pair.
pub(super) struct Derived {
    pub(super) evidence: StandbyEvidence,
    /// Its receiver heard from the primary lately.
    pub(super) hears_primary: bool,
    /// Moments at which something of it runs out.
    pub(super) changes: Vec<Moment>,
}

/// The standby's own facts, while it can be asked.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) facts: &'a PostgresFacts,
    pub(super) standby: &'a StandbyFacts,
    pub(super) asked: Moment,
}

pub(super) fn derive(
    view: &Surroundings<'_>,
    name: &Name,
    node: Node<'_>,
    contradiction: Option<&(Reason, String)>,
) -> Derived {
    let own = match node {
        Node::Standby { facts, standby, asked } => Some(Own { facts, standby, asked }),
        Node::Primary { .. } | Node::Silent(_) => None,
    };
    let receiver = own.map(|own| half_of_standby(view, name, own));
    let row = view.primary.map(|primary| recognised_row(view, name, own, primary));
    let walsender = match (&row, view.primary) {
        (Some(Ok(row)), Some(primary)) => Some(half_of_primary(view, name, own, row, primary)),
        (Some(Err(why)), _) => Some(Err(why.clone())),
        _ => None,
    };
    let mut changes: Vec<Moment> = [&walsender, &receiver]
        .into_iter()
        .filter_map(|half| half.as_ref()?.as_ref().ok().map(|proven| proven.until))
        .collect();
    let (replay_state, stuck_at) = own.map_or((None, None), |own| replay_state(view, name, own));
    changes.extend(stuck_at);
    let denied = denied(view, name, own, walsender.as_ref(), receiver.as_ref(), contradiction.is_some());
    let verdict = match contradiction {
        Some((reason, detail)) => Verdict::unproven(*reason, detail.clone(), None),
        None => verdict(view, name, node, own, (walsender.as_ref(), receiver.as_ref()), replay_state, denied),
    };
    let hears_primary = matches!(receiver, Some(Ok(_)));
    let heard = [&walsender, &receiver].into_iter().filter_map(|half| Some(half.as_ref()?.as_ref().ok()?.heard)).max();
    let row = row.and_then(Result::ok);
    let slot = outlook::slot(view, name, own.map(|own| own.standby));
    let mut evidence = StandbyEvidence {
        node: name.clone(),
        // Positions of histories that have parted cannot be compared: a standby that is "ahead" would seem to lose nothing.
        gap: if contradiction.is_some() { None } else { gap(view, name, row) },
        slot_lost: outlook::slot_lost(view, slot),
        outlook: outlook::outlook(view, name, slot, row),
        told: servers::standby_told(view, slot, own),
        replay_state,
        last_heartbeat: heard,
        recognised: row.zip(view.primary).map(|(row, primary)| remember(row, primary)),
        reported: row.and_then(|row| row.flush.max(row.replay)),
        denied,
        verdict,
        stages: None,
        total: None,
        lag_seconds: None,
        lag_seconds_at_least: None,
        lag_slope: None,
        catch_up_seconds: None,
        bottleneck: None,
    };
    if let (true, Some(row), Some(primary)) = (evidence.verdict.up, row, view.primary) {
        measure(view, &mut evidence, row, primary, own);
    }
    Derived { evidence, hears_primary, changes }
}

fn half_of_standby(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> Proof {
    let memory = view.history.nodes.get(name).and_then(|memory| memory.receiver.as_ref());
    let timeline = view.primary.and_then(|primary| primary.facts.timeline);
    proof::by_receiver(own.standby, memory, proof::message_limit(&own.facts.settings), timeline, view.now)
}

fn half_of_primary(
    view: &Surroundings<'_>,
    name: &Name,
    own: Option<Own<'_>>,
    row: &Walsender,
    primary: Primary<'_>,
) -> Proof {
    let remembered = view.history.nodes.get(name).and_then(|memory| memory.settings.as_ref());
    let settings = own.map(|own| &own.facts.settings).or(remembered);
    let limit = proof::reply_limit(settings, &primary.facts.settings);
    let memory = view.history.nodes.get(primary.name).and_then(|memory| memory.senders.get(&sender_key(row)));
    proof::by_walsender(row, memory, primary.primary.wal_lsn, limit, view.channel, view.now)
}

fn recognised_row<'a>(
    view: &Surroundings<'_>,
    name: &Name,
    own: Option<Own<'_>>,
    primary: Primary<'a>,
) -> recognise::Recognition<'a> {
    let config = view.pair.node(name).and_then(|node| node.postgres.as_ref());
    recognise::recognise(
        config.and_then(|config| config.replica.as_ref()),
        own.map(|own| own.standby),
        view.history.recognised.get(name),
        primary.primary,
        primary.facts.major(),
    )
}

fn remember(row: &Walsender, primary: Primary<'_>) -> Recognised {
    let key = sender_key(row);
    let others = primary.primary.walsenders.iter().map(sender_key).filter(|other| *other != key).collect();
    Recognised { key, others }
}

/// Both halves where both can be asked, one with a warning where only one can; the first reason in the design's order otherwise.
fn verdict(
    view: &Surroundings<'_>,
    name: &Name,
    node: Node<'_>,
    own: Option<Own<'_>>,
    halves: (Option<&Proof>, Option<&Proof>),
    replay: Option<ReplayState>,
    denied: Denied,
) -> Verdict {
    let asked = view.primary.map(|primary| primary.asked).or(own.map(|own| own.asked));
    match halves {
        (Some(Ok(_)), Some(Ok(_))) => match replay.and_then(replay_warning) {
            Some((reason, text)) => {
                let lower = own.filter(|_| reason == Reason::ReplayBlockedBySettings).and_then(|own| lower(view, own));
                let detail = match lower {
                    Some(lower) => format!("{name}: {text} ({lower})"),
                    None => format!("{name}: {text}"),
                };
                Verdict { up: true, reason: Some(reason), detail: Some(detail), as_of: asked }
            }
            None => Verdict { up: true, reason: None, detail: None, as_of: asked },
        },
        (Some(Ok(proven)), None) => match node {
            Node::Silent(reason) if denied.by_standby.is_some_and(|denied| proven.heard <= denied) => {
                Verdict::unproven(
                    reason,
                    format!("{name} cannot be asked: {}; {NO_LIFE_SINCE}", cause(view, name, reason)),
                    asked,
                )
            }
            Node::Silent(reason) if reason != Reason::NotSeenYet => Verdict {
                up: true,
                reason: Some(reason),
                detail: Some(format!(
                    "{name} cannot be asked: {}; the primary proves the replication",
                    cause(view, name, reason)
                )),
                as_of: asked,
            },
            _ => Verdict::unproven(Reason::NotSeenYet, format!("{name} has not been asked yet"), asked),
        },
        (None, Some(Ok(proven))) => {
            let (silent, reason) = silent_primary(view, name);
            if denied.by_primary.is_some_and(|denied| proven.heard <= denied) {
                let text = format!("{silent} cannot be asked: {}; {NO_LIFE_SINCE}", cause(view, &silent, reason));
                return Verdict::unproven(reason, text, asked);
            }
            Verdict {
                up: true,
                reason: Some(reason),
                detail: Some(format!(
                    "{silent} cannot be asked: {}; {name} proves that it still receives, how far behind is unknown",
                    cause(view, &silent, reason)
                )),
                as_of: asked,
            }
        }
        (Some(walsender), receiver) => {
            let reasons = [Some(walsender), receiver];
            let first = reasons
                .into_iter()
                .flatten()
                .filter_map(|half| half.as_ref().err())
                .min_by_key(|(reason, _)| rank(*reason));
            let (reason, text) = first.cloned().unwrap_or((Reason::Stale, "the evidence has run out".into()));
            Verdict::unproven(reason, format!("{name}: {text}"), asked)
        }
        (None, _) => {
            // The primary's own failure comes first: without it nothing can be proven, whatever the standby says.
            let (silent, reason) = silent_primary(view, name);
            Verdict::unproven(reason, format!("{silent} cannot be asked: {}", cause(view, &silent, reason)), asked)
        }
    }
}

/// Said of a node that cannot be asked, when its last word was against the proof.
const NO_LIFE_SINCE: &str =
    "when it last could, it did not bear the replication out, and the other node has seen no sign of life since";

/// A half that is there speaks for itself; of one that is not, the last word stands. So a reading that is lost proves nothing that the
/// reading before it had denied.
fn denied(
    view: &Surroundings<'_>,
    name: &Name,
    own: Option<Own<'_>>,
    walsender: Option<&Proof>,
    receiver: Option<&Proof>,
    contradicted: bool,
) -> Denied {
    if contradicted {
        return Denied { by_primary: Some(view.now), by_standby: Some(view.now) };
    }
    // a default is right: of whom nothing is remembered nobody has denied anything.
    let before = view.history.denied.get(name).copied().unwrap_or_default();
    let word = |half: Option<&Proof>, asked: Option<Moment>, before| match half {
        Some(Ok(_)) => None,
        Some(Err(_)) => asked,
        None => before,
    };
    Denied {
        by_primary: word(walsender, view.primary.map(|primary| primary.asked), before.by_primary),
        by_standby: word(receiver, own.map(|own| own.asked), before.by_standby),
    }
}

/// Of the reasons that both halves give, the first in this order is told.
fn rank(reason: Reason) -> usize {
    const ORDER: [Reason; 8] = [
        Reason::NotSeenYet,
        Reason::NotConnected,
        Reason::Ambiguous,
        Reason::Starting,
        Reason::Stalled,
        Reason::NotAnswering,
        Reason::IdleUnprovable,
        Reason::Permission,
    ];
    ORDER.iter().position(|known| *known == reason).unwrap_or(ORDER.len())
}

/// The node whose silence leaves this standby alone: the presumed primary.
fn silent_primary(view: &Surroundings<'_>, name: &Name) -> (Name, Reason) {
    let presumed = view.nodes.presumed_primary(&view.history.roles);
    let silence = |(node, state): &(&Name, Node<'_>)| match state {
        Node::Silent(reason) if Some(*node) == presumed => Some(((*node).clone(), *reason)),
        _ => None,
    };
    view.nodes.all.iter().find_map(silence).unwrap_or_else(|| (name.clone(), Reason::NoPrimary))
}

fn cause(view: &Surroundings<'_>, name: &Name, reason: Reason) -> String {
    match view.latest.get(name).and_then(Latest::failure) {
        Some(failure) => failure.message.clone(),
        None => reason.to_string(),
    }
}

/// What makes a running channel a warning by itself. A conflict shorter than the allowed delay and a declared delay do not.
fn replay_warning(state: ReplayState) -> Option<(Reason, &'static str)> {
    match state {
        ReplayState::Paused => {
            Some((Reason::ReplayPaused, "replay is paused: run SELECT pg_wal_replay_resume() when it may go on"))
        }
        ReplayState::BlockedBySettings => Some((
            Reason::ReplayBlockedBySettings,
            "replay waits because a setting is lower than on the primary: raise it and restart the standby",
        )),
        ReplayState::Stuck => Some((Reason::ReplayStuck, "replay does not move: look for long queries on the standby")),
        ReplayState::CaughtUp | ReplayState::Applying | ReplayState::Conflict | ReplayState::Delayed => None,
    }
}

/// Which setting is lower than the primary's, and what both are.
fn lower(view: &Surroundings<'_>, own: Own<'_>) -> Option<String> {
    let (setting, theirs, ours) = position::lower_setting(&own.facts.settings, &view.primary?.facts.settings)?;
    Some(format!("{setting} is {theirs}, on the primary {ours}"))
}

fn replay_state(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> (Option<ReplayState>, Option<Moment>) {
    let primary: Option<&PostgresSettings> = view.primary.map(|primary| &primary.facts.settings);
    let since = view.history.nodes.get(name).and_then(|memory| memory.replay);
    position::replay_state(own.standby, &own.facts.settings, primary, since, view.channel, view.now)
}

/// The primary's position less what the standby is known to have. Told while the primary is seen, also while nothing runs; but not of
/// a node whose last word was of another history: it took writes of its own, or is of another cluster or a later timeline.
fn gap(view: &Surroundings<'_>, name: &Name, row: Option<&Walsender>) -> Option<Bytes> {
    let primary = view.primary?;
    let memory = view.history.nodes.get(name);
    let held = memory.and_then(|memory| memory.has.as_ref());
    let other_cluster = |held: &Held| held.cluster != primary.facts.system_identifier;
    let later = |held: &Held| held.timeline.zip(primary.facts.timeline).is_some_and(|(theirs, ours)| theirs > ours);
    if memory.is_some_and(NodeMemory::was_primary) || held.is_some_and(|held| other_cluster(held) || later(held)) {
        return None;
    }
    let has = held.map(|held| held.lsn).max(row.and_then(|row| row.flush.max(row.replay)))?;
    Some(primary.primary.wal_lsn?.bytes_after(has))
}

fn measure(
    view: &Surroundings<'_>,
    evidence: &mut StandbyEvidence,
    row: &Walsender,
    primary: Primary<'_>,
    own: Option<Own<'_>>,
) {
    let standby = own.map(|own| own.standby);
    let Some(stages) = position::stages(primary.primary, row, standby) else { return };
    let total = position::total(&stages);
    evidence.bottleneck = position::bottleneck(&stages);
    evidence.stages = Some(stages);
    evidence.total = Some(total);
    match position::replayed(row, standby).and_then(|lsn| view.history.ring.passed(lsn)) {
        Some(Passed::Ago(seconds)) => evidence.lag_seconds = Some(seconds),
        Some(Passed::AtLeast(seconds)) => {
            evidence.lag_seconds_at_least = Some(seconds);
            evidence.lag_seconds = at_most(view, primary, standby).filter(|at_most| *at_most >= seconds);
        }
        None => {}
    }
    let slope = view.history.trends.get(&evidence.node).and_then(|trend| trend.slope(view.now));
    evidence.lag_slope = slope.map(|slope| slope.median);
    let course = view.history.catch_ups.get(&evidence.node).and_then(|catch_up| catch_up.course(view.now, total));
    evidence.catch_up_seconds = match course {
        _ if total.0 == 0 => Some(0.0),
        Some(Course::Shrinks(rate)) => Some(total.as_f64() / rate),
        // Small lags come and go with each write; only a large one that does not shrink is never caught up.
        Some(Course::Stays) => (total > view.channel.lag_large).then_some(f64::INFINITY),
        None => None,
    };
}

/// An upper bound of the lag in seconds, while the agent has not known this primary for long (it was restarted): the last transaction
/// that the standby has replayed was committed so long ago, both by the primary's own clock. It counts with bytes outstanding only.
fn at_most(view: &Surroundings<'_>, primary: Primary<'_>, standby: Option<&StandbyFacts>) -> Option<f64> {
    let ago = primary.facts.server_clock? - standby?.last_replayed_commit?;
    (view.history.ring.is_young() && ago.is_finite()).then_some(ago)
}
