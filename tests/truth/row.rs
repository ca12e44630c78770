//! One row: the clock that runs from the fault, what is expected, and what was measured.

use std::time::Duration;

use serde_json::{Value, json};
use standbywatch_lab::{Context, Ear, Result, says_who_is_called, wait_until};
use tokio::time::Instant;

use crate::site::Site;

/// Whether the channel's number is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Known,
    Unknown,
}

/// What must be told of a channel.
#[derive(Clone, Debug)]
pub struct Tells<'a> {
    pub channel: &'a str,
    pub level: &'a str,
    /// One of these; empty: no reason at all.
    pub reasons: &'a [&'a str],
    pub number: Number,
    /// `standby_replication_up`; for search `standby_search_primary_up`.
    pub up: bool,
    pub within: Duration,
}

impl<'a> Tells<'a> {
    pub fn unknown(channel: &'a str, reasons: &'a [&'a str], within: u64) -> Self {
        let within = Duration::from_secs(within);
        Self { channel, level: "unknown", reasons, number: Number::Unknown, up: false, within }
    }

    pub fn running(channel: &'a str, level: &'a str, reasons: &'a [&'a str], number: Number, within: u64) -> Self {
        Self { channel, level, reasons, number, up: true, within: Duration::from_secs(within) }
    }
}

/// The key of a channel's number in `/monitor/replication`, and its series in `/metrics`.
fn number_of(channel: &str) -> (&'static str, &'static str) {
    match channel {
        "postgres" => ("postgres_lag_bytes", "standby_replication_lag_bytes"),
        "config" => ("config_sync_age_seconds", "standby_config_sync_age_seconds"),
        "kvstore" => ("kvstore_round_trip_seconds", "standby_kvstore_round_trip_seconds"),
        "search" => ("search_active_shards_percent", "standby_search_active_shards_percent"),
        other => panic!("no such channel: {other}"),
    }
}

/// Rows in which nothing may be told. (What the tenth is about is renamed while it is looked at: that is told, and must be.)
const BENIGN: [&str; 9] = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9"];

/// A row that is being played.
pub struct Row<'a> {
    /// Where nothing may be told.
    ear: Option<Ear>,
    passing: &'static [&'static str],
    site: &'a Site,
    id: &'static str,
    fault: &'static str,
    begun: Instant,
    measured: Vec<Value>,
}

impl<'a> Row<'a> {
    /// All is well with these channels. Then the fault may come; or, in a benign row, nothing is told from here to its end.
    pub async fn of(site: &'a Site, id: &'static str, fault: &'static str, channels: &[&str]) -> Result<Self> {
        let ear = if BENIGN.contains(&id) { Some(site.ear()?) } else { None };
        let row = Self { ear, passing: &[], site, id, fault, begun: Instant::now(), measured: Vec::new() };
        for channel in channels {
            row.await_told(&Tells::running(channel, "ok", &[], Number::Known, 60)).await.context("before the fault")?;
        }
        Ok(row)
    }

    /// These rules may be met for a while, though never for as long as they are held: something is restarted.
    pub fn passing(self, passing: &'static [&'static str]) -> Self {
        Self { passing, ..self }
    }

    /// Whole seconds since the fault.
    pub fn passed(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// The fault happens now.
    pub fn fault(&mut self) {
        self.begun = Instant::now();
    }

    /// Awaits what must be told, in JSON and in metrics at once, and remembers how long it took from the fault.
    pub async fn tells(&mut self, tells: Tells<'_>) -> Result<()> {
        let (seconds, reason) = self.await_told(&tells).await?;
        let reason = reason.unwrap_or_default();
        println!("{} {}: {} {} {reason} after {seconds:.1} s", self.id, self.fault, tells.channel, tells.level);
        self.measured.push(json!({
            "channel": tells.channel, "says": tells.level, "reason": reason, "seconds": seconds, "within": tells.within.as_secs(),
        }));
        Ok(())
    }

    /// Seconds from the fault, and the reason that was given.
    async fn await_told(&self, tells: &Tells<'_>) -> Result<(f64, Option<String>)> {
        let left = tells.within.saturating_sub(self.begun.elapsed());
        let mut last = String::new();
        let told = wait_until("the agent tells", left, async || {
            Ok(match self.look(tells).await? {
                Ok(reason) => Some(reason),
                Err(differs) => {
                    last = differs;
                    None
                }
            })
        });
        let outcome = told.await;
        let after = self.begun.elapsed().as_secs_f64();
        let reason = outcome.with_context(|| {
            format!("{} {}: {after:.1} s after the fault {tells:?}, but {last}", self.id, self.fault)
        })?;
        Ok((after, reason))
    }

    /// The reason that is given if all is as it should be; else what is not, in words.
    async fn look(&self, tells: &Tells<'_>) -> Result<Result<Option<String>, String>> {
        let page = self.site.agent.json("/monitor/replication").await?;
        let metrics = self.site.agent.metrics().await?;
        let (key, series) = number_of(tells.channel);
        let channel = &page["channels"][tells.channel];
        let reason = channel["reason"].as_str();
        let reason_fits = if tells.reasons.is_empty() {
            channel["reason"].is_null()
        } else {
            reason.is_some_and(|reason| tells.reasons.contains(&reason))
        };
        let number_fits = match tells.number {
            Number::Known => page[key].is_number() && metrics.has(series),
            Number::Unknown => page[key] == "unknown" && !metrics.has(series),
        };
        let up = if tells.channel == "search" {
            metrics.value("standby_search_primary_up", &[])?
        } else {
            metrics.value("standby_replication_up", &[("channel", tells.channel)])?
        };
        let level = metrics.value("standby_level", &[("channel", tells.channel)])?;
        let code = ["ok", "warning", "critical", "unknown"].iter().position(|level| *level == tells.level);
        let fits = channel["status"] == tells.level
            && reason_fits
            && number_fits
            && up == Some(f64::from(u8::from(tells.up)))
            && level.map(|level| level as usize) == code;
        Ok(if fits {
            Ok(reason.map(str::to_owned))
        } else {
            Err(format!("it says {page}, up {up:?}, level {level:?}"))
        })
    }

    /// Awaits the alert in Alertmanager. `held` is the lab's hold time, `usual` the product's: the table adds the difference.
    pub async fn pages(&mut self, alert: &str, held: Duration, usual: Duration, within: u64) -> Result<()> {
        let within = Duration::from_secs(within);
        let found = self.site.alertmanager().wait_for_alert(alert, &[], within).await;
        found.with_context(|| format!("{} {}: {alert} in Alertmanager", self.id, self.fault))?;
        let seconds = self.begun.elapsed().as_secs_f64();
        println!("{} {}: {alert} in Alertmanager after {seconds:.1} s", self.id, self.fault);
        self.measured.push(json!({
            "alert": alert, "seconds": seconds, "held": held.as_secs(), "usual_hold": usual.as_secs(), "pushed": self.site.pushes(),
        }));
        Ok(())
    }

    /// Nothing but the watchdog is, or was, in Alertmanager.
    pub async fn nobody_was_paged(&self) -> Result<()> {
        self.nobody_was_paged_but(&[]).await
    }

    async fn nobody_was_paged_but(&self, these: &[&str]) -> Result<()> {
        let mut names: Vec<_> =
            self.site.alertmanager().alerts().await?.into_iter().map(|alert| alert.labels).collect();
        names.extend(self.site.alertmanager().receiver.notices().into_iter().map(|notice| notice.labels));
        let may = |name: &String| name == "StandbyWatchdog" || these.contains(&name.as_str());
        let loud = names.iter().find(|labels| !labels.get("alertname").is_some_and(may));
        anyhow_ensure(loud.is_none(), || format!("{} {}: {loud:?} in Alertmanager", self.id, self.fault))
    }

    /// Nobody but the watchdog has called since the site was started, and why that is right.
    pub async fn pages_nobody(&mut self, why: &'static str) -> Result<()> {
        self.pages_nobody_but(&[], why).await
    }

    /// The same, but for these, which may have called or not.
    pub async fn pages_nobody_but(&mut self, these: &[&str], why: &'static str) -> Result<()> {
        self.nobody_was_paged_but(these).await?;
        println!("{} {}: nobody is called: {why}", self.id, self.fault);
        self.measured.push(json!({ "nobody": why }));
        Ok(())
    }

    /// In a benign row: neither the agent nor Prometheus nor Alertmanager has told anything since it began.
    async fn nothing_was_told(&self) -> Result<()> {
        let Some(ear) = &self.ear else { return Ok(()) };
        let heard = ear.heard_nothing(self.site.prometheus(), self.site.alertmanager(), self.passing).await;
        let met = heard.with_context(|| format!("{} {}", self.id, self.fault))?;
        println!(
            "{} {}: nothing was told{}",
            self.id,
            self.fault,
            if met.is_empty() { "" } else { "; met: " }.to_owned() + &met
        );
        Ok(())
    }

    /// After the repair: the channel is ok again, and the alert has gone from Alertmanager.
    pub async fn is_well_again(&mut self, channel: &str, alert: Option<&str>, within: u64) -> Result<()> {
        self.begun = Instant::now();
        let (seconds, _) = self
            .await_told(&Tells::running(channel, "ok", &[], Number::Known, within))
            .await
            .context("after the repair")?;
        println!("{} {}: {channel} ok {seconds:.1} s after the repair", self.id, self.fault);
        self.measured.push(json!({ "channel": channel, "says": "ok again", "seconds": seconds, "within": within }));
        if let Some(alert) = alert {
            self.site.alertmanager().wait_until_gone(alert, &[], Duration::from_secs(240)).await?;
        }
        Ok(())
    }

    /// Writes down what was measured, for `docs/truth.md`; a benign row has first to have been silent.
    pub async fn finish(self) -> Result<()> {
        self.nothing_was_told().await?;
        says_who_is_called(self.id, &self.measured).with_context(|| format!("{} {}", self.id, self.fault))?;
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("truth");
        std::fs::create_dir_all(&directory)?;
        let slug: String =
            self.fault.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let text = json!({ "row": self.id, "postgres": crate::MAJOR, "fault": self.fault, "measured": self.measured });
        std::fs::write(
            directory.join(format!("{}-{}-{slug}.json", crate::MAJOR, self.id)),
            serde_json::to_string_pretty(&text)?,
        )?;
        Ok(())
    }
}

fn anyhow_ensure(holds: bool, text: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(std::io::Error::other(text()).into()) }
}
