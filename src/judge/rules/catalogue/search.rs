//! Rules of the `search` channel.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Bound, Compare, Condition, Operator};
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
    // An engine that has just started answers before it has opened its shards (measured: five seconds with one small index): that is no
    // more news than an engine that does not answer for so long.
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "The primary's search engine is red: part of its data cannot be searched.",
    description: &[
        Part::Text("The search engine on the primary of pair "),
        Part::Pair,
        Part::Text(" is red (told once that has lasted for "),
        Part::Hold,
        Part::Text("). A primary shard is missing; searches give errors or only part of the answer."),
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
    // Jobs that index everything anew begin by deleting, and create the index right after it (measured: half a second).
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "A configured index does not exist on the primary's search engine.",
    description: &[
        Part::Text("An index that users of pair "),
        Part::Pair,
        Part::Text(" need does not exist on the primary's search engine (told once that has lasted for "),
        Part::Hold,
        Part::Text(")."),
    ],
    remedy: "1. See which one: standby_search_index_missing. 2. Check for a rename, a broken alias or a deletion. \
             3. Restore it from a snapshot or rebuild it from the database.",
    reason: Some(Reason::IndexMissing),
};

pub(super) const READ_ONLY: Rule = Rule {
    name: RuleName::SearchReadOnly,
    severity: Severity::Critical,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare::holds("standby_search_primary_read_only")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "An index on the primary's search engine takes no writes.",
    description: &[
        Part::Text("An index that users of pair "),
        Part::Pair,
        Part::Text(
            " need is blocked for writing on the primary's search engine. What changes in the database is no longer found by searches.",
        ),
    ],
    remedy: "1. GET _cluster/allocation/explain and _cat/allocation on the primary's engine: is its disk full? 2. Free disk space. \
             3. If the block stays, set index.blocks.read_only_allow_delete (or the block that is set) to null.",
    reason: Some(Reason::ReadOnly),
};

pub(super) const DISK_HIGH: Rule = Rule {
    name: RuleName::SearchDiskHigh,
    severity: Severity::Critical,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare::holds("standby_search_primary_disk_high")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "A disk of the primary's search engine is over the high watermark.",
    description: &[
        Part::Text("A disk of the search engine on the primary of pair "),
        Part::Pair,
        Part::Text(" is over the engine's high watermark. At the flood stage its indices take no writes any more."),
    ],
    remedy: "1. GET _cat/allocation on the primary's engine. 2. Free disk space: old indices, logs, snapshots. 3. Only if the disk is \
             large enough for it, raise cluster.routing.allocation.disk.watermark.high.",
    reason: Some(Reason::DiskHigh),
};

pub(super) const YELLOW: Rule = Rule {
    name: RuleName::SearchYellow,
    severity: Severity::Warning,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare::holds("standby_search_primary_yellow")]),
    threshold: None,
    hold: minutes(30),
    keep: AT_ONCE,
    summary: "The primary's search engine is yellow: some copies of its data have no home.",
    description: &[
        Part::Text("The search engine on the primary of pair "),
        Part::Pair,
        Part::Text(" is yellow (told once that has lasted for "),
        Part::Hold,
        Part::Text("). Everything is found, but the loss of one more disk may lose data."),
    ],
    remedy: "1. GET _cluster/allocation/explain. 2. Bring back the missing node. 3. On a single node, set number_of_replicas to 0, or \
             yellow_is_ok in the pair's search section.",
    reason: Some(Reason::Yellow),
};

pub(super) const DOCUMENTS_DRIFT: Rule = Rule {
    name: RuleName::SearchDocumentsDrift,
    severity: Severity::Warning,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare::holds("standby_search_documents_drift")]),
    threshold: None,
    hold: minutes(30),
    keep: AT_ONCE,
    summary: "The primary's search index does not hold as many documents as expected.",
    description: &[
        Part::Text("An index on the primary's search engine of pair "),
        Part::Pair,
        Part::Text(
            " holds more or fewer documents than expected. Searches miss something, or find what is no longer there.",
        ),
    ],
    remedy: "1. Compare standby_search_documents with standby_search_expected_documents. 2. Read the log of the job that indexes. \
             3. If much is missing, rebuild the index from the database. 4. If what is expected is wrong, correct search.expected.",
    reason: Some(Reason::DocumentsDrift),
};

pub(super) const STANDBY_UNKNOWN: Rule = Rule {
    name: RuleName::SearchStandbyUnknown,
    severity: Severity::Warning,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare::holds_not("standby_search_standby_up")]),
    threshold: None,
    hold: minutes(30),
    keep: AT_ONCE,
    summary: "The search engine on a standby does not answer.",
    description: &[
        Part::Text("The search engine on a standby of pair "),
        Part::Pair,
        Part::Text(" is not known to live. After a failover there would be nothing to rebuild the index in."),
    ],
    remedy: "1. Read which node it is on the status page. 2. Start the engine there, and look at its memory, disk and log. 3. Check that \
             the agent may reach it.",
    reason: Some(Reason::PeerUnreachable),
};

pub(super) const REBUILD_STALLED: Rule = Rule {
    name: RuleName::SearchRebuildStalled,
    severity: Severity::Critical,
    about: About::Channel(Channel::Search),
    condition: Condition::All(&[Compare {
        metric: "standby_search_rebuild_state",
        labels: &[("state", "stalled")],
        operator: Operator::Equal,
        bound: Bound::Fixed(1.0),
    }]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "The rebuild of the primary's search index has stopped before its end.",
    description: &[
        Part::Text("The rebuild of the search index on the primary of pair "),
        Part::Pair,
        Part::Text(" has written nothing for long, and documents are still missing."),
    ],
    remedy: "1. Look at the job that rebuilds: does it run, and what does its log say? 2. Check the engine: disk, memory, a block on the \
             index. 3. Start the job again. 4. If all is there and fewer are right now, set search.expected.",
    reason: Some(Reason::RebuildStalled),
};
