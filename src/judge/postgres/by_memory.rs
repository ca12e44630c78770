//! Which node is the primary while none answers as one: the last that did, as far as no other can have taken its place unseen.
//!
//! A promotion that nobody saw would make the wrong node's engine, store or files count, and all could be told as well while the node
//! that serves is not. So a memory alone is worth little: it counts while every other node answers as a standby, since then none of them
//! is the primary; and for a short time while nobody answers, if this very process has seen the proof.

use std::time::Duration;

use super::nodes::{Node, Nodes};
use crate::clock::Moment;
use crate::config::PairConfig;
use crate::evidence::Roles;
use crate::history::postgres::PostgresHistory;
use crate::units::short_duration;

/// Servers that restart, or a network that does, leave the roles as they were. In a longer silence of all a person may have promoted one.
const BELIEVED: Duration = Duration::from_mins(5);

/// The roles by memory at `now`; if it does not suffice, what it says all the same.
pub(super) fn roles(pair: &PairConfig, nodes: &Nodes<'_>, history: &PostgresHistory, now: Moment) -> Roles {
    let last = &history.roles;
    let Some(primary) = last.primary.as_ref().filter(|primary| pair.node(primary).is_some()) else {
        return Roles::default();
    };
    let mut others = nodes.all.iter().filter(|(name, _)| *name != primary);
    let alone = nodes.all.iter().any(|(name, node)| *name == primary && matches!(node, Node::Silent(_)));
    let excluded = alone && others.all(|(_, node)| matches!(node, Node::Standby { .. }));
    // Its own word ends the memory at once.
    let denied = nodes.all.iter().any(|(name, node)| *name == primary && matches!(node, Node::Standby { .. }));
    let believed = !denied && believed_until(history).is_some_and(|until| now < until);
    if excluded || believed {
        let standbys = pair.nodes.iter().map(|node| node.name.clone()).filter(|name| name != primary).collect();
        return Roles { primary: Some(primary.clone()), standbys, proven_at: last.proven_at, ..Roles::default() };
    }
    let when = last.proven_at.map_or_else(
        || "when that was proven is not known".to_owned(),
        |proven| format!("proven {} ago", short_duration(now.since(proven))),
    );
    let why = format!(
        "no PostgreSQL server answers as the primary now; by memory it was {primary}, {when}, and another may have been promoted since"
    );
    Roles { unknown_because: Some(why), ..Roles::default() }
}

/// Until when the last proof counts by itself. What an agent reads of the time before its start does not: it saw nothing meanwhile.
pub(super) fn believed_until(history: &PostgresHistory) -> Option<Moment> {
    history.roles.proven_at.filter(|_| !history.roles_are_of_before).map(|proven| proven + BELIEVED)
}
