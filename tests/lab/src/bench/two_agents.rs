//! An agent on each node, with all channels and TLS between them: what each of the two takes.

use std::time::Duration;

use anyhow::{Context, Result};

use super::phase::{self, Subject};
use super::stage::Stage;
use super::table::{mib, millis, percent, section as table};
use super::usage::usage;
use crate::demo::product_program;
use crate::{Agent, AgentPair, AgentPairOptions};

/// As Prometheus scrapes when nobody has told it anything.
const PACE: Duration = Duration::from_secs(15);
/// More would tell nothing more.
const LONGEST: Duration = Duration::from_secs(300);

/// Both agents side by side, on the servers of the other sections.
pub(super) async fn section(stage: &Stage) -> Result<String> {
    let options = AgentPairOptions { program: product_program()?, ..AgentPairOptions::default() };
    let agents = AgentPair::start(&stage.lab, &options, |_, meet| stage.watched.configuration(&[], Some(meet))).await?;
    let mut subjects = Vec::new();
    for (agent, name) in agents.both().into_iter().zip(["the primary's agent", "the standby's agent"]) {
        stage.is_well(agent).await?;
        subjects.push(Subject { name: name.to_owned(), pid: pid(agent)?, url: agent.url("/metrics")? });
    }
    let length = stage.half().clamp(2 * PACE, LONGEST);
    eprintln!("bench: {:.1} minutes of two agents", length.as_secs_f64() / 60.0);
    let costs = phase::play(&subjects, PACE, length).await?;
    let mut rows = Vec::new();
    for (agent, cost) in agents.both().into_iter().zip(&costs) {
        rows.push([
            cost.name.clone(),
            percent(cost.processor),
            cost.resident_at_end().map_or_else(|| "not measured".to_owned(), mib),
            mib(usage(pid(agent)?)?.peak),
            millis(&cost.scrapes, 0.5),
            millis(&cost.scrapes, 1.0),
        ]);
        // Whoever has lost the other one meanwhile was not measured at what is written above.
        stage.is_well(agent).await?;
    }
    let title = format!(
        "Two agents that ask each other each second over TLS, all channels, scraped each {} s, for {:.1} minutes",
        PACE.as_secs(),
        length.as_secs_f64() / 60.0
    );
    let mut text = table(&title, ["agent", "processor", "memory", "at most", "scrape, half within", "slowest"], &rows);
    text.push_str("\nMeant for each: at most 20 MiB, and 1 % of a core.\n");
    Ok(text)
}

fn pid(agent: &Agent) -> Result<u32> {
    agent.server.pid().context("the agent has ended")
}
