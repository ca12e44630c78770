//! The keys of the `kvstore` channel.

use super::{
    INTERVAL, INTERVAL_DOC, LIMIT, PASSWORD, PASSWORD_ENV, PASSWORD_FILE, STALE_DEFAULT, STALE_DOC, TIMEOUT,
    TIMEOUT_DOC,
};
use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const NODE: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.kvstore",
    keys: &[
        Key::new("redis", Kind::Section, "A Redis, Valkey or KeyDB server.").required(),
        Key::later("http"),
        Key::later("exec"),
        Key::later("tcp"),
    ],
};

pub(super) const REDIS: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.kvstore.redis",
    keys: &[
        Key::new("address", Kind::Text, "`host:port`.").required().example("10.0.0.{n}:6379"),
        Key::new("user", Kind::Text, "ACL user."),
        Key::new("password", Kind::Secret, PASSWORD),
        Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
        Key::new("password_env", Kind::Text, PASSWORD_ENV),
        Key::new("database", Kind::Count { min: 0, max: 1_000_000 }, "Database number.").default("0"),
        Key::later("tls"),
    ],
};

pub(super) const CHANNEL: SectionKeys = SectionKeys {
    path: "pairs[].kvstore",
    keys: &[
        Key::new("interval", INTERVAL, INTERVAL_DOC).default("5s"),
        Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
        Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
        Key::new("order", Kind::OneOf(&["standby-first"]), "Which store the application writes first.")
            .default("standby-first"),
        Key::new("sla", Kind::Duration { min: "1ms", max: "1h" }, "A write should be on both sides within this time.")
            .default("250ms"),
        Key::new("prefix", Kind::Text, "First part of the keys of the probe's own writes.").default("standbywatch"),
        Key::later("observe"),
        Key::later("write_via"),
    ],
};
