//! The keys of rules and alerting.

use super::{PASSWORD, PASSWORD_ENV, PASSWORD_FILE};
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
        Key::new(
            "on_resolve",
            Kind::OneOf(&["expire", "send"]),
            "What ends an alert in Alertmanager: three minutes in which nobody sends it any more, or the agent's word at once. \
             The word of one agent ends the alert that another still fires: `send` only where there is a single agent.",
        )
        .default("expire"),
        Key::new(
            "heartbeat",
            Kind::Url,
            "Called (GET) on each minute in which every pair is looked at and an Alertmanager takes alerts: a dead-man's \
             switch of somebody else, who complains when it is not called for some minutes.",
        ),
        Key::new("access", Kind::Section, "How the Alertmanagers are asked; holds for all of them."),
    ],
};

pub(super) const ACCESS: SectionKeys = SectionKeys {
    path: "alerting.access",
    keys: &[
        Key::new("user", Kind::Text, "User of the basic authentication."),
        Key::new("password", Kind::Secret, PASSWORD),
        Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
        Key::new("password_env", Kind::Text, PASSWORD_ENV),
        Key::new("bearer_file", Kind::SecretFile, "A file whose first line is a bearer token; read anew at each push."),
        Key::new("root_certificate", Kind::Path, "Certificates to trust instead of the system's, in PEM."),
    ],
};
