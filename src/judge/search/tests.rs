//! Timelines: engines asked every 5 s, fresh for 18 s.

mod rebuild;
mod told;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{NodeConfig, Rpo, Schedule, SearchNode};
use crate::facts::{Failure, IndexFacts, Reading};
use crate::names::FailureKind;
use crate::units::Bytes;

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn name(text: &str) -> Name {
    Name::new(text)
}

struct Timeline {
    channel: SearchChannel,
    pair: PairConfig,
    latest: BTreeMap<Name, Latest<SearchFacts>>,
    history: SearchHistory,
    roles: Roles,
}

impl Timeline {
    fn new() -> Self {
        let schedule = Schedule::new(Duration::from_secs(5), Duration::from_secs(3));
        let channel = SearchChannel::new(schedule, vec!["catalog".to_owned()]);
        let node = |text: &str| NodeConfig {
            name: name(text),
            agent: None,
            postgres: None,
            kvstore: None,
            search: Some(SearchNode { url: "http://127.0.0.1:9200".to_owned(), ..SearchNode::default() }),
            config: None,
        };
        let pair = PairConfig {
            name: name("shop"),
            nodes: vec![node("alpha"), node("beta")],
            postgres: None,
            config: None,
            kvstore: None,
            search: Some(channel.clone()),
            rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
            role_from: None,
            seat: None,
        };
        let roles = Roles { primary: Some(name("alpha")), standbys: vec![name("beta")], ..Roles::default() };
        Self { channel, pair, latest: BTreeMap::new(), history: SearchHistory::new(Duration::from_secs(600), 5), roles }
    }

    fn reads(&mut self, seconds: u64, node: &str, result: Result<SearchFacts, Failure>) {
        let reading = Reading { asked: at(seconds), answered: at(seconds), result };
        self.history.record(&name(node), &reading);
        self.latest.insert(name(node), Latest::Have(Arc::new(reading)));
    }

    fn at(&self, seconds: u64) -> (SearchEvidence, Option<Moment>) {
        evidence(&self.channel, &self.pair, &self.latest, &self.history, &self.roles, at(seconds))
    }

    /// As the hub does: what was derived is taken into memory.
    fn derive(&mut self, seconds: u64) -> SearchEvidence {
        let (evidence, _) = self.at(seconds);
        self.history.note(&evidence, at(seconds));
        evidence
    }

    fn verdict_at(&self, seconds: u64) -> (bool, Option<Reason>) {
        let verdict = self.at(seconds).0.verdict;
        assert!(verdict.up || verdict.detail.is_some());
        (verdict.up, verdict.reason)
    }
}

fn coloured(cluster: SearchHealth, own: SearchHealth) -> SearchFacts {
    let index = IndexFacts {
        name: "catalog".to_owned(),
        exists: Some(true),
        health: Some(own),
        documents: Some(42),
        read_only: Some(false),
        ..IndexFacts::default()
    };
    SearchFacts {
        health: Some(cluster),
        timed_out: Some(false),
        active_shards_percent: Some(100.0),
        unassigned_shards: Some(0),
        indices: vec![index],
        ..SearchFacts::default()
    }
}

fn green() -> SearchFacts {
    coloured(SearchHealth::Green, SearchHealth::Green)
}

fn without_index() -> SearchFacts {
    let missing = IndexFacts { name: "catalog".to_owned(), exists: Some(false), ..IndexFacts::default() };
    SearchFacts { indices: vec![missing], ..green() }
}

#[test]
fn the_primary_counts_and_the_standby_may_be_empty() {
    let mut timeline = Timeline::new();
    assert_eq!(timeline.verdict_at(100), (false, Some(Reason::NotSeenYet)));
    timeline.reads(100, "alpha", Ok(green()));
    timeline.reads(101, "beta", Ok(without_index()));
    let (evidence, next) = timeline.at(102);
    assert_eq!(evidence.verdict, Verdict::proven(at(100)));
    assert_eq!(evidence.nodes.iter().map(|node| node.up).collect::<Vec<_>>(), [true, true]);
    assert_eq!(evidence.nodes[0].indices[0].documents, Some(42));
    assert_eq!(evidence.nodes[1].indices[0].exists, Some(false));
    assert_eq!(next, Some(at(118)));
}

#[test]
fn a_lost_index_of_the_primary_tells_what_it_held() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "alpha", Ok(green()));
    timeline.reads(105, "alpha", Ok(without_index()));
    assert_eq!(timeline.verdict_at(106), (true, Some(Reason::IndexMissing)));
    let detail = timeline.at(106).0.verdict.detail.unwrap();
    assert_eq!(detail, "catalog is not there on alpha, which is the primary; it held 42 documents 6.0s ago");
}

#[test]
fn colours_of_what_is_watched() {
    use SearchHealth::{Green, Red, Yellow};
    let mut timeline = Timeline::new();
    for (cluster, own, reason) in [
        (Red, Red, Some(Reason::Red)),
        (Yellow, Yellow, Some(Reason::Yellow)),
        (Red, Green, None),
        (Red, Yellow, Some(Reason::Yellow)),
    ] {
        timeline.reads(100, "alpha", Ok(coloured(cluster, own)));
        assert_eq!(timeline.verdict_at(101), (true, reason), "{cluster} {own}");
        assert_eq!(timeline.at(101).0.nodes[0].health, Some(own));
    }
    timeline.reads(100, "alpha", Ok(coloured(Red, Green)));
    assert!(timeline.at(101).0.verdict.detail.unwrap().contains("not watched"));
    timeline.channel.yellow_is_ok = true;
    timeline.reads(100, "alpha", Ok(coloured(Yellow, Yellow)));
    assert_eq!(timeline.verdict_at(101), (true, None));
    timeline.channel.indices.clear();
    timeline.reads(100, "alpha", Ok(SearchFacts { indices: Vec::new(), ..coloured(Red, Red) }));
    assert_eq!(timeline.verdict_at(101), (true, Some(Reason::Red)), "without any configured, the cluster's");
}

#[test]
fn a_block_is_told_before_yellow() {
    let mut timeline = Timeline::new();
    let mut facts = coloured(SearchHealth::Yellow, SearchHealth::Yellow);
    facts.indices[0].read_only = Some(true);
    timeline.reads(100, "alpha", Ok(facts));
    assert_eq!(timeline.verdict_at(101), (true, Some(Reason::ReadOnly)));
}

#[test]
fn an_engine_that_is_not_known_shows_nothing() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "alpha", Ok(green()));
    timeline.reads(105, "alpha", Err(Failure::new(FailureKind::Timeout, "too slow")));
    let evidence = timeline.at(106).0;
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (false, Some(Reason::Timeout)));
    let node = &evidence.nodes[0];
    assert_eq!(
        (node.up, node.reason, node.health, node.active_shards_percent),
        (false, Some(Reason::Timeout), None, None)
    );
    assert_eq!(node.indices.len(), 1, "the configured set is always there");
    assert_eq!((node.indices[0].exists, node.indices[0].documents), (None, None));
    timeline.reads(110, "alpha", Ok(green()));
    assert_eq!(timeline.verdict_at(127), (true, None));
    assert_eq!(timeline.verdict_at(128), (false, Some(Reason::Stale)));
    timeline.reads(130, "alpha", Ok(SearchFacts { timed_out: Some(true), ..green() }));
    assert_eq!(timeline.verdict_at(130), (false, Some(Reason::Timeout)), "a guess is no knowledge");
}

#[test]
fn roles_decide_which_engine_counts() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "alpha", Ok(green()));
    timeline.reads(100, "beta", Ok(without_index()));
    timeline.roles.primary = Some(name("beta"));
    assert_eq!(timeline.verdict_at(101), (true, Some(Reason::IndexMissing)));
    timeline.roles.contradicted = true;
    assert_eq!(timeline.verdict_at(101), (false, Some(Reason::RoleUnknown)));
    assert_eq!(timeline.at(101).0.primary, None);
}

#[test]
fn of_several_indices_the_worst_colour_counts() {
    let mut timeline = Timeline::new();
    let mut facts = coloured(SearchHealth::Yellow, SearchHealth::Green);
    let yellow =
        IndexFacts { name: "orders".to_owned(), health: Some(SearchHealth::Yellow), ..facts.indices[0].clone() };
    facts.indices.push(yellow);
    timeline.reads(100, "alpha", Ok(facts));
    assert_eq!(timeline.verdict_at(101), (true, Some(Reason::Yellow)));
}
