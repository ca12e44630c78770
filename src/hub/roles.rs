//! Which node is what where no PostgreSQL server proves it: by the word of the configuration, of a file, or of a program.
//!
//! Two agents tell each other what they are told. One word is enough; two that differ are worth none.

use super::peers::Peers;
use super::role_file::RoleFileReading;
use crate::clock::Moment;
use crate::config::{PairConfig, RoleFrom};
use crate::evidence::Roles;
use crate::names::Name;

/// The roles at `now`, and the next moment at which a word is too old. `own` is what this agent was told.
pub fn by_word(
    pair: &PairConfig,
    own: Option<&RoleFileReading>,
    peers: &Peers,
    now: Moment,
) -> (Roles, Option<Moment>) {
    match &pair.role_from {
        Some(RoleFrom::Fixed(primary)) => (with_primary(pair, primary, None), None),
        Some(RoleFrom::File(_) | RoleFrom::Exec(_)) => told(pair, own, peers, now),
        None => (Roles::default(), None),
    }
}

fn told(pair: &PairConfig, own: Option<&RoleFileReading>, peers: &Peers, now: Moment) -> (Roles, Option<Moment>) {
    let here = own.map_or_else(|| Err("no word has come yet".to_owned()), |own| own.fresh(now));
    let told = peers.roles_told().filter_map(|(node, reading)| Some((Some(node), reading.fresh(now).ok()?)));
    let words: Vec<_> = here.clone().ok().map(|word| (None, word)).into_iter().chain(told).collect();
    let is_node = |name: &Name| pair.node(name).is_some();
    let mut known = words.iter().filter(|(_, (name, _))| is_node(name));
    let until = words.iter().map(|(_, (_, until))| *until).min();
    let because = |why: String| Roles { unknown_because: Some(why), ..Roles::default() };
    let Some((by, (primary, _))) = known.next() else {
        let names: Vec<_> = pair.nodes.iter().map(|node| node.name.as_str()).collect();
        let stranger = |name: &Name| {
            let names = names.join(" or ");
            because(format!("{} is named, which is no node of this pair: name {names}", shown(name)))
        };
        let named = here.map(|(name, _)| name.clone());
        return (named.map_or_else(because, |name| stranger(&name)), until);
    };
    if let Some((other, (another, _))) = known.find(|(_, (name, _))| name != primary) {
        let who = |node: &Option<&Name>| node.map_or_else(|| "this agent".to_owned(), |node| format!("that of {node}"));
        let why =
            format!("{} is told {primary}, {} {another}: see to it that both are told the same", who(by), who(other));
        return (Roles { contradicted: true, ..because(why) }, until);
    }
    (with_primary(pair, primary, Some(now)), until)
}

fn with_primary(pair: &PairConfig, primary: &Name, proven_at: Option<Moment>) -> Roles {
    let standbys = pair.nodes.iter().map(|node| node.name.clone()).filter(|name| name != primary).collect();
    Roles { primary: Some(primary.clone()), standbys, proven_at, ..Roles::default() }
}

/// What anybody may have written, in a few characters.
fn shown(name: &Name) -> String {
    name.as_str().chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests;
