//! The level of each channel and of the pair, from evidence and findings.

use crate::config::PairConfig;
use crate::evidence::{PairEvidence, Verdict};
use crate::level::Level;
use crate::names::{Channel, Proof, Reason};
use crate::snapshot::{ChannelView, Finding, FindingState};

/// The pair's level and each configured channel's view, in the order of [`Channel::ALL`].
///
/// A channel is unknown exactly while it is not proven up. Else it has the worst level of its rules that are met now
/// (pending counts, kept does not), and at least `warning` if its evidence runs with a reason.
pub fn channel_views(pair: &PairConfig, evidence: &PairEvidence, findings: &[Finding]) -> (Level, Vec<ChannelView>) {
    let views: Vec<_> =
        pair.channels().map(|channel| channel_view(channel, verdict(evidence, channel), findings)).collect();
    // A port that answers proves no replication, and says nothing against it either: only its rule counts for the pair.
    let ports = evidence.kvstore.as_ref().is_some_and(|kvstore| kvstore.proof == Proof::Reachability);
    let of_channels = views.iter().filter_map(|view| match view.channel {
        Channel::Kvstore if ports => worst_met(findings, view.channel),
        _ => Some(view.level),
    });
    let without_channel = met(findings, None).map(|finding| Level::of_severity(finding.severity));
    (of_channels.chain(without_channel).max().unwrap_or(Level::Unknown), views)
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

fn worst_met(findings: &[Finding], channel: Channel) -> Option<Level> {
    met(findings, Some(channel)).map(|finding| Level::of_severity(finding.severity)).max()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::evidence::PairEvidence;
    use crate::metrics::fixture::{all_known, at, nothing_known, pair};
    use crate::names::Severity;

    fn finding(channel: Option<Channel>, severity: Severity, state: FindingState) -> Finding {
        Finding {
            rule: "StandbyPostgresLagHigh",
            severity,
            channel,
            state,
            since: at(1),
            since_wall: WallTime(1.0),
            summary: "",
            description: "far behind".to_owned(),
            remedy: "",
            reason: Some(Reason::LagHigh),
            explained_by: None,
        }
    }

    fn postgres(verdict: Verdict, findings: &[Finding]) -> (Level, ChannelView) {
        let mut evidence: PairEvidence = all_known();
        if let Some(postgres) = &mut evidence.postgres {
            postgres.verdict = verdict;
        }
        let (level, mut views) = channel_views(&pair(&[Channel::Postgres]), &evidence, findings);
        (level, views.remove(0))
    }

    const LAG: Option<Channel> = Some(Channel::Postgres);

    #[test]
    fn proven_and_no_rule_met_is_ok_without_a_reason() {
        let (level, view) = postgres(Verdict::proven(at(5)), &[]);
        assert_eq!((level, view.level, view.reason, view.detail), (Level::Ok, Level::Ok, None, None));
        assert_eq!(view.as_of, Some(at(5)));
    }

    #[test]
    fn not_proven_is_unknown_whatever_the_rules_say() {
        let met = [finding(LAG, Severity::Critical, FindingState::Firing)];
        let (level, view) = postgres(Verdict::unproven(Reason::Stalled, "no word", None), &met);
        assert_eq!((level, view.level, view.reason), (Level::Unknown, Level::Unknown, Some(Reason::Stalled)));
        assert_eq!(view.detail.as_deref(), Some("no word"));
    }

    #[test]
    fn a_met_rule_counts_from_pending_on_and_no_longer_when_kept() {
        let with = |severity, state| postgres(Verdict::proven(at(5)), &[finding(LAG, severity, state)]);
        let (_, view) = with(Severity::Warning, FindingState::Pending);
        assert_eq!((view.level, view.reason), (Level::Warning, Some(Reason::LagHigh)));
        assert_eq!(view.detail.as_deref(), Some("far behind"));
        assert_eq!(with(Severity::Critical, FindingState::Firing).1.level, Level::Critical);
        let (_, kept) = with(Severity::Critical, FindingState::Kept);
        assert_eq!((kept.level, kept.reason), (Level::Ok, None));
        assert_eq!(with(Severity::Info, FindingState::Firing).1.level, Level::Ok, "info does not count");
    }

    #[test]
    fn running_with_a_reason_is_a_warning_at_least_and_keeps_its_reason() {
        let warned = || Verdict::warned(Reason::PeerUnreachable, "one side only", at(5));
        assert_eq!(postgres(warned(), &[]).1.level, Level::Warning);
        let met = [finding(LAG, Severity::Critical, FindingState::Pending)];
        let (_, view) = postgres(warned(), &met);
        assert_eq!((view.level, view.reason), (Level::Critical, Some(Reason::PeerUnreachable)));
    }

    #[test]
    fn a_rule_of_another_channel_or_of_none_leaves_this_channel_alone() {
        let met = [finding(Some(Channel::Search), Severity::Critical, FindingState::Firing)];
        assert_eq!(postgres(Verdict::proven(at(5)), &met).1.level, Level::Ok);
        let (level, view) =
            postgres(Verdict::proven(at(5)), &[finding(None, Severity::Critical, FindingState::Firing)]);
        assert_eq!((level, view.level), (Level::Critical, Level::Ok), "it raises the pair's level only");
    }

    #[test]
    fn a_port_counts_for_the_pair_only_while_its_rule_is_met() {
        let mut evidence = all_known();
        if let Some(kvstore) = &mut evidence.kvstore {
            kvstore.proof = Proof::Reachability;
            kvstore.verdict = Verdict::unproven(Reason::NotObservable, "only a port", None);
        }
        let pair = pair(&[Channel::Config, Channel::Kvstore]);
        let (level, views) = channel_views(&pair, &evidence, &[]);
        assert_eq!((level, views[1].level, views[1].reason), (Level::Ok, Level::Unknown, Some(Reason::NotObservable)));
        let down = finding(Some(Channel::Kvstore), Severity::Critical, FindingState::Pending);
        assert_eq!(channel_views(&pair, &evidence, &[down]).0, Level::Critical);
    }

    #[test]
    fn a_pair_is_as_bad_as_its_worst_configured_channel() {
        let (level, views) = channel_views(&pair(&[Channel::Config, Channel::Search]), &nothing_known(), &[]);
        assert_eq!(level, Level::Unknown);
        let told: Vec<_> = views.iter().map(|view| (view.channel, view.level, view.reason)).collect();
        let unknown = |channel| (channel, Level::Unknown, Some(Reason::NotSeenYet));
        assert_eq!(told, [unknown(Channel::Config), unknown(Channel::Search)]);
        assert_eq!(channel_views(&pair(&[]), &nothing_known(), &[]).0, Level::Unknown, "nothing is watched");
    }
}
