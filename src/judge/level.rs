//! The level of each channel and of the pair, from evidence and findings.

use crate::config::PairConfig;
use crate::evidence::{PairEvidence, Verdict};
use crate::level::Level;
use crate::names::{Channel, Reason};
use crate::snapshot::{ChannelView, Finding, FindingState};

/// The pair's level and each configured channel's view, in the order of [`Channel::ALL`].
///
/// A channel is unknown exactly while it is not proven up. Else it has the worst level of its rules that are met now
/// (pending counts, kept does not), and at least `warning` if its evidence runs with a reason.
pub fn channel_views(pair: &PairConfig, evidence: &PairEvidence, findings: &[Finding]) -> (Level, Vec<ChannelView>) {
    let views: Vec<_> =
        pair.channels().map(|channel| channel_view(channel, verdict(evidence, channel), findings)).collect();
    let of_channels = views.iter().map(|view| view.level);
    let without_channel = met(findings, None).map(|finding| Level::of_severity(finding.severity));
    (of_channels.chain(without_channel).max().unwrap_or(Level::Ok), views)
}

fn verdict(evidence: &PairEvidence, channel: Channel) -> Option<&Verdict> {
    match channel {
        Channel::Postgres => evidence.postgres.as_ref().map(|postgres| &postgres.verdict),
        Channel::Config => evidence.config.as_ref().map(|config| &config.verdict),
        Channel::Kvstore => evidence.kvstore.as_ref().map(|kvstore| &kvstore.verdict),
        Channel::Search => evidence.search.as_ref().map(|search| &search.verdict),
    }
}

/// The findings of a channel (or of none) whose condition is met now.
fn met(findings: &[Finding], channel: Option<Channel>) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |finding| finding.channel == channel && finding.state != FindingState::Kept)
}

fn channel_view(channel: Channel, verdict: Option<&Verdict>, findings: &[Finding]) -> ChannelView {
    let Some(verdict) = verdict else {
        let reason = Some(Reason::NotSeenYet);
        return ChannelView { channel, level: Level::Unknown, reason, detail: None, as_of: None };
    };
    let Verdict { up, reason, ref detail, as_of } = *verdict;
    let worst = met(findings, Some(channel)).max_by_key(|finding| Level::of_severity(finding.severity));
    let by_rules = worst.map_or(Level::Ok, |finding| Level::of_severity(finding.severity));
    let by_evidence = match (up, reason) {
        (false, _) => Level::Unknown,
        (true, Some(_)) => Level::Warning,
        (true, None) => Level::Ok,
    };
    let level = by_evidence.max(by_rules);
    if level == Level::Ok {
        return ChannelView { channel, level, reason: None, detail: None, as_of };
    }
    match reason {
        Some(_) => ChannelView { channel, level, reason, detail: detail.clone(), as_of },
        None => {
            let detail = worst.map(|finding| finding.description.clone());
            ChannelView { channel, level, reason: worst.and_then(|finding| finding.reason), detail, as_of }
        }
    }
}
