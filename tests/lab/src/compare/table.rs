//! The table, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Machine;

/// What everybody said at one moment.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub fault: &'static str,
    /// Seconds, by the usual formula on the standby.
    pub formula: Option<f64>,
    /// The standby's exporter reaches its server.
    pub standby_answers: bool,
    /// Bytes, by the exporter beside the primary; `None` without a row for a standby.
    pub sent_less_replayed: Option<f64>,
    /// What the agent says.
    pub level: String,
    pub reason: Option<String>,
    pub lag: String,
    pub gap: Option<f64>,
}

pub(super) fn text(machine: &Machine, after: Duration, rows: &[Row]) -> String {
    let mut text = format!(
        "Each asked {} s after the fault, under five small transactions a second ({}).\n\n\
         | fault | exporter on the standby: the usual formula | exporter on the primary: WAL not replayed | \
         `standbywatch`: `postgres_lag_bytes`, level | and a promotion would lose |\n|---|---|---|---|---|\n",
        after.as_secs(),
        machine.line(),
    );
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | `{}`, {} | {} |",
            row.fault,
            formula(row),
            row.sent_less_replayed.map_or_else(|| "no series".to_owned(), bytes),
            if row.lag.parse::<f64>().is_ok() { row.lag.clone() } else { format!("\"{}\"", row.lag) },
            told(row),
            row.gap.map_or_else(|| "unknown".to_owned(), bytes),
        );
    }
    text
}

fn formula(row: &Row) -> String {
    match row.formula {
        Some(seconds) => format!("**{}**", seconds_of(seconds)),
        None if row.standby_answers => "no series".to_owned(),
        None => "no series (`pg_up` 0)".to_owned(),
    }
}

fn told(row: &Row) -> String {
    match &row.reason {
        Some(reason) => format!("**{}** (`{reason}`)", row.level),
        None => format!("**{}**", row.level),
    }
}

fn seconds_of(seconds: f64) -> String {
    if seconds == 0.0 { "0 s".to_owned() } else { format!("{seconds:.1} s") }
}

fn bytes(bytes: f64) -> String {
    if bytes < 1024.0 { format!("{bytes:.0} B") } else { format!("{:.1} KiB", bytes / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_zero() {
        let row = Row {
            fault: "standby killed",
            formula: None,
            standby_answers: false,
            sent_less_replayed: None,
            level: "unknown".to_owned(),
            reason: Some("not_connected".to_owned()),
            lag: "unknown".to_owned(),
            gap: Some(2048.0),
        };
        let machine = Machine {
            cores: 1,
            model: None,
            memory_gib: 1,
            kernel: "Linux".to_owned(),
            postgres: "15".to_owned(),
            date: "today".to_owned(),
        };
        let text = text(&machine, Duration::from_secs(30), &[row]);
        let last = text.lines().last();
        let wanted = "| standby killed | no series (`pg_up` 0) | no series | `\"unknown\"`, **unknown** (`not_connected`) | 2.0 KiB |";
        assert_eq!(last, Some(wanted));
    }
}
