//! How many documents there should be, and whether the primary's indices hold them.
//!
//! The first that is known counts: what the database says, a fixed number, what the primary's index held while it was whole.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::SearchChannel;
use crate::evidence::SearchNodeEvidence;
use crate::facts::IndexMemory;
use crate::history::search::SearchHistory;
use crate::names::{ExpectedBy, RebuildState};
use crate::units::short_duration;

/// By index; one of which nothing is known has none.
pub(super) type AllExpected = BTreeMap<String, ExpectedDocuments>;

/// How many documents an index should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectedDocuments {
    pub(super) documents: u64,
    /// By whose word.
    pub(super) by: ExpectedBy,
    /// How old that word is at least; the configuration's has no age.
    pub(super) age: Option<Duration>,
}

/// What is expected of each configured index, and when the first of it runs out.
pub(super) fn of_all(channel: &SearchChannel, history: &SearchHistory, now: Moment) -> (AllExpected, Option<Moment>) {
    let (mut all, mut next) = (AllExpected::new(), None::<Moment>);
    for index in &channel.indices {
        let configured = channel.expected.get(index);
        // As other readings: three periods and a timeout.
        let counts = |period: Duration, timeout: Duration| period.saturating_mul(3).saturating_add(timeout);
        let told = configured.filter(|expected| expected.sql.is_some()).and_then(|expected| {
            let told = history.told(index)?;
            let until = told.asked + counts(expected.period, expected.timeout);
            (until > now).then_some((told, until))
        });
        if let Some((told, until)) = told {
            let (documents, age) = (told.documents, Some(now.since(told.asked)));
            all.insert(index.clone(), ExpectedDocuments { documents, by: ExpectedBy::Sql, age });
            next = Some(next.map_or(until, |next| next.min(until)));
            continue;
        }
        let fixed = configured.and_then(|expected| expected.documents);
        let fixed = fixed.map(|documents| ExpectedDocuments { documents, by: ExpectedBy::Fixed, age: None });
        let remembered = || {
            let IndexMemory { documents, seen, .. } = history.remembered(index)?;
            let age = Some(seen.at(now));
            Some(ExpectedDocuments { documents: *documents, by: ExpectedBy::Remembered, age })
        };
        if let Some(expected) = fixed.or_else(remembered) {
            all.insert(index.clone(), expected);
        }
    }
    (all, next)
}

/// Writes it beside the indices of the primary.
pub(super) fn add_to(own: &mut SearchNodeEvidence, all: &AllExpected) {
    for index in &mut own.indices {
        if let Some(expected) = all.get(&index.name) {
            (index.expected, index.expected_by) = (Some(expected.documents), Some(expected.by));
            index.expected_age = expected.age;
        }
    }
}

/// Whether the primary's documents differ from what is expected. A rebuild explains it: then nothing is said here. What is merely
/// remembered follows an index that is used as usual, and says nothing of a count that it is about to follow.
pub(super) fn drift(
    channel: &SearchChannel,
    own: &SearchNodeEvidence,
    state: RebuildState,
    history: &SearchHistory,
) -> Option<bool> {
    if matches!(state, RebuildState::Rebuilding | RebuildState::Stalled) {
        return None;
    }
    let known = own.indices.iter().map(|index| {
        let (documents, expected) = (index.documents?, index.expected?);
        let follows =
            index.expected_by == Some(ExpectedBy::Remembered) && history.goes_on(&own.node, &index.name, documents);
        Some(!follows && !channel.is_near(documents, expected))
    });
    let whole: Option<Vec<bool>> = known.clone().collect();
    match whole {
        _ if known.clone().any(|differs| differs == Some(true)) => Some(true),
        Some(all) if !all.is_empty() => Some(false),
        _ => None,
    }
}

/// The drift in words; `rebuild` is what is known of a rebuild.
pub(super) fn drift_text(channel: &SearchChannel, own: &SearchNodeEvidence, rebuild: &str) -> String {
    let differing = own.indices.iter().filter_map(|index| {
        let (documents, expected, by) = (index.documents?, index.expected?, index.expected_by?);
        let by = match by {
            ExpectedBy::Sql => "by the database".to_owned(),
            ExpectedBy::Fixed => "by the configuration".to_owned(),
            ExpectedBy::Remembered => {
                let ago = index.expected_age.map(|age| format!(" {} ago", short_duration(age)));
                format!("as it held{}", ago.as_deref().unwrap_or(" before"))
            }
        };
        (!channel.is_near(documents, expected)).then(|| {
            format!("{} on {} holds {documents} documents, expected are {expected} {by}", index.name, own.node)
        })
    });
    let text = differing.collect::<Vec<_>>().join("; ");
    if rebuild.is_empty() { text } else { format!("{text}; {rebuild}") }
}
