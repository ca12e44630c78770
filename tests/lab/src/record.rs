//! What a row of truth measured: a file of its own, from which `docs/truth.md` is printed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A row that is being played, and the clock that runs from its fault.
#[derive(Debug)]
pub struct Record {
    row: &'static str,
    fault: &'static str,
    postgres: Option<u32>,
    begun: Instant,
    measured: Vec<Value>,
}

impl Record {
    /// A row of this id. The clock runs from here until [`Record::fault`] sets it anew.
    pub fn of(row: &'static str, fault: &'static str) -> Self {
        Self { row, fault, postgres: None, begun: Instant::now(), measured: Vec::new() }
    }

    /// The same, played on servers of this major version.
    #[must_use]
    pub fn on_postgres(self, major: u32) -> Self {
        Self { postgres: Some(major), ..self }
    }

    /// The fault happens now, or its repair.
    pub fn fault(&mut self) {
        self.begun = Instant::now();
    }

    /// Time since the fault.
    pub fn passed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Id and fault, for messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.row, self.fault)
    }

    /// A channel is told so now. `by` says who of several tells it; empty: the only one.
    pub fn told(&mut self, by: &str, channel: &str, says: &str, reason: &str, within: Duration) {
        let seconds = self.passed().as_secs_f64();
        println!("{}: {by} {channel} {says} {reason} after {seconds:.1} s", self.name());
        self.measured.push(json!({
            "by": by, "channel": channel, "says": says, "reason": reason, "seconds": seconds, "within": within.as_secs(),
        }));
    }

    /// Something else is told now, in words.
    pub fn said(&mut self, words: &str, within: Duration) {
        let seconds = self.passed().as_secs_f64();
        println!("{}: {words} after {seconds:.1} s", self.name());
        self.measured.push(json!({ "said": words, "seconds": seconds, "within": within.as_secs() }));
    }

    /// Something holds, at no moment of its own.
    pub fn holds(&mut self, words: &str) {
        println!("{}: {words}", self.name());
        self.measured.push(json!({ "said": words }));
    }

    /// The alert is in Alertmanager now. `held` is the laboratory's hold time, `usual` the product's.
    pub fn paged(&mut self, alert: &str, held: Duration, usual: Duration, pushed: bool) {
        let seconds = self.passed().as_secs_f64();
        println!("{}: {alert} in Alertmanager after {seconds:.1} s", self.name());
        self.measured.push(json!({
            "alert": alert, "seconds": seconds, "held": held.as_secs(), "usual_hold": usual.as_secs(), "pushed": pushed,
        }));
    }

    /// Nobody is called, and why that is right. Whether it is so was looked at before.
    pub fn nobody(&mut self, why: &str) {
        println!("{}: nobody is called: {why}", self.name());
        self.measured.push(json!({ "nobody": why }));
    }

    /// Writes down what was measured, below `directory`: `env!("CARGO_TARGET_TMPDIR")`.
    ///
    /// # Errors
    /// The row says neither who was called nor that nobody was; the file cannot be written.
    pub fn finish(self, directory: &str) -> Result<()> {
        says_who_is_called(self.row, &self.measured).with_context(|| self.name())?;
        let directory = Path::new(directory).join("truth");
        std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let slug: String =
            self.fault.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let on = self.postgres.map_or_else(|| "any".to_owned(), |major| major.to_string());
        let text =
            json!({ "row": self.row, "postgres": self.postgres, "fault": self.fault, "measured": self.measured });
        let path = directory.join(format!("{on}-{}-{slug}.json", self.row));
        std::fs::write(&path, serde_json::to_string_pretty(&text)?).with_context(|| path.display().to_string())
    }
}

/// A fault after which the table leaves open whether anybody is called is half a row. In a benign one nobody is, as a whole.
///
/// # Errors
/// The row says nothing of it.
pub fn says_who_is_called(row: &str, measured: &[Value]) -> Result<()> {
    let said = measured.iter().any(|one| one["alert"].is_string() || one["nobody"].is_string());
    ensure!(said || row.starts_with('B'), "the row says neither which alert comes nor why nobody is called");
    Ok(())
}
