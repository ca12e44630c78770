//! Rules of the `kvstore` channel.

use super::{AT_ONCE, Rule, seconds};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const WRITES_BLOCKED: Rule = Rule {
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
};
