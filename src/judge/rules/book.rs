//! The rules as a site has set them, and their judgement over one pair's samples.

use std::collections::BTreeMap;
use std::time::Duration;

use super::catalogue::{RULES, Rule};
use super::condition::About;
use super::description::{Filling, render};
use super::explains::explain;
use crate::clock::{Moment, WallTime};
use crate::config::{PairConfig, RuleSetting};
use crate::history::rules::{AlertKey, Instant, RuleTimers, Timer};
use crate::names::{Name, RuleName};
use crate::snapshot::{ByMetric, Finding, FindingState};

/// In place of a sentence with numbers, while nobody can look.
const STANDS: &str = "(So it was when it was seen last; it has not been looked at again yet.)";

/// One rule as this site has set it.
#[derive(Clone, Copy, Debug)]
pub struct BookedRule {
    /// What the catalogue says.
    pub rule: &'static Rule,
    /// In place of the catalogue's.
    pub hold: Duration,
    /// In place of the catalogue's.
    pub threshold: Option<f64>,
}

/// The rules that are switched on, with the site's settings.
#[derive(Clone, Debug)]
pub struct RuleBook {
    rules: Vec<BookedRule>,
}

impl RuleBook {
    /// The catalogue with a site's settings, by alert name; a setting holds for each severity of that name. The
    /// configuration has checked that the names exist and that only rules with a threshold are given one.
    pub fn new(settings: &BTreeMap<String, RuleSetting>) -> Self {
        let booked = |rule: &'static Rule| {
            // a default is right: what a site does not set stays as the catalogue says.
            let setting = settings.get(rule.name.as_str()).copied().unwrap_or_default();
            setting.enabled.unwrap_or(true).then(|| BookedRule {
                rule,
                hold: setting.hold.unwrap_or(rule.hold),
                threshold: rule.threshold.map(|default| setting.threshold.unwrap_or(default)),
            })
        };
        Self { rules: RULES.iter().filter_map(booked).collect() }
    }

    /// The rules, in the order of the catalogue.
    pub fn rules(&self) -> &[BookedRule] {
        &self.rules
    }

    /// Judges the rules about a pair over its samples, at an instant not before the last one. Gives what is pending,
    /// firing or kept, in the order of the catalogue, and the next moment at which a hold time runs out by itself.
    pub fn evaluate(
        &self,
        pair: &PairConfig,
        samples: &ByMetric<'_>,
        timers: &mut RuleTimers,
        now: Moment,
        wall: WallTime,
    ) -> (Vec<Finding>, Option<Moment>) {
        let mut findings = Vec::new();
        let mut next: Option<Moment> = None;
        timers.retain(|key| self.rules.iter().any(|booked| booked.judges(key)));
        for booked in self.rules.iter().filter(|booked| booked.rule.about != About::Agent) {
            for timer in booked.advance(samples, timers, Instant { now, wall }) {
                next = next.into_iter().chain(booked.runs_out(&timer)).min();
                findings.push(booked.finding(&pair.name, &timer));
            }
        }
        explain(&mut findings);
        (findings, next)
    }

    /// Judges the rules about the agent itself over its own samples and those of all its pairs, as [`Self::evaluate`] does
    /// those about a pair. The dead-man's switch is not among them.
    pub fn evaluate_agent(
        &self,
        samples: &ByMetric<'_>,
        timers: &mut RuleTimers,
        now: Moment,
        wall: WallTime,
    ) -> (Vec<Finding>, Option<Moment>) {
        let (nobody, mut findings) = (Name::new(""), Vec::new());
        let mut next: Option<Moment> = None;
        timers.retain(|key| self.rules.iter().any(|booked| booked.judges(key)));
        for booked in self.rules.iter().filter(|booked| booked.rule.is_about_the_agent_s_samples()) {
            for timer in booked.advance(samples, timers, Instant { now, wall }) {
                next = next.into_iter().chain(booked.runs_out(&timer)).min();
                findings.push(booked.finding(&nobody, &timer));
            }
        }
        (findings, next)
    }

    /// The dead-man's switch, one for the whole agent: fires from its start on, unless it is switched off.
    pub fn watchdog(&self, started: Moment, started_wall: WallTime) -> Option<Finding> {
        let booked = self.rules.iter().find(|booked| booked.rule.name == RuleName::Watchdog)?;
        let timer = Timer {
            key: AlertKey { rule: RuleName::Watchdog, severity: booked.rule.severity, channel: None },
            since: started,
            since_wall: started_wall,
            firing: true,
            kept_since: None,
            value: Some(1.0),
            stands: None,
        };
        Some(booked.finding(&Name::new(""), &timer))
    }
}

impl BookedRule {
    /// Whether this is the rule of an alert.
    fn judges(&self, key: AlertKey) -> bool {
        self.rule.name == key.rule && self.rule.severity == key.severity
    }

    /// Brings the timers of this rule's alerts up to date; gives those that are left, in the order of channels.
    fn advance(&self, samples: &ByMetric<'_>, timers: &mut RuleTimers, instant: Instant) -> Vec<Timer> {
        let Rule { name: rule, severity, about, condition, keep, .. } = *self.rule;
        let met = condition.met(about, self.threshold, samples);
        let mut channels: Vec<_> = met.channels().chain(timers.channels_of(rule, severity)).collect();
        channels.sort_unstable();
        channels.dedup();
        let advanced = |channel| {
            let key = AlertKey { rule, severity, channel };
            match met.of(channel) {
                Some(value) => Some(timers.met(key, value, self.hold, instant).clone()),
                None => timers.not_met(key, keep, instant.now).cloned(),
            }
        };
        channels.into_iter().filter_map(advanced).collect()
    }

    /// When the alert's state changes if the samples do not.
    fn runs_out(&self, timer: &Timer) -> Option<Moment> {
        if timer.stands.is_some() {
            return None;
        }
        match timer.state() {
            FindingState::Pending => Some(timer.since + self.hold),
            FindingState::Firing => None,
            FindingState::Kept => timer.kept_since.map(|since| since + self.rule.keep),
        }
    }

    fn finding(&self, pair: &Name, timer: &Timer) -> Finding {
        let channel = timer.key.channel;
        let filling = Filling { pair, channel, value: timer.value, threshold: self.threshold, hold: self.hold };
        Finding {
            rule: self.rule.name.as_str(),
            severity: self.rule.severity,
            channel,
            state: timer.state(),
            since: timer.since,
            since_wall: timer.since_wall,
            summary: self.rule.summary,
            description: match timer.stands {
                None => render(self.rule.description, &filling),
                // No number of before may be shown.
                Some(_) => format!("{} {STANDS}", self.rule.summary),
            },
            remedy: self.rule.remedy,
            reason: self.rule.reason,
            explained_by: None,
        }
    }
}
