//! The catalogues of metrics and rules against all that is printed from them or written about them.

#[path = "catalogues/dashboard.rs"]
mod dashboard;
#[path = "catalogues/equality.rs"]
mod equality;
#[path = "catalogues/figures.rs"]
mod figures;
#[path = "catalogues/printed.rs"]
mod printed;
#[path = "catalogues/promtool.rs"]
mod promtool;
#[path = "catalogues/rule_tests.rs"]
mod rule_tests;
#[path = "catalogues/runbooks.rs"]
mod runbooks;
#[path = "catalogues/timelines.rs"]
mod timelines;
#[path = "catalogues/written.rs"]
mod written;

use std::path::PathBuf;

/// A file of the repository, by its path from the top.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Its text.
fn text_of(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
