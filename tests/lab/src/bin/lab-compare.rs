//! `lab-compare` breaks a pair in four ways and prints what the usual formula says beside what the agent says.

use std::process::ExitCode;

use standbywatch_lab::{Result, compare};

fn main() -> ExitCode {
    match measure() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare::run())
}
