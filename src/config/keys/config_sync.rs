//! The keys of the `config` channel.

use super::{INTERVAL, INTERVAL_DOC, LIMIT, STALE_DEFAULT, STALE_DOC, TIMEOUT, TIMEOUT_DOC};
use crate::config::key::{Key, Kind, SectionKeys};

pub(super) const NODE: SectionKeys = SectionKeys {
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
};

pub(super) const CHANNEL: SectionKeys = SectionKeys {
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
};
