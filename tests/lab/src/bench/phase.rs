//! Some minutes in which all programs are scraped at one pace.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::scraper::{Scraper, Timings};
use super::usage::{Usage, usage};

const LOOK: Duration = Duration::from_secs(1);

/// A program that is measured.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub name: String,
    pub pid: u32,
    pub url: String,
}

/// What one program used in one phase.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    pub name: String,
    /// Share of one core.
    pub processor: f64,
    /// Resident memory in KiB, each second.
    pub resident: Vec<u64>,
    pub scrapes: Timings,
}

impl Cost {
    /// Resident memory at the end, in KiB.
    pub fn resident_at_end(&self) -> Option<u64> {
        self.resident.last().copied()
    }
}

/// Scrapes all subjects at this pace for this long, and says what each has used meanwhile.
pub(super) async fn play(subjects: &[Subject], pace: Duration, length: Duration) -> Result<Vec<Cost>> {
    let begun = Instant::now();
    let end = begun + length;
    let before = subjects.iter().map(|subject| usage(subject.pid)).collect::<Result<Vec<Usage>>>()?;
    let mut scraping = JoinSet::new();
    for (place, subject) in subjects.iter().enumerate() {
        // Not all at one instant, as Prometheus does not either.
        let offset = pace.mul_f64(place as f64 / subjects.len() as f64);
        scraping.spawn(scrape_until(end, offset, pace, subject.clone(), place));
    }
    let mut resident = vec![Vec::new(); subjects.len()];
    let mut looks = interval(LOOK);
    while Instant::now() < end {
        looks.tick().await;
        for (subject, values) in subjects.iter().zip(&mut resident) {
            values.push(usage(subject.pid).with_context(|| format!("{} has ended", subject.name))?.resident);
        }
    }
    let mut scrapes = vec![Timings::default(); subjects.len()];
    while let Some(done) = scraping.join_next().await {
        let (place, timings) = done??;
        scrapes[place] = timings;
    }
    let passed = begun.elapsed().as_secs_f64();
    let mut costs = Vec::new();
    for (((subject, before), resident), scrapes) in subjects.iter().zip(before).zip(resident).zip(scrapes) {
        let used = usage(subject.pid)?.processor.saturating_sub(before.processor);
        let processor = used.as_secs_f64() / passed;
        costs.push(Cost { name: subject.name.clone(), processor, resident, scrapes });
    }
    Ok(costs)
}

async fn scrape_until(
    end: Instant,
    offset: Duration,
    pace: Duration,
    subject: Subject,
    place: usize,
) -> Result<(usize, Timings)> {
    let mut scraper = Scraper::of(&subject.url)?;
    let mut timings = Timings::default();
    let mut ticks = interval_at(Instant::now() + offset, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Ok(_tick) = tokio::time::timeout_at(end, ticks.tick()).await {
        let (_, took) = scraper.scrape().await.with_context(|| format!("scrape {}", subject.name))?;
        timings.push(took);
    }
    Ok((place, timings))
}
