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
