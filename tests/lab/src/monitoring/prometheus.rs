//! A real Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::Value;
use tokio::process::Command;

use super::MonitoringOptions;
use super::alertmanager::strings;
use crate::lab::Lab;
use crate::process::{As, Server};
use crate::wait::wait_until;
use crate::{find, http, ports};

const READY: Duration = Duration::from_secs(30);

/// One element of a query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// All labels, `__name__` too where the query keeps it.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    /// The process.
    pub server: Server,
    lab: Lab,
    port: u16,
    alertmanager: SocketAddr,
}

impl Prometheus {
    pub(super) async fn start(lab: &Lab, options: &MonitoringOptions, alertmanager: SocketAddr) -> Result<Self> {
        let dir = lab.server_dir("prometheus")?;
        let this = Self {
            server: Server::new(lab, "prometheus", &dir),
            lab: lab.clone(),
            port: ports::lease()?,
            alertmanager,
        };
        this.configure(options)?;
        let mut command = Command::new(find::program("prometheus")?);
        command
            .arg("--config.file=prometheus.yml")
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={}", this.address()))
            .args(["--web.enable-lifecycle", "--storage.tsdb.retention.time=1d"])
            // An alert that once got lost comes again soon, not after a minute.
            .arg("--rules.alert.resend-delay=5s");
        this.server.launch(command, As::Server)?;
        let url = format!("{}/-/ready", this.url());
        wait_until("Prometheus is ready", READY, async || {
            if !this.server.is_running() {
                bail!("it ended");
            }
            Ok((http::get(&url).await?.status == 200).then_some(()))
        })
        .await
        .with_context(|| this.server.log_tail())?;
        this.wait_for_alertmanager().await?;
        Ok(this)
    }

    /// Prometheus looks for its Alertmanagers anew after each reading of the configuration, which takes up to
    /// 5 s; what fires before is sent to nobody.
    async fn wait_for_alertmanager(&self) -> Result<()> {
        let url = format!("{}/api/v1/alertmanagers", self.url());
        wait_until("Prometheus knows Alertmanager", READY, async || {
            let json = http::get(&url).await?.ok()?.json()?;
            let known = json["data"]["activeAlertmanagers"].as_array();
            Ok(known.is_some_and(|known| !known.is_empty()).then_some(()))
        })
        .await
    }

    /// Writes the configuration anew and has Prometheus read it.
    pub async fn reload(&self, options: &MonitoringOptions) -> Result<()> {
        self.configure(options)?;
        let url = format!("{}/-/reload", self.url());
        http::send(Method::POST, &url, None).await?.ok()?;
        self.wait_for_alertmanager().await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://…`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// An instant query: every element of the vector (or the scalar, without labels).
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let url = format!("{}/api/v1/query?query={}", self.url(), encoded(expression));
        let json = http::get(&url).await?.ok()?.json()?;
        let result = json["data"]["result"].as_array().context("no result")?;
        if json["data"]["resultType"] == "scalar" {
            let value = number(&json["data"]["result"])?;
            let labels = BTreeMap::new();
            return Ok(vec![Sample { labels, value }]);
        }
        result
            .iter()
            .map(|element| Ok(Sample { labels: strings(&element["metric"]), value: number(&element["value"])? }))
            .collect()
    }

    /// Waits until the query has an answer that is not empty.
    pub async fn wait_for(&self, expression: &str, within: Duration) -> Result<Vec<Sample>> {
        wait_until(&format!("an answer to {expression}"), within, async || {
            let samples = self.query(expression).await?;
            Ok((!samples.is_empty()).then_some(samples))
        })
        .await
    }

    /// The state of the alerts named `name` here: `pending` or `firing`, each with its labels.
    pub async fn rule_alerts(&self, name: &str) -> Result<Vec<(String, BTreeMap<String, String>)>> {
        let url = format!("{}/api/v1/alerts", self.url());
        let json = http::get(&url).await?.ok()?.json()?;
        let alerts = json["data"]["alerts"].as_array().context("no alerts")?;
        Ok(alerts
            .iter()
            .filter(|alert| alert["labels"]["alertname"] == name)
            .map(|alert| {
                let state = alert["state"].as_str().unwrap_or_default();
                (state.to_owned(), strings(&alert["labels"]))
            })
            .collect())
    }

    fn configure(&self, options: &MonitoringOptions) -> Result<()> {
        let mut files = String::new();
        for (number, rules) in options.rules.iter().enumerate() {
            let name = format!("rules-{number}.yml");
            self.lab.write(&format!("prometheus/{name}"), rules)?;
            write!(files, "\n  - {name}")?;
        }
        let mut targets = String::new();
        for target in &options.targets {
            write!(targets, "\n          - '{target}'")?;
        }
        let scrape = options.scrape_interval.as_millis();
        let evaluate = options.evaluation_interval.as_millis();
        let text = format!(
            "global:\n  scrape_interval: {scrape}ms\n  scrape_timeout: {scrape}ms\n  \
             evaluation_interval: {evaluate}ms\n\
             rule_files:{}\n\
             alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: ['{}']\n\
             scrape_configs:\n  - job_name: standbywatch\n    static_configs:\n      - targets:{}\n",
            if files.is_empty() { " []" } else { &files },
            self.alertmanager,
            if targets.is_empty() { " []" } else { &targets },
        );
        self.lab.write("prometheus/prometheus.yml", &text)?;
        Ok(())
    }
}

fn number(pair: &Value) -> Result<f64> {
    let text = pair[1].as_str().context("a value")?;
    text.parse().with_context(|| format!("a number: {text}"))
}

/// Percent-encodes for a query string.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
