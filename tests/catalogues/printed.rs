//! What is printed from the catalogues lies in the repository as printed. `UPDATE_PRINTED=1` prints it anew.

use std::collections::BTreeMap;

use standbywatch::judge::rules::{self, PrometheusVersion, RuleBook};
use standbywatch::metrics;

use crate::repository;

/// The defaults, as a site without settings has them.
pub(crate) fn default_book() -> RuleBook {
    RuleBook::new(&BTreeMap::new())
}

pub(crate) fn assert_printed(path: &str, printed: &str) {
    let file = repository(path);
    if std::env::var_os("UPDATE_PRINTED").is_some() {
        std::fs::write(&file, printed).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let in_repository =
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}; run `make docs`"));
    let differing = in_repository.lines().zip(printed.lines()).find(|(old, new)| old != new);
    assert!(in_repository == printed, "{path} differs from the code, run `make docs`; first: {differing:?}");
}

#[test]
fn printed_metrics() {
    assert_printed("docs/metrics.md", &metrics::document());
}

#[test]
fn printed_alerts() {
    assert_printed("docs/alerts.md", &rules::document(&default_book()));
}

/// Routes and receivers are an example to write over; which alert explains which other comes from the code.
#[test]
fn printed_inhibitions() {
    let path = "alerts/alertmanager.example.yml";
    let example = std::fs::read_to_string(repository(path)).expect("the example");
    let (head, _) = example.split_once("inhibit_rules:\n").expect("inhibitions come last");
    assert_printed(path, &format!("{head}{}", rules::inhibitions()));
}

#[test]
fn printed_rules() {
    assert_printed("alerts/standbywatch.rules.yml", &rules::print(&default_book(), PrometheusVersion::COMPLETE));
}
