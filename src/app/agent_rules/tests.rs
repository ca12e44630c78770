//! Alerts about the agent itself over a restart, and over a time in which it stood still.

use std::collections::BTreeMap;

use super::*;
use crate::names::RuleName;
use crate::snapshot::{FindingState, Labels};
use crate::view::fixture;

/// Fires after a quarter of an hour.
const FAILING: &str = RuleName::AgentProbeFailing.as_str();
/// Fires at once.
const NOT_RELOADED: &str = RuleName::AgentReloadFailed.as_str();

fn at(second: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000 + second))
}

fn wall(second: u64) -> WallTime {
    WallTime(1e9 + second as f64)
}

/// An agent with one pair.
struct Agent {
    rules: AgentRules,
    course: Course,
    pair: watch::Sender<Arc<Snapshot>>,
}

impl Agent {
    /// Started at this second with these timers; nothing of its pair was asked yet.
    fn started(second: u64, timers: RuleTimers) -> Self {
        let book = Arc::new(RuleBook::new(&BTreeMap::new()));
        let rules = AgentRules::new((at(second), wall(second)), book.clone());
        let (pair, snapshots) = watch::channel(Arc::new(Self::snapshot(false)));
        rules.judge(book, Arc::from([snapshots]));
        Self { rules, course: Course::resumed(timers, at(second), wall(second)), pair }
    }

    fn snapshot(complete: bool) -> Snapshot {
        let mut view = fixture::unknown();
        // Samples come from the test.
        view.samples.clear();
        Snapshot::new(1, complete, view.clone(), move || view, at(1_000_000))
    }

    fn asked_all(self) -> Self {
        self.pair.send_replace(Arc::new(Self::snapshot(true)));
        self
    }

    /// Looks each five seconds; the probe brings something, and the configuration was read, or not.
    fn looks(&mut self, seconds: std::ops::RangeInclusive<u64>, probe: bool, reload: bool) {
        let sample = |metric, up| Sample { metric, labels: Labels::new(), value: f64::from(u8::from(up)) };
        let own = [sample("standby_probe_up", probe), sample("standby_agent_reload_successful", reload)];
        for second in seconds.step_by(5) {
            self.rules.judge_once(&mut self.course, &own, at(second), wall(second));
        }
    }

    /// How far an alert is, and since which second.
    fn told(&self, rule: &str) -> Option<(FindingState, u64)> {
        let found = self.rules.found().borrow().clone();
        let finding = found.iter().find(|finding| finding.rule == rule)?;
        Some((finding.state, finding.since.since(at(0)).as_secs()))
    }

    /// Ends, and another one begins after `gap` seconds, with what was saved.
    fn restarted(self, second: u64, gap: u64) -> Self {
        let text = serde_json::to_string(&self.course.timers).expect("JSON");
        let mut timers: RuleTimers = serde_json::from_str(&text).expect("reads back");
        timers.unobserved(Duration::from_secs(gap));
        Self::started(second, timers)
    }
}

#[test]
fn a_hold_time_goes_on_over_a_restart_less_what_nobody_saw() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=600, false, true);
    assert_eq!(agent.told(FAILING), Some((FindingState::Pending, 0)));
    let mut agent = agent.restarted(610, 10);
    agent.looks(610..=620, false, true);
    assert_eq!(agent.told(FAILING).map(|told| told.0), Some(FindingState::Pending));
    let mut agent = agent.asked_all();
    agent.looks(625..=920, false, true);
    assert_eq!(agent.told(FAILING), Some((FindingState::Pending, 25)), "10 s, and 15 until all was asked");
    agent.looks(925..=925, false, true);
    assert_eq!(agent.told(FAILING).map(|told| told.0), Some(FindingState::Firing));
}

#[test]
fn what_fires_fires_on_until_all_was_asked() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=1000, false, true);
    assert_eq!(agent.told(FAILING), Some((FindingState::Firing, 0)));
    let mut agent = agent.restarted(1010, 10);
    // Nothing says that it fails, nor that it does not.
    agent.looks(1010..=1030, true, true);
    assert_eq!(agent.told(FAILING), Some((FindingState::Firing, 0)));
    let mut agent = agent.asked_all();
    agent.looks(1035..=1035, true, true);
    assert_eq!(agent.told(FAILING), None, "it is over");
}

#[test]
fn what_can_never_be_asked_ends_no_later_than_half_a_minute_on() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=0, true, false);
    let mut agent = agent.restarted(5, 5);
    agent.looks(5..=30, true, true);
    assert_eq!(agent.told(NOT_RELOADED).map(|told| told.0), Some(FindingState::Firing));
    agent.looks(35..=35, true, true);
    assert_eq!(agent.told(NOT_RELOADED), None);
}

#[test]
fn an_alert_that_was_over_for_others_is_not_told_again_unseen() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=0, true, false);
    let mut agent = agent.restarted(1000, 1000);
    agent.looks(1000..=1000, true, true);
    assert_eq!(agent.told(NOT_RELOADED).map(|told| told.0), Some(FindingState::Pending));
}

#[test]
fn a_time_in_which_the_agent_stood_still_fires_nothing() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=800, false, true);
    // Stopped until 1000. What was asked before has run out then, so that its probe counts as failing.
    agent.looks(1000..=1000, false, true);
    assert_eq!(agent.told(FAILING).map(|told| told.0), Some(FindingState::Pending));
    agent.looks(1005..=1035, true, true);
    assert_eq!(agent.told(FAILING), None, "nobody was called for what had ended");
}

#[tokio::test]
async fn what_is_saved_is_how_far_the_alerts_are() {
    let agent = Agent::started(0, RuleTimers::default()).asked_all();
    let (state, mut saved) = watch::channel(Saved::default());
    let own = || vec![Sample { metric: "standby_agent_reload_successful", labels: Labels::new(), value: 0.0 }];
    tokio::select! {
        () = agent.rules.run(state, own) => {}
        changed = saved.changed() => changed.expect("it judges"),
    }
    let severity = crate::names::Severity::Warning;
    assert!(saved.borrow().timers.channels_of(RuleName::AgentReloadFailed, severity).eq([None]));
}

#[test]
fn after_a_pause_of_the_machine_nothing_ends_before_it_was_looked_at_again() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=1000, false, true);
    assert_eq!(agent.told(FAILING), Some((FindingState::Firing, 0)));
    let good = [Sample { metric: "standby_probe_up", labels: Labels::new(), value: 1.0 }];
    // Boot time stood still for a minute. What is shown may still be from before.
    for second in (1005..1035).step_by(5) {
        agent.rules.judge_once(&mut agent.course, &good, at(second), wall(second + 60));
        assert_eq!(agent.told(FAILING), Some((FindingState::Firing, 0)), "after {second} s");
    }
    agent.rules.judge_once(&mut agent.course, &good, at(1035), wall(1095));
    assert_eq!(agent.told(FAILING), None);
}

#[test]
fn a_time_in_which_it_stood_still_ends_nothing_and_counts_towards_nothing() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=1000, false, true);
    agent.looks(1100..=1100, true, true);
    assert!(agent.told(FAILING).is_some(), "what is shown has run out");
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=800, false, true);
    agent.looks(1000..=1100, false, true);
    assert_eq!(agent.told(FAILING).map(|told| told.0), Some(FindingState::Pending), "800 s and 70 were seen");
    agent.looks(1105..=1140, false, true);
    assert_eq!(agent.told(FAILING).map(|told| told.0), Some(FindingState::Firing));
}

#[test]
fn the_next_look_comes_when_a_hold_time_runs_out_and_what_a_channel_explains_is_told() {
    let mut agent = Agent::started(0, RuleTimers::default()).asked_all();
    agent.looks(0..=890, false, true);
    let bad = [Sample { metric: "standby_probe_up", labels: Labels::new(), value: 0.0 }];
    let pause = agent.rules.judge_once(&mut agent.course, &bad, at(898), wall(898));
    assert_eq!(pause, Duration::from_secs(2));
    let mut view = fixture::unknown();
    view.samples.clear();
    let rule = RuleName::ReplicationUnknown.as_str();
    view.findings = vec![Finding { rule, state: FindingState::Firing, ..fixture::watchdog() }];
    agent.pair.send_replace(Arc::new(Snapshot::new(2, true, view.clone(), move || view, at(1_000_000))));
    agent.looks(900..=900, false, true);
    let found = agent.rules.found().borrow().clone();
    let told = found.iter().find(|finding| finding.rule == FAILING).expect("it fires");
    assert_eq!((told.state, told.explained_by), (FindingState::Firing, Some(rule)));
}
