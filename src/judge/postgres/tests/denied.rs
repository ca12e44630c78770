//! What a node said last stands while it cannot be asked.

use super::*;

/// The primary at 500 with beta's row, which has replied `reply` times.
fn row(reply: u32) -> PostgresFacts {
    primary(500, vec![sender(7, &reply.to_string(), 500)])
}

#[test]
fn a_standby_without_a_receiver_that_falls_silent_is_not_proven_by_what_was_heard_before() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut unconnected = standby("5", 500);
    standby_of(&mut unconnected).receiver = None;
    let evidence = watch.tick(Ok(row(5)), Ok(unconnected));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
    let evidence = watch.tick(Ok(row(5)), silent(FailureKind::Timeout));
    assert_eq!((told(&evidence), evidence.lag), ((false, Some(Reason::Timeout)), None));
    assert!(evidence.verdict.detail.unwrap().contains("it did not bear the replication out"));
    // A reply that came since then outweighs its word.
    watch.tick(Ok(row(6)), silent(FailureKind::Timeout));
    assert_eq!(told(&watch.tick(Ok(row(7)), silent(FailureKind::Timeout))), (true, Some(Reason::Timeout)));
}

#[test]
fn a_primary_without_a_walsender_that_falls_silent_is_not_proven_by_what_was_heard_before() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let evidence = watch.tick(Ok(primary(500, vec![])), Ok(standby("5", 500)));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(standby("5", 500)));
    assert_eq!(told(&evidence), (false, Some(Reason::Timeout)));
    watch.tick(silent(FailureKind::Timeout), Ok(standby("8", 500)));
    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(standby("9", 500)));
    assert_eq!(told(&evidence), (true, Some(Reason::Timeout)));
}

#[test]
fn a_node_that_took_writes_of_its_own_has_no_gap_once_it_is_silent() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut promoted = primary(600, vec![]);
    promoted.postmaster_start = Some(Opaque("beta's".into()));
    promoted.timeline = Some(2);
    watch.tick(Ok(primary(600, vec![])), Ok(promoted));
    let evidence = watch.tick(Ok(primary(600, vec![])), silent(FailureKind::Refused));
    assert_eq!(evidence.standbys[0].gap, None, "{:?}", evidence.verdict);
}

#[test]
fn replay_that_waits_for_a_lock_or_a_pin_is_in_conflict() {
    for event in ["RecoveryConflictSnapshot", "relation", "BufferPin"] {
        let mut watch = Watch::new(None);
        watch.healthy(3);
        let mut beta = standby("4", 900);
        (standby_of(&mut beta).replay_lsn, standby_of(&mut beta).startup_wait_event) =
            (Some(Lsn(300)), Some(event.into()));
        let evidence = watch.tick(Ok(primary(900, vec![sender(7, "4", 900)])), Ok(beta));
        assert_eq!(evidence.standbys[0].replay_state, Some(ReplayState::Conflict), "{event}");
        assert_eq!(told(&evidence), (true, None), "shorter than it may be");
    }
}
