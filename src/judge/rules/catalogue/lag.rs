//! Rules about how far the standby is behind.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::{Form, Part};
use crate::names::{Channel, Reason, RuleName, Severity};

pub(super) const LAG_HIGH: Rule = Rule {
    name: RuleName::PostgresLagHigh,
    severity: Severity::Warning,
    about: About::Channel(Channel::Postgres),
    condition: Condition::All(&[Compare::above_threshold("standby_replication_undelayed_lag_bytes")]),
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
        Part::Text("). Replication runs; a failover now would have to replay that much or lose what was not received."),
    ],
    remedy: "1. See at which stage the bytes wait. 2. network: look at the link; standby_disk: at the standby's disk; \
             replay: at long queries and replay's state on the standby. 3. Wait out a bulk load that is known.",
    reason: Some(Reason::LagHigh),
};

pub(super) const LAG_GROWING: Rule = Rule {
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
        Part::Text(" is large and grows (told once that has lasted for "),
        Part::Hold,
        Part::Text("): the standby does not keep up with its primary."),
    ],
    remedy: "1. See at which stage the bytes wait. 2. Remove that bottleneck. 3. If replay is merely slower than the \
             primary writes, spread the load over time or give the standby faster hardware.",
    reason: Some(Reason::LagGrowing),
};

pub(super) const LAG_GROWING_AT_LOW_LOAD: Rule = Rule {
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
};
