//! The rules: each is declared once, judged in the agent and printed for Prometheus.

mod access;
mod forecast;
mod postgres;
mod settings;

use std::time::Duration;

use super::condition::{About, Bound, Compare, Condition, Operator};
use super::description::{Form, Part};
use crate::names::{Channel, Reason, RuleName, Severity};

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

const AT_ONCE: Duration = Duration::ZERO;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Every rule. A name stands twice where there are two severities.
pub static RULES: &[Rule] = &[
    Rule {
        name: RuleName::ReplicationUnknown,
        severity: Severity::Critical,
        about: About::EachChannel,
        condition: Condition::All(&[Compare::holds_not("standby_replication_up")]),
        threshold: None,
        hold: minutes(1),
        keep: AT_ONCE,
        summary: "Nobody can prove that this channel replicates.",
        description: &[
            Part::Text("Channel "),
            Part::Channel,
            Part::Text(" of pair "),
            Part::Pair,
            Part::Text(" cannot be proven to replicate now. Each write from here on may be lost at a failover."),
        ],
        remedy: "1. Read the channel's reason on the status page. 2. Check that both nodes and the link between them live. \
                 3. Follow the runbook for that reason. 4. Do not promote before you know what would be lost.",
        reason: None,
    },
    forecast::FLAPPING,
    Rule {
        name: RuleName::PostgresNoPrimary,
        severity: Severity::Critical,
        about: About::Channel(Channel::Postgres),
        condition: Condition::All(&[Compare::holds_not("standby_postgres_primary_up")]),
        threshold: None,
        hold: seconds(30),
        keep: AT_ONCE,
        summary: "No PostgreSQL primary is seen, neither directly nor by a standby.",
        description: &[
            Part::Text("Pair "),
            Part::Pair,
            Part::Text(
                " has no PostgreSQL primary that answers, and no standby hears from one. Users are probably not served.",
            ),
        ],
        remedy: "1. Try to reach the primary yourself. 2. If it lives, mend the way to it. 3. If it is gone, make sure that \
                 it stays down (fence it), look at what the standby would lose, and promote the standby.",
        reason: Some(Reason::NoPrimary),
    },
    postgres::SPLIT_BRAIN,
    postgres::TIMELINE_DIVERGED,
    postgres::WRONG_CLUSTER,
    postgres::SAME_SERVER,
    Rule {
        name: RuleName::PostgresLagHigh,
        severity: Severity::Warning,
        about: About::Channel(Channel::Postgres),
        condition: Condition::All(&[Compare::above_threshold("standby_replication_lag_bytes")]),
        threshold: Some(268_435_456.0),
        hold: minutes(5),
        keep: minutes(1),
        summary: "The standby is far behind its primary.",
        description: &[
            Part::Text("The standby of pair "),
            Part::Pair,
            Part::Text(" is "),
            Part::Value(Form::Bytes),
            Part::Text(" of WAL behind (limit "),
            Part::Threshold(Form::Bytes),
            Part::Text(
                "). Replication runs; a failover now would have to replay that much or lose what was not received.",
            ),
        ],
        remedy: "1. See at which stage the bytes wait. 2. network: look at the link; standby_disk: at the standby's disk; \
                 replay: at long queries and replay's state on the standby. 3. Wait out a bulk load that is known.",
        reason: Some(Reason::LagHigh),
    },
    forecast::LAG_CEILING,
    Rule {
        name: RuleName::PostgresLagGrowing,
        severity: Severity::Warning,
        about: About::Channel(Channel::Postgres),
        condition: Condition::All(&[
            Compare::holds("standby_postgres_lag_growing"),
            Compare::holds("standby_postgres_established"),
        ]),
        threshold: None,
        hold: minutes(10),
        keep: AT_ONCE,
        summary: "The standby is far behind and falls further behind.",
        description: &[
            Part::Text("The lag of pair "),
            Part::Pair,
            Part::Text(" is large and has been growing for minutes: the standby does not keep up with its primary."),
        ],
        remedy: "1. See at which stage the bytes wait. 2. Remove that bottleneck. 3. If replay is merely slower than the \
                 primary writes, spread the load over time or give the standby faster hardware.",
        reason: Some(Reason::LagGrowing),
    },
    Rule {
        name: RuleName::PostgresLagGrowingAtLowLoad,
        severity: Severity::Critical,
        about: About::Channel(Channel::Postgres),
        condition: Condition::All(&[
            Compare::holds("standby_postgres_lag_growing"),
            Compare::holds("standby_postgres_low_load"),
        ]),
        threshold: None,
        hold: minutes(5),
        keep: AT_ONCE,
        summary: "The standby falls behind although the primary writes little.",
        description: &[
            Part::Text("The lag of pair "),
            Part::Pair,
            Part::Text(
                " is large and grows while the primary writes little. That is no burst: something holds the standby back.",
            ),
        ],
        remedy: "1. See at which stage the bytes wait. 2. network: find what throttles the link. 3. replay: look for a \
                 paused replay, a conflict with a long query, a failing disk on the standby.",
        reason: Some(Reason::LagGrowing),
    },
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
    forecast::WAL_DISK_FULL_SOON,
    Rule {
        name: RuleName::ConfigSyncStale,
        severity: Severity::Warning,
        about: About::Channel(Channel::Config),
        condition: Condition::All(&[Compare::above_threshold("standby_config_sync_age_periods")]),
        threshold: Some(2.0),
        hold: minutes(1),
        keep: AT_ONCE,
        summary: "The configuration on the standby is older than it should be.",
        description: &[
            Part::Text("The last good synchronisation of pair "),
            Part::Pair,
            Part::Text(" started "),
            Part::Value(Form::Plain),
            Part::Text(" periods ago (limit "),
            Part::Threshold(Form::Plain),
            Part::Text(")."),
        ],
        remedy: "1. Look at the job's last exit code. 2. Run the job by hand on the standby and read what it says. \
                 3. Check cron, disk space and the key that it logs in with.",
        reason: Some(Reason::SyncStale),
    },
    Rule {
        name: RuleName::ConfigSyncStale,
        severity: Severity::Critical,
        about: About::Channel(Channel::Config),
        condition: Condition::All(&[Compare {
            metric: "standby_config_sync_age_periods",
            labels: &[],
            operator: Operator::AtLeast,
            bound: Bound::Threshold { plus: 1.0 },
        }]),
        threshold: Some(2.0),
        hold: minutes(1),
        keep: AT_ONCE,
        summary: "The configuration on the standby is no longer synchronised.",
        description: &[
            Part::Text("The last good synchronisation of pair "),
            Part::Pair,
            Part::Text(" started "),
            Part::Value(Form::Plain),
            Part::Text(" periods ago. What changed since on the primary is not on the standby."),
        ],
        remedy: "1. Look at the job's last exit code. 2. Run the job by hand on the standby and read what it says. \
                 3. Check cron, disk space and the key that it logs in with. 4. Copy by hand if a failover is near.",
        reason: Some(Reason::SyncStale),
    },
    Rule {
        name: RuleName::KvstoreWritesBlocked,
        severity: Severity::Critical,
        about: About::Channel(Channel::Kvstore),
        condition: Condition::All(&[Compare::holds("standby_kvstore_writes_blocked")]),
        threshold: None,
        hold: seconds(30),
        keep: AT_ONCE,
        summary: "Writes to the key-value store are blocked or refused.",
        description: &[
            Part::Text("Writes to the key-value store of pair "),
            Part::Pair,
            Part::Text(
                " time out or are refused. A write needs the standby's store first, so the application is blocked too.",
            ),
        ],
        remedy: "1. Check the link from the primary to the standby's store. 2. Check that the standby's store lives, has \
                 memory and disk, and takes writes. 3. If it will not come back soon, take it out of the write path.",
        reason: Some(Reason::Blocked),
    },
    Rule {
        name: RuleName::SearchUnknown,
        severity: Severity::Critical,
        about: About::Channel(Channel::Search),
        condition: Condition::All(&[Compare::holds_not("standby_search_primary_up")]),
        threshold: None,
        hold: minutes(1),
        keep: AT_ONCE,
        summary: "The primary's search engine does not answer, or nobody knows which node is the primary.",
        description: &[
            Part::Text("The search engine that serves pair "),
            Part::Pair,
            Part::Text(" is not known to live. Searches by users may fail."),
        ],
        remedy: "1. Read the channel's reason on the status page. 2. Check the engine on the primary: its service, memory, \
                 disk, log. 3. If the roles are unknown, mend PostgreSQL first.",
        reason: None,
    },
    Rule {
        name: RuleName::SearchRed,
        severity: Severity::Critical,
        about: About::Channel(Channel::Search),
        condition: Condition::All(&[Compare::holds("standby_search_primary_red")]),
        threshold: None,
        hold: AT_ONCE,
        keep: AT_ONCE,
        summary: "The primary's search engine is red: part of its data cannot be searched.",
        description: &[
            Part::Text("The search engine on the primary of pair "),
            Part::Pair,
            Part::Text(" is red. A primary shard is missing; searches give errors or only part of the answer."),
        ],
        remedy: "1. GET _cluster/allocation/explain on the primary's engine. 2. Free disk space, or bring back the node or \
                 disk that held the shard. 3. If the data is gone, rebuild the index from the database.",
        reason: Some(Reason::Red),
    },
    Rule {
        name: RuleName::SearchIndexMissing,
        severity: Severity::Critical,
        about: About::Channel(Channel::Search),
        condition: Condition::All(&[Compare::holds("standby_search_primary_index_missing")]),
        threshold: None,
        hold: AT_ONCE,
        keep: AT_ONCE,
        summary: "A configured index does not exist on the primary's search engine.",
        description: &[
            Part::Text("An index that users of pair "),
            Part::Pair,
            Part::Text(" need does not exist on the primary's search engine."),
        ],
        remedy: "1. See which one: standby_search_index_missing. 2. Check for a rename, a broken alias or a deletion. \
                 3. Restore it from a snapshot or rebuild it from the database.",
        reason: Some(Reason::IndexMissing),
    },
    Rule {
        name: RuleName::AgentDown,
        severity: Severity::Critical,
        about: About::Agent,
        condition: Condition::PrometheusOnly("absent(standby_build_info) or count(up{job=\"standbywatch\"} == 0)"),
        threshold: None,
        hold: minutes(1),
        keep: AT_ONCE,
        summary: "An agent of standbywatch is not scraped: nobody watches.",
        description: &[
            Part::Text("Prometheus gets no numbers from standbywatch"),
            Part::PrometheusOnly(
                "{{ range query \"up{job=\\\"standbywatch\\\"} == 0\" }} {{ .Labels.instance }}{{ end }}",
            ),
            Part::Text(". Until it does, no other rule can fire."),
        ],
        remedy: "1. systemctl status standbywatch on its machine. 2. journalctl -u standbywatch. 3. Check that Prometheus \
                 reaches its port.",
        reason: None,
    },
    Rule {
        name: RuleName::Watchdog,
        severity: Severity::None,
        about: About::Agent,
        condition: Condition::Always,
        threshold: None,
        hold: AT_ONCE,
        keep: AT_ONCE,
        summary: "Always fires, so that its absence tells that alerting itself is broken.",
        description: &[Part::Text("A dead-man's switch: route it to something that complains when it stops.")],
        remedy: "None while it fires. When it stops: check Prometheus or the agent, then Alertmanager, then the way out.",
        reason: None,
    },
];
