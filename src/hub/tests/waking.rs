//! What becomes of alerts while nobody can look: over a restart, a pause, a time in which the hub stood still, a mistake of ours.

use super::*;
use crate::history::rules::RuleTimers;
use crate::snapshot::FindingState;

/// `ReplayPaused` fires at once, `NoPrimary` after 30 s.
const PAUSED: &str = "StandbyPostgresReplayPaused";
const NO_PRIMARY: &str = "StandbyPostgresNoPrimary";

fn paused(beat: u32) -> PostgresFacts {
    let mut facts = standby(beat);
    if let PostgresRole::Standby(standby) = &mut facts.role {
        standby.replay_paused = Some(true);
    }
    facts
}

fn refused() -> Result<PostgresFacts, Failure> {
    Err(Failure::new(FailureKind::Refused, "refused"))
}

impl Timeline {
    fn both(&mut self, seconds: f64, alpha: Result<PostgresFacts, Failure>, beta: Result<PostgresFacts, Failure>) {
        self.advance(seconds, vec![told("alpha", seconds, alpha), told("beta", seconds, beta)]);
    }

    /// Ends, and begins again with what was saved, `gap` seconds later by the state file's count.
    fn restarted(self, seconds: f64, gap: u64) -> Self {
        let pair = self.core.pair.clone();
        let mut saved = self.core.hand_over();
        saved.timers.unobserved(Duration::from_secs(gap));
        let mut next = Self::of_postgres();
        let common =
            Common { rules: Arc::new(RuleBook::new(&BTreeMap::new())), state_directory: PathBuf::new(), keeping: None };
        let state = watch::channel(Saved::default()).0;
        (next.core, next.snapshot) =
            Core::new(pair, &common, saved, state, (at(seconds), WallTime(next.offset + seconds)));
        next
    }

    /// How far a rule's alert has come, and since when.
    fn told_of(&self, rule: &str, seconds: f64) -> Option<(FindingState, Moment)> {
        let findings = &self.snapshot.at(at(seconds)).findings;
        findings.iter().find(|finding| finding.rule == rule).map(|finding| (finding.state, finding.since))
    }
}

fn with_a_paused_replay() -> Timeline {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    timeline.both(6.0, Ok(primary(6)), Ok(paused(6)));
    assert_eq!(timeline.told_of(PAUSED, 6.0), Some((FindingState::Firing, at(6.0))));
    timeline
}

#[test]
fn an_alert_that_fires_goes_on_over_a_restart_until_it_is_known_to_be_over() {
    let mut timeline = with_a_paused_replay().restarted(8.0, 2);
    assert_eq!(timeline.told_of(PAUSED, 8.0), Some((FindingState::Firing, at(6.0))), "nobody has looked");
    let numbers = |timeline: &Timeline| {
        let findings = &timeline.snapshot.at(at(8.0)).findings;
        findings.iter().any(|finding| finding.rule == PAUSED && finding.description.contains("catalog"))
    };
    assert!(!numbers(&timeline), "no sentence of before, in which there may be numbers");
    timeline.advance(8.5, vec![told("alpha", 8.5, Ok(primary(8)))]);
    assert!(timeline.told_of(PAUSED, 8.5).is_some(), "the standby was not asked yet");
    for second in 9..=12_u32 {
        timeline.both(f64::from(second), Ok(primary(second)), Ok(paused(second)));
    }
    assert_eq!(timeline.told_of(PAUSED, 12.0), Some((FindingState::Firing, at(6.0))), "since when it did");
    assert!(numbers(&timeline));
    timeline.healthy(13, 14);
    assert_eq!(timeline.told_of(PAUSED, 14.0), None);
}

#[test]
fn an_alert_that_was_over_for_others_does_not_fire_again_before_it_is_seen() {
    let mut timeline = with_a_paused_replay().restarted(600.0, 590);
    assert_eq!(timeline.told_of(PAUSED, 600.0).map(|told| told.0), Some(FindingState::Pending));
    timeline.healthy(601, 603);
    assert_eq!(timeline.told_of(PAUSED, 603.0), None, "it ended meanwhile, and nobody was called");
}

#[test]
fn a_hold_time_goes_on_over_a_restart_and_waits_for_the_first_look() {
    let mut timeline = Timeline::of_postgres();
    timeline.both(1.0, refused(), refused());
    timeline.both(28.0, refused(), refused());
    let mut timeline = timeline.restarted(29.0, 0);
    timeline.advance(31.0, Vec::new());
    let (state, _) = timeline.told_of(NO_PRIMARY, 31.0).expect("it goes on");
    assert_eq!(state, FindingState::Pending, "30 s are over, but nobody has looked since the start");
    timeline.both(32.0, refused(), refused());
    assert_eq!(timeline.told_of(NO_PRIMARY, 32.0).map(|told| told.0), Some(FindingState::Pending));
    timeline.both(33.0, refused(), refused());
    assert_eq!(timeline.told_of(NO_PRIMARY, 33.0).map(|told| told.0), Some(FindingState::Firing), "29 s and 1 more");
}

#[test]
fn what_cannot_be_asked_holds_up_no_alert_for_long() {
    let mut timeline = with_a_paused_replay().restarted(8.0, 2);
    let wake = timeline.core.next_change.expect("a moment of its own");
    assert!(wake <= at(38.0), "{wake:?}");
    timeline.advance(37.9, vec![told("alpha", 37.9, Ok(primary(37)))]);
    assert!(timeline.told_of(PAUSED, 37.9).is_some());
    timeline.advance(38.0, Vec::new());
    assert_eq!(timeline.told_of(PAUSED, 38.0), None, "judged as it is: not known");
    assert!(timeline.told_of("StandbyReplicationUnknown", 38.0).is_some());
}

#[test]
fn a_pause_of_the_machine_ends_no_alert() {
    let mut timeline = with_a_paused_replay();
    timeline.offset += 60.0;
    timeline.advance(7.0, vec![told("alpha", 7.0, Ok(primary(7)))]);
    assert_eq!(timeline.told_of(PAUSED, 7.0).map(|told| told.0), Some(FindingState::Firing));
    timeline.healthy(8, 20);
    assert_eq!(timeline.told_of(PAUSED, 20.0), None);
}

#[test]
fn a_process_that_stood_still_fires_nothing_for_the_time_in_which_it_did() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    timeline.both(6.0, refused(), refused());
    assert_eq!(timeline.told_of(NO_PRIMARY, 6.0).map(|told| told.0), Some(FindingState::Pending));
    // Stopped from 7 on. What was under way runs out as it wakes.
    let late = |node| {
        let reading =
            Reading { asked: at(7.0), answered: at(200.0), result: Err(Failure::new(FailureKind::Timeout, "3 s")) };
        Told::Observation(Observation::Postgres(Name::new(node), reading))
    };
    timeline.advance(200.0, vec![late("alpha"), late("beta")]);
    assert_eq!(timeline.told_of(NO_PRIMARY, 200.0).map(|told| told.0), Some(FindingState::Pending));
    timeline.healthy(201, 203);
    assert_eq!(timeline.told_of(NO_PRIMARY, 203.0), None, "nobody was called for what had ended");
}

#[test]
fn a_snapshot_that_has_run_out_ends_no_alert() {
    let timeline = with_a_paused_replay();
    let (state, since) = timeline.told_of(PAUSED, 3600.0).expect("as it was");
    assert_eq!((state, since), (FindingState::Firing, at(6.0)));
}

#[test]
fn a_mistake_of_ours_makes_all_unknown_and_is_told() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    for second in [6.0, 40.0, 70.0] {
        let wall = WallTime(timeline.offset + second);
        timeline.snapshot =
            timeline.core.guarded(at(second), wall, |_| std::panic::panic_any("a number that cannot be"));
        assert_eq!(timeline.shown(second, Channel::Postgres).0, Level::Unknown);
    }
    let told = timeline.told_of("StandbyReplicationUnknown", 70.0);
    assert_eq!(told.map(|told| told.0), Some(FindingState::Firing), "it pages like everything that is unknown");
    timeline.healthy(71, 75);
    assert_eq!(timeline.shown(75.0, Channel::Postgres), (Level::Ok, None));
}

#[tokio::test]
async fn a_probe_that_ends_by_a_mistake_of_ours_leaves_the_hub_lame() {
    let timeline = Timeline::of_postgres();
    let ended = tokio::spawn(async { std::panic::panic_any("a probe's mistake") }).await;
    assert!(!timeline.core.lame.load(std::sync::atomic::Ordering::Relaxed));
    timeline.core.probe_ended(&ended);
    assert!(timeline.core.lame.load(std::sync::atomic::Ordering::Relaxed), "a reload starts another one");
}

#[test]
fn a_hub_that_stood_still_lets_no_hold_time_run_out_by_that() {
    /// After a minute.
    const UNKNOWN: &str = "StandbyReplicationUnknown";
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    for second in 6..=60_u32 {
        timeline.both(f64::from(second), refused(), refused());
        if timeline.told_of(UNKNOWN, f64::from(second)).is_some() {
            break;
        }
    }
    let (state, since) = timeline.told_of(UNKNOWN, 60.0).expect("it is met");
    assert_eq!(state, FindingState::Pending);
    // Nothing is heard of the hub for ten minutes.
    for second in [700.0, 701.0] {
        timeline.both(second, refused(), refused());
    }
    let (state, later) = timeline.told_of(UNKNOWN, 701.0).expect("it goes on");
    assert_eq!(state, FindingState::Pending, "nobody has looked");
    assert!(later.since(since) > Duration::from_secs(500), "{later:?} after {since:?}");
}

#[test]
fn an_alert_and_a_level_are_handed_to_be_saved_at_once_and_take_nothing_else_away() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 20);
    let handed = |timeline: &Timeline| timeline.core.state.borrow().clone();
    assert!(handed(&timeline).postgres.is_some(), "after a quarter of a minute");
    let before = handed(&timeline).changes.len();
    timeline.both(21.0, Ok(primary(21)), Ok(paused(21)));
    let saved = handed(&timeline);
    assert_eq!(saved.timers, timeline.core.timers);
    assert_ne!(saved.timers, RuleTimers::default());
    assert_eq!(saved.changes.len(), before + 1);
    assert!(saved.postgres.is_some(), "it was not due, and is still known");
    assert_eq!(timeline.core.hand_over().changes.len(), before + 1);
}
