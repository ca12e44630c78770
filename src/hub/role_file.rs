//! What names the primary of pairs without PostgreSQL: the first word of a file, or of what a program prints, is a node's name.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use super::role_exec;
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
        let path = path.to_owned();
        let text = tokio::task::spawn_blocking(move || text(&path)).await.ok().and_then(Result::ok);
        let primary = text.as_deref().and_then(|text| text.split_whitespace().next()).map(Name::new);
        Self { asked, primary }
    }

    /// Asks a program. One that fails, hangs or prints nothing names nobody.
    pub async fn ask(command: &[String]) -> Self {
        let asked = clock::now();
        let text = role_exec::output(command, role_exec::DEADLINE).await.inspect_err(|error| {
            tracing::debug!(program = command.first(), %error, "nobody is named the primary");
        });
        let primary = text.ok().and_then(|text| text.split_whitespace().next().map(Name::new));
        Self { asked, primary }
    }

    /// The primary's name, and until when it may be believed.
    pub fn fresh(&self, now: Moment) -> Option<(&Name, Moment)> {
        let until = self.asked + STALE_AFTER;
        self.primary.as_ref().filter(|_| now < until).map(|primary| (primary, until))
    }
}

/// The file's text, without waiting for a writer where a pipe lies.
fn text(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long"));
    }
    Ok(text)
}
