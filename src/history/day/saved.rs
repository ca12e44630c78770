//! The minutes of a day as they are saved: some 40 bytes for each channel of each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Begun, DAY, Day, POINTS, Point, Slot};
use crate::clock::{Moment, WallTime};
use crate::level::Level;
use crate::names::Channel;

/// The minutes of one pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedDay {
    /// When each began on the boot clock, the same on the wall clock, both in milliseconds; what was seen of each channel.
    points: Vec<(i64, i64, [Option<SavedSlot>; Channel::ALL.len()])>,
}

/// The level's code and the numbers; `None` for what was not known.
type SavedSlot = (u8, Option<f64>, Option<f64>);

impl SavedDay {
    /// Nobody has looked.
    pub const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Where its minutes lie for who reads them at `now`, which is `wall` for people: those of this boot on the boot clock, which nobody
    /// can set; those of another one, which may have been saved on another machine's, on the wall clock. What would lie ahead, or
    /// longer ago than a day, is not taken: a gap is better than a minute in the wrong place.
    fn placed(self, same_boot: bool, now: Moment, wall: WallTime) -> Vec<Point> {
        let placed = |(begun, at, slots): (i64, i64, [Option<SavedSlot>; 4])| {
            let at = WallTime(from_millis(at)?);
            let ago = if same_boot {
                Duration::try_from_secs_f64(now.since_boot().as_secs_f64() - from_millis(begun)?)
            } else {
                Duration::try_from_secs_f64(wall.0 - at.0)
            };
            let ago = ago.ok().filter(|ago| *ago <= DAY)?;
            let begun = Begun(Begun::at(now).0.saturating_sub(ago));
            let mut point = Point { begun, wall: at, slots: [Slot::default(); 4] };
            for (slot, saved) in point.slots.iter_mut().zip(slots) {
                let Some((code, one, other)) = saved else { continue };
                let level = Level::ALL.iter().copied().find(|level| level.code() == code)?;
                *slot = Slot { level: Some(level), numbers: [one, other] };
            }
            Some(point)
        };
        let mut points: Vec<_> = self.points.into_iter().filter_map(placed).collect();
        points.sort_by_key(|point| point.begun);
        points.drain(..points.len().saturating_sub(POINTS));
        points
    }
}

impl Day {
    /// The minutes, to be saved.
    pub fn saved(&self) -> SavedDay {
        let slot = |slot: &Slot| slot.level.map(|level| (level.code(), slot.numbers[0], slot.numbers[1]));
        let saved = |point: &Point| {
            let begun = millis(point.begun.0.as_secs_f64() - DAY.as_secs_f64());
            (begun, millis(point.wall.0), point.slots.each_ref().map(slot))
        };
        SavedDay { points: self.points.iter().map(saved).collect() }
    }

    /// Puts the minutes that an agent before this one has saved before those of its own.
    pub fn go_on_from(&mut self, saved: SavedDay, same_boot: bool, now: Moment, wall: WallTime) {
        let mut points = saved.placed(same_boot, now, wall);
        let first = self.points.front().map(|point| point.begun);
        points.retain(|point| first.is_none_or(|first| point.begun < first));
        points.extend(self.points.drain(..));
        points.drain(..points.len().saturating_sub(POINTS));
        self.points.reserve_exact(POINTS);
        self.points.extend(points);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it saturates, far from any time")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// `None` for what is no time: a file may hold anything.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of centuries are exact")]
fn from_millis(millis: i64) -> Option<f64> {
    const CENTURIES: i64 = 1 << 46;
    (-CENTURIES..=CENTURIES).contains(&millis).then(|| millis as f64 / 1000.0)
}
