//! Timelines of the trees beside a sync that is good: what is told of them, and with which level.

use super::*;
use crate::facts::Manifest;
use crate::facts::manifest::{Builder, EntryKind, Print};
use crate::names::{DriftKind, TreeBound};

fn file(content: u8) -> Print {
    Print { kind: EntryKind::File, mode: 0o644, content: [content; 16] }
}

fn tree(files: &[(&str, Print)], bound: Option<TreeBound>) -> Arc<Manifest> {
    let mut builder = Builder::default();
    for (path, print) in files {
        builder.push(path.as_bytes(), *print);
    }
    Arc::new(builder.finish(bound))
}

impl Timeline {
    fn sees(&mut self, seconds: u64, node: &str, manifest: &Arc<Manifest>) {
        self.looks(seconds, node, Ok(TreeFacts { manifest: manifest.clone(), patterns: 1, place: None }));
    }

    fn looks(&mut self, seconds: u64, node: &str, result: Result<TreeFacts, Failure>) {
        let reading = Reading { asked: at(seconds), answered: at(seconds), result };
        self.drift.record(&name(node), &reading);
        self.trees.insert(name(node), Latest::Have(Arc::new(reading)));
    }

    /// Each 30 s up to `until` both trees are looked at, and a sync has just been good.
    fn goes_on(&mut self, from: u64, until: u64, alpha: &Arc<Manifest>, beta: &Arc<Manifest>) -> ConfigEvidence {
        for seconds in (from..=until).step_by(30) {
            self.sees(seconds, "alpha", alpha);
            self.sees(seconds, "beta", beta);
            self.wrapper(seconds, "beta", good(5));
        }
        self.at(until).0
    }
}

#[test]
fn drift_is_a_warning_with_names_and_ok_again_once_copied() {
    let mut timeline = Timeline::new();
    let (one, two) = (tree(&[("a", file(1)), ("b", file(1))], None), tree(&[("a", file(2))], None));
    let evidence = timeline.goes_on(1000, 1060, &one, &one);
    assert_eq!((evidence.verdict.reason, evidence.drift.drifted_files), (None, Some(0)));
    assert!(evidence.drift.compared);
    let evidence = timeline.goes_on(1090, 1180, &one, &two);
    assert_eq!((evidence.verdict.reason, evidence.drift.drifted_files), (None, Some(0)), "it may be in flight");
    let evidence = timeline.goes_on(1210, 1210, &one, &two);
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (true, Some(Reason::Drift)));
    let detail = "2 files of the standby's copy differ though synced: a (content), b (missing)";
    assert_eq!(evidence.verdict.detail.as_deref(), Some(detail));
    assert_eq!(evidence.drift.named[1].kind, DriftKind::Missing);
    let evidence = timeline.goes_on(1240, 1240, &one, &one);
    assert_eq!((evidence.verdict.reason, evidence.drift.drifted_files), (None, Some(0)));
}

#[test]
fn a_tree_that_was_not_read_lately_leaves_drift_unknown_and_the_age_as_it_is() {
    let mut timeline = Timeline::new();
    let one = tree(&[("a", file(1))], None);
    let evidence = timeline.goes_on(1000, 1000, &one, &one);
    assert_eq!(evidence.drift.drifted_files, Some(0));
    // Looked at each 30 s: known for three looks and a timeout.
    timeline.wrapper(1092, "beta", good(5));
    assert_eq!(timeline.at(1092).0.drift.drifted_files, Some(0));
    timeline.wrapper(1093, "beta", good(5));
    let evidence = timeline.at(1093).0;
    assert_eq!((evidence.drift.drifted_files, evidence.drift.compared), (None, false));
    assert_eq!((evidence.verdict.up, evidence.verdict.reason), (true, None));
    timeline.looks(1100, "alpha", Err(Failure::new(FailureKind::Permission, "/opt/app/conf: no")));
    timeline.wrapper(1100, "beta", good(5));
    let why = timeline.at(1100).0.drift.not_compared.expect("a cause");
    assert!(why.contains("alpha") && why.contains("/opt/app/conf: no"), "{why}");
}

#[test]
fn nothing_found_in_a_part_is_not_nothing_and_a_bound_is_told() {
    let mut timeline = Timeline::new();
    let unreadable = Print { kind: EntryKind::Unreadable, mode: 0, content: [0; 16] };
    let (whole, part) =
        (tree(&[("a", file(1)), ("b", file(1))], None), tree(&[("a", file(1)), ("b", unreadable)], None));
    let evidence = timeline.goes_on(1000, 1000, &whole, &part);
    assert_eq!((evidence.drift.drifted_files, evidence.drift.unreadable_files), (None, Some(1)));
    assert_eq!(evidence.verdict.reason, None, "told on the page, and no alarm");
    let cut = tree(&[("a", file(1))], Some(TreeBound::Files));
    let evidence = timeline.goes_on(1030, 1030, &whole, &cut);
    assert_eq!((evidence.drift.drifted_files, evidence.verdict.reason), (None, Some(Reason::TooLarge)));
    assert!(evidence.verdict.detail.expect("words").contains("max_files"));
    // What differs in the part that was read does differ.
    let cut = tree(&[("a", file(2))], Some(TreeBound::Files));
    let evidence = timeline.goes_on(1060, 1210, &whole, &cut);
    assert_eq!((evidence.drift.drifted_files, evidence.drift.at_least), (Some(1), true));
    assert_eq!(evidence.verdict.reason, Some(Reason::Drift));
}

#[test]
fn an_older_reason_stands_before_drift_and_roles_decide_which_is_the_copy() {
    let mut timeline = Timeline::new();
    let (one, two) = (tree(&[("a", file(1))], None), tree(&[], None));
    timeline.goes_on(1000, 1180, &one, &two);
    timeline.wrapper(1181, "beta", good(150));
    assert_eq!(timeline.at(1181).0.verdict.reason, Some(Reason::SyncStale));
    assert_eq!(timeline.at(1181).0.drift.named[0].kind, DriftKind::Missing);
    timeline.roles = Roles { primary: Some(name("beta")), standbys: vec![name("alpha")], ..Roles::default() };
    timeline.wrapper(1181, "alpha", good(5));
    assert_eq!(timeline.at(1181).0.drift.named[0].kind, DriftKind::Extra);
    timeline.roles.contradicted = true;
    assert_eq!(timeline.at(1181).0.drift.drifted_files, None);
}

#[test]
fn of_two_standbys_one_that_is_not_compared_leaves_it_unknown_whether_files_differ() {
    let mut timeline = Timeline::new();
    timeline.roles.standbys.push(name("gamma"));
    let (one, two) = (tree(&[("a", file(1))], None), tree(&[("a", file(2))], None));
    let goes_on = |timeline: &mut Timeline, from, until, beta, gamma: Option<_>| {
        for seconds in (from..=until).step_by(30) {
            timeline.wrapper(seconds, "gamma", good(5));
            if let Some(gamma) = gamma {
                timeline.sees(seconds, "gamma", gamma);
            }
            timeline.goes_on(seconds, seconds, &one, beta);
        }
        timeline.at(until).0.drift
    };
    let drift = goes_on(&mut timeline, 1000, 1060, &one, None);
    assert_eq!((drift.drifted_files, drift.compared), (None, false), "beta's copy is right, of gamma's nobody knows");
    assert!(drift.not_compared.expect("a cause").contains("gamma"));
    let drift = goes_on(&mut timeline, 1090, 1300, &two, None);
    assert_eq!((drift.drifted_files, drift.compared, drift.at_least), (Some(1), false, true), "what is seen is told");
    let drift = goes_on(&mut timeline, 1330, 1330, &one, Some(&one));
    assert_eq!((drift.drifted_files, drift.compared, drift.at_least), (Some(0), true, false));
}

#[test]
fn trees_that_were_read_by_other_patterns_are_not_compared() {
    let mut timeline = Timeline::new();
    let (one, two) = (tree(&[("a", file(1)), ("a.pid", file(1))], None), tree(&[("a", file(1))], None));
    for seconds in (1000..=1180).step_by(30) {
        timeline.sees(seconds, "alpha", &one);
        timeline.looks(seconds, "beta", Ok(TreeFacts { manifest: two.clone(), patterns: 2, place: None }));
        timeline.wrapper(seconds, "beta", good(5));
    }
    let evidence = timeline.at(1180).0;
    assert_eq!((evidence.drift.drifted_files, evidence.drift.compared), (None, false));
    assert_eq!(evidence.verdict.reason, None, "no alarm for what was left out on one side only");
    assert!(evidence.drift.not_compared.expect("a cause").contains("`include` and `exclude`"));
}
