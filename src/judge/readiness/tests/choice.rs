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
    assert_eq!((told.standby.clone(), told.loss.wal), (Some(Name::new("beta")), Some(Bytes(KIB))));
    assert!(!told.reasons.iter().any(|why| why.contains("more than")), "nobody has more: {:?}", told.reasons);
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
    let not_known: [fn(&mut PostgresFacts); 2] = [
        |beta| beta.new_sessions = None,
        |beta| {
            let PostgresRole::Standby(own) = &mut beta.role else { panic!("a standby") };
            own.replay_lsn = None;
        },
    ];
    for spoil in not_known {
        let told = of_three(KIB, KIB, spoil);
        assert_eq!(
            (told.verdict, told.standby.clone()),
            (FailoverVerdict::Ready, Some(Name::new("gamma"))),
            "{told:?}"
        );
    }
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
    let old = |seconds| Loss { wal: Some(Bytes(KIB)), seconds: Some(seconds), ..Loss::default() };
    assert!(loss::is_beyond(&old(5.1), rpo) && !loss::is_beyond(&old(5.0), rpo));
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

/// A reading of one node in three nodes: the others are silent.
fn alone_of_three(before: impl FnOnce(&mut Course)) -> Readiness {
    let mut course = Course::of(THREE);
    before(&mut course);
    let mut gamma = standby(61, END, END, false);
    (gamma.postmaster_start, gamma.data_directory) = (Some(Opaque("c".to_owned())), Some("c".to_owned()));
    course.read_all(61, [("alpha", refused()), ("beta", refused()), ("gamma", Ok(gamma))]).clone()
}

#[test]
fn of_two_that_are_silent_only_the_one_that_was_it_last_is_taken_for_the_primary() {
    let told = alone_of_three(|_| {});
    assert_eq!((told.primary.clone(), told.verdict), (None, FailoverVerdict::Unknown), "{told:?}");
    let seen = |course: &mut Course| drop(course.read_all(60, [("beta", Ok(primary(60, END, END)))]).clone());
    assert_eq!(alone_of_three(seen).primary, Some(Name::new("beta")));
    let no_more_configured = |course: &mut Course| course.history.roles.primary = Some(Name::new("delta"));
    assert_eq!(alone_of_three(no_more_configured).primary, None);
}

#[test]
fn positions_of_another_than_the_primary_that_is_gone_size_no_loss() {
    let told = alone_of_three(|course| {
        let alpha = || Ok(primary(0, END, END));
        course.read_all(58, [("alpha", alpha())]);
        let mut beta = primary(0, END + KIB, END);
        (beta.postmaster_start, beta.data_directory) = (Some(Opaque("b".to_owned())), Some("b".to_owned()));
        // Two at once: nobody becomes the primary by that, and beta's is the last position that was seen.
        course.read_all(59, [("alpha", alpha()), ("beta", Ok(beta.clone()))]);
        course.read_all(60, [("alpha", alpha()), ("beta", Ok(beta))]);
    });
    assert_eq!((told.primary.clone(), told.primary_life), (Some(Name::new("alpha")), PrimaryLife::Gone), "{told:?}");
    assert_eq!((told.loss.wal, told.loss.at_most()), (None, None), "{told:?}");
}

#[test]
fn what_a_standby_replayed_beyond_its_last_stream_is_not_lost() {
    let mut course = Course::minute(0);
    let told = course.read(61, refused(), Ok(standby(61, END - 9 * KIB, END - KIB, false)));
    assert_eq!(told.loss.wal, Some(Bytes(KIB)), "it went on from the archive: {told:?}");
    // With nothing to replay no rate is needed to know how long it takes.
    let mut course = Course::new();
    let told = course.read(1, Ok(primary(1, END, END)), Ok(standby(1, END, END, true)));
    assert_eq!(told.serve.replay, Some(Duration::ZERO), "{told:?}");
    let told = course.read(2, Ok(primary(2, END, END)), Ok(standby(2, END, END - KIB, true)));
    assert_eq!(told.serve.replay, None, "it has replayed nothing yet: {told:?}");
    let mut course = Course::minute(0);
    let told = course.read(61, Ok(primary(61, END, END)), Ok(standby(61, END + 2 * KIB, END, true)));
    let replay = told.serve.replay.expect("a rate is known").as_secs_f64();
    assert!((1.9..2.2).contains(&replay), "2 KiB at 1 KiB a second: {replay}");
}

#[test]
fn steps_go_by_the_verdict() {
    let mut course = Course::minute(0);
    let mut beta = standby(61, END, END, true);
    beta.settings.must_not_be_lower.insert("max_connections".to_owned(), 99);
    let told = course.read(61, Ok(primary(61, END, END)), Ok(beta));
    assert!(
        !told.steps.is_empty() && told.steps.iter().all(|step| step.starts_with("do not promote beta")),
        "{told:?}"
    );
    let mut beta = standby(62, END, END, true);
    beta.new_sessions = None;
    let told = course.read(62, Ok(primary(62, END, END)), Ok(beta));
    assert!(told.steps[0].starts_with("find out first what cannot be told"), "{told:?}");
    let told = course.read(63, refused(), Ok(standby(63, END, END, false)));
    assert!(told.steps[0].contains("primary alpha (10.0.0.1:5432) stays down"), "{told:?}");
}
