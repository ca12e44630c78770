//! What is in the way of a promotion, and what of it cannot be told.

use super::{Candidate, Situation};
use crate::judge::postgres::settings_too_low;
use crate::names::{Blocker, Name, Reason};

/// What is in the way, and what cannot be told: each in a sentence.
pub(super) fn blockers(
    situation: &Situation<'_>,
    primary: Option<&Name>,
    candidate: Option<&Candidate<'_>>,
) -> (Vec<(Blocker, String)>, Vec<String>) {
    let (mut found, mut untold) = (Vec::new(), Vec::new());
    found.extend(contradiction(situation));
    let Some(candidate) = candidate else {
        if found.is_empty() {
            untold.push(no_candidate(situation, primary));
        }
        return (found, untold);
    };
    untold.extend(behind(situation, primary, candidate));
    let (own, unknown) = own(situation, primary, candidate);
    found.extend(own);
    untold.extend(unknown);
    (found, untold)
}

/// What speaks against promoting this one, by its own state; and what of that cannot be told.
pub(super) fn own(
    situation: &Situation<'_>,
    primary: Option<&Name>,
    candidate: &Candidate<'_>,
) -> (Vec<(Blocker, String)>, Vec<String>) {
    let (mut found, mut untold) = (Vec::new(), Vec::new());
    if contradiction(situation).is_none() {
        found.extend(parted(situation, primary, candidate));
    }
    let node = situation.evidence.nodes.iter().find(|node| node.node == *candidate.name);
    match node.and_then(|node| node.not_accepting) {
        Some(true) => {
            let why = node.and_then(|node| node.no_new_session.clone());
            let why = why.unwrap_or_else(|| format!("{} lets no new session in", candidate.name));
            found.push((Blocker::NotAccepting, why));
        }
        Some(false) => {}
        None => untold.push(format!("whether {} lets new sessions in is not known", candidate.name)),
    }
    match settings(situation, primary, candidate) {
        Some(lower) if lower.is_empty() => {}
        Some(lower) => {
            found.push((Blocker::SettingsTooLow, format!("on {} {}", candidate.name, lower.join(", "))));
        }
        None => untold.push(format!("whether the settings of {} are high enough is not known", candidate.name)),
    }
    (found, untold)
}

/// What the answers of two servers contradict.
fn contradiction(situation: &Situation<'_>) -> Option<(Blocker, String)> {
    let blocker = match situation.evidence.contradiction? {
        Reason::SameServer => Blocker::SameServer,
        Reason::WrongCluster => Blocker::WrongCluster,
        Reason::TwoPrimaries => Blocker::SplitBrain,
        Reason::TimelineDiverged => Blocker::TimelineDiverged,
        _ => return None,
    };
    let detail = situation.evidence.verdict.detail.clone();
    Some((blocker, detail.unwrap_or_else(|| blocker.as_str().replace('_', " "))))
}

/// The same against what is remembered of a primary that does not answer now.
fn parted(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<(Blocker, String)> {
    let (was, name) = (situation.last_of(primary)?, candidate.name);
    let differs = was.cluster.as_ref().zip(candidate.facts.system_identifier.as_ref()).is_some_and(|(a, b)| a != b);
    if differs {
        let text = format!("{name} belongs to another cluster than {}, as far as that was seen", was.node);
        return Some((Blocker::WrongCluster, text));
    }
    let (theirs, own) = candidate.facts.timeline.zip(was.timeline)?;
    (theirs > own).then(|| {
        let text = format!("{name} is on timeline {theirs}, {} was on {own}: their histories have parted", was.node);
        (Blocker::TimelineDiverged, text)
    })
}

/// It has not followed the primary to its timeline, and nothing tells how much of that history it has. A primary of before that came back
/// as a standby has what the new one never had, and may lack all that was written since.
pub(super) fn behind(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<String> {
    let (was, name) = (situation.last_of(primary)?, candidate.name);
    let (theirs, own) = situation.timeline_of(candidate).zip(was.timeline)?;
    (theirs < own).then(|| {
        let is = if situation.evidence.primary.is_some() { "is" } else { "was" };
        let node = &was.node;
        format!(
            "{name} is still on timeline {theirs}, {node} {is} on {own}: how much it has of that history is not known"
        )
    })
}

/// Settings by the primary's present or last word.
fn settings(situation: &Situation<'_>, primary: Option<&Name>, candidate: &Candidate<'_>) -> Option<Vec<String>> {
    let memory = situation.history.nodes.get(primary?)?;
    settings_too_low(&candidate.facts.settings, memory.settings.as_ref()?)
}

fn no_candidate(situation: &Situation<'_>, primary: Option<&Name>) -> String {
    let others = situation.pair.nodes.iter().map(|node| &node.name).filter(|name| Some(*name) != primary);
    let each: Vec<_> = others.map(|name| format!("{name}: {}", situation.silence(name))).collect();
    format!("no standby answers ({})", each.join("; "))
}
