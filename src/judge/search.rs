//! Whether the search engines are known, and whether the one on the primary is healthy and whole.
//!
//! Nothing is replicated here: on the standby a missing index is expected. The colour that counts is that of the configured
//! indices; where none is configured, or none is there, that of the cluster.
//!
//! The first that fits is the reason: roles unknown; the primary's engine not known (`not_seen_yet`, `stale`, a failure); and with
//! a warning: `red`, `index_missing`, `read_only`, `disk_high`, `rebuild_stalled`, `rebuilding`, `documents_drift`, `yellow`.

mod estimate;
mod expected;
mod rebuild;

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::config::{PairConfig, SearchChannel};
use crate::evidence::{RebuildEvidence, Roles, SearchEvidence, SearchIndexEvidence, SearchNodeEvidence, Verdict};
use crate::facts::{Latest, SearchFacts};
use crate::history::search::SearchHistory;
use crate::names::{Name, Reason, RebuildState, SearchHealth};
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
    let mut nodes: Vec<_> = readings.iter().map(|(node, latest)| node_evidence(channel, node, latest, now)).collect();
    let primary = roles.primary.clone().filter(|_| !roles.contradicted);
    let standbys_up = nodes.iter().filter(|node| Some(&node.node) != primary.as_ref()).all(|node| node.up);
    let (expected, told_until) = expected::of_all(channel, history, now);
    let own = nodes.iter_mut().find(|node| Some(&node.node) == primary.as_ref());
    if let Some(own) = own {
        expected::add_to(own, &expected);
    }
    let (rebuild, still_until) = match nodes.iter_mut().find(|node| Some(&node.node) == primary.as_ref()) {
        Some(own) => rebuild::evidence(channel, own, history, now),
        None => {
            // Whichever it is: one that was being rebuilt when the roles were known last is not counted.
            let uncounted = history.open_rebuild().map(|rebuild| rebuild.node.clone());
            let unknown = RebuildEvidence::unknown("which node is the primary is not known");
            (RebuildEvidence { uncounted, ..unknown }, None)
        }
    };
    let drift = primary.as_ref().and_then(|primary| {
        let own = nodes.iter().find(|node| node.node == *primary)?;
        expected::drift(channel, own, rebuild.state, history)
    });
    let verdict = match &primary {
        None => {
            let detail = format!("which node is the primary is not known{}", roles.because());
            Verdict::unproven(Reason::RoleUnknown, detail, None)
        }
        Some(primary) => {
            let reading = readings.iter().find(|(node, _)| *node == primary).map_or(&never, |(_, latest)| latest);
            let own = nodes.iter().find(|node| node.node == *primary);
            verdict(channel, reading, own, &Further { rebuild: &rebuild, drift, history }, now)
        }
    };
    let estimate = estimate::estimate(channel, &expected, history, now);
    let stale = readings.iter().filter_map(|(_, latest)| latest.runs_out(now, stale_after));
    let next = stale.chain(told_until).chain(still_until).min();
    (SearchEvidence { verdict, primary, nodes, standbys_up, drift, rebuild, estimate }, next)
}

/// What follows besides for the primary's engine.
struct Further<'a> {
    rebuild: &'a RebuildEvidence,
    drift: Option<bool>,
    history: &'a SearchHistory,
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
    let of_index = |name: &String| {
        let index = facts.and_then(|facts| facts.indices.iter().find(|index| index.name == *name));
        let Some(index) = index else {
            return SearchIndexEvidence { name: name.clone(), ..SearchIndexEvidence::default() };
        };
        let behind = index.behind.iter().map(|index| index.name.clone());
        SearchIndexEvidence {
            name: name.clone(),
            exists: index.exists,
            health: index.health,
            documents: index.documents,
            read_only: index.read_only,
            store: index.store,
            alias_of: behind.filter(|behind| behind != name).collect(),
            ..SearchIndexEvidence::default()
        }
    };
    SearchNodeEvidence {
        node: node.clone(),
        up: facts.is_some(),
        reason: known.err(),
        engine: facts.and_then(engine),
        health: facts.and_then(health),
        active_shards_percent: facts.and_then(|facts| facts.active_shards_percent),
        pending_tasks: facts.and_then(|facts| facts.pending_tasks),
        disk: facts.and_then(|facts| facts.disk),
        indices: channel.indices.iter().map(of_index).collect(),
    }
}

fn engine(facts: &SearchFacts) -> Option<String> {
    Some(format!("{} {}", facts.distribution.as_deref()?, facts.version.as_deref()?))
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
    latest: &Latest<SearchFacts>,
    own: Option<&SearchNodeEvidence>,
    further: &Further<'_>,
    now: Moment,
) -> Verdict {
    let node = own.map_or("", |own| own.node.as_str());
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
    let trouble = own.and_then(|own| trouble(channel, facts, own, further, now));
    match trouble {
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
    facts: &SearchFacts,
    own: &SearchNodeEvidence,
    further: &Further<'_>,
    now: Moment,
) -> Option<(Reason, String)> {
    let node = &own.node;
    let names = |wrong: &dyn Fn(&crate::facts::IndexFacts) -> bool| {
        let names: Vec<_> =
            facts.indices.iter().filter(|index| wrong(index)).map(|index| index.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let health = health(facts);
    let shards = match facts.unassigned_shards {
        Some(1) => "; 1 shard of the cluster has no home".to_owned(),
        Some(count @ 2..) => format!("; {count} shards of the cluster have no home"),
        _ => String::new(),
    };
    if let Some(red) = names(&|index| index.health == Some(SearchHealth::Red)) {
        return Some((Reason::Red, format!("{red} on {node} is red: searches fail or miss documents{shards}")));
    }
    if let Some(missing) = facts.indices.iter().find(|index| index.exists == Some(false)) {
        let held = match further.history.last_count(node, &missing.name) {
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
    if own.disk_high() == Some(true) {
        return Some((Reason::DiskHigh, disk_text(own)));
    }
    // a default is right: it is a sentence.
    let rebuild = further.rebuild.detail.clone().unwrap_or_default();
    match further.rebuild.state {
        RebuildState::Stalled => return Some((Reason::RebuildStalled, rebuild)),
        RebuildState::Rebuilding => return Some((Reason::Rebuilding, rebuild)),
        _ => {}
    }
    if further.drift == Some(true) {
        return Some((Reason::DocumentsDrift, expected::drift_text(channel, own, &rebuild)));
    }
    if health == Some(SearchHealth::Yellow) && !channel.yellow_is_ok {
        let cure = "a single node with replicas stays so: set yellow_is_ok, or number_of_replicas to 0";
        return Some((Reason::Yellow, format!("{node} is yellow: some replicas have no home; {cure}")));
    }
    None
}

fn disk_text(own: &SearchNodeEvidence) -> String {
    let node = &own.node;
    let Some(disk) = own.disk else { return format!("a disk of {node} is too full") };
    let percent = |share: Option<f64>| share.map_or_else(|| "?".to_owned(), |share| format!("{:.1}", 100.0 * share));
    format!(
        "a disk of {node} is {} % full, over the engine's high watermark of {} %; at {} % its indices take no writes: free space",
        percent(Some(disk.used)),
        percent(disk.high),
        percent(disk.flood)
    )
}

#[cfg(test)]
mod tests;
