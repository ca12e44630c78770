//! The commands, one short file each.

pub mod check_config;
pub mod failover;
mod log;
pub mod peer;
pub mod rsync;
pub mod rules;
pub mod run;
pub mod runbook;
mod source;
pub mod status;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;
use crate::level::Level;

/// What a stranger wants to type first.
const FIRST_LOOK: &str = "A first look, without any configuration file:
  standbywatch status --primary postgres://USER@HOST/postgres --standby postgres://USER@HOST/postgres";

/// Tells the truth about a warm-standby pair: a Prometheus exporter with an alerting sidecar.
#[derive(Debug, Parser)]
#[command(name = "standbywatch", version, args_conflicts_with_subcommands = true, after_help = FIRST_LOOK)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the pairs and serve what is known of them (the default).
    Run(run::RunArgs),
    /// Say what a configuration file would watch, or everything that is wrong with it.
    CheckConfig(check_config::CheckConfigArgs),
    /// Show how the pairs are; exit code 0 ok, 1 warning, 2 critical, 3 unknown and every other trouble.
    Status(status::StatusArgs),
    /// Say whether a standby can be promoted now, and how; exit code 0 ready, 1 with loss, 2 not ready, 3 unknown or primary gone.
    Failover(failover::FailoverArgs),
    /// Print the alert rules for Prometheus.
    Rules(rules::RulesArgs),
    /// Print what an alert means, what to check and how to mend it.
    Runbook(runbook::RunbookArgs),
    /// Run rsync under a deadline and record what became of it.
    Rsync(rsync::RsyncArgs),
    /// What the agents of a pair know each other by.
    Peer(peer::PeerArgs),
}

/// Prints what is wrong with the arguments, or the help that they ask for. A misplaced URL is repeated without its password.
fn complain(error: &clap::Error, arguments: &[OsString]) {
    let told = error.render().to_string();
    let masked =
        arguments.iter().skip(1).filter_map(|argument| argument.to_str()).fold(told.clone(), |text, argument| {
            let shown = config::shown(argument);
            let hides = shown.contains("***") || shown.ends_with("…\"");
            if hides { text.replace(argument, shown.trim_matches('"')) } else { text }
        });
    if masked == told {
        // With colours on a terminal. Nothing can be done where not even the usage can be printed.
        let _ = error.print();
    } else {
        eprint!("{masked}");
    }
}

/// Runs the command that the arguments (the program's name first) ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match CommandLine::try_parse_from(&arguments) {
        Ok(line) => match line.command {
            None => run::run(&line.run),
            Some(Command::Run(args)) => run::run(&args),
            Some(Command::CheckConfig(args)) => check_config::run(&args),
            Some(Command::Status(args)) => status::run(&args),
            Some(Command::Failover(args)) => failover::run(&args),
            Some(Command::Rules(args)) => rules::run(&args),
            Some(Command::Runbook(args)) => runbook::run(&args),
            Some(Command::Rsync(args)) => rsync::run(&args),
            Some(Command::Peer(args)) => peer::run(&args),
        },
        Err(error) => {
            complain(&error, &arguments);
            match (error.use_stderr(), arguments.get(1)) {
                (false, _) => ExitCode::SUCCESS,
                // A check that was called wrongly knows nothing.
                (true, Some(command)) if command == "status" || command == "failover" => {
                    ExitCode::from(Level::Unknown.code())
                }
                (true, _) => ExitCode::from(2),
            }
        }
    }
}
