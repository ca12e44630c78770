//! The keys of rules and alerting.

use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const RULE: SectionKeys = SectionKeys {
    path: "rules.*",
    keys: &[
        Key::new(
            "for",
            Kind::Duration { min: "0s", max: "30d" },
            "How long the condition must hold before the alert fires.",
        )
        .described_default("the rule's"),
        Key::new(
            "threshold",
            Kind::Threshold,
            "The condition's limit where it has one: a size for a rule over bytes, a time for one over seconds, a number \
             of periods for `StandbyConfigSyncStale`.",
        )
        .described_default("the rule's"),
        Key::new("enabled", Kind::Flag, "`false` switches the rule off.").default("true"),
    ],
};

pub(super) const ALERTING: SectionKeys = SectionKeys {
    path: "alerting",
    keys: &[
        Key::new("alertmanagers", Kind::Texts { most: 20 }, "Base URLs of every Alertmanager, never of a balancer.")
            .required()
            .example("[http://10.0.0.9:9093]"),
        Key::new("external_labels", Kind::Labels, "Labels that are added to every alert; the same on every agent.")
            .default("{}"),
        Key::later("on_resolve"),
        Key::later("heartbeat_url"),
        Key::later("tls"),
        Key::later("basic_auth"),
        Key::later("bearer_file"),
    ],
};
