//! `lab-demo start` (one agent that observes, or `start agents`: one on each node) plays the demo; `lab-demo fault NAME` and `lab-demo repair` talk to the one that runs.

use std::process::ExitCode;

use standbywatch_lab::Result;
use standbywatch_lab::demo::{Topology, ask, meeting_place, play};

const USAGE: &str = "usage: lab-demo start [observer|agents] | fault NAME | repair";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["start"] => start(Topology::default()),
        ["start", name] if Topology::named(name).is_some() => start(Topology::named(name).unwrap_or_default()),
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

fn start(topology: Topology) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(topology))
}

fn tell(question: &str) -> Result<()> {
    println!("{}", ask(&meeting_place(), question)?);
    Ok(())
}
