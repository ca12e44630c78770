//! `standbywatch status`: how the pairs are, for a person, a script, or Nagios.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::source::SourceArgs;
use crate::clock;
use crate::config::{self, Config};
use crate::http_client;
use crate::hub::{Common, Hub};
use crate::judge::rules::RuleBook;
use crate::level::Level;
use crate::names::{FailureKind, Reason};
use crate::snapshot::{Snapshot, View};
use crate::units;
use crate::view::api::StatusDocument;
use crate::view::table;

/// The agent must answer within this time, since it only renders.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A longer answer is not the agent's.
const LONGEST_ANSWER: usize = 16 << 20;

/// Flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// The running agent that is asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:19517")]
    url: String,
    /// Ask no agent: probe from here until the level is decided.
    #[arg(long, conflicts_with = "url")]
    once: bool,
    /// With --once or two URLs: look at most this long.
    #[arg(long, value_name = "DURATION", default_value = "16s", value_parser = units::parse_duration)]
    wait: Duration,
    /// Print all of it as JSON.
    #[arg(long)]
    json: bool,
    /// With --once: where `standbywatch rsync` keeps its record.
    #[arg(
        long = "state.directory",
        value_name = "DIRECTORY",
        env = "STATE_DIRECTORY",
        default_value = "/var/lib/standbywatch"
    )]
    state_directory: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
}

/// Prints the status. Exit code 0 ok, 1 warning, 2 critical, 3 unknown and every other trouble.
pub fn run(args: &StatusArgs) -> ExitCode {
    match ask_or_look(args) {
        Ok(status) => {
            print!("{}", if args.json { json(&status) } else { table::render(&status) });
            ExitCode::from(status.level.code())
        }
        Err(text) => {
            // Monitoring systems show what stands on standard output.
            println!("UNKNOWN {text}");
            ExitCode::from(Level::Unknown.code())
        }
    }
}

/// What the running agent says, or what is seen from here.
pub(super) fn ask_or_look(args: &StatusArgs) -> Result<StatusDocument, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let status = runtime.block_on(status(args));
        runtime.shutdown_background();
        status
    })
}

impl StatusArgs {
    /// JSON is asked for.
    pub(super) const fn json(&self) -> bool {
        self.json
    }
}

fn json(status: &StatusDocument) -> String {
    let text = serde_json::to_string_pretty(status).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
    text + "\n"
}

async fn status(args: &StatusArgs) -> Result<StatusDocument, String> {
    if args.once || args.source.urls().is_some() {
        let config = args.source.load().map_err(|problems| problems.to_string())?;
        for warning in &config.warnings {
            eprintln!("warning: {warning}");
        }
        Ok(look(config, args).await)
    } else {
        ask(&args.url).await
    }
}

/// Asks the running agent.
async fn ask(url: &str) -> Result<StatusDocument, String> {
    let place = config::shown(url);
    let url = format!("{}/api/v1/status", url.trim_end_matches('/'));
    let answer = http_client::get(&url, &[("accept", "application/json")], ANSWER_WITHIN, LONGEST_ANSWER).await;
    let answer = answer.map_err(|error| {
        let cure = match (error.kind, url.starts_with("http")) {
            (FailureKind::Tls, true) => "is it `https://`, and is its certificate known here?",
            (_, true) => "is it running? (`status --once` looks without one)",
            (_, false) => "the agent's own is http://127.0.0.1:19517 unless it was told otherwise",
        };
        format!("the agent cannot be asked at {place}: {error}; {cure}")
    })?;
    if !answer.is_success() {
        return Err(format!("{place} answers {}: {}", answer.status, answer.excerpt(300)));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let error = answer.excerpt_of(&error.to_string(), 300);
        format!("{place} does not answer as an agent does: {error}")
    })
}

/// Probes all pairs until each is decided, at most for as long as the flags say.
async fn look(config: Config, args: &StatusArgs) -> StatusDocument {
    let rules = Arc::new(RuleBook::new(&config.rules));
    let common = Common { rules, state_directory: args.state_directory.clone(), keeping: None };
    let mut hubs = Vec::new();
    for pair in &config.pairs {
        hubs.push(Hub::start(pair.clone(), &common, None).await);
    }
    let mut waiting = JoinSet::new();
    for hub in &hubs {
        let mut snapshots = hub.snapshots().clone();
        waiting.spawn(async move {
            let _ = snapshots.wait_for(|snapshot| is_decided(snapshot)).await;
        });
    }
    let _ = tokio::time::timeout(args.wait, waiting.join_all()).await;
    let snapshots: Vec<Arc<Snapshot>> = hubs.iter().map(|hub| latest(hub.snapshots())).collect();
    let now = clock::now();
    let views = snapshots.iter().map(|snapshot| (snapshot.at(now), snapshot.complete));
    let status = StatusDocument::new(views, now, clock::wall());
    for hub in hubs {
        hub.stop().await;
    }
    status
}

fn latest(snapshots: &watch::Receiver<Arc<Snapshot>>) -> Arc<Snapshot> {
    snapshots.borrow().clone()
}

fn is_decided(snapshot: &Snapshot) -> bool {
    snapshot.complete && !waits_for_more(snapshot.at(clock::now()))
}

/// What a first look cannot tell yet: the servers' next sign of life comes within ten seconds or so.
fn waits_for_more(view: &View) -> bool {
    let first = [Reason::NotSeenYet, Reason::Starting, Reason::RoleUnknown];
    view.channels
        .iter()
        .any(|channel| channel.level == Level::Unknown && channel.reason.is_some_and(|reason| first.contains(&reason)))
}
