//! The keeper: ends everything that a lab started, also when the lab's process was killed.
//!
//! Ending a process group is not enough: each PostgreSQL backend makes a session of its own, and one that
//! is stopped outlives its postmaster. What all processes of a lab share is their working directory, which lies
//! inside the lab's directory. So that is what the keeper goes by, and nothing has to be registered.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Waits until its input is closed: by us, or by the system when we die.
const UNTIL_CLOSED: &str = "cat >/dev/null";

/// Waits until nobody holds the lock file `$2` any more, and for 3 s after that nobody took it up again;
/// then removes `$3`, by which it would be found.
const UNTIL_UNUSED: &str = r#"
exec 9>>"$2"
while :; do
    flock -x 9
    flock -u 9
    sleep 3
    flock -xn 9 && break
done
rm -f -- "$3"
"#;

/// Kills all that runs in `$1` and removes it.
const CLEAN: &str = r#"
round=0
while [ "$round" -lt 200 ]; do
    pids=$(find /proc -mindepth 2 -maxdepth 2 -name cwd \
        \( -lname "$1" -o -lname "$1/*" -o -lname "$1 (deleted)" \) 2>/dev/null | cut -d/ -f3)
    [ -n "$pids" ] || break
    kill -KILL $pids 2>/dev/null
    round=$((round + 1))
    sleep 0.02
done
# A killed PostgreSQL leaves a shared memory segment; the seventh line names its key and number.
find "$1" -name postmaster.pid -exec sed -n -s 7p {} + 2>/dev/null |
    while read -r key segment; do ipcrm -m "$segment"; done
[ -n "$LAB_KEEP" ] || rm -rf -- "$1"
"#;

/// Starts a keeper of `dir`. It stands in `/`, so that it does not find itself, and in a group of its own, since
/// Ctrl-C and a test runner's kill go to ours.
fn spawn(wait: &str, dir: &Path, more: &[&Path], stdin: Stdio) -> Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(format!("trap '' INT TERM HUP\n{wait}\n{CLEAN}"))
        .arg("lab-keeper")
        .arg(dir)
        .args(more)
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the keeper")
}

/// Starts a keeper that outlives us: once nobody locks the file `users` it removes `note` and cleans `dir`.
pub(crate) fn watch_shared(dir: &Path, users: &Path, note: &Path) -> Result<()> {
    spawn(UNTIL_UNUSED, dir, &[users, note], Stdio::null()).map(|_| ())
}

/// The running keeper of one directory.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    pub fn watch(dir: &Path) -> Result<Self> {
        spawn(UNTIL_CLOSED, dir, &[], Stdio::piped()).map(Self)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            eprintln!("lab: waiting for the keeper: {error}");
        }
    }
}

/// All processes whose working directory is `dir` or below it.
pub(crate) fn inside(dir: &Path) -> Vec<Pid> {
    let own = rustix::process::getpid();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let cwd = fs::read_link(entry.path().join("cwd")).ok()?;
            cwd.starts_with(dir).then(|| Pid::from_raw(pid)).flatten()
        })
        .filter(|pid| *pid != own)
        .collect()
}

/// The same as plain numbers.
pub(crate) fn pids(pids: &[Pid]) -> Vec<u32> {
    pids.iter().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()).collect()
}

/// Sends a signal to all processes inside `dir` until no new one turns up; returns them.
pub(crate) fn signal_inside(dir: &Path, signal: Signal) -> Vec<Pid> {
    let mut done: Vec<Pid> = Vec::new();
    loop {
        let new: Vec<Pid> = inside(dir).into_iter().filter(|pid| !done.contains(pid)).collect();
        if new.is_empty() {
            return done;
        }
        for pid in &new {
            // It may have ended since we looked.
            let _gone = kill_process(*pid, signal);
        }
        done.extend(new);
    }
}

/// Stops a process and returns once it stands: the signal alone takes effect a moment later.
pub(crate) fn freeze(pid: Pid) -> Result<()> {
    kill_process(pid, Signal::STOP).context("freeze")?;
    wait_until_stopped(pid)
}

/// Returns once a process that got SIGSTOP stands, or is gone.
pub(crate) fn wait_until_stopped(pid: Pid) -> Result<()> {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        // "pid (name) state …"; the name may have any letter in it.
        let state = fs::read_to_string(&stat).ok();
        let state = state.as_ref().and_then(|text| text.rsplit_once(") ")).map(|(_, rest)| rest);
        if state.is_none_or(|state| state.starts_with(['T', 'Z', 'X'])) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("process {} does not stop", pid.as_raw_nonzero())
}
