//! A real Alertmanager that notifies at once.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use super::receiver::{Receiver, has};
use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{find, http, ports};

const READY: Duration = Duration::from_secs(30);

/// An alert that Alertmanager holds now.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `active`, `suppressed` or `unprocessed`.
    pub state: String,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339.
    pub ends_at: String,
}

/// How an Alertmanager differs from the lab's usual one.
#[derive(Clone, Debug, Default)]
pub struct AlertmanagerPlan {
    /// Name in the lab, for more than one; empty: `alertmanager`.
    pub name: String,
    /// Its configuration; `RECEIVER` in it is the URL of the lab's receiver. Empty: nothing is grouped, nothing is waited for.
    pub config: String,
    /// Further arguments.
    pub args: Vec<String>,
    /// Port on which the members of a cluster talk to each other, and those of the others.
    pub cluster: Option<(u16, Vec<u16>)>,
    /// It cannot be asked without a password or a certificate: ready when it takes connections.
    pub closed: bool,
}

/// A running Alertmanager with its receiver. Usable alone, for who pushes without Prometheus.
#[derive(Debug)]
pub struct Alertmanager {
    /// Where it sends its notifications.
    pub receiver: Receiver,
    /// The process.
    pub server: Server,
    port: u16,
    dir: std::path::PathBuf,
    plan: AlertmanagerPlan,
}

impl Alertmanager {
    /// Starts it with a receiver and waits until it is ready. It groups nothing and waits for nothing.
    pub async fn start(lab: &Lab) -> Result<Self> {
        Self::start_as(lab, AlertmanagerPlan::default()).await
    }

    /// Starts one that is not the usual one.
    pub async fn start_as(lab: &Lab, plan: AlertmanagerPlan) -> Result<Self> {
        let receiver = Receiver::start().await?;
        // Each alert is a group of its own; `group_interval` is when a change in it is told.
        let usual = format!(
            "route:\n  receiver: lab\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  \
             repeat_interval: 1h\nreceivers:\n  - name: lab\n    webhook_configs:\n      \
             - url: {}\n        send_resolved: true\n",
            receiver.url()
        );
        let config = if plan.config.is_empty() { usual } else { plan.config.replace("RECEIVER", &receiver.url()) };
        let name = if plan.name.is_empty() { "alertmanager" } else { &plan.name };
        let dir = lab.server_dir(name)?;
        lab.write(&format!("{name}/alertmanager.yml"), &config)?;
        let server = Server::new(lab, name, &dir);
        let this = Self { receiver, server, port: ports::lease()?, dir, plan };
        this.restart_process().await?;
        Ok(this)
    }

    /// Starts a cluster of two with the same configuration. Each has a receiver of its own; what one has notified, the other does not.
    pub async fn start_cluster(lab: &Lab, config: &str) -> Result<[Self; 2]> {
        let ports = [ports::lease()?, ports::lease()?];
        let member = async |own: usize, other: usize| {
            let name = format!("alertmanager-{own}");
            let cluster = Some((ports[own], vec![ports[other]]));
            Self::start_as(
                lab,
                AlertmanagerPlan { name, config: config.to_owned(), cluster, ..AlertmanagerPlan::default() },
            )
            .await
        };
        let both = [member(0, 1).await?, member(1, 0).await?];
        for one in &both {
            let url = format!("{}/api/v2/status", one.url());
            wait_until("the cluster is one", READY, async || {
                let status = http::get(&url).await?.json()?;
                let whole = status["cluster"]["peers"].as_array().is_some_and(|peers| peers.len() == 2);
                Ok((whole && status["cluster"]["status"] == "ready").then_some(()))
            })
            .await?;
        }
        Ok(both)
    }

    /// Starts it again, on the same port with the same data, after it was stopped or killed.
    pub async fn restart_process(&self) -> Result<()> {
        let mut command = Command::new(find::alertmanager()?);
        command
            .arg("--config.file=alertmanager.yml")
            .arg(format!("--storage.path={}", self.dir.join("data").display()))
            .arg(format!("--web.listen-address={}", self.address()))
            .args(&self.plan.args);
        match &self.plan.cluster {
            None => drop(command.arg("--cluster.listen-address=")),
            Some((own, others)) => {
                command.arg(format!("--cluster.listen-address=127.0.0.1:{own}"));
                command.args(others.iter().map(|other| format!("--cluster.peer=127.0.0.1:{other}")));
                // A member waits this long, times its position, for the ones before it to notify.
                command.args(["--cluster.settle-timeout=2s", "--cluster.peer-timeout=5s"]);
            }
        }
        self.server.launch(command, As::Server)?;
        let url = format!("{}/-/ready", self.url());
        wait_until("Alertmanager is ready", READY, async || {
            if !self.server.is_running() {
                bail!("it ended");
            }
            if self.plan.closed {
                return Ok(tokio::net::TcpStream::connect(self.address()).await.is_ok().then_some(()));
            }
            Ok((http::get(&url).await?.status == 200).then_some(()))
        })
        .await
        .with_context(|| self.server.log_tail())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://…`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// All alerts that it holds now (resolved ones are not among them).
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let answer = http::get(&format!("{}/api/v2/alerts", self.url())).await?;
        let json = answer.ok()?.json()?;
        let alerts = json.as_array().context("not a list of alerts")?;
        Ok(alerts.iter().map(alert).collect())
    }

    /// The alerts named `name` that have all of these labels.
    pub async fn alerts_named(&self, name: &str, labels: &[(&str, &str)]) -> Result<Vec<Alert>> {
        let mut alerts = self.alerts().await?;
        alerts.retain(|alert| {
            has(&alert.labels, "alertname", name) && labels.iter().all(|(key, value)| has(&alert.labels, key, value))
        });
        Ok(alerts)
    }

    /// Waits until it holds an active alert `name` with all of these labels.
    pub async fn wait_for_alert(&self, name: &str, labels: &[(&str, &str)], within: Duration) -> Result<Alert> {
        wait_until(&format!("alert {name} {labels:?}"), within, async || {
            let alerts = self.alerts_named(name, labels).await?;
            Ok(alerts.into_iter().find(|alert| alert.state == "active"))
        })
        .await
    }

    /// Waits until it holds no alert `name` with all of these labels.
    pub async fn wait_until_gone(&self, name: &str, labels: &[(&str, &str)], within: Duration) -> Result<()> {
        wait_until(&format!("alert {name} {labels:?} is gone"), within, async || {
            Ok(self.alerts_named(name, labels).await?.is_empty().then_some(()))
        })
        .await
    }
}

fn alert(json: &Value) -> Alert {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Alert {
        labels: strings(&json["labels"]),
        annotations: strings(&json["annotations"]),
        state: text(&json["status"]["state"]),
        starts_at: text(&json["startsAt"]),
        ends_at: text(&json["endsAt"]),
    }
}

/// A JSON object of strings as a map.
pub(super) fn strings(json: &Value) -> BTreeMap<String, String> {
    json.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
