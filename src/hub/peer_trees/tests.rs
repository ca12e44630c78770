//! Alpha's agent hears of beta's tree.

use super::*;
use crate::clock::WallTime;
use crate::config::{Environment, Sitting, parse};
use crate::facts::manifest::{Builder, EntryKind, Print};

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { agent: 'http://127.0.0.1:1', config: { root: /conf } }
      beta:  { agent: 'http://127.0.0.1:2', config: { root: /conf } }
    role_from: { fixed: alpha }
    config: { wrapper: true }
peer: { token_file: /t }
";

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs_f64(1000.0 + seconds))
}

fn beta() -> Name {
    Name::new("beta")
}

fn trees() -> PeerTrees {
    let sitting = Sitting { observer: false, node: Some("alpha".to_owned()), host: String::new() };
    let config = parse(CONFIG, "test", &Environment::default()).unwrap().seen_from(&sitting).unwrap();
    PeerTrees::new(&config.pairs[0])
}

fn facts(content: u8) -> TreeFacts {
    let mut builder = Builder::default();
    builder.push(b"app.conf", Print { kind: EntryKind::File, mode: 0o644, content: [content; 16] });
    TreeFacts { manifest: Arc::new(builder.finish(None)), patterns: 7, place: Some((1, 2)) }
}

fn reading<T>(asked: f64, result: Result<T, Failure>) -> Reading<T> {
    Reading { asked: at(asked), answered: at(asked), result }
}

fn own(content: u8) -> Latest<TreeFacts> {
    Latest::Have(Arc::new(reading(0.0, Ok(facts(content)))))
}

fn told(id: &str, asked: f64, content: u8) -> Arrival<TreeSummary> {
    Arrival::Here(Arrived { id: id.to_owned(), reading: reading(asked, Ok(facts(content).summary())) })
}

fn answer(now: f64, tree: Arrival<TreeSummary>) -> Reading<PeerFacts> {
    let facts = PeerFacts {
        version: "1.0.0".to_owned(),
        wall: WallTime(0.0),
        postgres: Arrival::Absent,
        pulse: Arrival::Absent,
        config: Arrival::Absent,
        tree,
        kvstore: Arrival::Absent,
        search: Arrival::Absent,
        host: Arrival::Absent,
    };
    reading(now, Ok(facts))
}

/// Is it new, and what was read.
fn of(news: Option<News>) -> Option<(bool, Reading<TreeFacts>)> {
    let (new, observation) = match news? {
        News::New(observation) => (true, observation),
        News::Again(observation) => (false, observation),
        News::Dropped(_) => panic!("nothing is dropped without a word"),
    };
    let Observation::Tree(node, reading) = observation else { panic!("a tree") };
    assert_eq!(node, beta());
    Some((new, reading))
}

fn is_wanted(trees: &PeerTrees) -> Option<String> {
    trees.wanted()[&beta()].borrow().clone()
}

#[test]
fn the_same_tree_as_here_is_never_asked_for_and_keeps_its_first_moment() {
    let mut trees = trees();
    let (new, first) = of(trees.told(&beta(), &answer(1.0, told("a", 0.5, 1)), &own(1))).unwrap();
    assert_eq!((new, first.asked, is_wanted(&trees)), (true, at(0.5), None));
    assert_eq!(
        first.facts().map(|facts| (facts.manifest.digest(), facts.place)),
        Some((facts(1).manifest.digest(), None))
    );
    // The clock there stood still: the same look pretends to be young.
    let (new, again) = of(trees.told(&beta(), &answer(60.0, told("a", 59.5, 1)), &own(1))).unwrap();
    assert_eq!((new, again.asked), (false, at(0.5)));
    let (new, next) = of(trees.told(&beta(), &answer(61.0, told("b", 60.5, 1)), &own(1))).unwrap();
    assert_eq!((new, next.asked), (true, at(60.5)));
    trees.forget();
    assert!(of(trees.told(&beta(), &answer(62.0, told("b", 61.5, 1)), &own(1))).unwrap().0, "to be recorded anew");
}

#[test]
fn another_tree_is_asked_for_once_and_then_known_by_its_digest() {
    let mut trees = trees();
    assert!(trees.told(&beta(), &answer(1.0, told("a", 0.5, 2)), &own(1)).is_none());
    assert_eq!(is_wanted(&trees), Some(digest_text(&facts(2).manifest)));
    let failure = reading(1.5, Err(Failure::new(FailureKind::Timeout, "slow")));
    let (new, failed) = of(trees.fetched(&beta(), Err(failure.clone()))).unwrap();
    assert_eq!((new, failed.failure().map(|failure| failure.kind)), (false, Some(FailureKind::Timeout)));
    assert!(is_wanted(&trees).is_some(), "it is asked for again");
    let arrived = Arrived { id: "a".to_owned(), reading: reading(0.4, Ok(facts(2))) };
    assert!(of(trees.fetched(&beta(), Ok(arrived))).unwrap().0);
    assert_eq!(is_wanted(&trees), None);
    let (new, again) = of(trees.told(&beta(), &answer(2.0, told("a", 0.6, 2)), &own(1))).unwrap();
    assert_eq!((new, again.asked, again.facts().unwrap().patterns), (false, at(0.4), 7));
    // A look later nothing has changed: nothing is asked for.
    assert!(of(trees.told(&beta(), &answer(32.0, told("b", 31.0, 2)), &own(1))).unwrap().0);
    assert_eq!(is_wanted(&trees), None);
    assert!(trees.fetched(&beta(), Err(failure)).is_none(), "of no interest any more");
    assert!(trees.told(&beta(), &answer(62.0, told("c", 61.0, 3)), &own(1)).is_none());
    assert!(is_wanted(&trees).is_some());
    assert!(of(trees.told(&beta(), &answer(92.0, told("d", 91.0, 2)), &own(1))).unwrap().0, "as it was before");
    assert_eq!(is_wanted(&trees), None);
}

#[test]
fn what_is_not_told_is_unknown_with_its_cause() {
    let mut trees = trees();
    trees.told(&beta(), &answer(1.0, told("a", 0.5, 2)), &own(1));
    let refused = reading(2.0, Err(Failure::new(FailureKind::Refused, "nobody there")));
    let (_, gone) = of(trees.told(&beta(), &refused, &own(1))).unwrap();
    assert_eq!(gone.failure().map(|failure| failure.kind), Some(FailureKind::PeerUnreachable));
    assert_eq!(is_wanted(&trees), None, "nobody is there to be asked");
    let unreadable = reading(2.5, Err(Failure::new(FailureKind::Permission, "/conf: no")));
    for (arrival, words) in [
        (Arrival::Absent, "older version"),
        (Arrival::NotYet, "first time"),
        (Arrival::Dropped, "not believe"),
        (Arrival::NotUnderstood("purple".to_owned()), "purple"),
        (Arrival::Here(Arrived { id: "b".to_owned(), reading: unreadable }), "/conf: no"),
    ] {
        let (new, told) = of(trees.told(&beta(), &answer(3.0, arrival), &own(1))).unwrap();
        let message = &told.failure().expect("a failure").message;
        assert!(!new && message.contains(words), "{message}");
    }
}
