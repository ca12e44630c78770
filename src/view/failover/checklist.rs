//! The answer as text: the verdict first, then why, then what would be lost, then what to do.

use std::fmt::Write as _;

use super::{FailoverDocument, LossDocument};
use crate::names::FailoverVerdict;
use crate::view::wording::{UNKNOWN, bytes, seconds};

/// The checklist of one pair.
pub fn checklist(pair: &str, told: &FailoverDocument) -> String {
    let standby = told.standby.as_ref().map_or("a standby", |standby| standby.as_str());
    let mut text = format!("{pair}: promote {standby} now? {}\n", answer(told.verdict));
    // Writing to a String cannot fail.
    for reason in &told.reasons {
        let _ = writeln!(text, "  because     {reason}");
    }
    let _ = writeln!(text, "  would lose  {}", would_lose(&told.loss));
    let _ = writeln!(text, "  to replay   {}", to_replay(told));
    for beside in &told.besides {
        let _ = writeln!(text, "  besides     {beside}");
    }
    if !told.steps.is_empty() {
        text.push_str("\n  In this order:\n");
    }
    for (number, step) in (1..).zip(&told.steps) {
        let _ = writeln!(text, "  [ ] {number}. {step}");
    }
    text
}

/// The answer as a person reads it.
pub(in crate::view) const fn answer(verdict: FailoverVerdict) -> &'static str {
    match verdict {
        FailoverVerdict::Ready => "READY",
        FailoverVerdict::ReadyWithLoss => "READY, WITH LOSS",
        FailoverVerdict::NotReady => "NOT READY",
        FailoverVerdict::Unknown => "UNKNOWN",
        FailoverVerdict::PrimaryGone => "THE PRIMARY IS GONE",
    }
}

/// The loss in numbers.
pub(in crate::view) fn would_lose(loss: &LossDocument) -> String {
    if loss.wal_bytes.is_none() {
        return UNKNOWN.to_owned();
    }
    if loss.wal_bytes == Some(0) && !loss.at_least {
        return "no WAL".to_owned();
    }
    let wal = bytes(loss.wal_bytes);
    let least = if loss.at_least { "at least " } else { "" };
    let span = match loss.seconds {
        Some(_) if loss.wal_bytes == Some(0) => String::new(),
        Some(_) if loss.seconds_at_least => format!(", at least {} of transactions", seconds(loss.seconds)),
        Some(_) => format!(", {} of transactions", seconds(loss.seconds)),
        None => format!(", of how many seconds is {UNKNOWN}"),
    };
    match loss.wal_bytes_at_most {
        Some(most) if loss.at_least => format!("{least}{wal} of WAL, at most about {}{span}", bytes(Some(most))),
        None if loss.at_least => format!("{least}{wal} of WAL, how much more is {UNKNOWN}{span}"),
        _ => format!("{wal} of WAL{span}"),
    }
}

/// What is left to replay, and how long that takes. A standby that had kept up has replayed no faster than its primary wrote, and can do
/// better: what follows from that rate is the longest.
pub(in crate::view) fn to_replay(told: &FailoverDocument) -> String {
    let serve = &told.time_to_serve;
    match (serve.replay_bytes, serve.replay_seconds) {
        (None, _) => UNKNOWN.to_owned(),
        (Some(0), _) => "nothing".to_owned(),
        (left, None) => format!("{}, how long that takes is {UNKNOWN}", bytes(left)),
        (left, took) => format!("{}, at most about {}", bytes(left), seconds(took)),
    }
}
