//! What a configuration says of alerts that can hardly be meant: taken, and warned of.

use std::time::Duration;

use super::book::RuleBook;
use crate::config::{Config, OnResolve};
use crate::names::RuleName;
use crate::units::{Bytes, duration_text};

/// Whoever is called later than this could have been called by a user.
const LATE: Duration = Duration::from_mins(15);

/// Each a sentence, for `check-config` and the log.
pub fn doubts(config: &Config) -> Vec<String> {
    let book = RuleBook::new(&config.rules);
    let booked = |name: RuleName| book.rules().iter().find(|booked| booked.rule.name == name);
    let mut doubts = Vec::new();
    match booked(RuleName::ReplicationUnknown) {
        None => doubts.push(format!(
            "{} is switched off: nobody is told when a channel cannot be proven to replicate",
            RuleName::ReplicationUnknown
        )),
        Some(unknown) if unknown.hold > LATE => doubts.push(format!(
            "{} waits for {}: so long is nobody told that a channel cannot be proven to replicate",
            unknown.rule.name,
            duration_text(unknown.hold)
        )),
        Some(_) => {}
    }
    let threshold = |name| booked(name).and_then(|booked| booked.threshold);
    if let (Some(high), Some(ceiling)) = (threshold(RuleName::PostgresLagHigh), threshold(RuleName::PostgresLagCeiling))
        && high >= ceiling
    {
        doubts.push(format!(
            "{} begins at {}, and {} at {} already: the warning comes after the page",
            RuleName::PostgresLagHigh,
            size(high),
            RuleName::PostgresLagCeiling,
            size(ceiling)
        ));
    }
    let has_agents = config.pairs.iter().flat_map(|pair| &pair.nodes).any(|node| node.agent.is_some());
    if let Some(alerting) = &config.alerting {
        if has_agents && alerting.on_resolve == OnResolve::Send {
            doubts.push(
                "on_resolve: send, and nodes have agents of their own: the word of one agent ends the alert that another still fires"
                    .to_owned(),
            );
        }
        if booked(RuleName::Watchdog).is_none() {
            doubts
                .push(format!("{} is switched off: nobody notices when alerts do not get through", RuleName::Watchdog));
        }
    }
    doubts
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a threshold in bytes is a size, as it was read"
)]
fn size(threshold: f64) -> String {
    Bytes(threshold as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    fn doubts_of(more: &str) -> Vec<String> {
        let text = format!(
            "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ postgres: {{ host: a }} }}\n      beta: {{ postgres: {{ host: b }} }}\n{more}"
        );
        doubts(&parse(&text, "test", &Environment::default()).expect("a right configuration"))
    }

    #[test]
    fn nothing_is_doubted_by_default() {
        assert_eq!(doubts_of(""), [""; 0]);
        assert_eq!(doubts_of("rules:\n  StandbyPostgresLagHigh: { threshold: 1GiB }\n"), [""; 0]);
    }

    #[test]
    fn what_leaves_people_without_a_call_is() {
        let said = |more: &str| doubts_of(more).join("; ");
        let off = "rules:\n  StandbyReplicationUnknown: { enabled: false }\n";
        assert!(said(off).contains("nobody is told when"), "{}", said(off));
        let late = "rules:\n  StandbyReplicationUnknown: { for: 2h }\n";
        assert!(said(late).contains("waits for 2h"), "{}", said(late));
        let turned = "rules:\n  StandbyPostgresLagHigh: { threshold: 4GiB }\n";
        assert!(
            said(turned).contains("begins at 4 GiB, and StandbyPostgresLagCeiling at 4 GiB already"),
            "{}",
            said(turned)
        );
        let both_off =
            "rules:\n  StandbyPostgresLagHigh: { threshold: 5GiB }\n  StandbyPostgresLagCeiling: { enabled: false }\n";
        assert_eq!(said(both_off), "");
        let unwatched =
            "rules:\n  StandbyWatchdog: { enabled: false }\nalerting: { alertmanagers: [http://am:9093] }\n";
        assert!(said(unwatched).contains("nobody notices"), "{}", said(unwatched));
    }
}
