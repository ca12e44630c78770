//! A disk that takes nothing more, for one agent only: the limit on the size of files (`RLIMIT_FSIZE`), which can be lifted again.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{Agent, Context, Result};

/// What an agent is started with so that no file of it may grow. Its log is then a pipe, which has no size.
pub fn full_disk() -> Vec<String> {
    let shell = "exec > >(cat) 2>&1; ulimit -S -f 0; exec \"$@\"";
    ["bash", "-c", shell, "bash"].map(str::to_owned).to_vec()
}

/// There is room again.
///
/// # Errors
/// It is not running.
pub fn make_room(agent: &Agent) -> Result<()> {
    let pid = agent.server.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).context("a running agent")?;
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None })?;
    Ok(())
}
