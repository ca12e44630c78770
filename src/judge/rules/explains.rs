//! Which alerts explain which others: shown on the page, and printed as inhibitions for Alertmanager.

use std::fmt::Write;

use crate::names::{RuleName, Severity};
use crate::snapshot::{Finding, FindingState};

/// While one of some alerts fires, others of the same pair are no news.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// Why, as a comment for people.
    pub why: &'static str,
    /// Any of these.
    pub by: &'static [RuleName],
    /// Each of these.
    pub explains: &'static [RuleName],
    /// What both must have alike.
    pub alike: Alike,
}

/// What two alerts must have alike for one to explain the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// The pair and the channel.
    Channel,
    /// The pair.
    Pair,
    /// Nothing but the site: what is explained is about the agent.
    Site,
}

impl Alike {
    const fn labels(self) -> &'static str {
        match self {
            Self::Channel => "[pair, channel, site]",
            Self::Pair => "[pair, site]",
            Self::Site => "[site]",
        }
    }
}

const REPLAY: [RuleName; 3] =
    [RuleName::PostgresReplayPaused, RuleName::PostgresReplayBlockedBySettings, RuleName::PostgresReplayStuck];

/// Every explanation. Nothing explains, over however many steps, what explains it: both would be silent.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        why: "A primary that nobody sees explains that its channels cannot be proven.",
        by: &[RuleName::PostgresNoPrimary],
        explains: &[RuleName::ReplicationUnknown],
        alike: Alike::Pair,
    },
    Explanation {
        why: "What contradicts itself cannot be proven either: the contradiction is the news.",
        by: &[
            RuleName::PostgresSplitBrain,
            RuleName::PostgresTimelineDiverged,
            RuleName::PostgresWrongCluster,
            RuleName::PostgresSameServer,
        ],
        explains: &[RuleName::ReplicationUnknown],
        alike: Alike::Channel,
    },
    Explanation {
        // Not a lost write: it is told for a while after it happened, and what is unknown then may have another cause.
        why: "What is wrong with the key-value stores now says more than that they cannot be proven to be in step.",
        by: &[RuleName::KvstoreWritesBlocked, RuleName::KvstoreDiverged],
        explains: &[RuleName::ReplicationUnknown],
        alike: Alike::Channel,
    },
    Explanation {
        why: "Two primaries write on two timelines, of course; they also cannot be in step.",
        by: &[RuleName::PostgresSplitBrain],
        explains: &[
            RuleName::PostgresTimelineDiverged,
            RuleName::PostgresLagHigh,
            RuleName::PostgresLagCeiling,
            RuleName::PostgresLagGrowing,
            RuleName::PostgresLagGrowingAtLowLoad,
            REPLAY[0],
            REPLAY[1],
            REPLAY[2],
        ],
        alike: Alike::Pair,
    },
    Explanation {
        why: "What cannot be proven has no lag to speak of.",
        by: &[RuleName::ReplicationUnknown],
        explains: &[
            RuleName::PostgresLagHigh,
            RuleName::PostgresLagCeiling,
            RuleName::PostgresLagGrowing,
            RuleName::PostgresLagGrowingAtLowLoad,
            REPLAY[0],
            REPLAY[1],
            REPLAY[2],
            RuleName::ConfigSyncStale,
        ],
        alike: Alike::Channel,
    },
    Explanation {
        why: "A replay that stands still is why the lag is large and grows.",
        by: &REPLAY,
        explains: &[
            RuleName::PostgresLagHigh,
            RuleName::PostgresLagCeiling,
            RuleName::PostgresLagGrowing,
            RuleName::PostgresLagGrowingAtLowLoad,
        ],
        alike: Alike::Pair,
    },
    Explanation {
        why: "That it grows while the primary writes little says more than that it is large, or grows.",
        by: &[RuleName::PostgresLagGrowingAtLowLoad],
        explains: &[RuleName::PostgresLagGrowing, RuleName::PostgresLagHigh],
        alike: Alike::Pair,
    },
    Explanation {
        why: "What is in the way of a promotion has an alert of its own.",
        by: &[
            RuleName::PostgresSplitBrain,
            RuleName::PostgresTimelineDiverged,
            RuleName::PostgresWrongCluster,
            RuleName::PostgresNotAccepting,
            RuleName::PostgresReplayBlockedBySettings,
            RuleName::KvstoreDiverged,
        ],
        explains: &[RuleName::FailoverNotReady],
        alike: Alike::Pair,
    },
    Explanation {
        why: "A search engine that does not answer says nothing of its indices.",
        by: &[RuleName::SearchUnknown],
        explains: &[RuleName::SearchRed, RuleName::SearchIndexMissing],
        alike: Alike::Pair,
    },
    Explanation {
        why: "A probe that brings nothing is no news where its channel is unknown, or its engine.",
        by: &[RuleName::ReplicationUnknown, RuleName::SearchUnknown, RuleName::PostgresNoPrimary],
        explains: &[RuleName::AgentProbeFailing],
        alike: Alike::Site,
    },
];

/// Notes on each finding which other one explains it. Only what fires explains: what is pending is sent to nobody.
pub fn explain(findings: &mut [Finding]) {
    for at in 0..findings.len() {
        findings[at].explained_by = explained_by(&findings[at], findings);
    }
}

/// The rule among `others` that explains this finding.
pub fn explained_by(finding: &Finding, others: &[Finding]) -> Option<&'static str> {
    let fires = |other: &&Finding| other.state != FindingState::Pending;
    let worse = |other: &Finding| {
        (other.rule, other.severity) == (finding.rule, Severity::Critical)
            && finding.severity == Severity::Warning
            && other.channel == finding.channel
    };
    if let Some(other) = others.iter().filter(fires).find(|other| worse(other)) {
        return Some(other.rule);
    }
    let named = |rules: &[RuleName], rule: &str| rules.iter().any(|name| name.as_str() == rule);
    let all = EXPLANATIONS.iter().filter(|explanation| named(explanation.explains, finding.rule));
    let found = all.flat_map(|explanation| {
        let alike = move |other: &&Finding| explanation.alike != Alike::Channel || other.channel == finding.channel;
        others.iter().filter(fires).filter(move |other| named(explanation.by, other.rule)).filter(alike)
    });
    found.map(|other| other.rule).next()
}

const MUTE: &str = "inhibit_rules:
  # Printed from `src/judge/rules/explains.rs`, which the status page shows, too; `make docs` prints it anew. `site` stands for an external
  # label that tells sites apart, where several send here: put yours in its place, or an alert of one would mute another's. Agents and
  # Prometheus of a site must send the same one.

  # Where agents push alerts and Prometheus sends its own too, Prometheus speaks for as long as its dead-man's switch arrives, and the
  # agents do when it stops. (Better: only one of them.) To mute an alert of the agents only while Prometheus has the same one
  # would let it through for the three minutes in which it runs out after its end: a false alarm after every real one.
  - source_matchers: [alertname=\"StandbyWatchdog\", source=\"\"]
    target_matchers: [alertname=~\"Standby.+\", source=\"agent\"]
    equal: [site]

  # The worse of one rule's two severities is enough.
  - source_matchers: [alertname=~\"Standby.+\", severity=\"critical\"]
    target_matchers: [alertname=~\"Standby.+\", severity=\"warning\"]
    equal: [alertname, pair, channel, site]
";

/// The inhibitions for Alertmanager.
pub fn inhibitions() -> String {
    let mut out = MUTE.to_owned();
    for Explanation { why, by, explains, alike } in EXPLANATIONS {
        let (by, explains, equal) = (matcher(by), matcher(explains), alike.labels());
        let _ = write!(
            out,
            "\n  # {why}\n  - source_matchers: [{by}]\n    target_matchers: [{explains}]\n    equal: {equal}\n"
        );
    }
    out
}

fn matcher(rules: &[RuleName]) -> String {
    let names: Vec<_> = rules.iter().map(|rule| rule.as_str()).collect();
    let operator = if names.len() == 1 { "=" } else { "=~" };
    format!("alertname{operator}\"{}\"", names.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::judge::rules::{About, RULES};
    use crate::metrics::fixture::at;
    use crate::names::Channel;

    fn finding(rule: RuleName, channel: Option<Channel>, state: FindingState) -> Finding {
        let rule = RULES.iter().find(|other| other.name == rule).expect("in the catalogue");
        Finding {
            rule: rule.name.as_str(),
            severity: rule.severity,
            channel,
            state,
            since: at(1),
            since_wall: WallTime(1.0),
            summary: rule.summary,
            description: String::new(),
            remedy: rule.remedy,
            reason: None,
            explained_by: None,
        }
    }

    fn explained(mut findings: Vec<Finding>) -> Vec<Option<&'static str>> {
        explain(&mut findings);
        findings.iter().map(|finding| finding.explained_by).collect()
    }

    use FindingState::{Firing, Kept, Pending};
    const POSTGRES: Option<Channel> = Some(Channel::Postgres);

    #[test]
    fn two_primaries_explain_that_nothing_can_be_proven_and_what_diverges() {
        let told = explained(vec![
            finding(RuleName::ReplicationUnknown, POSTGRES, Firing),
            finding(RuleName::PostgresSplitBrain, POSTGRES, Firing),
            finding(RuleName::PostgresTimelineDiverged, POSTGRES, Firing),
            finding(RuleName::ReplicationUnknown, Some(Channel::Kvstore), Firing),
        ]);
        let by = Some("StandbyPostgresSplitBrain");
        assert_eq!(told, [by, None, by, None], "another channel has its own cause");
    }

    #[test]
    fn writes_that_block_explain_that_the_stores_are_not_proven_and_nothing_else() {
        let store = Some(Channel::Kvstore);
        let told = explained(vec![
            finding(RuleName::ReplicationUnknown, POSTGRES, Firing),
            finding(RuleName::ReplicationUnknown, store, Firing),
            finding(RuleName::KvstoreWritesBlocked, store, Firing),
        ]);
        assert_eq!(told, [None, Some("StandbyKvstoreWritesBlocked"), None]);
        let after = explained(vec![
            finding(RuleName::ReplicationUnknown, store, Firing),
            finding(RuleName::KvstoreLostWrite, store, Firing),
        ]);
        assert_eq!(after, [None, None], "what was lost before does not hide what is unknown now");
    }

    #[test]
    fn what_is_sent_to_nobody_explains_nothing() {
        let with = |state| {
            let other = finding(RuleName::PostgresReplayPaused, POSTGRES, state);
            explained(vec![finding(RuleName::PostgresLagHigh, POSTGRES, Firing), other])[0]
        };
        assert_eq!(with(Pending), None);
        assert_eq!(with(Firing), Some("StandbyPostgresReplayPaused"));
        assert_eq!(with(Kept), Some("StandbyPostgresReplayPaused"));
    }

    #[test]
    fn the_worse_severity_of_a_rule_explains_the_other() {
        let warning = finding(RuleName::ConfigSyncStale, Some(Channel::Config), Firing);
        let critical = Finding { severity: Severity::Critical, ..warning.clone() };
        assert_eq!(explained(vec![critical.clone(), warning.clone()]), [None, Some("StandbyConfigSyncStale")]);
        let of_another = Finding { channel: POSTGRES, ..critical };
        assert_eq!(explained(vec![of_another, warning]), [None, None]);
    }

    /// Else two alerts would mute each other, and nobody would be told of either.
    #[test]
    fn nothing_explains_what_explains_it() {
        fn reaches(from: RuleName, to: RuleName, steps: usize) -> bool {
            steps > 0
                && EXPLANATIONS.iter().filter(|explanation| explanation.by.contains(&from)).any(|explanation| {
                    explanation.explains.iter().any(|next| *next == to || reaches(*next, to, steps - 1))
                })
        }
        for rule in RuleName::ALL {
            assert!(!reaches(*rule, *rule, EXPLANATIONS.len()), "{rule} explains itself");
        }
    }

    /// A page may be explained only by a page; and what is compared must be there.
    #[test]
    fn what_pages_is_explained_by_what_pages_and_labels_are_there() {
        let rule = |name: RuleName| RULES.iter().filter(move |rule| rule.name == name);
        for Explanation { why, by, explains, alike } in EXPLANATIONS {
            let pages = |name: &RuleName| rule(*name).any(|rule| rule.severity == Severity::Critical);
            assert!(by.iter().all(pages) || !explains.iter().any(pages), "{why}");
            for name in by.iter().chain(*explains) {
                let about = rule(*name).next().expect("in the catalogue").about;
                let fits = match alike {
                    Alike::Channel => matches!(about, About::Channel(_) | About::EachChannel),
                    Alike::Pair => about != About::Agent,
                    Alike::Site => true,
                };
                assert!(fits, "{why}: {name}");
            }
        }
    }
}
