//! What lies in a tree, small enough to be kept and sent: each path with its kind, mode and the hash of its content.
//!
//! Paths are kept in the order of a walk, each as what it shares with the one before and what is new: some 35 bytes a file. Two of
//! them are compared in one pass. One that came from elsewhere is checked as it is taken in.

use std::cmp::Ordering;
use std::fmt;

use crate::names::{DriftKind, TreeBound};

/// A manifest is never longer than this, in bytes; a tree whose manifest would be has hit a bound.
pub const MOST_BYTES: usize = 32 << 20;
/// Linux's own limit of a path.
const LONGEST_PATH: usize = 4096;

/// What one entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file; its content is hashed.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link; its target is hashed, never followed.
    Link = 3,
    /// A pipe, a socket or a device; never opened.
    Special = 4,
    /// Something that could not be read: it counts neither as the same nor as different.
    Unreadable = 5,
}

/// All that is compared of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits (`07777`); 0 for a link, which has none of its own.
    pub mode: u16,
    /// The first half of BLAKE3 over the content of a file or the target of a link; zeros for the others.
    pub content: [u8; 16],
}

/// Bytes of a print in a record: kind, mode, content.
const PRINT: usize = 1 + 2 + 16;

impl Print {
    fn read(bytes: &[u8; PRINT]) -> Option<Self> {
        let kind = match bytes[0] {
            1 => EntryKind::File,
            2 => EntryKind::Directory,
            3 => EntryKind::Link,
            4 => EntryKind::Special,
            5 => EntryKind::Unreadable,
            _ => return None,
        };
        let mut content = [0; 16];
        content.copy_from_slice(&bytes[3..]);
        Some(Self { kind, mode: u16::from_le_bytes([bytes[1], bytes[2]]), content })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        out.extend(self.mode.to_le_bytes());
        out.extend(self.content);
    }
}

/// A tree at one time.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    records: Vec<u8>,
    entries: u32,
    unreadable: u32,
    bound: Option<TreeBound>,
    digest: [u8; 16],
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({} entries, {} unreadable, {:?})", self.entries, self.unreadable, self.bound)
    }
}

/// Why what was sent is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no manifest of a tree: {0}")]
pub struct NotAManifest(&'static str);

impl Manifest {
    /// Reads back what [`Self::records`] gave elsewhere, of at most so many entries.
    ///
    /// # Errors
    /// Whatever does not hold together.
    pub fn from_records(records: &[u8], bound: Option<TreeBound>, most_entries: u32) -> Result<Self, NotAManifest> {
        if records.len() > MOST_BYTES {
            return Err(NotAManifest("it is too long"));
        }
        let mut builder = Builder { records: Vec::with_capacity(records.len()), ..Builder::default() };
        let mut walk = Entries { records, path: Vec::new() };
        while let Some(print) = walk.read()? {
            if !builder.last.is_empty() && path_order(&builder.last, &walk.path) != Ordering::Less {
                return Err(NotAManifest("its paths are out of order"));
            }
            if builder.entries >= most_entries {
                return Err(NotAManifest("it has more entries than max_files"));
            }
            builder.push(&walk.path, print);
        }
        Ok(builder.finish(bound))
    }

    /// The form in which it is kept, and sent to the other agent.
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// Entries in it, of every kind.
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Entries that could not be read.
    pub const fn unreadable(&self) -> u32 {
        self.unreadable
    }

    /// The bound that cut it short, if one did: what is missing here says nothing then.
    pub const fn bound(&self) -> Option<TreeBound> {
        self.bound
    }

    /// The same for the same tree: two with one digest need no comparing, and need not be sent again.
    pub const fn digest(&self) -> [u8; 16] {
        self.digest
    }

    /// Its records' length in bytes.
    pub const fn bytes(&self) -> usize {
        self.records.len()
    }

    /// All entries, in order.
    pub const fn walk(&self) -> Entries<'_> {
        Entries { records: self.records.as_slice(), path: Vec::new() }
    }
}

/// Goes through the entries of a manifest.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    records: &'a [u8],
    path: Vec<u8>,
}

impl Entries<'_> {
    /// The next entry; its path is valid until the next call. (A manifest was checked when it was made, so nothing is lost here.)
    pub fn next_entry(&mut self) -> Option<(&[u8], Print)> {
        let print = self.read().ok().flatten()?;
        Some((&self.path, print))
    }

    fn read(&mut self) -> Result<Option<Print>, NotAManifest> {
        const SHORT: NotAManifest = NotAManifest("it ends within an entry");
        let Some((head, rest)) = self.records.split_first_chunk::<4>() else {
            return if self.records.is_empty() { Ok(None) } else { Err(SHORT) };
        };
        let shared = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let added = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if shared > self.path.len() || added == 0 || shared + added > LONGEST_PATH || rest.len() < added {
            return Err(NotAManifest("a path of it is impossible"));
        }
        let (name, rest) = rest.split_at(added);
        if name.contains(&0) {
            return Err(NotAManifest("a path of it is impossible"));
        }
        let (print, rest) = rest.split_first_chunk::<PRINT>().ok_or(SHORT)?;
        self.path.truncate(shared);
        self.path.extend_from_slice(name);
        self.records = rest;
        Print::read(print).map(Some).ok_or(NotAManifest("it has an entry of no known kind"))
    }
}

/// The order of a walk: a directory before what is in it, and that before its next neighbour.
pub fn path_order(one: &[u8], other: &[u8]) -> Ordering {
    let same = shared(one, other);
    let rank = |path: &[u8]| path.get(same).map(|byte| if *byte == b'/' { 0 } else { *byte });
    rank(one).cmp(&rank(other))
}

/// How much both begin with, compared in pieces: neighbours in a tree share most of their path.
fn shared(one: &[u8], other: &[u8]) -> usize {
    const PIECE: usize = 16;
    let pieces = one.chunks_exact(PIECE).zip(other.chunks_exact(PIECE));
    let whole = PIECE * pieces.take_while(|(one, other)| one == other).count();
    whole + one[whole..].iter().zip(&other[whole..]).take_while(|(one, other)| one == other).count()
}

/// Makes a manifest, entry by entry in the order of [`path_order`].
#[derive(Debug, Default)]
pub struct Builder {
    records: Vec<u8>,
    last: Vec<u8>,
    entries: u32,
    unreadable: u32,
}

impl Builder {
    /// Takes in the next entry. False: there is no more room, and it was left out.
    pub fn push(&mut self, path: &[u8], print: Print) -> bool {
        let shared = shared(&self.last, path);
        let added = &path[shared..];
        let (Ok(shared_length), Ok(length)) = (u16::try_from(shared), u16::try_from(added.len())) else { return false };
        if path.len() > LONGEST_PATH || self.records.len() + 4 + added.len() + PRINT > MOST_BYTES {
            return false;
        }
        self.records.extend(shared_length.to_le_bytes());
        self.records.extend(length.to_le_bytes());
        self.records.extend(added);
        print.write(&mut self.records);
        self.last.truncate(shared);
        self.last.extend(added);
        self.entries += 1;
        self.unreadable += u32::from(print.kind == EntryKind::Unreadable);
        true
    }

    /// Takes in entries that were put together elsewhere, all of them after those that are here. False: there is no more room, and some
    /// were left out.
    pub fn append(&mut self, more: Self) -> bool {
        let mut entries = Entries { records: &more.records, path: Vec::new() };
        let Ok(Some(first)) = entries.read() else { return true };
        // Only the first one is written by what came before it.
        if !self.push(&entries.path, first) || self.records.len() + entries.records.len() > MOST_BYTES {
            return false;
        }
        self.records.extend_from_slice(entries.records);
        self.entries += more.entries - 1;
        self.unreadable += more.unreadable - u32::from(first.kind == EntryKind::Unreadable);
        self.last = more.last;
        true
    }

    /// The manifest.
    pub fn finish(mut self, bound: Option<TreeBound>) -> Manifest {
        self.records.shrink_to_fit();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.records);
        hasher.update(bound.map_or("", TreeBound::as_str).as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let Self { records, entries, unreadable, .. } = self;
        Manifest { records, entries, unreadable, bound, digest }
    }
}

/// One path that is not the same in two trees. `None`: it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In the first tree.
    pub one: Option<Print>,
    /// In the second.
    pub other: Option<Print>,
}

impl Difference {
    /// What is wrong with the copy, the original being the other of the two.
    pub fn kind(original: Option<Print>, copy: Option<Print>) -> DriftKind {
        match (original, copy) {
            (_, None) => DriftKind::Missing,
            (None, Some(_)) => DriftKind::Extra,
            (Some(original), Some(copy)) if original.kind != copy.kind => DriftKind::Kind,
            (Some(original), Some(copy)) if original.content != copy.content => DriftKind::Content,
            (Some(_), Some(_)) => DriftKind::Mode,
        }
    }
}

/// Goes through both and hands over each path that differs, in order. What could not be read on either side, and what a
/// bound may have cut off, is no difference.
pub fn compare(one: &Manifest, other: &Manifest, mut differs: impl FnMut(&[u8], Difference)) {
    let (mut ones, mut others) = (one.walk(), other.walk());
    let (mut next_one, mut next_other) = (ones.read().ok().flatten(), others.read().ok().flatten());
    // A directory that one side could not read hides what is in it: nothing below it is missing.
    let mut hidden: Vec<u8> = Vec::new();
    let below = |hidden: &[u8], path: &[u8]| {
        !hidden.is_empty() && path.strip_prefix(hidden).is_some_and(|rest| rest.starts_with(b"/"))
    };
    loop {
        let order = match (next_one, next_other) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), Some(_)) => path_order(&ones.path, &others.path),
        };
        let readable = |print: Option<Print>| print.is_none_or(|print| print.kind != EntryKind::Unreadable);
        match order {
            Ordering::Less => {
                if other.bound.is_none() && readable(next_one) && !below(&hidden, &ones.path) {
                    differs(&ones.path, Difference { one: next_one, other: None });
                }
                next_one = ones.read().ok().flatten();
            }
            Ordering::Greater => {
                if one.bound.is_none() && readable(next_other) && !below(&hidden, &others.path) {
                    differs(&others.path, Difference { one: None, other: next_other });
                }
                next_other = others.read().ok().flatten();
            }
            Ordering::Equal => {
                if !readable(next_one) || !readable(next_other) {
                    hidden.clone_from(&ones.path);
                } else if next_one != next_other {
                    differs(&ones.path, Difference { one: next_one, other: next_other });
                }
                next_one = ones.read().ok().flatten();
                next_other = others.read().ok().flatten();
            }
        }
    }
}

/// A path for people: what is not UTF-8 or would break a line is escaped, and a very long one is cut.
pub fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 200;
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' { text.extend(c.escape_default()) } else { text.push(c) }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
