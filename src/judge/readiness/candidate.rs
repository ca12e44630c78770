//! Which of several standbys would be promoted.

use std::cmp::Reverse;

use super::{Candidate, Situation, blockers};
use crate::names::Name;

/// Of the standbys that answer, the one that has most of those that nothing is in the way of; where something is in the way of each,
/// the one that has most. A position on a timeline that the primary has left is none to compare: such a one comes after those that
/// follow. Of two that have as much, the one with less to replay; of two that are alike, the first that is configured. Then, each in a
/// sentence, those that have more and are passed over.
pub(super) fn choose<'a>(situation: &Situation<'a>, primary: Option<&Name>) -> (Option<Candidate<'a>>, Vec<String>) {
    let others = situation.pair.nodes.iter().map(|node| &node.name).filter(|name| Some(*name) != primary);
    let answering = others.filter_map(|name| {
        let (facts, standby) = situation.standby_facts(name)?;
        let candidate = Candidate { name, facts, standby };
        let (found, untold) = blockers::own(situation, primary, &candidate);
        Some((candidate, found, untold, blockers::behind(situation, primary, &candidate)))
    });
    let all: Vec<_> = answering.collect();
    let best = all.iter().enumerate().max_by_key(|(place, (candidate, found, untold, behind))| {
        let standing = (found.is_empty(), behind.is_none(), candidate.has());
        (standing, untold.is_empty(), Reverse(candidate.left().unwrap_or(u64::MAX)), Reverse(*place))
    });
    let Some((_, (chosen, ..))) = best else { return (None, Vec::new()) };
    let ahead = all.iter().filter(|(other, ..)| other.has() > chosen.has());
    let passed_over = ahead.filter_map(|(other, found, _, behind)| {
        let more = other.has()?.bytes_after(chosen.has()?);
        let why: Vec<_> = found.iter().map(|(_, detail)| detail.as_str()).chain(behind.as_deref()).collect();
        Some(format!("{} has {more} more than {}, but: {}", other.name, chosen.name, why.join("; ")))
    });
    (Some(*chosen), passed_over.collect())
}
