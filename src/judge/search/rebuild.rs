//! How the primary's indices stand on their way to being whole again.
//!
//! A rebuild is awaited while an index is missing, or holds less than expected and either was made anew before our eyes, lies on a
//! node that was promoted before our eyes, or holds less than half. An index that merely lacks some documents drifts: to call its
//! ordinary writes a rebuild would give a time left that means nothing.
//!
//! During a rebuild nothing is counted; documents are the last count and what the engine's counters have risen by since. It is
//! complete when a count says so.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::SearchChannel;
use crate::evidence::{RebuildEvidence, SearchIndexEvidence, SearchNodeEvidence};
use crate::history::search::{NodeWritten, SearchHistory};
use crate::names::RebuildState;
use crate::units::short_duration;

/// The evidence for the primary's engine, whose indices get their progress; and when it changes by itself.
pub(super) fn evidence(
    channel: &SearchChannel,
    own: &mut SearchNodeEvidence,
    history: &SearchHistory,
    now: Moment,
) -> (RebuildEvidence, Option<Moment>) {
    let open = history.rebuild(&own.node).filter(|rebuild| !rebuild.complete);
    let written = history.written(&own.node).filter(|_| own.up);
    let (Some(written), false) = (written, channel.indices.is_empty()) else {
        let why = match channel.indices.is_empty() {
            true => "no index is configured: write `search: { indices: [NAME] }` in the pair",
            false => "the primary's engine is not known",
        };
        // One that was under way still is, as far as anybody knows: no count before more is known.
        let uncounted = open.map(|rebuild| rebuild.node.clone());
        return (RebuildEvidence { uncounted, ..RebuildEvidence::unknown(why) }, None);
    };
    let sight = Sight { channel, own, history, written };
    if !sight.awaited() {
        return (sight.none_awaited(), None);
    }
    if channel.indices.iter().zip(&own.indices).all(|(_, index)| is_whole(channel, index)) {
        let text = "the indices are whole again".to_owned();
        return (RebuildEvidence { detail: Some(text), ..in_state(RebuildState::Complete) }, None);
    }
    let (evidence, next) = sight.under_way(now);
    add_progress(own, written);
    (evidence, next)
}

/// By its count.
fn is_whole(channel: &SearchChannel, index: &SearchIndexEvidence) -> bool {
    let (Some(documents), Some(expected)) = (index.documents, index.expected) else { return false };
    index.exists == Some(true) && channel.is_enough(documents, expected)
}

fn in_state(state: RebuildState) -> RebuildEvidence {
    RebuildEvidence { state, detail: None, ..RebuildEvidence::unknown("") }
}

/// Writes beside each index how far it has come.
fn add_progress(own: &mut SearchNodeEvidence, written: &NodeWritten) {
    for index in &mut own.indices {
        let done = written.documents(&index.name);
        index.progress = done.zip(index.expected).and_then(|(done, expected)| share(done, expected));
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn share(done: u64, expected: u64) -> Option<f64> {
    (expected > 0).then(|| (done as f64 / expected as f64).min(1.0))
}

/// What a rebuild of the primary's engine is judged by.
struct Sight<'a> {
    channel: &'a SearchChannel,
    own: &'a SearchNodeEvidence,
    history: &'a SearchHistory,
    written: &'a NodeWritten,
}

impl Sight<'_> {
    fn awaited(&self) -> bool {
        let node = &self.own.node;
        let open = self.history.rebuild(node).is_some_and(|rebuild| !rebuild.complete);
        self.own.indices.iter().any(|index| {
            if index.exists == Some(false) {
                return true;
            }
            let name = &index.name;
            let renewed = open || self.written.renewed(name);
            let Some(expected) = index.expected else { return renewed };
            // A count says most: what was written since may have replaced what was there.
            let known = if open { self.written.documents(name) } else { index.documents };
            let enough = |documents| self.channel.is_enough(documents, expected);
            let (Some(done), false) = (known, is_whole(self.channel, index)) else { return open };
            (open || !enough(done)) && (renewed || self.history.was_promoted(node) || done < expected / 2)
        })
    }

    fn none_awaited(&self) -> RebuildEvidence {
        if self.own.indices.iter().any(|index| index.exists.is_none() || index.documents.is_none()) {
            return RebuildEvidence::unknown("the documents of the primary's indices are not known");
        }
        match self.history.rebuild(&self.own.node) {
            Some(rebuild) if rebuild.complete => in_state(RebuildState::Complete),
            _ => in_state(RebuildState::NotExpected),
        }
    }

    /// Documents of all indices, and how many are expected; `None` while one of these is not known.
    fn totals(&self) -> Option<(u64, u64)> {
        let each = self.own.indices.iter().map(|index| {
            let expected = index.expected?;
            Some((self.written.documents(&index.name)?.min(expected), expected))
        });
        each.collect::<Option<Vec<_>>>().map(|all| all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
    }

    fn under_way(&self, now: Moment) -> (RebuildEvidence, Option<Moment>) {
        let node = &self.own.node;
        let totals = self.totals();
        let progress = totals.and_then(|(done, expected)| share(done, expected));
        if !self.history.has_begun(node) {
            let detail = "a rebuild is needed, and nothing is being written yet: start it".to_owned();
            return (RebuildEvidence { detail: Some(detail), progress, ..in_state(RebuildState::Idle) }, None);
        }
        let limit = self.channel.rebuild_stalls_after;
        let stalled = self.written.still_for().is_none_or(|still| still >= limit);
        let began = self.history.rebuild(node).and_then(|rebuild| rebuild.began);
        let running_for = began.map(|(at, _)| now.since(at));
        let Some((done, expected)) = totals else {
            let unknown = RebuildEvidence::unknown(
                "how many documents are expected is not known: write `expected: { INDEX: { documents: NUMBER } }` under search",
            );
            let state = if stalled { RebuildState::Unknown } else { RebuildState::Rebuilding };
            let uncounted = (!stalled).then(|| node.clone());
            return (RebuildEvidence { state, running_for, uncounted, ..unknown }, None);
        };
        let text = format!("{done} of {expected} documents are written on {node}");
        if stalled {
            let still = self.written.still_since().map_or(limit, |still| now.since(still));
            let detail = format!("{text}, and nothing has been written for {}", short_duration(still));
            let evidence = RebuildEvidence { detail: Some(detail), progress, ..in_state(RebuildState::Stalled) };
            return (RebuildEvidence { running_for, ..evidence }, None);
        }
        let rates = began.map(|began| self.written.rates(began));
        let settled = running_for.is_some_and(|running| running >= self.channel.rate_window / 2);
        let left = rates.filter(|_| settled).and_then(|rates| left(expected - done, rates.recent?, rates.whole?));
        let detail = match left {
            Some((least, most)) => format!("{text}; {} left", range(least, most)),
            None => format!("{text}; the time left is not known yet"),
        };
        // All that was expected has been written: only a count can tell whether it is all there.
        let uncounted = (!self.channel.is_enough(done, expected)).then(|| node.clone());
        let evidence = RebuildEvidence {
            state: RebuildState::Rebuilding,
            detail: Some(detail),
            progress,
            rate: rates.and_then(|rates| rates.recent).filter(|rate| *rate >= 0.0),
            left,
            running_for,
            uncounted,
        };
        (evidence, None)
    }
}

/// At the slower and at the faster of two rates; `None` if one of them gets nowhere.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn left(documents: u64, recent: f64, whole: f64) -> Option<(f64, f64)> {
    let (slow, fast) = (recent.min(whole), recent.max(whole));
    (slow > 0.0 && documents > 0).then(|| (documents as f64 / fast, documents as f64 / slow))
}

fn range(least: f64, most: f64) -> String {
    let text = |seconds: f64| short_duration(Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX));
    let (least, most) = (text(least), text(most));
    if least == most { format!("about {least}") } else { format!("{least} to {most}") }
}
