//! `docs/metrics.md`, printed from the catalogue.

use std::fmt::Write;

use super::{CATALOGUE, Metric, Presence};

const HEAD: &str = "# Metrics

This file is printed from the catalogue in `src/metrics/`; do not edit it; `make docs` prints it anew.

A number that is not known has no series: it disappears at once and is never 0 instead. Series marked *always* say whether
something is known, or hold a state that must tolerate gaps; each configured thing has its own from the first scrape on.
";

/// The whole catalogue as Markdown.
pub fn document() -> String {
    let mut out = String::from(HEAD);
    for section in CATALOGUE {
        let _ = write!(out, "\n## {}\n\n", section.title);
        out.push_str("| metric | labels | type | unit | there | meaning |\n|---|---|---|---|---|---|\n");
        for metric in section.metrics {
            out.push_str(&row(metric));
        }
    }
    out
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let there = match metric.presence {
        Presence::Always => "always",
        Presence::WhenKnown => "when known",
    };
    format!(
        "| `{}` | {} | {} | {} | {there} | {} |\n",
        metric.name,
        labels.join(", "),
        metric.kind.as_str(),
        metric.unit.as_str(),
        metric.help,
    )
}
