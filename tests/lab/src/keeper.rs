//! The keeper: ends everything that a lab started, also when the lab's process was killed.
//!
//! Ending a process group is not enough: each PostgreSQL backend makes a session of its own, and one that
//! is stopped outlives its postmaster. What all processes of a lab share is their working directory, which lies
//! inside the lab's directory. So that is what the keeper goes by, and nothing has to be registered.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Waits until its input is closed (by us, or by the system when we die), then kills and removes.
/// It stands in `/`, so that it does not find itself.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
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

/// The running keeper of one directory.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    pub fn watch(dir: &Path) -> Result<Self> {
        Command::new("sh")
            .args(["-c", SCRIPT, "lab-keeper"])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: Ctrl-C and a test runner's kill go to ours.
            .process_group(0)
            .spawn()
            .map(Self)
            .context("start the keeper")
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
    pids.iter()
        .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
        .collect()
}

/// Sends a signal to all processes inside `dir` until no new one turns up; returns how many got it.
pub(crate) fn signal_inside(dir: &Path, signal: Signal) -> usize {
    let mut done: Vec<Pid> = Vec::new();
    loop {
        let new: Vec<Pid> = inside(dir)
            .into_iter()
            .filter(|pid| !done.contains(pid))
            .collect();
        if new.is_empty() {
            return done.len();
        }
        for pid in &new {
            // It may have ended since we looked.
            let _gone = kill_process(*pid, signal);
        }
        done.extend(new);
    }
}
