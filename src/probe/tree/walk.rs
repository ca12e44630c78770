//! One walk through a tree, by open directories and names in them: no link is followed out of it, whatever is swapped meanwhile,
//! and nothing but regular files is opened.

use std::ffi::CStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::Extent;
use crate::clock;
use crate::facts::Manifest;
use crate::facts::manifest::{Builder, Entries, EntryKind, Print, path_order};
use crate::names::TreeBound;

mod split;

/// Directories lie in each other this deep at most. Each one on the way is open meanwhile.
const DEEPEST: usize = 64;
/// What of a file is held at once.
const CHUNK: usize = 64 << 10;
/// What was written so shortly before it was read may be written again without another time stamp.
const SETTLED_AFTER_SECONDS: f64 = 2.0;

/// What a walk found, for the next one.
pub(super) struct Seen {
    pub(super) manifest: Arc<Manifest>,
    /// One for each entry of the manifest.
    pub(super) stamps: Vec<Stamp>,
}

/// By what a file is known to be the same without reading it. `None`: read it again in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<[u64; 4]>);

impl Stamp {
    #[allow(clippy::cast_sign_loss, reason = "only whether it is the same counts")]
    fn of(stat: &Stat) -> Self {
        // Whoever puts back the modification time cannot put back the time of that change.
        let moment = |seconds: i64, nanos: u64| (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(nanos);
        let changed = moment(stat.st_ctime, stat.st_ctime_nsec);
        Self(Some([stat.st_size as u64, moment(stat.st_mtime, stat.st_mtime_nsec), changed, stat.st_ino]))
    }
}

/// Walks the tree. Entries that are as `before` are not read again.
pub(super) fn walk(
    root: &Path,
    extent: &Extent,
    before: Option<&Seen>,
    stop: &AtomicBool,
) -> io::Result<(Seen, (u64, u64))> {
    // Where a tree is cut off is seen only by one who goes through it from the beginning.
    let whole = before.is_none_or(|seen| seen.manifest.bound().is_none());
    match whole.then(|| walk_by(Hands::Two, root, extent, before, stop)) {
        Some(Ok(Some(walked))) => Ok(walked),
        Some(Err(error)) => Err(error),
        Some(Ok(None)) | None => match walk_by(Hands::One, root, extent, before, stop)? {
            Some(walked) => Ok(walked),
            None => Err(io::Error::other("it was cut off")),
        },
    }
}

/// How many threads walk: two at most, in a large directory, and it is one of them while they do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hands {
    One,
    Two,
}

/// `None`: two could not do it, since the tree is larger than what is read of it.
fn walk_by(
    hands: Hands,
    root: &Path,
    extent: &Extent,
    before: Option<&Seen>,
    stop: &AtomicBool,
) -> io::Result<Option<(Seen, (u64, u64))>> {
    // The root itself may be reached through a link: the operator named it.
    let directory = openat(CWD, root, directory_flags().difference(OFlags::NOFOLLOW), Mode::empty())?;
    let stat = fstat(&directory)?;
    let mut walk = Walk {
        extent,
        stop,
        old: before.map(|seen| Old { entries: seen.manifest.walk(), stamps: &seen.stamps, current: None, at: 0 }),
        builder: Builder::default(),
        // Most trees are as large as they were.
        stamps: before.map_or_else(Vec::new, |seen| Vec::with_capacity(seen.stamps.len())),
        bound: None,
        bytes: 0,
        wall: clock::wall().0,
        chunk: vec![0; CHUNK],
        path: Vec::new(),
        hands,
        too_large: false,
    };
    if let Some(old) = &mut walk.old {
        old.step();
    }
    walk.directory(directory.as_fd(), 0)?;
    if walk.too_large {
        return Ok(None);
    }
    if stop.load(Ordering::Relaxed) {
        return Err(io::Error::other("nobody waits for it any more"));
    }
    let manifest = Arc::new(walk.builder.finish(walk.bound));
    Ok(Some((Seen { manifest, stamps: walk.stamps }, (stat.st_dev, stat.st_ino))))
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

struct Walk<'a> {
    extent: &'a Extent,
    stop: &'a AtomicBool,
    old: Option<Old<'a>>,
    builder: Builder,
    stamps: Vec<Stamp>,
    bound: Option<TreeBound>,
    bytes: u64,
    wall: f64,
    chunk: Vec<u8>,
    /// Of the entry at hand, from the root on.
    path: Vec<u8>,
    hands: Hands,
    /// For two: one must do it.
    too_large: bool,
}

/// The walk before, gone through beside this one: both are in the same order.
#[derive(Clone)]
struct Old<'a> {
    entries: Entries<'a>,
    stamps: &'a [Stamp],
    current: Option<(Vec<u8>, Print)>,
    at: usize,
}

impl Old<'_> {
    fn step(&mut self) {
        let mut buffer = self.current.take().map_or_else(Vec::new, |(path, _)| path);
        if let Some((path, print)) = self.entries.next_entry() {
            buffer.clear();
            buffer.extend_from_slice(path);
            self.current = Some((buffer, print));
            self.at += 1;
        }
    }

    /// What this path was the last time, and its stamp.
    fn find(&mut self, path: &[u8]) -> Option<(Print, Stamp)> {
        loop {
            let (known, print) = self.current.as_ref()?;
            let order = if known == path { std::cmp::Ordering::Equal } else { path_order(known, path) };
            match order {
                std::cmp::Ordering::Less => self.step(),
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Equal => {
                    let stamp = self.stamps.get(self.at - 1)?;
                    return Some((*print, *stamp));
                }
            }
        }
    }
}

/// A directory's names, in one piece of memory.
struct Names {
    /// Each with a NUL at its end, one after another.
    text: Vec<u8>,
    /// From where to where each goes.
    ends: Vec<(usize, usize)>,
    /// There are more.
    cut: bool,
}

impl Names {
    fn at(&self, index: usize) -> &[u8] {
        let (from, to) = self.ends[index];
        &self.text[from..to]
    }
}

impl Walk<'_> {
    fn directory(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        let names = self.names(directory)?;
        let mut order: Vec<usize> = (0..names.ends.len()).collect();
        order.sort_unstable_by(|one, other| names.at(*one).cmp(names.at(*other)));
        if self.hands == Hands::Two && order.len() >= split::FROM {
            self.split(directory, &names, &order, depth);
        } else {
            self.entries(directory, &names, &order, depth);
        }
        if names.cut {
            self.bound = self.bound.or(Some(TreeBound::Files));
        }
        Ok(())
    }

    /// Those of a directory's entries, in order.
    fn entries(&mut self, directory: BorrowedFd<'_>, names: &Names, order: &[usize], depth: usize) {
        let length = self.path.len();
        for index in order {
            if self.too_large
                || self.stop.load(Ordering::Relaxed)
                || matches!(self.bound, Some(TreeBound::Files | TreeBound::Paths))
            {
                return;
            }
            let Ok(name) = CStr::from_bytes_with_nul(names.at(*index)) else { continue };
            self.enter(name.to_bytes());
            self.entry(directory, name, depth);
            self.path.truncate(length);
        }
    }

    fn enter(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    /// The names in a directory, in no order.
    fn names(&self, directory: BorrowedFd<'_>) -> io::Result<Names> {
        let mut names = Names { text: Vec::new(), ends: Vec::new(), cut: false };
        let mut space = Vec::with_capacity(32 << 10);
        let mut entries = RawDir::new(directory, space.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if names.ends.len() >= self.extent.most_files as usize {
                names.cut = true;
                break;
            }
            let from = names.text.len();
            names.text.extend_from_slice(name.to_bytes_with_nul());
            names.ends.push((from, names.text.len()));
        }
        Ok(names)
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, depth: usize) {
        if self.is_left_out() {
            return;
        }
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Gone since the directory was read.
            Err(Errno::NOENT) => return,
            Err(_) => return self.put(unreadable(0), Stamp(None)),
        };
        #[allow(clippy::cast_possible_truncation, reason = "twelve bits fit")]
        let mode = (stat.st_mode & 0o7777) as u16;
        let plain = |kind| Print { kind, mode, content: [0; 16] };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.subdirectory(directory, name, depth, plain(EntryKind::Directory)),
            _ if !self.is_included() => {}
            FileType::RegularFile => self.file(directory, name, &stat, mode),
            FileType::Symlink => match readlinkat(directory, name, Vec::new()) {
                Ok(target) => {
                    let content = half(blake3::hash(target.to_bytes()));
                    self.put(Print { kind: EntryKind::Link, mode: 0, content }, Stamp(None));
                }
                Err(_) => self.put(unreadable(0), Stamp(None)),
            },
            _ => self.put(plain(EntryKind::Special), Stamp(None)),
        }
    }

    /// Left out by a pattern, or the beacon (and what is renamed to it).
    fn is_left_out(&self) -> bool {
        let beacon = self.extent.beacon.as_ref().is_some_and(|beacon| {
            let rest = self.path.strip_prefix(beacon.as_os_str().as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest == b".new")
        });
        beacon || self.extent.exclude.iter().any(|glob| glob.matches(&self.path))
    }

    fn is_included(&self) -> bool {
        self.extent.include.is_empty() || self.extent.include.iter().any(|glob| glob.matches(&self.path))
    }

    fn subdirectory(&mut self, directory: BorrowedFd<'_>, name: &CStr, depth: usize, print: Print) {
        // Where only some files are asked for, the directories on the way to them are not the question.
        let counts = self.extent.include.is_empty();
        if depth + 1 >= DEEPEST {
            self.bound = self.bound.or(Some(TreeBound::Depth));
            return self.put(unreadable(print.mode), Stamp(None));
        }
        let inner = match openat(directory, name, directory_flags(), Mode::empty()) {
            Ok(inner) => inner,
            Err(Errno::NOENT) => return,
            Err(_) => return self.put(unreadable(print.mode), Stamp(None)),
        };
        if counts {
            self.put(print, Stamp(None));
        }
        // Listed as a directory it stays; what could not be read of it is told by itself.
        if self.directory(inner.as_fd(), depth + 1).is_err() && !counts {
            self.put(unreadable(print.mode), Stamp(None));
        }
    }

    fn file(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat, mode: u16) {
        let stamp = Stamp::of(stat);
        self.bytes = self.bytes.saturating_add(size(stat));
        if self.bytes > self.extent.most_bytes {
            self.bound = self.bound.or(Some(TreeBound::Bytes));
            return self.put(unreadable(mode), Stamp(None));
        }
        let known = self.old.as_mut().and_then(|old| old.find(&self.path));
        if let Some((print, before)) = known
            && before == stamp
            && print.kind == EntryKind::File
        {
            return self.put(Print { mode, ..print }, stamp);
        }
        match self.content(directory, name, stat) {
            Ok(Some(content)) => {
                let (kind, stamp) = (EntryKind::File, self.settled(stat, stamp));
                self.put(Print { kind, mode, content }, stamp);
            }
            Ok(None) => {}
            Err(_) => self.put(unreadable(mode), Stamp(None)),
        }
    }

    /// A change that came right before is not told from one that comes right after.
    #[allow(clippy::cast_precision_loss, reason = "to the second is exact enough")]
    fn settled(&self, stat: &Stat, stamp: Stamp) -> Stamp {
        let changed = stat.st_ctime as f64 + stat.st_ctime_nsec as f64 / 1e9;
        let ago = self.wall - changed;
        if (0.0..SETTLED_AFTER_SECONDS).contains(&ago) || (-1.0..0.0).contains(&ago) { Stamp(None) } else { stamp }
    }

    /// The hash of a file's content; `None` if it is gone.
    fn content(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<Option<[u8; 16]>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: OwnedFd = match openat(directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if fstat(&file)?.st_ino != stat.st_ino {
            return Err(io::Error::other("it was swapped meanwhile"));
        }
        let mut file = std::fs::File::from(file);
        let mut hasher = blake3::Hasher::new();
        // A file that grows faster than it is read must not keep the walk here.
        let mut left = size(stat).saturating_add(CHUNK as u64);
        loop {
            let read = file.read(&mut self.chunk)?;
            if read == 0 || self.stop.load(Ordering::Relaxed) {
                return Ok(Some(half(hasher.finalize())));
            }
            hasher.update(&self.chunk[..read]);
            left = left.saturating_sub(read as u64);
            if left == 0 {
                return Err(io::Error::other("it grows while it is read"));
            }
        }
    }

    fn put(&mut self, print: Print, stamp: Stamp) {
        if self.stamps.len() >= self.extent.most_files as usize {
            self.bound = Some(TreeBound::Files);
        } else if self.builder.push(&self.path, print) {
            self.stamps.push(stamp);
        } else {
            self.bound = Some(TreeBound::Paths);
        }
    }
}

#[allow(clippy::cast_sign_loss, reason = "no file has less than nothing in it")]
const fn size(stat: &Stat) -> u64 {
    stat.st_size as u64
}

const fn unreadable(mode: u16) -> Print {
    Print { kind: EntryKind::Unreadable, mode, content: [0; 16] }
}

fn half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}
