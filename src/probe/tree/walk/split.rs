//! A large directory, walked by two threads: most of the time goes into asking the kernel about one file after another.
//!
//! Its entries are cut into pieces; whoever is free takes the next one. What comes of them is put together in their order, so that it
//! is the same as if one had walked alone.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{CHUNK, Hands, Names, Old, Stamp, Walk};
use crate::facts::manifest::Builder;
use crate::names::TreeBound;

/// Fewer entries are done before another thread is there.
pub(super) const FROM: usize = 128;
/// So many pieces, since one may take longer than another.
const PIECES: usize = 16;

/// What came of one piece.
struct Piece {
    builder: Builder,
    stamps: Vec<Stamp>,
    bound: Option<TreeBound>,
    bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn split(&mut self, directory: BorrowedFd<'_>, names: &Names, order: &[usize], depth: usize) {
        let pieces: Vec<&[usize]> = order.chunks(order.len().div_ceil(PIECES)).collect();
        let olds: Vec<_> = pieces.iter().map(|piece| self.old_from(names.at(piece[0]))).collect();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let path = self.path.clone();
        let (extent, stop, wall) = (self.extent, self.stop, self.wall);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let (Some(piece), Some(old)) = (pieces.get(index), olds.get(index)) else { return };
                let mut walk = Walk {
                    extent,
                    stop,
                    old: old.clone(),
                    builder: Builder::default(),
                    stamps: Vec::new(),
                    bound: None,
                    bytes: 0,
                    wall,
                    chunk: vec![0; CHUNK],
                    path: path.clone(),
                    hands: Hands::One,
                    too_large: false,
                };
                walk.entries(directory, names, piece, depth);
                let Walk { builder, stamps, bound, bytes, .. } = walk;
                let piece = Piece { builder, stamps, bound, bytes };
                done.lock().unwrap_or_else(PoisonError::into_inner).push((index, piece));
            }
        };
        std::thread::scope(|scope| {
            // Where no thread is to be had, this one does all of it.
            let _ = std::thread::Builder::new().name("tree".to_owned()).spawn_scoped(scope, work);
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(index, _)| *index);
        for (_, piece) in done {
            self.join(piece);
        }
        if let Some(last) = order.last() {
            // From here on the walk before goes on after all of these.
            self.old = self.old_from(names.at(*last));
        }
    }

    /// The walk before, from this name in the directory at hand on.
    fn old_from(&mut self, name_with_nul: &[u8]) -> Option<Old<'a>> {
        let length = self.path.len();
        self.enter(name_with_nul.strip_suffix(b"\0").unwrap_or(name_with_nul));
        let old = self.old.as_mut().map(|old| {
            old.find(&self.path);
            old.clone()
        });
        self.path.truncate(length);
        old
    }

    fn join(&mut self, piece: Piece) {
        let Piece { builder, stamps, bound, bytes } = piece;
        self.bytes = self.bytes.saturating_add(bytes);
        let fits = self.stamps.len() + stamps.len() <= self.extent.most_files as usize
            && self.bytes <= self.extent.most_bytes
            && !matches!(bound, Some(TreeBound::Files | TreeBound::Bytes | TreeBound::Paths));
        if !fits || !self.builder.append(builder) {
            self.too_large = true;
            return;
        }
        self.stamps.extend(stamps);
        self.bound = self.bound.or(bound);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::super::{Seen, walk, walk_by};
    use super::*;
    use crate::facts::manifest::{EntryKind, Print};
    use crate::probe::tree::Extent;

    const FILES: usize = 400 + 150 + 1;

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn place(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("standbywatch-split-{}-{name}", std::process::id())));
        for index in 0..400 {
            let name = if index % 3 == 0 { format!("d{index}/inner/file") } else { format!("d{index}.conf") };
            write(&place.0.join(name), &format!("{index}"));
        }
        // After and within what is split, and once more large.
        for index in 0..150 {
            write(&place.0.join(format!("d0-more/{index}")), "x");
        }
        write(&place.0.join("z/last"), "x");
        place
    }

    fn extent() -> Extent {
        Extent { include: vec![], exclude: vec![], beacon: None, most_files: 2000, most_bytes: 1 << 20 }
    }

    fn by(hands: Hands, place: &Place, extent: &Extent, before: Option<&Seen>) -> Option<Seen> {
        walk_by(hands, &place.0, extent, before, &AtomicBool::new(false)).unwrap().map(|(seen, _)| seen)
    }

    #[tokio::test]
    async fn two_find_what_one_finds() {
        let (place, extent) = (place("same"), extent());
        let both =
            |before: Option<&Seen>| [Hands::One, Hands::Two].map(|hands| by(hands, &place, &extent, before).unwrap());
        let [mut one, two] = both(None);
        assert_eq!((&one.manifest, one.manifest.digest()), (&two.manifest, two.manifest.digest()));
        // What was written just now is read again in any case: until it has settled.
        while one.stamps.iter().filter(|stamp| stamp.0.is_some()).count() < FILES {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            one = by(Hands::One, &place, &extent, Some(&one)).unwrap();
        }
        // With a memory of other contents: whatever is taken from it was not read again.
        let mut other = Builder::default();
        let mut entries = one.manifest.walk();
        while let Some((path, print)) = entries.next_entry() {
            other.push(path, Print { content: [9; 16], ..print });
        }
        let remembered = Seen { manifest: Arc::new(other.finish(None)), stamps: one.stamps };
        write(&place.0.join("d1.conf"), "changed");
        write(&place.0.join("d3/inner/new"), "new");
        fs::remove_file(place.0.join("d0-more/77")).unwrap();
        fs::remove_dir_all(place.0.join("d399")).unwrap();
        let [one, two] = both(Some(&remembered));
        assert_eq!((&one.manifest, one.stamps.len()), (&two.manifest, two.stamps.len()));
        let (mut entries, mut read) = (two.manifest.walk(), Vec::new());
        while let Some((path, print)) = entries.next_entry() {
            if print.kind == EntryKind::File && print.content != [9; 16] {
                read.push(String::from_utf8_lossy(path).into_owned());
            }
        }
        assert_eq!(read, ["d1.conf", "d3/inner/new"]);
    }

    #[test]
    fn what_is_cut_off_is_cut_off_where_one_alone_cuts_it() {
        let place = place("bounds");
        for bounded in [Extent { most_files: 250, ..extent() }, Extent { most_bytes: 300, ..extent() }] {
            let one = by(Hands::One, &place, &bounded, None).unwrap();
            assert!(one.manifest.bound().is_some());
            assert!(by(Hands::Two, &place, &bounded, None).is_none(), "too large for two");
            let (either, _) = walk(&place.0, &bounded, None, &AtomicBool::new(false)).unwrap();
            assert_eq!(either.manifest, one.manifest);
        }
    }
}
