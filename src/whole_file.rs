//! Files of the agent's own: written whole or not at all, and read without trust in what lies there.
//!
//! Other users may be able to write into the directory (a job of root's shares it with the agent): no link is followed where something
//! is written, and nothing that has no end is read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Replaces the file at `path`: a crash at any moment leaves the old or the new one, never a part. The new one is first written as
/// `new`, in the same directory. Whatever lies there (left behind by a crash, or a link that somebody laid) is removed, not written to.
///
/// # Errors
/// What the system says; the old file is then still there.
pub fn replace(path: &Path, new: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    replace_in_place(path, new, bytes, 0o666)
}

/// The same in a directory of somebody else, which is not made where it is missing, with these permissions (less the umask's).
///
/// # Errors
/// What the system says; the old file is then still there.
pub fn replace_in_place(path: &Path, new: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io::Error::new(error.kind(), format!("{}, which is in the way: {error}", new.display())));
        }
        _ => {}
    }
    // Exclusive: it fails where something has come to lie there since, be it a link.
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)
    });
    if written.is_err() {
        // Also to give back the room that a part of it takes on a full disk.
        let _ = fs::remove_file(new);
        return written;
    }
    // The rename itself must reach the disk, too. Some file systems cannot do that (EINVAL); the content is safe then as well.
    match File::open(directory)?.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

/// What lies at `path`, at most `most` bytes; `None` if nothing does.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidData`] for what is longer, and for what is no file (a pipe would wait for its writer).
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let file = match OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kind = file.metadata()?.file_type();
    // Of a directory, reading tells what it is.
    if !kind.is_file() && !kind.is_dir() {
        return Err(invalid("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(invalid("it is too long")) } else { Ok(Some(bytes)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("standbywatch-whole-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, text: &str) -> io::Result<()> {
            replace(&self.0.join("file"), &self.0.join("file.new"), text.as_bytes())
        }

        fn read(&self) -> io::Result<Option<Vec<u8>>> {
            read(&self.0.join("file"), 5)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_stays_beside_it() {
        let place = Place::new("plain");
        assert_eq!(place.read().unwrap(), None);
        for text in ["first", "", "last"] {
            place.write(text).unwrap();
            assert_eq!(place.read().unwrap().as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1);
        place.write("longer").unwrap();
        assert_eq!(place.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn links_are_not_written_through() {
        let place = Place::new("links");
        let (other, new) = (place.0.join("other"), place.0.join("file.new"));
        fs::write(&other, "another's").unwrap();
        // A link, one to nowhere, a second name of the same file, and what a crash left behind.
        let ways: [&dyn Fn() -> io::Result<()>; 4] = [
            &|| symlink(&other, &new),
            &|| symlink(place.0.join("nowhere"), &new),
            &|| fs::hard_link(&other, &new),
            &|| fs::write(&new, "half"),
        ];
        for (number, lay) in ways.iter().enumerate() {
            lay().unwrap();
            place.write(&number.to_string()).unwrap();
            assert_eq!(place.read().unwrap(), Some(number.to_string().into_bytes()));
            assert!(fs::symlink_metadata(place.0.join("file")).unwrap().is_file());
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        assert!(!place.0.join("nowhere").exists());
        fs::create_dir(&new).unwrap();
        let error = place.write("no").unwrap_err();
        assert!(error.to_string().contains("file.new, which is in the way"), "{error}");
        assert_eq!(place.read().unwrap().as_deref(), Some(&b"3"[..]), "the old one is still there");
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let place = Place::new("endless");
        let file = place.0.join("file");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        assert_eq!(place.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_file(&file).unwrap();
        symlink("/dev/zero", &file).unwrap();
        assert_eq!(place.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(place.read().unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
