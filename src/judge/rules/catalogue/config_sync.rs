//! Rules of the `config` channel.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Bound, Compare, Condition, Operator};
use crate::judge::rules::description::{Form, Part};
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const SYNC_STALE: Rule = Rule {
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
};

pub(super) const SYNC_STALE_LONG: Rule = Rule {
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
};
