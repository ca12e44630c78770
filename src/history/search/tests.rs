//! Counters that begin anew, and indices that are made anew.

use super::*;
use crate::facts::ConcreteIndex;

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn index(uuid: &str, indexed: u64, counted: Option<(u64, u64)>) -> SearchFacts {
    let index = IndexFacts {
        name: "catalog".to_owned(),
        exists: Some(true),
        indexed: Some(indexed),
        documents: counted.map(|(documents, _)| documents),
        indexed_when_counted: counted.map(|(_, at)| at),
        behind: vec![ConcreteIndex { name: "catalog".to_owned(), uuid: Some(uuid.to_owned()), created: None }],
        ..IndexFacts::default()
    };
    SearchFacts { indices: vec![index], ..SearchFacts::default() }
}

fn written() -> NodeWritten {
    NodeWritten::new(Duration::from_secs(600))
}

#[test]
fn what_was_there_before_this_agent_looked_is_not_written_now() {
    let mut written = written();
    written.record(&index("a", 5000, None), at(1));
    assert_eq!((written.sum(), written.documents("catalog")), (0, None));
    written.record(&index("a", 5010, Some((70, 5005))), at(2));
    assert_eq!((written.sum(), written.documents("catalog")), (10, Some(75)), "counted, and five since");
    written.record(&index("a", 3, Some((70, 5005))), at(3));
    assert_eq!((written.sum(), written.documents("catalog")), (13, Some(78)), "the engine counts from 0 again");
    assert_eq!(written.risen(), Some(at(3)));
    written.record(&index("a", 3, Some((78, 3))), at(4));
    assert_eq!((written.documents("catalog"), written.risen()), (Some(78), Some(at(3))));
}

#[test]
fn another_index_of_the_same_name_begins_at_nothing() {
    let mut written = written();
    written.record(&index("a", 100, Some((100, 100))), at(1));
    assert!(!written.renewed("catalog"));
    written.record(&index("b", 40, None), at(2));
    assert_eq!((written.sum(), written.documents("catalog")), (40, Some(40)));
    assert!(written.renewed("catalog"));
    assert_eq!(written.renewed_at(), Some(0));
    written.is_whole();
    assert!(!written.renewed("catalog"));
}

#[test]
fn rates_come_from_what_was_written_since_it_began() {
    let mut written = written();
    for seconds in (0..=900).step_by(5) {
        // Ten a second, then twenty.
        let indexed = if seconds <= 300 { seconds * 10 } else { 3000 + (seconds - 300) * 20 };
        written.record(&index("a", indexed, None), at(seconds));
    }
    let rates = written.rates((at(0), 0));
    let (recent, whole) = (rates.recent.unwrap(), rates.whole.unwrap());
    assert!((recent - 20.0).abs() < 0.5, "{recent}");
    assert!((whole - 15_000.0 / 900.0).abs() < 0.1, "{whole}");
}

#[test]
fn a_count_in_the_middle_of_filling_an_index_is_not_all_that_was_written() {
    let mut written = written();
    written.record(&index("a", 100, Some((100, 100))), at(1));
    written.record(&index("b", 0, None), at(2));
    written.record(&index("b", 800, Some((187, 800))), at(3));
    assert_eq!(written.documents("catalog"), Some(800), "the rest cannot be found yet");
    written.record(&index("b", 800, Some((500, 800))), at(9));
    assert_eq!(written.documents("catalog"), Some(800), "nor now: engines may take their time with it");
    written.record(&index("b", 800, Some((799, 800))), at(40));
    assert_eq!(written.documents("catalog"), Some(799), "nothing was written for long: the count is right");
    written.record(&index("b", 810, Some((799, 800))), at(41));
    assert_eq!(written.documents("catalog"), Some(809));
    written.record(&index("b", 810, Some((850, 810))), at(42));
    assert_eq!(written.documents("catalog"), Some(850), "more can be found than was seen to be written");
}

#[test]
fn a_count_whose_total_is_not_known_counts_once() {
    let mut written = written();
    let counted = |indexed: u64| {
        let mut facts = index("a", indexed, Some((0, 0)));
        facts.indices[0].indexed_when_counted = None;
        facts
    };
    written.record(&counted(0), at(1));
    written.record(&counted(300), at(2));
    written.record(&counted(300), at(3));
    assert_eq!(written.documents("catalog"), Some(300));
}

#[test]
fn it_stands_still_for_as_long_as_readings_have_seen() {
    let mut written = written();
    written.record(&index("a", 100, None), at(1));
    written.record(&index("a", 200, None), at(6));
    assert_eq!(written.still_for(), Some(Duration::ZERO), "whatever the time is now");
    written.record(&index("a", 200, None), at(11));
    assert_eq!(written.still_for(), Some(Duration::from_secs(5)));
}
