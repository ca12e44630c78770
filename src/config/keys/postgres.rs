//! The keys of the `postgres` channel.

use super::{
    INTERVAL, INTERVAL_DOC, LIMIT, PASSWORD, PASSWORD_ENV, PASSWORD_FILE, STALE_DEFAULT, STALE_DOC, TIMEOUT,
    TIMEOUT_DOC,
};
use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const NODE: SectionKeys = SectionKeys {
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
            "What this node is as a standby: what its walsender is recognised by (at most one of the three; without \
             one, the slot or name that the standby itself reports is looked for), and its delay, if it has one.",
        ),
    ],
};

pub(super) const TLS: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.postgres.tls",
    keys: &[
        Key::new(
            "mode",
            Kind::OneOf(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
            "libpq's `sslmode`.",
        )
        .default("prefer"),
        Key::new(
            "root_certificate",
            Kind::Path,
            "Certificates to trust beside the system's. To trust these alone, name the same file as `SSL_CERT_FILE` in \
             the agent's environment, by which its HTTPS goes, too; with `verify-ca` do so in any case, since whoever \
             has a certificate from an authority of the system's passes for the server there.",
        ),
        Key::new("certificate", Kind::Path, "Client certificate; needs `key`."),
        Key::new("key", Kind::Path, "Key of the client certificate."),
    ],
};

pub(super) const REPLICA: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.postgres.replica",
    keys: &[
        Key::new("slot", Kind::Text, "The replication slot that it streams from: a to z, 0 to 9 and `_`, at most 63."),
        Key::new(
            "application_name",
            Kind::Text,
            "The `application_name` in its `primary_conninfo`, or as `pg_stat_replication` shows it: PostgreSQL keeps 63 \
             bytes and shows no letter beyond ASCII as it is, so that two such names may look alike there.",
        ),
        Key::new("client_addr", Kind::Text, "The address that it connects from."),
        Key::new(
            "apply_delay",
            Kind::Duration { min: "1s", max: "24h" },
            "It is a delayed standby, its `recovery_min_apply_delay` at most this: lag that is younger raises nothing. \
             The primary's positions are remembered for 24 hours.",
        ),
    ],
};

pub(super) const CHANNEL: SectionKeys = SectionKeys {
    path: "pairs[].postgres",
    keys: &[
        Key::new("interval", INTERVAL, INTERVAL_DOC).default("1s"),
        Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
        Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
        Key::new("lag_large", Kind::Size, "A lag from here on counts as large; only a large lag can be a growing one.")
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
        Key::new("stall_after", LIMIT, "WAL that is sent and not received for this long is a stall.").default("15s"),
        Key::new("stuck_after", LIMIT, "Replay that stands still for this long with WAL to replay is stuck.")
            .default("10m"),
        Key::new(
            "reconnect_every",
            LIMIT,
            "The session is replaced this often: only a new one sees a changed password or a full server.",
        )
        .default("10m"),
        Key::new(
            "pulse",
            Kind::Duration { min: "1s", max: "5m" },
            "The primary writes an empty message of 64 bytes into its WAL this often, so that a standby which no \
             longer answers is told at once. Off if left out: it keeps an idle server from being idle.",
        ),
        Key::new(
            "status_url",
            Kind::Url,
            "The vendor's own `/monitor/replication`, for servers that cannot be asked: no node has a `postgres` \
             section then. What it says is believed, marked as the vendor's word, and never proven.",
        ),
        Key::new("status_access", Kind::Section, "How the page of `status_url` is asked."),
        Key::new(
            "replication",
            Kind::OneOf(&["streaming", "archive"]),
            "How WAL comes to the standbys. `archive`: by files that `restore_command` fetches (log shipping); a standby \
             that streams all the same is judged by its stream.",
        )
        .default("streaming"),
        Key::new(
            "archive_period",
            LIMIT,
            "With `replication: archive`: a standby must have replayed what the primary could ship so long ago.",
        )
        .default("5m"),
    ],
};

pub(super) const STATUS_ACCESS: SectionKeys = SectionKeys {
    path: "pairs[].postgres.status_access",
    keys: &[
        Key::new("user", Kind::Text, "User of the basic authentication."),
        Key::new("password", Kind::Secret, PASSWORD),
        Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
        Key::new("password_env", Kind::Text, PASSWORD_ENV),
        Key::new("root_certificate", Kind::Path, "Certificates to trust instead of the system's, in PEM."),
    ],
};
