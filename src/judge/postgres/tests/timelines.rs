//! After a promotion: who follows the new primary's history, and who only seems to.

use super::*;

/// Beta has taken over on timeline 2 and stands at `lsn`.
fn promoted(lsn: u64) -> PostgresFacts {
    let mut facts = primary(lsn, Vec::new());
    (facts.timeline, facts.postmaster_start) = (Some(2), Some(Opaque("beta's".into())));
    facts
}

/// Alpha, the primary of before, has been started as a standby of beta without having been rewound: it cannot follow.
fn came_back(timeline: u32, lsn: u64) -> PostgresFacts {
    let mut facts = standby("1", lsn);
    standby_of(&mut facts).receiver = None;
    (facts.timeline, facts.postmaster_start) = (Some(timeline), Some(Opaque("alpha's second".into())));
    facts
}

/// Alpha was the primary for five seconds, until 500.
fn after_a_promotion() -> Watch {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    watch.tick(silent(FailureKind::Refused), Ok(promoted(600)));
    watch
}

#[test]
fn a_primary_of_before_lacks_an_unknown_amount_never_nothing() {
    let mut watch = after_a_promotion();
    // Beta has written beyond what alpha had: by bare positions alpha is 100 bytes behind. It lacks all that beta has written.
    for lsn in [900, 1_000, 1_100, 1_200, 1_300] {
        let evidence = watch.tick(Ok(came_back(1, 800)), Ok(promoted(lsn)));
        assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)), "{:?}", evidence.verdict);
        assert_eq!((evidence.standbys[0].gap, evidence.lag), (None, None));
    }
    // Rewound, it follows; what it has counts again, also while it is not connected.
    let evidence = watch.tick(Ok(came_back(2, 1_350)), Ok(promoted(1_400)));
    assert_eq!(evidence.standbys[0].gap, Some(Bytes(50)));
}

#[test]
fn what_the_primary_hears_from_one_that_does_not_follow_is_no_position_in_its_history() {
    let mut watch = after_a_promotion();
    for second in 1..=5_u64 {
        let stamp = second.to_string();
        let mut alpha = standby(&stamp, 800);
        alpha.postmaster_start = Some(Opaque("alpha's second".into()));
        standby_of(&mut alpha).receiver.as_mut().unwrap().application_name = Some("alpha".into());
        // It is let in, streams the old timeline from the start of a file to its end, and begins anew.
        let state = if second % 2 == 0 { "startup" } else { "catchup" };
        let row = Walsender {
            application_name: Some("alpha".into()),
            state: Some(state.into()),
            ..sender(8 + second as i32, &stamp, 800)
        };
        let mut beta = promoted(1_000 + second);
        if let PostgresRole::Primary(primary) = &mut beta.role {
            primary.walsenders = vec![row];
        }
        let evidence = watch.tick(Ok(alpha), Ok(beta));
        assert_eq!((evidence.verdict.up, evidence.standbys[0].gap), (false, None), "{:?}", evidence.verdict);
    }
}

#[test]
fn beyond_the_new_primary_on_an_earlier_timeline_is_parted_for_certain() {
    let mut watch = after_a_promotion();
    for reading in 1..=5 {
        let evidence = watch.tick(Ok(came_back(1, 5_000)), Ok(promoted(700)));
        let parted = evidence.contradiction == Some(Reason::TimelineDiverged);
        assert_eq!(parted, reading >= 3, "after {reading}: {:?}", evidence.verdict);
        assert_eq!(evidence.standbys[0].gap, None);
    }
}

#[test]
fn a_standby_that_has_yet_to_follow_is_not_parted() {
    let mut watch = after_a_promotion();
    for reading in 1..=5 {
        let evidence = watch.tick(Ok(came_back(1, 550)), Ok(promoted(700 + reading)));
        assert_eq!((evidence.contradiction, evidence.standbys[0].gap), (None, None));
    }
}

#[test]
fn the_control_file_of_a_standby_that_has_followed_may_be_late() {
    let mut watch = after_a_promotion();
    let row =
        |stamp: u64, lsn| Walsender { application_name: Some("alpha".into()), ..sender(9, &stamp.to_string(), lsn) };
    for second in 1..=5_u64 {
        let lsn = 700 + second;
        let mut alpha = standby(&second.to_string(), lsn);
        let receiver = standby_of(&mut alpha).receiver.as_mut().unwrap();
        (receiver.timeline, receiver.application_name) = (Some(2), Some("alpha".into()));
        (alpha.timeline, alpha.postmaster_start) = (Some(2), Some(Opaque("alpha's second".into())));
        let mut beta = promoted(lsn);
        if let PostgresRole::Primary(primary) = &mut beta.role {
            primary.walsenders = vec![row(second, lsn)];
        }
        watch.tick(Ok(alpha), Ok(beta));
    }
    // Its receiver has gone; the control file still has the timeline of before.
    let evidence = watch.tick(Ok(came_back(1, 705)), Ok(promoted(715)));
    assert_eq!(evidence.standbys[0].gap, Some(Bytes(10)));
    // A receiver tells the timeline that it follows now.
    let evidence = watch.tick(Ok(standby("6", 710)), Ok(promoted(716)));
    assert_eq!(evidence.standbys[0].gap, None);
    let evidence = watch.tick(Ok(came_back(1, 711)), Ok(promoted(717)));
    assert_eq!(evidence.standbys[0].gap, None, "and that one stays");
    // It was rebuilt from an old backup: what was known of the one before counts no more.
    let evidence = watch.tick(Ok(came_back(1, 300)), Ok(promoted(720)));
    assert_eq!(evidence.standbys[0].gap, None);
}

#[test]
fn a_standby_promoted_right_after_its_primary_was_stopped_is_no_second_primary() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    // Alpha was stopped after its last answer, beta promoted, and asked first.
    watch.take("beta", 5.6, 0.01, Ok(promoted(600)));
    let evidence = watch.look(5.7);
    assert_eq!((told(&evidence), evidence.contradiction), ((false, Some(Reason::NotSeenYet)), None));
    assert!(evidence.primary_seen && watch.history.roles.contradicted, "no canary sets out until that is known");
    watch.take("alpha", 6.0, 0.01, silent(FailureKind::Refused));
    let evidence = watch.look(6.1);
    assert_eq!((evidence.primary, evidence.contradiction), (Some(Name::new("beta")), None));
    assert!(!watch.history.roles.contradicted);
    // Alpha is started again, and not as a standby.
    watch.take("alpha", 7.0, 0.01, Ok(primary(900, vec![])));
    assert_eq!(watch.look(7.1).contradiction, None, "beta was asked before: it may have been stopped since");
    watch.take("beta", 7.6, 0.01, Ok(promoted(700)));
    let evidence = watch.look(7.7);
    assert_eq!(evidence.contradiction, Some(Reason::TwoPrimaries), "beta was one before alpha answered, and is");
    assert!(evidence.primary_seen, "that nobody sees a primary would be one alarm too many");
}
