//! Whether the standby's tree is the primary's: known only if both were read as a whole and lately.

use super::Learned;
use crate::clock::Moment;
use crate::config::ConfigChannel;
use crate::evidence::{ConfigEvidence, DriftEvidence, DriftedFile, Verdict};
use crate::facts::{Latest, TreeFacts};
use crate::history::config_drift::Drift;
use crate::names::{Name, Reason, TreeBound};

/// A difference counts after so many periods: each copy that was under way has ended, and one more was due.
const PATIENCE_PERIODS: u32 = 2;
/// So many names stand in a sentence.
const MOST_IN_A_SENTENCE: usize = 3;

/// The drift of one standby's tree, and until when that is known.
pub(super) fn evidence(
    channel: &ConfigChannel,
    learned: Learned<'_>,
    (primary, standby): (&Name, &Name),
    now: Moment,
) -> (DriftEvidence, Option<Moment>) {
    let of = |node| fresh(channel, learned, node, now);
    let (original, copy) = match (of(primary), of(standby)) {
        (Ok(original), Ok(copy)) => (original, copy),
        (Err(why), _) | (_, Err(why)) => return (unknown(why), None),
    };
    let runs_out = Some(original.1.min(copy.1) + channel.tree_stale_after());
    if learned.drift.is_one_tree(primary, standby) {
        let cure = "only an agent that reaches two trees can compare them";
        let why = format!("here {primary} and {standby} have one and the same tree: {cure}");
        return (unknown(why), runs_out);
    }
    if original.0.patterns != copy.0.patterns {
        let cure = "give both agents the same `include` and `exclude`";
        let why = format!("the agents of {primary} and {standby} compare different files: {cure}");
        return (unknown(why), runs_out);
    }
    let Some(drift) = learned.drift.drift(primary, standby, channel.period * PATIENCE_PERIODS) else {
        return (unknown("the trees were not compared yet".to_owned()), runs_out);
    };
    let (original, copy) = (&original.0.manifest, &copy.0.manifest);
    let unreadable = u64::from(original.unreadable()) + u64::from(copy.unreadable());
    let bound = original.bound().or(copy.bound());
    (of_compared(channel, drift, unreadable, bound), runs_out)
}

fn of_compared(channel: &ConfigChannel, drift: Drift, unreadable: u64, bound: Option<TreeBound>) -> DriftEvidence {
    let whole = unreadable == 0 && bound.is_none();
    let named = drift.named.into_iter().map(|(path, kind, since)| DriftedFile { path, kind, since }).collect();
    DriftEvidence {
        compared: whole,
        not_compared: match bound {
            Some(bound) => Some(beyond(channel, bound)),
            None if unreadable > 0 => Some(format!(
                "{unreadable} entries of the trees cannot be read; let the agent's user read them, or exclude them"
            )),
            None => None,
        },
        // What was found stands, but nothing found is known only of the whole.
        drifted_files: drift.drifted.filter(|count| *count > 0 || whole),
        at_least: drift.at_least || !whole,
        differing_files: whole.then_some(drift.differing),
        unreadable_files: Some(unreadable),
        bound,
        named,
    }
}

fn beyond(channel: &ConfigChannel, bound: TreeBound) -> String {
    let limit = match bound {
        TreeBound::Files => {
            format!("more than {} entries: exclude what is no configuration, or raise max_files", channel.max_files)
        }
        TreeBound::Bytes => {
            format!("more than {} in its files: exclude what is no configuration, or raise max_size", channel.max_size)
        }
        TreeBound::Depth => "directories more than 64 deep: exclude them".to_owned(),
        TreeBound::Paths => "names too long to be kept: exclude what is no configuration".to_owned(),
    };
    format!("a tree has {limit}")
}

fn unknown(why: String) -> DriftEvidence {
    DriftEvidence { not_compared: Some(why), ..DriftEvidence::default() }
}

/// A node's tree, if it was read lately, and when.
fn fresh<'a>(
    channel: &ConfigChannel,
    learned: Learned<'a>,
    node: &Name,
    now: Moment,
) -> Result<(&'a TreeFacts, Moment), String> {
    let Some(latest) = learned.trees.get(node) else { return Err(format!("{node} has no tree in the configuration")) };
    latest.fresh(now, channel.tree_stale_after()).map_err(|_| match latest {
        Latest::NeverAsked => format!("the tree of {node} is being read for the first time"),
        Latest::Have(reading) => match reading.failure() {
            Some(failure) => format!("the tree of {node} cannot be read here: {}", failure.message),
            None => format!("the tree of {node} was not read lately"),
        },
        Latest::Dropped => format!("the tree of {node} was not read lately"),
    })
}

/// Of several standbys the one that has drifted most. That nothing has is known only if it is known of each.
pub(super) fn of_all<'a>(each: impl Iterator<Item = &'a DriftEvidence> + Clone) -> DriftEvidence {
    let badness = |drift: &&DriftEvidence| match drift.drifted_files {
        Some(files @ 1..) => (2, files),
        None => (1, 0),
        Some(0) => (0, 0),
    };
    let all_compared = each.clone().all(|drift| drift.compared);
    // a default is right: in it nothing is known.
    let worst = each.max_by_key(badness).cloned().unwrap_or_default();
    DriftEvidence { compared: worst.compared && all_compared, at_least: worst.at_least || !all_compared, ..worst }
}

/// The evidence with its drift, which is a reason where there is no other.
pub(super) fn told(evidence: ConfigEvidence, drift: DriftEvidence) -> ConfigEvidence {
    let mut verdict = evidence.verdict;
    if let (true, None, Some(as_of)) = (verdict.up, verdict.reason, verdict.as_of) {
        let drifted = drift.drifted_files.filter(|count| *count > 0);
        if let Some(count) = drifted {
            verdict = Verdict::warned(Reason::Drift, sentence(&drift, count), as_of);
        } else if let (Some(_), Some(why)) = (drift.bound, &drift.not_compared) {
            verdict = Verdict::warned(Reason::TooLarge, format!("whether files differ is not known: {why}"), as_of);
        }
    }
    ConfigEvidence { verdict, drift, ..evidence }
}

fn sentence(drift: &DriftEvidence, count: u64) -> String {
    let files: Vec<_> =
        drift.named.iter().take(MOST_IN_A_SENTENCE).map(|file| format!("{} ({})", file.path, file.kind)).collect();
    let more = if count > files.len() as u64 { ", …" } else { "" };
    let least = if drift.at_least { "at least " } else { "" };
    let (noun, verb) = if count == 1 { ("file", "differs") } else { ("files", "differ") };
    format!("{least}{count} {noun} of the standby's copy {verb} though synced: {}{more}", files.join(", "))
}
