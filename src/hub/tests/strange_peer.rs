//! Answers of another agent in which one thing is not what it should be. Whoever shows the token may still be broken, or of a version to
//! come: nothing may end this agent, and nothing that is not ours may become a label.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::config::Sitting;
use crate::facts::{Arrival, PeerFacts};
use crate::names::RuleName;
use crate::snapshot::View;
use crate::view::api::StatusDocument;
use crate::view::prometheus::{self, Format};
use crate::view::replication::Replication;
use crate::view::{html, table};

const AGENTS: &str = "pairs:
  - name: catalog
    nodes:
      alpha:
        agent: 'http://127.0.0.1:1'
        postgres: { host: a, user: probe }
        kvstore: { redis: { address: 'a:1' } }
        search: { url: 'http://a:1' }
        config: { root: /conf, timestamp_file: /stamp }
      beta:
        agent: 'http://127.0.0.1:2'
        postgres: { host: b, user: probe, replica: { slot: beta } }
        kvstore: { redis: { address: 'b:1' } }
        search: { url: 'http://b:1' }
        config: { root: /conf, timestamp_file: /stamp }
    search: { indices: [catalog], yellow_is_ok: true }
peer: { token_file: /t }
";
const PRIMARY: &str = include_str!("../../facts/node_report/primary.json");
const STANDBY: &str = include_str!("../../facts/node_report/standby.json");
/// No label and no name may have this in it.
const FOREIGN: &str = "foreign<b>";

/// The agent of `own` on a healthy pair, to which the agent of the other node tells what it is handed.
struct Listening {
    timeline: Timeline,
    own: &'static str,
    other: &'static str,
}

impl Listening {
    fn new(own: &'static str) -> Self {
        let other = if own == "alpha" { "beta" } else { "alpha" };
        Self { timeline: Timeline::new(seen_by(own)), own, other }
    }

    /// One round: the own servers are as they were recorded, and the other agent gives this answer.
    fn hears(&mut self, seconds: f64, answer: &Value) {
        let result = read(answer, self.other, seconds).map_err(|text| Failure::new(FailureKind::Protocol, text));
        self.round(seconds, result);
    }

    /// One round in which the other agent does not answer.
    fn hears_nothing(&mut self, seconds: f64) {
        self.round(seconds, Err(Failure::new(FailureKind::Timeout, "no answer")));
    }

    fn round(&mut self, seconds: f64, result: Result<PeerFacts, Failure>) {
        let mut all = Vec::new();
        for (name, observe) in readings(recorded(self.own), self.own, seconds) {
            if !(name == "kvstore" && self.own == "beta") {
                all.push(Told::Observation(observe));
            }
        }
        let reading = Reading { asked: at(seconds - 0.01), answered: at(seconds), result };
        all.push(Told::Peer(Name::new(self.other), reading));
        self.timeline.advance(seconds, all);
    }

    fn level(&self, seconds: f64, channel: Channel) -> Level {
        self.timeline.shown(seconds, channel).0
    }

    fn view(&self, seconds: f64) -> &View {
        self.timeline.snapshot.at(at(seconds))
    }
}

/// The pair as the agent of this node has it. Read once: thousands of agents begin with it.
fn seen_by(own: &str) -> Arc<PairConfig> {
    static PAIRS: LazyLock<[Arc<PairConfig>; 2]> = LazyLock::new(|| {
        ["alpha", "beta"].map(|node| {
            let sitting = Sitting { observer: false, node: Some(node.to_owned()), host: String::new() };
            config(AGENTS).seen_from(&sitting).expect("a seat").pairs[0].clone()
        })
    });
    PAIRS[usize::from(own == "beta")].clone()
}

fn recorded(node: &str) -> &'static Value {
    static ANSWERS: LazyLock<[Value; 2]> =
        LazyLock::new(|| [PRIMARY, STANDBY].map(|text| serde_json::from_str(text).expect("recorded")));
    &ANSWERS[usize::from(node == "beta")]
}

fn read(answer: &Value, node: &str, seconds: f64) -> Result<PeerFacts, String> {
    let text = answer.to_string();
    PeerFacts::read(text.as_bytes(), &Name::new("catalog"), &Name::new(node), at(seconds - 0.01), at(seconds))
}

/// What an agent's own probes brought, from its recorded answer.
fn readings(answer: &Value, node: &str, seconds: f64) -> Vec<(&'static str, Observation)> {
    let facts = read(&fresh(answer.clone(), seconds), node, seconds).expect("recorded");
    let mut all = Vec::new();
    let name = Name::new(node);
    if let Arrival::Here(arrived) = facts.postgres {
        all.push(("postgres", Observation::Postgres(name.clone(), arrived.reading)));
    }
    if let Arrival::Here(arrived) = facts.config {
        all.push(("config", Observation::Config(name.clone(), arrived.reading)));
    }
    if let Arrival::Here(arrived) = facts.search {
        all.push(("search", Observation::Search(name, arrived.reading)));
    }
    if let Arrival::Here(arrived) = facts.kvstore {
        all.push(("kvstore", Observation::Kvstore(arrived.reading)));
    }
    all
}

/// The answer with readings that were just made, under new names, and with servers that have just heard of each other.
fn fresh(mut answer: Value, seconds: f64) -> Value {
    let Some(readings) = answer["readings"].as_object_mut() else { return answer };
    for reading in readings.values_mut() {
        let Some(facts) = reading.get_mut("facts").filter(|facts| facts.is_object()) else { continue };
        facts["id"] = json!(seconds.to_string());
        if facts["asked_ago"].is_number() && facts["answered_ago"].is_number() {
            (facts["asked_ago"], facts["answered_ago"]) = (json!(0.02), json!(0.01));
        }
    }
    for (path, value) in [
        ("/readings/postgres/facts/told/role/primary/walsenders/0/reply_time", json!(seconds.to_string())),
        ("/readings/postgres/facts/told/role/standby/receiver/last_message", json!(seconds.to_string())),
        ("/readings/postgres/facts/told/role/standby/receiver/last_message_age", json!(0.0)),
    ] {
        if let Some(place) = answer.pointer_mut(path) {
            *place = value;
        }
    }
    answer
}

/// Every place in the answer.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| places(field, &format!("{path}/{key}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), all));
        }
        _ => {}
    }
}

/// What may stand there instead; `None` takes it away.
fn strange() -> Vec<Option<Value>> {
    let numbers = [
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(u32::MAX),
        json!(1e300),
        json!(-1e300),
        json!(1e18),
    ];
    let others = [Value::Null, json!(true), json!(false), json!(""), json!(FOREIGN), json!([]), json!({}), json!([[]])];
    numbers.into_iter().chain(others).map(Some).chain([None]).collect()
}

fn replaced(answer: &Value, path: &str, by: Option<&Value>) -> Value {
    let mut answer = answer.clone();
    match by {
        Some(value) => {
            if let Some(place) = answer.pointer_mut(path) {
                *place = value.clone();
            }
        }
        None => {
            if let Some((parent, key)) = path.rsplit_once('/') {
                match answer.pointer_mut(parent) {
                    Some(Value::Object(fields)) => drop(fields.remove(key)),
                    Some(Value::Array(items)) => drop(items.pop()),
                    _ => {}
                }
            }
        }
    }
    answer
}

/// Everything that is made of a view.
pub(super) fn render(view: &View, seconds: f64) {
    let status = StatusDocument::new([(view, true)], at(seconds), WallTime(1e9 + seconds));
    assert!(html::render(&status, &BTreeMap::new(), "/metrics").ends_with("</html>\n"), "a whole page");
    let _ = table::render(&status);
    let _ = serde_json::to_string(&status).expect("JSON");
    let _ = Replication::new(&[view], at(seconds)).to_json();
    let _ = prometheus::render(prometheus::catalogue(), &view.samples, Format::Text);
}

fn has_foreign_labels(view: &View) -> Vec<String> {
    let labels = view.samples.iter().flat_map(|sample| sample.labels.iter().map(move |label| (sample.metric, label)));
    let foreign = labels.filter(|(_, (_, value))| value.contains(FOREIGN) || value.len() > 100);
    foreign.map(|(metric, label)| format!("{metric} {label:?}")).collect()
}

#[test]
fn a_recorded_pair_is_well_for_both_agents() {
    for own in ["alpha", "beta"] {
        let mut listening = Listening::new(own);
        let answer = recorded(listening.other);
        for second in 0..4 {
            listening.hears(f64::from(second), &fresh(answer.clone(), f64::from(second)));
        }
        for channel in [Channel::Postgres, Channel::Search] {
            let view = listening.view(3.0);
            assert_eq!(listening.level(3.0, channel), Level::Ok, "{own} {channel}: {:?}", view.channel(channel));
        }
        assert!(has_foreign_labels(listening.view(3.0)).is_empty());
        render(listening.view(3.0), 3.0);
    }
}

/// What is tried at a place: the greatest number where a number is, since sums run over there, and one other thing, another one in each run.
fn tried(place: Option<&Value>, random: &mut fastrand::Rng) -> Vec<Option<Value>> {
    let all = strange();
    let greatest = place.filter(|value| value.is_number()).map(|_| Some(json!(u64::MAX)));
    greatest.into_iter().chain([all[random.usize(..all.len())].clone()]).collect()
}

#[test]
fn whatever_stands_in_an_answer_ends_nothing_and_becomes_no_label() {
    let seed = fastrand::u64(..);
    let (mut random, mut played, mut broken) = (fastrand::Rng::with_seed(seed), 0, Vec::new());
    // Where one panics is said below; a thousand backtraces would say no more.
    let usual = take_hook();
    set_hook(Box::new(|_| {}));
    for own in ["alpha", "beta"] {
        let other = if own == "alpha" { "beta" } else { "alpha" };
        let answer = recorded(other);
        let mut all = Vec::new();
        places(answer, "", &mut all);
        for path in all.iter().filter(|path| !path.is_empty()) {
            for value in tried(answer.pointer(path), &mut random) {
                played += 1;
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hears_once(own, answer, path, value.as_ref()))) {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    broken.push(format!("{own} hears {path} = {value:?}: {}", text.unwrap_or_default()));
                }
            }
        }
    }
    set_hook(usual);
    println!("{played} strange answers, seed {seed}");
    assert!(broken.is_empty(), "seed {seed}, {} of {played}:\n{}", broken.len(), broken.join("\n"));
}

/// A round in which all is as it was recorded, and one in which this stands at that place.
fn hears_once(own: &'static str, answer: &Value, path: &str, value: Option<&Value>) {
    let mut listening = Listening::new(own);
    listening.hears(0.0, &fresh(answer.clone(), 0.0));
    listening.hears(1.0, &replaced(&fresh(answer.clone(), 1.0), path, value));
    let foreign = has_foreign_labels(listening.view(1.0));
    assert!(foreign.is_empty(), "{foreign:?}");
    render(listening.view(1.0), 1.0);
}

/// The machine of the standby, as its agent tells of it.
#[test]
fn a_lesser_machine_is_told_by_both_agents() {
    for own in ["alpha", "beta"] {
        let mut listening = Listening::new(own);
        let mut own_machine = recorded(own).clone();
        let mut answer = fresh(recorded(listening.other).clone(), 0.0);
        let lesser = if own == "alpha" { &mut answer } else { &mut own_machine };
        lesser["readings"]["host"]["facts"]["told"]["cpus"] = json!(1);
        lesser["readings"]["postgres"]["facts"]["told"]["version"] = json!(150_017);
        let Arrival::Here(machine) = read(&fresh(own_machine, 0.0), own, 0.0).expect("recorded").host else {
            panic!("a machine")
        };
        listening.timeline.advance(0.0, vec![Told::Host(machine.reading)]);
        listening.hears(0.5, &answer);
        let differs = |listening: &Listening, seconds: f64| {
            let found =
                listening.view(seconds).samples.iter().find(|sample| sample.metric == "standby_machine_differs");
            found.map(|sample| (sample.label("standby").map(str::to_owned), sample.value))
        };
        assert_eq!(differs(&listening, 0.5), Some((Some("beta".to_owned()), 1.0)), "{own}");
        let findings = &listening.view(0.5).findings;
        assert!(findings.iter().any(|finding| finding.rule == RuleName::SpecParity.as_str()), "{own}: {findings:?}");
        let status = StatusDocument::new([(listening.view(0.5), true)], at(0.5), WallTime(1e9));
        let page = html::render(&status, &BTreeMap::new(), "/metrics");
        assert!(page.contains("processors: 1, on the primary 2"), "{own}");
        // What is read of the own server is what was recorded.
        assert_eq!(page.contains("PostgreSQL: 15.17, on the primary 15.18"), own == "alpha", "{own}");
        // Nobody knows any more what the other machine is like.
        let silence = Failure::new(FailureKind::Refused, "nobody there");
        for second in 1..200 {
            let reading =
                Reading { asked: at(f64::from(second)), answered: at(f64::from(second)), result: Err(silence.clone()) };
            listening.timeline.advance(f64::from(second), vec![Told::Peer(Name::new(listening.other), reading)]);
        }
        assert_eq!(differs(&listening, 199.0), None, "{own}: what is not known is no parity");
    }
}

/// The primary's agent is stopped for a minute and goes on: what it then tells first is a minute old.
#[test]
fn an_agent_that_goes_on_after_a_minute_takes_nothing_from_what_the_other_proves() {
    let mut listening = Listening::new("beta");
    let answer = recorded("alpha");
    for second in 0..5 {
        listening.hears(f64::from(second), &fresh(answer.clone(), f64::from(second)));
    }
    assert_eq!(listening.level(4.0, Channel::Postgres), Level::Ok);
    for second in 5..65 {
        listening.hears_nothing(f64::from(second));
    }
    assert_eq!(listening.level(64.0, Channel::Postgres), Level::Warning, "its own half of the proof");
    // One answer from before, then that its readings are dropped, then new ones.
    let mut old = fresh(answer.clone(), 5.0);
    for reading in ["postgres", "search", "config"] {
        let facts = &mut old["readings"][reading]["facts"];
        (facts["asked_ago"], facts["answered_ago"]) = (json!(60.02), json!(60.01));
    }
    let mut dropped = old.clone();
    dropped["readings"]["postgres"] = json!("dropped");
    for (second, answer) in [(65.0, &old), (66.0, &dropped), (67.0, &dropped)] {
        listening.hears(second, answer);
        let view = listening.view(second);
        assert_eq!(listening.level(second, Channel::Postgres), Level::Warning, "{:?}", view.channel(Channel::Postgres));
    }
    for second in 68..72 {
        listening.hears(f64::from(second), &fresh(answer.clone(), f64::from(second)));
    }
    assert_eq!(listening.level(71.0, Channel::Postgres), Level::Ok);
}
