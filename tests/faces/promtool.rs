//! Prometheus's own tool.

use std::io::Write;
use std::process::{Command, Stdio};

use standbywatch_lab::{Context, Result};

/// What `promtool ARGS` has to say of `input`, given on its standard input; empty when it has nothing.
pub fn complaints(args: &[&str], input: &str) -> Result<String> {
    let mut tool = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    tool.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let output = tool.wait_with_output()?;
    let mut said = String::from_utf8(output.stderr)?;
    if !output.status.success() {
        said += &String::from_utf8(output.stdout)?;
        said += &format!(" ({})", output.status);
    }
    Ok(said)
}
