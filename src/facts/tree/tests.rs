use super::*;
use crate::clock::Moment;
use crate::facts::Failure;
use crate::facts::manifest::{Builder, EntryKind, Print};
use crate::names::FailureKind;
use std::time::Duration;

fn at(seconds: f64) -> Moment {
    Moment::after_boot(Duration::from_secs_f64(seconds))
}

fn names() -> (Name, Name) {
    (Name::new("catalog"), Name::new("beta"))
}

fn read_there() -> Latest<TreeFacts> {
    let mut builder = Builder::default();
    builder.push(b"app.conf", Print { kind: EntryKind::File, mode: 0o644, content: [1; 16] });
    let manifest = Arc::new(builder.finish(Some(TreeBound::Depth)));
    let facts = TreeFacts { manifest, patterns: u64::MAX, place: Some((1, 2)) };
    Latest::Have(Arc::new(Reading { asked: at(50.0), answered: at(50.5), result: Ok(facts) }))
}

/// What is sent 2 s after the look, read here.
fn sent(change: impl FnOnce(&mut serde_json::Value)) -> Result<Arrived<TreeFacts>, String> {
    let (pair, node) = names();
    let (head, manifest) = TreeHead::new(&pair, &node, "run", &read_there(), at(52.0)).unwrap();
    let mut head = serde_json::to_value(&head).unwrap();
    change(&mut head);
    let head: TreeHead = serde_json::from_value(head).map_err(|error| error.to_string())?;
    head.read(manifest.records(), (&pair, &node), (at(1000.0), at(1001.0)), 1)
}

#[test]
fn a_tree_arrives_as_it_was_read_as_old_as_it_was_there_and_the_round_trip() {
    let arrived = sent(|_| {}).unwrap();
    assert_eq!((arrived.reading.asked, arrived.reading.answered), (at(998.0), at(999.5)));
    let (facts, Latest::Have(there)) = (arrived.reading.facts().unwrap(), read_there()) else { panic!("read") };
    let there = there.facts().unwrap();
    assert_eq!((&facts.manifest, facts.patterns, facts.place), (&there.manifest, there.patterns, None));
    assert_eq!(facts.summary(), there.summary(), "it is known again by what is told each time");
    assert_eq!(arrived.id, "run/50000000000");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |change: fn(&mut serde_json::Value)| sent(change).unwrap_err();
    assert!(refused(|head| head["node"] = "alpha".into()).contains("not of beta"));
    assert!(refused(|head| head["pair"] = "orders".into()).contains("not of beta"));
    assert!(refused(|head| head["reading"]["asked_ago"] = (-1.0).into()).contains("age"));
    assert!(refused(|head| head["reading"]["asked_ago"] = 2000.0.into()).contains("booted"));
    assert!(refused(|head| head["reading"]["told"]["patterns"] = "purple".into()).contains("patterns"));
    assert!(refused(|head| head["reading"]["told"]["bound"] = "purple".into()).contains("purple"));
}

#[test]
fn a_look_that_failed_is_told_and_has_no_manifest() {
    let (pair, node) = names();
    let failure = Failure::new(FailureKind::Permission, "no");
    let failed = Latest::Have(Arc::new(Reading { asked: at(1.0), answered: at(1.0), result: Err(failure.clone()) }));
    assert_eq!(summary_of(&failed).failure(), Some(&failure));
    for latest in [failed, Latest::NeverAsked, Latest::Dropped] {
        assert!(TreeHead::new(&pair, &node, "run", &latest, at(2.0)).is_none());
    }
}
