//! What a machine is made of, as far as it matters after a promotion.

use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// One machine, as its own agent sees it without special rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Processors that are on.
    pub cpus: Option<u64>,
    /// Main memory.
    pub memory: Option<Bytes>,
    /// The disk with PostgreSQL's data, or else the one with the configuration, or else the root.
    pub disk: Option<Bytes>,
    /// What of it users may still write.
    pub disk_free: Option<Bytes>,
    /// Name and version of the operating system.
    pub system: Option<String>,
}
