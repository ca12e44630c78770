//! Says in the terminal what the agent tells: one line for each change of a channel, and for each alert that arrives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::scene::Scene;
use crate::Notice;

const LOOK: Duration = Duration::from_millis(200);
/// It always fires, to show that the way to Alertmanager works: told once.
const WATCHDOG: &str = "StandbyWatchdog";

/// Prints a line. A terminal that has gone away is no reason to leave servers behind.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Level and reason of each channel.
type Told = BTreeMap<String, String>;

/// Remembers what was said, and when the last fault was.
pub(super) struct Teller {
    since: RefCell<(Instant, String)>,
    told: RefCell<Told>,
}

impl Teller {
    /// Counts from now, the demo's start.
    pub fn new() -> Self {
        Self { since: RefCell::new((Instant::now(), "the start".to_owned())), told: RefCell::default() }
    }

    /// From now on seconds count from this event.
    pub fn count_from(&self, begun: Instant, event: &str) {
        *self.since.borrow_mut() = (begun, event.to_owned());
    }

    /// Prints a line with the seconds since the last event.
    pub fn tell(&self, text: &str) {
        let (since, event) = &*self.since.borrow();
        say(&format!("{:>7.1} s after {event}: {text}", since.elapsed().as_secs_f64()));
    }

    /// Looks at the agent and at the receiver for as long as it is awaited.
    ///
    /// # Errors
    /// When the agent ends.
    pub async fn watch(&self, scene: &Scene) -> Result<()> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen = 0;
        loop {
            looks.tick().await;
            if let Ok(page) = scene.agent().json("/monitor/replication").await {
                let now = told_by(&page);
                for (channel, change) in changes(&self.told.borrow(), &now) {
                    self.tell(&format!("{channel:<8} {change:<32} {}", number_of(&channel, &page)));
                }
                *self.told.borrow_mut() = now;
            } else if !scene.agent().server.is_running() {
                bail!("the agent has ended; its last words:\n{}", scene.agent().server.log_tail());
            }
            let notices = scene.monitoring.alertmanager.receiver.notices();
            for notice in notices.iter().skip(seen) {
                if notice_is_news(notice, &notices[..seen]) {
                    self.tell(&arrived(notice));
                }
                seen += 1;
            }
        }
    }
}

/// The key of a channel's number on the page.
const NUMBERS: [(&str, &str); 4] = [
    ("postgres", "postgres_lag_bytes"),
    ("config", "config_sync_age_seconds"),
    ("kvstore", "kvstore_round_trip_seconds"),
    ("search", "search_active_shards_percent"),
];

/// A channel with its number as the page has it now: `postgres_lag_bytes: "unknown"`.
fn number_of(channel: &str, page: &Value) -> String {
    let key = NUMBERS.iter().find(|(name, _)| *name == channel).map(|(_, key)| *key);
    key.and_then(|key| Some(format!("{key}: {}", page.get(key)?))).unwrap_or_default()
}

/// `status (reason)` of each channel on the page.
fn told_by(page: &Value) -> Told {
    let channels = page["channels"].as_object().into_iter().flatten();
    channels.map(|(name, channel)| (name.clone(), level_of(channel))).collect()
}

fn level_of(channel: &Value) -> String {
    let status = channel["status"].as_str().unwrap_or("no status");
    match channel["reason"].as_str() {
        Some(reason) => format!("{status} ({reason})"),
        None => status.to_owned(),
    }
}

/// Each channel that is not as it was, and what it was and is.
fn changes(before: &Told, now: &Told) -> Vec<(String, String)> {
    let differs = now.iter().filter(|(channel, level)| before.get(*channel) != Some(level));
    differs
        .map(|(channel, level)| match before.get(channel) {
            Some(old) => (channel.clone(), format!("{old} -> {level}")),
            None => (channel.clone(), level.clone()),
        })
        .collect()
}

/// The watchdog is news once, an alert each time that it comes or goes.
fn notice_is_news(notice: &Notice, before: &[Notice]) -> bool {
    let same = |other: &Notice| other.labels == notice.labels;
    let watchdog = notice.labels.get("alertname").is_some_and(|name| name == WATCHDOG);
    match before.iter().rev().find(|other| same(other)) {
        Some(last) => !watchdog && last.status != notice.status,
        None => true,
    }
}

fn arrived(notice: &Notice) -> String {
    let label = |key: &str| notice.labels.get(key).map_or("", String::as_str);
    let name = label("alertname");
    if name == WATCHDOG {
        return format!("alert    {name} arrived: the way from rule to receiver works (it always fires; said once)");
    }
    let about = ["channel", "severity"].map(label).into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    // Once it is resolved, its summary no longer holds.
    let summary = notice.annotations.get("summary").filter(|_| notice.status == "firing").map_or("", String::as_str);
    format!("alert    {name} {} ({}) {summary}", notice.status, about.join(", ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_of_level_or_reason_is_one_line() {
        let page = |status: &str, reason: Option<&str>| {
            told_by(
                &json!({ "channels": { "postgres": { "status": status, "reason": reason }, "config": { "status": "ok" } } }),
            )
        };
        let (ok, unknown, later) =
            (page("ok", None), page("unknown", Some("stalled")), page("unknown", Some("not_connected")));
        let lines = |before: &Told, now: &Told| {
            changes(before, now).into_iter().map(|(channel, change)| format!("{channel} {change}")).collect::<Vec<_>>()
        };
        assert_eq!(lines(&Told::new(), &ok), ["config ok", "postgres ok"]);
        assert_eq!(lines(&ok, &ok), [""; 0]);
        assert_eq!(lines(&ok, &unknown), ["postgres ok -> unknown (stalled)"]);
        assert_eq!(lines(&unknown, &later), ["postgres unknown (stalled) -> unknown (not_connected)"]);
    }

    #[test]
    fn the_number_is_told_as_the_page_has_it() {
        let page = json!({ "postgres_lag_bytes": "unknown", "config_sync_age_seconds": 2.5 });
        assert_eq!(number_of("postgres", &page), "postgres_lag_bytes: \"unknown\"");
        assert_eq!(number_of("config", &page), "config_sync_age_seconds: 2.5");
        assert_eq!(number_of("search", &page), "");
    }

    #[test]
    fn an_alert_is_told_when_it_comes_and_when_it_goes() {
        let notice = |name: &str, status: &str| Notice {
            arrived: Instant::now(),
            status: status.to_owned(),
            labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: String::new(),
            ends_at: String::new(),
        };
        let came = [notice("A", "firing"), notice(WATCHDOG, "firing")];
        assert!(notice_is_news(&came[0], &[]) && notice_is_news(&came[1], &[]));
        assert!(!notice_is_news(&notice("A", "firing"), &came), "sent again");
        assert!(notice_is_news(&notice("A", "resolved"), &came));
        assert!(!notice_is_news(&notice(WATCHDOG, "resolved"), &came));
    }
}
