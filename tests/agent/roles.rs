//! A pair without PostgreSQL: a program says which node is the primary, and the trees are compared accordingly.

#![allow(clippy::disallowed_methods, reason = "a timestamp file holds wall time, and this test writes one")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Lab, Result};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_program_tells_the_roles_and_the_trees_are_compared_by_them() -> Result<()> {
    let lab = Lab::bare()?;
    let who = lab.write("who", "alpha\n")?;
    for node in ["alpha", "beta"] {
        lab.write(&format!("tree-{node}/app.conf"), "answer = 42\n")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        lab.write(&format!("{node}.stamp"), &format!("{now}\n"))?;
    }
    lab.write("tree-alpha/only-alpha.conf", "x")?;
    let dir = lab.dir().display();
    let config = format!(
        "pairs:\n  - name: shop\n    role_from: {{ exec: [/bin/cat, '{}'] }}\n    nodes:\n      \
         alpha: {{ config: {{ root: {dir}/tree-alpha, timestamp_file: {dir}/alpha.stamp }} }}\n      \
         beta: {{ config: {{ root: {dir}/tree-beta, timestamp_file: {dir}/beta.stamp }} }}\n    \
         config: {{ period: 2s, interval: 1s }}\n",
        who.display()
    );
    let program = PathBuf::from(env!("CARGO_BIN_EXE_standbywatch"));
    let agent = Agent::start(&lab, AgentOptions { program, config: Some(config), ..AgentOptions::default() }).await?;
    let primary = |status: &Value, name: &str| status["pairs"][0]["roles"]["primary"] == name;
    let kind = |status: &Value| status["pairs"][0]["config"]["drift"]["files"][0]["kind"].clone();
    let told = |status: &Value| primary(status, "alpha") && kind(status) == "missing";
    agent.wait_for_json("/api/v1/status", "missing on beta", SOON, told).await?;
    lab.write("who", "beta\n")?;
    let told = |status: &Value| primary(status, "beta") && kind(status) == "extra";
    agent.wait_for_json("/api/v1/status", "extra on alpha", SOON, told).await?;
    // A name that is no node's names nobody, and then nothing is compared.
    lab.write("who", "gamma\n")?;
    let told = |status: &Value| {
        status["pairs"][0]["channels"][0]["reason"] == "role_unknown"
            && status["pairs"][0]["config"]["drift"]["drifted_files"].is_null()
    };
    agent.wait_for_json("/api/v1/status", "nobody is named", SOON, told).await?;
    Ok(())
}
