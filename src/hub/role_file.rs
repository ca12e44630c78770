//! What names the primary of pairs without PostgreSQL: the first word of a file, or of what a program prints, is a node's name.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use super::role_exec;
use crate::clock::{self, Moment};
use crate::facts::{Failure, Reading};
use crate::names::{FailureKind, Name};

/// How often the file is read.
pub const EVERY: Duration = Duration::from_secs(5);
/// How long a reading may be believed.
const STALE_AFTER: Duration = Duration::from_secs(18);
/// A longer file names no node.
const MOST_BYTES: u64 = 4096;

/// What the file or the program said, and when it was asked.
#[derive(Clone, Debug)]
pub struct RoleFileReading(Reading<Name>);

impl RoleFileReading {
    /// At `asked` this node was named the primary, or why none was.
    pub fn new(asked: Moment, named: Result<Name, String>) -> Self {
        let result = named.map_err(|why| Failure::new(FailureKind::Protocol, why));
        Self(Reading { asked, answered: asked, result })
    }

    /// As another agent was told.
    pub const fn told(reading: Reading<Name>) -> Self {
        Self(reading)
    }

    /// Reads the file. One that is missing, empty or unreadable names nobody.
    pub async fn read(path: &Path) -> Self {
        let asked = clock::now();
        let of = path.to_owned();
        let read =
            tokio::task::spawn_blocking(move || text(&of)).await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
        let shown = path.display();
        let text = read
            .map_err(|error| format!("{shown} cannot be read ({error}): write the name of the primary's node into it"));
        let empty = || format!("{shown} is empty: write the name of the primary's node into it");
        Self::new(asked, text.and_then(|text| first_word(&text).ok_or_else(empty)))
    }

    /// Asks a program. One that fails, hangs or prints nothing names nobody.
    pub async fn ask(command: &[String]) -> Self {
        let asked = clock::now();
        // a default is right: it is a name in a sentence.
        let program = command.first().map(String::as_str).unwrap_or_default();
        let output = role_exec::output(command, role_exec::DEADLINE).await;
        let text =
            output.map_err(|error| format!("{program} tells nothing ({error}): run it by hand, as the agent's user"));
        let silent = || format!("{program} prints nothing: it is to print the name of the primary's node");
        Self::new(asked, text.and_then(|text| first_word(&text).ok_or_else(silent)))
    }

    /// When it was asked, and what it said.
    pub const fn reading(&self) -> &Reading<Name> {
        &self.0
    }

    /// The primary's name, and until when it may be believed.
    ///
    /// # Errors
    /// Why nobody is named.
    pub fn fresh(&self, now: Moment) -> Result<(&Name, Moment), String> {
        let until = self.0.asked + STALE_AFTER;
        match &self.0.result {
            Err(failure) => Err(failure.message.clone()),
            Ok(_) if now >= until => Err("no word has come lately".to_owned()),
            Ok(primary) => Ok((primary, until)),
        }
    }
}

fn first_word(text: &str) -> Option<Name> {
    text.split_whitespace().next().map(Name::new)
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
