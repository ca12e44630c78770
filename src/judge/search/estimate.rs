//! How long a rebuild takes, were the standby promoted now.

use super::expected::AllExpected;
use crate::config::SearchChannel;
use crate::evidence::RebuildEstimate;
use crate::history::search::SearchHistory;
use crate::names::EstimateBy;
use crate::units::duration_text;

/// Expected documents over the rate of the last rebuild that was watched; else as declared; else unknown, with the line to add.
pub(super) fn estimate(channel: &SearchChannel, expected: &AllExpected, history: &SearchHistory) -> RebuildEstimate {
    let all_known = !channel.indices.is_empty() && channel.indices.iter().all(|index| expected.contains_key(index));
    let documents: u64 = expected.values().map(|(documents, _)| *documents).sum();
    let rate = history.last_rate().filter(|_| all_known && documents > 0);
    if let Some(rate) = rate {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = documents as f64 / rate;
        let detail = format!("{documents} documents at the last measured {rate:.0} per second");
        return RebuildEstimate { seconds: Some(seconds), by: EstimateBy::Measured, detail };
    }
    if let Some(takes) = channel.rebuild_takes {
        let detail = format!("{} as declared, not measured", duration_text(takes));
        return RebuildEstimate { seconds: Some(takes.as_secs_f64()), by: EstimateBy::Declared, detail };
    }
    let detail =
        "unknown: no rebuild has been watched yet; declare `search: { rebuild_takes: 4h }` in the pair".to_owned();
    RebuildEstimate { seconds: None, by: EstimateBy::Unknown, detail }
}
