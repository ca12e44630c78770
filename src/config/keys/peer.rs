//! The keys by which the agents of a pair find and know each other.

use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const AGENT: Key = Key::new(
    "agent",
    Kind::Url,
    "Where this node's own agent listens. Either every node of the pair has one or none: then each agent probes its own node, at \
     addresses as that node sees them, and asks the other for the rest. `https://`; `http://` on loopback only.",
);

pub(super) const PEER: SectionKeys = SectionKeys {
    path: "peer",
    keys: &[
        Key::new(
            "token_file",
            Kind::SecretFile,
            "A file whose first line is the token that the agents show each other.",
        )
        .required()
        .example("/etc/standbywatch/peer.token"),
        Key::new(
            "fingerprint",
            Kind::Text,
            "SHA-256 of the agents' certificate, `sha256:` and 64 hexadecimal digits, as `standbywatch peer init` prints it. \
             Needed where an `agent` is `https://`.",
        ),
        Key::new("certificate", Kind::Path, "The agents' certificate in PEM; the same on every node.")
            .described_default("`peer.crt` beside `token_file`"),
        Key::new("key", Kind::Path, "Its key in PEM; only the agent may read it.")
            .described_default("`peer.key` beside `token_file`"),
    ],
};
