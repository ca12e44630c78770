//! The keys of the `search` channel.

use super::{
    INTERVAL, INTERVAL_DOC, LIMIT, PASSWORD, PASSWORD_ENV, PASSWORD_FILE, STALE_DEFAULT, STALE_DOC, TIMEOUT,
    TIMEOUT_DOC,
};
use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const NODE: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.search",
    keys: &[
        Key::new("url", Kind::Url, "`http://` or `https://`; a path prefix is kept.")
            .required()
            .example("http://10.0.0.{n}:9200"),
        Key::new("user", Kind::Text, "User of the basic authentication."),
        Key::new("password", Kind::Secret, PASSWORD),
        Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
        Key::new("password_env", Kind::Text, PASSWORD_ENV),
        Key::later("api_key_file"),
        Key::later("bearer_file"),
        Key::later("tls"),
    ],
};

pub(super) const CHANNEL: SectionKeys = SectionKeys {
    path: "pairs[].search",
    keys: &[
        Key::new("interval", INTERVAL, INTERVAL_DOC).default("5s"),
        Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
        Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
        Key::new(
            "indices",
            Kind::Texts { most: 20 },
            "Indices or aliases that must be there on the primary; at most 20.",
        )
        .default("[]")
        .example("[catalog]"),
        Key::new("yellow_is_ok", Kind::Flag, "Yellow is no warning: a single node with replicas is yellow for ever.")
            .default("false"),
        Key::new(
            "rebuild_takes",
            Kind::Duration { min: "1s", max: "365d" },
            "How long a rebuild on the standby takes, as you know it.",
        ),
    ],
};
