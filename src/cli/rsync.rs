//! `standbywatch rsync -- ARGUMENTS`: runs rsync for a cron job, ends it at a deadline, and keeps a record for the agent.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use crate::names::file_name;
use crate::rsync_record::{
    FinishedRun, MAX_BYTES, RsyncRecord, RunEnd, RunningRun, Stamp, lock_path, process_start, record_path,
};
use crate::units::{duration_text, parse_duration, short_duration};
use crate::whole_file;

/// A run is in progress: nothing was started (`EX_TEMPFAIL` of sysexits.h).
const EXIT_OVERLAP: u8 = 75;
/// The deadline ended rsync, as `timeout(1)` tells it.
const EXIT_DEADLINE: u8 = 124;
/// Between the polite signal and the one that cannot be ignored.
const GRACE: Duration = Duration::from_secs(5);
/// After rsync's end its last output may take so long to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Runs rsync under a deadline and records the run for the agent.
///
/// Output and exit code are rsync's own. Besides: 75 another run is in progress, nothing was started; 124 ended by the
/// deadline; 126, 127 rsync could not be started; 128 + n ended by signal n.
#[derive(Debug, clap::Args)]
pub struct RsyncArgs {
    /// End rsync and everything it started after this long
    #[arg(long, default_value = "50s", value_parser = deadline)]
    pub deadline: Duration,

    /// Where the record for the agent is kept
    #[arg(long = "state.directory", env = "STATE_DIRECTORY", default_value = "/var/lib/standbywatch")]
    pub state_directory: PathBuf,

    /// The pair that this job belongs to, where the agent watches several
    #[arg(long)]
    pub pair: Option<String>,

    /// The rsync to run
    #[arg(long = "rsync.path", default_value = "rsync")]
    pub rsync_path: PathBuf,

    /// What rsync is given
    #[arg(last = true, required = true)]
    pub arguments: Vec<OsString>,
}

fn deadline(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

/// Runs the command.
pub fn run(args: &RsyncArgs) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(job(args));
            // Output that nobody takes must not keep the job from ending.
            runtime.shutdown_background();
            ExitCode::from(code)
        }
        Err(error) => {
            tell(format_args!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "a command talks to its terminal, or to cron's mail")]
fn tell(message: std::fmt::Arguments<'_>) {
    eprintln!("standbywatch rsync: {message}");
}

async fn job(args: &RsyncArgs) -> u8 {
    let pair = args.pair.as_deref();
    let path = record_path(&args.state_directory, pair);
    if let Some(odd) = pair.filter(|pair| file_name(pair) != *pair) {
        let cure = "give --pair the name that the pair has in the agent's configuration";
        tell(format_args!("no pair can be called {odd:?}, so no agent will know of this run; {cure}"));
    }
    // Copying matters more than its record: without a state directory rsync runs all the same.
    if let Err(error) = fs::create_dir_all(&args.state_directory) {
        tell(format_args!("{}: {error}; the agent will not know of this run", args.state_directory.display()));
    }
    let _lock = match lock(&lock_path(&args.state_directory, pair)) {
        Ok(lock) => Some(lock),
        Err(Errno::WOULDBLOCK) => {
            tell(format_args!("a run is in progress, not started again; it ends by itself or at its deadline"));
            return EXIT_OVERLAP;
        }
        Err(error) => {
            tell(format_args!("no lock ({error}): cannot tell whether another run is in progress"));
            None
        }
    };
    let mut record = load(&path);
    if orphan_holds(&record, args.deadline).await {
        tell(format_args!("rsync of an earlier run is still at work, not started again"));
        return EXIT_OVERLAP;
    }
    let started = Stamp::now();
    let ended = supervise(args, &started, |running| {
        record.running = Some(running);
        save(&record, &path);
    })
    .await;
    if !copies_nothing(&args.arguments) {
        if ended.end == RunEnd::Exit(24) {
            tell(format_args!("files vanished while they were copied (24); this counts as a good run"));
        }
        let now = Stamp::now();
        let took = now.moment.since(started.moment);
        let Transferred { files, bytes } = ended.transferred;
        record.finish(FinishedRun { started, ended: now, took, end: ended.end, files, bytes });
    }
    record.running = None;
    save(&record, &path);
    ended.exit_code()
}

/// Held while a run is in progress; the kernel releases it too when this process ends in whatever way.
struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said aloud, since closing the file is not enough while a child that is just being made holds a copy of it.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(path: &Path) -> Result<Lock, Errno> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = fs::OpenOptions::new().create(true).append(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(Lock(file))
}

/// The record so far. One that is damaged is set aside, so that it can be looked at and does not stop anything.
fn load(path: &Path) -> RsyncRecord {
    let read = match whole_file::read(path, MAX_BYTES as u64) {
        Ok(None) => return RsyncRecord::default(),
        Ok(Some(bytes)) => RsyncRecord::parse(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
        Err(error) => {
            tell(format_args!("{}: {error}; starting a new record", path.display()));
            return RsyncRecord::default();
        }
    };
    read.unwrap_or_else(|error| {
        let aside = path.with_extension("json.damaged");
        tell(format_args!("{}: {error}; set aside as {}", path.display(), aside.display()));
        if let Err(error) = fs::rename(path, &aside) {
            tell(format_args!("{}: {error}", aside.display()));
        }
        RsyncRecord::default()
    })
}

fn save(record: &RsyncRecord, path: &Path) {
    if let Err(error) = record.save(path) {
        tell(format_args!("{}: {error}; the agent will not know of this run", path.display()));
    }
}

/// A wrapper that was killed leaves its rsync behind. Within the deadline that run goes on; past it, it is ended here.
async fn orphan_holds(record: &RsyncRecord, deadline: Duration) -> bool {
    let now = Stamp::now();
    let Some(running) = record.running.as_ref().filter(|running| running.is_alive(&now)) else { return false };
    if running.started.age(&now).is_some_and(|age| age < deadline) {
        return true;
    }
    tell(format_args!("ending the rsync that an earlier run left behind (process {})", running.pid));
    end_group(running.pid, Signal::TERM);
    let gone = timeout(GRACE, async {
        while running.is_alive(&now) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let _ = gone.await;
    end_group(running.pid, Signal::KILL);
    false
}

/// How rsync ended, and what it said of its work.
struct Ended {
    end: RunEnd,
    transferred: Transferred,
}

impl Ended {
    fn exit_code(&self) -> u8 {
        match self.end {
            RunEnd::Exit(code) => u8::try_from(code).unwrap_or(1),
            RunEnd::Signal(signal) => u8::try_from(128 + signal).unwrap_or(1),
            RunEnd::Deadline => EXIT_DEADLINE,
        }
    }
}

/// Starts rsync in a process group of its own and sees it to its end.
async fn supervise(args: &RsyncArgs, started: &Stamp, note: impl FnOnce(RunningRun)) -> Ended {
    let reads_statistics = prints_statistics(&args.arguments);
    let mut command = Command::new(&args.rsync_path);
    command.args(&args.arguments).process_group(0);
    if reads_statistics {
        command.stdout(Stdio::piped());
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tell(format_args!("{}: {error}; install rsync or give --rsync.path", args.rsync_path.display()));
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            return Ended { end: RunEnd::Exit(code), transferred: Transferred::default() };
        }
    };
    let pid = child.id().unwrap_or(0);
    note(RunningRun { started: started.clone(), pid, pid_started: process_start(pid) });
    let output = child.stdout.take().and_then(|stdout| stdout.into_owned_fd().ok());
    let output = output.map(|stdout| tokio::task::spawn_blocking(|| pass_through(stdout.into())));
    let end = wait(&mut child, pid, args.deadline).await;
    let mut transferred = Transferred::default();
    if let Some(output) = output {
        transferred = timeout(LAST_OUTPUT, output).await.ok().and_then(Result::ok).unwrap_or_default();
    }
    Ended { end, transferred }
}

async fn wait(child: &mut Child, pid: u32, deadline: Duration) -> RunEnd {
    let runs_out = Instant::now() + deadline;
    let asked_to_end = async {
        // Where a signal cannot be listened to it ends this process as it always would.
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv() => Signal::INT,
            _ = hangup.recv() => Signal::HUP,
        }
    };
    let end = tokio::select! {
        status = child.wait() => return status.map_or(RunEnd::Exit(1), how_it_ended),
        () = sleep_until(runs_out) => {
            let limit = duration_text(deadline);
            tell(format_args!("not done within {limit}, ending it; raise --deadline if it needs longer"));
            RunEnd::Deadline
        }
        signal = asked_to_end => RunEnd::Signal(signal.as_raw()),
    };
    let polite = Instant::now();
    end_group(pid, Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        tell(format_args!("still there after {}, killing it", short_duration(polite.elapsed())));
    }
    // Also what rsync started and left behind.
    end_group(pid, Signal::KILL);
    let _ = child.wait().await;
    end
}

fn how_it_ended(status: std::process::ExitStatus) -> RunEnd {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => RunEnd::Exit(code),
        (None, Some(signal)) => RunEnd::Signal(signal),
        (None, None) => RunEnd::Exit(1),
    }
}

fn end_group(pid: u32, signal: Signal) {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // Nobody there any more is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

/// What rsync printed of its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Transferred {
    files: Option<u64>,
    bytes: Option<u64>,
}

impl Transferred {
    /// Takes in one line of `--stats`. Figures like `1.2K` (with `-h`) are not exact and not taken.
    fn read(&mut self, line: &str) {
        let figure = |name: &str| {
            let text = line.strip_prefix(name)?.strip_prefix(':')?.trim().trim_end_matches(" bytes");
            text.replace([',', '.'], "").parse().ok()
        };
        let files = figure("Number of regular files transferred").or_else(|| figure("Number of files transferred"));
        self.files = files.or(self.files);
        self.bytes = figure("Total transferred file size").or(self.bytes);
    }
}

/// Passes rsync's output on as it comes and reads its statistics on the way. Blocks as long as whoever reads it does.
fn pass_through(mut from: fs::File) -> Transferred {
    const LONGEST_LINE: usize = 1024;
    let mut to = io::stdout().lock();
    let mut transferred = Transferred::default();
    let (mut chunk, mut line) = (vec![0; 16 * 1024], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        // A closed standard output is no reason to stop the copy.
        let _ = to.write_all(&chunk[..length]).and_then(|()| to.flush());
        for byte in &chunk[..length] {
            match byte {
                b'\n' => {
                    transferred.read(&String::from_utf8_lossy(&line));
                    line.clear();
                }
                _ if line.len() < LONGEST_LINE => line.push(*byte),
                _ => {}
            }
        }
    }
    transferred
}

fn prints_statistics(arguments: &[OsString]) -> bool {
    let arguments = arguments.iter().filter_map(|argument| argument.to_str());
    arguments.into_iter().any(|argument| {
        argument == "--stats" || argument.strip_prefix("--info=").is_some_and(|info| info.contains("stats"))
    })
}

/// A dry run or a listing ends well and copies nothing: it must not count as a good run.
fn copies_nothing(arguments: &[OsString]) -> bool {
    const NOTHING: [&str; 5] = ["--dry-run", "--list-only", "--version", "--help", "-V"];
    /// Short options that take the rest of the word as their value.
    const WITH_VALUE: &str = "efBTM@";
    let short_dry_run = |argument: &str| {
        let letters = argument.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
        letters.chars().take_while(|letter| !WITH_VALUE.contains(*letter)).any(|letter| letter == 'n')
    };
    let texts = arguments.iter().filter_map(|argument| argument.to_str());
    texts.take_while(|text| *text != "--").any(|text| NOTHING.contains(&text) || short_dry_run(text))
}

#[cfg(test)]
mod tests;
