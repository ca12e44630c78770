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
        Key::new(
            "api_key_file",
            Kind::SecretFile,
            "A file whose first line is an API key, as `Authorization: ApiKey …` takes it.",
        ),
        Key::new("bearer_file", Kind::SecretFile, "A file whose first line is a bearer token."),
        Key::new("tls", Kind::Section, "Certificates, for a `url` that begins with `https://`."),
    ],
};

pub(super) const TLS: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.search.tls",
    keys: &[
        Key::new("root_certificate", Kind::Path, "Certificates to trust instead of the system's."),
        Key::new("certificate", Kind::Path, "The agent's own certificate, where the engine wants one."),
        Key::new("key", Kind::Path, "The key of that certificate."),
    ],
};

pub(super) const EXPECTED: SectionKeys = SectionKeys {
    path: "pairs[].search.expected.*",
    keys: &[
        Key::new(
            "sql",
            Kind::Text,
            "A query whose answer is how many documents there should be, such as `SELECT count(*) FROM items`. It is asked on \
             the primary, by the role and the way of its `postgres` section, over a session of its own that may only read; tables outside of `public` are named with their schema.",
        ),
        Key::new("timeout", TIMEOUT, "The query may take this long.").default("30s"),
        Key::new("period", Kind::Duration { min: "1s", max: "7d" }, "From one such query to the next.").default("10m"),
        Key::new(
            "documents",
            Kind::Count { min: 1, max: 1_000_000_000_000 },
            "How many documents there should be, while the query does not tell.",
        ),
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
            "How long a rebuild on the standby takes, as you know it. It is told until one was measured.",
        ),
        Key::new(
            "expected",
            Kind::Named,
            "How many documents an index should hold, by the names in `indices`. Without an entry: as many as the primary's had when \
             they were last counted.",
        ),
        Key::new(
            "drift_percent",
            Kind::Count { min: 1, max: 50 },
            "An index whose documents differ by no more than this from what is expected is whole.",
        )
        .default("5"),
        Key::new(
            "count_every",
            Kind::Duration { min: "1s", max: "1d" },
            "Documents are counted this often at most (a count is a search), and never during a rebuild.",
        )
        .default("5m"),
        Key::new(
            "rate_window",
            Kind::Duration { min: "2s", max: "1d" },
            "The rate of a rebuild is that of this time; for its first half, no time left is told.",
        )
        .default("10m"),
        Key::new("rebuild_stalls_after", LIMIT, "A rebuild that has written nothing for so long has stalled.")
            .default("15m"),
    ],
};
