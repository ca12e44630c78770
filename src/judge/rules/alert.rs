//! A finding as an alert: the same labels and annotations, whether Prometheus or the agent sends it.

use std::collections::BTreeMap;

use super::catalogue::RULES;
use super::condition::About;
use crate::names::{Name, RuleName};
use crate::snapshot::Finding;

/// Where a rule's section is, from the top of the repository.
pub fn runbook(rule: &str) -> String {
    format!("docs/runbooks.md#{}", rule.to_lowercase())
}

/// The alert's labels, without the site's external ones: `alertname`, `severity` and, in rules about a pair, `pair` and
/// `channel`. Never anything that changes while the alert stays the same.
pub fn alert_labels(pair: &Name, finding: &Finding) -> BTreeMap<&'static str, String> {
    let mut labels =
        BTreeMap::from([("alertname", finding.rule.to_owned()), ("severity", finding.severity.as_str().to_owned())]);
    let about_agent = RULES.iter().any(|rule| rule.name.as_str() == finding.rule && rule.about == About::Agent);
    if !about_agent {
        labels.insert("pair", pair.as_str().to_owned());
    }
    if let Some(channel) = finding.channel {
        labels.insert("channel", channel.as_str().to_owned());
    }
    labels
}

/// Whether the alert says only that something is unknown: then the channel's reason stands beside it, as the annotation `reason`.
pub fn tells_reason(rule: RuleName) -> bool {
    matches!(rule, RuleName::ReplicationUnknown | RuleName::SearchUnknown)
}

/// In place of a reason that is not there.
pub const NO_REASON: &str = "not told";

/// The alert's annotations, without the `reason` of [`tells_reason`]: Prometheus asks for the channel's, the agent knows it.
pub fn alert_annotations(finding: &Finding) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("summary", finding.summary.to_owned()),
        ("description", finding.description.clone()),
        ("remedy", finding.remedy.to_owned()),
        ("runbook", runbook(finding.rule)),
    ])
}
