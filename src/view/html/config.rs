//! The configuration's files that differ, by name.

use super::markup::{Html, table};
use super::value;
use crate::view::api::{ConfigDocument, DriftDocument, DriftedFileDocument};
use crate::view::wording::{UNKNOWN, seconds, words};

/// The last run and the comparison of both trees; then, where there are any, the files that have drifted.
pub(super) fn config(config: Option<&ConfigDocument>) -> Html {
    let Some(config) = config else { return Html::default() };
    let count = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let nothing = DriftDocument::default();
    let drift = config.drift.as_ref().unwrap_or(&nothing);
    let drifted = match drift.drifted_files {
        Some(number) if drift.at_least => format!("at least {number}"),
        number => count(number),
    };
    let mut row = vec![
        value(&drifted),
        value(&count(drift.differing_files)),
        value(&count(drift.unreadable_files)),
        Html::text(drift.not_compared.as_deref().unwrap_or("")),
    ];
    let mut head = vec!["drifted files", "differ now", "unreadable", "not compared because"];
    // Where the age comes from elsewhere and nobody tells of the job's runs, there is nothing to be unknown.
    let of_runs =
        config.consecutive_failures.is_some() || config.last_exit.is_some() || config.last_took_seconds.is_some();
    if of_runs || config.age_seconds.is_none() {
        head.extend(["failures in a row", "last exit", "last run took"]);
        row.extend([
            value(&config.consecutive_failures.map_or_else(|| UNKNOWN.to_owned(), |failures| failures.to_string())),
            value(&config.last_exit.map_or_else(|| UNKNOWN.to_owned(), |exit| exit.to_string())),
            value(&seconds(config.last_took_seconds)),
        ]);
    }
    Html::joined(&[table("Configuration", &head, &[row]), named(&drift.files)])
}

fn named(files: &[DriftedFileDocument]) -> Html {
    if files.is_empty() {
        return Html::default();
    }
    let row = |file: &DriftedFileDocument| {
        vec![Html::text(&file.path), Html::text(&words(file.kind.as_str())), value(&seconds(file.for_seconds))]
    };
    let rows: Vec<_> = files.iter().map(row).collect();
    table("Files that have drifted", &["path on the standby", "what is wrong with it", "for"], &rows)
}
