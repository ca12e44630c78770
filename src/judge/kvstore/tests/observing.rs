//! Timelines of comparisons: every 5 s, fresh for 48 s.

use super::*;

#[test]
fn data_that_differ_speak_against_canaries_that_pass() {
    let mut timeline = Timeline::new();
    timeline.channel.observe.sample = 50;
    timeline.canary(100, Outcome::Ok, None);
    assert!(timeline.at(101).0.verdict.up, "the first comparison is not back yet");
    let missing = vec![(name("beta"), 1), (name("alpha"), 0)];
    compared(&mut timeline, 100, ObservedFacts { compared: 100, differing: 2, missing, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(101), Some(Reason::Diverged));
    let observed = timeline.at(101).0.observed.expect("configured");
    assert_eq!((observed.drift_ratio, observed.missing_on_standby, observed.missing_on_primary), (Some(0.03), 1, 0));
    compared(&mut timeline, 101, ObservedFacts { compared: 100, still_differing: 1, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(102), Some(Reason::Diverged), "a remembered key still differs");
    compared(&mut timeline, 102, ObservedFacts { compared: 100, ..ObservedFacts::default() });
    assert!(timeline.at(103).0.verdict.up);
    let refused = Failure::new(FailureKind::Permission, "may not");
    compared(&mut timeline, 103, ObservedFacts { failures: vec![(name("beta"), refused)], ..ObservedFacts::default() });
    let evidence = timeline.at(104).0;
    assert_eq!(
        (evidence.verdict.up, evidence.verdict.reason),
        (true, Some(Reason::Permission)),
        "half the proof is a warning"
    );
    assert_eq!(evidence.observed.expect("configured").differs, None);
}

#[test]
fn without_canaries_the_comparison_is_the_proof_and_nothing_compared_is_none() {
    let mut timeline = Timeline::new();
    timeline.channel.canaries = false;
    timeline.channel.observe.keys = vec!["heartbeat".to_owned()];
    assert_eq!(timeline.reason_at(100), Some(Reason::NotSeenYet));
    compared(&mut timeline, 100, ObservedFacts { absent_keys: 1, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(101), Some(Reason::NotObservable));
    compared(&mut timeline, 101, ObservedFacts { compared: 1, ..ObservedFacts::default() });
    let evidence = timeline.at(102).0;
    assert_eq!((evidence.verdict.up, evidence.proof), (true, Proof::Observed));
    compared(&mut timeline, 102, ObservedFacts { compared: 1, differing: 1, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(103), Some(Reason::Diverged));
    assert_eq!(timeline.reason_at(200), Some(Reason::Stale));
}

#[test]
fn stores_that_became_empty_are_no_longer_equal_by_what_was_compared_before() {
    let mut timeline = Timeline::new();
    timeline.channel.canaries = false;
    timeline.channel.observe.sample = 50;
    for seconds in 100..110 {
        compared(&mut timeline, seconds, ObservedFacts { compared: 50, ..ObservedFacts::default() });
    }
    assert!(timeline.at(110).0.verdict.up);
    for seconds in (110..155).step_by(5) {
        compared(&mut timeline, seconds, ObservedFacts::default());
        assert!(timeline.at(seconds).0.verdict.up, "one sample may happen to have nothing in it");
    }
    compared(&mut timeline, 157, ObservedFacts::default());
    assert_eq!(timeline.reason_at(157), Some(Reason::NotObservable));
}

#[test]
fn a_third_store_that_nobody_compares_is_not_proven_by_the_other_two() {
    let mut timeline = Timeline::new();
    timeline.channel.canaries = false;
    timeline.channel.observe.sample = 50;
    let mut gamma = timeline.pair.nodes[1].clone();
    gamma.name = name("gamma");
    timeline.pair.nodes.push(gamma);
    timeline.roles.standbys.push(name("gamma"));
    compared(&mut timeline, 100, ObservedFacts { compared: 50, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(101), Some(Reason::NotObservable));
}

#[test]
fn a_comparison_of_nothing_leaves_the_one_before_until_that_is_stale() {
    let mut timeline = Timeline::new();
    timeline.channel.canaries = false;
    timeline.channel.observe.sample = 50;
    compared(&mut timeline, 100, ObservedFacts { compared: 10, ..ObservedFacts::default() });
    assert_eq!(timeline.at(101).0.verdict, Verdict::proven(at(100)));
    compared(&mut timeline, 105, ObservedFacts::default());
    assert_eq!(timeline.at(106).0.verdict, Verdict::proven(at(100)));
    compared(&mut timeline, 145, ObservedFacts::default());
    assert!(timeline.at(147).0.verdict.up, "3 intervals, a timeout, and what a comparison takes");
    assert_eq!(timeline.reason_at(148), Some(Reason::NotObservable));
}
