//! `standbywatch run`: the agent itself, until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::log::{self, LogArgs};
use super::source::SourceArgs;
use crate::app::{App, Options};
use crate::config::{Config, Sitting};
use crate::serve::{ReloadRequest, WebSettings};

/// Threads for files and names; each lives only while it is needed.
const BLOCKING_THREADS: usize = 16;

/// Flags of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Where to listen, as ADDRESS:PORT or :PORT; may be given several times.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":19517")]
    listen: Vec<String>,
    /// Where metrics are shown.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics", value_parser = telemetry_path)]
    telemetry_path: String,
    /// Requests that are served at the same time.
    #[arg(long = "web.max-requests", value_name = "COUNT", default_value_t = WebSettings::default().max_requests)]
    max_requests: usize,
    /// Let this machine ask for a reload by `POST /-/reload`.
    #[arg(long = "web.enable-lifecycle")]
    enable_lifecycle: bool,
    /// Where state is kept over restarts.
    #[arg(
        long = "state.directory",
        value_name = "DIRECTORY",
        env = "STATE_DIRECTORY",
        default_value = "/var/lib/standbywatch"
    )]
    state_directory: PathBuf,
    /// Probe every node from here, although nodes have agents of their own.
    #[arg(long)]
    observer: bool,
    /// The node that this is the agent of, where nodes have agents of their own; without it the one that is named like this
    /// machine.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

fn telemetry_path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '%');
    let good = text.len() > 1 && text.starts_with('/') && text.chars().all(plain);
    if good {
        Ok(text.to_owned())
    } else {
        Err("a path begins with / and has no spaces, for example /metrics".to_owned())
    }
}

/// Runs until SIGTERM or SIGINT (exit code 0). 2: the configuration is wrong. 1: it cannot run.
pub fn run(args: &RunArgs) -> ExitCode {
    let config = match args.load() {
        Ok(config) => config,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    log::start(args.log);
    // One thread is enough: scrapes only render, probes only wait. It keeps the agent small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let result = runtime.block_on(agent(args, config));
        // A name server that hangs must not keep the process.
        runtime.shutdown_background();
        result
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("standbywatch: {text}");
            ExitCode::FAILURE
        }
    }
}

impl RunArgs {
    fn load(&self) -> Result<Config, String> {
        let config = self.source.load().map_err(|problems| problems.to_string())?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let sitting = Sitting { observer: self.observer, node: self.node.clone(), host };
        config.seen_from(&sitting).map_err(|error| error.to_string())
    }

    fn options(&self, lifecycle: &mpsc::Sender<ReloadRequest>) -> Options {
        let web = WebSettings {
            telemetry_path: self.telemetry_path.clone(),
            max_requests: self.max_requests,
            ..WebSettings::default()
        };
        let lifecycle = self.enable_lifecycle.then(|| lifecycle.clone());
        Options { listen: self.listen.clone(), web, state_directory: self.state_directory.clone(), lifecycle }
    }
}

/// Signals that mean something. Caught before anything starts, so that none is lost.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Its default would kill the agent where a file may not grow; caught, the write fails and that is said.
    _file_too_large: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Until it is to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn agent(args: &RunArgs, config: Config) -> Result<(), String> {
    let mut signals = Signals::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
    warn(&config);
    // Whoever asks while a reload runs waits for the next one.
    let (ask, mut asked) = mpsc::channel(1);
    let mut app = App::start(config, args.options(&ask)).await.map_err(|error| error.to_string())?;
    for address in app.addresses() {
        tracing::info!(%address, "listening");
    }
    tell_systemd(NotifyState::Ready);
    loop {
        let waiting = tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => None,
            Some(waiting) = asked.recv() => Some(waiting),
        };
        // A file system that hangs while the file is read must not keep the agent from stopping.
        let loaded = tokio::select! {
            () = signals.stop() => break,
            loaded = load(args) => loaded,
        };
        let became = reload(loaded, &mut app).await;
        if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            let _ = waiting.send(became);
        }
    }
    tracing::info!("stopping");
    tell_systemd(NotifyState::Stopping);
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn load(args: &RunArgs) -> Result<Config, String> {
    let from = args.clone();
    let loaded = tokio::task::spawn_blocking(move || from.load()).await;
    loaded.unwrap_or_else(|error| Err(error.to_string()))
}

async fn reload(loaded: Result<Config, String>, app: &mut App) -> Result<(), String> {
    match loaded {
        Ok(config) => {
            warn(&config);
            if let Err(error) = app.reload(config).await {
                tracing::error!(%error, "configuration not reloaded; the one before stays in use");
                return Err(error.to_string());
            }
            tracing::info!("configuration reloaded");
            Ok(())
        }
        Err(error) => {
            app.reload_failed();
            tracing::error!(error, "configuration not reloaded; the one before stays in use");
            Err(error)
        }
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Does nothing where systemd did not start this process.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
