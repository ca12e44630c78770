use super::*;
use crate::config::{Environment, Sitting, parse};
use crate::facts::{Arrived, CycleFacts, SearchFacts, StoreAnswer};
use crate::metrics::fixture::nothing_known;
use crate::names::{Outcome, Proof};

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { agent: 'http://127.0.0.1:1', kvstore: { redis: { address: 'a:1' } }, search: { url: 'http://a:1' } }
      beta:  { agent: 'http://127.0.0.1:2', kvstore: { redis: { address: 'b:1' } }, search: { url: 'http://b:1' } }
    search: { indices: [catalog] }
    role_from: { fixed: beta }
peer: { token_file: /t }
";

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs_f64(1000.0 + seconds))
}

fn beta() -> Name {
    Name::new("beta")
}

/// As alpha's agent has it.
fn pair() -> Arc<PairConfig> {
    let sitting = Sitting { observer: false, node: Some("alpha".to_owned()), host: String::new() };
    let config = parse(CONFIG, "test", &Environment::default()).unwrap().seen_from(&sitting).unwrap();
    config.pairs[0].clone()
}

fn arrived<T>(id: &str, asked: f64, result: Result<T, Failure>) -> Arrival<T> {
    Arrival::Here(Arrived { id: id.to_owned(), reading: Reading { asked: at(asked), answered: at(asked), result } })
}

fn canary() -> KvstoreFacts {
    let side = |node: &str| (Name::new(node), StoreAnswer::default());
    KvstoreFacts {
        outcome: Outcome::Ok,
        proof: Proof::Path,
        standby: side("alpha"),
        primary: side("beta"),
        sequence: 1,
        round_trip: None,
        write: None,
        indeterminate_resolved: None,
        more: CycleFacts::default(),
    }
}

fn answer(now: f64, search: Arrival<SearchFacts>) -> Reading<PeerFacts> {
    let facts = PeerFacts { kvstore: arrived("k", now, Ok(canary())), search, ..PeerFacts::of_nothing() };
    Reading { asked: at(now), answered: at(now), result: Ok(facts) }
}

fn silence(now: f64) -> Reading<PeerFacts> {
    Reading { asked: at(now), answered: at(now), result: Err(Failure::new(FailureKind::Refused, "nobody there")) }
}

/// What is told of the search engine: is it new, when was it asked, and why did it fail.
fn search(news: &[News]) -> (bool, Moment, Option<FailureKind>) {
    let (new, observation) = news
        .iter()
        .find_map(|news| match news {
            News::New(observation @ Observation::Search(..)) => Some((true, observation)),
            News::Again(observation @ Observation::Search(..)) => Some((false, observation)),
            _ => None,
        })
        .expect("told");
    let Observation::Search(node, reading) = observation else { panic!("a search engine") };
    assert_eq!(*node, beta());
    (new, reading.asked, reading.failure().map(|failure| failure.kind))
}

fn canaries(news: &[News]) -> usize {
    let is = |news: &&News| matches!(news, News::New(Observation::Kvstore(_)) | News::Again(Observation::Kvstore(_)));
    news.iter().filter(is).count()
}

#[test]
fn a_reading_that_is_told_twice_is_new_once_and_keeps_its_first_moment() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let first = peers.take(&pair, &beta(), answer(1.0, arrived("a", 0.5, Ok(SearchFacts::default()))), false);
    assert_eq!(search(&first), (true, at(0.5), None));
    // The clock there stood still: the same reading pretends to be young.
    let again = peers.take(&pair, &beta(), answer(60.0, arrived("a", 59.5, Ok(SearchFacts::default()))), false);
    assert_eq!(search(&again), (false, at(0.5), None));
    let next = peers.take(&pair, &beta(), answer(61.0, arrived("b", 60.9, Ok(SearchFacts::default()))), false);
    assert_eq!(search(&next), (true, at(60.9), None));
}

#[test]
fn an_agent_that_cannot_be_asked_leaves_nothing_of_its_node_but_the_canary_that_was() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let told = peers.take(&pair, &beta(), answer(1.0, arrived("a", 1.0, Ok(SearchFacts::default()))), false);
    assert_eq!(canaries(&told), 1);
    let gone = peers.take(&pair, &beta(), silence(2.0), false);
    assert_eq!(search(&gone), (false, at(2.0), Some(FailureKind::PeerUnreachable)));
    assert_eq!(canaries(&gone), 0, "it counts until it is too old");
    let (known, _) = peers.evidence(&pair, at(2.5));
    assert_eq!(
        (known[0].up, known[0].failure.as_ref().map(|failure| failure.kind)),
        (false, Some(FailureKind::Refused))
    );
    let back = peers.take(&pair, &beta(), answer(3.0, arrived("a", 2.9, Ok(SearchFacts::default()))), false);
    assert_eq!(search(&back), (false, at(1.0), None), "what was told before is no news");
    assert!(peers.evidence(&pair, at(3.5)).0[0].up);
    assert!(!peers.evidence(&pair, at(300.0)).0[0].up, "silence is no answer");
}

#[test]
fn what_the_other_does_not_believe_or_cannot_say_is_not_believed_here() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let dropped = peers.take(&pair, &beta(), answer(1.0, Arrival::Dropped), false);
    assert!(dropped.iter().any(|news| matches!(news, News::Dropped(Channel::Search))), "{dropped:?}");
    for (arrival, kind) in [
        (Arrival::NotYet, FailureKind::StartingUp),
        (Arrival::Absent, FailureKind::Protocol),
        (Arrival::NotUnderstood("purple".to_owned()), FailureKind::Protocol),
    ] {
        let told = peers.take(&pair, &beta(), answer(2.0, arrival), false);
        assert_eq!(search(&told), (false, at(2.0), Some(kind)));
    }
}

#[test]
fn canaries_of_the_other_are_of_no_interest_while_own_ones_are_sent() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    assert_eq!(canaries(&peers.take(&pair, &beta(), answer(1.0, Arrival::Dropped), true)), 0);
    assert_eq!(canaries(&peers.take(&pair, &beta(), answer(1.0, Arrival::Dropped), false)), 1);
}

#[test]
fn what_another_agent_remembers_of_its_canaries_stays_its_own() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let mut told = canary();
    told.more.tracker.agent = "the-other-one".to_owned();
    told.more.tracker.at_risk_since = Some(at(0.5));
    let mut reading = answer(1.0, Arrival::Dropped);
    if let Ok(facts) = &mut reading.result {
        facts.kvstore = arrived("k", 1.0, Ok(told));
    }
    let news = peers.take(&pair, &beta(), reading, false);
    let arrived = news.iter().find_map(|news| match news {
        News::New(Observation::Kvstore(reading)) => reading.facts(),
        _ => None,
    });
    let facts = arrived.expect("its canary is told");
    assert_eq!(facts.more.tracker, CanaryTracker::default(), "this agent goes on under its own name");
    assert_eq!(facts.outcome, Outcome::Ok);
}

#[test]
fn the_primary_s_agent_sends_canaries_and_the_other_one_while_that_is_away() {
    let pair = pair();
    let mut evidence = nothing_known();
    assert!(acts(&pair, &evidence), "nobody knows who is what: both look, none writes");
    evidence.roles.primary = Some(beta());
    let peer = |up| PeerEvidence { node: beta(), up, failure: None, version: None, clock_skew: None };
    evidence.peers = vec![peer(true)];
    assert!(!acts(&pair, &evidence));
    evidence.peers = vec![peer(false)];
    assert!(acts(&pair, &evidence));
    evidence.roles.primary = Some(Name::new("alpha"));
    evidence.peers = vec![peer(true)];
    assert!(acts(&pair, &evidence));
}

#[test]
fn clocks_differ_by_what_the_round_trip_cannot_explain() {
    for (there, differs) in [(100.0, 0.0), (100.7, 0.0), (101.0, 0.0), (98.0, 2.0), (701.0, 600.0)] {
        assert!((skew(there, 100.0, 101.0) - differs).abs() < 1e-9, "{there}");
    }
}

#[test]
fn a_count_of_the_database_there_is_news_once_and_only_of_an_index_that_is_configured() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let mut told = |now: f64, id: &str, result: Result<u64, Failure>| {
        let counted = || Arrived { id: id.to_owned(), reading: Reading { asked: at(now), answered: at(now), result } };
        let mut answer = answer(now, Arrival::NotYet);
        let facts = answer.result.as_mut().unwrap();
        facts.search_expected = BTreeMap::from([("catalog".to_owned(), counted())]);
        let of_others =
            Arrived { id: id.to_owned(), reading: Reading { asked: at(now), answered: at(now), result: Ok(1) } };
        facts.search_expected.insert("of-others".to_owned(), of_others);
        let news = peers.take(&pair, &beta(), answer, false);
        assert!(news.iter().any(|news| matches!(news, News::Memory(_))), "{news:?}");
        let counts = news.into_iter().filter_map(|news| match news {
            News::New(Observation::SearchExpected(index, reading)) => Some((index, reading.result.map_err(|f| f.kind))),
            _ => None,
        });
        counts.collect::<Vec<_>>()
    };
    assert_eq!(told(1.0, "a", Ok(2000)), [("catalog".to_owned(), Ok(2000))]);
    assert_eq!(told(2.0, "a", Ok(2000)), [], "it would seem to stay young");
    let failure = Failure::new(FailureKind::Permission, "no");
    assert_eq!(told(3.0, "b", Err(failure)), [("catalog".to_owned(), Err(FailureKind::Permission))]);
}

#[test]
fn what_this_agent_s_database_says_is_told_to_the_other_and_what_the_other_told_is_not() {
    let (pair, mut peers) = (pair(), Peers::new(&pair()));
    let seat = pair.seat.clone().unwrap();
    let history = SearchHistory::new(Duration::from_secs(600), 5);
    let told = |peers: &Peers| peers.report(&seat, &Readings::new(&pair), &history).readings.search_expected.len();
    let reading = Reading { asked: at(1.0), answered: at(1.0), result: Ok(7) };
    let mut answer = answer(1.0, Arrival::NotYet);
    let arrived = Arrived { id: "a".to_owned(), reading: reading.clone() };
    answer.result.as_mut().unwrap().search_expected.insert("catalog".to_owned(), arrived);
    let _ = peers.take(&pair, &beta(), answer, false);
    assert_eq!(told(&peers), 0, "it would go in a circle");
    peers.own(&Observation::SearchExpected("catalog".to_owned(), reading));
    assert_eq!(told(&peers), 1);
    peers.forget();
    assert_eq!(told(&peers), 0);
}
