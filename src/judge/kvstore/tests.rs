//! Timelines: canaries every 5 s, fresh for 18 s.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{KvstoreNode, NodeConfig, RedisNode, Rpo, Schedule, WriteOrder};
use crate::facts::{Reading, StoreAnswer};
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
    history: KvstoreHistory,
    roles: Roles,
}

impl Timeline {
    fn new() -> Self {
        let channel = KvstoreChannel {
            schedule: Schedule::new(Duration::from_secs(5), Duration::from_secs(3)),
            order: WriteOrder::StandbyFirst,
            sla: Duration::from_millis(250),
            prefix: "standbywatch".to_owned(),
        };
        let node = |text: &str| NodeConfig {
            name: name(text),
            agent: None,
            postgres: None,
            kvstore: Some(KvstoreNode::Redis(RedisNode {
                address: "127.0.0.1:6379".to_owned(),
                user: None,
                password: None,
                database: 0,
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
        Self { channel, pair, latest: Latest::NeverAsked, history: KvstoreHistory::default(), roles }
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
        };
        let reading = Reading { asked: at(seconds), answered: at(seconds + 1), result: Ok(facts) };
        self.history.record(&reading);
        self.latest = Latest::Have(Arc::new(reading));
    }

    fn at(&self, seconds: u64) -> (KvstoreEvidence, Option<Moment>) {
        evidence(&self.channel, &self.pair, &self.latest, &self.history, &self.roles, at(seconds))
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
}

#[test]
fn a_pause_of_the_machine_drops_the_proof() {
    let mut timeline = Timeline::new();
    timeline.canary(100, Outcome::Ok, None);
    timeline.latest = Latest::Dropped;
    assert_eq!(timeline.reason_at(101), Some(Reason::Stale));
}
