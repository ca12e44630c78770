//! Rules about whether anything replicates at all.

use super::{AT_ONCE, Rule, minutes, seconds};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const UNKNOWN: Rule = Rule {
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
    remedy: "1. Read the channel's reason: `standbywatch status`, or the status page. 2. Check that both nodes and the link \
             between them live. 3. Follow the runbook for that reason. 4. Do not promote before you know what would be lost.",
    reason: None,
};

pub(super) const NO_PRIMARY: Rule = Rule {
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
    remedy: "1. Try to reach the primary yourself. 2. If it lives, mend the way to it. 3. If it is gone, run `standbywatch \
             failover`: it tells what a promotion would lose and each step in its order, first that the old primary is fenced.",
    reason: Some(Reason::NoPrimary),
};

pub(super) const ROLES_CHANGED: Rule = Rule {
    name: RuleName::RolesChanged,
    severity: Severity::Info,
    about: About::Pair,
    condition: Condition::All(&[Compare::holds("standby_postgres_roles_changed")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "Another node is the primary now: a promotion took place.",
    description: &[
        Part::Text("The primary of pair "),
        Part::Pair,
        Part::Text(" became another node within the last half hour."),
    ],
    remedy: "1. If nobody promoted it on purpose, find out who did, and whether the former primary is down. 2. Rejoin the former primary \
             as a standby, or rebuild it. 3. Turn the copying of the configuration and the key-value store's writes round, and \
             rebuild the search index.",
    reason: None,
};
