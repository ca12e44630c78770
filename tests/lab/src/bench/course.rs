//! One pair, beside the exporters: some minutes at each pace, thousands of scrapes, a black hole.

use std::time::Duration;

use anyhow::{Context, Result};

use super::backends::{SessionCost, Sessions};
use super::cadence::{self, Cadences};
use super::exporters;
use super::phase::{self, Cost, Subject};
use super::report;
use super::scraper::{Scraper, Timings};
use super::stage::Stage;
use super::usage::{Usage, usage};
use crate::demo::Watched;
use crate::{Agent, Machine, Mode};

const SCRAPES: usize = 5000;
const MINUTE: Duration = Duration::from_secs(60);
/// What is scraped each second is as fresh as the agent; this is the usual pace.
pub(super) const PACES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

/// All that was measured.
pub(super) struct Measured {
    pub machine: Machine,
    /// Load averages at the end: what else ran beside us shows in the slowest scrapes.
    pub load: String,
    pub minutes: f64,
    /// Why the search channel was left out, if it was.
    pub without_search: Option<String>,
    /// When all channels had been ok, before the first phase; after the last phase; at the very end.
    pub agent: [Usage; 3],
    /// For each of [`PACES`], the agent first.
    pub phases: [Vec<Cost>; 2],
    /// On the primary: the agent's and its exporter's.
    pub sessions: [SessionCost; 2],
    /// `/metrics` over one connection, over a new connection each, and `/-/healthy` over one connection.
    pub scrapes: [Timings; 3],
    /// Before and during the black hole.
    pub cadences: [(Cadences, Timings); 2],
}

/// The agent as an observer of the stage's pair, and the exporters beside it; the report's head stands above.
pub(super) async fn section(stage: &Stage) -> Result<String> {
    let Stage { lab, watched, minutes, .. } = stage;
    let agent = stage.agent("agent", watched.configuration(&[], None), &[]).await?;
    let exporters = exporters::start(lab, watched).await?;
    stage.is_well(&agent).await?;
    let pid = agent.server.pid().context("the agent has ended")?;
    let mut subjects = vec![Subject { name: "standbywatch".to_owned(), pid, url: agent.url("/metrics")? }];
    for exporter in &exporters {
        subjects.push(Subject { name: exporter.name.to_owned(), pid: exporter.pid()?, url: exporter.url() });
    }

    let half = stage.half();
    let at_start = usage(pid)?;
    let fast = scraped(&subjects, PACES[0], half).await?;
    let slow = scraped(&subjects, PACES[1], half).await?;
    let after = usage(pid)?;
    let beside = subjects.iter().find(|subject| subject.name == exporters::ON_PRIMARY).context("that exporter")?;
    let sessions = cost_to_primary(&agent, watched, beside, half.min(2 * MINUTE)).await?;
    let scrapes = many_scrapes(&agent).await?;
    let cadences = black_hole(&agent, watched, half.min(MINUTE)).await?;
    let measured = Measured {
        machine: Machine::here()?,
        load: load()?,
        minutes: *minutes,
        without_search: watched.search.as_ref().err().cloned(),
        agent: [at_start, after, usage(pid)?],
        phases: [fast, slow],
        sessions,
        scrapes,
        cadences,
    };
    Ok(report::text(&measured))
}

fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(", "))
}

async fn scraped(subjects: &[Subject], pace: Duration, length: Duration) -> Result<Vec<Cost>> {
    eprintln!("bench: {:.1} minutes, everything scraped each {} s", length.as_secs_f64() / 60.0, pace.as_secs());
    phase::play(subjects, pace, length).await
}

/// What the sessions of the agent and of PostgreSQL's exporter cost the primary, the exporter scraped as often as the agent looks.
async fn cost_to_primary(
    agent: &Agent,
    watched: &Watched,
    exporter: &Subject,
    length: Duration,
) -> Result<[SessionCost; 2]> {
    eprintln!("bench: {:.0} s of what sessions cost the primary", length.as_secs_f64());
    let primary = &watched.postgres.primary;
    let roles = [watched.postgres.user(), exporters::ROLE];
    let mut scraper = Scraper::of(&agent.url("/metrics")?)?;
    let before = [Sessions::of(primary, roles[0]).await?, Sessions::of(primary, roles[1]).await?];
    let scraped = phase::play(std::slice::from_ref(exporter), PACES[0], length);
    let (costs, (cadences, _)) = tokio::try_join!(scraped, cadence::observe(&mut scraper, length))?;
    let after = [Sessions::of(primary, roles[0]).await?, Sessions::of(primary, roles[1]).await?];
    let used: [Option<Duration>; 2] = std::array::from_fn(|at| after[at].used_since(&before[at]));
    // There is one look more than there are gaps between looks.
    let looks = cadences.get(&("postgres".to_owned(), "alpha".to_owned())).map_or(0, |looks| looks.gaps.count() + 1);
    let scrapes = costs.first().map_or(0, |cost| cost.scrapes.count());
    Ok([
        SessionCost { name: "standbywatch", looks, used: used[0] },
        SessionCost { name: exporters::ON_PRIMARY, looks: scrapes, used: used[1] },
    ])
}

/// One after the other, as fast as they are answered.
async fn many_scrapes(agent: &Agent) -> Result<[Timings; 3]> {
    eprintln!("bench: {SCRAPES} scrapes, one after the other");
    let mut all = [Timings::default(), Timings::default(), Timings::default()];
    for (place, (path, connects)) in
        [("/metrics", false), ("/metrics", true), ("/-/healthy", false)].into_iter().enumerate()
    {
        let mut scraper = Scraper::of(&agent.url(path)?)?;
        for _ in 0..SCRAPES {
            if connects {
                scraper.hang_up();
            }
            all[place].push(scraper.scrape().await?.1);
        }
    }
    Ok(all)
}

/// The successes of all probes before and while the standby's PostgreSQL swallows every question.
async fn black_hole(agent: &Agent, watched: &Watched, length: Duration) -> Result<[(Cadences, Timings); 2]> {
    eprintln!(
        "bench: twice {:.0} s of probes, then with the standby's PostgreSQL in a black hole",
        length.as_secs_f64()
    );
    let mut scraper = Scraper::of(&agent.url("/metrics")?)?;
    let before = cadence::observe(&mut scraper, length).await?;
    watched.postgres.probe.set(Mode::BlackHole);
    let during = cadence::observe(&mut scraper, length).await?;
    watched.postgres.repair();
    Ok([before, during])
}
