//! How far each rule's alert has come. Changed only where rules are judged; saved, so that a restart forgets nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, WallTime};
use crate::names::{Channel, RuleName, Severity};
use crate::snapshot::FindingState;

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
}

impl Timer {
    /// How far the alert has come.
    pub const fn state(&self) -> FindingState {
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
    pub fn channels_of(&self, rule: RuleName, severity: Severity) -> Vec<Option<Channel>> {
        let own = |timer: &&Timer| timer.key.rule == rule && timer.key.severity == severity;
        self.timers.iter().filter(own).map(|timer| timer.key.channel).collect()
    }

    /// Forgets the timers that `wanted` refuses: those of rules that were switched off.
    pub fn retain(&mut self, wanted: impl Fn(AlertKey) -> bool) {
        self.timers.retain(|timer| wanted(timer.key));
    }

    /// The condition is met with this value: pending, and firing once it has been met for `hold`, as Prometheus counts
    /// (`rules/alerting.go`: fires at the first evaluation at which the time since the first one is at least `hold`).
    pub fn met(&mut self, key: AlertKey, value: f64, hold: Duration, instant: Instant) -> &Timer {
        let index = self.timers.iter().position(|timer| timer.key == key).unwrap_or_else(|| {
            let Instant { now, wall } = instant;
            self.timers.push(Timer { key, since: now, since_wall: wall, firing: false, kept_since: None, value: None });
            self.timers.len() - 1
        });
        let timer = &mut self.timers[index];
        timer.value = value.is_finite().then_some(value);
        timer.kept_since = None;
        timer.firing |= instant.now.since(timer.since) >= hold;
        timer
    }

    /// The condition is not met: a pending alert ends, a firing one is kept for less than `keep`.
    pub fn not_met(&mut self, key: AlertKey, keep: Duration, now: Moment) -> Option<&Timer> {
        let index = self.timers.iter().position(|timer| timer.key == key)?;
        let timer = &mut self.timers[index];
        let kept_since = *timer.kept_since.get_or_insert(now);
        if timer.firing && now.since(kept_since) < keep {
            return self.timers.get(index);
        }
        self.timers.swap_remove(index);
        None
    }

    /// The alerts of `before` that are gone, or kept only for a while, are again as they were: that they are not met was not seen. `passed`
    /// has gone by since.
    pub fn give_back(&mut self, before: Self, passed: Duration) {
        for timer in before.timers {
            match self.timers.iter_mut().find(|own| own.key == timer.key) {
                Some(own) => own.kept_since = own.kept_since.and(timer.kept_since),
                None => {
                    let mut gone = Self { timers: vec![timer] };
                    gone.unobserved(passed);
                    self.timers.append(&mut gone.timers);
                }
            }
        }
    }

    /// Nobody looked for `gap`, until now (the agent was stopped, the machine was paused). As in Prometheus after a
    /// restart, that time does not count towards a hold time: it proves nothing.
    pub fn unobserved(&mut self, gap: Duration) {
        for timer in self.timers.iter_mut().filter(|timer| !timer.firing) {
            timer.since = timer.since + gap;
            timer.since_wall = WallTime(timer.since_wall.0 + gap.as_secs_f64());
        }
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
}
