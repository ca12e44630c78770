//! Every key of the configuration, declared once: the walk, the printed documents and the example read this table.

mod alerts;
mod config_sync;
mod kvstore;
mod peer;
mod postgres;
mod search;

use super::key::{Key, Kind, SectionKeys};

const INTERVAL: Kind = Kind::Duration { min: "100ms", max: "1h" };
const TIMEOUT: Kind = Kind::Duration { min: "50ms", max: "5m" };
const LIMIT: Kind = Kind::Duration { min: "1s", max: "30d" };

const PASSWORD: &str = "The password itself. Prefer a file: whoever reads this file reads it too.";
const PASSWORD_FILE: &str = "A file whose first line is the password. It is read anew at each connect, and may begin \
                             with `${CREDENTIALS_DIRECTORY}` (systemd's `LoadCredential=`).";
const PASSWORD_ENV: &str = "The environment variable that holds the password.";
const INTERVAL_DOC: &str = "From the start of one probe to the start of the next.";
const TIMEOUT_DOC: &str = "One deadline for connecting and answering together.";
const STALE_DOC: &str = "A reading that no other has followed counts for this long.";
const STALE_DEFAULT: &str = "3 × interval + timeout";

/// The table, in the order of the documents. `[]` in a path is any entry of a list, `*` any name.
/// The sections, in the order of the documents, each with the keys that stand directly in it. In a path `[]` is any
/// entry of a list and `*` any name.
pub(super) const SECTIONS: &[SectionKeys] = &[
    SectionKeys {
        path: "",
        keys: &[
            Key::new("pairs", Kind::List, "The pairs that are watched; at least one.").required(),
            Key::new("rules", Kind::Named, "Changes of single alert rules, by their full names."),
            Key::new(
                "alerting",
                Kind::Section,
                "Push alerts to Alertmanager. Only where no Prometheus evaluates the rules: with both, one resolves \
                 what the other still fires.",
            ),
            Key::new("peer", Kind::Section, "How the agents of a pair know each other, where nodes name an `agent`."),
        ],
    },
    SectionKeys {
        path: "pairs[]",
        keys: &[
            Key::new("name", Kind::Name, "What the pair is called in labels, pages and alerts.")
                .required()
                .example("catalog"),
            Key::new(
                "nodes",
                Kind::Named,
                "The machines of the pair, two or more, by name. A name says nothing of the role: that is observed.",
            )
            .required(),
            Key::new("postgres", Kind::Section, "Limits of the `postgres` channel."),
            Key::new("config", Kind::Section, "How configuration is synced."),
            Key::new("kvstore", Kind::Section, "How the key-value store is written."),
            Key::new("search", Kind::Section, "What is expected of the search engines."),
            Key::new("rpo", Kind::Section, "The loss that is acceptable at a promotion."),
            Key::new(
                "role_from",
                Kind::Section,
                "How roles are known where there is no `postgres` channel; one of the three.",
            ),
        ],
    },
    SectionKeys {
        path: "pairs[].nodes.*",
        keys: &[
            peer::AGENT,
            Key::new("postgres", Kind::Section, "The node's PostgreSQL server. Either every node has one or none."),
            Key::new("kvstore", Kind::Section, "The node's key-value store. Either every node has one or none."),
            Key::new(
                "search",
                Kind::Section,
                "The node's Elasticsearch or OpenSearch. Either every node has one or none.",
            ),
            Key::new(
                "config",
                Kind::Section,
                "The node's copy of the configuration tree. Either every node has one or none.",
            ),
        ],
    },
    postgres::NODE,
    postgres::TLS,
    postgres::REPLICA,
    kvstore::NODE,
    kvstore::SECTIONS[0],
    kvstore::SECTIONS[1],
    kvstore::SECTIONS[2],
    kvstore::SECTIONS[3],
    kvstore::SECTIONS[4],
    kvstore::SECTIONS[5],
    kvstore::SECTIONS[6],
    kvstore::SECTIONS[7],
    search::NODE,
    search::TLS,
    config_sync::NODE,
    postgres::CHANNEL,
    postgres::STATUS_ACCESS,
    config_sync::CHANNEL,
    kvstore::CHANNEL,
    kvstore::LANES,
    kvstore::SECTIONS[8],
    kvstore::SECTIONS[9],
    kvstore::SECTIONS[10],
    kvstore::SECTIONS[11],
    kvstore::SECTIONS[12],
    kvstore::SECTIONS[13],
    kvstore::SECTIONS[14],
    kvstore::SECTIONS[15],
    kvstore::SECTIONS[16],
    search::CHANNEL,
    search::EXPECTED,
    SectionKeys {
        path: "pairs[].rpo",
        keys: &[
            Key::new("bytes", Kind::Size, "In WAL.").default("16MiB"),
            Key::new(
                "age",
                Kind::Duration { min: "0s", max: "30d" },
                "In time, until now: what may have been written since the servers were asked last counts, too.",
            )
            .default("10s"),
        ],
    },
    SectionKeys {
        path: "pairs[].role_from",
        keys: &[
            Key::new("fixed", Kind::Text, "This node is the primary, always."),
            Key::new("file", Kind::Path, "A file whose first word is the name of the node that is the primary."),
            Key::new(
                "exec",
                Kind::Texts { most: 32 },
                "A program and its arguments, run each 5 s for at most 4 s; the first word that it prints is the name of the node \
                 that is the primary. Any exit code but 0 names nobody.",
            ),
        ],
    },
    alerts::RULE,
    alerts::ALERTING,
    alerts::ACCESS,
    peer::PEER,
];
