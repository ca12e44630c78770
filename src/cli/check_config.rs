//! `standbywatch check-config`: says what would be watched, or everything that is wrong.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config, Environment, KvstoreNode, NodeConfig, PairConfig, Problems, RuleSetting, Schedule};
use crate::judge::rules::{doubts, threshold_text};
use crate::names::RuleName;
use crate::serve::peer::PeerAccess;
use crate::units::duration_text;

/// Flags of `check-config`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckConfigArgs {
    /// The configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = config::DEFAULT_PATH)]
    pub config_file: PathBuf,
    /// Print a document instead of checking a file.
    #[arg(long, value_name = "DOCUMENT")]
    pub print: Option<Document>,
}

/// What `--print` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// A commented configuration with every key.
    Example,
    /// The table of all keys.
    Reference,
}

/// Checks the file (exit code 0 or 2) or prints a document.
pub fn run(args: &CheckConfigArgs) -> ExitCode {
    match args.print {
        Some(Document::Example) => print!("{}", config::example()),
        Some(Document::Reference) => print!("{}", config::reference()),
        None => match report(args, &Environment::of_process()) {
            Ok(summary) => {
                print!("{summary}");
                warn_of_peer_files(args);
            }
            Err(problems) => {
                eprintln!("{problems}");
                return ExitCode::from(2);
            }
        },
    }
    ExitCode::SUCCESS
}

/// The files that agents know each other by. No fault of the configuration: it may be checked on another machine than the agent's, or by
/// another user.
fn warn_of_peer_files(args: &CheckConfigArgs) {
    let Ok(config) = config::load(&args.config_file, &Environment::of_process()) else { return };
    if let Some(Err(text)) = config.peer.as_ref().map(PeerAccess::load) {
        eprintln!("warning: an agent started here, by this user, would end at once: {text}");
    }
}

/// What is said of the file: a summary of what would be watched.
///
/// # Errors
/// Everything that is wrong with it.
pub fn report(args: &CheckConfigArgs, environment: &Environment) -> Result<String, Problems> {
    let mut config = config::load(&args.config_file, environment)?;
    config.warnings.extend(doubts(&config));
    Ok(format!("{}: ok\n{}", args.config_file.display(), summary(&config)))
}

/// The configuration in a few lines; holds no secret.
pub fn summary(config: &Config) -> String {
    let mut text = String::new();
    for pair in &config.pairs {
        pair_summary(&mut text, pair);
    }
    for (name, setting) in &config.rules {
        let _ = writeln!(text, "rule {name}: {}", rule_summary(name, setting));
    }
    if let Some(alerting) = &config.alerting {
        let _ = writeln!(text, "alerts are pushed to {}", alerting.alertmanagers.join(", "));
        if let Some(heartbeat) = &alerting.heartbeat {
            let _ = writeln!(text, "  while that works, {} is called each minute", heartbeat.shown);
        }
        let _ = writeln!(text, "  no Prometheus may send the same rules there: one would resolve what the other fires");
    }
    for warning in &config.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn pair_summary(text: &mut String, pair: &PairConfig) {
    let _ = writeln!(text, "pair {}", pair.name);
    for node in &pair.nodes {
        let _ = writeln!(text, "  node {}: {}", node.name, node_summary(node).join("; "));
    }
    for channel in pair.channels() {
        let _ = writeln!(
            text,
            "  channel {channel}: {}",
            pair.schedule(channel).as_ref().map(schedule_text).unwrap_or_default()
        );
    }
    if let Some((_, page)) = pair.status_page() {
        let _ = writeln!(text, "  postgres by the vendor's page {}: believed, never proven", page.shown);
    }
    if let Some(pulse) = pair.postgres.as_ref().and_then(|channel| channel.pulse) {
        let _ = writeln!(text, "  the proven primary writes a pulse every {}", duration_text(pulse));
    }
    let _ = writeln!(text, "  acceptable loss: {}, {}", pair.rpo.bytes, duration_text(pair.rpo.age));
}

fn node_summary(node: &NodeConfig) -> Vec<String> {
    let postgres =
        node.postgres.as_ref().map(|server| format!("postgres {}:{} as {}", server.host, server.port, server.user));
    let kvstore = node.kvstore.as_ref().map(KvstoreNode::summary);
    let search = node.search.as_ref().map(|engine| format!("search {}", engine.url));
    let config = node.config.as_ref().map(|tree| format!("config {}", tree.root.display()));
    let agent = node.agent.as_ref().map(|url| format!("asked by its own agent at {url}"));
    [agent, postgres, config, kvstore, search].into_iter().flatten().collect()
}

fn schedule_text(schedule: &Schedule) -> String {
    let [interval, timeout, stale_after] =
        [schedule.interval, schedule.timeout, schedule.stale_after].map(duration_text);
    format!("every {interval}, timeout {timeout}, stale after {stale_after}")
}

fn rule_summary(name: &str, setting: &RuleSetting) -> String {
    let rule = RuleName::ALL.iter().find(|rule| rule.as_str() == name);
    let hold = setting.hold.map(|hold| format!("for {}", duration_text(hold)));
    let threshold =
        rule.zip(setting.threshold).map(|(rule, threshold)| format!("threshold {}", threshold_text(*rule, threshold)));
    let enabled = setting.enabled.map(|enabled| if enabled { "on".to_owned() } else { "off".to_owned() });
    let parts: Vec<String> = [hold, threshold, enabled].into_iter().flatten().collect();
    if parts.is_empty() { "unchanged".to_owned() } else { parts.join(", ") }
}
