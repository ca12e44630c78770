//! Written situations: what is answered, and what is never made up.

mod choice;
mod histories;
mod looks;
mod others;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Environment, parse};
use crate::evidence::{CanaryEvidence, ConfigEvidence, KvstoreEvidence, Verdict};
use crate::facts::{
    AtRisk, Failure, NewSessions, Opaque, PostgresSettings, PrimaryFacts, Reading, Receiver, SlowFacts, Walsender,
};
use crate::judge::postgres;
use crate::names::Proof;
use crate::units::Bytes;

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: 10.0.0.1, user: probe } }
      beta:  { postgres: { host: 10.0.0.2, user: probe, replica: { slot: beta } } }
";
const KIB: u64 = 1024;

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000 + seconds))
}

fn facts(role: PostgresRole, start: &str) -> PostgresFacts {
    let must_not_be_lower = [
        "max_connections",
        "max_worker_processes",
        "max_wal_senders",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    ];
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    PostgresFacts {
        version: Some(150_018),
        system_identifier: Some("7".to_owned()),
        postmaster_start: Some(Opaque(start.to_owned())),
        data_directory: Some(start.to_owned()),
        timeline: Some(1),
        server_clock: None,
        role,
        settings: PostgresSettings {
            wal_receiver_status_interval: seconds(10),
            wal_receiver_timeout: seconds(60),
            wal_sender_timeout: seconds(60),
            must_not_be_lower: must_not_be_lower.map(|name| (name.to_owned(), 100)).into(),
            ..PostgresSettings::default()
        },
        slow: SlowFacts::default(),
        new_sessions: Some(NewSessions::Accepted),
    }
}

/// At `lsn`; its standby has told it that it has `has`.
fn primary(second: u64, lsn: u64, has: u64) -> PostgresFacts {
    let has = Some(Lsn(has));
    let walsender = Walsender {
        pid: 7,
        slot: Some("beta".to_owned()),
        state: Some("streaming".to_owned()),
        sent: has,
        write: has,
        flush: has,
        replay: has,
        backend_start: Some(Opaque("then".to_owned())),
        reply_time: Some(Opaque(second.to_string())),
        ..Walsender::default()
    };
    let primary = PrimaryFacts { wal_lsn: Some(Lsn(lsn)), walsenders: vec![walsender], ..PrimaryFacts::default() };
    facts(PostgresRole::Primary(primary), "a")
}

/// Has `has`, has replayed `replayed`; heard from the primary just now, or has no receiver.
fn standby(second: u64, has: u64, replayed: u64, hears: bool) -> PostgresFacts {
    let receiver = Receiver {
        status: Some("streaming".to_owned()),
        slot: Some("beta".to_owned()),
        timeline: Some(1),
        last_message: Some(Opaque(second.to_string())),
        last_message_age: Some(0.0),
        ..Receiver::default()
    };
    let standby = StandbyFacts {
        receive_lsn: Some(Lsn(has)),
        replay_lsn: Some(Lsn(replayed)),
        receiver: hears.then_some(receiver),
        replay_paused: Some(false),
        ..StandbyFacts::default()
    };
    facts(PostgresRole::Standby(standby), "b")
}

fn refused() -> Result<PostgresFacts, Failure> {
    Err(Failure::new(FailureKind::Refused, "connection refused"))
}

/// A pair whose readings the test writes.
struct Course {
    pair: Arc<PairConfig>,
    history: PostgresHistory,
    latest: BTreeMap<Name, Latest<PostgresFacts>>,
    kvstore: Option<KvstoreEvidence>,
    files: Option<ConfigEvidence>,
    silent: Vec<Name>,
    told: Readiness,
}

impl Course {
    fn new() -> Self {
        Self::of(CONFIG)
    }

    fn of(config: &str) -> Self {
        let config = parse(config, "test", &Environment::default()).expect("a right configuration");
        let pair = config.pairs[0].clone();
        let history = PostgresHistory::new(pair.postgres.as_ref().expect("configured"));
        let latest = pair.nodes.iter().map(|node| (node.name.clone(), Latest::NeverAsked)).collect();
        Self { pair, history, latest, kvstore: None, files: None, silent: Vec::new(), told: nothing() }
    }

    fn read(
        &mut self,
        second: u64,
        alpha: Result<PostgresFacts, Failure>,
        beta: Result<PostgresFacts, Failure>,
    ) -> &Readiness {
        self.read_all(second, [("alpha", alpha), ("beta", beta)])
    }

    fn read_all<const N: usize>(
        &mut self,
        second: u64,
        answers: [(&str, Result<PostgresFacts, Failure>); N],
    ) -> &Readiness {
        for (node, result) in answers {
            let reading = Reading { asked: at(second), answered: at(second), result };
            self.history.record(&Name::new(node), &reading);
            self.latest.insert(Name::new(node), Latest::Have(Arc::new(reading)));
        }
        self.look(second)
    }

    fn look(&mut self, second: u64) -> &Readiness {
        let (channel, now) = (self.pair.postgres.clone().expect("configured"), at(second));
        let roles = postgres::roles(&channel, &self.pair, &self.latest, &self.history, now);
        let (evidence, _) = postgres::evidence(&channel, &self.pair, &self.latest, &self.history, now);
        self.history.note(&evidence, &roles, now);
        let situation = Situation {
            pair: &self.pair,
            channel: &channel,
            latest: &self.latest,
            history: &self.history,
            evidence: &evidence,
            silent: &self.silent.iter().collect::<Vec<_>>(),
            beside: Beside { config: self.files.as_ref(), kvstore: self.kvstore.as_ref(), search: None },
            now,
        };
        self.told = readiness(&situation);
        &self.told
    }

    /// A minute in which the primary writes 1 KiB a second, and the standby is `behind` bytes behind.
    fn minute(behind: u64) -> Self {
        let mut course = Self::new();
        for second in 0..=60 {
            let lsn = 1_000_000 + second * KIB;
            let has = lsn - behind;
            course.read(second, Ok(primary(second, lsn, has)), Ok(standby(second, has, has, true)));
        }
        course
    }
}

/// Where [`Course::minute`] ends.
const END: u64 = 1_000_000 + 60 * KIB;

fn has_step(told: &Readiness, text: &str) -> bool {
    told.steps.iter().any(|step| step.contains(text))
}

#[test]
fn a_healthy_pair_is_ready_and_its_primary_is_to_be_fenced_first() {
    let told = Course::minute(0).told;
    assert_eq!(
        (told.verdict, told.loss.wal, told.loss.seconds),
        (FailoverVerdict::Ready, Some(Bytes(0)), Some(0.0)),
        "{told:?}"
    );
    assert_eq!((told.primary, told.standby), (Some(Name::new("alpha")), Some(Name::new("beta"))));
    assert!(told.steps[0].contains("still answers on 10.0.0.1:5432: fence it first"), "{:?}", told.steps);
    assert_eq!(told.serve, TimeToServe { replay_left: Some(Bytes(0)), replay: Some(Duration::ZERO), rebuild: None });
}

#[test]
fn a_loss_beyond_what_is_acceptable_is_told_in_bytes_and_seconds() {
    // 5 s are within the 10 s that are acceptable, 20 s are not.
    let told = Course::minute(5 * KIB).told;
    assert_eq!(
        (told.verdict, told.loss.wal, told.loss.seconds),
        (FailoverVerdict::Ready, Some(Bytes(5 * KIB)), Some(5.0))
    );
    let told = Course::minute(20 * KIB).told;
    assert_eq!((told.verdict, told.loss.seconds), (FailoverVerdict::ReadyWithLoss, Some(20.0)), "{told:?}");
}

#[test]
fn before_anything_was_asked_and_after_it_has_run_out_all_is_unknown() {
    let mut course = Course::new();
    let told = course.look(0);
    assert_eq!((told.verdict, told.loss.wal, told.standby.clone()), (FailoverVerdict::Unknown, None, None), "{told:?}");
    assert!(!told.reasons.is_empty());
    let mut course = Course::minute(0);
    let told = course.look(80);
    assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::Unknown, None), "{told:?}");
}

#[test]
fn gone_only_if_nobody_hears_it_and_it_is_out_of_reach() {
    // The standby hears it: it lives.
    let mut course = Course::minute(0);
    let told = course.read(61, refused(), Ok(standby(61, END, END, true)));
    assert_eq!((told.verdict, told.primary_life), (FailoverVerdict::Unknown, PrimaryLife::Heard), "{told:?}");
    assert!(has_step(told, "fence it first"));
    // It says that it starts, or that the password is wrong: it lives.
    for kind in [FailureKind::StartingUp, FailureKind::Authentication, FailureKind::Protocol, FailureKind::Tls] {
        let mut course = Course::minute(0);
        let told = course.read(61, Err(Failure::new(kind, "no")), Ok(standby(61, END, END, false)));
        assert_eq!((told.verdict, told.primary_life), (FailoverVerdict::Unknown, PrimaryLife::Unknown), "{kind}");
        assert_eq!(told.loss.wal, None, "{kind}");
    }
    for kind in [FailureKind::Refused, FailureKind::Timeout, FailureKind::Unreachable] {
        let mut course = Course::minute(0);
        let told = course.read(61, Err(Failure::new(kind, "no")), Ok(standby(61, END, END, false)));
        assert_eq!((told.verdict, told.primary_life), (FailoverVerdict::PrimaryGone, PrimaryLife::Gone), "{kind}");
    }
}

#[test]
fn an_agent_that_is_out_of_reach_takes_its_node_with_it_unless_the_standby_hears_the_primary() {
    let told = |silent: bool, hears: bool| {
        let mut course = Course::minute(0);
        course.silent = if silent { vec![Name::new("alpha")] } else { Vec::new() };
        let no_agent = Err(Failure::new(FailureKind::PeerUnreachable, "the agent of alpha: no"));
        let told = course.read(61, no_agent, Ok(standby(61, END, END, hears)));
        (told.verdict, told.primary_life, told.loss.wal)
    };
    assert_eq!(told(true, false), (FailoverVerdict::PrimaryGone, PrimaryLife::Gone, Some(Bytes(0))));
    assert_eq!(told(true, true), (FailoverVerdict::Unknown, PrimaryLife::Heard, None));
    // Its agent answers, and be it that it does not take our token: then its machine lives.
    assert_eq!(told(false, false), (FailoverVerdict::Unknown, PrimaryLife::Unknown, None));
}

#[test]
fn with_the_primary_gone_the_loss_is_at_least_what_was_seen_and_grows_with_the_time_unseen() {
    let mut course = Course::minute(5 * KIB);
    // The standby has meanwhile found 2 KiB more than it had told.
    let has = END - 3 * KIB;
    let told = course.read(70, refused(), Ok(standby(70, has, has - KIB, false)));
    assert_eq!(told.loss.wal, Some(Bytes(3 * KIB)), "{told:?}");
    let unseen = told.loss.unseen.expect("unseen");
    assert_eq!(unseen.since, Duration::from_secs(10));
    assert_eq!((told.loss.seconds, told.loss.seconds_at_least), (Some(3.0), true), "the unseen ones come on top");
    assert_eq!(told.loss.at_most(), Some(Bytes(3 * KIB + 10 * KIB)));
    assert_eq!(told.serve.replay_left, Some(Bytes(KIB)));
    let later = course.read(130, refused(), Ok(standby(130, has, has, false)));
    assert_eq!((later.loss.wal, later.loss.at_most()), (Some(Bytes(3 * KIB)), Some(Bytes(73 * KIB))));
    assert!(
        later.reasons.iter().any(|reason| reason.contains("at least 3 KiB") && reason.contains("unseen for 1m 10s")),
        "{:?}",
        later.reasons
    );
}

#[test]
fn a_primary_that_was_never_seen_makes_the_loss_unknown_not_nothing() {
    let mut course = Course::new();
    let told = course.read(1, refused(), Ok(standby(1, END, END, false)));
    assert_eq!(
        (told.verdict, told.loss.wal, told.loss.at_most()),
        (FailoverVerdict::PrimaryGone, None, None),
        "{told:?}"
    );
    assert!(told.reasons.iter().any(|reason| reason.contains("not known")), "{:?}", told.reasons);
}

#[test]
fn without_a_standby_that_answers_nothing_is_told() {
    let mut course = Course::minute(0);
    let told = course.read(61, refused(), refused());
    assert_eq!((told.verdict, told.standby.clone(), told.loss.wal), (FailoverVerdict::Unknown, None, None), "{told:?}");
    let mut course = Course::minute(0);
    let told = course.read(61, Ok(primary(61, END, END)), refused());
    assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::Unknown, None), "{told:?}");
}

#[test]
fn without_a_standby_that_answers_what_it_lacked_last_is_said_and_makes_no_answer() {
    let mut course = Course::minute(3 * KIB);
    // Both are silent for ten seconds.
    let told = course.read(70, refused(), refused()).clone();
    assert_eq!((told.verdict, &told.loss), (FailoverVerdict::Unknown, &Loss::default()), "{told:?}");
    let said = "beta was last known to lack 3 KiB of the WAL that alpha had written 10s ago: at least that is lost, unless beta received \
                more than it could tell";
    assert!(told.reasons.iter().any(|reason| reason == said), "{:?}", told.reasons);
    // The primary lives and goes on.
    let told = course.read(71, Ok(primary(71, END + KIB, END - 3 * KIB)), refused()).clone();
    assert_eq!((told.verdict, &told.loss), (FailoverVerdict::Unknown, &Loss::default()), "{told:?}");
    assert!(told.reasons.iter().any(|reason| reason.contains("lack 4 KiB of the WAL that alpha had written 0.0s ago")));
    let told = Course::minute(0).read(70, refused(), refused()).clone();
    let said = "beta was last known to have all WAL that alpha had written 10s ago";
    assert!(told.reasons.iter().any(|reason| reason == said), "{:?}", told.reasons);
    // Positions of another history are no measure, nor is what nobody has told.
    let says_none = |told: &Readiness| !told.reasons.iter().any(|reason| reason.contains("last known"));
    for change in
        [(|beta: &mut PostgresFacts| beta.system_identifier = Some("8".to_owned())) as fn(&mut PostgresFacts), |beta| {
            beta.timeline = Some(2)
        }]
    {
        let mut course = Course::new();
        let mut beta = standby(1, END, END, false);
        change(&mut beta);
        course.read(1, Ok(primary(1, END + KIB, END)), Ok(beta));
        assert!(says_none(course.read(2, refused(), refused())), "{:?}", course.told.reasons);
    }
    assert!(says_none(Course::new().read(1, refused(), refused())));
}

#[test]
fn what_is_in_the_way_is_named_and_what_cannot_be_told_is_unknown() {
    let told = |change: fn(&mut PostgresFacts)| {
        let mut course = Course::minute(0);
        let mut beta = standby(61, END, END, true);
        change(&mut beta);
        let told = course.read(61, Ok(primary(61, END, END)), Ok(beta)).clone();
        let blockers: Vec<_> = told.blockers.iter().map(|(blocker, _)| *blocker).collect();
        (told.verdict, blockers, told.loss.wal)
    };
    let not_ready = |blocker| (FailoverVerdict::NotReady, vec![blocker]);
    let (verdict, blockers, _) = told(|_| {});
    assert_eq!((verdict, blockers), (FailoverVerdict::Ready, vec![]));
    let (verdict, blockers, _) = told(|beta| {
        beta.new_sessions =
            Some(NewSessions::Refused(Duration::from_secs(9), Failure::new(FailureKind::Timeout, "no")));
    });
    assert_eq!((verdict, blockers), not_ready(Blocker::NotAccepting));
    let (verdict, blockers, _) = told(|beta| {
        beta.settings.must_not_be_lower.insert("max_connections".to_owned(), 99);
    });
    assert_eq!((verdict, blockers), not_ready(Blocker::SettingsTooLow));
    let (verdict, blockers, loss) = told(|beta| beta.system_identifier = Some("8".to_owned()));
    assert_eq!((verdict, blockers), not_ready(Blocker::WrongCluster));
    assert_eq!(loss, None, "positions of two clusters are not compared");
    let (verdict, blockers, loss) = told(|beta| beta.timeline = Some(2));
    assert_eq!((verdict, blockers, loss), (FailoverVerdict::NotReady, vec![Blocker::TimelineDiverged], None));
    // Not known is no green light.
    assert_eq!(told(|beta| beta.new_sessions = None).0, FailoverVerdict::Unknown);
    assert_eq!(told(|beta| beta.settings.must_not_be_lower.clear()).0, FailoverVerdict::Unknown);
}

#[test]
fn two_primaries_are_in_the_way_and_none_is_named_to_be_promoted() {
    let mut course = Course::minute(0);
    let told = course.read(61, Ok(primary(61, END, END)), {
        let mut beta = primary(61, END, END);
        (beta.postmaster_start, beta.data_directory) = (Some(Opaque("b".to_owned())), Some("b".to_owned()));
        Ok(beta)
    });
    assert_eq!(told.verdict, FailoverVerdict::NotReady, "{told:?}");
    assert_eq!(told.blockers[0].0, Blocker::SplitBrain);
    assert_eq!((told.standby.clone(), told.loss.wal), (None, None));
}

#[test]
fn a_cluster_that_differs_from_the_lost_primary_s_is_told_after_its_end() {
    let mut course = Course::minute(0);
    let mut beta = standby(61, END, END, false);
    beta.system_identifier = Some("8".to_owned());
    let told = course.read(61, refused(), Ok(beta));
    assert_eq!((told.verdict, told.loss.wal), (FailoverVerdict::NotReady, None), "{told:?}");
    assert_eq!(told.blockers[0].0, Blocker::WrongCluster);
}

#[test]
fn paused_replay_is_a_step_and_no_blocker() {
    let mut course = Course::minute(0);
    let mut beta = standby(61, END, END - 4 * KIB, true);
    let PostgresRole::Standby(own) = &mut beta.role else { panic!("a standby") };
    own.replay_paused = Some(true);
    let told = course.read(61, Ok(primary(61, END, END)), Ok(beta));
    assert_eq!(told.verdict, FailoverVerdict::Ready, "{told:?}");
    assert!(has_step(told, "will replay 4 KiB first"), "{:?}", told.steps);
}
