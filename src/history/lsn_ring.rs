//! Where the primary's WAL stood and when: the memory that turns bytes of lag into seconds.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::units::Lsn;

/// How fine and how far each tier remembers: 1 s for 2 min, 10 s for 1 h, 1 min for 24 h.
const TIERS: [(Duration, Duration); 3] = [
    (Duration::from_secs(1), Duration::from_secs(120)),
    (Duration::from_secs(10), Duration::from_secs(3600)),
    (Duration::from_secs(60), Duration::from_secs(86_400)),
];

/// A place is filled this much early, so that probes which run each second with jitter do not skip every other one.
const SLACK: Duration = Duration::from_millis(400);

/// How long ago the primary passed a position, in seconds before the newest entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passed {
    /// Between two looks that followed each other: about so long ago if it wrote evenly between them, and at most since the earlier.
    Ago { about: f64, at_most: f64 },
    /// While nobody looked, or longer ago than anything remembered: at least so long ago. When it was then, nothing tells; not before
    /// the last look before it, where there is one.
    AtLeast { at_least: f64, at_most: Option<f64> },
}

impl Passed {
    /// Certainly no longer ago than that; `None`: not known.
    pub const fn at_most(self) -> Option<f64> {
        match self {
            Self::Ago { at_most, .. } => Some(at_most),
            Self::AtLeast { at_most, .. } => at_most,
        }
    }
}

/// Entries that are further apart have a hole between them: the coarsest step, and a lost reading or two.
const HOLE: Duration = Duration::from_secs(90);

/// Where the primary stood at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stood {
    /// There.
    At(Lsn),
    /// There or before: what is remembered begins later, or has a hole.
    AtMost(Lsn),
}

impl Stood {
    /// The position, or the bound of it.
    pub const fn bound(self) -> Lsn {
        match self {
            Self::At(lsn) | Self::AtMost(lsn) => lsn,
        }
    }
}

/// A ring of (moment, position), at most 1,920 of them. Positions only grow; a position that falls begins a new ring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LsnRing {
    #[serde(with = "compact")]
    tiers: [VecDeque<(Moment, Lsn)>; 3],
    newest: Option<(Moment, Lsn)>,
}

impl LsnRing {
    /// Remembers that the primary stood at `lsn` at `at`.
    pub fn push(&mut self, at: Moment, lsn: Lsn) {
        if self.newest.is_some_and(|(when, before)| lsn < before || at < when) {
            *self = Self::default();
        }
        self.newest = Some((at, lsn));
        for (tier, (step, span)) in self.tiers.iter_mut().zip(TIERS) {
            let due = tier.back().is_none_or(|(last, _)| at.since(*last) + SLACK >= step);
            if due {
                tier.push_back((at, lsn));
            }
            while tier.front().is_some_and(|(first, _)| at.since(*first) > span) {
                tier.pop_front();
            }
        }
    }

    /// Seconds from the moment that the primary passed `lsn` to the newest entry. Two looks that are further apart than `gap`, and than
    /// what a tier keeps, have a time between them in which nobody looked. `None` while nothing is remembered.
    pub fn passed(&self, lsn: Lsn, gap: Duration) -> Option<Passed> {
        let (newest_at, newest) = self.newest?;
        let ago = |moment: Moment| newest_at.since(moment).as_secs_f64();
        if lsn >= newest {
            return Some(Passed::Ago { about: 0.0, at_most: 0.0 });
        }
        let mut after = (newest_at, newest);
        for (tier, (step, _)) in self.tiers.iter().zip(TIERS) {
            let seen = after.0;
            for &(at, position) in tier.iter().rev().filter(|(at, _)| *at <= seen) {
                if position <= lsn {
                    let at_most = ago(at);
                    return Some(if after.0.since(at) <= step + gap {
                        Passed::Ago { about: ago(between((at, position), after, lsn)), at_most }
                    } else {
                        Passed::AtLeast { at_least: ago(after.0), at_most: Some(at_most) }
                    });
                }
                after = (at, position);
            }
        }
        Some(Passed::AtLeast { at_least: ago(after.0), at_most: None })
    }

    /// Where the primary stood so long before the newest entry. `None` while nothing is remembered.
    pub fn stood(&self, ago: Duration) -> Option<Stood> {
        let newest = self.newest?;
        let then = newest.0.back(ago);
        let (mut before, mut after) = (None, newest);
        for tier in &self.tiers {
            let next = tier.partition_point(|(at, _)| *at <= then);
            before = before.max(next.checked_sub(1).and_then(|last| tier.get(last)).copied());
            after = after.min(tier.get(next).copied().unwrap_or(newest));
        }
        match before {
            _ if after.0 <= then => Some(Stood::At(after.1)),
            Some(before) if after.0.since(before.0) <= HOLE => {
                let share = then.since(before.0).as_secs_f64() / after.0.since(before.0).as_secs_f64();
                Some(Stood::At(along(before.1, after.1, share)))
            }
            _ => Some(Stood::AtMost(after.1)),
        }
    }

    /// The newest entry.
    pub const fn newest(&self) -> Option<(Moment, Lsn)> {
        self.newest
    }

    /// Nothing was forgotten yet, since less than a day is known: what is older was never seen.
    pub fn is_young(&self) -> bool {
        let (_, longest) = TIERS[TIERS.len() - 1];
        let first = self.tiers.iter().filter_map(VecDeque::front).map(|(at, _)| *at).min();
        self.newest.zip(first).is_none_or(|((newest, _), first)| newest.since(first) < longest.mul_f64(0.9))
    }

    /// False for what cannot have been saved by an agent at or before `now`: moments and positions must grow.
    pub fn is_sound(&self, now: Moment) -> bool {
        let grows = |tier: &VecDeque<(Moment, Lsn)>| {
            tier.iter().zip(tier.iter().skip(1)).all(|(one, next)| one.0 <= next.0 && one.1 <= next.1)
        };
        let newest = self.newest.map_or((Moment::after_boot(Duration::ZERO), Lsn(0)), |newest| newest);
        let last = self.tiers.iter().filter_map(VecDeque::back).all(|(at, lsn)| *at <= newest.0 && *lsn <= newest.1);
        self.tiers.iter().all(grows) && last && newest.0 <= now
    }

    /// Bytes per second over the last minute, or over as much of it as is remembered, at least five seconds.
    pub fn rate(&self) -> Option<f64> {
        let (newest_at, newest) = self.newest?;
        let (at, lsn) = self.tiers[0].iter().find(|(at, _)| newest_at.since(*at) <= Duration::from_secs(60))?;
        let span = newest_at.since(*at).as_secs_f64();
        (span >= 5.0).then(|| newest.bytes_after(*lsn).as_f64() / span)
    }
}

/// Thousands of entries: as pairs of numbers, nanoseconds since boot and bytes.
mod compact {
    use std::collections::VecDeque;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Moment;
    use crate::units::Lsn;

    type Tiers = [VecDeque<(Moment, Lsn)>; 3];

    pub(super) fn serialize<S: Serializer>(tiers: &Tiers, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = |at: &Moment| u64::try_from(at.since_boot().as_nanos()).unwrap_or(u64::MAX);
        let plain = tiers.each_ref().map(|tier| tier.iter().map(|(at, lsn)| (nanos(at), lsn.0)).collect::<Vec<_>>());
        plain.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tiers, D::Error> {
        let plain = <[Vec<(u64, u64)>; 3]>::deserialize(deserializer)?;
        let entry = |(nanos, lsn)| (Moment::after_boot(Duration::from_nanos(nanos)), Lsn(lsn));
        Ok(plain.map(|tier| tier.into_iter().map(entry).collect()))
    }
}

/// The position at this share of the way between two, which is taken as even.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of the bytes between two positions"
)]
fn along(before: Lsn, after: Lsn, share: f64) -> Lsn {
    let way = (after.bytes_after(before).as_f64() * share.clamp(0.0, 1.0)) as u64;
    Lsn(before.0.saturating_add(way)).min(after)
}

/// The moment of passing `lsn`, taking the way between two entries as even.
fn between(before: (Moment, Lsn), after: (Moment, Lsn), lsn: Lsn) -> Moment {
    let way = after.1.bytes_after(before.1).as_f64();
    if way <= 0.0 {
        return before.0;
    }
    let share = (lsn.bytes_after(before.1).as_f64() / way).clamp(0.0, 1.0);
    before.0 + after.0.since(before.0).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn ring(entries: impl IntoIterator<Item = (u64, u64)>) -> LsnRing {
        let mut ring = LsnRing::default();
        for (seconds, lsn) in entries {
            ring.push(at(seconds), Lsn(lsn));
        }
        ring
    }

    /// What may lie between two looks that follow each other.
    const GAP: Duration = Duration::from_secs(6);

    fn passed(ring: &LsnRing, lsn: u64) -> Option<Passed> {
        ring.passed(Lsn(lsn), GAP)
    }

    fn ago(passed: Option<Passed>) -> f64 {
        match passed {
            Some(Passed::Ago { about, at_most }) if about <= at_most => about,
            other => panic!("{other:?}"),
        }
    }

    const NOW: Option<Passed> = Some(Passed::Ago { about: 0.0, at_most: 0.0 });

    #[test]
    fn caught_up_is_zero_on_an_idle_primary() {
        assert_eq!(passed(&ring((0..100).map(|s| (s, 500))), 500), NOW);
        assert_eq!(passed(&ring([(0, 5)]), 9), NOW, "ahead of an older reading is caught up to it");
    }

    #[test]
    fn a_long_idle_time_before_a_burst_does_not_count_as_lag() {
        let ring = ring((0..50).map(|s| (s, 1000)).chain([(50, 2000), (51, 2000)]));
        assert!((ago(passed(&ring, 1000)) - 2.0).abs() < 0.01, "{:?}", passed(&ring, 1000));
        assert!((ago(passed(&ring, 1500)) - 1.5).abs() < 0.01);
    }

    #[test]
    fn coarser_tiers_answer_for_older_times() {
        let ring = ring((0..7200).map(|s| (s, s * 10)));
        for seconds_ago in [1.0, 60.0, 600.0, 3000.0, 7000.0] {
            let told = passed(&ring, ((7199.0 - seconds_ago) * 10.0) as u64);
            assert!((ago(told) - seconds_ago).abs() < 1.0, "{seconds_ago}: {told:?}");
        }
    }

    #[test]
    fn where_it_stood_is_told_as_far_as_it_is_remembered() {
        let even = ring((0..7200).map(|s| (s, s * 10)));
        for ago in [0_u64, 1, 60, 119, 300, 3500, 7000] {
            let Some(Stood::At(lsn)) = even.stood(Duration::from_secs(ago)) else { panic!("{ago}") };
            assert!(lsn.0.abs_diff((7199 - ago) * 10) <= 10, "{ago} s ago at {lsn}");
        }
        let young = ring((100..130).map(|s| (s, s)));
        assert_eq!(young.stood(Duration::from_secs(60)), Some(Stood::AtMost(Lsn(100))), "it begins later");
        let hole = ring((0..100).chain(1000..1010).map(|s| (s, s)));
        assert_eq!(hole.stood(Duration::from_secs(300)), Some(Stood::AtMost(Lsn(1000))), "nobody looked");
        assert_eq!(hole.stood(Duration::from_secs(949)), Some(Stood::At(Lsn(60))), "before the hole");
        let idle = ring((0..1000).map(|s| (s, 7)));
        assert_eq!(idle.stood(Duration::from_secs(300)), Some(Stood::At(Lsn(7))));
        assert_eq!(LsnRing::default().stood(Duration::from_secs(1)), None);
    }

    #[test]
    fn older_than_the_memory_is_at_least() {
        let ring = ring([(100, 1000), (101, 1100)]);
        assert_eq!(passed(&ring, 10), Some(Passed::AtLeast { at_least: 1.0, at_most: None }));
        assert_eq!(passed(&LsnRing::default(), 10), None);
    }

    #[test]
    fn what_was_passed_while_nobody_looked_is_told_by_its_bounds_only() {
        // Nobody looked for a minute; evenly taken, 1500 would have been passed half a minute into it.
        let mut ring = ring((0..=100).chain(160..=170).map(|s| (s, if s <= 100 { 1000 } else { 2000 })));
        let told = Some(Passed::AtLeast { at_least: 10.0, at_most: Some(70.0) });
        assert_eq!(passed(&ring, 1500), told);
        assert_eq!(
            passed(&ring, 1000),
            told,
            "all of it may have come right after the last look, or right before the next"
        );
        // A slower schedule has no hole there, and the same bound.
        let slow = ring.passed(Lsn(1500), Duration::from_secs(90));
        assert_eq!(slow, Some(Passed::Ago { about: 40.0, at_most: 70.0 }));
        // Much later the coarser tiers know the minute, too.
        for second in 171..4000 {
            ring.push(at(second), Lsn(2000 + second));
        }
        let Some(Passed::AtLeast { at_least, at_most: Some(at_most) }) = passed(&ring, 1500) else { panic!() };
        assert!(at_least <= 3999.0 - 160.0 && at_most >= 3999.0 - 100.0, "{at_least}, {at_most}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// However it was looked at, and whenever it wrote: the bounds hold what was so.
        #[test]
        fn the_true_age_lies_within_the_bounds(
            steps in proptest::collection::vec((1_u64..200, 0_u64..50), 1..400),
            looks in proptest::collection::vec(1_usize..30, 400),
            lsn in 0_u64..4000,
        ) {
            let (mut second, mut position, mut skip) = (0, 0, 0);
            let (mut ring, mut left) = (LsnRing::default(), None);
            for ((wait, wrote), look) in steps.iter().zip(looks) {
                // It stands at `position` until this second, and writes then.
                second += wait;
                if left.is_none() && position <= lsn && position + wrote > lsn {
                    left = Some(second);
                }
                position += wrote;
                if skip == 0 {
                    ring.push(at(second), Lsn(position));
                    skip = look / 4;
                } else {
                    skip -= 1;
                }
            }
            let Some((newest, _)) = ring.newest() else { return Ok(()) };
            // a default is right: it has not left it yet.
            let truth = left.map_or(0.0, |left| newest.since(at(left).min(newest)).as_secs_f64());
            match ring.passed(Lsn(lsn), GAP) {
                Some(Passed::Ago { at_most, .. }) => proptest::prop_assert!(truth <= at_most, "{truth} > {at_most}"),
                Some(Passed::AtLeast { at_least, at_most }) => proptest::prop_assert!(
                    at_least <= truth && at_most.is_none_or(|at_most| truth <= at_most),
                    "{truth} is not within {at_least} and {at_most:?}"
                ),
                None => {}
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_a_new_history_begins_where_positions_fall() {
        let mut ring = ring((0..200_000).map(|s| (s, s)));
        assert!(
            ring.tiers.iter().map(VecDeque::len).sum::<usize>() <= 1_925,
            "{:?}",
            ring.tiers.each_ref().map(VecDeque::len)
        );
        ring.push(at(200_001), Lsn(5));
        assert_eq!(passed(&ring, 4), Some(Passed::AtLeast { at_least: 0.0, at_most: None }));
    }

    #[test]
    fn it_reads_back_as_it_was_saved_and_goes_on() {
        let before = ring((0..5000).map(|s| (s, s * 1000)));
        let text = serde_json::to_string(&before).unwrap();
        assert!(text.len() < 40_000, "{}", text.len());
        let mut back: LsnRing = serde_json::from_str(&text).unwrap();
        assert_eq!(back, before);
        // The agent was away for 20 s; replay has stood still for 100 s.
        back.push(at(5020), Lsn(5_020_000));
        assert!((ago(passed(&back, 4_920_000)) - 100.0).abs() < 1.0, "{:?}", passed(&back, 4_920_000));
    }

    #[test]
    fn what_no_agent_can_have_saved_is_not_sound() {
        let ring = ring((0..100).map(|s| (s, s)));
        assert!(ring.is_sound(at(99)) && LsnRing::default().is_sound(at(0)));
        assert!(!ring.is_sound(at(98)), "from the future");
        let text = serde_json::to_string(&ring).unwrap();
        let mixed = text.replacen("[[[0,0]", "[[[99000000000,0]", 1);
        assert_ne!(mixed, text);
        assert!(!serde_json::from_str::<LsnRing>(&mixed).unwrap().is_sound(at(200)), "moments that fall");
    }

    #[test]
    fn a_day_fills_it() {
        assert!(ring((0..1000).map(|s| (s, s))).is_young());
        assert!(!ring((0..90_000).map(|s| (s, s))).is_young());
    }

    #[test]
    fn the_rate_is_bytes_per_second() {
        assert_eq!(ring((0..30).map(|s| (s, s * 1000))).rate(), Some(1000.0));
        assert_eq!(ring((0..3).map(|s| (s, s * 1000))).rate(), None, "too short a time to tell");
    }

    #[test]
    fn caught_up_is_zero_also_between_two_entries() {
        let mut ring = ring([(0, 500)]);
        ring.push(at(0) + Duration::from_millis(300), Lsn(500));
        assert_eq!(passed(&ring, 500), NOW);
    }

    #[test]
    fn a_moment_that_falls_begins_a_new_ring_too() {
        let mut ring = ring((100..150).map(|s| (s, s)));
        ring.push(at(20), Lsn(160));
        assert_eq!(passed(&ring, 120), Some(Passed::AtLeast { at_least: 0.0, at_most: None }));
        assert!(ring.is_sound(at(20)));
    }

    #[test]
    fn readings_that_come_a_little_early_fill_each_second() {
        let mut ring = LsnRing::default();
        for tick in 0..100_u64 {
            let early = Duration::from_millis(if tick % 2 == 0 { 0 } else { 200 });
            ring.push((at(10) + Duration::from_secs(tick)).back(early), Lsn(tick));
        }
        assert_eq!(ring.tiers[0].len(), 100);
    }

    #[test]
    fn positions_that_fall_and_a_newest_that_is_not_the_last_are_not_sound() {
        let mut falls = ring((0..100).map(|s| (s, s)));
        falls.tiers[0][3].1 = Lsn(90);
        assert!(!falls.is_sound(at(200)));
        let mut older = ring((0..100).map(|s| (s, s)));
        older.newest = Some((at(50), Lsn(50)));
        assert!(!older.is_sound(at(200)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let stood_then_wrote = ring((0..=120).map(|s: u64| (s, 5 + s.saturating_sub(60) * 1000)));
        assert_eq!(stood_then_wrote.rate(), Some(1000.0));
    }
}
