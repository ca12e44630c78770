//! The file that names the primary, for pairs without PostgreSQL: its first word is a node's name.

use std::path::Path;
use std::time::Duration;

use crate::clock::{self, Moment};
use crate::names::Name;

/// How often the file is read.
pub const EVERY: Duration = Duration::from_secs(5);
/// How long a reading may be believed.
const STALE_AFTER: Duration = Duration::from_secs(18);
/// A longer file names no node.
const MOST_BYTES: u64 = 4096;

/// What the file said, and when it was asked.
#[derive(Clone, Debug)]
pub struct RoleFileReading {
    asked: Moment,
    primary: Option<Name>,
}

impl RoleFileReading {
    /// Reads the file. One that is missing, empty or unreadable names nobody.
    pub async fn read(path: &Path) -> Self {
        let asked = clock::now();
        let short = tokio::fs::metadata(path).await.is_ok_and(|file| file.len() <= MOST_BYTES);
        let text = if short { tokio::fs::read_to_string(path).await.ok() } else { None };
        let primary = text.as_deref().and_then(|text| text.split_whitespace().next()).map(Name::new);
        Self { asked, primary }
    }

    /// The primary's name, and until when it may be believed.
    pub fn fresh(&self, now: Moment) -> Option<(&Name, Moment)> {
        let until = self.asked + STALE_AFTER;
        self.primary.as_ref().filter(|_| now < until).map(|primary| (primary, until))
    }
}
