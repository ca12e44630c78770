//! Timelines: canaries every 5 s, fresh for 18 s.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{KvstoreNode, NodeConfig, RedisNode, Rpo, Schedule};
use crate::facts::{CycleFacts, Failure, LaneFacts, Reading, StoreAnswer};
use crate::names::{FailureKind, Lane};
use crate::units::Bytes;

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn name(text: &str) -> Name {
    Name::new(text)
}

struct Timeline {
    channel: KvstoreChannel,
    pair: PairConfig,
    latest: Latest<KvstoreFacts>,
    observed: Latest<ObservedFacts>,
    history: KvstoreHistory,
    roles: Roles,
}

impl Timeline {
    fn new() -> Self {
        let channel = KvstoreChannel::path(Schedule::new(Duration::from_secs(5), Duration::from_secs(3)));
        let node = |text: &str| NodeConfig {
            name: name(text),
            agent: None,
            postgres: None,
            kvstore: Some(KvstoreNode::Redis(RedisNode {
                address: "127.0.0.1:6379".to_owned(),
                user: None,
                password: None,
                database: 0,
                tls: None,
            })),
            search: None,
            config: None,
        };
        let pair = PairConfig {
            name: name("shop"),
            nodes: vec![node("alpha"), node("beta")],
            postgres: None,
            config: None,
            kvstore: Some(channel.clone()),
            search: None,
            rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
            role_from: None,
            seat: None,
        };
        let roles = Roles { primary: Some(name("alpha")), standbys: vec![name("beta")], ..Roles::default() };
        Self {
            channel,
            pair,
            latest: Latest::NeverAsked,
            observed: Latest::NeverAsked,
            history: KvstoreHistory::default(),
            roles,
        }
    }

    fn canary(&mut self, seconds: u64, outcome: Outcome, failure: Option<(bool, FailureKind)>) {
        let ok = outcome == Outcome::Ok;
        let standby = StoreAnswer {
            acknowledged: failure.map_or(Some(true), |(sent, _)| sent.then_some(false)),
            holds: failure.is_none().then_some(ok),
            failure: failure.map(|(_, kind)| Failure::new(kind, format!("the store of beta: {kind}"))),
        };
        let facts = KvstoreFacts {
            outcome,
            proof: Proof::Path,
            standby: (name("beta"), standby),
            primary: (name("alpha"), StoreAnswer { acknowledged: None, holds: Some(ok), failure: None }),
            sequence: seconds,
            round_trip: ok.then_some(Duration::from_millis(2)),
            write: None,
            indeterminate_resolved: None,
            more: CycleFacts::default(),
        };
        let reading = Reading { asked: at(seconds), answered: at(seconds + 1), result: Ok(facts) };
        self.history.record(&reading);
        self.latest = Latest::Have(Arc::new(reading));
    }

    fn at(&self, seconds: u64) -> (KvstoreEvidence, Option<Moment>) {
        evidence(&self.channel, &self.pair, (&self.latest, &self.observed), &self.history, &self.roles, at(seconds))
    }

    fn reason_at(&self, seconds: u64) -> Option<Reason> {
        let KvstoreEvidence { verdict, round_trip, .. } = self.at(seconds).0;
        assert!(!verdict.up, "{verdict:?}");
        assert_eq!(round_trip, None, "what is not proven has no number");
        verdict.reason
    }
}

#[test]
fn up_from_the_first_ok_until_it_is_stale() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.reason_at(100), Some(Reason::NotSeenYet));
    timeline.canary(100, Outcome::Ok, None);
    let (evidence, next) = timeline.at(101);
    assert_eq!(evidence.verdict, Verdict::proven(at(100)));
    assert_eq!(evidence.round_trip, Some(Duration::from_millis(2)));
    assert_eq!(evidence.stores, [(name("alpha"), true), (name("beta"), true)]);
    assert_eq!(next, Some(at(118)), "it runs out by itself");
    assert!(timeline.at(117).0.verdict.up);
    let (evidence, next) = timeline.at(118);
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (false, Some(Reason::Stale)));
    assert_eq!((evidence.outcome, evidence.round_trip, next), (None, None, None), "nothing old is shown");
    assert_eq!(evidence.stores, [(name("alpha"), false), (name("beta"), false)]);
    assert_eq!(evidence.verdict.detail.as_deref(), Some("no canary has come back lately; last ok 18s ago"));
}

#[test]
fn a_cut_link_blocks_at_once_and_counts_from_the_first_blocked_canary() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    timeline.canary(105, Outcome::Blocked, Some((false, FailureKind::Timeout)));
    timeline.canary(110, Outcome::Blocked, Some((false, FailureKind::Timeout)));
    let evidence = timeline.at(112).0;
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (false, Some(Reason::Blocked)));
    assert_eq!(evidence.verdict.detail.as_deref(), Some("writes block: the store of beta: timeout; last ok 12s ago"));
    assert_eq!(evidence.blocked_for, Some(Duration::from_secs(7)));
    assert_eq!(evidence.stores, [(name("alpha"), true), (name("beta"), false)]);
    timeline.canary(115, Outcome::Ok, None);
    let evidence = timeline.at(116).0;
    assert_eq!((evidence.verdict.up, evidence.blocked_for), (true, None));
    let counted: Vec<_> = evidence.outcomes.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Outcome::Ok, 2), (Outcome::Blocked, 2)]);
}

#[test]
fn every_outcome_but_ok_takes_it_down_with_a_reason_of_the_closed_list() {
    let known = crate::names::Channel::Kvstore.reasons();
    for outcome in Outcome::ALL {
        let mut timeline = Timeline::new();
        timeline.canary(100, *outcome, None);
        let verdict = timeline.at(101).0.verdict;
        assert_eq!(verdict.up, *outcome == Outcome::Ok, "{outcome}");
        assert!(verdict.reason.is_none_or(|reason| known.contains(&reason)), "{outcome}");
        assert_eq!(verdict.reason.is_none(), verdict.up, "{outcome}");
    }
}

#[test]
fn reasons_by_outcome_and_failure() {
    let sent = |kind| Some((true, kind));
    let cases = [
        (Outcome::PrimaryOnly, None, Reason::Diverged),
        (Outcome::PrimaryStale, None, Reason::Diverged),
        (Outcome::StandbyOnly, None, Reason::Diverged),
        (Outcome::PrimaryOnlyUnacked, None, Reason::Diverged),
        (Outcome::Lost, None, Reason::Lost),
        (Outcome::Rejected, sent(FailureKind::Refused), Reason::Rejected),
        (Outcome::Rejected, Some((false, FailureKind::Refused)), Reason::Refused),
        (Outcome::Rejected, Some((false, FailureKind::Authentication)), Reason::Authentication),
        (Outcome::Rejected, sent(FailureKind::Permission), Reason::Permission),
        (Outcome::Unknown, sent(FailureKind::Timeout), Reason::Timeout),
        (Outcome::Unknown, None, Reason::NotSeenYet),
    ];
    for (outcome, failure, expected) in cases {
        let mut timeline = Timeline::new();
        timeline.canary(100, outcome, failure);
        assert_eq!(timeline.reason_at(101), Some(expected), "{outcome} {failure:?}");
    }
}

#[test]
fn roles_decide_what_a_canary_proves() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    timeline.roles.contradicted = true;
    assert_eq!(timeline.reason_at(101), Some(Reason::RoleUnknown));
    timeline.roles.contradicted = false;
    (timeline.roles.primary, timeline.roles.standbys) = (Some(name("beta")), vec![name("alpha")]);
    assert_eq!(timeline.reason_at(101), Some(Reason::NotSeenYet), "that canary went the other way");
    (timeline.roles.primary, timeline.roles.standbys) = (Some(name("alpha")), vec![name("beta"), name("gamma")]);
    assert_eq!(timeline.reason_at(101), Some(Reason::NotObservable), "nothing was asked of gamma");
    timeline.roles.standbys = vec![name("gamma")];
    assert_eq!(timeline.reason_at(101), Some(Reason::NotSeenYet), "that canary went to a standby of before");
}

#[test]
fn a_pause_of_the_machine_drops_the_proof() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    timeline.latest = Latest::Dropped;
    assert_eq!(timeline.reason_at(101), Some(Reason::Stale));
}

fn with_lane(timeline: &mut Timeline, seconds: u64, outcome: Outcome, found: Option<Outcome>) {
    timeline.canary(seconds, outcome, None);
    let Latest::Have(reading) = &timeline.latest else { panic!("just recorded") };
    let mut reading = (**reading).clone();
    let facts = reading.result.as_mut().expect("facts");
    facts.more.lanes = vec![LaneFacts { lane: Lane::Medium, outcome: found, new: true }];
    timeline.history.record(&reading);
    timeline.latest = Latest::Have(Arc::new(reading));
}

#[test]
fn a_canary_that_stays_speaks_against_new_ones_that_pass() {
    let cases = [
        (Outcome::PrimaryOnly, Reason::Diverged),
        (Outcome::PrimaryStale, Reason::Diverged),
        (Outcome::Lost, Reason::Lost),
    ];
    for (found, reason) in cases {
        let mut timeline = Timeline::new();
        with_lane(&mut timeline, 100, Outcome::Ok, Some(found));
        assert_eq!(timeline.reason_at(101), Some(reason), "{found}");
        let canaries = timeline.at(101).0.canaries;
        assert_eq!((canaries.lost, canaries.diverged), (Some(found == Outcome::Lost), Some(found != Outcome::Lost)));
    }
    for found in [None, Some(Outcome::Ok), Some(Outcome::Unknown)] {
        let mut timeline = Timeline::new();
        with_lane(&mut timeline, 100, Outcome::Ok, found);
        assert!(timeline.at(101).0.verdict.up, "{found:?}");
    }
}

#[test]
fn eviction_is_a_warning_and_no_loss() {
    let mut timeline = Timeline::new();
    with_lane(&mut timeline, 100, Outcome::Ok, Some(Outcome::Evicted));
    let evidence = timeline.at(101).0;
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (true, Some(Reason::Evicted)));
    let CanaryEvidence { lost, diverged, evicted, .. } = evidence.canaries;
    assert_eq!((lost, diverged, evicted), (Some(false), Some(false), Some(true)));
    // The newest one is evicted before it could be read: what was proven before still is, until it is stale.
    timeline.canary(105, Outcome::Evicted, None);
    assert!(timeline.at(106).0.verdict.up);
    timeline.canary(120, Outcome::Evicted, None);
    assert_eq!(timeline.reason_at(121), Some(Reason::Evicted));
}

#[test]
fn a_lost_write_is_told_for_a_while() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Lost, None);
    assert_eq!(timeline.reason_at(101), Some(Reason::Lost));
    timeline.canary(105, Outcome::Ok, None);
    let (evidence, _) = timeline.at(106);
    assert_eq!((evidence.verdict.up, evidence.canaries.lost), (true, Some(true)), "a scrape every minute sees it");
    timeline.canary(700, Outcome::Ok, None);
    assert_eq!(timeline.at(701).0.canaries.lost, Some(false));
}

#[test]
fn three_canaries_on_one_side_are_no_accident_and_what_is_not_fresh_is_not_known() {
    let mut timeline = Timeline::new();
    for (seconds, expected) in [(100, false), (105, false), (110, true)] {
        timeline.canary(seconds, Outcome::PrimaryOnly, None);
        assert_eq!(timeline.at(seconds + 1).0.canaries.diverged, Some(expected), "{seconds}");
    }
    let stale = timeline.at(140).0;
    assert_eq!((stale.canaries.diverged, stale.canaries.lost, stale.at_risk), (None, None, None));
    timeline.canary(145, Outcome::Ok, None);
    assert_eq!(timeline.at(146).0.canaries.diverged, Some(false));
}

#[test]
fn slow_is_more_than_one_in_a_hundred_over_the_sla() {
    let mut timeline = Timeline::new();
    let told = |timeline: &Timeline, at| timeline.at(at).0.canaries.slow;
    for seconds in 100..104 {
        timeline.canary(seconds, Outcome::Ok, None);
        assert_eq!(told(&timeline, seconds), None, "too few to tell");
    }
    timeline.canary(104, Outcome::Ok, None);
    assert_eq!(told(&timeline, 105), Some(false));
    timeline.channel.sla = Duration::from_millis(1);
    assert_eq!(told(&timeline, 105), Some(true), "2 ms each");
}

#[test]
fn one_canary_that_was_held_up_is_no_slow_store() {
    let mut timeline = Timeline::new();
    for seconds in 100..110 {
        timeline.canary(seconds, Outcome::Ok, None);
    }
    for (seconds, expected) in [(110, false), (111, false), (112, true)] {
        timeline.canary(seconds, Outcome::Ok, None);
        let Latest::Have(reading) = &timeline.latest else { panic!("just recorded") };
        let mut reading = (**reading).clone();
        reading.result.as_mut().expect("facts").round_trip = Some(Duration::from_secs(2));
        timeline.history.record(&reading);
        assert_eq!(timeline.at(seconds + 1).0.canaries.slow, Some(expected), "{seconds}");
    }
}

#[test]
fn what_is_at_risk_is_told_of_the_present_roles_only() {
    let mut timeline = Timeline::new();
    let none = Some(crate::facts::AtRisk::default());
    let canary = |timeline: &mut Timeline| {
        timeline.canary(100, Outcome::Ok, None);
        let Latest::Have(reading) = &timeline.latest else { panic!("just recorded") };
        let mut reading = (**reading).clone();
        reading.result.as_mut().expect("facts").more.at_risk = none;
        timeline.latest = Latest::Have(Arc::new(reading));
    };
    canary(&mut timeline);
    assert_eq!(timeline.at(101).0.at_risk, none);
    timeline.roles.standbys.push(name("gamma"));
    assert_eq!(timeline.at(101).0.at_risk, None, "nothing was asked of gamma");
    (timeline.roles.primary, timeline.roles.standbys) = (Some(name("beta")), vec![name("alpha")]);
    assert_eq!(timeline.at(101).0.at_risk, None, "alpha is the standby now, and that canary went to beta");
    timeline.roles = Roles::default();
    assert_eq!(timeline.at(101).0.at_risk, None);
}

#[test]
fn a_proof_that_later_canaries_leave_as_it_is_wakes_the_hub_when_it_runs_out() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    timeline.canary(110, Outcome::Unknown, None);
    let (evidence, next) = timeline.at(111);
    assert_eq!((evidence.verdict.up, next), (true, Some(at(118))), "not when the newest canary does, at 128 s");
    assert!(!timeline.at(118).0.verdict.up);
}

fn compared(timeline: &mut Timeline, seconds: u64, facts: ObservedFacts) {
    let reading = Reading { asked: at(seconds), answered: at(seconds), result: Ok(facts) };
    timeline.history.observed.record(&reading);
    timeline.observed = Latest::Have(Arc::new(reading));
}

#[test]
fn a_port_is_reached_or_not_and_proves_nothing() {
    let mut timeline = Timeline::new();
    for node in &mut timeline.pair.nodes {
        node.kvstore = Some(KvstoreNode::Tcp(crate::config::TcpStoreNode { address: "127.0.0.1:1".to_owned() }));
    }
    let link = |timeline: &Timeline, at| timeline.at(at).0.canaries.link_up;
    assert_eq!(link(&timeline, 99), Some(false), "nobody knows: it pages if it stays so");
    timeline.canary(100, Outcome::Unknown, None);
    assert_eq!((timeline.reason_at(101), link(&timeline, 101)), (Some(Reason::NotObservable), Some(true)));
    timeline.canary(105, Outcome::Unknown, Some((false, FailureKind::Refused)));
    assert_eq!((timeline.reason_at(106), link(&timeline, 106)), (Some(Reason::Refused), Some(false)));
    let evidence = timeline.at(106).0;
    assert_eq!((evidence.proof, evidence.outcome, evidence.outcomes.len()), (Proof::Reachability, None, 0));
    // Only the standby's port counts; while nobody knows which that is, both do.
    timeline.canary(110, Outcome::Unknown, None);
    let Latest::Have(reading) = &timeline.latest else { panic!("just recorded") };
    let mut reading = (**reading).clone();
    reading.result.as_mut().expect("facts").primary.1.failure = Some(Failure::new(FailureKind::Refused, "no"));
    timeline.latest = Latest::Have(Arc::new(reading));
    assert_eq!(link(&timeline, 111), Some(true));
    timeline.roles = Roles::default();
    assert_eq!(link(&timeline, 111), Some(false));
}

#[test]
fn one_server_behind_two_names_is_never_ok() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    assert!(timeline.at(101).0.verdict.up);
    timeline.canary(105, Outcome::Unknown, None);
    let Latest::Have(reading) = &timeline.latest else { panic!("a reading") };
    let mut facts = reading.facts().cloned().expect("facts");
    facts.more.same_server = true;
    timeline.latest = Latest::Have(Arc::new(Reading { asked: at(105), answered: at(106), result: Ok(facts) }));
    assert_eq!(timeline.reason_at(107), Some(Reason::SameServer), "although the canary before is not stale");
    timeline.channel.canaries = false;
    timeline.channel.observe.sample = 50;
    compared(&mut timeline, 105, ObservedFacts { same_server: true, ..ObservedFacts::default() });
    assert_eq!(timeline.reason_at(107), Some(Reason::SameServer));
}

mod observing;
