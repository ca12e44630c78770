//! What the servers of a made-up pair say at each second: PostgreSQL under load, its stores, its configuration, its search engines.

use std::time::Duration;

use standbywatch::clock::{Moment, WallTime};
use standbywatch::facts::{
    ConfigFacts, CycleFacts, IndexFacts, KvstoreFacts, Observation, Opaque, PostgresFacts, PostgresRole,
    PostgresSettings, PrimaryFacts, Reading, Receiver, SearchFacts, Slot, SlowFacts, StandbyFacts, StoreAnswer,
    Timestamp, Walsender,
};
use standbywatch::names::{Name, Outcome, Proof, SearchHealth};
use standbywatch::units::{Bytes, Lsn};

/// The other channels are asked this often.
const OTHERS: u32 = 5;
const WAL_PER_SECOND: u64 = 4 << 20;
const WALL: f64 = 1.7e9;

/// So long after the start.
pub fn at(second: u32, millis: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000 + u64::from(second)) + Duration::from_millis(millis))
}

/// The same on the wall.
pub fn wall(second: u32, millis: u64) -> WallTime {
    WallTime(WALL + f64::from(second) + millis as f64 / 1000.0)
}

fn facts(start: &str, role: PostgresRole) -> PostgresFacts {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    PostgresFacts {
        version: Some(150_010),
        system_identifier: Some("7451234567890123456".to_owned()),
        postmaster_start: Some(Opaque(start.to_owned())),
        data_directory: Some(format!("/var/lib/postgresql/15/{start}")),
        timeline: Some(1),
        server_clock: None,
        role,
        settings: PostgresSettings {
            wal_receiver_status_interval: seconds(10),
            wal_receiver_timeout: seconds(60),
            wal_sender_timeout: seconds(60),
            max_standby_streaming_delay: seconds(30),
            ..PostgresSettings::default()
        },
        slow: SlowFacts::default(),
        new_sessions: None,
    }
}

/// A pair under load; with replay paused from `paused` on.
pub struct Pair {
    pub paused: Option<u32>,
    /// All channels, or PostgreSQL alone.
    pub all: bool,
}

impl Pair {
    /// Its configuration.
    pub fn config(&self) -> &'static str {
        if self.all { ALL } else { POSTGRES }
    }

    /// What is read in this second, and when it is asked.
    pub fn says(&self, second: u32) -> Vec<(u64, Observation)> {
        fn read<T>(second: u32, millis: u64, facts: T) -> Reading<T> {
            Reading { asked: at(second, millis), answered: at(second, millis + 2), result: Ok(facts) }
        }
        let mut all = vec![
            (10, Observation::Postgres(Name::new("alpha"), read(second, 10, self.primary(second)))),
            (20, Observation::Postgres(Name::new("beta"), read(second, 20, self.standby(second)))),
        ];
        if self.all && second.is_multiple_of(OTHERS) {
            for (millis, node) in [(30, "alpha"), (40, "beta")] {
                all.push((millis, Observation::Config(Name::new(node), read(second, millis, synced(second)))));
            }
            all.push((50, Observation::Kvstore(read(second, 50, canary(second)))));
            for (millis, node) in [(60, "alpha"), (70, "beta")] {
                all.push((millis, Observation::Search(Name::new(node), read(second, millis, engine()))));
            }
        }
        all
    }

    fn written(second: u32) -> Lsn {
        Lsn((1 << 32) + u64::from(second) * WAL_PER_SECOND)
    }

    fn replayed(&self, second: u32) -> Lsn {
        Self::written(self.paused.map_or(second, |paused| paused.min(second)))
    }

    fn primary(&self, second: u32) -> PostgresFacts {
        let written = Self::written(second);
        let received = Some(Lsn(written.0 - 8192));
        let walsender = Walsender {
            pid: 4711,
            application_name: Some("beta".to_owned()),
            slot: Some("beta".to_owned()),
            state: Some("streaming".to_owned()),
            sync_state: Some("async".to_owned()),
            sent: Some(written),
            write: received,
            flush: received,
            replay: Some(self.replayed(second).min(Lsn(written.0 - 8192))),
            backend_start: Some(Opaque("2026-01-01 00:00:00".to_owned())),
            backend_age: Some(86_400.0 + f64::from(second)),
            reply_time: Some(Opaque(format!("2026-01-02 {second}"))),
            ..Walsender::default()
        };
        let slot = Slot {
            name: "beta".to_owned(),
            physical: true,
            active: true,
            active_pid: Some(4711),
            restart_lsn: received,
            wal_status: Some("reserved".to_owned()),
            retained: Some(Bytes(8192)),
            ..Slot::default()
        };
        let role = PrimaryFacts {
            wal_lsn: Some(written),
            walsenders: vec![walsender],
            slots: vec![slot],
            ..PrimaryFacts::default()
        };
        facts("alpha", PostgresRole::Primary(role))
    }

    fn standby(&self, second: u32) -> PostgresFacts {
        let receiver = Receiver {
            status: Some("streaming".to_owned()),
            slot: Some("beta".to_owned()),
            application_name: Some("beta".to_owned()),
            timeline: Some(1),
            last_message: Some(Opaque(format!("2026-01-02 {second}"))),
            last_message_age: Some(0.1),
            ..Receiver::default()
        };
        let standby = StandbyFacts {
            receive_lsn: Some(Self::written(second)),
            replay_lsn: Some(self.replayed(second)),
            receiver: Some(receiver),
            replay_paused: Some(self.paused.is_some_and(|paused| paused < second)),
            ..StandbyFacts::default()
        };
        facts("beta", PostgresRole::Standby(standby))
    }
}

fn synced(second: u32) -> ConfigFacts {
    let timestamp = Timestamp { written: wall(second - second % 60, 0), read_at: wall(second, 0) };
    ConfigFacts { timestamp: Some(timestamp), ..ConfigFacts::default() }
}

fn canary(second: u32) -> KvstoreFacts {
    let answer = || StoreAnswer { acknowledged: Some(true), holds: Some(true), failure: None };
    KvstoreFacts {
        outcome: Outcome::Ok,
        proof: Proof::Path,
        standby: (Name::new("beta"), answer()),
        primary: (Name::new("alpha"), answer()),
        sequence: u64::from(second / OTHERS),
        round_trip: Some(Duration::from_micros(1800)),
        write: Some(Duration::from_micros(1500)),
        indeterminate_resolved: None,
        more: CycleFacts::default(),
    }
}

fn engine() -> SearchFacts {
    let index = IndexFacts {
        name: "catalog".to_owned(),
        exists: Some(true),
        health: Some(SearchHealth::Green),
        documents: Some(120_000),
        read_only: Some(false),
        ..IndexFacts::default()
    };
    SearchFacts {
        distribution: Some("opensearch".to_owned()),
        version: Some("2.19.3".to_owned()),
        health: Some(SearchHealth::Green),
        timed_out: Some(false),
        active_shards_percent: Some(100.0),
        unassigned_shards: Some(0),
        initializing_shards: Some(0),
        nodes: Some(1),
        indices: vec![index],
        ..SearchFacts::default()
    }
}

const POSTGRES: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: a, user: probe } }
      beta:  { postgres: { host: b, user: probe, replica: { slot: beta } } }
";

const ALL: &str = "pairs:
  - name: catalog
    nodes:
      alpha:
        postgres: { host: a, user: probe }
        kvstore: { redis: { address: 'a:6379' } }
        config: { root: /conf/a, timestamp_file: /conf/last }
        search: { url: 'http://a:9200' }
      beta:
        postgres: { host: b, user: probe, replica: { slot: beta } }
        kvstore: { redis: { address: 'b:6379' } }
        config: { root: /conf/b, timestamp_file: /conf/last }
        search: { url: 'http://b:9200' }
    search: { indices: [catalog], rebuild_takes: 1h }
";
