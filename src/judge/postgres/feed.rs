//! How WAL comes to a standby now: from the primary, from another standby, or by files from an archive.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::Replication;
use crate::evidence::Verdict;
use crate::facts::{PostgresFacts, StandbyFacts, Walsender};
use crate::history::feed::Feed;
use crate::history::lsn_ring::Passed;
use crate::history::postgres::sender_key;
use crate::names::{Name, Reason, StandbyKind};

use super::nodes::{Node, Primary};
use super::proof::Proof;
use super::recognise::{self, Recognition};
use super::standby::{Own, Surroundings};
use super::{archive, standby};

/// A message from the primary may have been on its way when its walsender ended, and a walsender that has just begun may not have been
/// seen: only what is apart by more than this tells of another server.
const ON_ITS_WAY: Duration = Duration::from_secs(4);

/// Where the standby's WAL comes from, as far as that is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// From the primary, or nobody knows of another source.
    Primary,
    /// From a server that is not the pair's primary; from this one of its standbys, where that is known.
    Another(Option<Upstream<'a>>),
    /// By files.
    Archive,
}

/// A standby that passes WAL on, and its walsender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upstream<'a> {
    pub(super) name: &'a Name,
    pub(super) facts: &'a PostgresFacts,
    pub(super) standby: &'a StandbyFacts,
    pub(super) asked: Moment,
    pub(super) row: &'a Walsender,
}

impl Source<'_> {
    /// What is shown. A stream from the primary is one only if the primary has a walsender for it.
    pub(super) const fn kind(self, row: Option<&Walsender>) -> Option<StandbyKind> {
        match (self, row) {
            (Self::Archive, _) => Some(StandbyKind::Archive),
            (Self::Another(_), _) => Some(StandbyKind::Cascaded),
            (Self::Primary, Some(_)) => Some(StandbyKind::Streaming),
            (Self::Primary, None) => None,
        }
    }
}

/// What is remembered of the standby.
pub(super) fn memory<'a>(view: &Surroundings<'a>, name: &Name) -> Option<&'a Feed> {
    view.history.nodes.get(name).map(|memory| &memory.feed)
}

/// Where it comes from. `row` is what the primary was found to have for the standby, `receiver` the standby's own half of a proof.
pub(super) fn source<'a>(
    view: &Surroundings<'a>,
    name: &Name,
    own: Option<Own<'a>>,
    row: Option<&Recognition<'a>>,
    receiver: Option<&Proof>,
) -> Source<'a> {
    let Some(own) = own else { return Source::Primary };
    if own.standby.receiver.is_none() {
        let shipped = view.channel.replication == Replication::Archive || archive::restores(view, name, own);
        return if shipped { Source::Archive } else { Source::Primary };
    }
    let served = match row {
        Some(Ok(_) | Err((Reason::Ambiguous, _))) => return Source::Primary,
        Some(Err(_)) => Some(false),
        None => None,
    };
    let Some(feed) = memory(view, name) else { return Source::Primary };
    // That the primary has none proves nothing while the standby may not have noticed: it must have heard from somebody since. Nor
    // while it has just connected: the primary must have been asked since.
    let heard = receiver.and_then(|receiver| receiver.as_ref().ok()).map(|proven| proven.heard);
    let heard_since = feed.unserved.zip(heard).is_some_and(|(unserved, heard)| heard >= unserved + ON_ITS_WAY);
    let asked_since =
        view.primary.zip(feed.connected).is_some_and(|(primary, since)| primary.asked >= since + ON_ITS_WAY);
    let upstream = upstream(view, name, own);
    match served {
        Some(false) if (heard_since && asked_since) || feed.was_cascaded() => Source::Another(upstream),
        // A slot or a configured mark is nobody else's; a name alone may be.
        Some(false) | None if upstream.is_some() && is_marked(view, name, own) => Source::Another(upstream),
        None if feed.was_cascaded() => Source::Another(upstream),
        Some(_) | None => Source::Primary,
    }
}

fn is_marked(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> bool {
    let configured = view.pair.node(name).and_then(|node| node.postgres.as_ref()?.replica.as_ref());
    configured.is_some() || own.standby.receiver.as_ref().is_some_and(|receiver| receiver.slot.is_some())
}

/// The one other standby of the pair that has a walsender for this one.
fn upstream<'a>(view: &Surroundings<'a>, name: &Name, own: Own<'_>) -> Option<Upstream<'a>> {
    let configured = view.pair.node(name).and_then(|node| node.postgres.as_ref()?.replica.as_ref());
    let mut found = view.nodes.all.iter().filter_map(|&(other, node)| {
        let Node::Standby { facts, standby, asked } = node else { return None };
        let row =
            recognise::recognise(configured, Some(own.standby), None, &standby.walsenders, &[], facts.major()).ok()?;
        (other != name).then_some(Upstream { name: other, facts, standby, asked, row })
    });
    found.next().filter(|_| found.next().is_none())
}

/// What the primary has for the standby. A row that two standbys would take for theirs, since both have its name, is neither's, unless
/// the other one is served elsewhere.
pub(super) fn at_primary<'a>(
    view: &Surroundings<'a>,
    name: &Name,
    own: Option<Own<'_>>,
    primary: Primary<'a>,
) -> Recognition<'a> {
    let row = standby::recognised_row(view, name, own, primary)?;
    let Some(own) = own.filter(|own| !is_marked(view, name, *own)) else { return Ok(row) };
    let mut others = view.nodes.all.iter().filter_map(|&(other, node)| {
        let Node::Standby { facts, standby, asked } = node else { return None };
        let theirs = Own { facts, standby, asked };
        let claimed = standby::recognised_row(view, other, Some(theirs), primary).ok()?;
        (other != name && sender_key(claimed) == sender_key(row)).then_some((other, theirs))
    });
    let Some((other, theirs)) = others.next() else { return Ok(row) };
    if upstream(view, name, own).is_some() {
        return Err((Reason::NotConnected, format!("the primary's walsender of that name serves {other}")));
    }
    if !is_marked(view, other, theirs) && upstream(view, other, theirs).is_some() {
        return Ok(row);
    }
    let text = format!(
        "one walsender on the primary has the name that {name} and {other} both give: give each a slot or an application_name of its own"
    );
    Err((Reason::Ambiguous, text))
}

/// A standby of another server than the primary, by its own proof and, where it is a standby of this pair, by that server's.
pub(super) fn cascaded(
    view: &Surroundings<'_>,
    name: &Name,
    own: Own<'_>,
    receiver: Option<&Proof>,
    upstream: Option<Upstream<'_>>,
) -> Verdict {
    let asked = Some(view.primary.map_or(own.asked, |primary| primary.asked));
    let from = upstream.map_or_else(
        || own.standby.receiver.as_ref().and_then(|receiver| receiver.sender.clone()),
        |upstream| Some(upstream.name.to_string()),
    );
    let from = from.unwrap_or_else(|| "another server".to_owned());
    let sender = upstream.map(|upstream| standby::half_of_sender(view, name, Some(own), upstream.into()));
    for half in [sender.as_ref(), receiver].into_iter().flatten() {
        if let Err((reason, text)) = half {
            return Verdict::unproven(*reason, format!("{name}, which streams from {from}: {text}"), asked);
        }
    }
    let Some(as_of) = asked.filter(|_| receiver.is_some()) else {
        return Verdict::unproven(Reason::NotSeenYet, format!("{name} has not been asked yet"), asked);
    };
    if view.primary.is_none() {
        let (silent, reason) = standby::silent_primary(view, name);
        let cause = standby::cause(view, &silent, reason);
        // Only a standby that streams from the primary itself hears whether it lives.
        return match upstream.filter(|upstream| hears_primary(view, upstream)) {
            Some(upstream) => {
                let text = format!("{silent} cannot be asked: {cause}; {name} still receives from {}", upstream.name);
                Verdict::warned(reason, text, as_of)
            }
            None => Verdict::unproven(reason, format!("{silent} cannot be asked: {cause}"), asked),
        };
    }
    if let Some(still) = stands_still(view, name) {
        let still = crate::units::short_duration(still);
        let text = format!("{name} streams from {from} and has received nothing for {still} while the primary wrote");
        return Verdict::unproven(Reason::Stalled, text, asked);
    }
    let text = format!("{name} streams from {from}, not from the primary: it lags behind by what that one lags, too");
    Verdict::warned(Reason::Cascaded, text, as_of)
}

fn hears_primary(view: &Surroundings<'_>, upstream: &Upstream<'_>) -> bool {
    let own = Own { facts: upstream.facts, standby: upstream.standby, asked: upstream.asked };
    let cascaded = memory(view, upstream.name).is_none_or(Feed::was_cascaded);
    !cascaded && standby::half_of_standby(view, upstream.name, own).is_ok()
}

/// For how long the standby has received nothing of what the primary had written before, if that is too long.
fn stands_still(view: &Surroundings<'_>, name: &Name) -> Option<Duration> {
    let (held, moved) = memory(view, name)?.held?;
    let (Passed::Ago { about: seconds, .. } | Passed::AtLeast { at_least: seconds, .. }) =
        view.history.ring.passed(held, view.channel.schedule.stale_after)?;
    let outstanding = Duration::try_from_secs_f64(seconds).ok()?;
    let still = moved.map_or(outstanding, |moved| view.now.since(moved).min(outstanding));
    (still >= view.channel.stall_after).then_some(still)
}
