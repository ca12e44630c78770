//! The status as plain text for a terminal.

use std::fmt::Write;

use crate::snapshot::FindingState;
use crate::view::api::{DriftDocument, FindingDocument, PairDocument, StandbyDocument, StatusDocument};
use crate::view::failover::{answer, would_lose};
use crate::view::search::{estimate_words, rebuild_words};
use crate::view::wording::{
    ago, bytes, catch_up, headline, kind, lag_time, main_number, primary, replay, seconds, steps, symbol,
    told_findings, told_standbys, words, worst_first,
};

/// The verdict in the first line, then each pair with its channels, failing probes, standbys, and findings with what to do.
pub fn render(status: &StatusDocument) -> String {
    let mut out = format!("{} {}\n", level_word(status.level), headline(status));
    for pair in worst_first(status) {
        out.push('\n');
        render_pair(&mut out, pair);
    }
    render_agent(&mut out, status);
    out
}

/// What is wrong with whoever tells all this.
fn render_agent(out: &mut String, status: &StatusDocument) {
    if status.agent_findings.is_empty() && status.agent_notes.is_empty() {
        return;
    }
    out.push_str("\nthe agent itself\n");
    for note in &status.agent_notes {
        let _ = writeln!(out, "  {note}");
    }
    for finding in &status.agent_findings {
        render_finding(out, finding);
    }
}

fn level_word(level: crate::level::Level) -> String {
    level.as_str().to_uppercase()
}

fn render_pair(out: &mut String, pair: &PairDocument) {
    let _ = writeln!(out, "{} {}  (primary: {}; as of {})", symbol(pair.level), pair.pair, primary(pair), pair.made);
    if !pair.complete {
        out.push_str("  The first round of probes is not complete yet.\n");
    }
    let mut table = Table::new(&["", "channel", "level", "number", "evidence", "reason"]);
    for channel in &pair.channels {
        table.row([
            symbol(channel.level).to_owned(),
            channel.channel.to_string(),
            channel.level.to_string(),
            main_number(pair, channel.channel),
            ago(channel.age_seconds),
            channel.reason.map_or_else(String::new, |reason| words(reason.as_str())),
        ]);
    }
    table.write(out);
    for detail in pair.channels.iter().filter_map(|channel| channel.detail.as_ref().map(|text| (channel.channel, text)))
    {
        let _ = writeln!(out, "  {}: {}", detail.0, detail.1);
    }
    for probe in &pair.probes {
        if let Some(failure) = &probe.failure {
            let _ =
                writeln!(out, "  probe {} of {}: {} ({})", probe.channel, probe.node, failure.message, failure.kind);
        }
    }
    if let Some(postgres) = &pair.postgres {
        render_standbys(out, &told_standbys(pair, postgres));
    }
    if let Some(drift) = pair.config.as_ref().and_then(|config| config.drift.as_ref()) {
        render_drift(out, drift);
    }
    if let Some((rebuild, estimate)) =
        pair.search.as_ref().and_then(|search| search.rebuild.as_ref().zip(search.rebuild_estimate.as_ref()))
    {
        let _ = writeln!(out, "  rebuild of the search index: {}", rebuild_words(rebuild));
        let _ = writeln!(out, "  how long it takes, if the standby were promoted now: {}", estimate_words(estimate));
    }
    if let Some(told) = &pair.failover {
        let standby = told.standby.as_ref().map_or("a standby", |standby| standby.as_str());
        let _ =
            writeln!(out, "  promote {standby} now? {}; would lose {}", answer(told.verdict), would_lose(&told.loss));
    }
    for finding in told_findings(&pair.findings, &pair.channels) {
        render_finding(out, finding);
    }
}

fn render_standbys(out: &mut String, standbys: &[&StandbyDocument]) {
    let mut table =
        Table::new(&["standby", "kind", "behind", "in time", "failover loses", "replay", "caught up in", "bottleneck"]);
    for standby in standbys {
        table.row([
            standby.node.to_string(),
            kind(standby),
            bytes(standby.total_lag_bytes),
            lag_time(standby),
            bytes(standby.gap_bytes),
            replay(standby),
            catch_up(standby.catch_up_seconds),
            standby.bottleneck.map_or_else(String::new, |stage| words(stage.as_str())),
        ]);
    }
    table.write(out);
}

fn render_drift(out: &mut String, drift: &DriftDocument) {
    if let Some(why) = &drift.not_compared {
        let _ = writeln!(out, "  configuration: not compared file by file: {why}");
    }
    for file in &drift.files {
        let _ = writeln!(out, "  drifted: {} ({}, for {})", file.path, file.kind, seconds(file.for_seconds));
    }
}

fn render_finding(out: &mut String, finding: &FindingDocument) {
    let state = match finding.state {
        FindingState::Pending => "pending",
        FindingState::Firing => "firing",
        FindingState::Kept => "kept firing",
    };
    let explained = finding.explained_by.as_ref().map_or_else(String::new, |rule| format!(", explained by {rule}"));
    let _ = writeln!(
        out,
        "  {} ({}, {state} since {}{explained}): {}",
        finding.rule, finding.severity, finding.since, finding.description
    );
    for line in steps(&finding.remedy).lines() {
        let _ = writeln!(out, "    {line}");
    }
}

/// Columns as wide as their widest cell; an empty table prints nothing.
struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(head: &[&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    fn write(&self, out: &mut String) {
        if self.rows.len() < 2 {
            return;
        }
        // a default is right: a table without rows has no width, and is not printed.
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, " {cell:width$} ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture;

    #[test]
    fn all_three_pairs() {
        let (ok, warned, unknown) = (fixture::ok(), fixture::warned(), fixture::unknown());
        let views = [(&ok, true), (&warned, true), (&unknown, false)];
        insta::assert_snapshot!(render(&StatusDocument::new(views, fixture::now(), fixture::wall())));
    }

    #[test]
    fn a_finding_that_another_explains_and_what_is_wrong_with_the_agent_are_told() {
        let mut view = fixture::warned();
        view.findings[0].explained_by = Some("StandbyPostgresSplitBrain");
        let status = StatusDocument::new([(&view, true)], fixture::now(), fixture::wall());
        assert!(!render(&status).contains("the agent itself"));
        let table = render(&status.with_agent_notes(vec!["The disk is full.".to_owned()]));
        assert!(table.contains(", explained by StandbyPostgresSplitBrain): "), "{table}");
        assert!(table.ends_with("\nthe agent itself\n  The disk is full.\n"), "{table}");
    }

    #[test]
    fn each_of_several_standbys_has_its_line_and_says_what_kind_it_is() {
        let view = fixture::three_nodes();
        let text = render(&StatusDocument::new([(&view, true)], fixture::now(), fixture::wall()));
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in ["beta streaming, synchronous 4 KiB", "gamma archive, delayed by 1h 0m 4 KiB"] {
            assert!(lines.iter().any(|written| written.starts_with(line)), "{line:?} in\n{text}");
        }
    }
}
