//! Logs on standard error, as logfmt or JSON.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// `--log.level` and `--log.format`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LogArgs {
    /// The least grave messages to log.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info")]
    pub level: LogLevel,
    /// How a line is written.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub format: LogFormat,
}

/// The least grave messages to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Steps of single probes.
    Debug,
    /// Transitions and starts.
    Info,
    /// What may need a look.
    Warn,
    /// What a person must act on.
    Error,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `key=value`.
    Logfmt,
    /// One object per line.
    Json,
}

/// Starts logging; once per process.
pub fn start(args: LogArgs) {
    let level = match args.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // Libraries only where they have something to complain about.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("standbywatch", level);
    let logs = tracing_subscriber::registry().with(filter);
    // A second call (two agents in one test process) keeps the first logger.
    let _ = match args.format {
        LogFormat::Logfmt => {
            let lines = tracing_subscriber::fmt::layer()
                .event_format(tracing_logfmt::EventsFormatter::default())
                .fmt_fields(tracing_logfmt::FieldsFormatter::default())
                .with_writer(std::io::stderr);
            logs.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            logs.with(lines).try_init()
        }
    };
}
