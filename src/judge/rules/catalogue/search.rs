//! Rules of the `search` channel.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const UNKNOWN: Rule = Rule {
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
};

pub(super) const RED: Rule = Rule {
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
};

pub(super) const INDEX_MISSING: Rule = Rule {
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
};
