//! The search engines on the page: each node's, then the rebuild.

use super::markup::{Html, table};
use super::value;
use crate::view::api::{SearchDiskDocument, SearchDocument, SearchNodeDocument};
use crate::view::search::{estimate_words, index_words, rebuild_words};
use crate::view::wording::{UNKNOWN, words};

pub(super) fn section(search: &SearchDocument) -> Html {
    let rows: Vec<_> = search.nodes.iter().map(row).collect();
    let engines = table("Search engines", &["node", "engine", "health", "active shards", "disk", "indices"], &rows);
    let rebuild = search.rebuild.as_ref().zip(search.rebuild_estimate.as_ref());
    let rebuild = rebuild.map_or_else(Html::default, |(rebuild, estimate)| {
        let row = vec![value(&rebuild_words(rebuild)), value(&estimate_words(estimate))];
        table("Rebuild of the search index", &["now", "if the standby were promoted now"], &[row])
    });
    Html::joined(&[engines, rebuild])
}

fn row(node: &SearchNodeDocument) -> Vec<Html> {
    let health = node.health.map_or_else(|| UNKNOWN.to_owned(), |health| health.to_string());
    let health = match node.reason {
        Some(reason) => format!("{health} ({})", words(reason.as_str())),
        None => health,
    };
    let percent = node.active_shards_percent.map_or_else(|| UNKNOWN.to_owned(), |percent| format!("{percent:.0} %"));
    let indices: Vec<_> = node.indices.iter().map(index_words).collect();
    vec![
        Html::text(node.node.as_str()),
        value(node.engine.as_deref().unwrap_or(UNKNOWN)),
        value(&health),
        value(&percent),
        value(&node.disk.as_ref().map_or_else(|| UNKNOWN.to_owned(), disk)),
        Html::text(&indices.join("; ")),
    ]
}

fn disk(disk: &SearchDiskDocument) -> String {
    let used = format!("{:.0} % used", 100.0 * disk.used_ratio);
    match disk.high_ratio {
        Some(high) => format!("{used} (high watermark {:.0} %)", 100.0 * high),
        None => used,
    }
}
