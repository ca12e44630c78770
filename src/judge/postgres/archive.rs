//! Standbys that are fed by files: whether what could be shipped has been replayed.

use std::time::Duration;

use crate::clock::Moment;
use crate::evidence::Verdict;
use crate::history::feed::Feed;
use crate::history::lsn_ring::Stood;
use crate::names::{Name, Reason};
use crate::units::{Bytes, Lsn, short_duration};

use super::feed::memory;
use super::nodes::Primary;
use super::standby::{self, Own, Surroundings};

/// A standby of a streaming pair may go on from the archive for so long: then its stream is missing, not late.
const MAY_RESTORE: Duration = Duration::from_secs(15 * 60);
/// Replay from the archive moves a file at a time. So long without a file that could have come is no restoring.
const FILE_WITHIN: Duration = Duration::from_secs(60);

/// Whether a standby has replayed what could have been shipped to it by some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    /// All of it.
    Yes,
    /// Not this far.
    Late(Lsn),
    /// Where the primary was at that moment is not remembered, and what is remembered is not replayed.
    TooEarly,
}

/// Only whole files are archived: the one that the primary is writing cannot have been shipped. Without the length of a file each byte
/// is asked for.
fn whole_files(lsn: Lsn, file: Option<Bytes>) -> Lsn {
    file.map_or(lsn, |file| Lsn(lsn.0 - lsn.0 % file.0.max(1)))
}

/// The end of the files that have arrived. Replay stops at the last record that is whole: one that goes on in the next file waits for
/// it. So a standby that has entered a file since it was alone, and asks for more, has replayed all of that file that it can.
fn arrived(replayed: Lsn, file: Option<Bytes>, feed: Option<&Feed>) -> Lsn {
    let entered = |feed: &Feed, file: Bytes| {
        let begin = whole_files(replayed, Some(file));
        let before = whole_files(feed.alone?.at?, Some(file));
        (feed.has_replayed_all() && before < begin && begin < replayed).then(|| Lsn(begin.0.saturating_add(file.0)))
    };
    feed.zip(file).and_then(|(feed, file)| entered(feed, file)).unwrap_or(replayed)
}

/// `stood`: where the primary was at that moment.
pub(super) fn shipped(stood: Option<Stood>, replayed: Lsn, file: Option<Bytes>, feed: Option<&Feed>) -> Shipped {
    let Some(stood) = stood else { return Shipped::TooEarly };
    let wanted = whole_files(stood.bound(), file);
    match stood {
        _ if arrived(replayed, file, feed) >= wanted => Shipped::Yes,
        Stood::At(_) => Shipped::Late(wanted),
        Stood::AtMost(_) => Shipped::TooEarly,
    }
}

fn shipped_ago(view: &Surroundings<'_>, name: &Name, primary: Primary<'_>, replayed: Lsn, ago: Duration) -> Shipped {
    let file = primary.facts.settings.wal_segment_size;
    shipped(view.history.ring.stood(ago), replayed, file, memory(view, name))
}

/// The standby is on a timeline that the primary has left, or does not tell its own.
fn wrong_timeline(own: Own<'_>, primary: Primary<'_>) -> Option<(Reason, String)> {
    let Some(theirs) = own.facts.timeline else {
        return Some((Reason::Protocol, "the standby does not tell its timeline".to_owned()));
    };
    let ours = primary.facts.timeline.filter(|ours| theirs < *ours)?;
    Some((Reason::Starting, format!("the standby still follows timeline {theirs}, the primary is on {ours}")))
}

/// A standby of `replication: archive`.
pub(super) fn log_shipping(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> Verdict {
    let Some(primary) = view.primary else {
        let (silent, reason) = standby::silent_primary(view, name);
        let cause = standby::cause(view, &silent, reason);
        return Verdict::unproven(reason, format!("{silent} cannot be asked: {cause}"), Some(own.asked));
    };
    let unproven = |reason, text: String| Verdict::unproven(reason, format!("{name}: {text}"), Some(primary.asked));
    if let Some((reason, text)) = wrong_timeline(own, primary) {
        return unproven(reason, text);
    }
    let Some(replayed) = own.standby.replay_lsn else {
        return unproven(Reason::Starting, "the standby has replayed nothing yet".to_owned());
    };
    // a default is right: no declared delay excuses nothing.
    let delay = standby::apply_delay(view, name, Some(own)).unwrap_or_default();
    let period = view.channel.archive_period.saturating_add(delay);
    match shipped_ago(view, name, primary, replayed, period) {
        Shipped::Yes => Verdict::proven(primary.asked),
        Shipped::Late(wanted) => unproven(
            Reason::ArchiveLate,
            format!(
                "replay stands at {replayed}{}, and the primary could have shipped {wanted} {} ago: look at the primary's \
                 archive_command (pg_stat_archiver) and at restore_command in the standby's log",
                held_back(own),
                short_duration(period)
            ),
        ),
        Shipped::TooEarly => unproven(
            Reason::NotSeenYet,
            format!("the primary has not been watched for {} yet, and not all is replayed", short_duration(period)),
        ),
    }
}

/// What keeps replay from going on, where that is not the archive.
fn held_back(own: Own<'_>) -> &'static str {
    match own.standby.startup_wait_event.as_deref() {
        _ if own.standby.replay_paused == Some(true) => " (it is paused)",
        Some("RecoveryApplyDelay") => " (recovery_min_apply_delay holds it back)",
        _ => "",
    }
}

/// A standby of a streaming pair replays what came by no stream: written after its receiver had gone, beyond all that it received.
pub(super) fn restores(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> bool {
    restoring_since(view, name, own).is_some()
}

fn restoring_since(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> Option<(Moment, Moment)> {
    let primary = view.primary?;
    let feed = memory(view, name)?;
    let (alone, replayed) = (feed.alone?, own.standby.replay_lsn?);
    let beyond = alone.beyond?.max(own.standby.receive_lsn.unwrap_or(Lsn(0)));
    if replayed <= beyond || wrong_timeline(own, primary).is_some() {
        return None;
    }
    let moved_until = feed.replayed.and_then(|(_, moved)| moved).map(|moved| moved + FILE_WITHIN);
    match shipped_ago(view, name, primary, replayed, FILE_WITHIN) {
        Shipped::Yes => Some((alone.since, view.now + FILE_WITHIN)),
        _ => moved_until.filter(|until| view.now < *until).map(|until| (alone.since, until)),
    }
}

/// A warning for a quarter of an hour; then not proven. The moment at which that changes comes with it.
pub(super) fn restoring(view: &Surroundings<'_>, name: &Name, own: Own<'_>) -> Option<(Verdict, Moment)> {
    let (since, until) = restoring_since(view, name, own)?;
    let ends = since + MAY_RESTORE;
    let asked = view.primary.map_or(own.asked, |primary| primary.asked);
    let alone = short_duration(view.now.since(since));
    let text = format!("{name} has had no stream for {alone} and restores WAL from the archive");
    let verdict = if view.now < ends {
        Verdict::warned(Reason::RestoringFromArchive, text, asked)
    } else {
        let cure = "bring its stream back; if it is to be fed by files, write `replication: archive`";
        Verdict::unproven(Reason::RestoringFromArchive, format!("{text}: {cure}"), Some(asked))
    };
    Some((verdict, until.min(ends)))
}
