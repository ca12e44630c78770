//! How far each rule's alert has come. Changed only where rules are judged; saved, so that a restart forgets nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, WallTime};
use crate::names::{Channel, RuleName, Severity};
use crate::snapshot::FindingState;

/// An alert of which nothing was heard for so long is over, for whoever is told: each is pushed with an end so far ahead.
pub const TOLD_FOR: Duration = Duration::from_secs(180);

/// Which alert a timer belongs to. One rule may have two severities, and one rule over all channels has an alert of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertKey {
    /// The alert's name.
    pub rule: RuleName,
    /// Its severity.
    pub severity: Severity,
    /// Its channel, if it has one.
    pub channel: Option<Channel>,
}

/// One alert that is pending, firing or kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timer {
    /// Which alert.
    pub key: AlertKey,
    /// Since when the condition is met.
    pub since: Moment,
    /// The same on the wall clock.
    pub since_wall: WallTime,
    /// The hold time ran out while the condition was met.
    pub firing: bool,
    /// Since when the condition is no longer met, while the alert is kept firing.
    pub kept_since: Option<Moment>,
    /// The value that last met the condition; `None` if it was infinite.
    pub value: Option<f64>,
    /// As it was when somebody looked last: see [`RuleTimers::stand_still`].
    #[serde(skip)]
    pub stands: Option<Stands>,
}

/// What an alert is while nobody can look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// What it was.
    AsItWas,
    /// It fired so long ago that it is over for whoever was told: it may not begin again before somebody has looked.
    Quiet,
}

impl Timer {
    /// Met for the first time.
    pub const fn new(key: AlertKey, since: Moment, since_wall: WallTime) -> Self {
        Self { key, since, since_wall, firing: false, kept_since: None, value: None, stands: None }
    }

    /// How far the alert has come.
    pub const fn state(&self) -> FindingState {
        if matches!(self.stands, Some(Stands::Quiet)) {
            return FindingState::Pending;
        }
        match (self.firing, self.kept_since) {
            (false, _) => FindingState::Pending,
            (true, None) => FindingState::Firing,
            (true, Some(_)) => FindingState::Kept,
        }
    }
}

/// The timers of one pair.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleTimers {
    timers: Vec<Timer>,
    /// Since when some of them stand still.
    #[serde(skip)]
    standing: Option<Moment>,
}

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// What time is counted in.
    pub now: Moment,
    /// What is shown.
    pub wall: WallTime,
}

impl RuleTimers {
    /// The channels of those alerts of this rule and severity that have a timer.
    pub fn channels_of(&self, rule: RuleName, severity: Severity) -> impl Iterator<Item = Option<Channel>> + '_ {
        let own = move |timer: &&Timer| timer.key.rule == rule && timer.key.severity == severity;
        self.timers.iter().filter(own).map(|timer| timer.key.channel)
    }

    /// Forgets the timers that `wanted` refuses: those of rules that were switched off.
    pub fn retain(&mut self, wanted: impl Fn(AlertKey) -> bool) {
        self.timers.retain(|timer| wanted(timer.key));
    }

    /// The condition is met with this value: pending, and firing once it has been met for `hold`, as Prometheus counts
    /// (`rules/alerting.go`: fires at the first evaluation at which the time since the first one is at least `hold`).
    pub fn met(&mut self, key: AlertKey, value: f64, hold: Duration, instant: Instant) -> &Timer {
        let index = self.timers.iter().position(|timer| timer.key == key).unwrap_or_else(|| {
            self.timers.push(Timer::new(key, instant.now, instant.wall));
            self.timers.len() - 1
        });
        let timer = &mut self.timers[index];
        if timer.stands.is_some() {
            return timer;
        }
        timer.value = value.is_finite().then_some(value);
        timer.kept_since = None;
        timer.firing |= instant.now.since(timer.since) >= hold;
        timer
    }

    /// The condition is not met: a pending alert ends, a firing one is kept for less than `keep`.
    pub fn not_met(&mut self, key: AlertKey, keep: Duration, now: Moment) -> Option<&Timer> {
        let index = self.timers.iter().position(|timer| timer.key == key)?;
        let timer = &mut self.timers[index];
        if timer.stands.is_some() {
            return self.timers.get(index);
        }
        let kept_since = *timer.kept_since.get_or_insert(now);
        if timer.firing && now.since(kept_since) < keep {
            return self.timers.get(index);
        }
        self.timers.swap_remove(index);
        None
    }

    /// Nobody looked for `gap`, until now (the agent was stopped, the machine was paused). As in Prometheus after a
    /// restart, that time does not count towards a hold time: it proves nothing.
    pub fn unobserved(&mut self, gap: Duration) {
        for timer in &mut self.timers {
            if !timer.firing {
                timer.put_off(gap);
            } else if gap > TOLD_FOR {
                timer.stands = Some(Stands::Quiet);
            }
        }
    }

    /// From `now` on nobody can look (nothing has been asked yet): alerts that there are neither end nor come further, and that time
    /// does not count. Else each restart would end what still goes on, or fire what has ended.
    pub fn stand_still(&mut self, now: Moment) {
        if self.timers.is_empty() {
            return;
        }
        self.standing.get_or_insert(now);
        for timer in &mut self.timers {
            timer.stands.get_or_insert(Stands::AsItWas);
        }
    }

    /// Since when some alerts stand still.
    pub const fn standing(&self) -> Option<Moment> {
        self.standing
    }

    /// From `now` on somebody looks again.
    pub fn look(&mut self, now: Moment) {
        let Some(since) = self.standing.take() else { return };
        let gap = now.since(since);
        for timer in self.timers.iter_mut().filter(|timer| timer.stands.is_some()) {
            timer.stands = None;
            if !timer.firing {
                timer.put_off(gap);
            }
            timer.kept_since = timer.kept_since.map(|kept| kept + gap);
        }
    }
}

impl Timer {
    fn put_off(&mut self, gap: Duration) {
        self.since = self.since + gap;
        self.since_wall = WallTime(self.since_wall.0 + gap.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: AlertKey =
        AlertKey { rule: RuleName::PostgresLagHigh, severity: Severity::Warning, channel: Some(Channel::Postgres) };

    fn at(seconds: u64) -> Instant {
        let now = Moment::after_boot(Duration::from_secs(seconds));
        Instant { now, wall: WallTime(1000.0 + now.since_boot().as_secs_f64()) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pending_for_its_hold_time_then_firing_then_kept_then_gone() {
        let mut timers = RuleTimers::default();
        let hold = seconds(60);
        assert_eq!(timers.met(KEY, 7.0, hold, at(100)).state(), FindingState::Pending);
        assert_eq!(timers.met(KEY, 7.0, hold, at(159)).state(), FindingState::Pending);
        assert_eq!(timers.met(KEY, 8.0, hold, at(160)).state(), FindingState::Firing);
        let kept = timers.not_met(KEY, seconds(30), at(170).now).cloned().expect("kept");
        assert_eq!((kept.state(), kept.since, kept.value), (FindingState::Kept, at(100).now, Some(8.0)));
        assert!(timers.not_met(KEY, seconds(30), at(199).now).is_some());
        assert!(timers.not_met(KEY, seconds(30), at(200).now).is_none());
        assert_eq!(timers, RuleTimers::default());
    }

    #[test]
    fn a_pending_alert_ends_at_once_and_begins_anew() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, 1.0, seconds(60), at(0));
        assert!(timers.not_met(KEY, seconds(30), at(59).now).is_none());
        assert_eq!(timers.met(KEY, 1.0, seconds(60), at(60)).state(), FindingState::Pending);
    }

    #[test]
    fn met_again_while_kept_goes_on_firing() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, 1.0, Duration::ZERO, at(0));
        timers.not_met(KEY, seconds(30), at(10).now);
        assert_eq!(timers.met(KEY, 1.0, Duration::ZERO, at(20)).state(), FindingState::Firing);
        assert!(timers.not_met(KEY, seconds(30), at(49).now).is_some(), "kept anew, from now");
    }

    #[test]
    fn a_restart_forgets_nothing_and_time_without_looking_does_not_count() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, f64::INFINITY, seconds(60), at(100));
        let saved = serde_json::to_string(&timers).expect("JSON");
        let mut restored: RuleTimers = serde_json::from_str(&saved).expect("reads back");
        assert_eq!(restored, timers);
        restored.unobserved(seconds(3600));
        assert_eq!(restored.met(KEY, 1.0, seconds(60), at(3730)).state(), FindingState::Pending);
        assert_eq!(restored.met(KEY, 1.0, seconds(60), at(3760)).state(), FindingState::Firing);
    }

    #[test]
    fn while_nobody_looks_nothing_ends_and_nothing_comes_further() {
        let mut timers = RuleTimers::default();
        timers.stand_still(at(0).now);
        assert_eq!(timers, RuleTimers::default(), "nothing stands where there is nothing");
        timers.met(KEY, 1.0, seconds(60), at(0));
        timers.stand_still(at(50).now);
        assert!(timers.not_met(KEY, Duration::ZERO, at(55).now).is_some(), "it does not end");
        assert_eq!(timers.met(KEY, 1.0, seconds(60), at(70)).state(), FindingState::Pending, "it does not fire");
        timers.look(at(70).now);
        assert_eq!(timers.met(KEY, 1.0, seconds(60), at(79)).state(), FindingState::Pending);
        assert_eq!(timers.met(KEY, 1.0, seconds(60), at(80)).state(), FindingState::Firing, "50 s, and 10 more");
        timers.stand_still(at(90).now);
        assert_eq!(timers.not_met(KEY, Duration::ZERO, at(91).now).map(Timer::state), Some(FindingState::Firing));
        timers.look(at(92).now);
        assert!(timers.not_met(KEY, Duration::ZERO, at(92).now).is_none(), "now it is known to be over");
    }

    #[test]
    fn what_was_over_for_others_does_not_begin_again_before_somebody_has_looked() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, 1.0, Duration::ZERO, at(0));
        let mut soon = timers.clone();
        soon.unobserved(TOLD_FOR);
        soon.stand_still(at(180).now);
        assert_eq!(soon.met(KEY, 1.0, Duration::ZERO, at(181)).state(), FindingState::Firing, "it goes on");
        timers.unobserved(TOLD_FOR + seconds(1));
        timers.stand_still(at(181).now);
        assert_eq!(timers.met(KEY, 1.0, Duration::ZERO, at(182)).state(), FindingState::Pending, "nobody knows");
        timers.look(at(183).now);
        assert_eq!(timers.met(KEY, 1.0, Duration::ZERO, at(183)).state(), FindingState::Firing, "it was not over");
    }

    #[test]
    fn what_fires_goes_on_though_a_site_makes_its_hold_time_longer() {
        let mut timers = RuleTimers::default();
        assert_eq!(timers.met(KEY, 1.0, seconds(10), at(0)).state(), FindingState::Pending);
        assert_eq!(timers.met(KEY, 1.0, seconds(10), at(10)).state(), FindingState::Firing);
        assert_eq!(timers.met(KEY, 1.0, seconds(3600), at(11)).state(), FindingState::Firing);
    }

    #[test]
    fn standing_still_counts_from_its_beginning_and_stretches_what_is_kept() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, 1.0, Duration::ZERO, at(0));
        timers.not_met(KEY, seconds(30), at(10).now);
        timers.stand_still(at(20).now);
        timers.stand_still(at(50).now);
        timers.look(at(60).now);
        assert!(timers.not_met(KEY, seconds(30), at(79).now).is_some(), "10 s before, 19 s after");
        assert!(timers.not_met(KEY, seconds(30), at(80).now).is_none());
    }

    #[test]
    fn a_beginning_that_is_put_off_is_put_off_on_both_clocks() {
        let mut timers = RuleTimers::default();
        timers.met(KEY, 1.0, seconds(60), at(0));
        timers.unobserved(seconds(100));
        let timer = timers.met(KEY, 1.0, seconds(60), at(110));
        assert_eq!((timer.since, timer.since_wall), (at(100).now, at(100).wall));
    }
}
