//! What is remembered of the canaries: how many ended how, the last that went all the way, since when none does, and how long they
//! took.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::config::KvstoreChannel;
use crate::evidence::{LATENCY_EDGES, LatencyCount};
use crate::facts::{CanaryTracker, KvstoreFacts, Reading};
use crate::history::kvstore_observed::ObservedHistory;
use crate::names::{CanaryStep, Lane, Outcome};

/// Round trips are remembered for so many intervals and at least this long, and no more than so many.
const INTERVALS: u32 = 24;
const WINDOW: Duration = Duration::from_mins(2);
const MOST: usize = 1200;

/// The memory of one pair's canaries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KvstoreHistory {
    outcomes: BTreeMap<Outcome, u64>,
    resolved: BTreeMap<Outcome, u64>,
    last_ok: Option<LastOk>,
    blocked_since: Option<Moment>,
    last_sequence: u64,
    diverged_running: u32,
    lanes: Vec<(Lane, Option<Outcome>)>,
    last_of: BTreeMap<Outcome, Moment>,
    round_trips: VecDeque<(Moment, Duration)>,
    latencies: BTreeMap<CanaryStep, LatencyCount>,
    edges: Vec<f64>,
    window: Duration,
    /// What the comparisons brought.
    pub observed: ObservedHistory,
    /// What must survive a restart.
    pub tracker: Option<CanaryTracker>,
}

/// The last canary that went all the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOk {
    /// When its cycle began.
    pub asked: Moment,
    /// From its departure to the last read.
    pub round_trip: Option<Duration>,
}

impl KvstoreHistory {
    /// Nothing remembered; the SLA of the channel becomes an edge.
    pub fn new(channel: &KvstoreChannel) -> Self {
        let mut edges = LATENCY_EDGES.map(|(edge, _)| edge).to_vec();
        edges.push(channel.sla.as_secs_f64());
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let window = channel.schedule.interval.saturating_mul(INTERVALS);
        Self { edges, window, ..Self::default() }
    }

    /// Takes in one cycle.
    pub fn record(&mut self, reading: &Reading<KvstoreFacts>) {
        let Some(facts) = reading.facts() else { return };
        *self.outcomes.entry(facts.outcome).or_default() += 1;
        if let Some(fate) = facts.indeterminate_resolved {
            *self.resolved.entry(fate).or_default() += 1;
        }
        self.last_sequence = facts.sequence;
        self.last_of.insert(facts.outcome, reading.asked);
        match facts.outcome {
            Outcome::Blocked | Outcome::Rejected => {
                self.blocked_since.get_or_insert(reading.asked);
            }
            // An application's write was acknowledged: whatever else is wrong, it does not block.
            Outcome::Ok | Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::Lost | Outcome::Evicted => {
                self.blocked_since = None;
            }
            // Nothing acknowledged, or not known: if it was blocked, it may still be.
            Outcome::StandbyOnly | Outcome::LostAck | Outcome::PrimaryOnlyUnacked | Outcome::Unknown => {}
        }
        match facts.outcome {
            Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::StandbyOnly | Outcome::PrimaryOnlyUnacked => {
                self.diverged_running += 1;
            }
            Outcome::Unknown => {}
            _ => self.diverged_running = 0,
        }
        if facts.outcome == Outcome::Ok {
            self.last_ok = Some(LastOk { asked: reading.asked, round_trip: facts.round_trip });
        }
        self.record_lanes(reading.asked, facts);
        self.record_latencies(reading.asked, facts);
        if !facts.more.tracker.agent.is_empty() {
            self.tracker = Some(facts.more.tracker.clone());
        }
    }

    fn record_lanes(&mut self, asked: Moment, facts: &KvstoreFacts) {
        self.lanes = facts.more.lanes.iter().map(|lane| (lane.lane, lane.outcome)).collect();
        for lane in &facts.more.lanes {
            let Some(outcome) = lane.outcome else { continue };
            self.last_of.insert(outcome, asked);
            // Of the lanes only what is found is counted, once; the fast lane counts each cycle.
            if lane.new && !matches!(outcome, Outcome::Ok | Outcome::Unknown) {
                *self.outcomes.entry(outcome).or_default() += 1;
            }
        }
    }

    fn record_latencies(&mut self, asked: Moment, facts: &KvstoreFacts) {
        let steps = [
            (CanaryStep::Write, facts.write),
            (CanaryStep::Standby, facts.more.standby_visible),
            (CanaryStep::Primary, facts.more.primary_visible),
        ];
        for (step, took) in steps {
            let Some(took) = took.map(|took| took.as_secs_f64()) else { continue };
            let edges = self.edges.iter().map(|edge| (*edge, 0)).collect();
            let counts =
                self.latencies.entry(step).or_insert(LatencyCount { buckets: edges, ..LatencyCount::default() });
            counts.buckets.iter_mut().filter(|(edge, _)| took <= *edge).for_each(|(_, count)| *count += 1);
            counts.count += 1;
            counts.sum += took;
        }
        if let Some(round_trip) = facts.round_trip {
            self.round_trips.push_back((asked, round_trip));
        }
        let window = self.window.max(WINDOW);
        while self.round_trips.len() > MOST || self.round_trips.front().is_some_and(|(at, _)| asked.since(*at) > window)
        {
            self.round_trips.pop_front();
        }
    }

    /// How many canaries ended in each outcome, in the order of [`Outcome::ALL`]; zero is a count here.
    pub fn outcomes(&self) -> Vec<(Outcome, u64)> {
        // a default is right: an outcome that never happened happened zero times.
        Outcome::ALL.iter().map(|outcome| (*outcome, self.outcomes.get(outcome).copied().unwrap_or(0))).collect()
    }

    /// How many canaries whose write timed out turned out to be what.
    pub fn resolved(&self) -> Vec<(Outcome, u64)> {
        self.resolved.iter().map(|(outcome, count)| (*outcome, *count)).collect()
    }

    /// Moments from before a pause of the machine mean nothing: what was proven then is not proven now.
    pub const fn forget_moments(&mut self) {
        self.last_ok = None;
        self.observed.forget_moments();
    }

    /// The last canary that went all the way.
    pub const fn last_ok(&self) -> Option<LastOk> {
        self.last_ok
    }

    /// Since when writes are blocked or rejected.
    pub const fn blocked_since(&self) -> Option<Moment> {
        self.blocked_since
    }

    /// The sequence number of the newest canary.
    pub const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// How many canaries running were on one side only.
    pub const fn diverged_running(&self) -> u32 {
        self.diverged_running
    }

    /// How the slower lanes stood last.
    pub fn lanes(&self) -> &[(Lane, Option<Outcome>)] {
        &self.lanes
    }

    /// Whether a canary ended so within `window` before `now`, and until when that is so.
    pub fn lately(&self, outcome: Outcome, window: Duration, now: Moment) -> Option<Moment> {
        self.last_of.get(&outcome).map(|last| *last + window).filter(|until| *until > now)
    }

    /// Of the round trips of the last minutes, 99 in 100 took no longer. `None` with fewer than five.
    pub fn round_trip_p99(&self, now: Moment) -> Option<Duration> {
        let mut sorted: Vec<_> = self.recent(now).collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        if sorted.len() < 5 { None } else { sorted.get(rank.saturating_sub(1)).copied() }
    }

    fn recent(&self, now: Moment) -> impl Iterator<Item = Duration> + '_ {
        let window = self.window.max(WINDOW);
        self.round_trips.iter().filter(move |(at, _)| now.since(*at) <= window).map(|(_, took)| *took)
    }

    /// How many of them took longer than `limit`.
    pub fn slower_than(&self, limit: Duration, now: Moment) -> usize {
        self.recent(now).filter(|took| *took > limit).count()
    }

    /// How long each part of the way took.
    pub fn latencies(&self) -> Vec<(CanaryStep, LatencyCount)> {
        self.latencies.iter().map(|(step, counts)| (*step, counts.clone())).collect()
    }

    /// The tracker, if it is worth a write: when one is due, or when a canary that stays has changed.
    pub fn tracker_to_save(&self, saved: Option<&CanaryTracker>, due: bool) -> Option<CanaryTracker> {
        let now = self.tracker.as_ref()?;
        let same = saved.is_some_and(|saved| if due { saved == now } else { saved.kept == now.kept });
        (!same).then(|| now.clone())
    }
}
