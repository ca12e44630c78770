//! Rules about the agent itself.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Condition};
use crate::judge::rules::description::Part;
use crate::names::{RuleName, Severity};

pub(super) const DOWN: Rule = Rule {
    name: RuleName::AgentDown,
    severity: Severity::Critical,
    about: About::Agent,
    condition: Condition::PrometheusOnly("absent(standby_build_info) or count(up{job=\"standbywatch\"} == 0)"),
    threshold: None,
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "An agent of standbywatch is not scraped: nobody watches.",
    description: &[
        Part::Text("Prometheus gets no numbers from standbywatch"),
        Part::PrometheusOnly("{{ range query \"up{job=\\\"standbywatch\\\"} == 0\" }} {{ .Labels.instance }}{{ end }}"),
        Part::Text(". Until it does, no other rule can fire."),
    ],
    remedy: "1. systemctl status standbywatch on its machine. 2. journalctl -u standbywatch. 3. Check that Prometheus \
             reaches its port.",
    reason: None,
};

pub(super) const WATCHDOG: Rule = Rule {
    name: RuleName::Watchdog,
    severity: Severity::None,
    about: About::Agent,
    condition: Condition::Always,
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "Always fires, so that its absence tells that alerting itself is broken.",
    description: &[Part::Text("A dead-man's switch: route it to something that complains when it stops.")],
    remedy: "None while it fires. When it stops: check Prometheus or the agent, then Alertmanager, then the way out.",
    reason: None,
};
