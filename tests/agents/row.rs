//! A row of the table of truth that two agents play: what each tells, how long after the fault, and whether anybody was paged.

use std::time::Duration;

use standbywatch_lab::{Agent, Context, Ear, Record, Result};

use crate::site::{HELD, Site, Told, tells};

/// The version of the servers that the laboratory starts by default.
const MAJOR: u32 = 15;
/// How long the product holds the rules that are held for [`HELD`] here.
const USUAL: Duration = Duration::from_secs(60);
/// What an agent that has just been started cannot prove yet.
const PASSING: [&str; 2] = ["StandbyReplicationUnknown", "StandbyPostgresNoPrimary"];

/// A row that is being played.
pub struct Row<'a> {
    site: &'a Site,
    record: Record,
    /// Where nothing may be told.
    ear: Option<Ear>,
}

impl<'a> Row<'a> {
    /// Both agents are well. Then the fault may come.
    pub async fn of(site: &'a Site, id: &'static str, fault: &'static str) -> Result<Self> {
        let row = Self::unwell(site, id, fault);
        site.well().await?;
        // In a benign row nothing may be told from here to its end.
        let ear = if id.starts_with('B') { Some(site.ear()?) } else { None };
        Ok(Self { ear, ..row })
    }

    /// The fault is there from the start.
    pub fn unwell(site: &'a Site, id: &'static str, fault: &'static str) -> Self {
        Self { site, record: Record::of(id, fault).on_postgres(MAJOR), ear: None }
    }

    /// The fault happens now.
    pub fn fault(&mut self) {
        self.record.fault();
    }

    /// Awaits what an agent must tell; `within` counts from the fault.
    pub async fn tells(&mut self, agent: &Agent, told: &Told, within: Duration) -> Result<()> {
        let reason = tells(agent, told, within.saturating_sub(self.record.passed()))
            .await
            .with_context(|| self.record.name())?
            .unwrap_or_default();
        self.record.told(&of(agent), told.channel, told.level, &reason, within);
        Ok(())
    }

    /// Both agents must tell the same.
    pub async fn both_tell(&mut self, told: &Told, within: Duration) -> Result<()> {
        for agent in self.site.agents.both() {
            self.tells(agent, told, within).await?;
        }
        Ok(())
    }

    /// Awaits an alert that is held for [`HELD`], in Alertmanager.
    pub async fn pages(&mut self, alert: &str, labels: &[(&str, &str)], within: Duration) -> Result<()> {
        self.site.monitoring.alertmanager.wait_for_alert(alert, labels, within).await?;
        self.record.paged(alert, HELD, USUAL, false);
        Ok(())
    }

    /// After the repair both agents are well again.
    pub async fn is_well_again(&mut self, within: Duration) -> Result<()> {
        self.record.fault();
        for agent in self.site.agents.both() {
            let left = within.saturating_sub(self.record.passed());
            tells(agent, &Told::ok("postgres"), left).await.with_context(|| self.record.name())?;
            self.record.told(&of(agent), "postgres", "ok again", "", within);
        }
        Ok(())
    }

    /// Something that the test has seen to hold.
    pub fn holds(&mut self, words: &str) {
        self.record.holds(words);
    }

    /// Nobody was got out of bed since the start, and why that is right.
    pub fn pages_nobody(&mut self, why: &str) {
        self.site.nobody_was_paged();
        self.record.nobody(why);
    }

    /// Writes down what was measured; a benign row has first to have been silent.
    pub async fn finish(mut self) -> Result<()> {
        if let Some(ear) = &self.ear {
            self.site.nothing_was_told(ear, &PASSING).await.with_context(|| self.record.name())?;
            self.record.holds("nothing is told");
        }
        self.record.finish(env!("CARGO_TARGET_TMPDIR"))
    }
}

/// Who it is, for a reader of the table: alpha is the primary.
fn of(agent: &Agent) -> String {
    let name = agent.server.name();
    match name.strip_prefix("agent-") {
        Some("alpha") => "the primary's agent".to_owned(),
        Some("beta") => "the standby's agent".to_owned(),
        _ => name.to_owned(),
    }
}
