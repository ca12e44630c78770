//! `lab-demo start` plays the demo; `lab-demo fault NAME` and `lab-demo repair` talk to the one that runs.

use std::process::ExitCode;

use standbywatch_lab::Result;
use standbywatch_lab::demo::{ask, meeting_place, play};

const USAGE: &str = "usage: lab-demo start | fault NAME | repair";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["start"] => start(),
        ["fault"] => tell("fault"),
        ["fault", name] => tell(&format!("fault {name}")),
        ["repair"] => tell("repair"),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play())
}

fn tell(question: &str) -> Result<()> {
    println!("{}", ask(&meeting_place(), question)?);
    Ok(())
}
