//! Whether the search engines are known, and whether the one on the primary is healthy and whole.
//!
//! Nothing is replicated here: on the standby a missing index is expected. The colour that counts is that of the configured
//! indices; where none is configured, or none is there, that of the cluster.
//!
//! The first that fits is the reason: roles unknown; the primary's engine not known (`not_seen_yet`, `stale`, a failure); and with
//! a warning: `red`, `index_missing`, `read_only`, `yellow`.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::config::{PairConfig, SearchChannel};
use crate::evidence::{Roles, SearchEvidence, SearchIndexEvidence, SearchNodeEvidence, Verdict};
use crate::facts::{Latest, SearchFacts};
use crate::history::search::SearchHistory;
use crate::names::{Name, Reason, SearchHealth};
use crate::units::short_duration;

/// The evidence at `now`, and the next moment at which it changes by itself.
pub fn evidence(
    channel: &SearchChannel,
    pair: &PairConfig,
    latest: &BTreeMap<Name, Latest<SearchFacts>>,
    history: &SearchHistory,
    roles: &Roles,
    now: Moment,
) -> (SearchEvidence, Option<Moment>) {
    let stale_after = channel.schedule.stale_after;
    let never = Latest::NeverAsked;
    let configured = pair.nodes.iter().filter(|node| node.search.is_some());
    let readings: Vec<_> = configured.map(|node| (&node.name, latest.get(&node.name).unwrap_or(&never))).collect();
    let nodes = readings.iter().map(|(node, latest)| node_evidence(channel, node, latest, now)).collect();
    let primary = roles.primary.clone().filter(|_| !roles.contradicted);
    let verdict = match &primary {
        None => Verdict::unproven(Reason::RoleUnknown, "which node is the primary is not known", None),
        Some(primary) => {
            let reading = readings.iter().find(|(node, _)| *node == primary).map_or(&never, |(_, latest)| latest);
            verdict(channel, primary, reading, history, now)
        }
    };
    let next = readings.iter().filter_map(|(_, latest)| latest.runs_out(now, stale_after)).min();
    (SearchEvidence { verdict, primary, nodes }, next)
}

/// What one reading may be believed for: an answer that timed out within the cluster is a guess and no knowledge.
fn known<'a>(
    channel: &SearchChannel,
    latest: &'a Latest<SearchFacts>,
    now: Moment,
) -> Result<(&'a SearchFacts, Moment), Reason> {
    let (facts, asked) = latest.fresh(now, channel.schedule.stale_after)?;
    if facts.timed_out == Some(true) { Err(Reason::Timeout) } else { Ok((facts, asked)) }
}

fn node_evidence(
    channel: &SearchChannel,
    node: &Name,
    latest: &Latest<SearchFacts>,
    now: Moment,
) -> SearchNodeEvidence {
    let known = known(channel, latest, now);
    let facts = known.ok().map(|(facts, _)| facts);
    let nothing = |name: &String| SearchIndexEvidence {
        name: name.clone(),
        exists: None,
        health: None,
        documents: None,
        read_only: None,
    };
    let of_index = |name: &String| {
        let index = facts.and_then(|facts| facts.indices.iter().find(|index| index.name == *name));
        index.map_or_else(
            || nothing(name),
            |index| SearchIndexEvidence {
                name: name.clone(),
                exists: index.exists,
                health: index.health,
                documents: index.documents,
                read_only: index.read_only,
            },
        )
    };
    SearchNodeEvidence {
        node: node.clone(),
        up: facts.is_some(),
        reason: known.err(),
        health: facts.and_then(health),
        active_shards_percent: facts.and_then(|facts| facts.active_shards_percent),
        indices: channel.indices.iter().map(of_index).collect(),
    }
}

/// The colour that counts: the worst of the configured indices that are there; without any, the cluster's.
fn health(facts: &SearchFacts) -> Option<SearchHealth> {
    let there: Vec<_> = facts.indices.iter().filter(|index| index.exists == Some(true)).collect();
    if there.is_empty() {
        return facts.health;
    }
    let colours: Option<Vec<_>> = there.iter().map(|index| index.health).collect();
    // An index whose own colour was not told has the cluster's at worst.
    colours.map_or(facts.health, |colours| colours.into_iter().max())
}

fn verdict(
    channel: &SearchChannel,
    node: &Name,
    latest: &Latest<SearchFacts>,
    history: &SearchHistory,
    now: Moment,
) -> Verdict {
    let (facts, asked) = match known(channel, latest, now) {
        Ok(known) => known,
        Err(reason) => {
            let detail = match latest.failure() {
                Some(failure) => failure.message.as_str(),
                None if reason == Reason::Timeout => "its cluster did not answer in time and guesses",
                None => "its engine has not answered lately",
            };
            return Verdict::unproven(reason, format!("{node} is the primary: {detail}"), None);
        }
    };
    match trouble(channel, node, facts, history, now) {
        Some((reason, detail)) => Verdict::warned(reason, detail, asked),
        None => Verdict { detail: others_are_worse(facts), ..Verdict::proven(asked) },
    }
}

/// A word on a cluster that is worse than what is watched in it.
fn others_are_worse(facts: &SearchFacts) -> Option<String> {
    let (own, cluster) = (health(facts)?, facts.health?);
    (cluster > own).then(|| format!("the cluster is {cluster} because of indices that are not watched"))
}

/// What is wrong with the primary's engine, if anything is.
fn trouble(
    channel: &SearchChannel,
    node: &Name,
    facts: &SearchFacts,
    history: &SearchHistory,
    now: Moment,
) -> Option<(Reason, String)> {
    let names = |wrong: &dyn Fn(&crate::facts::IndexFacts) -> bool| {
        let names: Vec<_> =
            facts.indices.iter().filter(|index| wrong(index)).map(|index| index.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let health = health(facts);
    let shards = match facts.unassigned_shards {
        Some(count @ 1..) => format!("; {count} shards of the cluster have no home"),
        _ => String::new(),
    };
    if let Some(red) = names(&|index| index.health == Some(SearchHealth::Red)) {
        return Some((Reason::Red, format!("{red} on {node} is red: searches fail or miss documents{shards}")));
    }
    if let Some(missing) = facts.indices.iter().find(|index| index.exists == Some(false)) {
        let held = match history.last_count(node, &missing.name) {
            Some(last) => {
                format!("; it held {} documents {} ago", last.documents, short_duration(now.since(last.asked)))
            }
            None => String::new(),
        };
        let name = &missing.name;
        return Some((Reason::IndexMissing, format!("{name} is not there on {node}, which is the primary{held}")));
    }
    if health == Some(SearchHealth::Red) {
        return Some((Reason::Red, format!("the cluster of {node} is red{shards}")));
    }
    if let Some(blocked) = names(&|index| index.read_only == Some(true)) {
        let cure = "free disk space, then clear index.blocks.read_only_allow_delete";
        return Some((Reason::ReadOnly, format!("{blocked} on {node} takes no writes: {cure}")));
    }
    if health == Some(SearchHealth::Yellow) && !channel.yellow_is_ok {
        let cure = "a single node with replicas stays so: set yellow_is_ok, or number_of_replicas to 0";
        return Some((Reason::Yellow, format!("{node} is yellow: some replicas have no home; {cure}")));
    }
    None
}

#[cfg(test)]
mod tests;
