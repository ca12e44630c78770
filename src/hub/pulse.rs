//! When the primary is made to write a pulse: after a reading of its own that says primary, and only while no other reading
//! speaks against it.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{self, Moment};
use crate::config::PostgresChannel;
use crate::evidence::PostgresEvidence;
use crate::facts::{PostgresFacts, PostgresRole, Reading};
use crate::names::Name;
use crate::probe::postgres::PostgresProbe;
use crate::units::Lsn;

/// After a pulse that failed, until the next one: its failure stands in the server's log, too.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The node that is proven to be the only primary at this moment, and nothing contradicts it.
pub fn proven_primary(evidence: Option<&PostgresEvidence>) -> Option<&Name> {
    evidence.filter(|postgres| postgres.contradiction.is_none())?.primary.as_ref()
}

/// The pulses of one node.
pub struct Pulse {
    node: Name,
    due: Due,
    proven: watch::Receiver<Option<Name>>,
}

impl Pulse {
    /// Set up for the node; `None` where the configuration wants no pulses. `proven` is the node that is the primary now.
    pub fn new(node: &Name, channel: &PostgresChannel, proven: &watch::Receiver<Option<Name>>) -> Option<Self> {
        let due = Due::new(channel.pulse?, channel.schedule.interval);
        Some(Self { node: node.clone(), due, proven: proven.clone() })
    }

    /// Has the server write a pulse if one is due and both its own newest reading and the pair's evidence say that it is the
    /// primary. `None`: nothing was written.
    pub async fn write(&mut self, probe: &mut PostgresProbe, says_primary: bool) -> Option<Reading<Lsn>> {
        let is_proven = self.proven.borrow().as_ref() == Some(&self.node);
        if !(says_primary && is_proven && self.due.is_due(clock::now())) {
            return None;
        }
        let pulse = probe.pulse().await?;
        self.due.sent(pulse.asked, pulse.failure().is_some());
        Some(pulse)
    }
}

/// The server's own newest word.
pub fn says_primary(reading: &Reading<PostgresFacts>) -> bool {
    reading.facts().is_some_and(|facts| matches!(facts.role, PostgresRole::Primary(_)))
}

/// When the next pulse is due. It is sent at a tick, so one that is due between two ticks is sent at the nearer one.
struct Due {
    pulse: Duration,
    slack: Duration,
    not_before: Option<Moment>,
}

impl Due {
    fn new(pulse: Duration, interval: Duration) -> Self {
        Self { pulse, slack: interval / 2, not_before: None }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.not_before.is_none_or(|not_before| now >= not_before)
    }

    fn sent(&mut self, asked: Moment, failed: bool) {
        let pause = if failed { self.pulse.max(AFTER_FAILURE) } else { self.pulse };
        self.not_before = Some(asked + pause.saturating_sub(self.slack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::PostgresEvidence;
    use crate::names::{PostgresSource, Reason};

    fn at(seconds: f64) -> Moment {
        Moment::after_boot(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn only_the_only_primary_that_nothing_contradicts_is_proven() {
        let mut evidence = PostgresEvidence::nothing_of(PostgresSource::Servers);
        assert_eq!(proven_primary(None), None);
        assert_eq!(proven_primary(Some(&evidence)), None);
        evidence.primary = Some(Name::new("alpha"));
        assert_eq!(proven_primary(Some(&evidence)), Some(&Name::new("alpha")));
        for reason in [Reason::TwoPrimaries, Reason::SameServer, Reason::WrongCluster, Reason::TimelineDiverged] {
            evidence.contradiction = Some(reason);
            assert_eq!(proven_primary(Some(&evidence)), None, "{reason}");
        }
    }

    #[test]
    fn a_pulse_goes_out_at_the_tick_that_is_nearest() {
        let mut due = Due::new(Duration::from_secs(5), Duration::from_secs(1));
        assert!(due.is_due(at(0.0)));
        due.sent(at(0.0), false);
        assert!(!due.is_due(at(4.0)));
        assert!(due.is_due(at(4.98)), "a tick that came a little early");
        due.sent(at(10.0), true);
        assert!(!due.is_due(at(69.0)) && due.is_due(at(69.9)), "what failed is tried again after a minute");
    }
}
