//! A state file that somebody, or a failing disk, has changed: it may cost what it remembers, never the watching.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::clock::BootId;
use crate::facts::{IndexFacts, SearchFacts};
use crate::names::SearchHealth;
use crate::state_file::{Present, StateFile};
use crate::view::history::HistoryDocument;

/// Where the hub ended and, after it, the next one begins.
const ENDED: f64 = 100.0;
const BEGINS: f64 = 101.0;

fn present(seconds: f64) -> Present {
    Present { boot: Some(BootId("a".to_owned())), now: at(seconds), wall: WallTime(1e9 + seconds) }
}

/// Read once: hundreds of hubs begin with it.
static PAIR: LazyLock<Arc<PairConfig>> = LazyLock::new(|| config(ALL).pairs[0].clone());

/// What a number, or a text, may have become.
fn instead(of: &Value) -> Vec<Value> {
    match of {
        Value::Number(_) => {
            vec![
                json!(0),
                json!(1),
                json!(-1),
                json!(u64::MAX),
                json!(i64::MAX),
                json!(1.7e308),
                json!(999_999_999),
                Value::Null,
            ]
        }
        Value::String(_) => vec![json!(""), json!("x".repeat(5000)), json!("\u{0}"), json!(7)],
        Value::Bool(known) => vec![json!(!known), Value::Null],
        Value::Null => vec![json!(0), json!(u64::MAX), json!({}), json!([])],
        Value::Array(_) | Value::Object(_) => vec![Value::Null, json!([]), json!({})],
    }
}

/// The pointers to everything in a document.
fn places(of: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match of {
        Value::Array(list) => {
            // What repeats is as the first and the last of it.
            for (place, value) in list.iter().enumerate().filter(|(place, _)| *place < 2 || place + 2 >= list.len()) {
                places(value, &format!("{at}/{place}"), all);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        _ => {}
    }
}

const ALL: &str = "pairs:
  - name: catalog
    nodes:
      alpha:
        postgres: { host: a, user: probe }
        kvstore: { redis: { address: 'a:6379' } }
        search: { url: 'http://a:9200' }
      beta:
        postgres: { host: b, user: probe, replica: { slot: beta } }
        kvstore: { redis: { address: 'b:6379' } }
        search: { url: 'http://b:9200' }
    search: { indices: [catalog] }
";

/// What a pair's stores and engines leave behind, as an agent on real ones wrote it.
fn beside() -> Value {
    let moment = |seconds: f64| serde_json::to_value(at(seconds)).expect("JSON");
    let index = json!({ "uuids": ["dDkHcCXuSaOCOfIupOYjFw"], "counter": 200, "sum": 20, "base": [200, 10], "counted": [200, 200], "renewed": null });
    let seen = |seconds| json!({ "seen": moment(seconds), "age": { "secs": 3, "nanos": 0 } });
    let mark = json!({ "run_id": "9b1aabfd", "evicted": 0, "seen": moment(60.0) });
    let kept = json!({ "sequence": 2, "nonce": 4_087_839_632_731_326_696_u64, "written": moment(60.0), "servers": { "alpha": mark, "beta": mark }, "outcome": "ok" });
    json!({
        "search": {
            "written": { "alpha": { "catalog": index }, "beta": { "catalog": index } },
            "remembered": { "catalog": { "node": "alpha", "uuids": ["dDkHcCXuSaOCOfIupOYjFw"], "documents": 200, "seen": seen(90.0), "since": seen(10.0) } },
            "last_primary": "alpha",
            "rebuild": { "node": "alpha", "awaited_at": 4, "began": [moment(50.0), 5], "complete": false },
            "rate": { "documents_per_second": 12.5, "seen": seen(80.0) },
            "told": {},
        },
        "kvstore": { "agent": "a1", "sequence": 51, "at_risk": 1, "at_risk_since": moment(95.0), "kept": { "medium": kept } },
    })
}

/// A pair that lags, with alerts, slots, a trend and a change of roles in its memory.
fn remembered() -> Saved {
    let mut timeline = Timeline::of_postgres();
    timeline.healthy(1, 30);
    for second in 31..=100 {
        let now = f64::from(second);
        let [alpha, mut beta] = [primary(second), standby(second)];
        if let PostgresRole::Standby(own) = &mut beta.role {
            own.replay_paused = Some(true);
        }
        timeline.advance(now, vec![told("alpha", now, Ok(alpha)), told("beta", now, Ok(beta))]);
    }
    timeline.core.hand_over()
}

#[test]
fn whatever_a_state_file_says_the_pair_is_watched_as_if_it_were_new() {
    let directory = std::env::temp_dir().join(format!("standbywatch-mangled-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = StateFile::new(&directory, &Name::new("catalog"));
    file.save(&remembered(), &present(ENDED)).expect("saved");
    let mut whole: Value = serde_json::from_slice(&std::fs::read(file.path()).expect("text")).expect("JSON");
    let fields = whole.as_object_mut().expect("an object");
    fields.extend(beside().as_object().expect("an object").clone());
    std::fs::write(file.path(), whole.to_string()).expect("written");
    let saved = file.load(&present(BEGINS)).expect("as it is, it is taken").expect("and something");
    assert!(saved.search.is_some() && saved.kvstore.is_some() && saved.postgres.is_some(), "{saved:?}");
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    assert!(all.len() > 50, "what is remembered: {all:?}");
    let (mut taken, mut refused) = (0, 0);
    for place in all {
        let before = whole.pointer(&place).expect("it is there");
        for value in instead(before) {
            let mut changed = whole.clone();
            *changed.pointer_mut(&place).expect("it is there") = value.clone();
            std::fs::write(file.path(), changed.to_string()).expect("written");
            let saved = match file.load(&present(BEGINS)) {
                Ok(Some(saved)) => saved,
                Ok(None) => Saved::default(),
                Err(_) => {
                    refused += 1;
                    continue;
                }
            };
            taken += 1;
            goes_on(saved, &format!("{place} became {value}"));
        }
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}

/// An engine that holds what it held, and a little more; it was counted or not.
fn engine(node: &str, seconds: f64, counted: Option<u64>) -> Told {
    let index = IndexFacts {
        name: "catalog".to_owned(),
        exists: Some(true),
        health: Some(SearchHealth::Green),
        indexed: Some(210),
        documents: counted,
        indexed_when_counted: counted,
        ..IndexFacts::default()
    };
    let facts = SearchFacts { health: Some(SearchHealth::Green), indices: vec![index], ..SearchFacts::default() };
    let reading = Reading { asked: at(seconds - 0.1), answered: at(seconds), result: Ok(facts) };
    Told::Observation(Observation::Search(Name::new(node), reading))
}

/// The pair is healthy by now, and soon told so; nothing that was changed makes a number out of nothing, or ends the task.
fn goes_on(saved: Saved, what: &str) {
    let rules = Arc::new(RuleBook::new(&BTreeMap::new()));
    let common = Common { rules, state_directory: PathBuf::new(), keeping: None };
    let (state, keeper) = watch::channel(saved.clone());
    let start = (at(BEGINS), WallTime(1e9 + BEGINS));
    let (core, snapshot) = Core::new(PAIR.clone(), &common, saved, state, start);
    let mut timeline = Timeline { core, saved: keeper, snapshot, offset: 1e9 };
    assert_eq!(timeline.shown(BEGINS, Channel::Postgres).0, Level::Unknown, "{what}");
    timeline.healthy(102, 107);
    for (now, counted) in [(108_u32, None), (109, Some(205)), (110, Some(206))] {
        let seconds = f64::from(now);
        let mut all = vec![told("alpha", seconds, Ok(primary(now))), told("beta", seconds, Ok(standby(now)))];
        all.push(canary(seconds, None));
        all.extend(["alpha", "beta"].map(|node| engine(node, seconds, counted)));
        timeline.advance(seconds, all);
    }
    assert!(!timeline.core.stumbled, "{what}");
    assert_eq!(timeline.shown(110.0, Channel::Postgres), (Level::Ok, None), "{what}");
    let view = timeline.snapshot.at(at(110.0));
    for sample in &view.samples {
        assert!(!sample.value.is_nan(), "{what}: {sample:?}");
    }
    // Everybody who asks gets an answer.
    super::strange_peer::render(view, 110.0);
    let day = &timeline.core.day;
    let told = day.with(|day| serde_json::to_string(&HistoryDocument::new("catalog", day, None, at(110.0))));
    assert!(told.is_ok(), "{what}");
    timeline.core.hand_over();
}
