//! How fast and how small the agent is, beside the exporters that are usually there. Figures, no limits: nothing here can fail
//! for being slow.
//!
//! | file | what is in it |
//! |---|---|
//! | `usage.rs` | what a process uses, from `/proc` |
//! | `scraper.rs` | a client that scrapes over one connection, and how long its scrapes took |
//! | `exporters.rs` | the exporters, started beside the agent |
//! | `backends.rs` | what their sessions cost the primary |
//! | `phase.rs` | some minutes in which all are scraped at one pace |
//! | `cadence.rs` | how regularly each probe succeeds, also while one server is a black hole |
//! | `stage.rs` | what the sections share: servers, time |
//! | `course.rs` | the first section: one pair, beside the exporters |
//! | `report.rs` | its tables |
//! | `many.rs` | a hundred pairs in one observer |
//! | `two_agents.rs` | an agent on each node |
//! | `table.rs` | a table, and figures in it |

mod backends;
mod cadence;
mod course;
pub(crate) mod exporters;
mod many;
mod phase;
mod report;
mod scraper;
mod stage;
mod table;
mod two_agents;
mod usage;

use anyhow::{Result, bail};

/// Measures for about `BENCH_MINUTES` (default 10) and a few more, and returns the report. A section is a function of the stage that
/// returns its own text; it starts agents of its own and ends them.
///
/// # Errors
/// When something is not installed, cannot be started, or ends. Never because something is slow.
pub async fn run() -> Result<String> {
    let only = std::env::var("BENCH_ONLY").ok();
    if let Some(only) = only.as_deref().filter(|only| !SECTIONS.contains(only)) {
        bail!("BENCH_ONLY={only} is none of {}", SECTIONS.join(", "));
    }
    let wanted = |section| only.as_deref().is_none_or(|only| only == section);
    let stage = stage::Stage::open().await?;
    let mut text = String::new();
    if wanted("course") {
        text.push_str(&course::section(&stage).await?);
    }
    if wanted("two_agents") {
        text.push_str(&two_agents::section(&stage).await?);
    }
    if wanted("many") {
        text.push_str(&many::section(&stage).await?);
    }
    Ok(text)
}

/// The sections; `BENCH_ONLY` names the one that somebody works on.
const SECTIONS: [&str; 3] = ["course", "two_agents", "many"];
