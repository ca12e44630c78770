//! Every key of the configuration, declared once: the walk, the printed documents and the example read this table.

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
            Key::later("peer"),
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
                "How roles are known where there is no `postgres` channel; one of the two.",
            ),
        ],
    },
    SectionKeys {
        path: "pairs[].nodes.*",
        keys: &[
            Key::later("agent"),
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
    SectionKeys {
        path: "pairs[].nodes.*.postgres",
        keys: &[
            Key::new(
                "url",
                Kind::Url,
                "All of it in one: `postgres://user@host:port/database?sslmode=require`, instead of the keys below.",
            ),
            Key::new(
                "host",
                Kind::Text,
                "Host name, address, or the directory of a Unix socket. Needed unless `url` is given.",
            )
            .example("10.0.0.{n}"),
            Key::new("port", Kind::Count { min: 1, max: 65_535 }, "Its port.").default("5432"),
            Key::new("user", Kind::Text, "The role that probes; `deploy/monitoring-role.sql` creates it.")
                .default("standbywatch"),
            Key::new("database", Kind::Text, "The database to connect to.").default("postgres"),
            Key::new("password", Kind::Secret, PASSWORD),
            Key::new("password_file", Kind::SecretFile, PASSWORD_FILE).example("/etc/standbywatch/pg"),
            Key::new(
                "password_env",
                Kind::Text,
                "The environment variable that holds the password. With no password at all, `PGPASSWORD` is used, \
                 then `.pgpass`.",
            ),
            Key::new("tls", Kind::Section, "How the connection is encrypted."),
            Key::new(
                "replica",
                Kind::Section,
                "What this node's walsender is recognised by while it is a standby; one of the three. Without it, \
                 the slot or name that the standby itself reports is looked for.",
            ),
        ],
    },
    SectionKeys {
        path: "pairs[].nodes.*.postgres.tls",
        keys: &[
            Key::new(
                "mode",
                Kind::OneOf(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
                "libpq's `sslmode`.",
            )
            .default("prefer"),
            Key::new("root_certificate", Kind::Path, "Certificates to trust instead of the system's."),
            Key::new("certificate", Kind::Path, "Client certificate; needs `key`."),
            Key::new("key", Kind::Path, "Key of the client certificate."),
        ],
    },
    SectionKeys {
        path: "pairs[].nodes.*.postgres.replica",
        keys: &[
            Key::new("slot", Kind::Text, "The replication slot that it streams from."),
            Key::new("application_name", Kind::Text, "The `application_name` in its `primary_conninfo`."),
            Key::new("client_addr", Kind::Text, "The address that it connects from."),
        ],
    },
    SectionKeys {
        path: "pairs[].nodes.*.kvstore",
        keys: &[
            Key::new("redis", Kind::Section, "A Redis, Valkey or KeyDB server.").required(),
            Key::later("http"),
            Key::later("exec"),
            Key::later("tcp"),
        ],
    },
    SectionKeys {
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
    },
    SectionKeys {
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
    },
    SectionKeys {
        path: "pairs[].nodes.*.config",
        keys: &[
            Key::new("root", Kind::Path, "The tree that rsync keeps in step.").required().example("/opt/app/conf"),
            Key::new(
                "timestamp_file",
                Kind::Path,
                "Written by the job on the standby after success: seconds since 1970 or RFC 3339 inside, or empty \
                 and touched. Not inside `root`.",
            ),
            Key::later("beacon"),
        ],
    },
    SectionKeys {
        path: "pairs[].postgres",
        keys: &[
            Key::new("interval", INTERVAL, INTERVAL_DOC).default("1s"),
            Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
            Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
            Key::new(
                "lag_large",
                Kind::Size,
                "A lag from here on counts as large; only a large lag can be a growing one.",
            )
            .default("64MiB"),
            Key::new("trend_window", LIMIT, "The time over which a trend is taken.").default("5m"),
            Key::new(
                "slot_window",
                LIMIT,
                "The time over which it is measured how fast a replication slot uses up its room; nothing is told before.",
            )
            .default("10m"),
            Key::new(
                "initial_sync",
                LIMIT,
                "A replication that is younger than this may still be catching up with its first copy.",
            )
            .default("24h"),
            Key::new("low_load", Kind::Size, "Less WAL than this per second counts as low load.").default("1MiB"),
            Key::new("stall_after", LIMIT, "WAL that is sent and not received for this long is a stall.")
                .default("15s"),
            Key::new("stuck_after", LIMIT, "Replay that stands still for this long with WAL to replay is stuck.")
                .default("10m"),
            Key::new(
                "reconnect_every",
                LIMIT,
                "The session is replaced this often: only a new one sees a changed password or a full server.",
            )
            .default("10m"),
            Key::later("archive_period"),
            Key::later("replication"),
        ],
    },
    SectionKeys {
        path: "pairs[].config",
        keys: &[
            Key::new("interval", INTERVAL, INTERVAL_DOC).default("5s"),
            Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
            Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
            Key::new("period", Kind::Duration { min: "1s", max: "31d" }, "How often the job runs.").default("1m"),
            Key::new(
                "wrapper",
                Kind::Flag,
                "The job runs rsync as `standbywatch rsync -- …`, whose record is read from the state directory. \
                 Without it a node must name a `timestamp_file`.",
            )
            .default("false")
            .example("true"),
            Key::later("exclude"),
            Key::later("include"),
        ],
    },
    SectionKeys {
        path: "pairs[].kvstore",
        keys: &[
            Key::new("interval", INTERVAL, INTERVAL_DOC).default("5s"),
            Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
            Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
            Key::new("order", Kind::OneOf(&["standby-first"]), "Which store the application writes first.")
                .default("standby-first"),
            Key::new(
                "sla",
                Kind::Duration { min: "1ms", max: "1h" },
                "A write should be on both sides within this time.",
            )
            .default("250ms"),
            Key::new("prefix", Kind::Text, "First part of the keys of the probe's own writes.").default("standbywatch"),
            Key::later("observe"),
            Key::later("write_via"),
        ],
    },
    SectionKeys {
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
            Key::new(
                "yellow_is_ok",
                Kind::Flag,
                "Yellow is no warning: a single node with replicas is yellow for ever.",
            )
            .default("false"),
            Key::new(
                "rebuild_takes",
                Kind::Duration { min: "1s", max: "365d" },
                "How long a rebuild on the standby takes, as you know it.",
            ),
        ],
    },
    SectionKeys {
        path: "pairs[].rpo",
        keys: &[
            Key::new("bytes", Kind::Size, "In WAL.").default("16MiB"),
            Key::new("age", Kind::Duration { min: "0s", max: "30d" }, "In time.").default("10s"),
        ],
    },
    SectionKeys {
        path: "pairs[].role_from",
        keys: &[
            Key::new("fixed", Kind::Text, "This node is the primary, always."),
            Key::new("file", Kind::Path, "A file whose first word is the name of the node that is the primary."),
            Key::later("exec"),
        ],
    },
    SectionKeys {
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
    },
    SectionKeys {
        path: "alerting",
        keys: &[
            Key::new(
                "alertmanagers",
                Kind::Texts { most: 20 },
                "Base URLs of every Alertmanager, never of a balancer.",
            )
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
    },
];
