//! One laboratory: a temporary directory with everything that a test starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use rustix::fs::StatVfsMountFlags;
use tokio::runtime::{Handle, Runtime};

use crate::find::Need;
use crate::keeper::{self, Keeper, inside, pids};
use crate::user::ServerUser;

/// The directory of one test and its keeper. Clones are the same lab; with the last one, and the servers
/// that were started in it, everything ends and the directory is removed.
#[derive(Clone, Debug)]
pub struct Lab(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    user: Option<ServerUser>,
    /// None where the lab is shared with other processes, which have a keeper together.
    _keeper: Option<Keeper>,
}

impl Lab {
    /// Opens a lab for the calling test. `Ok(None)`: one of the needs cannot be met here, a line
    /// `SKIPPED: <test> because <reason>` was printed, and the test should return.
    ///
    /// # Errors
    /// With `LAB_REQUIRE_ALL=1` a missing server is an error; also when no directory can be made.
    pub fn open(needs: &[Need]) -> Result<Option<Self>> {
        match needs.iter().find_map(|need| Some((need, need.missing()?))) {
            Some((need, reason)) if need.may_be_missing() => {
                skip(&reason);
                Ok(None)
            }
            Some((_, reason)) => {
                skip_or_fail(&reason)?;
                Ok(None)
            }
            None => Self::bare().map(Some),
        }
    }

    /// A lab without any need.
    pub fn bare() -> Result<Self> {
        let dir = make_directory()?;
        let keeper = Keeper::watch(&dir)?;
        Self::of(dir, Some(keeper))
    }

    /// A lab that ends when the last process has left the lock file `users`, not with us; `note` goes first.
    pub(crate) fn shared(users: &Path, note: &Path) -> Result<Self> {
        let dir = make_directory()?;
        keeper::watch_shared(&dir, users, note)?;
        Self::of(dir, None)
    }

    fn of(dir: PathBuf, keeper: Option<Keeper>) -> Result<Self> {
        let user = ServerUser::find()?;
        Ok(Self(Arc::new(Inner { dir, user, _keeper: keeper })))
    }

    /// The lab's directory. Files may be put here freely; they go with the lab.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Writes a file below the lab's directory, readable by its servers, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Process ids of everything that runs in this lab.
    pub fn processes(&self) -> Vec<u32> {
        pids(&inside(self.dir()))
    }

    /// As whom servers run; `None`: as ourselves.
    pub(crate) fn user(&self) -> Option<ServerUser> {
        self.0.user
    }

    /// A directory of a server below the lab's, owned by the servers' user. Fails if it exists.
    pub(crate) fn server_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir().join(name);
        if dir.exists() {
            bail!("this lab already has a `{name}`");
        }
        ServerUser::make_dir(self.user(), &dir, 0o755)?;
        Ok(dir)
    }
}

/// Prints `SKIPPED: <test> because <reason>`, or fails when `LAB_REQUIRE_ALL=1` forbids skipping.
pub fn skip_or_fail(reason: &str) -> Result<()> {
    if std::env::var_os("LAB_REQUIRE_ALL").is_some_and(|value| value == "1") {
        bail!("LAB_REQUIRE_ALL=1, but {reason}");
    }
    skip(reason);
    Ok(())
}

fn skip(reason: &str) {
    println!("SKIPPED: {} because {reason}", test_name());
}

/// The thread carries the test's name, except where a runner gives each test a process.
fn test_name() -> String {
    match std::thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_else(|| "this test".to_owned()),
    }
}

/// Where cables, writers and receivers run: a thread of their own, so that a test that computes or blocks
/// does not slow the traffic of its servers.
pub(crate) fn stage() -> Result<Handle> {
    static STAGE: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let started = STAGE.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("lab-stage").enable_all().build()
    });
    match started {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => bail!("start the lab's runtime: {error}"),
    }
}

/// Enough for the WAL of a standby that is down under load.
const ROOM: u64 = 4 << 30;

/// Where directories are made: `LAB_DIR`, else memory if there is plenty (a cluster is copied there many times
/// faster than on a disk), else where temporary files go.
fn base_directory() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("LAB_DIR").filter(|dir| !dir.is_empty()) {
        return fs::canonicalize(&dir).context("LAB_DIR");
    }
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize) >= ROOM && !stat.f_flag.contains(StatVfsMountFlags::NOEXEC)
    });
    if roomy {
        return Ok(memory.to_owned());
    }
    let temp = fs::canonicalize(std::env::temp_dir())?;
    // PostgreSQL's socket below it may have a path of 107 bytes at most.
    Ok(if temp.as_os_str().len() > 50 { PathBuf::from("/tmp") } else { temp })
}

fn make_directory() -> Result<PathBuf> {
    let base = base_directory()?;
    for _ in 0..100 {
        let id: String = std::iter::repeat_with(fastrand::alphanumeric).take(8).collect();
        let dir = base.join(format!("standbywatch-lab-{id}"));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context(format!("create {}", dir.display())),
        }
    }
    bail!("no free directory name in {}", base.display())
}
