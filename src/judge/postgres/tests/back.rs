//! The primary falls silent on an idle pair, and answers again: its agent, or the way to it, was gone for a while.

use super::*;

/// The primary at 500; its standby has replied `reply` times.
fn row(reply: u32) -> PostgresFacts {
    primary(500, vec![sender(7, &reply.to_string(), 500)])
}

/// Nothing has come to the standby since the message of second 5.
fn idle() -> PostgresFacts {
    standby("5", 500)
}

/// Healthy, then twelve seconds in which only the standby can be asked: too long for what was seen of the primary before.
fn primary_was_away() -> Watch {
    let mut watch = Watch::new(None);
    watch.healthy(4);
    watch.tick(Ok(row(5)), Ok(idle()));
    for _ in 0..12 {
        let evidence = watch.tick(silent(FailureKind::PeerUnreachable), Ok(idle()));
        assert_eq!(told(&evidence), (true, Some(Reason::PeerUnreachable)));
    }
    watch
}

#[test]
fn the_channel_stays_up_without_a_number_until_the_next_sign_of_life() {
    let mut watch = primary_was_away();
    for _ in 0..9 {
        let evidence = watch.tick(Ok(row(5)), Ok(idle()));
        assert_eq!(told(&evidence), (true, Some(Reason::NotSeenYet)));
        let beta = &evidence.standbys[0];
        let numbers = (evidence.lag, evidence.lag_seconds, beta.total, beta.stages.is_some(), beta.catch_up_seconds);
        assert_eq!(numbers, (None, None, None, false, None), "what the row says may be old");
        assert!(evidence.verdict.detail.unwrap().contains("how far behind is unknown"));
    }
    let evidence = watch.tick(Ok(row(6)), Ok(idle()));
    assert_eq!((told(&evidence), evidence.lag), ((true, None), Some(Bytes(0))));
}

#[test]
fn it_does_not_for_longer_than_replies_may_take() {
    let mut watch = primary_was_away();
    let ups = (0..20).map(|_| told(&watch.tick(Ok(row(5)), Ok(idle())))).collect::<Vec<_>>();
    assert_eq!(ups[13], (true, Some(Reason::NotSeenYet)));
    assert_eq!(ups[14], (false, Some(Reason::NotAnswering)), "14 s after it was seen again");
}

#[test]
fn nor_for_longer_than_the_standby_has_heard_its_primary() {
    let mut watch = primary_was_away();
    for _ in 0..14 {
        watch.tick(silent(FailureKind::PeerUnreachable), Ok(idle()));
    }
    let ups = (0..12).map(|_| told(&watch.tick(Ok(row(5)), Ok(idle()))).0).collect::<Vec<_>>();
    assert_eq!(ups, [[true; 6], [false; 6]].concat(), "34 s after its last message");
}

#[test]
fn what_the_primary_says_against_it_counts_at_once() {
    let mut watch = primary_was_away();
    let evidence = watch.tick(Ok(primary(500, vec![])), Ok(idle()));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
    // Its row is there again, and nothing was heard since: that is no proof.
    let row = || sender(7, "5", 500);
    let evidence = watch.tick(Ok(primary(500, vec![row()])), Ok(idle()));
    assert!(evidence.verdict.up, "a row that was not there before has a reply that is new");
    let mut watch = primary_was_away();
    let starting = Walsender { state: Some("startup".into()), ..row() };
    assert_eq!(told(&watch.tick(Ok(primary(500, vec![starting])), Ok(idle()))), (false, Some(Reason::Starting)));
    assert_eq!(told(&watch.tick(Ok(primary(500, vec![row()])), Ok(idle()))), (false, Some(Reason::NotSeenYet)));
}

#[test]
fn at_a_first_look_nothing_is_kept() {
    let mut watch = Watch::new(None);
    assert_eq!(told(&watch.tick(Ok(row(5)), Ok(idle()))), (false, Some(Reason::NotSeenYet)));
    assert_eq!(told(&watch.tick(Ok(row(5)), Ok(idle()))), (false, Some(Reason::NotSeenYet)));
}

#[test]
fn a_primary_that_is_away_again_before_anything_was_heard_has_not_denied_anything() {
    let mut watch = primary_was_away();
    watch.tick(Ok(row(5)), Ok(idle()));
    let evidence = watch.tick(silent(FailureKind::PeerUnreachable), Ok(idle()));
    assert_eq!(told(&evidence), (true, Some(Reason::PeerUnreachable)));
}
