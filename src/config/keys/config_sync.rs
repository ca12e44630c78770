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
        Key::new(
            "beacon",
            Kind::Path,
            "A small file in `root` that the agent rewrites twice a period while this node is the primary, and whose copy it \
             reads on the standby: the age of the copy, whatever job does the copying. Needs write access.",
        ),
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
             Without it a node must name a `timestamp_file` or a `beacon`.",
        )
        .default("false")
        .example("true"),
        Key::new(
            "exclude",
            Kind::Texts { most: 64 },
            "Patterns of what is not compared, with all that is below it: `*.pid` is a name anywhere, `/cache` a path from \
             `root` on, `**` any directories.",
        ),
        Key::new(
            "include",
            Kind::Texts { most: 64 },
            "Patterns of the files that are compared; without any, all of them, and directories too.",
        ),
        Key::new(
            "max_files",
            Kind::Count { min: 1, max: 1_000_000 },
            "Files and directories of a tree that are compared at most.",
        )
        .default("200000"),
        Key::new("max_size", Kind::Size, "Content of a tree that is read at most.").default("4GiB"),
    ],
};
