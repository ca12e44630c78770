//! `lab-soak [MINUTES]` watches a pair under changing load with no fault (default 10 minutes) and fails if anything is told, grows, or
//! is logged.

use std::process::ExitCode;
use std::time::Duration;

use standbywatch_lab::soak;

const MINUTES: f64 = 10.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.is_empty()).collect();
    let minutes = match &args[..] {
        [] => Some(MINUTES),
        [text] => text.parse().ok().filter(|minutes| (0.5..=1440.0).contains(minutes)),
        _ => None,
    };
    let Some(minutes) = minutes else {
        eprintln!("usage: lab-soak [MINUTES], from 0.5 to 1440");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("soak: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(soak::run(Duration::from_secs_f64(minutes * 60.0))) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}
