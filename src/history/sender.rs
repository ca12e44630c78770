//! One walsender's and one receiver's signs of life, from reading to reading.

use std::time::Duration;

use crate::clock::Moment;
use crate::evidence::SenderKey;
use crate::facts::{Opaque, Walsender};
use crate::history::pulse::PulseWait;
use crate::units::Lsn;

/// Readings further apart than this say nothing about when a time stamp changed between them.
pub(super) const GAP: Duration = Duration::from_secs(10);

/// A time stamp of another clock, and since when (on ours) it is known to have changed.
///
/// A change seen between two readings happened *after the earlier request left*, so that moment is the only proven one.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    stamp: Option<Opaque>,
    /// This stamp, or that there is none, was first seen at this moment.
    pub since: Moment,
    /// The other side was alive at this moment or later; `None` until a change was seen.
    pub proven: Option<Moment>,
}

/// What is remembered of one walsender.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderMemory {
    /// The standby's replies.
    pub beat: Beat,
    pub(super) moved: (Option<Lsn>, Option<Lsn>),
    /// Write, flush or reply changed at this moment or later.
    pub progress: Moment,
    /// The pulse that it has not answered.
    pub pulse: PulseWait,
}

/// The identity of a row of `pg_stat_replication`.
pub fn sender_key(row: &Walsender) -> SenderKey {
    (row.pid, row.backend_start.clone())
}

impl Beat {
    /// A stamp that was not there in the reading before: it is at least as new as `since`, if that is recent at all.
    pub(super) fn first(stamp: Option<Opaque>, since: Option<Moment>, asked: Moment) -> Self {
        let proven = since.filter(|_| stamp.is_some());
        Self { stamp, since: asked, proven }
    }

    /// The stamp of the next reading.
    pub(super) fn next(&mut self, stamp: Option<&Opaque>, last_good: Moment, asked: Moment) {
        if asked.since(last_good) > GAP {
            *self = Self { stamp: stamp.cloned(), since: asked, proven: None };
        } else if stamp.is_some() && self.stamp.as_ref() != stamp {
            *self = Self { stamp: stamp.cloned(), since: asked, proven: Some(last_good) };
        }
    }
}

/// The moment before `asked` that another machine's own clock gives as an age; a negative age means that its clock was set.
pub(super) fn own_clock(asked: Moment, age: Option<f64>) -> Option<Moment> {
    let age = Duration::try_from_secs_f64(age?).ok()?;
    Some(asked.back(age))
}

impl SenderMemory {
    pub(super) fn next(mut self, row: &Walsender, position: Option<Lsn>, last_good: Moment, asked: Moment) -> Self {
        let (proven, moved) = (self.beat.proven, (row.write, row.flush));
        let mut has_moved = false;
        self.beat.next(row.reply_time.as_ref(), last_good, asked);
        if asked.since(last_good) > GAP {
            self.progress = asked;
            self.pulse = PulseWait::default();
        } else if self.moved != moved || self.beat.proven != proven {
            self.progress = last_good;
            has_moved = true;
        }
        // While nothing has moved, what was known of its life is from before the pulse, or has answered it already.
        let alive = has_moved.then_some(self.progress);
        self.pulse.read(row, position, has_moved, alive, asked);
        self.moved = moved;
        self
    }
}
