//! The last day of a pair as small plots, and what changed in it.

use std::time::Duration;

use crate::clock::Moment;
use crate::history::day::{Day, Slot};
use crate::names::Channel;
use crate::view::history::TransitionDocument;

/// So many changes are shown; all of them are in the history.
const CHANGES: usize = 6;
/// What a plot may reach over, and in how many steps: the shortest that holds all that was seen. A step is longer than a minute, so
/// that none is empty only because the minutes that are kept do not begin with it.
const SPANS: [(Duration, usize); 3] =
    [(Duration::from_hours(1), 30), (Duration::from_hours(6), 72), (Duration::from_hours(24), 144)];

/// One channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Which.
    pub channel: Channel,
    /// All the steps together.
    pub span: Duration,
    /// The worst of each step, the oldest first; its first number is the one that is drawn.
    pub steps: Vec<Slot>,
}

/// One pair.
#[derive(Clone, Debug, Default)]
pub struct PairDay {
    /// Its channels that somebody looked at.
    pub plots: Vec<Plot>,
    /// The last changes of a level, the newest first.
    pub changes: Vec<TransitionDocument>,
}

impl PairDay {
    /// As it is known at `now`.
    pub fn new(day: &Day, now: Moment) -> Self {
        let [shortest, .., longest] = SPANS;
        let (span, count) = match day.reaches_back(now) {
            Some(back) => SPANS.into_iter().find(|(span, _)| back < *span).unwrap_or(longest),
            None => shortest,
        };
        let step = Duration::from_secs(span.as_secs() / count as u64);
        let plots = Channel::ALL.iter().map(|channel| {
            let steps = day.folded(*channel, now, step, count);
            Plot { channel: *channel, span, steps }
        });
        Self {
            plots: plots.filter(|plot| plot.steps.iter().any(|slot| slot.level.is_some())).collect(),
            changes: day.changes().rev().take(CHANGES).map(TransitionDocument::new).collect(),
        }
    }
}

impl Plot {
    /// The number that is drawn, step by step.
    pub fn numbers(&self) -> impl Iterator<Item = Option<f64>> {
        self.steps.iter().map(|slot| slot.numbers[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::view::fixture;

    fn at(minute: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(1000 + 60 * minute))
    }

    /// Ok for so many minutes, and unknown in some of them.
    fn day(minutes: u64, unknown: std::ops::Range<u64>) -> Day {
        let mut day = Day::default();
        let mut views = [fixture::ok(), fixture::unknown()];
        for view in &mut views {
            view.samples = fixture::samples(view);
        }
        for minute in 0..minutes {
            let view = &mut views[usize::from(unknown.contains(&minute))];
            view.made = at(minute);
            day.record(view, true);
        }
        day
    }

    fn levels(plot: &Plot) -> Vec<Option<Level>> {
        plot.steps.iter().map(|slot| slot.level).collect()
    }

    #[test]
    fn a_young_agent_s_plot_is_an_hour_long_and_a_day_s_has_all_of_it() {
        let told = PairDay::new(&day(20, 5..7), at(19));
        assert_eq!(told.plots.len(), 4);
        let plot = &told.plots[0];
        assert_eq!((plot.channel, plot.span, plot.steps.len()), (Channel::Postgres, Duration::from_hours(1), 30));
        assert_eq!(levels(plot)[..20], [None; 20], "before the agent was there");
        let seen: Vec<_> = levels(plot)[20..].iter().copied().flatten().collect();
        assert_eq!((seen.len(), seen.iter().filter(|level| **level == Level::Unknown).count()), (10, 2), "{seen:?}");
        assert_eq!(plot.numbers().last(), Some(Some(4096.0)), "the lag");
        let whole = PairDay::new(&day(2000, 1000..1030), at(1999));
        let plot = &whole.plots[0];
        assert_eq!((plot.span, plot.steps.len()), (Duration::from_hours(24), 144));
        assert!(levels(plot).iter().all(Option::is_some), "no gap where somebody looked each minute");
        let none = plot.steps.iter().filter(|slot| slot.level == Some(Level::Unknown) && slot.numbers[0].is_none());
        assert_eq!(none.count(), 3, "no number while nothing is known: in the three steps of ten minutes");
        assert_eq!(whole.changes.len(), 6);
        assert_eq!(PairDay::new(&Day::default(), at(0)).plots, [], "nothing before anybody looked");
    }
}
