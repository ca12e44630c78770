//! What all sections of the report share: the lab, the pair that is watched, the time that there is.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::demo::{Watched, product_program};
use crate::{Agent, AgentOptions, Lab};

const MINUTES: f64 = 10.0;
/// Until all is well at the latest, however slow the machine is.
const SETTLED: Duration = Duration::from_secs(240);

/// Servers under a light load that nothing asks yet. They end when dropped.
pub(super) struct Stage {
    pub watched: Watched,
    pub lab: Lab,
    program: std::path::PathBuf,
    /// About how long one pair is measured.
    pub minutes: f64,
}

impl Stage {
    /// Starts the servers.
    pub async fn open() -> Result<Self> {
        let (minutes, program) = (minutes()?, product_program()?);
        let lab = Watched::open_lab()?;
        Ok(Self { watched: Watched::start(&lab).await?, lab, program, minutes })
    }

    /// Half of the time: how long one phase lasts.
    pub fn half(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 30.0)
    }

    /// Starts an agent, named so in the lab.
    pub async fn agent(&self, name: &str, config: String, args: &[&str]) -> Result<Agent> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (program, name) = (self.program.clone(), name.to_owned());
        let options = AgentOptions { program, name, config: Some(config), args, ..AgentOptions::default() };
        Agent::start(&self.lab, options).await
    }

    /// Waits until all that this agent watches is ok.
    pub async fn is_well(&self, agent: &Agent) -> Result<()> {
        agent.wait_for_json("/monitor/replication", "all is well", SETTLED, |page| page["status"] == "ok").await?;
        Ok(())
    }
}

fn minutes() -> Result<f64> {
    let Ok(text) = std::env::var("BENCH_MINUTES") else { return Ok(MINUTES) };
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1440.0 => Ok(minutes),
        _ => bail!("BENCH_MINUTES={text}: a number of minutes, more than 0, at most 1440"),
    }
}
