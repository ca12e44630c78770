//! A real rsync on a loop, in place of cron.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::find;
use crate::lab::{Lab, stage};
use crate::wait::wait_until;

/// What the loop did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs that ended.
    pub ended: u64,
    /// Those that ended with 0.
    pub good: u64,
    /// Exit code of the last one; `None` before the first, and when a signal ended it.
    pub last_exit: Option<i32>,
}

/// Copies the primary's tree to the standby's, again and again. Ends when dropped.
///
/// The standby pulls: source `config-alpha/`, destination `config-beta/`, time stamp beside them.
#[derive(Debug)]
pub struct SyncLoop {
    source: PathBuf,
    destination: PathBuf,
    timestamp: PathBuf,
    runs: watch::Receiver<Runs>,
    how: Arc<Mutex<How>>,
    tasks: Mutex<JoinSet<()>>,
    job: Job,
}

/// How a run goes about it; may be changed while the loop runs.
#[derive(Clone, Debug)]
pub struct How {
    /// rsync's options.
    pub options: Vec<String>,
    /// What to copy from in place of the primary's directory, e.g. `rsync://127.0.0.1:873/conf/`.
    pub from: Option<String>,
    /// Asked for besides.
    pub besides: Option<PathBuf>,
    /// The words before the whole command, e.g. a shell that sets a limit first.
    pub before: Vec<String>,
}

impl Default for How {
    fn default() -> Self {
        let options = ["--archive", "--delete"].map(str::to_owned).to_vec();
        Self { options, from: None, besides: None, before: Vec::new() }
    }
}

/// What a run does.
#[derive(Clone, Debug)]
struct Job {
    wrapper: Vec<String>,
    timestamp: Option<PathBuf>,
    source: PathBuf,
    destination: PathBuf,
    dir: PathBuf,
    how: Arc<Mutex<How>>,
    period: Duration,
    runs: watch::Sender<Runs>,
}

impl SyncLoop {
    /// Starts the loop: rsync now and then each `period`; after a good run it writes the time (epoch
    /// seconds, of the run's start) to the time stamp file on the standby.
    pub fn start(lab: &Lab, period: Duration) -> Result<Self> {
        let timestamp = lab.dir().join("config-sync.timestamp");
        Self::with(lab, period, Vec::new(), Some(timestamp))
    }

    /// The same through a wrapper: `wrapper` is the command line before rsync's arguments, e.g.
    /// `[standbywatch, "rsync", "--state.directory", DIR, "--"]`. It writes no time stamp file.
    pub fn wrapped(lab: &Lab, period: Duration, wrapper: Vec<String>) -> Result<Self> {
        Self::with(lab, period, wrapper, None)
    }

    fn with(lab: &Lab, period: Duration, wrapper: Vec<String>, timestamp: Option<PathBuf>) -> Result<Self> {
        let source = lab.dir().join("config-alpha");
        let destination = lab.dir().join("config-beta");
        lab.write("config-alpha/app.conf", "answer = 42\n")?;
        lab.write("config-alpha/sites/one.conf", "listen = 80\n")?;
        std::fs::create_dir_all(&destination)?;
        let rsync = find::program("rsync")?.display().to_string();
        let job = Job {
            wrapper: if wrapper.is_empty() { vec![rsync] } else { wrapper },
            timestamp,
            source: source.clone(),
            destination: destination.clone(),
            dir: lab.dir().to_owned(),
            how: Arc::default(),
            period,
            runs: watch::Sender::new(Runs::default()),
        };
        let this = Self {
            source,
            destination,
            timestamp: lab.dir().join("config-sync.timestamp"),
            runs: job.runs.subscribe(),
            how: Arc::clone(&job.how),
            tasks: Mutex::new(JoinSet::new()),
            job,
        };
        this.resume()?;
        Ok(this)
    }

    /// The primary's tree: write files here.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The standby's copy.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// The standby's time stamp file, outside the tree.
    pub fn timestamp_file(&self) -> &Path {
        &self.timestamp
    }

    /// What happened so far.
    pub fn runs(&self) -> Runs {
        *self.runs.borrow()
    }

    /// Waits until a run that ends after this call was good.
    pub async fn wait_for_good_run(&self, within: Duration) -> Result<Runs> {
        let before = self.runs().good;
        wait_until("a good run of rsync", within, async || {
            let runs = self.runs();
            Ok((runs.good > before).then_some(runs))
        })
        .await
    }

    /// Waits until the last run has ended with `code`.
    pub async fn wait_for_exit(&self, code: i32, within: Duration) -> Result<Runs> {
        wait_until(&format!("rsync ends with {code}"), within, async || {
            let runs = self.runs();
            Ok((runs.last_exit == Some(code)).then_some(runs))
        })
        .await
    }

    /// Stops the loop, as if cron had been stopped: a run under way is killed.
    pub fn stop(&self) {
        self.tasks().abort_all();
    }

    /// Starts the loop again after [`SyncLoop::stop`].
    pub fn resume(&self) -> Result<()> {
        let mut tasks = self.tasks();
        tasks.abort_all();
        tasks.spawn_on(repeat(self.job.clone()), &stage()?);
        Ok(())
    }

    /// From now on each run asks also for a file that is not there: rsync copies the rest and ends with 23.
    pub fn fail_partially(&self) {
        let besides = Some(self.source.join("no-such-file"));
        self.from_now_on(How { besides, ..How::default() });
    }

    /// Undoes [`SyncLoop::fail_partially`] and [`SyncLoop::from_now_on`].
    pub fn repair(&self) {
        self.from_now_on(How::default());
    }

    /// Lets the runs from the next one on go about it like this.
    pub fn from_now_on(&self, how: How) {
        *self.how.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn repeat(job: Job) {
    let mut ticks = interval(job.period);
    // Like cron's `flock -n`: no run while one is under way.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        match run(&job).await {
            Ok(exit) => job.runs.send_modify(|runs| {
                runs.ended += 1;
                runs.good += u64::from(exit == Some(0));
                runs.last_exit = exit;
            }),
            Err(error) => eprintln!("lab: rsync loop: {error:#}"),
        }
    }
}

/// One run; its exit code, `None` when a signal ended it.
async fn run(job: &Job) -> Result<Option<i32>> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let log = std::fs::File::options().create(true).append(true).open(job.dir.join("rsync.log"))?;
    let how = job.how.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let words: Vec<&String> = how.before.iter().chain(&job.wrapper).collect();
    let (program, before) = words.split_first().context("an empty wrapper")?;
    let mut source = job.source.clone().into_os_string();
    source.push("/");
    let source = how.from.map_or(source, Into::into);
    let exit = Command::new(program)
        .args(before)
        .args(how.options)
        .arg(source)
        .args(how.besides)
        .arg(&job.destination)
        .current_dir(&job.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("start {program}"))?;
    if let (Some(0), Some(file)) = (exit.code(), &job.timestamp) {
        // Whole or not at all: the agent may read at any time.
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{started}\n"))?;
        std::fs::rename(&new, file)?;
    }
    Ok(exit.code())
}
