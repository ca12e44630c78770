//! One started program and everything that it started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::keeper::{freeze, inside, pids, signal_inside, wait_until_stopped};
use crate::lab::Lab;
use crate::wait::wait_until;

/// How long a server may take to end after it was asked to.
const END: Duration = Duration::from_secs(30);

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// The unprivileged user, when we are root.
    Server,
    /// Whoever runs the test.
    Caller,
}

/// A program of the lab with all its descendants: they are known by their working directory.
///
/// Ends (by SIGKILL) when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    dir: PathBuf,
    log: PathBuf,
    lab: Lab,
    child: Mutex<Option<Child>>,
    left: AtomicBool,
}

impl Server {
    /// A server that was not started yet; its programs will run in `dir`, alone there.
    pub(crate) fn new(lab: &Lab, name: &str, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            dir: dir.to_owned(),
            log: lab.dir().join(format!("{name}.log")),
            lab: lab.clone(),
            child: Mutex::new(None),
            left: AtomicBool::new(false),
        }
    }

    /// Starts `command` in the server's directory, its output appended to the log.
    pub(crate) fn launch(&self, mut command: Command, who: As) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("open {}", self.log.display()))?;
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        if let (As::Server, Some(user)) = (who, self.lab.user()) {
            command.uid(user.uid).gid(user.gid);
        }
        let child = command.spawn().with_context(|| format!("start {} ({:?})", self.name, command.as_std()))?;
        *self.child() = Some(child);
        Ok(())
    }

    /// Name in the lab, also of its log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of the program itself, while we have not seen it end.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().and_then(Child::id)
    }

    /// All its processes: the program and what it started.
    pub fn processes(&self) -> Vec<u32> {
        pids(&inside(&self.dir))
    }

    /// True while the program runs (or is frozen).
    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What it wrote to its output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log, for messages.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// SIGSTOP to all its processes; returns once they stand.
    pub fn freeze(&self) -> Result<()> {
        self.signal_all(Signal::STOP)?.into_iter().try_for_each(wait_until_stopped)
    }

    /// SIGCONT to all its processes.
    pub fn thaw(&self) -> Result<()> {
        self.signal_all(Signal::CONT).map(|_| ())
    }

    /// Asks it to end by SIGTERM and waits until it and all its processes are gone.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.end_by(Signal::TERM).await
    }

    /// SIGKILL to all its processes; waits until they are gone. Nothing to do if it does not run.
    pub async fn kill(&self) -> Result<()> {
        signal_inside(&self.dir, Signal::KILL);
        if self.pid().is_some() {
            self.wait().await?;
        }
        Ok(())
    }

    /// Waits until the program has ended by itself, and returns how.
    pub async fn wait(&self) -> Result<ExitStatus> {
        let Some(mut child) = self.child().take() else {
            bail!("{} was not started", self.name);
        };
        let status = child.wait().await.context("wait for a server's end")?;
        wait_until("all of its processes are gone", END, async || Ok(inside(&self.dir).is_empty().then_some(())))
            .await
            .with_context(|| format!("after the end of {}", self.name))?;
        Ok(status)
    }

    /// Sends `signal` to the program itself and waits until all is gone; kills it after 30 s and fails.
    pub(crate) async fn end_by(&self, signal: Signal) -> Result<ExitStatus> {
        self.signal_main(signal)?;
        match tokio::time::timeout(END, self.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                signal_inside(&self.dir, Signal::KILL);
                bail!("{} did not end within {END:?}", self.name)
            }
        }
    }

    /// SIGSTOP to the program itself only; returns once it stands.
    pub(crate) fn freeze_main(&self) -> Result<()> {
        freeze(self.main()?)
    }

    fn main(&self) -> Result<Pid> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        pid.with_context(|| format!("{} does not run", self.name))
    }

    /// Sends `signal` to the program itself only.
    pub(crate) fn signal_main(&self, signal: Signal) -> Result<()> {
        let pid = self.main()?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets it run on when this is dropped: it belongs to a shared lab.
    pub(crate) fn leave_running(self) {
        self.left.store(true, Ordering::Relaxed);
    }

    fn signal_all(&self, signal: Signal) -> Result<Vec<Pid>> {
        let reached = signal_inside(&self.dir, signal);
        if reached.is_empty() {
            bail!("{} has no process", self.name);
        }
        Ok(reached)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.left.load(Ordering::Relaxed) {
            signal_inside(&self.dir, Signal::KILL);
        }
    }
}
