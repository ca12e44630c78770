//! Findings as Alertmanager's API v2 wants them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::clock::WallTime;
use crate::judge::rules::{NO_REASON, alert_annotations, alert_labels, tells_reason};
use crate::names::{Name, Reason, RuleName};
use crate::snapshot::{ChannelView, Finding, FindingState};

/// Tells an alert that the agent sent from one that Prometheus sent.
const SOURCE: &str = "agent";

/// An alert that fires.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    since: WallTime,
    /// Set if it is over, and that is said.
    ended: Option<WallTime>,
}

/// What makes it this alert and no other.
pub(super) type Identity = BTreeMap<String, String>;

impl Alert {
    pub(super) fn identity(&self) -> Identity {
        self.labels.clone()
    }

    /// The same, over since then.
    pub(super) fn ended(self, when: WallTime) -> Self {
        Self { ended: Some(when), ..self }
    }
}

/// The alerts of one pair (or of the agent itself), with the site's labels; a label of the alert's own is never replaced. An alert that
/// says only that something is unknown has the reason of its channel with it.
pub(super) fn alerts_of(
    pair: Option<&Name>,
    findings: &[Finding],
    channels: &[ChannelView],
    external_labels: &BTreeMap<String, String>,
) -> Vec<Alert> {
    let nobody = Name::new("");
    let alert = |finding: &Finding| {
        let mut labels = external_labels.clone();
        let own = alert_labels(pair.unwrap_or(&nobody), finding);
        labels.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        labels.insert("source".to_owned(), SOURCE.to_owned());
        let mut annotations = alert_annotations(finding);
        if RuleName::from_text(finding.rule).is_some_and(tells_reason) {
            let channel = channels.iter().find(|view| Some(view.channel) == finding.channel);
            let reason = channel.and_then(|channel| channel.reason).map_or(NO_REASON, Reason::as_str);
            annotations.insert("reason", reason.to_owned());
        }
        Alert { labels, annotations, since: finding.since_wall, ended: None }
    };
    findings.iter().filter(|finding| finding.state != FindingState::Pending).map(alert).collect()
}

/// The body of `POST /api/v2/alerts`: every alert that is not over ends `lives` from now unless it is sent again.
pub(super) fn body(alerts: &[Alert], generator_url: &str, now: WallTime, lives: Duration) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Postable<'a> {
        labels: &'a BTreeMap<String, String>,
        annotations: &'a BTreeMap<&'static str, String>,
        starts_at: String,
        ends_at: String,
        #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
        generator_url: &'a str,
    }
    let ends_at = WallTime(now.0 + lives.as_secs_f64());
    let postables = alerts.iter().map(|alert| Postable {
        labels: &alert.labels,
        annotations: &alert.annotations,
        // If the wall clock was set back since it began: Alertmanager refuses an alert that ends before it starts.
        starts_at: rfc3339(WallTime(alert.since.0.min(now.0).min(alert.ended.map_or(now.0, |ended| ended.0)))),
        ends_at: rfc3339(alert.ended.map_or(ends_at, |ended| WallTime(ended.0.min(now.0)))),
        generator_url,
    });
    let postables: Vec<_> = postables.collect();
    // Maps with text keys and text values: this cannot fail.
    serde_json::to_vec(&postables).unwrap_or_default()
}

fn rfc3339(time: WallTime) -> String {
    match time.to_system_time() {
        Some(time) => humantime::format_rfc3339_millis(time).to_string(),
        None => "1970-01-01T00:00:00Z".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_began_later_than_now_starts_now() {
        let alert = |since, ended: Option<f64>| Alert {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            since: WallTime(since),
            ended: ended.map(WallTime),
        };
        // The clock was set back by an hour after the first three began.
        let times =
            [(4_600.0, None), (4_600.0, Some(990.0)), (4_600.0, Some(4_700.0)), (900.0, None), (900.0, Some(4_600.0))];
        let alerts = times.map(|(since, ended)| alert(since, ended));
        let sent = body(&alerts, "", WallTime(1_000.0), Duration::from_secs(180));
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        let times =
            |one: &serde_json::Value| ["startsAt", "endsAt"].map(|key| one[key].as_str().unwrap()[11..19].to_owned());
        let times: Vec<_> = sent.as_array().unwrap().iter().map(times).collect();
        let expected = [
            ["00:16:40", "00:19:40"],
            ["00:16:30", "00:16:30"],
            ["00:16:40", "00:16:40"],
            ["00:15:00", "00:19:40"],
            ["00:15:00", "00:16:40"],
        ];
        assert_eq!(times, expected);
    }

    #[test]
    fn an_alert_that_something_is_unknown_has_its_own_channels_reason() {
        use crate::level::Level;
        use crate::names::{Channel, Severity};
        let view = |channel, reason| ChannelView { channel, level: Level::Unknown, reason, detail: None, as_of: None };
        let channels = [
            view(Channel::Postgres, Some(Reason::Stalled)),
            view(Channel::Config, None),
            view(Channel::Search, Some(Reason::Timeout)),
        ];
        let told = |rule: RuleName, channel| {
            let finding = Finding {
                rule: rule.as_str(),
                severity: Severity::Critical,
                channel: Some(channel),
                state: FindingState::Firing,
                since: crate::clock::Moment::after_boot(Duration::from_secs(1)),
                since_wall: WallTime(1.0),
                summary: "",
                description: String::new(),
                remedy: "",
                reason: None,
                explained_by: None,
            };
            let alerts = alerts_of(Some(&Name::new("catalog")), &[finding], &channels, &BTreeMap::new());
            alerts[0].annotations.get("reason").cloned()
        };
        assert_eq!(told(RuleName::ReplicationUnknown, Channel::Postgres).as_deref(), Some("stalled"));
        assert_eq!(told(RuleName::ReplicationUnknown, Channel::Config).as_deref(), Some(NO_REASON));
        assert_eq!(told(RuleName::ReplicationUnknown, Channel::Kvstore).as_deref(), Some(NO_REASON));
        assert_eq!(told(RuleName::SearchUnknown, Channel::Search).as_deref(), Some("timeout"));
        assert_eq!(told(RuleName::PostgresLagHigh, Channel::Postgres), None);
    }
}
