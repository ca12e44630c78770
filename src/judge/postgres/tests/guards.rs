//! Single words that a proof or a number hangs on: each test is about one that could be left out without any other test's notice.

use super::kinds::{elsewhere, row, three, with_slot};
use super::*;
use crate::facts::Slot;
use crate::history::lsn_ring::Passed;
use crate::judge::postgres::proof::{by_receiver, message_limit, reply_limit};

fn of_three(evidence: &PostgresEvidence) -> [&StandbyEvidence; 2] {
    let [beta, gamma] = evidence.standbys.as_slice() else { panic!("two standbys: {evidence:?}") };
    [beta, gamma]
}

#[test]
fn of_two_that_answer_as_primary_none_is_it() {
    let mut watch = Watch::new(None);
    watch.healthy(10);
    let mut other = primary(1_100, vec![]);
    other.postmaster_start = Some(Opaque("beta's".into()));
    let evidence = watch.tick(Ok(primary(1_100, vec![])), Ok(other));
    assert_eq!((evidence.primary, evidence.wal_rate), (None, None));
}

#[test]
fn a_primary_that_is_silent_writes_nobody_knows_how_much() {
    let mut watch = Watch::new(None);
    let evidence = watch.healthy(10);
    assert_eq!((evidence.wal_rate, evidence.at_low_load), (Some(100.0), Some(true)));
    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(standby("11", 1_000)));
    assert_eq!((evidence.wal_rate, evidence.at_low_load), (None, None));
    let mut watch = Watch::new(None);
    let mut evidence = watch.healthy(1);
    for n in 2..20_u64 {
        let (stamp, lsn) = (n.to_string(), n << 22);
        evidence = watch.tick(Ok(primary(lsn, vec![sender(7, &stamp, lsn)])), Ok(standby(&stamp, lsn)));
    }
    assert_eq!(evidence.at_low_load, Some(false), "4 MiB a second");
}

#[test]
fn a_receiver_whose_state_may_not_be_seen_proves_nothing() {
    let mut facts = standby("1", 100);
    standby_of(&mut facts).receiver.as_mut().unwrap().status = None;
    let told = by_receiver(standby_of(&mut facts), None, Some(SECOND), Some(1), at(1.0));
    assert_eq!(told.map_err(|(reason, _)| reason), Err(Reason::Permission));
}

#[test]
fn limits_follow_the_servers_settings_and_zero_means_off() {
    let with = |interval: u64, sender: u64, receiver: u64| PostgresSettings {
        wal_receiver_status_interval: Some(Duration::from_secs(interval)),
        wal_sender_timeout: Some(Duration::from_secs(sender)),
        wal_receiver_timeout: Some(Duration::from_secs(receiver)),
        ..PostgresSettings::default()
    };
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    assert_eq!(seconds(reply_limit(Some(&with(10, 60, 60)), &with(0, 60, 0))), Some(14));
    assert_eq!(seconds(reply_limit(Some(&with(0, 60, 60)), &with(0, 60, 0))), Some(34), "half the sender's timeout");
    assert_eq!(seconds(reply_limit(None, &with(0, 60, 0))), Some(34));
    assert_eq!(seconds(reply_limit(Some(&with(0, 60, 60)), &with(0, 0, 0))), None);
    assert_eq!(seconds(message_limit(&with(0, 0, 60))), Some(34));
    assert_eq!(message_limit(&with(0, 0, 0)), None);
}

#[test]
fn nothing_outstanding_is_not_stalled_however_seldom_a_standby_replies() {
    let mut watch = Watch::new(None);
    let seldom = |mut facts: PostgresFacts| {
        facts.settings.wal_receiver_status_interval = Some(50 * SECOND);
        facts
    };
    for n in 1..=120_u64 {
        let stamp = (n / 40).to_string();
        let evidence =
            watch.tick(Ok(primary(100, vec![sender(7, &stamp, 100)])), Ok(seldom(standby(&n.to_string(), 100))));
        assert!(n < 45 || evidence.verdict.up, "after {n} s: {:?}", evidence.verdict);
    }
    // Its interval counts also while it cannot be asked.
    for _ in 0..40 {
        let alpha = primary(100, vec![sender(7, "3", 100)]);
        let evidence = watch.tick(Ok(alpha), silent(FailureKind::StartingUp));
        assert_eq!(told(&evidence), (true, Some(Reason::StartingUp)), "after {} s", watch.seconds);
    }
}

#[test]
fn the_end_of_a_proof_is_a_change_by_itself() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let channel = PostgresChannel {
        schedule: Schedule { stale_after: 1000 * SECOND, ..Schedule::new(SECOND, 3 * SECOND) },
        ..channel()
    };
    let next =
        |watch: &Watch| evidence(&channel, &watch.pair, &watch.latest, &watch.history, at(watch.seconds + 0.1)).1;
    assert_eq!(next(&watch), Some(at(18.0)), "14 s after the reading before the last reply");
    let beta = |stamp: &str| {
        let mut beta = standby(stamp, 500);
        beta.settings.wal_receiver_status_interval = Some(30 * SECOND);
        beta
    };
    watch.tick(Ok(primary(900, vec![sender(7, "5", 500)])), Ok(beta("6")));
    assert_eq!(next(&watch), Some(at(19.0)), "15 s after the last movement, with WAL outstanding");
}

#[test]
fn the_worst_of_several_standbys_is_the_pairs_number_and_what_one_does_not_know_nobody_does() {
    let mut watch = three();
    let tick = |watch: &mut Watch, n: u64, behind: u64, replayed: Option<u64>| {
        let (stamp, lsn) = (n.to_string(), n * 100);
        let other = Walsender { replay: replayed.map(Lsn), ..row(8, Some("gamma"), &stamp, lsn - behind) };
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn - 100), other]);
        let mut gamma = with_slot(standby(&stamp, lsn - behind), "gamma");
        standby_of(&mut gamma).replay_lsn = replayed.map(Lsn);
        watch.tick_three(alpha, with_slot(standby(&stamp, lsn - 100), "beta"), gamma)
    };
    let mut evidence = None;
    for n in 10..40 {
        evidence = Some(tick(&mut watch, n, 500, Some(n * 100 - 500)));
    }
    let evidence = evidence.unwrap();
    assert_eq!((evidence.lag, evidence.lag_undelayed), (Some(Bytes(500)), Some(Bytes(500))));
    assert_eq!(evidence.lag_seconds.map(f64::round), Some(5.0));
    let evidence = tick(&mut watch, 40, 500, Some(5));
    assert!(evidence.lag.is_some(), "{:?}", evidence.verdict);
    assert_eq!(evidence.lag_seconds, None, "gamma's is older than all that is remembered");
}

#[test]
fn a_standby_without_a_number_leaves_the_pair_without_one() {
    let mut watch = three();
    let mut last = None;
    for n in 10..40_u64 {
        let (stamp, lsn) = (n.to_string(), n * 100);
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn)]);
        let mut gamma = elsewhere(&stamp, lsn);
        standby_of(&mut gamma).receiver.as_mut().unwrap().application_name = Some("gamma".into());
        standby_of(&mut gamma).replay_lsn = None;
        last = Some(watch.tick_three(alpha, with_slot(standby(&stamp, lsn), "beta"), gamma));
    }
    let evidence = last.unwrap();
    let [beta, gamma] = of_three(&evidence);
    assert_eq!((beta.total, gamma.total), (Some(Bytes(0)), None));
    assert_eq!((evidence.verdict.up, evidence.lag, evidence.lag_seconds), (true, None, None), "{:?}", evidence.verdict);
}

#[test]
fn growing_is_large_and_certain_and_no_trifle() {
    let (channel, large) = (channel(), Some(Bytes::mib(65)));
    let slope = |median: f64, lower: f64| Some(Slope { median, lower, upper: median * 2.0 });
    assert!(is_large_and_growing(&channel, large, slope(1e6, 1e5)));
    assert!(!is_large_and_growing(&channel, large, slope(1e6, -1.0)), "not for certain");
    assert!(!is_large_and_growing(&channel, large, slope(1000.0, 900.0)), "a trifle");
    assert!(!is_large_and_growing(&channel, Some(Bytes::mib(64)), slope(1e6, 1e5)), "not large");
    assert!(!is_large_and_growing(&channel, None, slope(1e6, 1e5)) && !is_large_and_growing(&channel, large, None));
}

#[test]
fn a_held_verdict_is_not_held_by_looking_at_it() {
    let mut watch = Watch::new(None);
    let evidence = watch.healthy(3);
    assert!(!evidence.growing);
    assert!(!watch.tick(Ok(primary(1 << 40, vec![])), silent(FailureKind::Timeout)).growing, "held as it was");
    for n in 4..=300_u64 {
        let (stamp, lag) = (n.to_string(), n << 20);
        watch.tick(Ok(primary(10_000 + lag, vec![sender(7, &stamp, 10_000)])), Ok(standby(&stamp, 10_000)));
    }
    for second in 1..=70 {
        let evidence = watch.tick(Ok(primary(1 << 40, vec![])), silent(FailureKind::Timeout));
        assert_eq!(evidence.growing, second < 60, "after {second} s");
    }
}

#[test]
fn beside_a_node_that_was_never_asked_nothing_is_proven_by_one_side() {
    let mut watch = Watch::new(Some(ReplicaMatch::ApplicationName("beta".into())));
    for n in 1..=5_u64 {
        watch.take("alpha", n as f64, 0.01, Ok(primary(n, vec![sender(7, &n.to_string(), n)])));
        assert_eq!(told(&watch.look(n as f64 + 0.1)), (false, Some(Reason::NotSeenYet)));
    }
    watch.take("beta", 5.2, 0.01, silent(FailureKind::Refused));
    let evidence = watch.look(5.3);
    assert_eq!(told(&evidence), (true, Some(Reason::Refused)));
    assert_eq!(evidence.standbys[0].gap, Some(Bytes(0)), "by the primary's word alone");
}

#[test]
fn the_position_of_another_cluster_is_no_gap_though_its_server_is_silent_now() {
    let mut watch = Watch::new(Some(ReplicaMatch::ApplicationName("beta".into())));
    let mut foreign = standby("1", 500);
    foreign.system_identifier = Some("8".into());
    watch.tick(Ok(primary(600, vec![])), Ok(foreign));
    let evidence = watch.tick(Ok(primary(600, vec![])), silent(FailureKind::Refused));
    assert_eq!(evidence.standbys[0].gap, None);
}

#[test]
fn of_two_rows_with_one_name_none_is_ours() {
    let alpha = |stamp: &str| primary(500, vec![sender(7, stamp, 500), sender(8, stamp, 500)]);
    for replica in [None, Some(ReplicaMatch::ApplicationName("beta".into()))] {
        let mut watch = Watch::new(replica.clone());
        watch.tick(Ok(alpha("1")), Ok(standby("1", 500)));
        let evidence = watch.tick(Ok(alpha("2")), Ok(standby("2", 500)));
        assert_eq!(told(&evidence), (false, Some(Reason::Ambiguous)), "{replica:?}");
    }
}

#[test]
fn roles_of_before_a_restart_count_only_once_they_are_seen_again() {
    let mut before = Watch::new(None);
    before.healthy(5);
    let mut watch = Watch::new(None);
    watch.seconds = 10.0;
    watch.history.restore(before.history.saved(), at(10.0));
    let primary_of =
        |watch: &Watch| roles(&channel(), &watch.pair, &watch.latest, &watch.history, at(watch.seconds + 0.1)).primary;
    for _ in 0..3 {
        watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout));
        assert_eq!(primary_of(&watch), None, "another may have been promoted meanwhile");
    }
    watch.healthy(3);
    watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout));
    assert_eq!(primary_of(&watch), Some(Name::new("alpha")));
}

#[test]
fn a_cascaded_standby_says_nothing_of_a_primary_that_its_sender_does_not_hear() {
    let mut watch = three();
    let beta = |stamp: &str, sends: &str, lsn| {
        let mut beta = with_slot(standby(stamp, lsn), "beta");
        let own = standby_of(&mut beta);
        own.receiver.as_mut().unwrap().last_message_age = None;
        own.walsenders = vec![row(8, Some("gamma"), sends, lsn)];
        beta
    };
    let gamma = |stamp: &str, lsn| {
        let mut gamma = with_slot(standby(stamp, lsn), "gamma");
        standby_of(&mut gamma).receiver.as_mut().unwrap().last_message_age = None;
        gamma.postmaster_start = Some(Opaque("gamma's".into()));
        gamma
    };
    for n in 1..=10_u64 {
        let (stamp, lsn) = (n.to_string(), n * 100);
        let alpha = primary(lsn, vec![row(7, Some("beta"), &stamp, lsn)]);
        watch.tick_three(alpha, beta(&stamp, &stamp, lsn), gamma(&stamp, lsn));
    }
    let mut alone = |n: u64, heard: &str, sends: &str, receives: &str| {
        watch.take("gamma", watch.seconds + 1.0, 0.01, Ok(gamma(receives, 1_000)));
        let evidence = watch.tick(silent(FailureKind::Timeout), Ok(beta(heard, sends, 1_000)));
        let gamma = evidence.standbys.iter().find(|standby| standby.node.as_str() == "gamma").unwrap();
        assert_eq!(gamma.total, None, "after {n} s");
        gamma.verdict.up
    };
    for n in 11..=20_u64 {
        let stamp = n.to_string();
        assert!(alone(n, &stamp, &stamp, &stamp), "beta hears the primary, after {n} s");
    }
    // Beta hears nothing more, and goes on sending signs of life of its own.
    let last = (21..=70_u64).map(|n| (n, alone(n, "20", &n.to_string(), &n.to_string()))).filter(|(_, up)| *up).last();
    let (until, _) = last.unwrap();
    assert!((50..=55).contains(&until), "{until}");
    // It hears it again, but gamma's own receiver hears nothing.
    let last = (71..=120_u64).map(|n| (n, alone(n, &n.to_string(), &n.to_string(), "70"))).filter(|(_, up)| *up).last();
    let (until, _) = last.unwrap();
    assert!((100..=105).contains(&until), "{until}");
}

#[test]
fn servers_that_do_not_tell_who_they_are_are_not_one() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut alpha = primary(600, vec![sender(7, "6", 600)]);
    let mut beta = standby("6", 600);
    (alpha.postmaster_start, beta.postmaster_start) = (None, None);
    assert_eq!(watch.tick(Ok(alpha.clone()), Ok(beta.clone())).contradiction, None);
    let same = Some(Opaque("the same instant".into()));
    (alpha.postmaster_start, beta.postmaster_start) = (same.clone(), same);
    beta.data_directory = Some("/other".into());
    assert_eq!(watch.tick(Ok(alpha), Ok(beta)).contradiction, None, "started by one script on two machines");
}

#[test]
fn the_node_that_was_the_primary_last_is_the_one_whose_silence_is_told() {
    let mut watch = three();
    let detail = |evidence: &PostgresEvidence| evidence.verdict.detail.clone().unwrap();
    // Nothing was ever proven: the first that is silent.
    watch.take("gamma", 1.0, 0.01, Ok(with_slot(standby("1", 1), "gamma")));
    watch.take("beta", 1.0, 0.01, silent(FailureKind::Refused));
    watch.take("alpha", 1.0, 0.01, silent(FailureKind::Refused));
    assert!(detail(&watch.look(1.1)).contains("alpha cannot be asked"));
    let mut beta = primary(5, vec![]);
    beta.postmaster_start = Some(Opaque("beta's".into()));
    watch.take("beta", 2.0, 0.01, Ok(beta));
    watch.look(2.1);
    watch.take("beta", 3.0, 0.01, silent(FailureKind::Refused));
    let evidence = watch.look(3.1);
    assert!(detail(&evidence).contains("beta cannot be asked"), "{:?}", evidence.verdict);
}

#[test]
fn a_standbys_position_is_what_it_replayed() {
    let mut watch = Watch::new(None);
    let mut beta = standby("1", 900);
    standby_of(&mut beta).replay_lsn = Some(Lsn(100));
    let evidence = watch.tick(Ok(primary(1000, vec![sender(7, "1", 900)])), Ok(beta));
    assert_eq!(evidence.nodes.iter().map(|node| node.position).collect::<Vec<_>>(), [Some(Lsn(1000)), Some(Lsn(100))]);
}

#[test]
fn positions_of_another_timeline_begin_the_ring_anew() {
    let mut watch = Watch::new(None);
    watch.healthy(20);
    assert!(matches!(watch.history.ring.passed(Lsn(300), Duration::from_secs(6)), Some(Passed::Ago { .. })));
    let mut beta = primary(90_000, vec![]);
    beta.timeline = Some(2);
    watch.take("beta", 21.0, 0.01, Ok(beta));
    assert_eq!(
        watch.history.ring.passed(Lsn(300), Duration::from_secs(6)),
        Some(Passed::AtLeast { at_least: 0.0, at_most: None }),
        "alpha's positions mean nothing now"
    );
}

#[test]
fn ahead_is_three_answers_in_a_row_and_not_one_answer_three_times() {
    let ahead = |watch: &Watch| watch.history.nodes[&Name::new("beta")].ahead;
    let mut watch = Watch::new(None);
    watch.healthy(5);
    watch.take("beta", 6.0, 0.01, Ok(standby("6", 9_000)));
    for n in 7..=12_u64 {
        watch.take("alpha", n as f64, 0.01, Ok(primary(600, vec![sender(7, "6", 600)])));
        assert_eq!(ahead(&watch), 1, "after {n} s");
    }
    let step = |watch: &mut Watch, n: u64, lsn: u64| {
        watch.take("beta", n as f64, 0.01, Ok(standby("6", lsn)));
        watch.take("alpha", n as f64 + 0.5, 0.01, Ok(primary(600, vec![sender(7, "6", 600)])));
    };
    step(&mut watch, 13, 9_000);
    assert_eq!(ahead(&watch), 2);
    step(&mut watch, 14, 600);
    assert_eq!(ahead(&watch), 0, "it is not ahead after all");
}

#[test]
fn while_nobody_looked_no_commit_was_seen_to_wait() {
    let mut watch = Watch::new(None);
    let waits = |n: u64| {
        let mut alpha = primary(n * 100, vec![sender(7, &n.to_string(), n * 100)]);
        let PostgresRole::Primary(own) = &mut alpha.role else { panic!("a primary") };
        (own.commits_waiting, own.longest_commit_wait) = (Some(1), Some(1000 * SECOND));
        alpha
    };
    let blocked: Vec<_> =
        (1..=17_u64).map(|n| watch.tick(Ok(waits(n)), Ok(standby(&n.to_string(), n * 100))).commits_blocked).collect();
    assert_eq!((blocked[15], blocked[16]), (Some(false), Some(true)), "over 15 s");
    watch.seconds += 60.0;
    let evidence = watch.tick(Ok(waits(90)), Ok(standby("90", 9000)));
    assert_eq!(evidence.commits_blocked, Some(false), "one may have gone and another come");
}

#[test]
fn a_row_that_its_slot_alone_names_is_ours() {
    let mut watch = Watch::new(Some(ReplicaMatch::Slot("beta".into())));
    let slot = Slot { name: "beta".into(), physical: true, active: true, active_pid: Some(7), ..Slot::default() };
    let mut evidence = None;
    for n in 1..=4_u64 {
        let stamp = n.to_string();
        let mut alpha = primary(n * 100, vec![sender(7, &stamp, n * 100)]);
        let PostgresRole::Primary(own) = &mut alpha.role else { panic!("a primary") };
        own.slots = vec![slot.clone()];
        evidence = Some(watch.tick(Ok(alpha), Ok(with_slot(standby(&stamp, n * 100), "beta"))));
    }
    assert_eq!(told(&evidence.unwrap()), (true, None));
}
