//! Standbys behind another server than the primary, standbys that replay late on purpose, and several at once.

use super::*;
use crate::names::StandbyKind;

/// A standby that streams, but not from the primary.
pub(super) fn elsewhere(message: &str, lsn: u64) -> PostgresFacts {
    let mut facts = standby(message, lsn);
    let receiver = standby_of(&mut facts).receiver.as_mut().unwrap();
    receiver.sender = Some("10.0.0.9:5432".into());
    // By the change of the message alone.
    receiver.last_message_age = None;
    facts
}

#[test]
fn who_hears_from_somebody_while_the_primary_serves_nobody_is_cascaded() {
    let mut watch = Watch::new(None);
    for second in 1..=60_u64 {
        let evidence =
            watch.tick(Ok(primary(second * 100, vec![])), Ok(elsewhere(&second.to_string(), second * 100 - 50)));
        // A message may have been on its way when the primary's walsender ended.
        let expected = match second {
            1 => (false, Some(Reason::NotSeenYet)),
            2..=5 => (false, Some(Reason::NotConnected)),
            _ => (true, Some(Reason::Cascaded)),
        };
        assert_eq!(told(&evidence), expected, "after {second} s: {:?}", evidence.verdict);
        if second > 5 {
            assert_eq!(evidence.standbys[0].kind, Some(StandbyKind::Cascaded));
            assert_eq!((evidence.lag, evidence.standbys[0].gap), (Some(Bytes(50)), Some(Bytes(50))));
            assert!(evidence.verdict.detail.as_ref().is_some_and(|text| text.contains("10.0.0.9:5432")));
        }
    }
    // Its sender hears nothing from the primary and goes on sending signs of life.
    for second in 61..=100_u64 {
        let evidence = watch.tick(Ok(primary(second * 100, vec![])), Ok(elsewhere(&second.to_string(), 5_950)));
        let expected = if second < 75 { (true, Reason::Cascaded) } else { (false, Reason::Stalled) };
        assert_eq!(told(&evidence), (expected.0, Some(expected.1)), "after {second} s: {:?}", evidence.verdict);
    }
    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(elsewhere("z", 5_950)));
    assert_eq!(told(&evidence), (false, Some(Reason::Timeout)));
    assert!(!evidence.primary_seen, "what it hears is not the primary");
}

/// Ten minutes of an idle cascaded standby, which hears something each 30 s; then the agent is started anew. What is told each second
/// then, while it hears something each `every` seconds from `sender`, and whether `kept` was read.
fn after_a_restart(kept: bool, every: u64, sender: &str) -> Vec<(bool, Option<Reason>)> {
    let idle = |second: u64, every: u64, sender: &str| {
        let heard = second / every;
        let mut beta = elsewhere(&heard.to_string(), 500);
        let receiver = standby_of(&mut beta).receiver.as_mut().unwrap();
        receiver.sender = Some(sender.into());
        receiver.last_message_age = Some((second % every) as f64);
        beta.settings.wal_receiver_timeout = Some(Duration::from_secs(every * 2));
        beta
    };
    let mut before = Watch::new(None);
    for second in 0..600 {
        before.tick(Ok(primary(500, vec![])), Ok(idle(second, 30, "10.0.0.9:5432")));
    }
    let mut after = Watch::new(None);
    after.seconds = before.seconds + 2.0;
    if kept {
        let saved = serde_json::to_string(&before.history.saved()).unwrap();
        after.history.restore(serde_json::from_str(&saved).unwrap(), at(after.seconds));
    }
    let mut tick = |second: u64| told(&after.tick(Ok(primary(500, vec![])), Ok(idle(602 + second, every, sender))));
    (0..200).map(&mut tick).collect()
}

#[test]
fn that_it_is_cascaded_outlasts_a_restart_of_the_agent_as_long_as_it_names_the_same_sender() {
    const UP: (bool, Option<Reason>) = (true, Some(Reason::Cascaded));
    let unproven = |told: &[(bool, Option<Reason>)]| told.iter().take_while(|told| **told != UP).count();
    let told = after_a_restart(true, 30, "10.0.0.9:5432");
    assert_eq!(told, [UP; 200]);
    assert_eq!(after_a_restart(true, 300, "10.0.0.9:5432"), [UP; 200]);
    // Known no more, or of another sender: it takes until the next message, which pages nobody as long as that is less than a minute.
    assert_eq!(unproven(&after_a_restart(false, 30, "10.0.0.9:5432")), 28);
    assert_eq!(unproven(&after_a_restart(true, 30, "10.0.0.8:5432")), 28);
    assert_eq!(
        unproven(&after_a_restart(false, 300, "10.0.0.9:5432")),
        200,
        "with a timeout of ten minutes it would page"
    );
    // Without a sign of life of its own it is not proven, whatever is remembered.
    let mut watch = Watch::new(None);
    watch.history.nodes.entry(Name::new("beta")).or_default().feed.cascaded_before = Some("10.0.0.9:5432".into());
    let mut beta = elsewhere("0", 500);
    standby_of(&mut beta).receiver.as_mut().unwrap().last_message_age = Some(50.0);
    assert!(!watch.tick(Ok(primary(500, vec![])), Ok(beta)).verdict.up);
}

#[test]
fn a_receiver_that_has_not_noticed_the_end_is_not_cascaded() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 6..=40_u64 {
        // The primary has ended the walsender; the standby's side of the connection is still open, and silent.
        let evidence = watch.tick(Ok(primary(second * 100, vec![])), Ok(standby("5", 500)));
        assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)), "after {second} s");
        assert_ne!(evidence.standbys[0].kind, Some(StandbyKind::Cascaded));
    }
}

#[test]
fn who_has_just_connected_is_not_cascaded() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for _ in 0..60 {
        let mut beta = standby("-", 500);
        standby_of(&mut beta).receiver = None;
        watch.tick(Ok(primary(500, vec![])), Ok(beta));
    }
    // The primary was asked a moment before its walsender began.
    for second in 1..=3_u64 {
        let evidence = watch.tick(Ok(primary(500, vec![])), Ok(standby(&format!("new {second}"), 500)));
        assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)), "after {second} s");
    }
    let evidence = watch.tick(Ok(primary(500, vec![sender(9, "new 4", 500)])), Ok(standby("new 4", 500)));
    assert_eq!(told(&evidence), (true, None));
}

pub(super) fn with_slot(mut facts: PostgresFacts, slot: &str) -> PostgresFacts {
    let receiver = standby_of(&mut facts).receiver.as_mut().unwrap();
    (receiver.slot, receiver.application_name) = (Some(slot.into()), Some("walreceiver".into()));
    facts
}

pub(super) fn row(pid: i32, slot: Option<&str>, stamp: &str, lsn: u64) -> Walsender {
    Walsender { application_name: Some("walreceiver".into()), slot: slot.map(str::to_owned), ..sender(pid, stamp, lsn) }
}

/// Alpha, the standby beta, and gamma.
pub(super) fn three() -> Watch {
    let mut watch = Watch::new(None);
    watch.pair.nodes.push(node("gamma", None));
    watch
}

impl Watch {
    pub(super) fn tick_three(
        &mut self,
        alpha: PostgresFacts,
        beta: PostgresFacts,
        mut gamma: PostgresFacts,
    ) -> PostgresEvidence {
        gamma.postmaster_start = Some(Opaque("gamma's".into()));
        self.take("gamma", self.seconds + 1.0, 0.01, Ok(gamma));
        self.tick(Ok(alpha), Ok(beta))
    }
}

#[test]
fn a_standby_of_the_other_standby_is_proven_there() {
    let mut watch = three();
    for second in 1..=30_u64 {
        let (stamp, lsn) = (second.to_string(), second * 100);
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn)]);
        let mut beta = with_slot(standby(&stamp, lsn), "beta");
        standby_of(&mut beta).walsenders = vec![row(8, Some("gamma"), &stamp, lsn)];
        let evidence = watch.tick_three(alpha, beta, with_slot(standby(&stamp, lsn), "gamma"));
        let [beta, gamma] = evidence.standbys.as_slice() else { panic!("two standbys") };
        assert_eq!(gamma.kind, Some(StandbyKind::Cascaded), "a slot is nobody else's");
        assert_eq!(beta.kind, Some(StandbyKind::Streaming));
        if second > 2 {
            assert_eq!((beta.verdict.up, beta.verdict.reason), (true, None));
            assert_eq!(told(&evidence), (true, Some(Reason::Cascaded)), "{:?}", gamma.verdict);
            assert!(gamma.stages.is_some() && gamma.total == Some(Bytes(0)));
        }
    }
    // Beta's walsender for it hears nothing more, whatever gamma believes.
    for second in 31..=60_u64 {
        let (stamp, lsn) = (second.to_string(), second * 100);
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn)]);
        let mut beta = with_slot(standby(&stamp, lsn), "beta");
        standby_of(&mut beta).walsenders = vec![row(8, Some("gamma"), "30", lsn)];
        let evidence = watch.tick_three(alpha, beta, with_slot(standby(&stamp, lsn), "gamma"));
        assert_eq!(evidence.verdict.up, second < 43, "after {second} s: {:?}", evidence.verdict);
    }
}

#[test]
fn one_walsender_is_not_two_standbys() {
    let mut watch = three();
    let named = |stamp: &str, lsn| {
        let mut facts = standby(stamp, lsn);
        standby_of(&mut facts).receiver.as_mut().unwrap().application_name = Some("walreceiver".into());
        facts
    };
    for second in 1..=10_u64 {
        let (stamp, lsn) = (second.to_string(), second * 100);
        let alpha = primary(lsn, vec![row(7, None, &stamp, lsn)]);
        let evidence = watch.tick_three(alpha, named(&stamp, lsn), named(&stamp, lsn));
        assert_eq!(told(&evidence), (false, Some(Reason::Ambiguous)), "either may be the one");
    }
    for second in 11..=30_u64 {
        let (stamp, lsn) = (second.to_string(), second * 100);
        let alpha = primary(lsn, vec![row(7, None, &stamp, lsn)]);
        let mut beta = named(&stamp, lsn);
        standby_of(&mut beta).walsenders = vec![row(8, None, &stamp, lsn)];
        let evidence = watch.tick_three(alpha, beta, named(&stamp, lsn));
        let kinds: Vec<_> = evidence.standbys.iter().map(|standby| standby.kind).collect();
        if second > 20 {
            assert_eq!(kinds, [Some(StandbyKind::Streaming), Some(StandbyKind::Cascaded)], "beta serves gamma");
        }
    }
}

#[test]
fn the_worst_of_two_standbys_is_the_channel_s() {
    let mut watch = three();
    let mut lsn = 0;
    for second in 1..=5_u64 {
        let stamp = second.to_string();
        lsn = second * 100;
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn), row(8, Some("gamma"), &stamp, lsn - 40)]);
        let evidence = watch.tick_three(
            alpha,
            with_slot(standby(&stamp, lsn), "beta"),
            with_slot(standby(&stamp, lsn - 40), "gamma"),
        );
        assert!(second < 3 || evidence.lag == Some(Bytes(40)), "{:?}", evidence.lag);
    }
    let alpha = primary(lsn, vec![row(8, Some("gamma"), "6", lsn)]);
    let mut beta = with_slot(standby("5", lsn), "beta");
    standby_of(&mut beta).receiver = None;
    let evidence = watch.tick_three(alpha, beta, with_slot(standby("6", lsn), "gamma"));
    let ups: Vec<_> = evidence.standbys.iter().map(|standby| standby.verdict.up).collect();
    assert_eq!((told(&evidence), ups), ((false, Some(Reason::NotConnected)), vec![false, true]));
    assert_eq!(evidence.lag, None, "one of two lags is not the worst one");
    assert!(evidence.verdict.detail.unwrap().starts_with("beta: "));
}

/// Replay of a busy pair that is held back for a minute by the server's setting.
fn delayed(watch: &mut Watch, second: u64, delay: u64, waits: bool) -> PostgresEvidence {
    let (stamp, lsn) = (second.to_string(), second * 1000);
    let replayed = lsn.saturating_sub(delay * 1000).max(1);
    let mut beta = standby(&stamp, lsn);
    beta.settings.recovery_min_apply_delay = Some(Duration::from_secs(delay));
    standby_of(&mut beta).replay_lsn = Some(Lsn(replayed));
    standby_of(&mut beta).startup_wait_event = waits.then(|| "RecoveryApplyDelay".to_owned());
    let row = Walsender { replay: Some(Lsn(replayed)), ..sender(7, &stamp, lsn) };
    watch.tick(Ok(primary(lsn, vec![row])), Ok(beta))
}

fn declared(delay: Option<u64>) -> Watch {
    let mut watch = Watch::new(None);
    watch.pair.nodes[1].postgres.as_mut().unwrap().apply_delay = delay.map(Duration::from_secs);
    watch
}

#[test]
fn a_delay_is_a_warning_unless_it_was_declared() {
    for (of, set, expected, why) in [
        (None, 60, Some(Reason::ReplayDelayed), "not declared"),
        (Some(60), 60, None, "declared"),
        (Some(90), 60, None, "declared to be longer"),
        (Some(30), 60, Some(Reason::ReplayDelayed), "longer than declared"),
    ] {
        let mut watch = declared(of);
        for second in 1..=20 {
            let evidence = delayed(&mut watch, second, set, true);
            assert!(second < 3 || told(&evidence) == (true, expected), "{why}: {:?}", evidence.verdict);
            assert_eq!(evidence.standbys[0].replay_state, Some(ReplayState::Delayed), "it is said all the same");
        }
    }
}

#[test]
fn lag_that_is_younger_than_the_declared_delay_does_not_count() {
    let lags = |of: Option<u64>, set: u64| {
        let mut watch = declared(of);
        let mut last = None;
        for second in 1..=200 {
            last = Some(delayed(&mut watch, second, set, true));
        }
        let last = last.unwrap();
        assert_eq!(last.lag, Some(Bytes(set * 1000)), "the lag itself is told");
        last.lag_undelayed.unwrap().0
    };
    assert!(lags(Some(60), 60) <= 1000);
    assert!((28_000..=31_000).contains(&lags(Some(30), 60)), "what is older than declared counts");
    assert_eq!(lags(None, 60), 60_000, "nothing is declared");
    // The server is set to less than what was declared: it has no reason to lag by more than it is set to.
    let mut watch = declared(Some(60));
    let mut last = None;
    for second in 1..=200_u64 {
        let (stamp, lsn) = (second.to_string(), second * 1000);
        let row = Walsender { replay: Some(Lsn(1)), ..sender(7, &stamp, lsn) };
        let mut beta = standby(&stamp, lsn);
        standby_of(&mut beta).replay_lsn = Some(Lsn(1));
        beta.settings.recovery_min_apply_delay = Some(Duration::ZERO);
        last = Some(watch.tick(Ok(primary(lsn, vec![row])), Ok(beta)));
    }
    let last = last.unwrap();
    assert_eq!(last.lag_undelayed, last.lag);
}

#[test]
fn while_positions_are_not_remembered_for_the_delay_the_lag_is_an_upper_bound() {
    let mut watch = declared(Some(60));
    for second in 1..=30_u64 {
        let evidence = delayed(&mut watch, 1000 + second, 60, true);
        if second > 2 {
            let undelayed = evidence.lag_undelayed.unwrap().0;
            // The oldest position that was seen is that of the first second: what is beyond it is younger for certain.
            assert_eq!(undelayed, 1_001_000 - (1000 + second - 60) * 1000, "after {second} s");
        }
    }
}

#[test]
fn a_declared_delay_is_not_stuck() {
    let mut watch = declared(Some(300));
    for second in 1..=500_u64 {
        let (stamp, lsn) = (second.to_string(), 1000 + second * 10);
        let row = Walsender { replay: Some(Lsn(1000)), ..sender(7, &stamp, lsn) };
        let mut beta = standby(&stamp, lsn);
        standby_of(&mut beta).replay_lsn = Some(Lsn(1000));
        beta.settings.recovery_min_apply_delay = Some(Duration::from_secs(300));
        let evidence = watch.tick(Ok(primary(lsn, vec![row])), Ok(beta));
        // 30 s that queries may hold it up and a minute, after the delay.
        let stuck = second > 390;
        assert!(second < 3 || told(&evidence) == (true, stuck.then_some(Reason::ReplayStuck)), "after {second} s");
    }
}

#[test]
fn a_slot_that_another_standby_uses_by_now_proves_nothing_of_the_one_it_was_made_for() {
    let mut watch = Watch::new(Some(ReplicaMatch::Slot("beta".into())));
    let told_of = |watch: &mut Watch, own: Option<&str>| {
        let mut last = None;
        for _ in 0..4 {
            let n = watch.seconds as u64 + 1;
            let stamp = n.to_string();
            // Whoever streams from beta's slot has all; beta itself has replayed nothing for long.
            let alpha = primary(n * 1_000, vec![row(7, Some("beta"), &stamp, n * 1_000)]);
            let mut beta = standby(&stamp, 1_000);
            standby_of(&mut beta).receiver.as_mut().unwrap().slot = own.map(str::to_owned);
            last = Some(watch.tick(Ok(alpha), Ok(beta)));
        }
        let evidence = last.unwrap();
        (told(&evidence), evidence.lag, evidence.verdict.detail)
    };
    for own in [None, Some("gamma")] {
        let (verdict, lag, detail) = told_of(&mut watch, own);
        assert_eq!((verdict, lag), ((false, Some(Reason::Ambiguous)), None), "{own:?}: {detail:?}");
        assert!(detail.unwrap().contains("primary_slot_name"));
    }
    assert_eq!(told_of(&mut watch, Some("beta")).0, (true, None));
}
