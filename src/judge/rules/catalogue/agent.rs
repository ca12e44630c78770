//! Rules about the agent itself.

use super::{AT_ONCE, Rule, minutes};
use crate::judge::rules::condition::{About, Compare, Condition};
use crate::judge::rules::description::Part;
use crate::names::{RuleName, Severity};

pub(super) const PROBE_FAILING: Rule = Rule {
    name: RuleName::AgentProbeFailing,
    severity: Severity::Warning,
    about: About::Agent,
    // Long enough for a reboot: what a failing probe means for its channel is told at once by that channel's own rules.
    condition: Condition::All(&[Compare::holds_not_everywhere("standby_probe_up")]),
    threshold: None,
    hold: minutes(15),
    keep: AT_ONCE,
    summary: "Something that is to be watched cannot be asked.",
    description: &[
        Part::Text("At least one probe brings nothing (told once that has lasted for "),
        Part::Hold,
        Part::Text(
            "): a part of what is configured is not watched. standby_probe_up and the status page tell which, and why.",
        ),
    ],
    remedy: "1. Read on the status page which probe fails and with what. 2. Mend that: service, way, password or right. \
             3. If it is no longer there, take it out of the configuration.",
    reason: None,
};

pub(super) const RELOAD_FAILED: Rule = Rule {
    name: RuleName::AgentReloadFailed,
    severity: Severity::Warning,
    about: About::Agent,
    condition: Condition::All(&[Compare::holds_not_everywhere("standby_agent_reload_successful")]),
    threshold: None,
    hold: AT_ONCE,
    keep: AT_ONCE,
    summary: "An agent could not read its new configuration and goes on with the old one.",
    description: &[Part::Text(
        "The configuration file was changed and an agent was told to read it, but there is a mistake in it. What was \
         configured before stays in use, and the next start would fail.",
    )],
    remedy: "1. standbywatch check-config on the agent's machine names every mistake. 2. Mend them. 3. systemctl reload \
             standbywatch.",
    reason: None,
};

pub(super) const DOWN: Rule = Rule {
    name: RuleName::AgentDown,
    severity: Severity::Critical,
    about: About::Agent,
    // Not the agent whose pairs another one watches: that one proves, or says that it cannot, and warns of its peer. Which pairs an agent had is
    // remembered for a day; where that is not known, it counts. (Where a scrape of the one that is left is lost, nobody is seen to watch for
    // that one look: that is what it is held for.)
    condition: Condition::PrometheusOnly(
        "absent(standby_build_info) or count(up{job=\"standbywatch\"} == 0 unless on (instance) \
         (last_over_time(standby_pair_level[1d]) unless on (instance) \
         (last_over_time(standby_pair_level[1d]) unless on (pair) standby_pair_level)))",
    ),
    threshold: None,
    hold: minutes(1),
    keep: AT_ONCE,
    summary: "An agent of standbywatch is not scraped, and nobody else watches its pairs.",
    description: &[
        Part::Text("Prometheus gets no numbers from standbywatch"),
        Part::PrometheusOnly("{{ range query \"up{job=\\\"standbywatch\\\"} == 0\" }} {{ .Labels.instance }}{{ end }}"),
        Part::Text(". Of a pair that no other agent tells of, no rule can fire until it does."),
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
