//! Rules over what an administrator has set: archiving, and what both servers of a pair must have alike.

use super::{AT_ONCE, Rule};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const ARCHIVER_FAILING: Rule = Rule {
    name: RuleName::PostgresArchiverFailing,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare::holds("standby_postgres_archiver_failing")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "The primary cannot archive its WAL.",
    description: &[
        Part::Text("The last attempt of the primary of pair "),
        Part::Pair,
        Part::Text(
            " to archive WAL failed. Until one succeeds it keeps all of it, so its disk fills, and the archive has a hole at its end.",
        ),
    ],
    remedy: "1. Read the primary's log: it has what archive_command said. 2. Check the archive's disk, rights and way. \
             3. Watch standby_postgres_archive_ready_files fall. 4. Look how much room the primary's disk has left.",
    reason: Some(Reason::ArchiverFailing),
};

pub(super) const SETTINGS_PARITY: Rule = Rule {
    name: RuleName::SettingsParity,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare::holds("standby_postgres_settings_differ")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "The standby is not set as its primary is, where it must be.",
    description: &[
        Part::Text("A standby of pair "),
        Part::Pair,
        Part::Text(
            " has a setting lower than its primary that may not be, or other data checksums, or another major version. Its replay may stop, \
             it may not start again, or it may carry less load once it is promoted.",
        ),
    ],
    remedy: "1. Read on the status page which it is, and both values. 2. On the standby set it to the primary's value or higher, \
             and restart the standby. 3. From now on raise such a setting on the standby first, and lower it on the primary first.",
    reason: Some(Reason::SettingsParity),
};
