//! `lab-chaos [--minutes 10] [--seed N] [--agents] [--usual] [--at-once 3] [--only FAULT,FAULT]` plays a random course of faults on a real pair and fails if
//! an agent tells anything that is certainly not so.

use std::process::ExitCode;
use std::time::Duration;

use standbywatch_lab::chaos::{self, Plan};
use standbywatch_lab::{Result, demo::product_program};

const USAGE: &str =
    "usage: lab-chaos [--minutes MINUTES] [--seed N] [--agents] [--usual] [--at-once N] [--only FAULT,FAULT]
  --minutes   how long new faults begin, 10 by default
  --seed      what is drawn; one is chosen and printed if left out
  --agents    an agent on each node, instead of an observer
  --usual     PostgreSQL's timeouts as they are by default, instead of a tenth of them
  --at-once   at most so many faults at a time, 3 by default
  --only      only these faults, e.g. LinkCut,Burst,AgentFrozen";

fn plan(args: &[String]) -> Option<Result<Plan>> {
    let mut plan = Plan {
        program: std::path::PathBuf::new(),
        seed: fastrand::u64(..1_000_000),
        length: Duration::from_secs(600),
        two_agents: false,
        usual_timeouts: false,
        at_once: 3,
        only: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--agents" => plan.two_agents = true,
            "--usual" => plan.usual_timeouts = true,
            "--seed" => plan.seed = args.next()?.parse().ok()?,
            "--at-once" => plan.at_once = args.next()?.parse().ok().filter(|count| (1..=5).contains(count))?,
            "--only" => plan.only = args.next()?.split(',').map(str::to_owned).collect(),
            "--minutes" => {
                let minutes: f64 = args.next()?.parse().ok().filter(|minutes| (0.1..=1440.0).contains(minutes))?;
                plan.length = Duration::from_secs_f64(minutes * 60.0);
            }
            _ => return None,
        }
    }
    Some(product_program().map(|program| Plan { program, ..plan }))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.is_empty()).collect();
    let plan = match plan(&args) {
        Some(Ok(plan)) => plan,
        Some(Err(error)) => {
            eprintln!("chaos: {error:#}");
            return ExitCode::FAILURE;
        }
        None => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("chaos: --seed {}", plan.seed);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(chaos::run(&plan)) {
        Ok(told) => {
            print!("{}", told.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}\nchaos: play it again with --seed {}", plan.seed);
            ExitCode::FAILURE
        }
    }
}
