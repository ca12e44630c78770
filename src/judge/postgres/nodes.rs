//! Who is what now, and what contradicts what, before any channel is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use super::servers;
use crate::clock::Moment;
use crate::config::PairConfig;
use crate::evidence::{NodeEvidence, Roles};
use crate::facts::{Latest, PostgresFacts, PostgresRole, PrimaryFacts, StandbyFacts};
use crate::history::postgres::{NodeMemory, PostgresHistory};
use crate::names::{Name, Reason, Role};

use super::access;

/// A standby is ahead of its primary for good after so many pairs of readings in a row.
const AHEAD_ENOUGH: u8 = 3;

/// What one node's newest reading says, if it may be believed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'a> {
    Primary { facts: &'a PostgresFacts, primary: &'a PrimaryFacts, asked: Moment },
    Standby { facts: &'a PostgresFacts, standby: &'a StandbyFacts, asked: Moment },
    Silent(Reason),
}

impl<'a> Node<'a> {
    pub(super) const fn facts(self) -> Option<&'a PostgresFacts> {
        match self {
            Self::Primary { facts, .. } | Self::Standby { facts, .. } => Some(facts),
            Self::Silent(_) => None,
        }
    }

    const fn role(self) -> Option<Role> {
        match self {
            Self::Primary { .. } => Some(Role::Primary),
            Self::Standby { .. } => Some(Role::Standby),
            Self::Silent(_) => None,
        }
    }
}

/// All nodes of the pair, in the order of the configuration.
pub(super) struct Nodes<'a> {
    pub(super) all: Vec<(&'a Name, Node<'a>)>,
}

/// The only node that answers as a primary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Primary<'a> {
    pub(super) name: &'a Name,
    pub(super) facts: &'a PostgresFacts,
    pub(super) primary: &'a PrimaryFacts,
    pub(super) asked: Moment,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(
        pair: &'a PairConfig,
        latest: &'a BTreeMap<Name, Latest<PostgresFacts>>,
        stale_after: Duration,
        now: Moment,
    ) -> Self {
        let node = |name: &Name| match latest.get(name).unwrap_or(&Latest::NeverAsked).fresh(now, stale_after) {
            Err(reason) => Node::Silent(reason),
            Ok((facts, asked)) => match &facts.role {
                PostgresRole::Primary(primary) => Node::Primary { facts, primary, asked },
                PostgresRole::Standby(standby) => Node::Standby { facts, standby, asked },
            },
        };
        Self { all: pair.nodes.iter().map(|config| (&config.name, node(&config.name))).collect() }
    }

    fn primaries(&self) -> impl Iterator<Item = Primary<'a>> + '_ {
        self.all.iter().filter_map(|&(name, node)| match node {
            Node::Primary { facts, primary, asked } => Some(Primary { name, facts, primary, asked }),
            Node::Standby { .. } | Node::Silent(_) => None,
        })
    }

    /// The primary, if exactly one node answers as one.
    pub(super) fn primary(&self) -> Option<Primary<'a>> {
        let mut primaries = self.primaries();
        primaries.next().filter(|_| primaries.next().is_none())
    }

    /// What no proof can hide: it concerns the pair as a whole.
    pub(super) fn contradiction(&self, history: &PostgresHistory) -> Option<(Reason, String)> {
        self.same_server()
            .or_else(|| self.wrong_cluster())
            .or_else(|| self.two_primaries(history))
            .or_else(|| self.diverged(history))
            .or_else(|| self.no_primary())
    }

    fn answered(&self) -> impl Iterator<Item = (&'a Name, &'a PostgresFacts)> + '_ {
        self.all.iter().filter_map(|&(name, node)| node.facts().map(|facts| (name, facts)))
    }

    fn pairs(&self) -> impl Iterator<Item = ((&'a Name, &'a PostgresFacts), (&'a Name, &'a PostgresFacts))> + '_ {
        let answered: Vec<_> = self.answered().collect();
        (0..answered.len()).flat_map(move |i| (i + 1..answered.len()).map(move |j| (i, j)).collect::<Vec<_>>()).map({
            let answered: Vec<_> = self.answered().collect();
            move |(i, j)| (answered[i], answered[j])
        })
    }

    fn same_server(&self) -> Option<(Reason, String)> {
        let known = |facts: &PostgresFacts| {
            Some((facts.postmaster_start.clone()?, facts.data_directory.clone()?, facts.system_identifier.clone()?))
        };
        let ((a, _), (b, facts)) = self.pairs().find(|((_, a), (_, b))| known(a).is_some() && known(a) == known(b))?;
        let text = format!(
            "{a} and {b} are one server (started at the same instant, data directory {}): one of the two addresses is wrong or floats",
            facts.data_directory.as_deref().unwrap_or("unknown")
        );
        Some((Reason::SameServer, text))
    }

    fn wrong_cluster(&self) -> Option<(Reason, String)> {
        let differ = |a: &PostgresFacts, b: &PostgresFacts| {
            a.system_identifier.as_ref().zip(b.system_identifier.as_ref()).is_some_and(|(a, b)| a != b)
        };
        let ((a, _), (b, _)) = self.pairs().find(|((_, a), (_, b))| differ(a, b))?;
        Some((
            Reason::WrongCluster,
            format!("{a} and {b} belong to different clusters (their system identifiers differ)"),
        ))
    }

    /// How many nodes answer as a primary, whatever contradicts that.
    pub(super) fn count_primaries(&self) -> usize {
        self.primaries().count()
    }

    /// Two nodes were primaries at one moment for certain. Where the old primary was stopped and the standby promoted right after, the last
    /// answer of the one and the first of the other may both be the newest for a moment: that is a failover, and no split brain.
    pub(super) fn two_at_once(&self, history: &PostgresHistory) -> bool {
        let since = |primary: &Primary<'_>| history.nodes.get(primary.name).and_then(NodeMemory::primary_since);
        let runs: Vec<_> = self.primaries().map(|primary| (since(&primary), primary.asked)).collect();
        (0..runs.len()).any(|one| {
            runs[..one].iter().any(|other| {
                let (begun, ended) = (runs[one].0.max(other.0), runs[one].1.min(other.1));
                begun.is_none_or(|begun| begun <= ended)
            })
        })
    }

    fn two_primaries(&self, history: &PostgresHistory) -> Option<(Reason, String)> {
        let names: Vec<_> = self
            .primaries()
            .map(|primary| match primary.facts.timeline {
                Some(timeline) => format!("{} (timeline {timeline})", primary.name),
                None => primary.name.to_string(),
            })
            .collect();
        (names.len() > 1).then(|| {
            let names = names.join(" and ");
            if self.two_at_once(history) {
                (Reason::TwoPrimaries, format!("{names} all answer as primary: fence all but one at once"))
            } else {
                let text =
                    format!("{names} answered as primary one after the other: which of them still is, is being asked");
                (Reason::NotSeenYet, text)
            }
        })
    }

    fn diverged(&self, history: &PostgresHistory) -> Option<(Reason, String)> {
        let primary = self.primary()?;
        let own = primary.facts.timeline?;
        self.all.iter().find_map(|&(name, node)| {
            let Node::Standby { facts, standby, .. } = node else { return None };
            let theirs = facts.timeline.max(standby.receiver.as_ref().and_then(|receiver| receiver.timeline))?;
            let ahead = history.nodes.get(name).is_some_and(|memory| memory.ahead >= AHEAD_ENOUGH);
            let text = if theirs > own {
                format!(
                    "{name} is on timeline {theirs}, its primary {} on {own}: their histories have parted",
                    primary.name
                )
            } else if ahead {
                format!(
                    "{name} is ahead of its primary {} on timeline {theirs}: their histories have parted",
                    primary.name
                )
            } else {
                return None;
            };
            Some((Reason::TimelineDiverged, text))
        })
    }

    fn no_primary(&self) -> Option<(Reason, String)> {
        let all_standbys = self.all.iter().all(|(_, node)| matches!(node, Node::Standby { .. }));
        all_standbys
            .then(|| (Reason::NoPrimary, "every node answers, and every one is in recovery: none takes writes".into()))
    }

    /// The node that is taken for the primary while none proves it: the last proven one if it is silent, else the first silent one.
    pub(super) fn presumed_primary(&self, roles: &Roles) -> Option<&'a Name> {
        let silent = || self.all.iter().filter(|(_, node)| matches!(node, Node::Silent(_))).map(|(name, _)| *name);
        silent().find(|name| Some(*name) == roles.primary.as_ref()).or_else(|| silent().next())
    }

    /// Each node as its server describes itself.
    pub(super) fn evidence(&self, now: Moment) -> Vec<NodeEvidence> {
        let of = |&(name, node): &(&Name, Node)| NodeEvidence {
            node: name.clone(),
            role: node.role(),
            timeline: node.facts().and_then(|facts| facts.timeline),
            version: node.facts().and_then(|facts| facts.version),
            position: match node {
                Node::Primary { primary, .. } => primary.wal_lsn,
                Node::Standby { standby, .. } => standby.replay_lsn,
                Node::Silent(_) => None,
            },
            not_accepting: access::not_accepting(node),
            no_new_session: access::no_new_session(name, node),
            told: servers::node_told(node, now),
        };
        self.all.iter().map(of).collect()
    }
}
