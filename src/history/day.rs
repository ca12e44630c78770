//! The last day of a pair, for the question "what happened last night": levels and numbers by the minute, and each change of a
//! level. Bounded: a minute takes the same room whatever happens in it.

mod saved;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, WallTime};
use crate::level::Level;
use crate::names::{Channel, Reason};
use crate::snapshot::{Sample, View};

pub use saved::SavedDay;

/// What one point stands for.
pub const STEP: Duration = Duration::from_secs(60);
/// Points that are kept: those of 24 hours.
pub const POINTS: usize = 1440;
/// Changes of a level that are kept, here and in the state file.
pub const CHANGES: usize = 300;

/// What is kept of a channel's numbers.
struct Numbers {
    channel: Channel,
    /// The metric of each, and how it is called in the document.
    named: &'static [(&'static str, &'static str)],
    /// As of a percentage of what is there.
    less_is_worse: bool,
}

static NUMBERS: [Numbers; 4] = [
    Numbers {
        channel: Channel::Postgres,
        named: &[("standby_replication_lag_bytes", "lag_bytes"), ("standby_replication_lag_seconds", "lag_seconds")],
        less_is_worse: false,
    },
    Numbers {
        channel: Channel::Config,
        named: &[("standby_config_sync_age_seconds", "age_seconds")],
        less_is_worse: false,
    },
    Numbers {
        channel: Channel::Kvstore,
        named: &[("standby_kvstore_round_trip_seconds", "round_trip_seconds")],
        less_is_worse: false,
    },
    Numbers {
        channel: Channel::Search,
        named: &[("standby_search_active_shards_percent", "active_shards_percent")],
        less_is_worse: true,
    },
];

impl Numbers {
    fn of(channel: Channel) -> impl Iterator<Item = &'static Self> {
        NUMBERS.iter().filter(move |numbers| numbers.channel == channel)
    }

    const fn fold(&self) -> fn(f64, f64) -> f64 {
        if self.less_is_worse { f64::min } else { f64::max }
    }
}

/// How a channel's numbers are called, in the order of [`Slot::numbers`].
pub fn names_of(channel: Channel) -> impl Iterator<Item = &'static str> {
    Numbers::of(channel).flat_map(|numbers| numbers.named).map(|(_, name)| *name)
}

/// The worst of one channel within one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slot {
    /// `None` where the channel is not configured.
    pub level: Option<Level>,
    /// Of what was known; `None` if nothing was.
    pub numbers: [Option<f64>; 2],
}

/// A moment that may lie before the boot, by a day at most: counted from there on. Minutes of another boot are put where wall time says
/// that they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Begun(Duration);

/// What is kept.
const DAY: Duration = Duration::from_hours(24);

impl Begun {
    fn at(moment: Moment) -> Self {
        Self(moment.since_boot().saturating_add(DAY))
    }

    /// Zero if it lies ahead.
    fn ago(self, now: Moment) -> Duration {
        Self::at(now).0.saturating_sub(self.0)
    }
}

/// One minute in which somebody looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    begun: Begun,
    /// When it began, for people.
    pub wall: WallTime,
    slots: [Slot; 4],
}

impl Point {
    /// What was seen of a channel.
    pub fn slot(&self, channel: Channel) -> Slot {
        self.slots[channel as usize]
    }
}

/// A channel's level changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub time: WallTime,
    /// Of which channel.
    pub channel: Channel,
    /// From this; `None` where the agent has just started.
    pub was: Option<Level>,
    /// To this.
    pub level: Level,
    /// Why; `None` only when ok.
    pub reason: Option<Reason>,
}

/// The day of one pair.
#[derive(Clone, Debug, Default)]
pub struct Day {
    points: VecDeque<Point>,
    changes: VecDeque<Change>,
    told: [Option<Level>; 4],
}

impl Day {
    /// Goes on from what was saved.
    pub fn restored(changes: Vec<Change>) -> Self {
        let surplus = changes.len().saturating_sub(CHANGES);
        Self { changes: changes.into_iter().skip(surplus).collect(), ..Self::default() }
    }

    /// Takes in a view. True if a level changed.
    pub fn record(&mut self, view: &View, complete: bool) -> bool {
        if !complete && self.told == [None; 4] {
            // An agent that has just started has not heard of everything yet.
            return false;
        }
        let mut slots = [Slot::default(); 4];
        let mut changed = false;
        for channel in &view.channels {
            let numbers = numbers_of(channel.channel, &view.samples);
            slots[channel.channel as usize] = Slot { level: Some(channel.level), numbers };
            let was = self.told[channel.channel as usize].replace(channel.level);
            if was != Some(channel.level) {
                changed = true;
                let (time, level, reason) = (view.made_wall, channel.level, channel.reason);
                push_bounded(&mut self.changes, Change { time, channel: channel.channel, was, level, reason }, CHANGES);
            }
        }
        let now = Begun::at(view.made);
        match self.points.back_mut().filter(|point| now >= point.begun && point.begun.ago(view.made) < STEP) {
            Some(point) => {
                for (channel, (slot, new)) in Channel::ALL.iter().zip(point.slots.iter_mut().zip(slots)) {
                    *slot = worse(*channel, *slot, new);
                }
            }
            None => {
                // Room for a day at once: growing by doubling would take twice as much.
                self.points.reserve_exact(POINTS.saturating_sub(self.points.len()));
                push_bounded(&mut self.points, Point { begun: now, wall: view.made_wall, slots }, POINTS);
            }
        }
        changed
    }

    /// The minutes in which somebody looked, the oldest first; none older than a day before `now`.
    pub fn points(&self, now: Moment) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.begun.ago(now) <= DAY)
    }

    /// How long ago the oldest of these minutes began.
    pub fn reaches_back(&self, now: Moment) -> Option<Duration> {
        self.points(now).next().map(|point| point.begun.ago(now))
    }

    /// The last `count` steps of a channel, the oldest first: the worst of each. A step in which nobody looked has no level.
    pub fn folded(&self, channel: Channel, now: Moment, step: Duration, count: usize) -> Vec<Slot> {
        let mut folded = vec![Slot::default(); count];
        for point in self.points(now) {
            let steps_ago = point.begun.ago(now).as_secs().checked_div(step.as_secs());
            let steps_ago = steps_ago.and_then(|steps| usize::try_from(steps).ok());
            let place = steps_ago.and_then(|steps| count.checked_sub(steps)?.checked_sub(1));
            if let Some(slot) = place.and_then(|place| folded.get_mut(place)) {
                *slot = worse(channel, *slot, point.slot(channel));
            }
        }
        folded
    }

    /// Every change of a level, the oldest first.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter()
    }

    /// The room that it takes, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.points.capacity() * size_of::<Point>() + self.changes.capacity() * size_of::<Change>()
    }
}

fn push_bounded<T>(all: &mut VecDeque<T>, new: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(new);
}

/// The worst over nodes and standbys of what is exported now.
fn numbers_of(channel: Channel, samples: &[Sample]) -> [Option<f64>; 2] {
    let mut found = [None; 2];
    for numbers in Numbers::of(channel) {
        for (number, (metric, _)) in found.iter_mut().zip(numbers.named) {
            let own = samples.iter().filter(|sample| sample.metric == *metric).map(|sample| sample.value);
            *number = own.reduce(numbers.fold());
        }
    }
    found
}

fn worse(channel: Channel, one: Slot, other: Slot) -> Slot {
    let mut worst = Slot { level: one.level.max(other.level), numbers: [None; 2] };
    for numbers in Numbers::of(channel) {
        for (at, number) in worst.numbers.iter_mut().enumerate() {
            *number = one.numbers[at].into_iter().chain(other.numbers[at]).reduce(numbers.fold());
        }
    }
    worst
}

/// A day that the hub writes and requests read. Each holds it for microseconds only.
#[derive(Clone, Debug, Default)]
pub struct SharedDay(Arc<Mutex<Day>>);

impl SharedDay {
    /// Around a day.
    pub fn new(day: Day) -> Self {
        Self(Arc::new(Mutex::new(day)))
    }

    /// Does something with it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Day) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::{PairEvidence, Roles};
    use crate::names::Name;
    use crate::snapshot::{ChannelView, Labels};

    fn nothing_known() -> PairEvidence {
        PairEvidence {
            roles: Roles::default(),
            postgres: None,
            config: None,
            kvstore: None,
            search: None,
            peers: Vec::new(),
            readiness: None,
            machines: Vec::new(),
            parity: Vec::new(),
            flaps: Vec::new(),
            next_change: None,
        }
    }

    fn view(second: u64, level: Level, lag: Option<f64>) -> View {
        let made = Moment::after_boot(Duration::from_secs(second));
        view_at(made, WallTime(1e9 + made.since_boot().as_secs_f64()), level, lag)
    }

    /// Of a pair with PostgreSQL only.
    pub(crate) fn view_at(made: Moment, made_wall: WallTime, level: Level, lag: Option<f64>) -> View {
        let channel = ChannelView { channel: Channel::Postgres, level, reason: None, detail: None, as_of: Some(made) };
        let sample = lag.map(|value| Sample { metric: "standby_replication_lag_bytes", labels: Labels::new(), value });
        View {
            pair: Name::new("catalog"),
            made,
            made_wall,
            level,
            channels: vec![channel],
            evidence: nothing_known(),
            probes: Vec::new(),
            samples: sample.into_iter().collect(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn a_minute_has_the_worst_of_what_was_seen_in_it() {
        let mut day = Day::default();
        assert!(!day.record(&view(0, Level::Unknown, None), false), "not before everything was asked once");
        day.record(&view(1, Level::Ok, Some(5.0)), true);
        day.record(&view(2, Level::Unknown, None), true);
        day.record(&view(30, Level::Ok, Some(7.0)), true);
        day.record(&view(61, Level::Ok, Some(1.0)), true);
        day.record(&view(300, Level::Unknown, None), true);
        let now = Moment::after_boot(Duration::from_secs(300));
        let seen: Vec<_> = day.points(now).map(|point| point.slot(Channel::Postgres)).collect();
        let slot = |level, number| Slot { level: Some(level), numbers: [number, None] };
        // From 122 s to 299 s nobody looked: no point, and no number where nothing is known.
        let expected = [slot(Level::Unknown, Some(7.0)), slot(Level::Ok, Some(1.0)), slot(Level::Unknown, None)];
        assert_eq!(seen, expected);
        assert_eq!(day.points(now).next().map(|point| point.slot(Channel::Search)), Some(Slot::default()));
        let changes: Vec<_> = day.changes().map(|change| (change.was, change.level)).collect();
        let (ok, unknown) = (Level::Ok, Level::Unknown);
        assert_eq!(changes, [(None, ok), (Some(ok), unknown), (Some(unknown), ok), (Some(ok), unknown)]);
    }

    #[test]
    fn a_day_is_kept_and_stays_within_its_room() {
        let mut day = Day::default();
        for second in (0..3 * 24 * 3600).step_by(20) {
            let level = if second % 60 == 0 { Level::Ok } else { Level::Critical };
            day.record(&view(second, level, Some(1.0)), true);
        }
        let end = Moment::after_boot(Duration::from_secs(3 * 24 * 3600));
        assert_eq!((day.points(end).count(), day.changes().count()), (POINTS, CHANGES));
        println!("{} bytes", day.size());
        assert!(day.size() <= 512 * 1024, "{} bytes", day.size());
        let much_later = end + Duration::from_hours(20);
        assert!(day.points(much_later).count() <= 4 * 60 + 1, "nothing older than a day");
    }

    #[test]
    fn changes_go_on_after_a_restart() {
        let mut day = Day::default();
        day.record(&view(1, Level::Critical, None), true);
        let saved: Vec<Change> = day.changes().cloned().collect();
        let json = serde_json::to_string(&saved).expect("JSON");
        let mut again = Day::restored(serde_json::from_str(&json).expect("reads back"));
        again.record(&view(100, Level::Ok, None), true);
        let changes: Vec<_> = again.changes().map(|change| (change.was, change.level)).collect();
        assert_eq!(changes, [(None, Level::Critical), (None, Level::Ok)], "the second start is seen as one");
        let many = vec![saved[0].clone(); CHANGES + 50];
        let newest = again.changes().next_back().cloned();
        let restored = Day::restored(many.into_iter().chain(newest.clone()).collect());
        assert_eq!((restored.changes().count(), restored.changes().next_back()), (CHANGES, newest.as_ref()));
    }

    #[test]
    fn once_told_a_level_is_told_though_something_new_is_still_to_be_asked() {
        let mut day = Day::default();
        assert!(day.record(&view(1, Level::Ok, None), true));
        assert!(day.record(&view(2, Level::Critical, None), false));
        assert_eq!(day.changes().count(), 2);
    }

    #[test]
    fn of_several_nodes_the_worst_number_is_kept() {
        let of = |channel, metric, values: [f64; 3]| {
            let samples = values.map(|value| Sample { metric, labels: Labels::new(), value });
            numbers_of(channel, &samples)[0]
        };
        assert_eq!(of(Channel::Search, "standby_search_active_shards_percent", [90.0, 40.0, 100.0]), Some(40.0));
        assert_eq!(of(Channel::Postgres, "standby_replication_lag_bytes", [1.0, 9.0, 3.0]), Some(9.0));
    }
}
