//! What was pending or firing when the agent ended, or when its machine was paused, is so when all has been seen again.

use super::*;
use crate::history::rules::AlertKey;
use crate::names::{RuleName, Severity};
use crate::snapshot::FindingState;

/// The lag is over the limit of `StandbyPostgresLagHigh`, which must last for five minutes.
fn far_behind(beat: u32) -> [PostgresFacts; 2] {
    let (mut primary, mut standby) = (primary(beat), standby(beat));
    if let PostgresRole::Primary(own) = &mut primary.role {
        own.wal_lsn = Some(Lsn(1 << 30));
        for row in &mut own.walsenders {
            row.sent = Some(Lsn(1 << 30));
        }
    }
    if let PostgresRole::Standby(own) = &mut standby.role {
        own.receive_lsn = Some(Lsn(100 + u64::from(beat)));
    }
    [primary, standby]
}

fn behind(timeline: &mut Timeline, from: u32, to: u32) {
    for second in from..=to {
        let now = f64::from(second);
        let [alpha, beta] = far_behind(second);
        timeline.advance(now, vec![told("alpha", now, Ok(alpha)), told("beta", now, Ok(beta))]);
    }
}

/// The same hub after a restart: with the timers of the one before, and nothing read yet.
fn restarted(before: Timeline, seconds: f64) -> Timeline {
    let Timeline { core, offset, .. } = before;
    let saved = core.hand_over();
    let rules = Arc::new(RuleBook::new(&BTreeMap::new()));
    let common = Common { rules, state_directory: PathBuf::new(), keeping: None };
    let (state, keeper) = watch::channel(saved.clone());
    let (core, snapshot) =
        Core::new(config(CONFIG).pairs[0].clone(), &common, saved, state, (at(seconds), WallTime(offset + seconds)));
    Timeline { core, saved: keeper, snapshot, offset }
}

const LAG_HIGH: AlertKey =
    AlertKey { rule: RuleName::PostgresLagHigh, severity: Severity::Warning, channel: Some(Channel::Postgres) };

/// How far the alert is, and since when it counts.
fn alert(timeline: &Timeline, seconds: f64) -> Option<(FindingState, f64)> {
    let view = timeline.snapshot.at(at(seconds));
    let finding = view.findings.iter().find(|finding| finding.rule == LAG_HIGH.rule.as_str())?;
    Some((finding.state, finding.since.since(at(0.0)).as_secs_f64()))
}

#[test]
fn a_pending_alert_goes_on_though_a_new_start_has_seen_nothing_yet() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 200);
    let (state, since) = alert(&timeline, 200.0).expect("the lag is high");
    assert_eq!(state, FindingState::Pending);
    let mut timeline = restarted(timeline, 201.0);
    assert_eq!(
        alert(&timeline, 201.0).map(|(state, _)| state),
        Some(FindingState::Pending),
        "it neither ends nor comes further"
    );
    assert_eq!(timeline.shown(201.0, Channel::Postgres), (Level::Unknown, Some(Reason::NotSeenYet)));
    assert_eq!(timeline.core.timers.channels_of(LAG_HIGH.rule, LAG_HIGH.severity).count(), 1);
    behind(&mut timeline, 202, 210);
    let (state, again) = alert(&timeline, 210.0).expect("the lag is still high");
    assert_eq!(state, FindingState::Pending);
    assert!((since + 1.0..since + 10.0).contains(&again), "since {again} s instead of {since} s");
    // What nobody saw does not count towards the hold time.
    behind(&mut timeline, 211, 301);
    assert_eq!(alert(&timeline, 301.0).map(|(state, _)| state), Some(FindingState::Pending));
    behind(&mut timeline, 302, 311);
    assert_eq!(alert(&timeline, 311.0).map(|(state, _)| state), Some(FindingState::Firing));
}

#[test]
fn a_firing_alert_goes_on_with_its_own_beginning() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 310);
    let fired = alert(&timeline, 310.0);
    assert_eq!(fired.map(|(state, _)| state), Some(FindingState::Firing));
    let mut timeline = restarted(timeline, 400.0);
    behind(&mut timeline, 401, 405);
    assert_eq!(alert(&timeline, 405.0), fired);
}

#[test]
fn an_alert_whose_cause_is_gone_ends_once_that_is_seen_or_after_a_while() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 200);
    let mut timeline = restarted(timeline, 201.0);
    timeline.healthy(202, 205);
    assert_eq!(alert(&timeline, 205.0), None);
    assert_eq!(timeline.core.timers, crate::history::rules::RuleTimers::default());

    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 200);
    let mut timeline = restarted(timeline, 201.0);
    for second in 202..=240 {
        timeline.advance(f64::from(second), Vec::new());
    }
    let left = timeline.core.timers.channels_of(LAG_HIGH.rule, LAG_HIGH.severity).count();
    assert_eq!(left, 0, "nothing comes back, so nobody waits any longer");
}

#[test]
fn as_long_as_one_probe_has_not_come_back_not_all_is_seen() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 200);
    let mut timeline = restarted(timeline, 201.0);
    timeline.advance(202.0, vec![told("alpha", 202.0, Err(Failure::new(FailureKind::Refused, "it starts")))]);
    assert!(!timeline.snapshot.complete);
    assert_eq!(timeline.core.timers.channels_of(LAG_HIGH.rule, LAG_HIGH.severity).count(), 1);
}

#[test]
fn a_pause_of_the_machine_or_a_step_of_its_clock_ends_no_alert() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 200);
    let (_, since) = alert(&timeline, 200.0).expect("the lag is high");
    timeline.offset += 60.0;
    behind(&mut timeline, 201, 205);
    let (state, again) = alert(&timeline, 205.0).expect("the lag is still high");
    assert_eq!(state, FindingState::Pending);
    assert!((since..since + 5.0).contains(&again), "since {again} s instead of {since} s");
}

/// What is known of the roles: the primary, and what is said where none is known.
fn roles(timeline: &Timeline, seconds: f64) -> (Option<String>, String) {
    let roles = &timeline.snapshot.at(at(seconds)).evidence.roles;
    (roles.primary.as_ref().map(ToString::to_string), roles.because())
}

#[test]
fn who_was_the_primary_is_told_after_a_restart_and_counts_only_while_the_others_are_standbys() {
    let refused = |node: &str, seconds: f64| told(node, seconds, Err(Failure::new(FailureKind::Refused, "it is down")));
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 20);
    let mut timeline = restarted(timeline, 80.0);
    timeline.advance(81.0, vec![refused("alpha", 81.0), refused("beta", 81.0)]);
    let (primary, because) = roles(&timeline, 81.0);
    assert_eq!(primary, None, "another may have been promoted while nobody looked");
    assert!(because.contains("by memory it was alpha, proven 1m 1s ago"), "{because}");
    // Restarted again without having learned anything, it still knows.
    let mut timeline = restarted(timeline, 90.0);
    timeline.advance(91.0, vec![refused("alpha", 91.0)]);
    assert!(roles(&timeline, 91.0).1.contains("by memory it was alpha"), "{:?}", roles(&timeline, 91.0));
    timeline.advance(92.0, vec![told("beta", 92.0, Ok(standby(20)))]);
    assert_eq!(roles(&timeline, 92.0), (Some("alpha".to_owned()), String::new()), "no other node can be it");
    assert_eq!(timeline.core.roles.borrow().standbys, [Name::new("beta")]);
    timeline.advance(93.0, vec![refused("beta", 93.0)]);
    assert_eq!(roles(&timeline, 93.0).0, None);
    timeline.healthy(94, 95);
    assert_eq!(roles(&timeline, 95.0).0.as_deref(), Some("alpha"));
    timeline.advance(96.0, vec![refused("alpha", 96.0), refused("beta", 96.0)]);
    assert_eq!(roles(&timeline, 96.0).0.as_deref(), Some("alpha"), "this agent has seen it a moment ago");
}

#[test]
fn while_the_hub_is_silent_alerts_are_what_they_were() {
    let mut timeline = Timeline::of_postgres();
    behind(&mut timeline, 1, 320);
    let ended = timeline.snapshot.shown_until().since(at(0.0)).as_secs_f64();
    assert_eq!(alert(&timeline, 320.0).map(|(state, _)| state), Some(FindingState::Firing));
    assert_eq!(timeline.shown(ended, Channel::Postgres).0, Level::Unknown);
    let (state, since) = alert(&timeline, ended).expect("nobody has seen it end");
    assert_eq!((state, Some(since)), (FindingState::Firing, alert(&timeline, 320.0).map(|(_, since)| since)));
    let told = &timeline.snapshot.at(at(ended)).findings;
    let new = told.iter().filter(|finding| finding.since >= at(320.0) && finding.state != FindingState::Pending);
    assert_eq!(new.count(), 0, "nor has anything that could fire been seen: {told:?}");
}
