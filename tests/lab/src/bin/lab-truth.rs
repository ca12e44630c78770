//! `lab-truth DIR` prints the table of truth, as Markdown, from what its rows measured: each leaves a JSON file in DIR.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use standbywatch_lab::{Context, Machine, Result};

const HEAD: &str = "\
# What is told, and how fast

Printed from what the rows of `tests/truth`, `tests/agents` (an agent on each node) and `tests/alerting` (alerts on their way out, state and
reloads) measured on real servers; `make truth` plays them and prints this again. Each row of a fault waits until all is well, breaks one
thing, and asserts level, reason, the number in the JSON and the series in `/metrics`; then it repairs, and all must be well again without a
restart. Times count from the fault (`ok again`: from the repair), at default intervals. A row that was not played says so.

An alert's time is measured until it stands in Alertmanager. Rules hold for a shorter time in the laboratory: the last column adds the
difference to the product's own hold time. \"(pushed)\": brought by the agent itself, without a Prometheus. Each row of a fault names an alert,
or says why nobody is called; that nobody was is then looked at in Alertmanager.

Two times side by side were measured on PostgreSQL 15 and on 18, in this order; where the two gave different reasons, each has a row of its
own. A single time was measured on 15.
";

/// Rows of what must stay silent: that they were played to their end says that it did.
const BENIGN: char = 'B';

/// Letters of ids in the order of the table: faults by channel, then those of the agent itself, then what is benign. Others come last.
const LETTERS: [&str; 6] = ["P", "C", "K", "S", "A", "B"];

/// Rows that must be there, with what they are of.
const ROWS: [(&str, &str); 39] = [
    ("P1", "standby stopped, killed, unreachable"),
    ("P2", "receiver, standby or primary frozen"),
    ("P2b", "the standby's postmaster frozen"),
    ("P3", "replay paused or stuck"),
    ("P4", "network slow under load"),
    ("P5", "slot invalidated"),
    ("P6", "standby promoted while the primary lives"),
    ("P7", "failover and rejoin"),
    ("P8", "standby of another cluster"),
    ("P9", "rights, password, certificate, connections"),
    ("P10", "restarts"),
    ("P11", "synchronous standby gone"),
    ("P12", "our standby down while others are up"),
    ("P13", "both nodes are one server"),
    ("P14", "one server cannot be asked, replication runs"),
    ("P15", "a standby fed by files, or late on purpose"),
    ("P16", "several standbys"),
    ("C1", "the synchronisation stopped or fails"),
    ("C2", "files differ"),
    ("K1", "link cut"),
    ("K2", "stores differ"),
    ("K3", "a write that lands later"),
    ("S1", "index or engine in trouble"),
    ("S2", "rebuild after a promotion"),
    ("A1", "agent killed while an alert is pending or fires"),
    ("A2", "agent stopped for a minute"),
    ("A3", "the other agent gone, or the way to it; one agent blind"),
    ("A4", "Alertmanager down, refusing, failing or silent"),
    ("A5", "broken configuration, state that cannot be kept"),
    ("B1", "idle pair"),
    ("B2", "bulk load"),
    ("B3", "backups and other replicas"),
    ("B4", "clocks that differ"),
    ("B5", "lost samples, reloads, restarts of agents"),
    ("B6", "copies in flight"),
    ("B7", "the standby's index empty before a failover"),
    ("B8", "maintenance and long queries"),
    ("B9", "busy pair"),
    ("B10", "odd names"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [directory] = &args[..] else {
        eprintln!("usage: lab-truth DIR");
        return ExitCode::from(2);
    };
    match document(Path::new(directory)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lab-truth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn document(directory: &Path) -> Result<String> {
    let rows = with_missing(rows(directory)?);
    let measured = Machine::here()?.line();
    Ok(format!("{HEAD}\nMeasured: {measured}.\n\n{}", table(&rows)))
}

/// A row that was played.
#[derive(Debug)]
struct Row {
    id: String,
    fault: String,
    /// Major versions of PostgreSQL that it was played on; none where that was not noted.
    versions: Vec<u64>,
    lines: Vec<Line>,
}

/// One line of the table: what is told, and the alert that came after it.
#[derive(Debug, Default, PartialEq)]
struct Line {
    told: String,
    /// Seconds until it was told, one for each version.
    after: Vec<f64>,
    /// The bound of these, in words.
    bound: String,
    alert: String,
    /// Seconds until the alert was in Alertmanager, one for each version.
    paged: Vec<f64>,
    /// By how many seconds the product holds the alert longer than the laboratory.
    held_longer: f64,
}

/// All rows in the directory, sorted by id and fault.
fn rows(directory: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            rows.push(row(&path).with_context(|| path.display().to_string())?);
        }
    }
    (!rows.is_empty()).then_some(()).with_context(|| format!("no row was played in {}", directory.display()))?;
    let key = |row: &Row| (order(&row.id), row.fault.clone(), row.versions.clone());
    rows.sort_by_cached_key(key);
    Ok(side_by_side(rows))
}

/// The rows, and a line for each of [`ROWS`] that was not played: left out, it would look as if nobody had promised it.
fn with_missing(mut rows: Vec<Row>) -> Vec<Row> {
    for (id, fault) in ROWS {
        if !rows.iter().any(|row| row.id == id) {
            let line = Line { told: "**not played**".to_owned(), ..Line::default() };
            rows.push(Row { id: id.to_owned(), fault: fault.to_owned(), versions: Vec::new(), lines: vec![line] });
        }
    }
    // Those that were played keep their order.
    rows.sort_by_cached_key(|row| order(&row.id));
    rows
}

/// Rows of one fault that told the same on several versions become one row. Where they differ, each names its version.
fn side_by_side(rows: Vec<Row>) -> Vec<Row> {
    let mut together: Vec<Row> = Vec::new();
    for row in rows {
        match together.last_mut() {
            Some(before) if before.tells_as(&row) => before.join(row),
            _ => together.push(row),
        }
    }
    let faults: Vec<_> = together.iter().map(|row| (row.id.clone(), row.fault.clone())).collect();
    for (row, fault) in together.iter_mut().zip(&faults) {
        let told_apart = faults.iter().filter(|other| *other == fault).count() > 1;
        if let ([version], true) = (&row.versions[..], told_apart) {
            row.fault.push_str(&format!(" (PostgreSQL {version})"));
        }
    }
    together
}

impl Row {
    fn tells_as(&self, other: &Self) -> bool {
        let said =
            |row: &Self| row.lines.iter().map(|line| (line.told.clone(), line.alert.clone())).collect::<Vec<_>>();
        (&self.id, &self.fault) == (&other.id, &other.fault) && said(self) == said(other)
    }

    fn join(&mut self, other: Self) {
        self.versions.extend(other.versions);
        for (line, more) in self.lines.iter_mut().zip(other.lines) {
            line.after.extend(more.after);
            line.paged.extend(more.paged);
        }
    }
}

/// Letters first, then the number as a number: P2, P2b, P12.
fn order(id: &str) -> (usize, String, u32, String) {
    let (letters, rest) = id.split_at(id.find(|letter: char| letter.is_ascii_digit()).unwrap_or(id.len()));
    let (digits, tail) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len()));
    // An id without a number goes before those that have one.
    let place = LETTERS.iter().position(|letter| *letter == letters).unwrap_or(LETTERS.len());
    (place, letters.to_owned(), digits.parse().unwrap_or(0), tail.to_owned())
}

fn row(path: &Path) -> Result<Row> {
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let id = text(&json, "row")?;
    let mut lines = Vec::new();
    if id.starts_with(BENIGN) {
        lines.push(Line { told: "nothing: it stays proven, and nobody is paged".to_owned(), ..Line::default() });
    }
    for measured in json["measured"].as_array().context("`measured` is no list")? {
        if let Some(why) = measured["nobody"].as_str() {
            if lines.iter().all(|line| !line.alert.is_empty()) {
                lines.push(Line::default());
            }
            // Beside the first thing that was told: it holds for the whole row.
            let beside = lines.iter_mut().find(|line| line.alert.is_empty());
            beside.context("a line was added")?.alert = format!("nobody is called: {why}");
        } else if measured["alert"].is_string() {
            let beside = lines.pop_if(|line| line.alert.is_empty()).unwrap_or_default();
            lines.push(page(beside, measured)?);
        } else {
            lines.push(told(measured)?);
        }
    }
    let versions = json["postgres"].as_u64().into_iter().collect();
    Ok(Row { id, fault: text(&json, "fault")?, versions, lines })
}

fn told(measured: &Value) -> Result<Line> {
    if let Some(said) = measured["said"].as_str() {
        let line = Line { told: said.to_owned(), ..Line::default() };
        if measured["seconds"].is_null() {
            return Ok(line);
        }
        return Ok(Line { after: vec![number(measured, "seconds")?], bound: bound(measured)?, ..line });
    }
    let (channel, says) = (text(measured, "channel")?, text(measured, "says")?);
    let reason = match measured["reason"].as_str() {
        Some(reason) if !reason.is_empty() => format!(": {reason}"),
        _ => String::new(),
    };
    let by = measured["by"].as_str().filter(|by| !by.is_empty()).map(|by| format!(" ({by})")).unwrap_or_default();
    let (after, bound) = (vec![number(measured, "seconds")?], bound(measured)?);
    Ok(Line { told: format!("{channel} {says}{reason}{by}"), after, bound, ..Line::default() })
}

fn bound(measured: &Value) -> Result<String> {
    Ok(format!(" (≤ {} s)", number(measured, "within")?))
}

/// The line with an alert in it.
fn page(line: Line, measured: &Value) -> Result<Line> {
    let seconds = number(measured, "seconds")?;
    let held_longer = number(measured, "usual_hold")? - number(measured, "held")?;
    let pushed = if measured["pushed"] == true { " (pushed)" } else { "" };
    let alert = format!("{}{pushed}", text(measured, "alert")?);
    Ok(Line { alert, paged: vec![seconds], held_longer, ..line })
}

/// Seconds side by side; empty where there are none.
fn seconds(each: impl Iterator<Item = f64>, digits: usize) -> String {
    let each: Vec<String> = each.map(|one| format!("{one:.digits$}")).collect();
    if each.is_empty() { String::new() } else { format!("{} s", each.join(" / ")) }
}

fn text(json: &Value, key: &str) -> Result<String> {
    json[key].as_str().map(str::to_owned).with_context(|| format!("`{key}` is no text"))
}

fn number(json: &Value, key: &str) -> Result<f64> {
    json[key].as_f64().with_context(|| format!("`{key}` is no number"))
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| row | fault | what is told | told after | alert | in Alertmanager after | with the usual hold |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        for (number, line) in row.lines.iter().enumerate() {
            // Who reads down the table sees where a row begins.
            let (id, fault) = if number == 0 { (row.id.as_str(), row.fault.as_str()) } else { ("", "") };
            let after = seconds(line.after.iter().copied(), 1) + &line.bound;
            let paged = seconds(line.paged.iter().copied(), 1);
            let usual = seconds(line.paged.iter().map(|after| after + line.held_longer), 0);
            let cells =
                [id, fault, &line.told, &after, &line.alert, &paged, &usual].map(|cell| cell.replace('|', "\\|"));
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use standbywatch_lab::Lab;

    fn written(files: &[(&str, Value)]) -> Result<Lab> {
        let lab = Lab::bare()?;
        for (name, json) in files {
            lab.write(name, &json.to_string())?;
        }
        Ok(lab)
    }

    fn killed() -> Value {
        json!({ "row": "P1", "fault": "standby killed", "measured": [
            { "channel": "postgres", "says": "unknown", "reason": "not_connected", "seconds": 0.94, "within": 2 },
            { "alert": "StandbyReplicationUnknown", "seconds": 4.26, "held": 2, "usual_hold": 60, "pushed": false },
            { "alert": "Other", "seconds": 5.0, "held": 0, "usual_hold": 0, "pushed": true },
            { "channel": "postgres", "says": "ok again", "seconds": 6.55, "within": 30 },
        ] })
    }

    #[test]
    fn rows_are_sorted_and_each_measurement_stands_in_its_column() -> Result<()> {
        let quiet = |row: &str| {
            json!({ "row": row, "fault": "x", "measured": [
            { "channel": "config", "says": "warning", "reason": "", "seconds": 1, "within": 5 } ] })
        };
        let lab = written(&[("a.json", quiet("P12")), ("b.json", quiet("C1")), ("c.json", killed())])?;
        let lines: Vec<String> = table(&rows(lab.dir())?).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "| P1 | standby killed | postgres unknown: not_connected | 0.9 s (≤ 2 s) | StandbyReplicationUnknown | 4.3 s | 62 s |",
                "|  |  |  |  | Other (pushed) | 5.0 s | 5 s |",
                "|  |  | postgres ok again | 6.5 s (≤ 30 s) |  |  |  |",
                "| P12 | x | config warning | 1.0 s (≤ 5 s) |  |  |  |",
                "| C1 | x | config warning | 1.0 s (≤ 5 s) |  |  |  |",
            ]
        );
        Ok(())
    }

    #[test]
    fn versions_that_told_the_same_stand_side_by_side_and_others_are_named() -> Result<()> {
        let on = |version: u64, reason: &str, seconds: f64| {
            json!({ "row": "P1", "fault": "cut", "postgres": version, "measured": [
            { "channel": "postgres", "says": "unknown", "reason": reason, "seconds": seconds, "within": 2 },
            { "alert": "Other", "seconds": seconds + 1.0, "held": 2, "usual_hold": 60, "pushed": false } ] })
        };
        let same = written(&[("18.json", on(18, "timeout", 0.5)), ("15.json", on(15, "timeout", 1.0))])?;
        assert!(table(&rows(same.dir())?).ends_with(
            "|---|\n| P1 | cut | postgres unknown: timeout | 1.0 / 0.5 s (≤ 2 s) | Other | 2.0 / 1.5 s | 60 / 60 s |\n"
        ));
        let apart = written(&[("18.json", on(18, "stale", 0.5)), ("15.json", on(15, "timeout", 1.0))])?;
        let text = table(&rows(apart.dir())?);
        assert!(
            text.contains("| cut (PostgreSQL 15) | postgres unknown: timeout | 1.0 s")
                && text.contains("18) | postgres unknown: stale")
        );
        Ok(())
    }

    #[test]
    fn a_row_that_was_not_played_stands_in_its_place() -> Result<()> {
        let lab = written(&[("c.json", killed())])?;
        let lines: Vec<String> = table(&with_missing(rows(lab.dir())?)).lines().skip(2).map(str::to_owned).collect();
        assert!(lines[0].starts_with("| P1 | standby killed"), "{lines:?}");
        assert!(lines[3].starts_with("| P2 |") && lines[3].contains("| **not played** |"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains("not played")).count(), ROWS.len() - 1);
        Ok(())
    }

    #[test]
    fn who_of_several_tells_it_and_what_is_no_channel_s_stand_in_words() -> Result<()> {
        let row = json!({ "row": "A3", "fault": "cut", "postgres": null, "measured": [
            { "by": "agent of beta", "channel": "postgres", "says": "warning", "reason": "stale", "seconds": 1, "within": 5 },
            { "said": "the page says so", "seconds": 2.04, "within": 9 },
            { "nobody": "the other proves it" } ] });
        let lab = written(&[("a.json", row)])?;
        assert!(table(&rows(lab.dir())?).ends_with(
            "| A3 | cut | postgres warning: stale (agent of beta) | 1.0 s (≤ 5 s) | nobody is called: the other proves it |  |  |\n\
             |  |  | the page says so | 2.0 s (≤ 9 s) |  |  |  |\n"
        ));
        Ok(())
    }

    #[test]
    fn a_benign_row_has_a_line_though_nothing_was_told() -> Result<()> {
        let lab = written(&[("b.json", json!({ "row": "B9", "fault": "busy", "measured": [] }))])?;
        assert!(
            table(&rows(lab.dir())?)
                .ends_with("| B9 | busy | nothing: it stays proven, and nobody is paged |  |  |  |  |\n")
        );
        Ok(())
    }

    #[test]
    fn a_missing_number_is_an_error_that_names_the_file() -> Result<()> {
        let mut broken = killed();
        broken["measured"][0]["seconds"] = Value::Null;
        let lab = written(&[("broken.json", broken)])?;
        let error = rows(lab.dir()).map(|rows| rows.len()).map_err(|error| format!("{error:#}"));
        assert!(error.as_ref().is_err_and(|text| text.contains("broken.json: `seconds` is no number")), "{error:?}");
        Ok(())
    }

    #[test]
    fn an_empty_directory_is_no_table() -> Result<()> {
        let lab = written(&[])?;
        assert!(rows(lab.dir()).is_err());
        Ok(())
    }
}
