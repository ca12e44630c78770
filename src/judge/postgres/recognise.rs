//! Which walsender on the primary (or on another standby) serves a certain standby. That it is the only row proves nothing.

use crate::config::ReplicaMatch;
use crate::evidence::Recognised;
use crate::facts::{Slot, StandbyFacts, Walsender};
use crate::history::postgres::sender_key;
use crate::names::Reason;

use super::shown_name::shown_application_name;

const CURE: &str = "Add to its node, under postgres: `replica: { slot: NAME }` (or application_name, or client_addr)";

/// The walsender, or why none can be named.
pub(super) type Recognition<'a> = Result<&'a Walsender, (Reason, String)>;

/// Looks in the order: configured, the slot that the standby names, the application name that it gives, remembered. Names are
/// compared as a primary of this `major` version shows them.
pub(super) fn recognise<'a>(
    configured: Option<&ReplicaMatch>,
    standby: Option<&StandbyFacts>,
    remembered: Option<&Recognised>,
    walsenders: &'a [Walsender],
    slots: &[Slot],
    major: Option<u32>,
) -> Recognition<'a> {
    let rows: Vec<&Walsender> = walsenders.iter().filter(|row| feeds_a_standby(row, slots)).collect();
    if let Some(configured) = configured {
        let row = by_configuration(configured, slots, major, &rows)?;
        return of_its_own_slot(row, standby, slots);
    }
    let none = |text: &str| Err((Reason::NotConnected, text.to_owned()));
    if let Some(standby) = standby {
        let Some(receiver) = &standby.receiver else {
            return none("the standby has no WAL receiver: it is not connected to its primary");
        };
        if let Some(slot) = &receiver.slot {
            return match rows.iter().find(|row| row.slot.as_ref() == Some(slot)) {
                Some(row) => Ok(row),
                None => none(&format!("nothing streams from slot {slot:?} on the primary")),
            };
        }
        let Some(name) = &receiver.application_name else {
            let text = "the standby does not tell the name that it gives itself";
            return if rows.is_empty() {
                none("the primary has no walsender")
            } else {
                Err((Reason::Ambiguous, format!("{text}. {CURE}")))
            };
        };
        let name = shown_application_name(name, major);
        let named: Vec<_> = rows.iter().filter(|row| row.application_name.as_ref() == Some(&name)).collect();
        return match named.as_slice() {
            [] => none("the primary has no walsender for this standby"),
            [row] => Ok(row),
            _ => Err(ambiguous(&rows)),
        };
    }
    by_memory(remembered, &rows)
}

/// The standby cannot be asked. A row that was recognised before is still its; one that stood beside it is not.
fn by_memory<'a>(remembered: Option<&Recognised>, rows: &[&'a Walsender]) -> Recognition<'a> {
    if let Some(row) = remembered.and_then(|memory| rows.iter().find(|row| sender_key(row) == memory.key)) {
        return Ok(row);
    }
    let foreign = |row: &&Walsender| remembered.is_some_and(|memory| memory.others.contains(&sender_key(row)));
    let candidates: Vec<_> = rows.iter().filter(|row| !foreign(row)).copied().collect();
    if candidates.is_empty() {
        return Err((Reason::NotConnected, "the primary has no walsender for this standby".into()));
    }
    Err(ambiguous(&candidates))
}

fn by_configuration<'a>(
    configured: &ReplicaMatch,
    slots: &[Slot],
    major: Option<u32>,
    rows: &[&'a Walsender],
) -> Recognition<'a> {
    let active = |slot: &str| slots.iter().find(|row| row.name == slot).and_then(|row| row.active_pid);
    let (what, fits): (String, Vec<&&'a Walsender>) = match configured {
        ReplicaMatch::Slot(slot) => {
            let ours = |row: &&&Walsender| row.slot.as_ref() == Some(slot) || active(slot) == Some(row.pid);
            (format!("slot {slot:?}"), rows.iter().filter(ours).collect())
        }
        ReplicaMatch::ApplicationName(name) => {
            let shown = shown_application_name(name, major);
            let ours = |row: &&&Walsender| row.application_name.as_ref() == Some(&shown);
            (format!("application name {name:?}"), rows.iter().filter(ours).collect())
        }
        ReplicaMatch::ClientAddr(address) => {
            let ours = |row: &&&Walsender| row.client_addr == Some(*address);
            (format!("address {address}"), rows.iter().filter(ours).collect())
        }
    };
    match fits.as_slice() {
        [] => Err((Reason::NotConnected, format!("the primary has no walsender with {what}"))),
        [row] => Ok(row),
        several => Err(ambiguous(&several.iter().map(|row| **row).collect::<Vec<_>>())),
    }
}

/// A mark in the configuration may have become another's: a standby that says which slot it streams from is not served by the walsender
/// of another slot.
fn of_its_own_slot<'a>(row: &'a Walsender, standby: Option<&StandbyFacts>, slots: &[Slot]) -> Recognition<'a> {
    let receiver = standby.and_then(|standby| standby.receiver.as_ref());
    // Who may not see the receiver's state sees no slot either.
    let Some(receiver) = receiver.filter(|receiver| receiver.status.is_some()) else { return Ok(row) };
    let active = slots.iter().find(|slot| slot.active_pid == Some(row.pid)).map(|slot| &slot.name);
    let served = row.slot.as_ref().or(active);
    if served == receiver.slot.as_ref() {
        return Ok(row);
    }
    let named = |slot: Option<&String>| slot.map_or_else(|| "no slot".to_owned(), |slot| format!("slot {slot:?}"));
    let text = format!(
        "the configured mark leads to a walsender of {}, and the standby streams from {}: that one is another's. Set primary_slot_name on \
         the standby, or correct `replica` of its node",
        named(served),
        named(receiver.slot.as_ref())
    );
    Err((Reason::Ambiguous, text))
}

/// Logical subscribers and WAL archivers (`pg_receivewal`, the stream of a `pg_basebackup`) are no standbys: the first stream from a
/// logical slot, the others never report a replayed position. (With a slot, or `--synchronous`, they do report a flushed one:
/// `sendFeedback` in PostgreSQL's `receivelog.c`; a standby's first reply has both.)
fn feeds_a_standby(row: &Walsender, slots: &[Slot]) -> bool {
    let logical = slots.iter().any(|slot| !slot.physical && slot.active_pid == Some(row.pid));
    let archiver = row.reply_time.is_some() && row.replay.is_none();
    !logical && !archiver
}

fn ambiguous(rows: &[&Walsender]) -> (Reason, String) {
    let name = |row: &&Walsender| {
        let application = row.application_name.as_deref().unwrap_or("?");
        match (&row.slot, row.client_addr) {
            (Some(slot), _) => format!("{application} (slot {slot})"),
            (None, Some(address)) => format!("{application} (from {address})"),
            (None, None) => application.to_owned(),
        }
    };
    let candidates: Vec<_> = rows.iter().take(8).map(name).collect();
    let text = format!("cannot tell which walsender serves this standby: {}. {CURE}", candidates.join(", "));
    (Reason::Ambiguous, text)
}
