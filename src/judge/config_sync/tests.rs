//! Timelines: a sync each minute, looked at every 5 s, fresh for 18 s.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::clock::WallTime;
use crate::config::{ConfigNode, NodeConfig, Rpo, Schedule};
use crate::facts::{Failure, Reading, Timestamp};
use crate::names::FailureKind;
use crate::units::Bytes;

mod beacon;
mod drift;

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn name(text: &str) -> Name {
    Name::new(text)
}

struct Timeline {
    channel: ConfigChannel,
    pair: PairConfig,
    latest: BTreeMap<Name, Latest<ConfigFacts>>,
    trees: BTreeMap<Name, Latest<TreeFacts>>,
    drift: DriftHistory,
    history: ConfigHistory,
    roles: Roles,
    clocks: BeaconClocks,
}

impl Timeline {
    fn new() -> Self {
        let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(3));
        let channel = ConfigChannel {
            schedule,
            period: Duration::from_secs(60),
            wrapper: true,
            jobs_are_named: false,
            include: Vec::new(),
            exclude: Vec::new(),
            max_files: 1000,
            max_size: Bytes::mib(64),
        };
        let node = |text: &str| NodeConfig {
            name: name(text),
            agent: None,
            postgres: None,
            kvstore: None,
            search: None,
            config: Some(ConfigNode { root: "/opt/app/conf".into(), timestamp_file: None, beacon: None }),
        };
        let pair = PairConfig {
            name: name("shop"),
            nodes: vec![node("alpha"), node("beta"), node("gamma")],
            postgres: None,
            config: Some(channel.clone()),
            kvstore: None,
            search: None,
            rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
            role_from: None,
            seat: None,
        };
        let roles = Roles { primary: Some(name("alpha")), standbys: vec![name("beta")], ..Roles::default() };
        Self {
            channel,
            pair,
            latest: BTreeMap::new(),
            trees: BTreeMap::new(),
            drift: DriftHistory::default(),
            history: ConfigHistory::default(),
            roles,
            clocks: BeaconClocks::default(),
        }
    }

    fn reads(&mut self, seconds: u64, node: &str, result: Result<ConfigFacts, Failure>) {
        let reading = Reading { asked: at(seconds), answered: at(seconds), result };
        self.history.record(&name(node), &reading);
        self.latest.insert(name(node), Latest::Have(Arc::new(reading)));
    }

    fn wrapper(&mut self, seconds: u64, node: &str, wrapper: WrapperFacts) {
        self.reads(seconds, node, Ok(ConfigFacts { wrapper: Some(wrapper), ..ConfigFacts::default() }));
    }

    fn at(&self, seconds: u64) -> (ConfigEvidence, Option<Moment>) {
        let Self { latest: files, trees, history, drift, clocks, .. } = self;
        evidence(&self.channel, &self.pair, Learned { files, trees, history, drift, clocks }, &self.roles, at(seconds))
    }
}

fn good(seconds_ago: u64) -> WrapperFacts {
    WrapperFacts {
        last_good_started_ago: Some(Duration::from_secs(seconds_ago)),
        last_exit: Some(0),
        any_finished: true,
        ..WrapperFacts::default()
    }
}

fn failed(seconds_ago: u64, failures: u32, exit: Option<i32>) -> WrapperFacts {
    WrapperFacts { consecutive_failures: failures, last_exit: exit, last_killed: exit.is_none(), ..good(seconds_ago) }
}

fn verdict(evidence: &ConfigEvidence) -> (bool, Option<Reason>) {
    (evidence.verdict.up, evidence.verdict.reason)
}

#[test]
fn a_stopped_job_grows_stale_while_its_age_is_known() {
    let mut timeline = Timeline::new();
    timeline.wrapper(1000, "beta", good(30));
    let (evidence, next) = timeline.at(1003);
    assert_eq!(evidence.verdict, Verdict::proven(at(1000)));
    assert_eq!((evidence.age, evidence.age_periods), (Some(Duration::from_secs(30)), Some(33.0 / 60.0)));
    assert_eq!(next, Some(at(1018)), "first the reading runs out");

    timeline.wrapper(1085, "beta", good(115));
    let (evidence, next) = timeline.at(1090);
    assert_eq!(verdict(&evidence), (true, None), "two periods are not above two periods");
    assert_eq!(next, Some(at(1090) + Duration::from_millis(1)));
    let (evidence, next) = timeline.at(1091);
    assert_eq!(verdict(&evidence), (true, Some(Reason::SyncStale)));
    assert_eq!(next, Some(at(1103)));

    timeline.wrapper(1140, "beta", good(170));
    assert_eq!(timeline.at(1141).1, Some(at(1150) + Duration::from_millis(1)), "critical from three periods on");
    timeline.wrapper(90_000, "beta", good(89_000));
    let (evidence, next) = timeline.at(90_000);
    assert_eq!((evidence.verdict.up, evidence.age), (true, Some(Duration::from_secs(89_000))));
    assert_eq!(next, Some(at(90_018)));
    timeline.wrapper(90_010, "beta", good(1));
    assert_eq!(verdict(&timeline.at(90_010).0), (true, None), "back by itself");
}

#[test]
fn failing_runs_tell_their_cause() {
    let mut timeline = Timeline::new();
    timeline.wrapper(1000, "beta", failed(70, 1, Some(23)));
    let evidence = timeline.at(1000).0;
    assert_eq!(verdict(&evidence), (true, None), "one failure is no alarm");
    assert_eq!(
        evidence.verdict.detail.as_deref(),
        Some("the run since failed with exit 23 (some files could not be copied)")
    );
    assert_eq!((evidence.consecutive_failures, evidence.last_exit), (Some(1), Some(23)));
    timeline.wrapper(1000, "beta", failed(90, 3, Some(255)));
    assert_eq!(verdict(&timeline.at(1000).0), (true, Some(Reason::SyncFailing)));
    timeline.wrapper(1000, "beta", failed(200, 3, None));
    let evidence = timeline.at(1000).0;
    assert_eq!(verdict(&evidence), (true, Some(Reason::SyncStale)));
    let detail = evidence.verdict.detail.unwrap();
    assert!(detail.ends_with("3 runs since failed, the last of them killed by its deadline or a signal"), "{detail}");
}

#[test]
fn exit_24_is_good_with_a_word() {
    let mut timeline = Timeline::new();
    timeline.wrapper(1000, "beta", WrapperFacts { last_exit: Some(24), ..good(5) });
    let evidence = timeline.at(1000).0;
    assert_eq!(verdict(&evidence), (true, None));
    assert!(evidence.verdict.detail.unwrap().contains("vanished"));
}

#[test]
fn no_age_is_never_a_young_one() {
    let mut timeline = Timeline::new();
    assert_eq!(verdict(&timeline.at(1000).0), (false, Some(Reason::NotSeenYet)));
    timeline.reads(1000, "beta", Ok(ConfigFacts::default()));
    assert_eq!(verdict(&timeline.at(1000).0), (false, Some(Reason::NotSeenYet)));
    timeline.wrapper(1000, "beta", WrapperFacts { last_good_started_ago: None, ..failed(0, 1, Some(12)) });
    assert_eq!(verdict(&timeline.at(1000).0), (false, Some(Reason::SyncFailing)));
    let timestamp = Timestamp { written: WallTime(5000.0), read_at: WallTime(1000.0) };
    timeline.reads(1000, "beta", Ok(ConfigFacts { timestamp: Some(timestamp), ..ConfigFacts::default() }));
    let evidence = timeline.at(1000).0;
    assert_eq!((verdict(&evidence), evidence.age), ((false, Some(Reason::FutureTimestamp)), None));
    timeline.reads(1000, "beta", Ok(ConfigFacts { timestamp: Some(timestamp), wrapper: Some(good(5)), beacon: None }));
    assert_eq!(verdict(&timeline.at(1000).0), (true, Some(Reason::FutureTimestamp)), "the record alone is enough");
}

#[test]
fn a_failed_look_empties_everything_at_once() {
    let mut timeline = Timeline::new();
    timeline.wrapper(1000, "beta", good(30));
    timeline.reads(1005, "beta", Err(Failure::new(FailureKind::Permission, "/state/rsync.json: permission denied")));
    let (evidence, next) = timeline.at(1006);
    assert_eq!((verdict(&evidence), evidence.age, next), ((false, Some(Reason::Permission)), None, None));
    assert_eq!(
        evidence.verdict.detail.as_deref(),
        Some("/state/rsync.json: permission denied; the last good sync known of began 36s ago")
    );
    timeline.wrapper(1010, "beta", good(40));
    assert_eq!(verdict(&timeline.at(1027).0), (true, None));
    assert_eq!(verdict(&timeline.at(1028).0), (false, Some(Reason::Stale)));
}

#[test]
fn the_standby_counts_and_of_several_the_worst() {
    let mut timeline = Timeline::new();
    timeline.wrapper(1000, "alpha", good(9000));
    timeline.wrapper(1000, "beta", good(10));
    assert_eq!(timeline.at(1000).0.age, Some(Duration::from_secs(10)), "the primary's own record is of no interest");
    timeline.roles.standbys.push(name("gamma"));
    assert_eq!(verdict(&timeline.at(1000).0), (false, Some(Reason::NotSeenYet)));
    timeline.wrapper(1000, "gamma", good(500));
    assert_eq!(timeline.at(1000).0.age, Some(Duration::from_secs(500)));
    timeline.roles.contradicted = true;
    assert_eq!(verdict(&timeline.at(1000).0), (false, Some(Reason::RoleUnknown)));
}

#[test]
fn every_reason_is_of_the_closed_list() {
    let known = crate::names::Channel::Config.reasons();
    for reason in [Reason::SyncStale, Reason::SyncFailing, Reason::FutureTimestamp, Reason::NotSeenYet] {
        assert!(known.contains(&reason));
    }
}
