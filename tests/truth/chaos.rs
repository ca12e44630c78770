//! A short random course of faults, beside the rows that somebody thought of. `make chaos` plays long ones; CONTRIBUTING.md says how to
//! play a seed again.

use std::time::Duration;

use standbywatch_lab::Result;
use standbywatch_lab::chaos::{self, Plan};

async fn course(seed: u64, two_agents: bool) -> Result<()> {
    let program = env!("CARGO_BIN_EXE_standbywatch").into();
    let length = Duration::from_secs(30);
    let plan = Plan { program, seed, length, two_agents, usual_timeouts: false, at_once: 2, only: Vec::new() };
    if let Some(told) = chaos::run(&plan).await? {
        print!("{told}");
    }
    Ok(())
}

/// The primary frozen for a moment, the standby restarted, a reload, and the receiver frozen while the primary cannot be asked.
#[tokio::test]
async fn a_random_course_of_faults_before_an_observer() -> Result<()> {
    course(12, false).await
}

/// The primary frozen, and for a while its port refuses its agent.
#[tokio::test]
async fn a_random_course_of_faults_before_two_agents() -> Result<()> {
    course(16, true).await
}
