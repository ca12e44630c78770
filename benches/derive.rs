//! What one reading costs once it is here: evidence, samples and rules of a pair, the snapshot around them, and all that is shown of it.
//! `make bench` prints it.

#[path = "parts/pair.rs"]
mod pair;
#[path = "parts/views.rs"]
mod views;

use std::time::Duration;

use pair::{Pair, at, wall};
use standbywatch::clock;
use standbywatch::config::{Environment, parse};
use standbywatch::hub::rehearsal::Rehearsal;
use standbywatch::level::Level;

/// As many seconds as fill the histories of trend and rates.
const BEFORE: u32 = 1200;
const MEASURED: u32 = 5000;

/// Times of one reading: all that the hub does with it, evidence and rules alone, and each view of the snapshot.
#[derive(Default)]
struct Times {
    whole: Vec<Duration>,
    derived: Vec<Duration>,
    shown: Vec<[Duration; views::VIEWS.len()]>,
}

fn play(pair: &Pair, wanted: Level) -> Times {
    let config = parse(pair.config(), "bench", &Environment::default()).expect("a right configuration");
    let mut hub = Rehearsal::new(config.pairs[0].clone(), at(0, 0), wall(0, 0));
    let mut times = Times::default();
    for second in 0..BEFORE + MEASURED / 2 {
        for (millis, observation) in pair.says(second) {
            let (now, wall) = (at(second, millis + 2), wall(second, millis));
            let begun = clock::now();
            let snapshot = hub.take(observation, now, wall);
            let whole = clock::now().since(begun);
            let begun = clock::now();
            let view = std::hint::black_box(hub.derive(now, wall));
            let derived = clock::now().since(begun);
            if second >= BEFORE {
                times.whole.push(whole);
                times.derived.push(derived);
                times.shown.push(views::all(&snapshot, now, wall));
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

fn row(what: &str, times: &mut [Duration]) {
    println!("| {what} | {} | {} |", quantile(times, 0.5), quantile(times, 0.99));
}

fn head(title: &str) {
    println!("## {title}\n\n| what | half within | 99 % within |\n|---|---|---|");
}

fn main() {
    let paused = Some(BEFORE / 2);
    let plays = [
        ("PostgreSQL alone, all is well", Pair { paused: None, all: false }, Level::Ok),
        ("all channels, all is well", Pair { paused: None, all: true }, Level::Ok),
        ("all channels, replay paused", Pair { paused, all: true }, Level::Critical),
    ];
    let mut played = plays.map(|(name, pair, wanted)| (name, play(&pair, wanted)));
    head(&format!(
        "One reading, from the hub's inbox to the snapshot (over {MEASURED} readings of a pair, histories filled)"
    ));
    for (name, times) in &mut played {
        row(&format!("evidence and rules; {name}"), &mut times.derived);
        row(&format!("all of it; {name}"), &mut times.whole);
    }
    println!();
    head("From the snapshot to what is shown");
    for (name, times) in &mut played[1..] {
        for (at, (what, _)) in views::VIEWS.iter().enumerate() {
            row(&format!("{what}; {name}"), &mut times.shown.iter().map(|took| took[at]).collect::<Vec<_>>());
        }
        row(
            &format!("all of these; {name}"),
            &mut times.shown.iter().map(|took| took.iter().sum()).collect::<Vec<_>>(),
        );
    }
}
