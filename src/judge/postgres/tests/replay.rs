//! What replay does on the standby while WAL goes on arriving.

use super::*;

#[test]
fn a_replay_that_stands_still_is_running_with_lag() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for n in 6..60_u64 {
        let stamp = n.to_string();
        let row = Walsender { replay: Some(Lsn(500)), ..sender(7, &stamp, n * 100) };
        let mut beta = standby(&stamp, n * 100);
        standby_of(&mut beta).replay_lsn = Some(Lsn(500));
        standby_of(&mut beta).replay_paused = Some(true);
        let evidence = watch.tick(Ok(primary(n * 100, vec![row])), Ok(beta));
        assert_eq!(told(&evidence), (true, Some(Reason::ReplayPaused)));
        assert_eq!(evidence.lag, Some(Bytes(n * 100 - 500)));
        assert_eq!(evidence.standbys[0].catch_up_seconds, Some(f64::INFINITY), "not by itself");
        assert_eq!(evidence.standbys[0].bottleneck, Some(Stage::Replay));
        let seconds = evidence.lag_seconds.unwrap();
        assert!((seconds - (n as f64 - 5.0)).abs() < 1.1, "{seconds} at {n}");
    }
}

#[test]
fn replay_is_stuck_once_it_stood_still_with_wal_to_replay_and_not_before() {
    let mut watch = Watch::new(None);
    watch.healthy(3);
    // Ten minutes of an idle pair: replay does not move, and has nothing to do.
    let idle = |n: u64| (primary(300, vec![sender(7, &n.to_string(), 300)]), standby(&n.to_string(), 300));
    for n in 4..600 {
        let (alpha, beta) = idle(n);
        watch.tick(Ok(alpha), Ok(beta));
    }
    for second in 0..=95_u64 {
        let stamp = (1000 + second).to_string();
        let row = Walsender { replay: Some(Lsn(300)), ..sender(7, &stamp, 900) };
        let mut beta = standby(&stamp, 900);
        standby_of(&mut beta).replay_lsn = Some(Lsn(300));
        let evidence = watch.tick(Ok(primary(900, vec![row])), Ok(beta));
        // 30 s that queries may hold it up, and a minute.
        let expected = if second < 89 { (true, None) } else { (true, Some(Reason::ReplayStuck)) };
        assert_eq!(told(&evidence), expected, "after {second} s");
    }
}

#[test]
fn a_setting_lower_than_the_primary_s_is_named_with_both_values() {
    let mut watch = Watch::new(None);
    watch.healthy(3);
    let with = |mut facts: PostgresFacts, connections| {
        facts.settings.must_not_be_lower = BTreeMap::from([("max_connections".to_owned(), connections)]);
        facts
    };
    let mut beta = standby("4", 400);
    standby_of(&mut beta).replay_paused = Some(true);
    let alpha = with(primary(400, vec![sender(7, "4", 400)]), 150);
    let evidence = watch.tick(Ok(alpha.clone()), Ok(with(beta.clone(), 100)));
    assert_eq!(told(&evidence), (true, Some(Reason::ReplayBlockedBySettings)));
    let detail = evidence.verdict.detail.unwrap();
    assert!(detail.contains("max_connections is 100, on the primary 150"), "{detail}");
    assert_eq!(told(&watch.tick(Ok(alpha), Ok(with(beta, 150)))), (true, Some(Reason::ReplayPaused)));
}

#[test]
fn a_pause_or_a_timeline_that_is_not_told_is_not_taken_for_well() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let alpha = || Ok(primary(600, vec![sender(7, "6", 600)]));
    let mut beta = standby("6", 600);
    standby_of(&mut beta).replay_paused = None;
    assert_eq!(watch.tick(alpha(), Ok(beta)).standbys[0].replay_state, None);
    let mut beta = standby("7", 600);
    standby_of(&mut beta).receiver.as_mut().unwrap().timeline = None;
    assert_eq!(told(&watch.tick(alpha(), Ok(beta))), (false, Some(Reason::Protocol)));
}
