//! Which standby, at which limit, and what has to be done about its replay.

use super::*;
use crate::config::Rpo;

pub(super) const THREE: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: 10.0.0.1, user: probe } }
      beta:  { postgres: { host: 10.0.0.2, user: probe, replica: { slot: beta } } }
      gamma: { postgres: { host: 10.0.0.3, user: probe, replica: { slot: gamma } } }
";

/// Beta and gamma have so much; beta's answer may be spoiled.
fn of_three(beta: u64, gamma: u64, spoil: fn(&mut PostgresFacts)) -> Readiness {
    let mut course = Course::of(THREE);
    for second in 0..=60 {
        let lsn = 1_000_000 + second * KIB;
        let mut alpha = primary(second, lsn, lsn - beta);
        let PostgresRole::Primary(own) = &mut alpha.role else { panic!("a primary") };
        let mut other = own.walsenders[0].clone();
        (other.pid, other.slot) = (8, Some("gamma".to_owned()));
        let has = Some(Lsn(lsn - gamma));
        (other.sent, other.write, other.flush, other.replay) = (has, has, has, has);
        own.walsenders.push(other);
        let mut second_best = standby(second, lsn - gamma, lsn - gamma, true);
        (second_best.postmaster_start, second_best.data_directory) =
            (Some(Opaque("c".to_owned())), Some("c".to_owned()));
        let PostgresRole::Standby(own) = &mut second_best.role else { panic!("a standby") };
        own.receiver.as_mut().expect("has one").slot = Some("gamma".to_owned());
        let mut best = standby(second, lsn - beta, lsn - beta, true);
        spoil(&mut best);
        course.read_all(second, [("alpha", Ok(alpha)), ("beta", Ok(best)), ("gamma", Ok(second_best))]);
    }
    course.told
}

#[test]
fn of_several_standbys_the_one_that_has_most_of_those_that_could_take_over() {
    let told = of_three(KIB, 3 * KIB, |_| {});
    assert_eq!((told.standby, told.loss.wal), (Some(Name::new("beta")), Some(Bytes(KIB))));
    let told = of_three(3 * KIB, KIB, |_| {});
    assert_eq!((told.standby, told.loss.wal), (Some(Name::new("gamma")), Some(Bytes(KIB))));

    let refuses = |beta: &mut PostgresFacts| {
        let why = Failure::new(FailureKind::Timeout, "beta lets nobody in");
        beta.new_sessions = Some(NewSessions::Refused(Duration::from_secs(9), why));
    };
    let told = of_three(KIB, 3 * KIB, refuses);
    assert_eq!((told.verdict, told.standby.clone()), (FailoverVerdict::Ready, Some(Name::new("gamma"))), "{told:?}");
    assert_eq!(told.loss.wal, Some(Bytes(3 * KIB)), "what this one lacks, not what the best has");
    assert!(
        told.reasons.iter().any(|reason| reason.starts_with("beta has 2 KiB more than gamma, but: ")),
        "{:?}",
        told.reasons
    );
}

#[test]
fn of_two_that_have_as_much_the_one_with_less_to_replay_and_else_the_first() {
    let told = of_three(KIB, KIB, |_| {});
    assert_eq!((told.verdict, told.standby), (FailoverVerdict::Ready, Some(Name::new("beta"))));
    let is_paused = |beta: &mut PostgresFacts| {
        let PostgresRole::Standby(own) = &mut beta.role else { panic!("a standby") };
        (own.replay_paused, own.replay_lsn) = (Some(true), Some(Lsn(1_000)));
    };
    let told = of_three(KIB, KIB, is_paused);
    assert_eq!((told.verdict, told.standby.clone()), (FailoverVerdict::Ready, Some(Name::new("gamma"))), "{told:?}");
    assert_eq!(told.serve.replay_left, Some(Bytes(0)));
    // What would be lost comes first: a pause is a step, whatever it takes.
    let told = of_three(KIB, 3 * KIB, is_paused);
    assert_eq!((told.standby.clone(), told.loss.wal), (Some(Name::new("beta")), Some(Bytes(KIB))), "{told:?}");
    assert!(has_step(&told, "replay on beta is paused"), "{:?}", told.steps);
}

#[test]
fn exactly_what_is_acceptable_is_acceptable_and_a_byte_or_a_moment_more_is_not() {
    let rpo = Rpo { bytes: Bytes(5 * KIB), age: Duration::from_secs(5) };
    let loss = |wal, seconds_at_most| {
        let loss = Loss { wal: Some(Bytes(wal)), seconds: Some(1.0), seconds_at_most, ..Loss::default() };
        loss::is_acceptable(&loss, Bytes(wal), rpo)
    };
    assert!(loss(5 * KIB, Some(5.0)));
    assert!(!loss(5 * KIB + 1, Some(5.0)));
    assert!(!loss(5 * KIB, Some(5.001)));
    assert!(!loss(5 * KIB, None), "an age that is not known");
    assert!(loss::is_beyond(&Loss { wal: Some(Bytes(6 * KIB)), ..Loss::default() }, rpo));
    assert!(!loss::is_beyond(&Loss { wal: Some(Bytes(KIB)), ..Loss::default() }, rpo), "not known to be");
}

#[test]
fn replay_that_waits_for_a_query_has_a_step_of_its_own() {
    let told = |event: &str| {
        let mut course = Course::minute(0);
        let mut beta = standby(61, END, END - 4 * KIB, true);
        let PostgresRole::Standby(own) = &mut beta.role else { panic!("a standby") };
        own.startup_wait_event = Some(event.to_owned());
        course.read(61, Ok(primary(61, END, END)), Ok(beta)).clone()
    };
    let waits = told("RecoveryConflictSnapshot");
    assert_eq!(waits.verdict, FailoverVerdict::Ready, "{waits:?}");
    assert!(has_step(&waits, "end the queries on beta, or the promotion waits for them"), "{:?}", waits.steps);
    let late = told("RecoveryApplyDelay");
    assert!(has_step(&late, "the promotion will replay 4 KiB first, without waiting"), "{:?}", late.steps);
    assert!(!has_step(&told("RecoveryWalStream"), "replay"), "nothing to do about it");
}
