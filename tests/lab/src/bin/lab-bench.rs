//! `lab-bench [FILE]` measures the agent beside the usual exporters, prints the tables, and writes them to FILE, too.
//! `BENCH_MINUTES` (default 10) says for how long.

use std::process::ExitCode;

use standbywatch_lab::{Context, Result, bench};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let file = match &args[..] {
        [] => None,
        [file] => Some(file.as_str()),
        _ => {
            eprintln!("usage: lab-bench [FILE]");
            return ExitCode::from(2);
        }
    };
    match measure(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(file: Option<&str>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(bench::run())?;
    print!("{text}");
    match file {
        Some(file) => std::fs::write(file, text).with_context(|| format!("write {file}")),
        None => Ok(()),
    }
}
