//! The findings of a pair in the order in which people are told them.

use std::cmp::Reverse;

use crate::names::{Channel, RuleName, Severity};
use crate::snapshot::FindingState;
use crate::view::api::{ChannelDocument, FindingDocument, PairDocument};

/// The findings as people are told them: the worst first, of equally bad ones the cause before what it explains, then those of the worst
/// channel, and where a rule is met in two severities the worse one. A heartbeat of alerting says nothing about the pair.
pub fn told_findings<'a>(findings: &'a [FindingDocument], channels: &[ChannelDocument]) -> Vec<&'a FindingDocument> {
    let level = |finding: &FindingDocument| {
        channels.iter().find(|one| Some(one.channel) == finding.channel).map(|one| one.level)
    };
    let mut told: Vec<_> = findings.iter().filter(|finding| finding.severity != Severity::None).collect();
    told.sort_by_key(|finding| (Reverse(finding.severity), finding.explained_by.is_some(), Reverse(level(finding))));
    let mut worse: Vec<(&str, Option<Channel>)> = Vec::new();
    told.retain(|finding| {
        let rule = (finding.rule.as_str(), finding.channel);
        let first = !worse.contains(&rule);
        // What is only kept is past: what is met now, though less severe, is told beside it.
        if finding.state != FindingState::Kept {
            worse.push(rule);
        }
        first
    });
    told
}

/// What is known to be the matter where a channel is not proven: a dead primary is more than a channel of which nobody knows.
pub(super) fn cause(pair: &PairDocument) -> Option<&str> {
    let unknown = pair.findings.iter().filter(|finding| finding.rule == RuleName::ReplicationUnknown.as_str());
    let by = unknown.filter_map(|finding| finding.explained_by.as_deref()).next()?;
    pair.findings.iter().find(|finding| finding.rule == by).map(|finding| finding.summary.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::snapshot::{Finding, View};
    use crate::view::fixture;
    use crate::view::wording::pair_sentence;

    #[test]
    fn the_cause_stands_before_what_it_explains() {
        let mut view = fixture::warned();
        let [finding, ..] = &view.findings[..] else { panic!("a finding") };
        let of = |rule, explained_by| Finding { rule, explained_by, ..finding.clone() };
        view.findings = vec![
            of("StandbyReplicationUnknown", Some("StandbyPostgresNoPrimary")),
            of("StandbyPostgresNoPrimary", None),
        ];
        let pair = PairDocument::new(&view, true, fixture::now());
        let sentence = pair_sentence(&pair);
        assert!(sentence.ends_with(&format!("critical. {}", pair.findings[1].summary)), "{sentence}");
        let told: Vec<_> =
            told_findings(&pair.findings, &pair.channels).iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(told, ["StandbyPostgresNoPrimary", "StandbyReplicationUnknown"]);
    }

    #[test]
    fn of_equally_bad_findings_those_of_the_worst_channel_stand_first() {
        let mut view = fixture::warned();
        let paused = view.findings[0].clone();
        let rule = "StandbyKvstoreWritesBlocked";
        let blocked = Finding { rule, channel: Some(Channel::Kvstore), ..paused.clone() };
        view.findings = vec![paused, blocked];
        let first = |view: &View| {
            let pair = PairDocument::new(view, true, fixture::now());
            told_findings(&pair.findings, &pair.channels)[0].rule.clone()
        };
        assert_eq!(first(&view), "StandbyPostgresReplayPaused");
        view.channels[2].level = Level::Unknown;
        assert_eq!(first(&view), "StandbyKvstoreWritesBlocked");
    }
}
