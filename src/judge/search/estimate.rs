//! How long a rebuild takes, were the standby promoted now.

use super::expected::AllExpected;
use crate::clock::Moment;
use crate::config::SearchChannel;
use crate::evidence::RebuildEstimate;
use crate::history::search::SearchHistory;
use crate::names::EstimateBy;
use crate::units::{duration_text, short_duration};

/// Expected documents over the rate of the last rebuild that was watched; else as declared; else unknown, with the line to add.
pub(super) fn estimate(
    channel: &SearchChannel,
    expected: &AllExpected,
    history: &SearchHistory,
    now: Moment,
) -> RebuildEstimate {
    let unknown_of = channel.indices.iter().find(|index| !expected.contains_key(*index));
    let documents: u64 = expected.values().map(|expected| expected.documents).sum();
    let rate = history.last_rate().filter(|_| unknown_of.is_none() && documents > 0);
    if let Some(rate) = rate {
        let per_second = rate.documents_per_second;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = documents as f64 / per_second;
        let ago = short_duration(rate.seen.at(now));
        let detail = format!("{documents} documents at {per_second:.0} per second, as measured {ago} ago");
        return RebuildEstimate { seconds: Some(seconds), by: EstimateBy::Measured, detail };
    }
    if let Some(takes) = channel.rebuild_takes {
        let detail = format!("{} as declared, not measured", duration_text(takes));
        return RebuildEstimate { seconds: Some(takes.as_secs_f64()), by: EstimateBy::Declared, detail };
    }
    let why = match (history.last_rate(), unknown_of) {
        (Some(_), Some(index)) => format!("how many documents {index} should hold is not known"),
        _ => "no rebuild has been watched yet".to_owned(),
    };
    let detail = format!("unknown: {why}; declare `search: {{ rebuild_takes: 4h }}` in the pair");
    RebuildEstimate { seconds: None, by: EstimateBy::Unknown, detail }
}
