//! One look at an agent: all its views, and whether they tell the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::fault::Channel;
use crate::agent::{Agent, Metrics};

const ANSWER: Duration = Duration::from_secs(10);
const LEVELS: [&str; 4] = ["ok", "warning", "critical", "unknown"];

/// What an agent told at an instant.
#[derive(Clone, Debug)]
pub struct Look {
    pub agent: String,
    /// Nothing was asked before.
    pub begun: Instant,
    /// `/monitor/replication`
    pub page: Value,
    /// `/api/v1/status`, of the pair.
    pub pair: Value,
    pub metrics: Metrics,
    /// `/failover/catalog?strict=1` is answered with 200.
    pub strictly_ready: bool,
    /// The snapshot was the same at the beginning and at the end.
    pub steady: bool,
}

impl Look {
    /// Asks for every view.
    pub async fn at(agent: &Agent) -> Result<Self> {
        let name = agent.server.name().to_owned();
        let looked = tokio::time::timeout(ANSWER, Self::unbounded(agent)).await;
        looked.with_context(|| format!("{name} did not answer within {ANSWER:?}"))?
    }

    async fn unbounded(agent: &Agent) -> Result<Self> {
        let begun = Instant::now();
        let before = agent.json("/api/v1/status").await?;
        let page = agent.json("/monitor/replication").await?;
        let metrics = agent.metrics().await?;
        let strictly_ready = agent.get("/failover/catalog?strict=1").await?.status == 200;
        let after = agent.json("/api/v1/status").await?;
        let steady = timeless(&before) == timeless(&after);
        let pair = before["pairs"][0].clone();
        let agent = agent.server.name().to_owned();
        Ok(Self { agent, begun, page, pair, metrics, strictly_ready, steady })
    }

    pub fn level(&self, channel: Channel) -> &str {
        self.page["channels"][channel.name()]["status"].as_str().unwrap_or("none")
    }

    pub fn reason(&self, channel: Channel) -> &str {
        self.page["channels"][channel.name()]["reason"].as_str().unwrap_or("none")
    }

    pub fn up(&self, channel: Channel) -> Option<f64> {
        self.metrics.value("standby_replication_up", &[("channel", channel.name())]).ok().flatten()
    }

    /// The channel's number on the page.
    pub fn number(&self, channel: Channel) -> Option<f64> {
        self.page[names(channel).0].as_f64()
    }

    fn series(&self, channel: Channel) -> Option<f64> {
        self.metrics.value(names(channel).1, &[]).ok().flatten()
    }

    pub fn gap(&self) -> Option<f64> {
        self.metrics.value("standby_postgres_gap_bytes", &[("standby", "beta")]).ok().flatten()
    }

    pub fn lag_seconds(&self) -> Option<f64> {
        self.metrics.value("standby_replication_lag_seconds", &[]).ok().flatten()
    }

    pub fn verdict(&self) -> &str {
        self.pair["failover"]["verdict"].as_str().unwrap_or("none")
    }

    /// What would be lost, and whether it is told as "at least".
    pub fn loss(&self) -> Option<(f64, bool)> {
        let loss = &self.pair["failover"]["loss"];
        loss["wal_bytes"].as_f64().zip(loss["at_least"].as_bool())
    }

    /// Rules that are met, and how far each has come.
    pub fn met(&self) -> Vec<(String, String)> {
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let findings = self.pair["findings"].as_array().into_iter().flatten();
        findings.map(|finding| (text(finding, "rule"), text(finding, "state"))).collect()
    }

    /// What one view tells and another does not, if all were of one snapshot.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.steady {
            return found;
        }
        let mut differ = |what: String, one: String, other: String| {
            if one != other {
                found.push(format!("{what}: {one} beside {other}"));
            }
        };
        let level = |value: Option<f64>| value.and_then(|value| LEVELS.get(value as usize)).copied().unwrap_or("none");
        for channel in Channel::ALL {
            let name = channel.name();
            let channels = self.pair["channels"].as_array().into_iter().flatten();
            let told = channels.into_iter().find(|told| told["channel"] == name).cloned().unwrap_or_default();
            let metric = self.metrics.value("standby_level", &[("channel", name)]).ok().flatten();
            let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
            differ(format!("{name}: level of page and status"), self.level(channel).into(), text(&told["level"]));
            differ(format!("{name}: level of page and metrics"), self.level(channel).into(), level(metric).into());
            differ(format!("{name}: reason of page and status"), self.reason(channel).into(), text(&told["reason"]));
            let reasons = self.metrics.all("standby_channel_reason", &[("channel", name)]);
            let set: Vec<&str> = reasons
                .iter()
                .filter(|(_, value)| *value == 1.0)
                .map(|(labels, _)| labels["reason"].as_str())
                .collect();
            let set = if set.is_empty() { "none".to_owned() } else { set.join("+") };
            differ(format!("{name}: reason of page and metrics"), self.reason(channel).into(), set);
            let known = |known: bool| if known { "known" } else { "unknown" }.to_owned();
            let (number, series) = (self.number(channel), self.series(channel));
            differ(format!("{name}: number of page and metrics"), known(number.is_some()), known(series.is_some()));
            if let (Channel::Postgres, Some(number), Some(series)) = (channel, number, series) {
                differ(format!("{name}: lag of page and metrics"), number.to_string(), series.to_string());
            }
            let unknown = self.level(channel) == "unknown";
            differ(format!("{name}: up and level"), known(self.up(channel) == Some(1.0)), known(!unknown));
            if unknown && number.is_some() {
                differ(format!("{name}: a number of what is unknown"), known(true), known(false));
            }
        }
        let verdicts = self.metrics.all("standby_failover_verdict", &[]);
        let set: Vec<&str> =
            verdicts.iter().filter(|(_, value)| *value == 1.0).map(|(labels, _)| labels["verdict"].as_str()).collect();
        differ("verdict of status and metrics".into(), self.verdict().into(), set.join("+"));
        let ready = |ready: bool| if ready { "ready" } else { "not ready" }.to_owned();
        differ(
            "verdict of status and of the strict page".into(),
            ready(self.verdict() == "ready"),
            ready(self.strictly_ready),
        );
        let pair = self.metrics.value("standby_pair_level", &[]).ok().flatten();
        let text = self.pair["level"].as_str().unwrap_or("none").to_owned();
        differ("level of the pair, status and metrics".into(), text.clone(), level(pair).into());
        differ(
            "level of the pair, status and page".into(),
            text,
            self.page["status"].as_str().unwrap_or("none").into(),
        );
        found
    }

    /// In a line.
    pub fn told(&self) -> String {
        let each = Channel::ALL.map(|channel| {
            let number = self.number(channel).map_or("?".to_owned(), |number| format!("{number}"));
            format!("{} {}/{} {number}", channel.name(), self.level(channel), self.reason(channel))
        });
        let loss =
            self.loss().map_or("?".to_owned(), |(bytes, least)| format!("{bytes}{}", if least { "+" } else { "" }));
        let channels = self.pair["channels"].as_array().into_iter().flatten();
        let details: Vec<&str> = channels.filter_map(|channel| channel["detail"].as_str()).collect();
        let reasons = self.pair["failover"]["reasons"].as_array().into_iter().flatten();
        let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
        format!(
            "{}: {}; failover {} (loses {loss}: {}) {}",
            self.agent,
            each.join(", "),
            self.verdict(),
            reasons.join("; "),
            details.join("; ")
        )
    }
}

/// The channel's key on the page, and its series.
const fn names(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Postgres => ("postgres_lag_bytes", "standby_replication_lag_bytes"),
        Channel::Config => ("config_sync_age_seconds", "standby_config_sync_age_seconds"),
        Channel::Kvstore => ("kvstore_round_trip_seconds", "standby_kvstore_round_trip_seconds"),
    }
}

/// A document without what goes on by itself between two looks at one snapshot.
fn timeless(document: &Value) -> Value {
    let ages =
        |key: &str| key == "time" || key == "for_seconds" || key.contains("age_") || key.ends_with("seconds_ago");
    match document {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !ages(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), timeless(value))).collect())
        }
        Value::Array(all) => all.iter().map(timeless).collect(),
        other => other.clone(),
    }
}
