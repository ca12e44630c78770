//! Written timelines: what two servers say each second, and what must be told of it.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{NodeConfig, PostgresNode, PostgresTls, ReplicaMatch, Replication, Rpo, Schedule};
use crate::facts::*;
use crate::names::{FailureKind, Reason, ReplayState, Stage};
use crate::units::Lsn;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000) + Duration::from_secs_f64(seconds))
}

fn channel() -> PostgresChannel {
    PostgresChannel {
        schedule: Schedule::new(SECOND, 3 * SECOND),
        lag_large: Bytes::mib(64),
        trend_window: 300 * SECOND,
        slot_window: 600 * SECOND,
        initial_sync: Duration::from_hours(24),
        low_load: Bytes::mib(1),
        stall_after: 15 * SECOND,
        stuck_after: 600 * SECOND,
        reconnect_every: 600 * SECOND,
        pulse: None,
        replication: Replication::Streaming,
        archive_period: Duration::from_secs(300),
        status_page: None,
    }
}

fn node(name: &str, replica: Option<ReplicaMatch>) -> NodeConfig {
    let postgres = PostgresNode {
        host: name.into(),
        port: 5432,
        user: "standbywatch".into(),
        database: "postgres".into(),
        password: None,
        tls: PostgresTls::default(),
        replica,
        apply_delay: None,
    };
    NodeConfig {
        name: Name::new(name),
        agent: None,
        postgres: Some(postgres),
        kvstore: None,
        search: None,
        config: None,
    }
}

fn pair(replica: Option<ReplicaMatch>) -> PairConfig {
    PairConfig {
        name: Name::new("catalog"),
        nodes: vec![node("alpha", None), node("beta", replica)],
        postgres: Some(channel()),
        config: None,
        kvstore: None,
        search: None,
        rpo: Rpo { bytes: Bytes::mib(16), age: 10 * SECOND },
        role_from: None,
        seat: None,
    }
}

fn settings() -> PostgresSettings {
    PostgresSettings {
        wal_receiver_status_interval: Some(10 * SECOND),
        wal_receiver_timeout: Some(60 * SECOND),
        wal_sender_timeout: Some(60 * SECOND),
        max_standby_streaming_delay: Some(30 * SECOND),
        standby_waits_for_ever: Some(false),
        ..PostgresSettings::default()
    }
}

fn facts(role: PostgresRole, start: &str) -> PostgresFacts {
    PostgresFacts {
        version: Some(150_018),
        system_identifier: Some("7".into()),
        postmaster_start: Some(Opaque(start.into())),
        data_directory: Some("/data".into()),
        timeline: Some(1),
        server_clock: None,
        role,
        settings: settings(),
        slow: SlowFacts::default(),
        new_sessions: None,
    }
}

fn sender(pid: i32, reply: &str, lsn: u64) -> Walsender {
    Walsender {
        pid,
        application_name: Some("beta".into()),
        state: Some("streaming".into()),
        sent: Some(Lsn(lsn)),
        write: Some(Lsn(lsn)),
        flush: Some(Lsn(lsn)),
        replay: Some(Lsn(lsn)),
        backend_start: Some(Opaque(format!("start of {pid}"))),
        backend_age: Some(100_000.0),
        reply_time: Some(Opaque(reply.into())),
        ..Walsender::default()
    }
}

fn primary(lsn: u64, walsenders: Vec<Walsender>) -> PostgresFacts {
    facts(
        PostgresRole::Primary(PrimaryFacts { wal_lsn: Some(Lsn(lsn)), walsenders, ..PrimaryFacts::default() }),
        "alpha's",
    )
}

fn standby(message: &str, lsn: u64) -> PostgresFacts {
    let receiver = Receiver {
        status: Some("streaming".into()),
        application_name: Some("beta".into()),
        timeline: Some(1),
        last_message: Some(Opaque(message.into())),
        last_message_age: Some(1.0),
        ..Receiver::default()
    };
    let standby = StandbyFacts {
        receive_lsn: Some(Lsn(lsn)),
        replay_lsn: Some(Lsn(lsn)),
        receiver: Some(receiver),
        replay_paused: Some(false),
        ..StandbyFacts::default()
    };
    facts(PostgresRole::Standby(standby), "beta's")
}

fn standby_of(facts: &mut PostgresFacts) -> &mut StandbyFacts {
    match &mut facts.role {
        PostgresRole::Standby(standby) => standby,
        PostgresRole::Primary(_) => panic!("not a standby"),
    }
}

/// A pair being watched: readings go in at moments, evidence comes out.
struct Watch {
    pair: PairConfig,
    history: PostgresHistory,
    latest: BTreeMap<Name, Latest<PostgresFacts>>,
    seconds: f64,
}

impl Watch {
    fn new(replica: Option<ReplicaMatch>) -> Self {
        let pair = pair(replica);
        Self { history: PostgresHistory::new(&channel()), pair, latest: BTreeMap::new(), seconds: 0.0 }
    }

    fn take(&mut self, node: &str, asked: f64, took: f64, result: Result<PostgresFacts, Failure>) {
        let reading = Reading { asked: at(asked), answered: at(asked + took), result };
        self.history.record(&Name::new(node), &reading);
        self.latest.insert(Name::new(node), Latest::Have(Arc::new(reading)));
    }

    /// One second goes by in which both nodes are asked.
    fn tick(
        &mut self,
        alpha: Result<PostgresFacts, Failure>,
        beta: Result<PostgresFacts, Failure>,
    ) -> PostgresEvidence {
        self.seconds += 1.0;
        let asked = self.seconds;
        self.take("alpha", asked, 0.01, alpha);
        self.take("beta", asked + 0.03, 0.01, beta);
        self.look(asked + 0.05)
    }

    fn look(&mut self, seconds: f64) -> PostgresEvidence {
        let (channel, now) = (self.pair.postgres.clone().unwrap(), at(seconds));
        let roles = roles(&channel, &self.pair, &self.latest, &self.history, now);
        let (evidence, next) = evidence(&channel, &self.pair, &self.latest, &self.history, now);
        assert!(next.is_none_or(|next| next > now));
        self.history.note(&evidence, &roles, now);
        evidence
    }

    /// Seconds of a healthy pair; a reply and a message each second.
    fn healthy(&mut self, seconds: u32) -> PostgresEvidence {
        let mut last = None;
        for _ in 0..seconds {
            let n = self.seconds as u64 + 1;
            let stamp = n.to_string();
            last =
                Some(self.tick(Ok(primary(n * 100, vec![sender(7, &stamp, n * 100)])), Ok(standby(&stamp, n * 100))));
        }
        last.unwrap()
    }
}

fn silent(kind: FailureKind) -> Result<PostgresFacts, Failure> {
    Err(Failure::new(kind, "made up"))
}

/// A contradiction is the verdict's reason and a fact of its own.
fn contradicted(evidence: &PostgresEvidence) -> Option<Reason> {
    assert!(!evidence.verdict.up && evidence.verdict.reason == evidence.contradiction, "{:?}", evidence.verdict);
    evidence.contradiction
}

fn told(evidence: &PostgresEvidence) -> (bool, Option<Reason>) {
    (evidence.verdict.up, evidence.verdict.reason)
}

#[test]
fn a_healthy_pair_is_proven_once_a_reply_was_seen_to_change() {
    let mut watch = Watch::new(None);
    assert_eq!(told(&watch.healthy(1)), (false, Some(Reason::NotSeenYet)));
    let evidence = watch.healthy(2);
    assert_eq!(told(&evidence), (true, None));
    assert_eq!(evidence.lag, Some(Bytes(0)));
    assert_eq!(evidence.lag_seconds, Some(0.0));
    assert_eq!(evidence.standbys[0].replay_state, Some(ReplayState::CaughtUp));
    assert!(evidence.primary_seen && !evidence.growing);
}

#[test]
fn a_vanished_row_is_not_connected_at_once_and_the_gap_goes_on() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let evidence = watch.tick(Ok(primary(5_000, vec![])), silent(FailureKind::Refused));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
    assert_eq!(evidence.lag, None);
    assert_eq!(evidence.standbys[0].gap, Some(Bytes(4_500)));
    let evidence = watch.tick(Ok(primary(9_000, vec![])), silent(FailureKind::Refused));
    assert_eq!(evidence.standbys[0].gap, Some(Bytes(8_500)));
}

#[test]
fn a_row_that_is_the_only_one_is_never_taken_for_ours() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let other = || Walsender { application_name: Some("other".into()), ..sender(8, "6", 600) };
    let evidence = watch.tick(Ok(primary(600, vec![other()])), silent(FailureKind::Timeout));
    assert_eq!(told(&evidence), (false, Some(Reason::Ambiguous)));

    let mut watch = Watch::new(Some(ReplicaMatch::Slot("beta".into())));
    let evidence = watch.tick(Ok(primary(600, vec![other()])), silent(FailureKind::Timeout));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
}

#[test]
fn a_row_that_stood_beside_ours_is_known_to_be_anothers() {
    let mut watch = Watch::new(None);
    let other = |n: u64| Walsender { application_name: Some("other".into()), ..sender(8, &n.to_string(), n) };
    for n in 1..=3 {
        let stamp = n.to_string();
        watch.tick(Ok(primary(n, vec![sender(7, &stamp, n), other(n)])), Ok(standby(&stamp, n)));
    }
    let evidence = watch.tick(Ok(primary(4, vec![other(4)])), silent(FailureKind::Timeout));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
}

#[test]
fn archivers_and_logical_subscribers_are_no_standbys() {
    let mut watch = Watch::new(None);
    let archiver = Walsender { flush: None, replay: None, ..sender(9, "1", 5) };
    let logical = sender(10, "1", 5);
    let slot = Slot { name: "sub".into(), physical: false, active: true, active_pid: Some(10), ..Slot::default() };
    let mut facts = primary(5, vec![archiver, logical]);
    if let PostgresRole::Primary(primary) = &mut facts.role {
        primary.slots.push(slot);
    }
    let evidence = watch.tick(Ok(facts), silent(FailureKind::Timeout));
    assert_eq!(told(&evidence), (false, Some(Reason::NotConnected)));
}

#[test]
fn a_black_hole_on_an_idle_pair_is_told_after_the_reply_limit() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut first_unknown = None;
    for _ in 0..20 {
        let seconds = watch.seconds;
        let evidence = watch.tick(Ok(primary(500, vec![sender(7, "5", 500)])), Ok(standby("5", 500)));
        if !evidence.verdict.up && first_unknown.is_none() {
            assert_eq!(evidence.verdict.reason, Some(Reason::NotAnswering));
            assert_eq!(evidence.lag, None, "the row still says streaming and lag 0");
            first_unknown = Some(seconds - 4.0);
        }
    }
    let seconds = first_unknown.unwrap();
    assert!((12.0..=15.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_frozen_receiver_under_load_is_told_within_20_seconds() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 1..=20 {
        let row = Walsender { sent: Some(Lsn(90_000)), ..sender(7, "5", 500) };
        let evidence = watch.tick(Ok(primary(100_000 + second * 1000, vec![row])), Ok(standby("5", 500)));
        if second > 16 {
            assert_eq!(told(&evidence), (false, Some(Reason::Stalled)), "after {second} s");
        }
    }
}

#[test]
fn one_side_proves_alone_with_a_warning() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let evidence = watch.tick(Ok(primary(700, vec![sender(7, "6", 600)])), silent(FailureKind::StartingUp));
    assert_eq!(told(&evidence), (true, Some(Reason::StartingUp)));
    assert_eq!(evidence.lag, Some(Bytes(100)), "the primary alone knows the lag");

    let evidence = watch.tick(silent(FailureKind::Timeout), Ok(standby("7", 600)));
    assert_eq!(told(&evidence), (true, Some(Reason::Timeout)));
    assert_eq!(evidence.lag, None, "a lower bound is no lag");
    assert!(evidence.primary_seen);
}

#[test]
fn a_frozen_primary_is_unknown_once_its_standby_hears_nothing() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    for second in 1..=40_u32 {
        let mut beta = standby("5", 500);
        standby_of(&mut beta).receiver.as_mut().unwrap().last_message_age = Some(f64::from(second));
        let evidence = watch.tick(silent(FailureKind::Timeout), Ok(beta));
        let expected = second < 33;
        assert_eq!((evidence.verdict.up, evidence.primary_seen), (expected, expected), "after {second} s");
        assert_eq!(evidence.verdict.reason, Some(Reason::Timeout));
    }
}

#[test]
fn a_standby_read_later_is_not_ahead_and_one_that_is_ahead_is_told() {
    let mut watch = Watch::new(None);
    for n in 1..20_u64 {
        let stamp = n.to_string();
        let evidence =
            watch.tick(Ok(primary(n * 100, vec![sender(7, &stamp, n * 100)])), Ok(standby(&stamp, n * 100 + 50)));
        assert_ne!(evidence.verdict.reason, Some(Reason::TimelineDiverged));
        assert!(evidence.lag.is_none_or(|lag| lag == Bytes(0)));
    }
    for n in 1..=4_u64 {
        let stamp = (100 + n).to_string();
        let evidence = watch.tick(Ok(primary(2000, vec![sender(7, &stamp, 2000)])), Ok(standby(&stamp, 9000)));
        assert_eq!(evidence.verdict.reason == Some(Reason::TimelineDiverged), n == 4, "pair {n}");
        assert_eq!(evidence.standbys[0].gap.is_none(), n == 4, "who is ahead does not lose nothing");
    }
}

#[test]
fn two_primaries_one_server_and_another_cluster_stand_above_every_proof() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    let mut second = primary(600, vec![]);
    (second.postmaster_start, second.timeline) = (Some(Opaque("beta's".into())), Some(2));
    watch.tick(Ok(primary(600, vec![])), Ok(second.clone()));
    let evidence = watch.tick(Ok(primary(600, vec![])), Ok(second));
    assert_eq!(contradicted(&evidence), Some(Reason::TwoPrimaries));
    let detail = evidence.verdict.detail.unwrap();
    assert!(detail.contains("alpha (timeline 1)") && detail.contains("beta (timeline 2)"), "{detail}");
    let one_server = watch.tick(Ok(primary(600, vec![])), Ok(primary(600, vec![])));
    assert_eq!(contradicted(&one_server), Some(Reason::SameServer));
    let mut foreign = standby("9", 500);
    foreign.system_identifier = Some("8".into());
    let alpha = primary(600, vec![sender(7, "9", 600)]);
    assert_eq!(contradicted(&watch.tick(Ok(alpha), Ok(foreign))), Some(Reason::WrongCluster));
    let mut demoted = standby("1", 1);
    demoted.postmaster_start = Some(Opaque("alpha's".into()));
    assert_eq!(contradicted(&watch.tick(Ok(demoted), Ok(standby("10", 1)))), Some(Reason::NoPrimary));
    let silent = watch.tick(silent(FailureKind::Timeout), silent(FailureKind::Timeout));
    assert_eq!((told(&silent).0, silent.contradiction), (false, None), "who does not answer contradicts nobody");
}

#[test]
fn roles_are_swapped_without_a_change_of_configuration() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    assert_eq!(watch.history.roles.primary, Some(Name::new("alpha")));
    for n in 6..10_u64 {
        let stamp = n.to_string();
        let row = Walsender { application_name: Some("beta".into()), ..sender(20, &stamp, n) };
        let evidence = watch.tick(Ok(standby(&stamp, n)), Ok(primary(n, vec![row])));
        // Beta passed nothing on before, so the new walsender's reply is known to be new.
        assert!(evidence.verdict.up, "{:?}", evidence.verdict);
    }
    assert_eq!(watch.history.roles.primary, Some(Name::new("beta")));
}

#[test]
fn an_agent_that_slept_does_not_believe_a_change_that_it_did_not_see_happen() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    watch.seconds += 60.0;
    let evidence = watch.tick(Ok(primary(9000, vec![sender(7, "9", 600)])), Ok(standby("9", 600)));
    assert_eq!(told(&evidence), (false, Some(Reason::NotSeenYet)));
}

#[test]
fn what_no_reading_follows_runs_out() {
    let mut watch = Watch::new(None);
    watch.healthy(5);
    assert!(watch.look(9.0).verdict.up);
    let evidence = watch.look(12.0);
    assert_eq!((told(&evidence), evidence.lag), ((false, Some(Reason::Stale)), None));
}

#[test]
fn lag_that_grows_for_minutes_is_growing_and_holes_do_not_end_it() {
    let mut watch = Watch::new(None);
    let mut evidence = watch.healthy(3);
    for n in 4..=300_u64 {
        let stamp = n.to_string();
        let lag = n << 20;
        evidence = watch.tick(Ok(primary(10_000 + lag, vec![sender(7, &stamp, 10_000)])), Ok(standby(&stamp, 10_000)));
    }
    assert!(evidence.growing && evidence.lag > Some(Bytes::mib(290)));
    assert_eq!(evidence.standbys[0].catch_up_seconds, Some(f64::INFINITY));
    let evidence = watch.tick(Ok(primary(1 << 40, vec![])), silent(FailureKind::Timeout));
    assert!(evidence.growing && evidence.lag.is_none());
    let later = watch.seconds + 61.0;
    assert!(!watch.look(later).growing);
}

mod access;
mod bounds;
mod by_memory;
mod commits;
mod denied;
mod files;
mod guards;
mod kinds;
mod outlook;
mod properties;
mod pulse;
mod replay;
mod slots;
mod timelines;
