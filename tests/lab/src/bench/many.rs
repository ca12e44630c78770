//! A hundred pairs in one observer, each asked every 5 s. The servers are the lab's, which all pairs share: what is measured is the
//! agent.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use super::phase::{self, Cost, Subject};
use super::stage::Stage;
use super::table::{as_f64, mib, millis, percent, section as table};
use super::usage::usage;
use crate::{Agent, PgPair};

const PAIRS: usize = 100;
const INTERVAL: Duration = Duration::from_secs(5);
/// As Prometheus scrapes when nobody has told it anything.
const PACE: Duration = Duration::from_secs(15);
/// More would tell nothing more.
const LONGEST: Duration = Duration::from_secs(120);

/// One observer of a hundred pairs beside one of a single pair, from which the memory of each further pair is known.
pub(super) async fn section(stage: &Stage) -> Result<String> {
    // A session for each pair on each server. Of its own, so that the other sections' servers are the usual ones.
    let servers = PgPair::builder().named("many-").setting("max_connections", "300").start(&stage.lab).await?;
    let mut agents = Vec::new();
    for (name, pairs) in [("many", PAIRS), ("single", 1)] {
        // Nothing of the state of one is the other's, but both write to the same stores.
        let agent = stage.agent(name, configuration(stage, &servers, name, pairs), &[]).await?;
        stage.is_well(&agent).await?;
        agents.push((agent, pairs));
    }
    let length = stage.half().clamp(2 * PACE, LONGEST);
    eprintln!("bench: {:.1} minutes of {PAIRS} pairs in one observer", length.as_secs_f64() / 60.0);
    let subjects = agents.iter().map(|(agent, pairs)| subject(agent, *pairs)).collect::<Result<Vec<_>>>()?;
    let costs = phase::play(&subjects, PACE, length).await?;
    let mut rows = Vec::new();
    for ((agent, _), cost) in agents.iter().zip(&costs) {
        let open = usage(agent.server.pid().context("the agent has ended")?)?.descriptors;
        let page = agent.get("/metrics").await?.ok()?.text.len();
        rows.push([
            cost.name.clone(),
            percent(cost.processor),
            cost.resident_at_end().map_or_else(|| "not measured".to_owned(), mib),
            each_further(cost, &costs),
            open.to_string(),
            format!("{:.0} KiB", page as f64 / 1024.0),
            millis(&cost.scrapes, 0.5),
            millis(&cost.scrapes, 1.0),
        ]);
        // Whoever fell behind was not measured at the pace that is written above.
        stage.is_well(agent).await?;
    }
    let title = format!(
        "{PAIRS} pairs in one observer, each asked every {} s, scraped each {} s, for {:.1} minutes",
        INTERVAL.as_secs(),
        PACE.as_secs(),
        length.as_secs_f64() / 60.0
    );
    let head = [
        "observer of",
        "processor",
        "memory",
        "for each further pair",
        "descriptors",
        "page",
        "scrape, half within",
        "slowest",
    ];
    let mut text = table(&title, head, &rows);
    text.push_str(
        "\nEach pair: PostgreSQL, key-value store and configuration of both nodes, a canary in each round.\n",
    );
    Ok(text)
}

fn subject(agent: &Agent, pairs: usize) -> Result<Subject> {
    let name = if pairs == 1 { "1 pair".to_owned() } else { format!("{pairs} pairs") };
    Ok(Subject { name, pid: agent.server.pid().context("the agent has ended")?, url: agent.url("/metrics")? })
}

/// What a pair more takes: the difference to the single one, which is the last.
fn each_further(cost: &Cost, costs: &[Cost]) -> String {
    let single = costs.last().and_then(Cost::resident_at_end);
    match (cost.resident_at_end(), single) {
        (Some(many), Some(single)) if many > single => {
            format!("{:.0} KiB", as_f64(many - single) / (PAIRS - 1) as f64)
        }
        _ => String::new(),
    }
}

/// So many pairs of the same servers, each with canaries of its own.
fn configuration(stage: &Stage, servers: &PgPair, agent: &str, pairs: usize) -> String {
    let (stores, sync) = (&stage.watched.stores, &stage.watched.sync);
    let (user, password) = (servers.user(), servers.password_file().display());
    let nodes = [
        ("alpha", servers.primary_address(), stores.primary_address(), sync.source(), ""),
        ("beta", servers.standby_address(), stores.standby_address(), sync.destination(), ", replica: { slot: beta }"),
    ];
    let mut text = String::from("pairs:\n");
    for pair in 0..pairs {
        let _ = writeln!(text, "  - name: pair-{pair}\n    nodes:");
        for (node, postgres, store, root, replica) in nodes {
            let _ = writeln!(
                text,
                "      {node}:\n        postgres: {{ host: {}, port: {}, user: {user}, password_file: {password}{replica} }}\n        \
                 kvstore: {{ redis: {{ address: \"{store}\" }} }}\n        \
                 config: {{ root: {}, timestamp_file: {} }}",
                postgres.ip(),
                postgres.port(),
                root.display(),
                sync.timestamp_file().display(),
            );
        }
        let (interval, period) = (INTERVAL.as_secs(), crate::demo::PERIOD.as_secs());
        let _ = writeln!(text, "    postgres: {{ interval: {interval}s }}\n    config: {{ period: {period}s }}");
        let _ = writeln!(text, "    kvstore: {{ interval: {interval}s, prefix: {agent}-{pair} }}");
    }
    text
}
