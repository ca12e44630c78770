//! Timelines of two trees: alpha's is the original, a copy is due each minute, both are looked at each half minute.

use super::*;
use crate::facts::manifest::{Builder, EntryKind, Print};
use crate::facts::{Failure, Reading};
use crate::names::FailureKind;

const PATIENCE: Duration = Duration::from_secs(120);

fn at(seconds: u64) -> Moment {
    Moment::after_boot(Duration::from_secs(seconds))
}

fn name(text: &str) -> Name {
    Name::new(text)
}

fn tree(files: &[(&str, u8)]) -> Arc<Manifest> {
    let mut builder = Builder::default();
    for (path, content) in files {
        builder.push(path.as_bytes(), Print { kind: EntryKind::File, mode: 0o644, content: [*content; 16] });
    }
    Arc::new(builder.finish(None))
}

fn look(history: &mut DriftHistory, seconds: u64, node: &str, files: &[(&str, u8)]) {
    let facts = TreeFacts { manifest: tree(files), patterns: 1, place: None };
    history.record(&name(node), &Reading { asked: at(seconds), answered: at(seconds), result: Ok(facts) });
}

fn both(history: &mut DriftHistory, seconds: u64, alpha: &[(&str, u8)], beta: &[(&str, u8)]) -> Drift {
    look(history, seconds, "alpha", alpha);
    look(history, seconds, "beta", beta);
    history.drift(&name("alpha"), &name("beta"), PATIENCE).expect("compared")
}

#[test]
fn a_copy_in_flight_is_no_drift_and_one_that_stays_away_is() {
    let mut history = DriftHistory::default();
    assert_eq!(both(&mut history, 0, &[("a", 1)], &[("a", 1)]).drifted, Some(0), "the same: known at once");
    for seconds in [30, 60, 90, 120, 149] {
        let drift = both(&mut history, seconds, &[("a", 2)], &[("a", 1)]);
        assert_eq!((drift.differing, drift.drifted), (1, Some(0)), "{seconds}");
    }
    let drift = both(&mut history, 150, &[("a", 2)], &[("a", 1)]);
    assert_eq!(drift.drifted, Some(1));
    assert_eq!(drift.named, [("a".to_owned(), DriftKind::Content, at(30))]);
    assert_eq!(both(&mut history, 180, &[("a", 2)], &[("a", 2)]).drifted, Some(0), "copied");
}

#[test]
fn what_differed_at_the_first_look_may_have_done_so_for_long() {
    let mut history = DriftHistory::default();
    assert_eq!(both(&mut history, 0, &[("a", 1)], &[]).drifted, None);
    assert_eq!(both(&mut history, 60, &[("a", 1)], &[]).drifted, None);
    let drift = both(&mut history, 120, &[("a", 1)], &[]);
    assert_eq!((drift.drifted, drift.named[0].1), (Some(1), DriftKind::Missing));
    let swapped = history.drift(&name("beta"), &name("alpha"), PATIENCE).unwrap();
    assert_eq!(swapped.named[0].1, DriftKind::Extra, "after a failover the other tree is the original");
}

#[test]
fn a_file_that_changes_all_the_time_is_copied_all_the_time() {
    let mut history = DriftHistory::default();
    both(&mut history, 0, &[("log", 0)], &[("log", 0)]);
    for step in 1..20_u8 {
        // Each look finds alpha's file newer than beta's copy, which is from a minute ago.
        let drift = both(&mut history, u64::from(step) * 30, &[("log", step)], &[("log", (step - 1) / 2 * 2)]);
        assert_eq!((drift.differing > 0, drift.drifted), (step - 1 != step || step == 0, Some(0)), "{step}");
    }
    // The copy stands still while the original goes on: that is no copying any more.
    for step in 20..26_u8 {
        both(&mut history, u64::from(step) * 30, &[("log", step)], &[("log", 18)]);
    }
    assert_eq!(history.drift(&name("alpha"), &name("beta"), PATIENCE).unwrap().drifted, Some(1));
}

#[test]
fn one_tree_under_two_names_is_never_compared_with_itself() {
    let mut history = DriftHistory::default();
    for node in ["alpha", "beta"] {
        let facts = TreeFacts { manifest: tree(&[("a", 1)]), patterns: 1, place: Some((1, 2)) };
        history.record(&name(node), &Reading { asked: at(1), answered: at(1), result: Ok(facts) });
    }
    assert!(history.is_one_tree(&name("alpha"), &name("beta")));
    assert_eq!(history.drift(&name("alpha"), &name("beta"), PATIENCE), None);
}

#[test]
fn of_more_than_are_followed_it_is_known_that_there_are_more() {
    let mut history = DriftHistory::default();
    let names: Vec<_> = (0..MOST_FOLLOWED + 5).map(|index| format!("{index:06}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    assert_eq!(both(&mut history, 0, &files, &[]).drifted, None);
    let drift = both(&mut history, 200, &files, &[]);
    assert_eq!((drift.drifted, drift.at_least, drift.named.len()), (Some(10_000), true, MOST_NAMED));
    assert_eq!(drift.differing, 10_005);
}

#[test]
fn a_failed_look_starts_nothing_anew() {
    let mut history = DriftHistory::default();
    both(&mut history, 0, &[("a", 1)], &[("a", 1)]);
    both(&mut history, 30, &[("a", 1)], &[]);
    let failure = Failure::new(FailureKind::Permission, "no");
    history.record(&name("beta"), &Reading { asked: at(60), answered: at(60), result: Err(failure) });
    assert_eq!(both(&mut history, 150, &[("a", 1)], &[]).drifted, Some(1));
    history.forget();
    assert_eq!(history.drift(&name("alpha"), &name("beta"), PATIENCE), None);
}
