//! The agent under test, as a process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::http::{self, Answer};
use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;

const START: Duration = Duration::from_secs(30);
/// What the agent logs once it listens; the address follows.
const LISTENING: &str = "listening address=";

/// How to start an agent.
#[derive(Clone, Debug, Default)]
pub struct AgentOptions {
    /// Path of the program, e.g. `env!("CARGO_BIN_EXE_standbywatch")`.
    pub program: PathBuf,
    /// Name in the lab, for more than one; empty: `agent`.
    pub name: String,
    /// Text of the configuration file, if it is to have one.
    pub config: Option<String>,
    /// Further arguments, after the lab's: `run`, the file, the listener on a free port, the state directory.
    pub args: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    /// A program to start it with, e.g. `["faketime", "-f", "+10m"]`.
    pub wrapper: Vec<String>,
}

/// A running agent. Ends when dropped.
#[derive(Debug)]
pub struct Agent {
    /// The process: freeze, thaw, stop, kill, log.
    pub server: Server,
    options: AgentOptions,
    dir: PathBuf,
    address: std::sync::Mutex<Option<SocketAddr>>,
}

impl Agent {
    /// Starts it and waits until it says where it listens.
    ///
    /// # Errors
    /// When it ends before; with the end of its log.
    pub async fn start(lab: &Lab, options: AgentOptions) -> Result<Self> {
        let name = if options.name.is_empty() { "agent" } else { &options.name };
        let dir = lab.dir().join(name);
        std::fs::create_dir_all(dir.join("state")).context("the agent's directory")?;
        if let Some(config) = &options.config {
            lab.write(&format!("{name}/standbywatch.yml"), config)?;
        }
        let agent = Self { server: Server::new(lab, name, &dir), dir, options, address: std::sync::Mutex::new(None) };
        agent.start_again().await?;
        Ok(agent)
    }

    /// Starts it after it was stopped or killed, with the same files and state, on a new port.
    pub async fn start_again(&self) -> Result<()> {
        let known = self.server.log().len();
        self.server.launch(self.command(), As::Caller)?;
        let address = wait_until("the agent listens", START, async || {
            let running = self.server.is_running();
            let log = self.server.log();
            match log.get(known..).and_then(listening_address) {
                Some(address) => Ok(Some(Some(address))),
                None if !running => Ok(Some(None)),
                None => Ok(None),
            }
        })
        .await
        .and_then(|address| address.context("it ended while starting"))
        .with_context(|| format!("start the agent:\n{}", self.server.log_tail()))?;
        *self.kept_address() = Some(address);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.kept_address().context("the agent was not started")
    }

    /// `http://…` with `path`.
    pub fn url(&self, path: &str) -> Result<String> {
        Ok(format!("http://{}{path}", self.address()?))
    }

    /// `GET path`, whatever the status.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        http::get(&self.url(path)?).await
    }

    /// `GET path` as JSON, e.g. `/monitor/replication`, `/api/v1/status`.
    pub async fn json(&self, path: &str) -> Result<Value> {
        self.get(path).await?.json()
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.get("/metrics").await?.ok()?.text))
    }

    /// Waits until `/monitor/replication` (or another path) is as `wanted` says; returns it.
    pub async fn wait_for_json(
        &self,
        path: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait_until(what, within, async || {
            last = self.json(path).await?;
            Ok(wanted(&last).then(|| last.clone()))
        })
        .await;
        found.with_context(|| format!("{path} was last: {last}"))
    }

    /// Writes another configuration file; the agent reads it when told to (SIGHUP) or at its next start.
    pub fn write_config(&self, text: &str) -> Result<()> {
        std::fs::write(self.dir.join("standbywatch.yml"), text).context("write the configuration")
    }

    /// Its directory: `standbywatch.yml`, `state/`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// SIGHUP: asks it to reload.
    pub fn hang_up(&self) -> Result<()> {
        self.server.signal_main(rustix::process::Signal::HUP)
    }

    /// SIGTERM and the wait for its end.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.server.stop().await
    }

    fn command(&self) -> Command {
        let mut line = self.options.wrapper.iter();
        let mut command = match line.next() {
            Some(wrapper) => {
                let mut command = Command::new(wrapper);
                command.args(line).arg(&self.options.program);
                command
            }
            None => Command::new(&self.options.program),
        };
        command
            .args(["run", "--web.listen-address=127.0.0.1:0"])
            .arg(format!("--state.directory={}", self.dir.join("state").display()));
        if self.options.config.is_some() {
            let file = self.dir.join("standbywatch.yml");
            command.arg(format!("--config.file={}", file.display()));
        }
        command.args(&self.options.args);
        command.envs(self.options.env.iter().cloned());
        command
    }

    fn kept_address(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        self.address.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(LISTENING)?;
    // The line must be there to its end, or a digit of the port may be missing.
    let (line, _) = rest.split_once('\n')?;
    line.split_whitespace().next()?.trim_matches('"').parse().ok()
}

/// Series of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<(String, BTreeMap<String, String>, f64)>);

impl Metrics {
    /// Reads the Prometheus text format. Lines that are none are left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect())
    }

    /// The value of the one series `name` with at least these labels; `None` when it is absent.
    ///
    /// # Errors
    /// When several series match.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<Option<f64>> {
        let all = self.all(name, labels);
        if all.len() > 1 {
            bail!("{name}{labels:?} is {} series", all.len());
        }
        Ok(all.first().map(|(_, value)| *value))
    }

    /// All series `name` with at least these labels.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&BTreeMap<String, String>, f64)> {
        self.0
            .iter()
            .filter(|(this, has, _)| {
                this == name && labels.iter().all(|(key, value)| has.get(*key).is_some_and(|there| there == value))
            })
            .map(|(_, labels, value)| (labels, *value))
            .collect()
    }

    /// True when there is any series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(this, _, _)| this == name)
    }
}

/// `name{key="value",…} number [time]`
fn series(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.split_whitespace().next()?;
    Some((name.to_owned(), labels, number.parse().ok()?))
}

/// Reads up to the closing quote; returns the value and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_series_with_their_labels() -> Result<()> {
        let text = "# HELP a x\n# TYPE a gauge\na 1\na_b{x=\"1\",y=\"q\\\"\\\\ }, z\"} 2.5e3 17\na_b{x=\"2\"} NaN\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.value("a", &[])?, Some(1.0));
        assert_eq!(metrics.value("a_b", &[("x", "1")])?, Some(2500.0));
        assert_eq!(metrics.value("a_b", &[("y", "q\"\\ }, z")])?, Some(2500.0));
        assert!(metrics.value("a_b", &[("x", "2")])?.is_some_and(f64::is_nan));
        assert_eq!(metrics.value("a_b", &[("x", "3")])?, None);
        assert!(metrics.value("a_b", &[]).is_err());
        assert!(!metrics.has("b"));
        Ok(())
    }

    #[test]
    fn finds_the_address_in_a_log() {
        let log = "level=info msg=starting\nlevel=info msg=listening address=127.0.0.1:4711 x=y\n";
        assert_eq!(listening_address(log).map(|address| address.port()), Some(4711));
        assert_eq!(listening_address("listening address=127.0.0.1:4"), None);
    }
}
