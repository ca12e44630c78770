//! What one reading costs once it is here: evidence, samples and rules of a pair, and the snapshot around them. `make bench` prints it.

use std::time::Duration;

use standbywatch::clock::{self, Moment, WallTime};
use standbywatch::config::{Environment, parse};
use standbywatch::facts::{
    Observation, Opaque, PostgresFacts, PostgresRole, PostgresSettings, PrimaryFacts, Reading, Receiver, Slot,
    SlowFacts, StandbyFacts, Walsender,
};
use standbywatch::hub::rehearsal::Rehearsal;
use standbywatch::level::Level;
use standbywatch::names::Name;
use standbywatch::units::{Bytes, Lsn};

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: a, user: probe } }
      beta:  { postgres: { host: b, user: probe, replica: { slot: beta } } }
";
/// As many seconds as fill the histories of trend and rates.
const BEFORE: u32 = 1200;
const MEASURED: u32 = 5000;
const WAL_PER_SECOND: u64 = 4 << 20;
const WALL: f64 = 1.7e9;

fn at(second: u32, millis: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000 + u64::from(second)) + Duration::from_millis(millis))
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
struct Pair {
    paused: Option<u32>,
}

impl Pair {
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

/// Times of one reading: all that the hub does with it, and evidence and rules alone.
#[derive(Default)]
struct Times {
    whole: Vec<Duration>,
    derived: Vec<Duration>,
}

fn play(pair: &Pair, wanted: Level) -> Times {
    let config = parse(CONFIG, "bench", &Environment::default()).expect("a right configuration");
    let mut hub = Rehearsal::new(config.pairs[0].clone(), at(0, 0), WallTime(WALL));
    let mut times = Times::default();
    for second in 0..BEFORE + MEASURED / 2 {
        for (node, millis, facts) in [("alpha", 10, pair.primary(second)), ("beta", 20, pair.standby(second))] {
            let (asked, now) = (at(second, millis), at(second, millis + 2));
            let wall = WallTime(WALL + f64::from(second) + millis as f64 / 1000.0);
            let observation =
                Observation::Postgres(Name::new(node), Reading { asked, answered: now, result: Ok(facts) });
            let begun = clock::now();
            let snapshot = hub.take(observation, now, wall);
            let whole = clock::now().since(begun);
            let begun = clock::now();
            let view = std::hint::black_box(hub.derive(now, wall));
            let derived = clock::now().since(begun);
            if second >= BEFORE {
                times.whole.push(whole);
                times.derived.push(derived);
                assert_eq!((view.level, snapshot.at(now).level), (wanted, wanted), "{:?}", view.channels);
            }
        }
    }
    times
}

fn quantile(times: &mut [Duration], share: f64) -> String {
    times.sort_unstable();
    let rank = (times.len() as f64 * share).ceil() as usize;
    format!("{:.1} µs", times[rank.max(1) - 1].as_secs_f64() * 1e6)
}

fn main() {
    println!(
        "## One reading, from the hub's inbox to the snapshot (a pair's PostgreSQL, {MEASURED} readings, histories filled)\n"
    );
    println!("| what | half within | 99 % within |\n|---|---|---|");
    for (name, paused, wanted) in
        [("all is well", None, Level::Ok), ("replay paused", Some(BEFORE / 2), Level::Critical)]
    {
        let Times { mut whole, mut derived } = play(&Pair { paused }, wanted);
        for (what, times) in [
            ("evidence and rules", &mut derived),
            ("all of it, with what is shown after the snapshot has run out", &mut whole),
        ] {
            println!("| {what}; {name} | {} | {} |", quantile(times, 0.5), quantile(times, 0.99));
        }
    }
}
