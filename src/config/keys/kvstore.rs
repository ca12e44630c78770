//! The keys of the `kvstore` channel.

use super::{
    INTERVAL, INTERVAL_DOC, LIMIT, PASSWORD, PASSWORD_ENV, PASSWORD_FILE, STALE_DEFAULT, STALE_DOC, TIMEOUT,
    TIMEOUT_DOC,
};
use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const NODE: SectionKeys = SectionKeys {
    path: "pairs[].nodes.*.kvstore",
    keys: &[
        Key::new("redis", Kind::Section, "A Redis, Valkey or KeyDB server."),
        Key::new("http", Kind::Section, "A store that is asked over HTTP: etcd's gateway, Consul, a vendor's API."),
        Key::new("exec", Kind::Section, "Commands that write and read a key, for any other store."),
        Key::new("tcp", Kind::Section, "Only the port of a store whose protocol is closed. Proves no replication."),
        Key::new(
            "local",
            Kind::Flag,
            "Nobody but this node's own agent reaches the store; the other agents ask that one. `false` where a loopback address \
             leads to this very store on every node, for example through a tunnel.",
        )
        .described_default("true where the node has an `agent` and the store's address is loopback"),
    ],
};

const fn redis(example: &'static str) -> [Key; 7] {
    [
        Key::new("address", Kind::Text, "`host:port`, or `unix:/path` of a socket on the node itself.")
            .required()
            .example(example),
        Key::new("user", Kind::Text, "ACL user."),
        Key::new("password", Kind::Secret, PASSWORD),
        Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
        Key::new("password_env", Kind::Text, PASSWORD_ENV),
        Key::new("database", Kind::Count { min: 0, max: 1_000_000 }, "Database number.").default("0"),
        Key::new("tls", Kind::Section, "TLS to the server; `tls: {}` trusts whom the system trusts."),
    ]
}

const TLS_KEYS: [Key; 2] = [
    Key::new("root_certificate", Kind::Path, "Certificates in PEM to trust instead of the system's."),
    Key::new("server_name", Kind::Text, "The name in the server's certificate, where it is not the host."),
];

const HTTP_KEYS: [Key; 12] = [
    Key::new("url", Kind::Url, "Base of all requests.").required(),
    Key::new("user", Kind::Text, "Basic authentication. Without it a password is sent as a bearer token."),
    Key::new("password", Kind::Secret, PASSWORD),
    Key::new("password_file", Kind::SecretFile, PASSWORD_FILE),
    Key::new("password_env", Kind::Text, PASSWORD_ENV),
    Key::new("root_certificate", Kind::Path, "Certificates in PEM to trust instead of the system's."),
    Key::new("headers", Kind::Texts { most: 20 }, "Sent with every request, each `Name: value`. Never shown."),
    Key::new("put", Kind::Section, "The request that writes a value.").required(),
    Key::new("get", Kind::Section, "The request that reads it.").required(),
    Key::new("delete", Kind::Section, "The request that takes it away; needed where nothing expires by itself."),
    Key::new("value_at", Kind::Text, "JSON pointer to the value in `get`'s answer, e.g. `/kvs/0/value`.")
        .described_default("the whole body"),
    Key::new("encoding", Kind::OneOf(&["text", "base64"]), "How the value is answered.").default("text"),
];

const OPERATION_KEYS: [Key; 5] = [
    Key::new("method", Kind::OneOf(&["GET", "PUT", "POST", "DELETE"]), "Method.").required(),
    Key::new(
        "path",
        Kind::Text,
        "Path below `url`. `{key}`, `{value}`, `{key_base64}`, `{value_base64}` and `{ttl_seconds}` are filled in.",
    )
    .required(),
    Key::new("body", Kind::Text, "Body, filled in like the path."),
    Key::new("expect", Kind::Texts { most: 10 }, "Statuses that mean success.").described_default("200, 201, 204"),
    Key::new("missing", Kind::Texts { most: 10 }, "Statuses that mean: no such key.").described_default("404"),
];

const EXEC_KEYS: [Key; 3] = [
    Key::new(
        "put",
        Kind::Texts { most: 50 },
        "Program and arguments; writes `$STANDBYWATCH_VALUE` under `$STANDBYWATCH_KEY` and ends with 0.",
    )
    .required(),
    Key::new(
        "get",
        Kind::Texts { most: 50 },
        "Program and arguments; prints what is under `$STANDBYWATCH_KEY` and ends with 0. Nothing printed is no such key.",
    )
    .required(),
    Key::new("delete", Kind::Texts { most: 50 }, "Program and arguments; takes `$STANDBYWATCH_KEY` away."),
];

pub(super) const SECTIONS: [SectionKeys; 17] = [
    SectionKeys { path: "pairs[].nodes.*.kvstore.redis", keys: &redis("10.0.0.{n}:6379") },
    SectionKeys { path: "pairs[].nodes.*.kvstore.redis.tls", keys: &TLS_KEYS },
    SectionKeys { path: "pairs[].nodes.*.kvstore.http", keys: &HTTP_KEYS },
    SectionKeys { path: "pairs[].nodes.*.kvstore.http.put", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].nodes.*.kvstore.http.get", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].nodes.*.kvstore.http.delete", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].nodes.*.kvstore.exec", keys: &EXEC_KEYS },
    SectionKeys {
        path: "pairs[].nodes.*.kvstore.tcp",
        keys: &[Key::new("address", Kind::Text, "`host:port`.").required()],
    },
    SectionKeys {
        path: "pairs[].kvstore.write_via",
        keys: &[
            Key::new("redis", Kind::Section, "A gateway that speaks Redis's protocol."),
            Key::new("http", Kind::Section, "A gateway that is asked over HTTP."),
            Key::new("exec", Kind::Section, "Commands that write and read through the application's own client."),
        ],
    },
    SectionKeys { path: "pairs[].kvstore.write_via.redis", keys: &redis("") },
    SectionKeys { path: "pairs[].kvstore.write_via.redis.tls", keys: &TLS_KEYS },
    SectionKeys { path: "pairs[].kvstore.write_via.http", keys: &HTTP_KEYS },
    SectionKeys { path: "pairs[].kvstore.write_via.http.put", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].kvstore.write_via.http.get", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].kvstore.write_via.http.delete", keys: &OPERATION_KEYS },
    SectionKeys { path: "pairs[].kvstore.write_via.exec", keys: &EXEC_KEYS },
    SectionKeys {
        path: "pairs[].kvstore.observe",
        keys: &[
            Key::new("key", Kind::Texts { most: 20 }, "Keys that the application keeps current, equal on both sides."),
            Key::new(
                "sample",
                Kind::Count { min: 1, max: 50 },
                "So many keys at random from each side in each cycle (redis only); at most 200 reads a second.",
            ),
        ],
    },
];

pub(super) const LANES: SectionKeys = SectionKeys {
    path: "pairs[].kvstore.lanes",
    keys: &[
        Key::new("medium", LANE, "The medium lane's canary is written anew after this time.").default("10m"),
        Key::new("slow", LANE, "The slow lane's canary is written anew after this time.").default("1h"),
    ],
};

const LANE: Kind = Kind::Duration { min: "1s", max: "7d" };

pub(super) const CHANNEL: SectionKeys = SectionKeys {
    path: "pairs[].kvstore",
    keys: &[
        Key::new("interval", INTERVAL, INTERVAL_DOC).default("5s"),
        Key::new("timeout", TIMEOUT, TIMEOUT_DOC).default("3s"),
        Key::new("stale_after", LIMIT, STALE_DOC).described_default(STALE_DEFAULT),
        Key::new(
            "order",
            Kind::OneOf(&["standby-first", "primary-first"]),
            "Which store has a write first. With `primary-first` the agent writes to the primary's only, which replicates by itself.",
        )
        .described_default("`standby-first`, or `primary-first` with `replication: native`"),
        Key::new(
            "replication",
            Kind::OneOf(&["none", "native"]),
            "`native`: the standby's store is a replica of the primary's and takes no writes.",
        )
        .default("none"),
        Key::new("sla", Kind::Duration { min: "1ms", max: "1h" }, "A write should be on both sides within this time.")
            .default("250ms"),
        Key::new("prefix", Kind::Text, "First part of the keys of the probe's own writes.").default("standbywatch"),
        Key::new("canaries", Kind::Flag, "Write canaries. Without them `observe` must be given.").default("true"),
        Key::new("lanes", Kind::Section, "How long canaries are kept that show a rollback or a loss."),
        Key::new(
            "write_via",
            Kind::Section,
            "The application's own write path. Canaries are written there once, and looked for in both stores.",
        ),
        Key::new("observe", Kind::Section, "Compare what the application itself has written, by reads only."),
    ],
};
