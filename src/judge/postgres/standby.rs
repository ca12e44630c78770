//! One standby: both halves of its proof put together, and its numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::{PairConfig, PostgresChannel, Replication};
use crate::evidence::{Denied, Recognised, StandbyEvidence, Verdict};
use crate::facts::{Latest, PostgresFacts, PostgresSettings, StandbyFacts, Walsender};
use crate::history::postgres::{PostgresHistory, sender_key};
use crate::names::{Name, Reason, ReplayState};
use crate::units::Lsn;

use super::feed::{self, Source, Upstream};
use super::measure::{gap, measure};
use super::nodes::{Node, Nodes, Primary};
use super::proof::{self, Proof};
use super::{archive, outlook, position, recognise, servers};

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
    let row = view.primary.map(|primary| feed::at_primary(view, name, own, primary));
    let walsender = match (&row, view.primary) {
        (Some(Ok(row)), Some(primary)) => Some(half_of_sender(view, name, own, Sender::primary(primary, row))),
        (Some(Err(why)), _) => Some(Err(why.clone())),
        _ => None,
    };
    let source = feed::source(view, name, own, row.as_ref(), receiver.as_ref());
    let served = row.as_ref().zip(view.primary).map(|(row, primary)| (row.is_ok(), primary.asked));
    let mut changes: Vec<Moment> = [&walsender, &receiver]
        .into_iter()
        .filter_map(|half| half.as_ref()?.as_ref().ok().map(|proven| proven.until))
        .collect();
    let (replay_state, stuck_at) = own.map_or((None, None), |own| replay_state(view, name, own));
    changes.extend(stuck_at);
    let denied = denied(view, name, own, walsender.as_ref(), receiver.as_ref(), contradiction.is_some());
    let verdict = match (contradiction, own, source) {
        (Some((reason, detail)), ..) => Verdict::unproven(*reason, detail.clone(), None),
        (None, Some(own), Source::Archive) => by_files(view, name, own, &mut changes),
        (None, Some(own), Source::Another(upstream)) => feed::cascaded(view, name, own, receiver.as_ref(), upstream),
        (None, ..) => verdict(view, name, node, own, (walsender.as_ref(), receiver.as_ref()), denied),
    };
    let verdict = with_replay(view, name, own, verdict, replay_state);
    let hears_primary = matches!(receiver, Some(Ok(_))) && !matches!(source, Source::Another(_));
    let heard = [&walsender, &receiver].into_iter().filter_map(|half| Some(half.as_ref()?.as_ref().ok()?.heard)).max();
    let row = row.and_then(Result::ok);
    let sender = match source {
        Source::Another(upstream) => upstream.map(|upstream| upstream.row),
        Source::Primary | Source::Archive => row,
    };
    let slot = outlook::slot(view, name, own.map(|own| own.standby));
    let mut evidence = StandbyEvidence {
        node: name.clone(),
        // Positions of histories that have parted cannot be compared: a standby that is "ahead" would seem to lose nothing.
        gap: if contradiction.is_some() { None } else { gap(view, name, sender) },
        slot_lost: outlook::slot_lost(view, slot),
        outlook: outlook::outlook(view, name, slot, row),
        told: servers::standby_told(view, slot, own),
        replay_state,
        last_heartbeat: heard,
        recognised: row.zip(view.primary).map(|(row, primary)| remember(row, primary)),
        reported: sender.and_then(|row| row.flush.max(row.replay)),
        kind: source.kind(row),
        apply_delay: view.pair.node(name).and_then(|node| node.postgres.as_ref()?.apply_delay),
        synchronous: row.and_then(|row| row.sync_state.as_deref()).map(|state| matches!(state, "sync" | "quorum")),
        served,
        denied,
        verdict,
        stages: None,
        total: None,
        undelayed: None,
        lag_seconds: None,
        lag_seconds_at_least: None,
        lag_slope: None,
        catch_up_seconds: None,
        bottleneck: None,
    };
    if let (true, Some(primary)) = (evidence.verdict.up, view.primary) {
        measure(view, &mut evidence, sender, primary, own);
    }
    Derived { evidence, hears_primary, changes }
}

/// A standby that is fed by files: for good, or until its stream is back.
fn by_files(view: &Surroundings<'_>, name: &Name, own: Own<'_>, changes: &mut Vec<Moment>) -> Verdict {
    if view.channel.replication == Replication::Archive {
        return archive::log_shipping(view, name, own);
    }
    match archive::restoring(view, name, own) {
        Some((verdict, change)) => {
            changes.push(change);
            verdict
        }
        None => {
            Verdict::unproven(Reason::NotConnected, format!("{name}: the standby has no WAL receiver"), Some(own.asked))
        }
    }
}

pub(super) fn half_of_standby(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> Proof {
    let memory = view.history.nodes.get(name).and_then(|memory| memory.receiver.as_ref());
    let timeline = view.primary.and_then(|primary| primary.facts.timeline);
    proof::by_receiver(own.standby, memory, proof::message_limit(&own.facts.settings), timeline, view.now)
}

/// A server that streams to the standby, and its walsender for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    name: &'a Name,
    settings: &'a PostgresSettings,
    /// How far its own WAL goes.
    position: Option<Lsn>,
    row: &'a Walsender,
}

impl<'a> Sender<'a> {
    const fn primary(primary: Primary<'a>, row: &'a Walsender) -> Self {
        Self { name: primary.name, settings: &primary.facts.settings, position: primary.primary.wal_lsn, row }
    }
}

impl<'a> From<Upstream<'a>> for Sender<'a> {
    fn from(upstream: Upstream<'a>) -> Self {
        let position = upstream.standby.receive_lsn.max(upstream.standby.replay_lsn);
        Self { name: upstream.name, settings: &upstream.facts.settings, position, row: upstream.row }
    }
}

/// The sending server's half of the proof.
pub(super) fn half_of_sender(view: &Surroundings<'_>, name: &Name, own: Option<Own<'_>>, sender: Sender<'_>) -> Proof {
    let remembered = view.history.nodes.get(name).and_then(|memory| memory.settings.as_ref());
    let settings = own.map(|own| &own.facts.settings).or(remembered);
    let limit = proof::reply_limit(settings, sender.settings);
    let memory = view.history.nodes.get(sender.name).and_then(|memory| memory.senders.get(&sender_key(sender.row)));
    proof::by_walsender(sender.row, memory, sender.position, limit, view.channel, view.now)
}

pub(super) fn recognised_row<'a>(
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
        &primary.primary.walsenders,
        &primary.primary.slots,
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
    denied: Denied,
) -> Verdict {
    let asked = view.primary.map(|primary| primary.asked).or(own.map(|own| own.asked));
    match halves {
        (Some(Ok(_)), Some(Ok(_))) => Verdict { up: true, reason: None, detail: None, as_of: asked },
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
        // Who is fed by files has no walsender, and all that is known of it is its own word.
        (Some(Err(_)), None) if view.channel.replication == Replication::Archive => {
            let reason = match node {
                Node::Silent(reason) => reason,
                Node::Primary { .. } | Node::Standby { .. } => Reason::NotSeenYet,
            };
            Verdict::unproven(reason, format!("{name} cannot be asked: {}", cause(view, name, reason)), asked)
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

/// What replay does makes a warning of a proof that has none, or one that only says where the WAL comes from.
fn with_replay(
    view: &Surroundings<'_>,
    name: &Name,
    own: Option<Own<'_>>,
    verdict: Verdict,
    replay: Option<ReplayState>,
) -> Verdict {
    let replaceable = matches!(verdict.reason, None | Some(Reason::Cascaded | Reason::RestoringFromArchive));
    let warning = replay.and_then(replay_warning).filter(|_| verdict.up && replaceable);
    let Some((reason, text)) = warning else { return verdict };
    if reason == Reason::ReplayDelayed && is_declared(view, name, own) {
        return verdict;
    }
    let lower = own.filter(|_| reason == Reason::ReplayBlockedBySettings).and_then(|own| lower(view, own));
    let detail = match lower {
        Some(lower) => format!("{name}: {text} ({lower})"),
        None => format!("{name}: {text}"),
    };
    Verdict { reason: Some(reason), detail: Some(detail), ..verdict }
}

/// The standby's delay is no longer than what was declared for it.
fn is_declared(view: &Surroundings<'_>, name: &Name, own: Option<Own<'_>>) -> bool {
    let declared = view.pair.node(name).and_then(|node| node.postgres.as_ref()?.apply_delay);
    let set = own.and_then(|own| own.facts.settings.recovery_min_apply_delay);
    declared.zip(set).is_some_and(|(declared, set)| set <= declared)
}

/// The delay that the standby is declared to have: what is younger is no lag. A server that is set to less has less.
pub(super) fn apply_delay(view: &Surroundings<'_>, name: &Name, own: Option<Own<'_>>) -> Option<Duration> {
    let declared = view.pair.node(name).and_then(|node| node.postgres.as_ref()?.apply_delay)?;
    let remembered = view.history.nodes.get(name).and_then(|memory| memory.settings.as_ref());
    let settings = own.map(|own| &own.facts.settings).or(remembered);
    let set = settings.and_then(|settings| settings.recovery_min_apply_delay);
    Some(set.map_or(declared, |set| set.min(declared)))
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
pub(super) fn silent_primary(view: &Surroundings<'_>, name: &Name) -> (Name, Reason) {
    let presumed = view.nodes.presumed_primary(&view.history.roles);
    let silence = |(node, state): &(&Name, Node<'_>)| match state {
        Node::Silent(reason) if Some(*node) == presumed => Some(((*node).clone(), *reason)),
        _ => None,
    };
    view.nodes.all.iter().find_map(silence).unwrap_or_else(|| (name.clone(), Reason::NoPrimary))
}

pub(super) fn cause(view: &Surroundings<'_>, name: &Name, reason: Reason) -> String {
    match view.latest.get(name).and_then(Latest::failure) {
        Some(failure) => failure.message.clone(),
        None => reason.to_string(),
    }
}

/// What makes a running channel a warning by itself. A conflict shorter than the allowed delay does not.
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
        ReplayState::Delayed => Some((
            Reason::ReplayDelayed,
            "replay is held back by recovery_min_apply_delay: declare it on the node, under postgres: `replica: { apply_delay: … }`",
        )),
        ReplayState::CaughtUp | ReplayState::Applying | ReplayState::Conflict => None,
    }
}

/// Which setting is lower than the primary's, and what both are.
fn lower(view: &Surroundings<'_>, own: Own<'_>) -> Option<String> {
    let (setting, theirs, ours) = position::lower_setting(&own.facts.settings, &view.primary?.facts.settings)?;
    Some(format!("{setting} is {theirs}, on the primary {ours}"))
}

fn replay_state(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> (Option<ReplayState>, Option<Moment>) {
    let primary: Option<&PostgresSettings> = view.primary.map(|primary| &primary.facts.settings);
    let memory = view.history.nodes.get(name);
    let standing = position::Standing {
        since: memory.and_then(|memory| memory.replay),
        // Without a receiver nothing tells how much has come; that it asks for more, it does tell.
        waits_for_more: memory.map(|memory| memory.feed.has_replayed_all()),
        // a default is right: no declared delay excuses nothing.
        delay: apply_delay(view, name, Some(own)).unwrap_or_default(),
    };
    position::replay_state(own.standby, &own.facts.settings, primary, standing, view.channel, view.now)
}
