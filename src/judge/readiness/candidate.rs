//! Which of several standbys would be promoted.

use super::{Candidate, Situation, blockers};
use crate::names::Name;

/// Of the standbys that answer, the one that has most of those that nothing is in the way of; where something is in the way of each,
/// the one that has most. Then, each in a sentence, those that have more and are passed over.
pub(super) fn choose<'a>(situation: &Situation<'a>, primary: Option<&Name>) -> (Option<Candidate<'a>>, Vec<String>) {
    let others = situation.pair.nodes.iter().map(|node| &node.name).filter(|name| Some(*name) != primary);
    let answering = others.filter_map(|name| {
        let (facts, standby) = situation.standby_facts(name)?;
        let candidate = Candidate { name, facts, standby };
        let (found, untold) = blockers::own(situation, primary, &candidate);
        Some((candidate, found, untold))
    });
    let all: Vec<_> = answering.collect();
    let best =
        all.iter().max_by_key(|(candidate, found, untold)| (found.is_empty(), candidate.has(), untold.is_empty()));
    let Some((chosen, ..)) = best else { return (None, Vec::new()) };
    let ahead = all.iter().filter(|(other, ..)| other.has() > chosen.has());
    let passed_over = ahead.filter_map(|(other, found, _)| {
        let more = other.has()?.bytes_after(chosen.has()?);
        let why: Vec<_> = found.iter().map(|(_, detail)| detail.as_str()).collect();
        Some(format!("{} has {more} more than {}, but: {}", other.name, chosen.name, why.join("; ")))
    });
    (Some(*chosen), passed_over.collect())
}
