//! The rows of the table of truth: each is played to its end, and each benign one is there.

use std::fs;
use std::path::Path;

/// A row begins with this, and is judged and written down with that.
const BEGINS: &str = "Row::of(";
const ENDS: &str = ".finish().await";

/// Each row of `tests/truth`, with its file: from its beginning to the next one's, or the function's end.
fn rows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth");
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder).expect("tests/truth can be read") {
        let path = entry.expect("an entry of tests/truth").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a file of tests/truth");
        let begun = text.split(BEGINS).skip(1);
        rows.extend(begun.map(|row| (name.clone(), row.split("\n}\n").next().unwrap_or(row).to_owned())));
    }
    rows
}

/// The row's number, where it is written beside its beginning: `B1`.
fn number(row: &str) -> Option<&str> {
    row.split('"').nth(1).filter(|word| word.len() < 5)
}

/// A row that nobody ends has not been judged: what was told in it is not looked at.
#[test]
fn every_row_of_truth_is_played_to_its_end() {
    let unfinished: Vec<_> = rows().into_iter().filter(|(_, row)| !row.contains(ENDS)).collect();
    assert!(unfinished.is_empty(), "no {ENDS}: {unfinished:#?}");
}

/// What must stay silent (the design's B1 to B9) is played, each of it.
#[test]
fn every_benign_row_is_played() {
    let rows = rows();
    let missing = (1..=9).map(|row| format!("B{row}"));
    let missing: Vec<_> = missing.filter(|wanted| !rows.iter().any(|(_, row)| number(row) == Some(wanted))).collect();
    assert!(missing.is_empty(), "not played: {missing:?}");
}
