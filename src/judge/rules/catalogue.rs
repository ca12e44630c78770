//! The rules: each is declared once, judged in the agent and printed for Prometheus.

mod access;
mod agent;
mod agents;
mod config_sync;
mod failover;
mod forecast;
mod kvstore;
mod lag;
mod postgres;
mod replication;
mod search;
mod settings;

use std::time::Duration;

use super::condition::{About, Condition};
use super::description::Part;
use crate::names::{Reason, RuleName, Severity};

/// One rule with its defaults.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The alert's name.
    pub name: RuleName,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// When it is met.
    pub condition: Condition,
    /// The number that a site may set, in the metric's base unit.
    pub threshold: Option<f64>,
    /// How long it must be met before the alert fires (`for`).
    pub hold: Duration,
    /// How long the alert goes on firing when it is no longer met (`keep_firing_for`).
    pub keep: Duration,
    /// One fixed sentence.
    pub summary: &'static str,
    /// The same with this pair's numbers.
    pub description: &'static [Part],
    /// What to do, in the order to do it.
    pub remedy: &'static str,
    /// Stands for the rule where its channel has no other reason.
    pub reason: Option<Reason>,
}

impl Rule {
    /// Whether the agent judges it over its own samples, instead of over those of one pair.
    pub fn is_about_the_agent_s_samples(&self) -> bool {
        self.about == About::Agent && matches!(self.condition, Condition::All(_))
    }
}

const AT_ONCE: Duration = Duration::ZERO;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Every rule. A name stands twice where there are two severities.
pub static RULES: &[Rule] = &[
    replication::UNKNOWN,
    // Before all other warnings: of those that are met the last one's reason is told, and each knows better what is in the way.
    failover::NOT_READY,
    forecast::FLAPPING,
    replication::ROLES_CHANGED,
    replication::NO_PRIMARY,
    postgres::SPLIT_BRAIN,
    postgres::TIMELINE_DIVERGED,
    postgres::WRONG_CLUSTER,
    postgres::SAME_SERVER,
    lag::LAG_HIGH,
    forecast::LAG_CEILING,
    lag::LAG_GROWING,
    lag::LAG_GROWING_AT_LOW_LOAD,
    forecast::INITIAL_SYNC_NOT_CATCHING_UP,
    postgres::REPLAY_PAUSED,
    postgres::REPLAY_BLOCKED_BY_SETTINGS,
    postgres::REPLAY_STUCK,
    postgres::COMMITS_BLOCKED,
    forecast::SLOT_LOSS_SOON,
    postgres::SLOT_LOST,
    access::NOT_ACCEPTING,
    settings::ARCHIVER_FAILING,
    settings::SETTINGS_PARITY,
    agents::SPEC_PARITY,
    forecast::WAL_DISK_FULL_SOON,
    config_sync::SYNC_STALE,
    config_sync::SYNC_STALE_LONG,
    config_sync::SYNC_FAILING,
    config_sync::DRIFT,
    kvstore::WRITES_BLOCKED,
    kvstore::DIVERGED,
    kvstore::LOST_WRITE,
    kvstore::LINK_DOWN,
    kvstore::SLOW,
    kvstore::EVICTION,
    search::UNKNOWN,
    search::RED,
    search::INDEX_MISSING,
    search::READ_ONLY,
    search::DISK_HIGH,
    search::YELLOW,
    search::DOCUMENTS_DRIFT,
    search::STANDBY_UNKNOWN,
    search::REBUILD_STALLED,
    agent::PROBE_FAILING,
    agent::RELOAD_FAILED,
    agents::PEER_UNREACHABLE,
    agents::CLOCK_SKEW,
    agent::DOWN,
    agent::WATCHDOG,
];
