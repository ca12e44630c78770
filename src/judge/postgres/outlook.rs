//! What is coming for a standby: how long its slot will last, and whether it is past its initial synchronisation.

use std::time::Duration;

use crate::config::ReplicaMatch;
use crate::evidence::{Outlook, SetUpOf};
use crate::facts::{Slot, StandbyFacts, Walsender};
use crate::history::slot_room::SlotRoom;
use crate::names::Name;

use super::standby::Surroundings;

/// The name of the standby's slot. The standby itself cannot be asked any more once it has gone, so it may come from the configuration
/// or from what it said last.
pub(super) fn slot<'a>(view: &Surroundings<'a>, name: &Name, own: Option<&'a StandbyFacts>) -> Option<&'a str> {
    let replica = view.pair.node(name).and_then(|node| node.postgres.as_ref()).and_then(|node| node.replica.as_ref());
    let configured = match replica {
        Some(ReplicaMatch::Slot(slot)) => Some(slot),
        _ => None,
    };
    let named = own.and_then(|own| own.receiver.as_ref()).and_then(|receiver| receiver.slot.as_ref());
    let remembered = view.history.nodes.get(name).and_then(|memory| memory.slot.as_ref());
    configured.or(named).or(remembered).map(String::as_str)
}

fn row<'a>(view: &Surroundings<'a>, slot: Option<&str>) -> Option<&'a Slot> {
    view.primary?.primary.slots.iter().find(|row| Some(row.name.as_str()) == slot)
}

fn is_lost(row: &Slot) -> Option<bool> {
    Some(row.wal_status.as_deref()? == "lost")
}

/// Whether the primary has thrown away WAL that this standby's slot was to keep.
pub(super) fn slot_lost(view: &Surroundings<'_>, slot: Option<&str>) -> Option<bool> {
    is_lost(row(view, slot)?)
}

pub(super) fn outlook(view: &Surroundings<'_>, name: &Name, slot: Option<&str>, sender: Option<&Walsender>) -> Outlook {
    let (set_up_age, set_up_of) = set_up(view, name, slot, sender);
    // A slot that has lost WAL has nothing more to lose, and its numbers are NULL.
    let kept = row(view, slot).filter(|row| is_lost(row) != Some(true));
    let net = slot.and_then(|slot| view.history.slots.get(slot)?.net_rate(view.channel.slot_window));
    Outlook {
        slot_loss_seconds: kept.and_then(|row| loss_seconds(row.safe_wal_size?, net)),
        slot_share: kept.and_then(|row| share(view, row)),
        wal_disk_full_seconds: kept.and(net).and_then(|net| disk_full_seconds(view, net)),
        set_up_age,
        set_up_of,
    }
}

/// Room left over the net rate. Without room the next checkpoint may take what the standby needs, whatever the rate.
fn loss_seconds(safe: i64, net: Option<f64>) -> Option<f64> {
    match u64::try_from(safe) {
        Ok(safe) if safe > 0 => Some(lasts(crate::units::Bytes(safe).as_f64(), net?)),
        _ => Some(0.0),
    }
}

/// What is kept, as a share of what may be kept.
fn share(view: &Surroundings<'_>, row: &Slot) -> Option<f64> {
    let primary = view.primary?;
    let limit = primary.facts.settings.max_slot_wal_keep_size?;
    let kept = primary.primary.wal_lsn?.bytes_after(row.restart_lsn?);
    Some(kept.as_f64() / limit.as_f64()).filter(|share| !share.is_nan())
}

/// Free disk over the net rate, where nothing else limits the slot and the agent sees the primary's disk.
fn disk_full_seconds(view: &Surroundings<'_>, net: f64) -> Option<f64> {
    let primary = view.primary?;
    let unlimited = primary.facts.settings.slots_keep_all == Some(true);
    unlimited.then_some(())?;
    Some(lasts(primary.primary.wal_disk_free?.as_f64(), net))
}

fn lasts(room: f64, net: f64) -> f64 {
    if net > 0.0 { room / net } else { f64::INFINITY }
}

/// How old this replication is at least: by its connection, by its slot, or by what was remembered, whichever is the oldest.
fn set_up(
    view: &Surroundings<'_>,
    name: &Name,
    slot: Option<&str>,
    sender: Option<&Walsender>,
) -> (Option<Duration>, Option<SetUpOf>) {
    let remembered = view.history.set_ups.get(name);
    let Some(primary) = view.primary else {
        return (remembered.map(|set_up| set_up.age(view.now)), None);
    };
    let of = SetUpOf {
        primary: primary.name.clone(),
        cluster: primary.facts.system_identifier.clone(),
        slot: slot.map(str::to_owned),
    };
    let remembered = remembered.filter(|set_up| set_up.is_of(&of)).map(|set_up| set_up.age(view.now));
    let since_asked = view.now.since(primary.asked);
    let by_connection = sender
        .and_then(|row| Duration::try_from_secs_f64(row.backend_age?).ok())
        .map(|age| age.saturating_add(since_asked));
    let by_slot =
        slot.and_then(|slot| view.history.slots.get(slot)).map(|room: &SlotRoom| view.now.since(room.first_seen));
    // The slot alone may wait for a standby that is still to come.
    let known = by_connection.or(remembered);
    (known.max(remembered).max(by_slot.filter(|_| known.is_some())), Some(of))
}
