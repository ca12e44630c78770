//! Rules over the agents of a pair, as they see each other, and over their machines.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::{Form, Part};
use crate::names::{RuleName, Severity};

pub(super) const SPEC_PARITY: Rule = Rule {
    name: RuleName::SpecParity,
    severity: Severity::Warning,
    about: About::Pair,
    condition: Condition::All(&[Compare::holds("standby_machine_differs")]),
    threshold: None,
    hold: minutes(5),
    keep: AT_ONCE,
    summary: "The standby's machine is less than its primary's.",
    description: &[
        Part::Text("The machine of a standby of pair "),
        Part::Pair,
        Part::Text(
            " has fewer processors, less memory or a smaller disk than its primary's, an older PostgreSQL or another system. Once \
             promoted it may not carry the load.",
        ),
    ],
    remedy: "1. Read on the status page what it is, and both values. 2. Give the standby what the primary has. 3. If it is meant to be \
             so, find out what it can carry before you need it, and switch this rule off.",
    reason: None,
};

pub(super) const PEER_UNREACHABLE: Rule = Rule {
    name: RuleName::AgentPeerUnreachable,
    severity: Severity::Warning,
    about: About::Pair,
    condition: Condition::All(&[Compare::holds_not_everywhere("standby_agent_peer_up")]),
    threshold: None,
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "An agent of the pair cannot ask the other one.",
    description: &[
        Part::Text("An agent of pair "),
        Part::Pair,
        Part::Text(
            " gets no answer from the other node's agent, or one that it does not understand. What is shown rests on the word of one side.",
        ),
    ],
    remedy: "1. Read on each node's status page what the agent says of the other. 2. systemctl status standbywatch on both nodes. \
             3. Check the way between them: address, port, firewall. 4. Check that both have the same peer.token, peer.crt and \
             fingerprint, and versions that understand each other.",
    reason: None,
};

pub(super) const CLOCK_SKEW: Rule = Rule {
    name: RuleName::AgentClockSkew,
    severity: Severity::Warning,
    about: About::Pair,
    condition: Condition::All(&[Compare::above_threshold("standby_agent_clock_skew_seconds")]),
    threshold: Some(900.0),
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "The clocks of the pair's machines differ.",
    description: &[
        Part::Text("The wall clocks of the machines of pair "),
        Part::Pair,
        Part::Text(" differ by "),
        Part::Value(Form::Duration),
        Part::Text(" or more (limit "),
        Part::Threshold(Form::Duration),
        Part::Text("). Nothing that is shown here is wrong by it, but logs of both nodes cannot be laid side by side."),
    ],
    remedy: "1. timedatectl on both nodes: which one is wrong? 2. Mend its time synchronisation (chronyc sources, or systemctl status \
             systemd-timesyncd). 3. Let the clock be slewed, not stepped, while the application runs.",
    reason: None,
};
