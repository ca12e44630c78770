//! Real Prometheus and Alertmanager, and a receiver for what Alertmanager sends.

mod alertmanager;
mod prometheus;
mod receiver;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;

pub use alertmanager::{Alert, Alertmanager, AlertmanagerPlan};
pub use prometheus::{Prometheus, Sample};
pub use receiver::{Notice, Receiver};

/// What Prometheus shall scrape and evaluate.
#[derive(Clone, Debug)]
pub struct MonitoringOptions {
    /// Scraped under `/metrics`, as job `standbywatch`.
    pub targets: Vec<SocketAddr>,
    /// Texts of rule files.
    pub rules: Vec<String>,
    /// How often it scrapes.
    pub scrape_interval: Duration,
    /// How often it evaluates the rules.
    pub evaluation_interval: Duration,
}

impl Default for MonitoringOptions {
    /// No target, no rule, everything each second.
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            rules: Vec::new(),
            scrape_interval: Duration::from_secs(1),
            evaluation_interval: Duration::from_secs(1),
        }
    }
}

/// Prometheus that evaluates the rules and tells Alertmanager, which tells the receiver.
#[derive(Debug)]
pub struct Monitoring {
    /// The scraping and evaluating end.
    pub prometheus: Prometheus,
    /// The end where alerts arrive; holds the receiver.
    pub alertmanager: Alertmanager,
}

impl Monitoring {
    /// Starts all three and waits until both servers are ready.
    pub async fn start(lab: &Lab, options: &MonitoringOptions) -> Result<Self> {
        Self::start_with(lab, options, Alertmanager::start(lab).await?).await
    }

    /// The same with an Alertmanager that runs already.
    pub async fn start_with(lab: &Lab, options: &MonitoringOptions, alertmanager: Alertmanager) -> Result<Self> {
        let prometheus = Prometheus::start(lab, options, alertmanager.address()).await?;
        Ok(Self { prometheus, alertmanager })
    }
}
