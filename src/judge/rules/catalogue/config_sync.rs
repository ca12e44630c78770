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

pub(super) const SYNC_FAILING: Rule = Rule {
    name: RuleName::ConfigSyncFailing,
    severity: Severity::Warning,
    about: About::Channel(Channel::Config),
    condition: Condition::All(&[Compare {
        metric: "standby_config_sync_consecutive_failures",
        labels: &[],
        operator: Operator::AtLeast,
        bound: Bound::Fixed(3.0),
    }]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "The job that copies the configuration fails.",
    description: &[
        Part::Text("The last "),
        Part::Value(Form::Plain),
        Part::Text(" runs of the synchronisation of pair "),
        Part::Pair,
        Part::Text(" failed. The status page has the last exit code."),
    ],
    remedy: "1. Look at the last exit code on the status page. 2. Run the job by hand on the standby, as its user, and read what it \
             says. 3. 11 is a full disk, 23 rights, 255 ssh, 10, 12, 30 and 35 the connection.",
    reason: Some(Reason::SyncFailing),
};

pub(super) const DRIFT: Rule = Rule {
    name: RuleName::ConfigDrift,
    severity: Severity::Warning,
    about: About::Channel(Channel::Config),
    condition: Condition::All(&[Compare {
        metric: "standby_config_drifted_files",
        labels: &[],
        operator: Operator::Above,
        bound: Bound::Fixed(0.0),
    }]),
    threshold: None,
    // That it lasts is judged in evidence: a difference counts after two periods.
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "Files on the standby differ from the primary's.",
    description: &[
        Part::Value(Form::Plain),
        Part::Text(" files of the configuration of pair "),
        Part::Pair,
        Part::Text(" have differed for two periods. The status page names them."),
    ],
    remedy: "1. See on the status page which files differ, and how. 2. Compare them on both nodes and decide which is right. 3. Put the \
             right one on the primary and run the job, with --checksum if size and time are the same.",
    reason: Some(Reason::Drift),
};
