//! What is expected by the word of another agent, of the state file, or of nobody.

use super::*;
use crate::facts::{Age, IndexMemory, RateMemory, SearchMemory};
use crate::history::search::SavedSearch;
use crate::names::{EstimateBy, ExpectedBy};

fn catalog() -> Vec<String> {
    vec!["catalog".to_owned()]
}

fn memory(documents: u64, seen: u64) -> SearchMemory<Age> {
    let (uuids, age) = (vec!["a".to_owned()], Age::new(at(seen)));
    let index = IndexMemory { node: name("alpha"), uuids, documents, seen: age, since: age };
    let rate = Some(RateMemory { documents_per_second: 100.0, seen: age });
    SearchMemory { indices: BTreeMap::from([("catalog".to_owned(), index)]), rate }
}

fn counted(asked: u64, result: Result<u64, Failure>) -> Reading<u64> {
    Reading { asked: at(asked), answered: at(asked), result }
}

/// The standby's agent was set up after the primary's machine was lost: the other agent told it before it went, too.
#[test]
fn after_the_primary_is_gone_the_standby_s_agent_tells_what_the_other_one_remembered() {
    let mut timeline = Timeline::new();
    timeline.history.learn(memory(100_000, 40), |_| true, &catalog());
    let before = timeline.derive(100).estimate;
    assert_eq!((before.seconds, before.by), (Some(1000.0), EstimateBy::Measured));
    assert_eq!(before.detail, "100000 documents at 100 per second, as measured 1m 0s ago");
    timeline.roles.primary = Some(name("beta"));
    timeline.reads(100, "beta", Ok(without_index()));
    let idle = timeline.derive(100);
    let index = &idle.nodes[1].indices[0];
    assert_eq!((index.expected, index.expected_by), (Some(100_000), Some(ExpectedBy::Remembered)));
    assert_eq!((index.expected_age, idle.rebuild.state), (Some(Duration::from_secs(60)), RebuildState::Idle));
}

#[test]
fn of_two_words_of_the_database_the_later_one_counts() {
    let mut timeline = Timeline::new();
    let configured = crate::config::Expected {
        sql: Some("SELECT 1".to_owned()),
        timeout: Duration::from_secs(30),
        period: Duration::from_secs(600),
        documents: None,
    };
    timeline.channel.expected.insert("catalog".to_owned(), configured);
    let (history, failure) = (&mut timeline.history, || Err(Failure::new(FailureKind::Refused, "gone")));
    history.record_expected("catalog", &counted(50, Ok(70)));
    // What the other agent counted before, or could not count, comes later.
    history.record_expected("catalog", &counted(40, Ok(60)));
    history.record_expected("catalog", &counted(45, failure()));
    assert_eq!(history.told("catalog").map(|told| told.documents), Some(70));
    let saved: SavedSearch = serde_json::from_str(&serde_json::to_string(&history.saved()).unwrap()).unwrap();
    for (same, now, told) in [(true, 60, Some(70)), (true, 49, None), (false, 60, None)] {
        let mut back = Timeline::new().history;
        back.restore(saved.clone().in_boot(same, at(55), at(now)), |_| true, &catalog(), at(now));
        assert_eq!(back.told("catalog").map(|told| told.documents), told, "{same} {now}");
    }
    history.record_expected("catalog", &counted(51, failure()));
    assert_eq!(history.told("catalog"), None);
}

#[test]
fn ages_go_on_over_a_restart_and_at_least_go_on_over_another_boot() {
    let mut timeline = Timeline::new();
    timeline.history.learn(memory(7, 40), |_| true, &catalog());
    let saved: SavedSearch = serde_json::from_str(&serde_json::to_string(&timeline.history.saved()).unwrap()).unwrap();
    for (same, now, age) in [(true, 400, 360), (false, 5, 60), (true, 30, 0)] {
        let mut back = Timeline::new().history;
        back.restore(saved.clone().in_boot(same, at(100), at(now)), |_| true, &catalog(), at(now));
        let seen = back.remembered("catalog").expect("a number is a fact, in whatever boot").seen;
        assert_eq!(seen.at(at(now)), Duration::from_secs(age), "{same} {now}");
    }
}

#[test]
fn what_a_file_of_before_remembers_is_still_known() {
    let text = r#"{"written": {}, "remembered": {"catalog": {"node": "alpha", "uuids": ["a"], "documents": 7}},
                   "last_primary": "alpha", "rebuild": null, "last_rate": 3.5}"#;
    let saved: SavedSearch = serde_json::from_str(text).unwrap();
    let mut back = Timeline::new();
    back.history.restore(saved.in_boot(true, at(5), at(10)), |_| true, &catalog(), at(10));
    assert_eq!(back.history.remembered("catalog").map(|index| index.documents), Some(7));
    assert_eq!(back.at(12).0.estimate.seconds, Some(2.0));
}

#[test]
fn a_rate_is_of_no_use_without_a_number_to_reach_and_says_so() {
    let mut timeline = Timeline::new();
    timeline.history.learn(SearchMemory { indices: BTreeMap::new(), ..memory(7, 40) }, |_| true, &catalog());
    let estimate = timeline.at(100).0.estimate;
    assert_eq!((estimate.seconds, estimate.by), (None, EstimateBy::Unknown));
    let line = "unknown: how many documents catalog should hold is not known; declare `search: { rebuild_takes: 4h }` in the pair";
    assert_eq!(estimate.detail, line);
}

/// Right after a restart nobody knows the roles: a count would slow the rebuild that goes on.
#[test]
fn while_the_roles_are_not_known_nothing_is_counted_where_a_rebuild_was_under_way() {
    let mut timeline = Timeline::new();
    timeline.reads(100, "alpha", Ok(without_index()));
    assert_eq!(timeline.derive(100).rebuild.state, RebuildState::Idle);
    timeline.roles.primary = None;
    assert_eq!(timeline.derive(101).rebuild.uncounted, Some(name("alpha")));
}

/// It would be told until the next reading, each time that an index was filled between two counts.
#[test]
fn an_index_that_is_used_as_usual_does_not_drift_from_what_is_remembered_of_it() {
    let mut timeline = Timeline::new();
    let mut holds = |seconds, documents| timeline.holds(seconds, "alpha", "a", Some((documents, documents)), documents);
    holds(100, 100);
    for (seconds, documents, drift, expected) in [
        (105, 100, Some(false), 100),
        (110, 300, Some(false), 100),
        (115, 300, Some(false), 300),
        (120, 200, Some(false), 300),
        (125, 90, Some(true), 200),
        (130, 90, Some(true), 200),
    ] {
        let evidence = holds(seconds, documents);
        assert_eq!((evidence.drift, evidence.nodes[0].indices[0].expected), (drift, Some(expected)), "{seconds}");
        assert_eq!(evidence.verdict.reason.is_some(), drift == Some(true), "{seconds}: {:?}", evidence.verdict);
    }
}
