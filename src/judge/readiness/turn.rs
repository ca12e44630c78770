//! What has to be turned round with a promotion, so that the new primary serves and the old one cannot undo it.

use super::{Candidate, Situation};
use crate::config::{KvstoreNode, ReplicaMatch, WriteOrder};
use crate::names::Name;

/// A standby pulls the old primary's files: once that one is back, it would undo what was changed since on the new one.
pub(super) fn stop_copying(
    situation: &Situation<'_>,
    primary: Option<&Name>,
    candidate: &Candidate<'_>,
) -> Option<String> {
    situation.pair.config.as_ref()?;
    let files = primary.map_or_else(|| "another node's files".to_owned(), |primary| format!("the files of {primary}"));
    Some(format!("stop the job that copies the configuration to {}, or it will bring back {files}", candidate.name))
}

/// `synchronous_standby_names` counts from the promotion on, and there is no standby then: every commit would hang.
pub(super) fn no_standby_to_wait_for(candidate: &Candidate<'_>) -> Option<String> {
    let names = candidate.facts.settings.synchronous_standby_names.as_ref().filter(|names| !names.is_empty())?;
    Some(format!(
        "{} waits for a synchronous standby then (synchronous_standby_names is {names:?}), and every commit hangs until there \
         is one: ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();",
        candidate.name
    ))
}

/// Slots are not replicated (before version 17 none is): the old primary needs one on the new, before the WAL is gone that it rejoins by.
pub(super) fn slot(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<String> {
    let primary = primary?;
    let streams_by_one = candidate.standby.receiver.as_ref().is_some_and(|receiver| receiver.slot.is_some());
    if !streams_by_one && slot_of(situation, candidate.name).is_none() {
        return None;
    }
    let slot = slot_of(situation, primary).unwrap_or_else(|| as_a_slot(primary));
    Some(format!(
        "on {}, so that it keeps the WAL by which {primary} rejoins: SELECT pg_create_physical_replication_slot('{slot}', true); \
         drop it if {primary} does not come back, or it fills the disk",
        candidate.name
    ))
}

/// The slot that this node streams from as a standby, where the configuration says it.
fn slot_of(situation: &Situation<'_>, name: &Name) -> Option<String> {
    match &situation.pair.node(name)?.postgres.as_ref()?.replica {
        Some(ReplicaMatch::Slot(slot)) => Some(slot.clone()),
        _ => None,
    }
}

/// Slots have a to z, 0 to 9 and `_`.
fn as_a_slot(name: &Name) -> String {
    let fits = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    name.as_str().chars().map(fits).collect()
}

/// Writes that go to the old primary's store, too, block as long as that is down.
pub(super) fn stores(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<String> {
    let channel = situation.pair.kvstore.as_ref()?;
    let name = candidate.name;
    let is_redis =
        matches!(situation.pair.node(name).and_then(|node| node.kvstore.as_ref()), Some(KvstoreNode::Redis(_)));
    let other = primary.map_or("the other", Name::as_str);
    Some(match channel.order {
        WriteOrder::StandbyFirst => format!(
            "let the application write to the key-value store of {name} alone: a write that waits for that of {other} blocks"
        ),
        WriteOrder::PrimaryFirst if is_redis => {
            format!("make the key-value store of {name} the primary one (REPLICAOF NO ONE)")
        }
        WriteOrder::PrimaryFirst => format!("make the key-value store of {name} the primary one"),
    })
}

/// Further standbys follow the old primary until somebody leads them over.
pub(super) fn others(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<String> {
    let name = candidate.name;
    let others = situation.pair.nodes.iter().filter(|node| node.postgres.is_some());
    let others = others.map(|node| &node.name).filter(|other| *other != name && Some(*other) != primary);
    let others: Vec<&str> = others.map(Name::as_str).collect();
    (!others.is_empty()).then(|| {
        format!("lead {} to {name} (primary_conninfo, and a slot on {name} where one is used)", others.join(" and "))
    })
}

/// Once the old primary is a standby, the other ways run towards it.
pub(super) fn back(situation: &Situation<'_>, primary: &Name, candidate: &Candidate<'_>) -> Option<String> {
    let name = candidate.name;
    let config = situation.pair.config.as_ref();
    let config = config.map(|_| format!("let its job copy the configuration from {name} to {primary}"));
    let stores = situation.pair.kvstore.as_ref().map(|channel| match channel.order {
        WriteOrder::StandbyFirst => {
            format!("copy the key-value store of {name} to {primary} and write to {primary} first again")
        }
        WriteOrder::PrimaryFirst => format!("let the key-value store of {primary} follow that of {name}"),
    });
    let turned: Vec<String> = config.into_iter().chain(stores).collect();
    (!turned.is_empty()).then(|| format!("once {primary} is the standby: {}", turned.join("; ")))
}
