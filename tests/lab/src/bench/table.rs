//! A table as Markdown that reads well as plain text, and figures in it.

use std::fmt::Write as _;
use std::time::Duration;

use super::scraper::Timings;

/// A title and a table whose columns are aligned.
pub(super) fn section<const N: usize>(title: &str, head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = std::array::from_fn::<String, N, _>(|column| format!("{:<1$}", cells[column], widths[column]));
        format!("| {} |\n", padded.join(" | "))
    };
    let mut text = format!("\n## {title}\n\n{}", line(head));
    let _ = writeln!(text, "|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

/// Exact for what memory there is.
pub(super) fn as_f64(kib: u64) -> f64 {
    kib as f64
}

/// `12.3 MiB`, of KiB.
pub(super) fn mib(kib: u64) -> String {
    format!("{:.1} MiB", as_f64(kib) / 1024.0)
}

/// `0.40 % of a core`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} % of a core", share * 100.0)
}

/// A quantile as `0.282 ms`.
pub(super) fn millis(timings: &Timings, share: f64) -> String {
    match timings.quantile(share) {
        Some(took) => format!("{:.3} ms", took.as_secs_f64() * 1000.0),
        None => "none".to_owned(),
    }
}

/// `5.00 s`.
pub(super) fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

/// How many times the one is the other. Processor time is counted in ticks: nothing can be said of what used none.
pub(super) fn ratio(other: Option<f64>, own: Option<f64>) -> String {
    match (other, own) {
        (Some(other), Some(own)) if own > 0.0 => format!("{:.1}", other / own),
        _ => "not measured".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_used_no_tick_has_no_ratio() {
        assert_eq!(ratio(Some(1.0), Some(0.0)), "not measured");
        assert_eq!(ratio(None, Some(1.0)), "not measured");
    }

    #[test]
    fn columns_are_aligned() {
        let text = section("T", ["a", "long"], &[["wide cell".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "\n## T\n\n| a         | long |\n|-----------|------|\n| wide cell | 1    |\n");
    }
}
