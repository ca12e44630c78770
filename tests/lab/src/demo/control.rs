//! The socket by which another terminal talks to the running demo.
//!
//! It lies in a directory that only this user may enter, so that nobody else can break or repair anything. One line is
//! asked, `fault NAME` or `repair`; the answer is `ok` or `error` on a line of its own, and then text.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

const SOCKET: &str = "socket";
/// Longer than any question.
const LONGEST_QUESTION: u64 = 200;

/// Where a demo of this user and those who talk to it meet: below `LAB_DIR`, else where temporary files go.
pub fn meeting_place() -> PathBuf {
    let below =
        std::env::var_os("LAB_DIR").filter(|dir| !dir.is_empty()).map_or_else(std::env::temp_dir, PathBuf::from);
    below.join(format!("standbywatch-demo-{}", rustix::process::geteuid().as_raw()))
}

/// The demo's end of the socket. Removed when dropped.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    socket: PathBuf,
    // Held as long as the demo runs; the system lets go of it however we end.
    _lock: File,
}

impl Control {
    /// Opens the socket.
    ///
    /// # Errors
    /// When another demo of this user runs, or the place belongs to somebody else.
    pub fn open(place: &Path) -> Result<Self> {
        own_directory(place)?;
        let lock = File::options().create(true).append(true).open(place.join("lock")).context("the demo's lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("a demo runs already: end it with Ctrl-C in its terminal"),
            Err(TryLockError::Error(error)) => return Err(error).context("the demo's lock"),
        }
        let socket = place.join(SOCKET);
        // Ours is the lock, so whoever made this one is gone.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context(format!("remove {}", socket.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&socket).with_context(|| format!("listen on {}", socket.display()))?;
        Ok(Self { listener, socket, _lock: lock })
    }

    /// Answers questions, one after the other, for as long as it is awaited.
    pub async fn serve(&self, mut answer: impl AsyncFnMut(&str) -> Result<String>) -> Result<()> {
        loop {
            let (stream, _) = self.listener.accept().await.context("the demo's socket")?;
            let mut stream = BufReader::new(stream);
            let mut question = String::new();
            // Who asks nothing, or goes away, is no trouble of the demo.
            if (&mut stream).take(LONGEST_QUESTION).read_line(&mut question).await.is_err() {
                continue;
            }
            let text = match answer(question.trim()).await {
                Ok(text) => format!("ok\n{text}"),
                Err(error) => format!("error\n{error:#}"),
            };
            let _gone = stream.write_all(text.as_bytes()).await;
            let _gone = stream.shutdown().await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.socket);
    }
}

/// Makes the directory, or makes sure that the one that is there is ours alone.
fn own_directory(place: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("create {}", place.display()));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(place).with_context(|| place.display().to_string())?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
    if !ours {
        bail!("{} is not a directory of this user alone: remove it", place.display());
    }
    Ok(())
}

/// Asks the demo that runs at `place`; returns what it answers.
///
/// # Errors
/// The demo's own, or that none runs.
pub fn ask(place: &Path, question: &str) -> Result<String> {
    let Ok(mut stream) = UnixStream::connect(place.join(SOCKET)) else {
        bail!("no demo of this user runs: start one with `make demo` in another terminal, and wait until it says so");
    };
    let mut answer = String::new();
    stream.write_all(format!("{question}\n").as_bytes()).context("ask the demo")?;
    stream.read_to_string(&mut answer).context("the demo's answer")?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", text)) => bail!("{text}"),
        _ => bail!("the demo ended before it answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_is_answered_and_only_one_demo_listens() -> Result<()> {
        let lab = crate::Lab::bare()?;
        let place = lab.dir().join("place");
        assert!(ask(&place, "repair").is_err_and(|error| error.to_string().contains("no demo")));
        let control = Control::open(&place)?;
        assert!(Control::open(&place).is_err_and(|error| error.to_string().contains("runs already")));
        let asked = {
            let place = place.clone();
            tokio::task::spawn_blocking(move || (ask(&place, "good"), ask(&place, "bad")))
        };
        let answer =
            async |question: &str| if question == "good" { Ok("it is".to_owned()) } else { bail!("it is not") };
        let (good, bad) = tokio::select! {
            served = control.serve(answer) => bail!("it stopped serving: {served:?}"),
            asked = asked => asked?,
        };
        assert_eq!(good?, "it is");
        assert!(bad.is_err_and(|error| error.to_string() == "it is not"));
        drop(control);
        assert!(ask(&place, "good").is_err());
        Control::open(&place).map(|_| ())
    }
}
