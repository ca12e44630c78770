//! Rules about whether the standby could be promoted if it had to be.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Bound, Compare, Condition, Operator};
use crate::judge::rules::description::Part;
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const NOT_READY: Rule = Rule {
    name: RuleName::FailoverNotReady,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare {
        metric: "standby_failover_verdict",
        labels: &[("verdict", "not_ready")],
        operator: Operator::Equal,
        bound: Bound::Fixed(1.0),
    }]),
    threshold: None,
    hold: minutes(10),
    keep: AT_ONCE,
    summary: "The standby could not be promoted now.",
    description: &[
        Part::Text("Something is in the way of promoting the standby of pair "),
        Part::Pair,
        Part::Text(" (told once that has lasted for "),
        Part::Hold,
        Part::Text("). If the primary were lost now, nothing could take over."),
    ],
    remedy: "1. Run `standbywatch failover`: it names what is in the way. 2. Mend that, by the alert of its own that it has. \
             3. Run it again until it says ready.",
    // What is in the way has a rule or a reason of its own, but not always of this channel: the key-value stores may differ.
    reason: Some(Reason::FailoverNotReady),
};
