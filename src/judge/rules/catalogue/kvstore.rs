//! Rules of the `kvstore` channel.

use super::{AT_ONCE, Rule, minutes, seconds};
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

pub(super) const DIVERGED: Rule = Rule {
    name: RuleName::KvstoreDiverged,
    severity: Severity::Critical,
    about: About::Channel(Channel::Kvstore),
    condition: Condition::All(&[Compare::holds("standby_kvstore_diverged")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "The two key-value stores are not the same.",
    description: &[
        Part::Text("The key-value stores of pair "),
        Part::Pair,
        Part::Text(
            " differ: three canaries running reached one side only, or one that stays has gone from one side, or keys of the \
             application are not the same. A failover would lose writes or bring back old ones.",
        ),
    ],
    remedy: "1. Read on the status page which side lacks what. 2. Do not promote before you know which side is right. \
             3. Find out whether a side was emptied, restarted without its data, or is left out of the write path. \
             4. Copy the data from the side that is right.",
    reason: Some(Reason::Diverged),
};

pub(super) const LOST_WRITE: Rule = Rule {
    name: RuleName::KvstoreLostWrite,
    severity: Severity::Critical,
    about: About::Channel(Channel::Kvstore),
    condition: Condition::All(&[Compare::holds("standby_kvstore_lost_write")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "An acknowledged write to the key-value store is lost.",
    description: &[
        Part::Text("The key-value store of pair "),
        Part::Pair,
        Part::Text(
            " acknowledged a canary that is gone, or holds an older one again: what the application wrote at that time may be \
             lost, too.",
        ),
    ],
    remedy: "1. Look whether a store was restarted, and what it keeps over a restart (append-only file, snapshots). \
             2. Look whether somebody emptied it or restored a backup. 3. Tell the application's owners from when on writes may \
             be missing.",
    reason: Some(Reason::Lost),
};

pub(super) const LINK_DOWN: Rule = Rule {
    name: RuleName::KvstoreLinkDown,
    severity: Severity::Critical,
    about: About::Channel(Channel::Kvstore),
    condition: Condition::All(&[Compare::holds_not("standby_kvstore_link_up")]),
    threshold: None,
    hold: seconds(30),
    keep: AT_ONCE,
    summary: "The port of the standby's key-value store does not answer.",
    description: &[
        Part::Text("The port of the standby's key-value store of pair "),
        Part::Pair,
        Part::Text(
            " does not answer. A write that goes to the standby first blocks; one that does not is not replicated.",
        ),
    ],
    remedy: "1. Check the link from the primary to the standby's store. 2. Check that the store lives and listens there. \
             3. Ask the application's own log whether writes block.",
    reason: None,
};

pub(super) const SLOW: Rule = Rule {
    name: RuleName::KvstoreSlow,
    severity: Severity::Warning,
    about: About::Channel(Channel::Kvstore),
    condition: Condition::All(&[Compare::holds("standby_kvstore_slow")]),
    threshold: None,
    hold: minutes(10),
    keep: AT_ONCE,
    summary: "Writes to the key-value store take longer than agreed.",
    description: &[
        Part::Text("Of 100 canaries of pair "),
        Part::Pair,
        Part::Text(" more than one took longer than the SLA, or acknowledgements are lost on their way."),
    ],
    remedy: "1. Look at which part of the way is slow: the write, the standby, or the primary. 2. Check the link's latency and the \
             stores' load, slow commands and persistence. 3. If the SLA is not what the application needs, set `kvstore.sla`.",
    reason: Some(Reason::Slow),
};

pub(super) const EVICTION: Rule = Rule {
    name: RuleName::KvstoreEviction,
    severity: Severity::Warning,
    about: About::Channel(Channel::Kvstore),
    condition: Condition::All(&[Compare::holds("standby_kvstore_evicted")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "A key-value store throws keys away to make room.",
    description: &[
        Part::Text("A key-value store of pair "),
        Part::Pair,
        Part::Text(
            " has thrown a canary away, as its maxmemory-policy says. It does so with the application's keys, too.",
        ),
    ],
    remedy: "1. If the store is a cache, this is its way: switch the rule off. 2. Else give it memory, or set its \
             maxmemory-policy to noeviction, so that it refuses writes instead of forgetting them.",
    reason: Some(Reason::Evicted),
};
