//! The probe of a tree of configuration: what lies in it now, read again only where something changed.
//!
//! It runs aside, on a thread of its own, since a tree may be large or lie on a file system that hangs. Never twice at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::{self, Moment};
use crate::config::{ConfigChannel, ConfigNode, Glob};
use crate::facts::{Failure, Reading, TreeFacts};
use crate::names::FailureKind;

mod walk;

/// After this long everything is read again, so that what changed without a trace is found too.
const READ_ALL_EVERY: Duration = Duration::from_hours(24);

/// What belongs to a tree, and how much of it is read at most.
#[derive(Clone, Debug)]
pub struct Extent {
    /// If there are any, only files that one of them means.
    pub include: Vec<Glob>,
    /// What is left out, with all that is below it.
    pub exclude: Vec<Glob>,
    /// The beacon, relative to the root: it is another on each side.
    pub beacon: Option<PathBuf>,
    /// Entries.
    pub most_files: u32,
    /// Content of all files together.
    pub most_bytes: u64,
}

impl Extent {
    /// A name for the patterns: the same for the same ones.
    fn patterns(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for (kind, globs) in [(b"+", &self.include), (b"-", &self.exclude)] {
            for glob in globs {
                hasher.update(kind).update(glob.as_str().as_bytes()).update(b"\0");
            }
        }
        let mut name = [0; 8];
        name.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(name)
    }
}

/// Reads one node's tree.
pub struct TreeProbe {
    state: Option<State>,
    /// A walk that goes on; it gives the state back.
    running: Option<JoinHandle<(State, Result<TreeFacts, Failure>)>>,
    /// Tells a walk that nobody waits for it any more.
    stop: Arc<AtomicBool>,
}

/// What a walk knows from the one before.
struct State {
    root: PathBuf,
    patterns: u64,
    extent: Extent,
    before: Option<walk::Seen>,
    read_all: Option<Moment>,
}

impl Drop for TreeProbe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl TreeProbe {
    /// A probe of `node`'s tree.
    pub fn new(node: &ConfigNode, channel: &ConfigChannel) -> Self {
        let extent = Extent {
            include: channel.include.clone(),
            exclude: channel.exclude.clone(),
            beacon: node.beacon.as_ref().and_then(|path| path.strip_prefix(&node.root).ok()).map(Path::to_owned),
            most_files: channel.max_files,
            most_bytes: channel.max_size.0,
        };
        Self::of(node.root.clone(), extent)
    }

    /// A probe of any tree.
    pub fn of(root: PathBuf, extent: Extent) -> Self {
        let state = State { root, patterns: extent.patterns(), extent, before: None, read_all: None };
        Self { state: Some(state), running: None, stop: Arc::default() }
    }

    /// One walk, for as long as it takes. Cancelled and called again, it goes on waiting for the same one.
    pub async fn run(&mut self) -> Reading<TreeFacts> {
        let asked = clock::now();
        let Some(running) = self.running.as_mut() else {
            let Some(state) = self.state.take() else {
                let failure =
                    Failure::new(FailureKind::Protocol, "reading the tree broke down; the agent must be restarted");
                return Reading { asked, answered: clock::now(), result: Err(failure) };
            };
            let stop = self.stop.clone();
            self.running = Some(tokio::task::spawn_blocking(move || state.walk(asked, &stop)));
            return Box::pin(self.run()).await;
        };
        let done = running.await;
        self.running = None;
        let result = match done {
            Ok((state, result)) => {
                self.state = Some(state);
                result
            }
            Err(error) => Err(Failure::new(FailureKind::Protocol, format!("reading the tree failed: {error}"))),
        };
        Reading { asked, answered: clock::now(), result }
    }
}

impl State {
    fn walk(mut self, asked: Moment, stop: &AtomicBool) -> (Self, Result<TreeFacts, Failure>) {
        let anew = self.read_all.is_none_or(|last| asked.since(last) >= READ_ALL_EVERY);
        let before = self.before.take();
        let known = if anew { None } else { before.as_ref() };
        match walk::walk(&self.root, &self.extent, known, stop) {
            Ok((seen, place)) => {
                if anew {
                    self.read_all = Some(asked);
                }
                let seen = match before {
                    // The very same one again, so that nobody need compare it.
                    Some(before) if before.manifest == seen.manifest => {
                        walk::Seen { manifest: before.manifest, ..seen }
                    }
                    _ => seen,
                };
                let facts = TreeFacts { manifest: seen.manifest.clone(), patterns: self.patterns, place: Some(place) };
                self.before = Some(seen);
                (self, Ok(facts))
            }
            Err(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::PermissionDenied => FailureKind::Permission,
                    std::io::ErrorKind::NotFound => FailureKind::Unreachable,
                    _ => FailureKind::Protocol,
                };
                let failure = Failure::new(kind, format!("{}: {error}", self.root.display()));
                (Self { before, ..self }, Err(failure))
            }
        }
    }
}

#[cfg(test)]
mod tests;
