//! Words of this agent and of the other one, second by second: each is believed for 18 s.

use std::time::Duration;

use super::*;
use crate::config::{Environment, Sitting, parse};
use crate::facts::{Arrival, Arrived, Failure, PeerFacts, Reading};
use crate::names::FailureKind;

const CONFIG: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { agent: 'http://127.0.0.1:1', search: { url: 'http://a:1' } }
      beta:  { agent: 'http://127.0.0.1:2', search: { url: 'http://b:1' } }
    role_from: { file: /run/primary }
peer: { token_file: /t }
";

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(1000 + seconds))
}

/// What alpha's agent is told, and what it hears from beta's.
struct Words {
    pair: std::sync::Arc<PairConfig>,
    own: Option<RoleFileReading>,
    peers: Peers,
}

impl Words {
    fn new() -> Self {
        let sitting = Sitting { observer: false, node: Some("alpha".to_owned()), host: String::new() };
        let config = parse(CONFIG, "test", &Environment::default()).unwrap().seen_from(&sitting).unwrap();
        let pair = config.pairs[0].clone();
        Self { own: None, peers: Peers::new(&pair), pair }
    }

    fn here(&mut self, seconds: u64, word: Result<&str, &str>) {
        self.own = Some(RoleFileReading::new(at(seconds), word.map(Name::new).map_err(str::to_owned)));
    }

    fn beta_tells(&mut self, seconds: u64, id: &str, word: Result<&str, &str>) {
        let result = word.map(Name::new).map_err(|why| Failure::new(FailureKind::Protocol, why));
        let reading = Reading { asked: at(seconds), answered: at(seconds), result };
        let role = Arrival::Here(Arrived { id: id.to_owned(), reading });
        let facts = PeerFacts { search: Arrival::NotYet, role, ..PeerFacts::of_nothing() };
        self.answer(seconds, Ok(facts));
    }

    fn answer(&mut self, seconds: u64, result: Result<PeerFacts, Failure>) {
        let reading = Reading { asked: at(seconds), answered: at(seconds), result };
        let _ = self.peers.take(&self.pair, &Name::new("beta"), reading, false);
    }

    fn roles(&self, seconds: u64) -> Roles {
        by_word(&self.pair, self.own.as_ref(), &self.peers, at(seconds)).0
    }

    fn primary(&self, seconds: u64) -> Option<String> {
        self.roles(seconds).primary.map(|name| name.to_string())
    }

    fn why(&self, seconds: u64) -> String {
        let roles = self.roles(seconds);
        assert_eq!((roles.primary, roles.standbys.len()), (None, 0));
        roles.unknown_because.expect("a reason")
    }
}

#[test]
fn one_word_is_enough_and_two_that_differ_are_worth_none() {
    let mut words = Words::new();
    assert_eq!(words.why(0), "no word has come yet");
    words.here(0, Err("/run/primary is empty: write the name of the primary's node into it"));
    assert!(words.why(1).contains("is empty"));
    words.beta_tells(1, "a", Ok("beta"));
    assert_eq!(words.primary(2).as_deref(), Some("beta"), "beta's agent is told");
    words.here(3, Ok("alpha"));
    assert!(words.roles(3).contradicted);
    assert_eq!(words.why(3), "this agent is told alpha, that of beta beta: see to it that both are told the same");
    words.beta_tells(4, "b", Ok("alpha"));
    let roles = words.roles(5);
    assert_eq!((roles.contradicted, roles.primary), (false, Some(Name::new("alpha"))));
}

#[test]
fn a_word_is_believed_for_a_while_and_that_of_an_agent_that_is_gone_no_longer() {
    let mut words = Words::new();
    words.beta_tells(1, "a", Ok("beta"));
    // Its machine's clock stands still: told again, the word seems young.
    words.beta_tells(15, "a", Ok("beta"));
    assert_eq!(words.primary(18).as_deref(), Some("beta"));
    assert_eq!(words.primary(19), None);
    words.here(20, Ok("alpha"));
    words.beta_tells(20, "b", Ok("beta"));
    assert!(words.roles(21).contradicted);
    words.answer(22, Err(Failure::new(FailureKind::Refused, "gone")));
    assert_eq!(words.primary(22).as_deref(), Some("alpha"));
    assert_eq!(by_word(&words.pair, words.own.as_ref(), &words.peers, at(22)).1, Some(at(38)));
    assert!(words.why(38).contains("lately"));
}

#[test]
fn a_name_that_is_no_node_s_names_nobody() {
    let mut words = Words::new();
    words.here(0, Ok("gam\u{7}ma"));
    assert_eq!(words.why(1), "gamma is named, which is no node of this pair: name alpha or beta");
    words.beta_tells(1, "a", Ok("alpha"));
    assert_eq!(words.primary(2).as_deref(), Some("alpha"));
}
