//! The hub's own rules, on written timelines: what runs out, what is dropped, what goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::schedule::Told;
use super::{Common, Core};
use crate::clock::{Moment, WallTime};
use crate::config::{Config, Environment, PairConfig, parse};
use crate::facts::{
    CycleFacts, Failure, KvstoreFacts, Observation, Opaque, PostgresFacts, PostgresRole, PostgresSettings,
    PrimaryFacts, Reading, Receiver, SlowFacts, StandbyFacts, StoreAnswer, Walsender,
};
use crate::judge::rules::RuleBook;
use crate::level::Level;
use crate::names::{Channel, FailureKind, Name, Outcome, Proof, Reason};
use crate::snapshot::Snapshot;
use crate::state_file::Saved;
use crate::units::Lsn;

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: a, user: probe } }
      beta:  { postgres: { host: b, user: probe, replica: { slot: beta } } }
";

fn config(text: &str) -> Config {
    parse(text, "test", &Environment::default()).expect("a right configuration")
}

/// A hub without its task: the test is its clock and its probes.
struct Timeline {
    core: Core,
    saved: watch::Receiver<Saved>,
    snapshot: Arc<Snapshot>,
    /// Wall time less boot time.
    offset: f64,
}

impl Timeline {
    fn new(pair: Arc<PairConfig>) -> Self {
        Self::from(pair, at(0.0))
    }

    fn from(pair: Arc<PairConfig>, start: Moment) -> Self {
        let rules = Arc::new(RuleBook::new(&BTreeMap::new()));
        let common = Common { rules, state_directory: PathBuf::new(), keeping: None };
        let (state, saved) = watch::channel(Saved::default());
        let offset = 1e9;
        let (core, snapshot) = Core::new(pair, &common, Saved::default(), state, (start, WallTime(offset)));
        Self { core, saved, snapshot, offset }
    }

    fn of_postgres() -> Self {
        Self::new(config(CONFIG).pairs[0].clone())
    }

    fn advance(&mut self, seconds: f64, told: Vec<Told>) {
        self.snapshot = self.core.advance(told, at(seconds), WallTime(self.offset + seconds));
    }

    /// Both servers answer each second from `from` to `to`; the standby replies to the primary each time.
    fn healthy(&mut self, from: u32, to: u32) {
        for second in from..=to {
            let now = f64::from(second);
            self.advance(now, vec![told("alpha", now, Ok(primary(second))), told("beta", now, Ok(standby(second)))]);
        }
    }

    /// What is shown of a channel at a moment.
    fn shown(&self, seconds: f64, channel: Channel) -> (Level, Option<Reason>) {
        let view = self.snapshot.at(at(seconds)).channel(channel).expect("configured");
        (view.level, view.reason)
    }
}

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs_f64(1000.0 + seconds))
}

fn told(node: &str, seconds: f64, result: Result<PostgresFacts, Failure>) -> Told {
    let reading = Reading { asked: at(seconds - 0.01), answered: at(seconds), result };
    Told::Observation(Observation::Postgres(Name::new(node), reading))
}

fn facts(start: &str, role: PostgresRole) -> PostgresFacts {
    let settings = PostgresSettings {
        wal_receiver_status_interval: Some(Duration::from_secs(10)),
        wal_receiver_timeout: Some(Duration::from_secs(60)),
        wal_sender_timeout: Some(Duration::from_secs(60)),
        ..PostgresSettings::default()
    };
    PostgresFacts {
        version: Some(150_000),
        system_identifier: Some("1".to_owned()),
        postmaster_start: Some(Opaque(start.to_owned())),
        data_directory: Some(start.to_owned()),
        timeline: Some(1),
        server_clock: None,
        role,
        settings,
        slow: SlowFacts::default(),
        new_sessions: None,
    }
}

fn primary(beat: u32) -> PostgresFacts {
    let walsender = Walsender {
        pid: 7,
        slot: Some("beta".to_owned()),
        state: Some("streaming".to_owned()),
        sent: Some(Lsn(100)),
        write: Some(Lsn(100)),
        flush: Some(Lsn(100)),
        replay: Some(Lsn(100)),
        backend_start: Some(Opaque("then".to_owned())),
        reply_time: Some(Opaque(beat.to_string())),
        ..Walsender::default()
    };
    let primary = PrimaryFacts { wal_lsn: Some(Lsn(100)), walsenders: vec![walsender], ..PrimaryFacts::default() };
    facts("a", PostgresRole::Primary(primary))
}

fn standby(beat: u32) -> PostgresFacts {
    let receiver = Receiver {
        status: Some("streaming".to_owned()),
        slot: Some("beta".to_owned()),
        timeline: Some(1),
        last_message: Some(Opaque(beat.to_string())),
        last_message_age: Some(0.0),
        ..Receiver::default()
    };
    let standby = StandbyFacts {
        receive_lsn: Some(Lsn(100)),
        replay_lsn: Some(Lsn(100)),
        receiver: Some(receiver),
        replay_paused: Some(false),
        ..StandbyFacts::default()
    };
    facts("b", PostgresRole::Standby(standby))
}

#[test]
fn before_the_first_reading_all_is_unknown_and_incomplete() {
    let timeline = Timeline::of_postgres();
    assert!(!timeline.snapshot.complete);
    assert_eq!(timeline.shown(0.0, Channel::Postgres), (Level::Unknown, Some(Reason::NotSeenYet)));
    let probes = &timeline.snapshot.at(at(0.0)).probes;
    assert_eq!(probes.len(), 2, "what is watched is configured");
    assert!(probes.iter().all(|probe| !probe.up && probe.last_success.is_none()));
}

#[test]
fn a_snapshot_nobody_replaces_shows_nothing_old() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    assert!(timeline.snapshot.complete);
    assert_eq!(timeline.shown(5.0, Channel::Postgres), (Level::Ok, None));
    // The readings of 5.0 left at 4.99; after 6 s, and the grace in which the hub would publish, they are too old.
    assert_eq!(timeline.shown(11.2, Channel::Postgres).0, Level::Ok);
    assert_eq!(timeline.shown(11.3, Channel::Postgres), (Level::Unknown, Some(Reason::Stale)));
    let late = timeline.snapshot.at(at(3600.0));
    assert_eq!(late.samples.iter().find(|sample| sample.metric == "standby_replication_lag_bytes"), None);
    let up = late.samples.iter().find(|sample| sample.metric == "standby_replication_up").expect("always there");
    assert!(up.value.abs() < f64::EPSILON);
    assert!(late.probes.iter().all(|probe| !probe.up && probe.last_success.is_some()));
}

#[test]
fn the_hub_wakes_before_its_snapshot_runs_out() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    let wake = timeline.core.next_change.expect("something runs out");
    assert!(wake < timeline.snapshot.shown_until());
    timeline.snapshot = timeline.core.advance(Vec::new(), wake, WallTime(timeline.offset));
    assert_eq!(timeline.shown(11.0, Channel::Postgres), (Level::Unknown, Some(Reason::Stale)));
}

#[test]
fn a_failed_reading_hides_the_one_before_at_once() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    let refused = || Err(Failure::new(FailureKind::Refused, "refused"));
    timeline.advance(6.0, vec![told("alpha", 6.0, refused()), told("beta", 6.0, refused())]);
    let (level, reason) = timeline.shown(6.0, Channel::Postgres);
    assert_eq!((level, reason), (Level::Unknown, Some(Reason::Refused)));
    let lag = |sample: &&crate::snapshot::Sample| sample.metric == "standby_replication_lag_bytes";
    assert!(!timeline.snapshot.at(at(6.0)).samples.iter().any(|sample| lag(&sample)));
}

#[test]
fn a_pause_from_outside_drops_readings_and_signs_of_life_but_not_who_is_primary() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 5);
    // The machine stood still for a minute that boot time did not see.
    timeline.offset += 60.0;
    timeline.advance(6.0, vec![told("alpha", 6.0, Ok(primary(5)))]);
    assert_eq!(timeline.shown(6.0, Channel::Postgres), (Level::Unknown, Some(Reason::Stale)));
    let mut unheard = standby(5);
    if let PostgresRole::Standby(StandbyFacts { receiver: Some(receiver), .. }) = &mut unheard.role {
        receiver.last_message_age = Some(60.0);
    }
    timeline.advance(7.0, vec![told("alpha", 7.0, Ok(primary(5))), told("beta", 7.0, Ok(unheard))]);
    let (level, _) = timeline.shown(7.0, Channel::Postgres);
    assert_eq!(level, Level::Unknown, "what was heard before the pause proves nothing");
    let roles = &timeline.snapshot.at(at(7.0)).evidence.roles;
    assert_eq!(roles.primary, Some(Name::new("alpha")));
    timeline.healthy(8, 10);
    assert_eq!(timeline.shown(10.0, Channel::Postgres), (Level::Ok, None));
}

#[test]
fn hold_times_of_rules_wake_the_hub_and_are_saved() {
    let mut timeline = Timeline::of_postgres();
    let refused = || Err(Failure::new(FailureKind::Refused, "refused"));
    timeline.advance(1.0, vec![told("alpha", 1.0, refused()), told("beta", 1.0, refused())]);
    assert!(timeline.core.next_change.is_some(), "a hold time runs");
    assert!(timeline.saved.has_changed().expect("the hub lives"));
    assert_ne!(*timeline.saved.borrow_and_update(), Saved::default());
    let saved = timeline.saved.borrow().clone();
    // What may be shown later must not move the timers now.
    let again = timeline.core.timers.clone();
    assert_eq!(saved.timers, again);
}

const STORES: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { kvstore: { redis: { address: 'a:6379' } } }
      beta:  { kvstore: { redis: { address: 'b:6379' } } }
    role_from: { fixed: alpha }
";

fn canary(seconds: f64, standby: Option<Failure>) -> Told {
    let answer = |failure: Option<Failure>| StoreAnswer { failure, ..StoreAnswer::default() };
    let outcome = if standby.is_none() { Outcome::Ok } else { Outcome::Blocked };
    let facts = KvstoreFacts {
        outcome,
        proof: Proof::Path,
        standby: (Name::new("beta"), answer(standby)),
        primary: (Name::new("alpha"), answer(None)),
        sequence: 1,
        round_trip: None,
        write: None,
        indeterminate_resolved: None,
        more: CycleFacts::default(),
    };
    Told::Observation(Observation::Kvstore(Reading { asked: at(seconds), answered: at(seconds), result: Ok(facts) }))
}

#[test]
fn one_canary_tells_of_each_store_by_itself() {
    let mut timeline = Timeline::new(config(STORES).pairs[0].clone());
    assert_eq!(*timeline.core.roles.borrow(), timeline.snapshot.at(at(0.0)).evidence.roles);
    assert_eq!(timeline.core.roles.borrow().primary, Some(Name::new("alpha")), "fixed by the configuration");
    let frozen = Failure::new(FailureKind::Timeout, "frozen");
    timeline.advance(1.0, vec![canary(1.0, Some(frozen))]);
    assert!(timeline.snapshot.complete);
    let up: Vec<bool> = timeline.snapshot.at(at(1.0)).probes.iter().map(|probe| probe.up).collect();
    assert_eq!(up, [true, false], "alpha answers, beta does not");
    timeline.advance(6.0, vec![canary(6.0, None)]);
    assert_eq!(timeline.shown(6.0, Channel::Kvstore), (Level::Ok, None));
    assert!(timeline.snapshot.at(at(6.0)).probes.iter().all(|probe| probe.up && probe.last_success.is_some()));
}

#[test]
fn memory_is_handed_to_be_saved_now_and_then_and_goes_on_in_the_next_hub() {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 10);
    assert!(timeline.saved.borrow().postgres.is_none(), "not with each reading");
    timeline.healthy(11, 20);
    let handed = timeline.saved.borrow().postgres.clone().expect("after a quarter of a minute");
    assert_eq!(handed.slot_names.get(&Name::new("beta")).map(String::as_str), Some("beta"));
    let Timeline { core, saved, .. } = timeline;
    let last = core.hand_over();
    assert_eq!(*saved.borrow(), last, "the last write has all of it");
    assert_ne!(last.postgres, Some(handed));
    let mut next = Timeline::of_postgres();
    next.core.histories.restore(last.postgres.clone(), at(21.0));
    assert_eq!(next.core.histories.saved(), last.postgres);
}

mod flapping;
mod freshness;
mod mangled;
mod not_known;
mod properties;
mod restart;
mod strange_peer;
mod waking;
mod world;
