//! Alpha's agent hears of beta's tree.

use super::*;
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

struct Trees(PeerTrees, Arc<PairConfig>);

impl Trees {
    fn told(&mut self, reading: &Reading<PeerFacts>, own: u8) -> Option<(bool, Reading<TreeFacts>)> {
        let own = Latest::Have(Arc::new(self::reading(0.0, Ok(facts(own)))));
        let known = [(Name::new("alpha"), own)].into();
        of(self.0.told(&self.1, &beta(), reading, &known))
    }

    fn fetched(&mut self, fetched: Fetched) -> Option<(bool, Reading<TreeFacts>)> {
        of(self.0.fetched(&beta(), fetched))
    }

    fn wanted(&self) -> Option<String> {
        self.0.wanted()[&beta()].borrow().clone()
    }
}

fn trees() -> Trees {
    let sitting = Sitting { observer: false, node: Some("alpha".to_owned()), host: String::new() };
    let config = parse(CONFIG, "test", &Environment::default()).unwrap().seen_from(&sitting).unwrap();
    Trees(PeerTrees::new(&config.pairs[0]), config.pairs[0].clone())
}

fn facts(content: u8) -> TreeFacts {
    let mut builder = Builder::default();
    builder.push(b"app.conf", Print { kind: EntryKind::File, mode: 0o644, content: [content; 16] });
    TreeFacts { manifest: Arc::new(builder.finish(None)), patterns: 7, place: Some((1, 2)) }
}

fn reading<T>(asked: f64, result: Result<T, Failure>) -> Reading<T> {
    Reading { asked: at(asked), answered: at(asked), result }
}

fn told(id: &str, asked: f64, content: u8) -> Arrival<TreeSummary> {
    Arrival::Here(Arrived { id: id.to_owned(), reading: reading(asked, Ok(facts(content).summary())) })
}

fn answer(now: f64, tree: Arrival<TreeSummary>) -> Reading<PeerFacts> {
    let facts = PeerFacts { tree, ..PeerFacts::of_nothing() };
    reading(now, Ok(facts))
}

/// Is it new, and what was read.
fn of(news: Option<News>) -> Option<(bool, Reading<TreeFacts>)> {
    let (new, observation) = match news? {
        News::New(observation) => (true, observation),
        News::Again(observation) => (false, observation),
        other => panic!("nothing is dropped or remembered: {other:?}"),
    };
    let Observation::Tree(node, reading) = observation else { panic!("a tree") };
    assert_eq!(node, beta());
    Some((new, reading))
}

#[test]
fn the_same_tree_as_here_is_never_asked_for_and_keeps_its_first_moment() {
    let mut trees = trees();
    let (new, first) = trees.told(&answer(1.0, told("a", 0.5, 1)), 1).unwrap();
    assert_eq!((new, first.asked, trees.wanted()), (true, at(0.5), None));
    assert_eq!(
        first.facts().map(|facts| (facts.manifest.digest(), facts.place)),
        Some((facts(1).manifest.digest(), None))
    );
    // The clock there stood still: the same look pretends to be young.
    let (new, again) = trees.told(&answer(60.0, told("a", 59.5, 1)), 1).unwrap();
    assert_eq!((new, again.asked), (false, at(0.5)));
    let (new, next) = trees.told(&answer(61.0, told("b", 60.5, 1)), 1).unwrap();
    assert_eq!((new, next.asked), (true, at(60.5)));
    trees.0.forget();
    assert!(trees.told(&answer(62.0, told("b", 61.5, 1)), 1).unwrap().0, "to be recorded anew");
}

#[test]
fn another_tree_is_asked_for_once_and_then_known_by_its_digest() {
    let mut trees = trees();
    assert!(trees.told(&answer(1.0, told("a", 0.5, 2)), 1).is_none());
    assert_eq!(trees.wanted(), Some(digest_text(&facts(2).manifest)));
    let failure = reading(1.5, Err(Failure::new(FailureKind::Timeout, "slow")));
    let (new, failed) = trees.fetched(Err(failure.clone())).unwrap();
    assert_eq!((new, failed.failure().map(|failure| failure.kind)), (false, Some(FailureKind::Timeout)));
    assert!(trees.wanted().is_some(), "it is asked for again");
    let arrived = Arrived { id: "a".to_owned(), reading: reading(0.4, Ok(facts(2))) };
    assert!(trees.fetched(Ok(arrived)).unwrap().0);
    assert_eq!(trees.wanted(), None);
    let (new, again) = trees.told(&answer(2.0, told("a", 0.6, 2)), 1).unwrap();
    assert_eq!((new, again.asked, again.facts().unwrap().patterns), (false, at(0.4), 7));
    // A look later nothing has changed: nothing is asked for.
    assert!(trees.told(&answer(32.0, told("b", 31.0, 2)), 1).unwrap().0);
    assert_eq!(trees.wanted(), None);
    assert!(trees.fetched(Err(failure)).is_none(), "of no interest any more");
    assert!(trees.told(&answer(62.0, told("c", 61.0, 3)), 1).is_none());
    assert!(trees.wanted().is_some());
    assert!(trees.told(&answer(92.0, told("d", 91.0, 2)), 1).unwrap().0, "as it was before");
    assert_eq!(trees.wanted(), None);
}

#[test]
fn what_is_not_told_is_unknown_with_its_cause() {
    let mut trees = trees();
    trees.told(&answer(1.0, told("a", 0.5, 2)), 1);
    let refused = reading(2.0, Err(Failure::new(FailureKind::Refused, "nobody there")));
    let (_, gone) = trees.told(&refused, 1).unwrap();
    assert_eq!(gone.failure().map(|failure| failure.kind), Some(FailureKind::PeerUnreachable));
    assert_eq!(trees.wanted(), None, "nobody is there to be asked");
    let unreadable = reading(2.5, Err(Failure::new(FailureKind::Permission, "/conf: no")));
    for (arrival, words) in [
        (Arrival::Absent, "older version"),
        (Arrival::NotYet, "first time"),
        (Arrival::Dropped, "not believe"),
        (Arrival::NotUnderstood("purple".to_owned()), "purple"),
        (Arrival::Here(Arrived { id: "b".to_owned(), reading: unreadable }), "/conf: no"),
    ] {
        let (new, told) = trees.told(&answer(3.0, arrival), 1).unwrap();
        let message = &told.failure().expect("a failure").message;
        assert!(!new && message.contains(words), "{message}");
    }
}
