//! What does not prove, and the very moment at which a proof ends: the hub wakes then, and must see that it has.

use super::*;

#[test]
fn only_a_walsender_that_streams_or_catches_up_proves() {
    let states = [
        ("streaming", None),
        ("catchup", None),
        ("startup", Some(Reason::Starting)),
        ("stopping", Some(Reason::NotConnected)),
        ("of a later version", Some(Reason::Starting)),
    ];
    for (state, reason) in states {
        let mut watch = Watch::new(None);
        watch.healthy(5);
        for n in 6..=8_u64 {
            let row = Walsender { state: Some(state.into()), ..sender(7, &n.to_string(), n * 100) };
            let evidence = watch.tick(Ok(primary(n * 100, vec![row])), Ok(standby(&n.to_string(), n * 100)));
            assert_eq!(told(&evidence), (reason.is_none(), reason), "{state}");
        }
    }
}

#[test]
fn a_receiver_on_a_timeline_that_the_primary_has_left_proves_nothing() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for n in 6..=8_u64 {
        let stamp = n.to_string();
        let alpha = PostgresFacts { timeline: Some(2), ..primary(n * 100, vec![sender(7, &stamp, n * 100)]) };
        let evidence = watch.tick(Ok(alpha), Ok(standby(&stamp, n * 100)));
        assert_eq!(told(&evidence), (false, Some(Reason::Starting)));
    }
}

#[test]
fn a_sign_of_life_counts_until_its_limit_and_no_longer() {
    let mut watch = Watch::new(None);
    // The last change was seen in the reading of second 5, so it came after that of second 4.
    watch.healthy(5);
    while watch.seconds < 17.0 {
        watch.tick(Ok(primary(500, vec![sender(7, "5", 500)])), Ok(standby("5", 500)));
    }
    assert_eq!(told(&watch.look(17.999)), (true, None));
    assert_eq!(told(&watch.look(18.0)), (false, Some(Reason::NotAnswering)));
}

#[test]
fn wal_that_stands_still_is_stalled_from_its_limit_on() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    // Servers that talk so seldom that their silence says nothing yet.
    let seldom = |mut facts: PostgresFacts| {
        facts.settings.wal_receiver_status_interval = Some(60 * SECOND);
        facts
    };
    while watch.seconds < 18.0 {
        let (alpha, beta) = (primary(9000, vec![sender(7, "5", 500)]), standby("5", 500));
        watch.tick(Ok(seldom(alpha)), Ok(seldom(beta)));
    }
    assert_eq!(told(&watch.look(18.999)), (true, None));
    assert_eq!(told(&watch.look(19.0)), (false, Some(Reason::Stalled)));
}

#[test]
fn the_timeline_that_a_receiver_follows_tells_of_another_history_before_the_control_file_does() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut beta = standby("6", 600);
    if let Some(receiver) = &mut standby_of(&mut beta).receiver {
        receiver.timeline = Some(2);
    }
    assert_eq!(beta.timeline, Some(1));
    let evidence = watch.tick(Ok(primary(600, vec![sender(7, "6", 600)])), Ok(beta));
    assert_eq!(contradicted(&evidence), Some(Reason::TimelineDiverged));
    let alone = watch.tick(Ok(primary(700, vec![])), silent(FailureKind::Timeout));
    assert!(alone.standbys[0].gap.is_some(), "by the control file it has not left yet");
    let mut beta = standby("7", 600);
    beta.timeline = Some(2);
    watch.tick(Ok(primary(700, vec![])), Ok(beta));
    let alone = watch.tick(Ok(primary(700, vec![])), silent(FailureKind::Timeout));
    assert_eq!(alone.standbys[0].gap, None, "its last word was of another history");
}

#[test]
fn who_is_the_primary_is_not_known_while_servers_contradict_each_other() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut foreign = standby("6", 500);
    foreign.system_identifier = Some("8".into());
    watch.tick(Ok(primary(600, vec![sender(7, "6", 600)])), Ok(foreign));
    assert!(watch.history.roles.contradicted, "canaries must not be written into another cluster's store");
    watch.healthy(1);
    assert!(!watch.history.roles.contradicted);
    let mut second = primary(600, vec![]);
    second.postmaster_start = Some(Opaque("beta's".into()));
    watch.tick(Ok(primary(600, vec![])), Ok(second));
    assert!(watch.history.roles.contradicted);
}
