//! After a start, a reload or a pause of the machine nothing has been seen yet. That a rule is not met then says nothing: what was pending
//! or firing before waits until all has been seen again, so that a restart of the agent delays no page.

use std::time::Duration;

use crate::clock::Moment;
use crate::history::rules::RuleTimers;
use crate::names::Reason;
use crate::snapshot::View;

/// Servers give a sign of life within ten seconds or so, and probes have deadlines of a few. Who has not come back by then is gone.
const LONGEST: Duration = Duration::from_secs(20);

/// The time until all has been seen again.
#[derive(Clone, Copy, Debug)]
pub struct Settling {
    /// `None`: it is over.
    until: Option<Moment>,
    looked: Moment,
}

impl Settling {
    /// It begins now.
    pub fn from(now: Moment) -> Self {
        Self { until: Some(now + LONGEST), looked: now }
    }

    /// Gives back what evaluation took away from the timers of `before`, while `view` still waits for something. The time since the last
    /// look counts towards no hold time. Gives the moment at which the waiting ends.
    pub fn hold(
        &mut self,
        timers: &mut RuleTimers,
        before: RuleTimers,
        (view, complete): (&View, bool),
        now: Moment,
    ) -> Option<Moment> {
        let passed = now.since(self.looked);
        self.looked = now;
        self.until = self.until.filter(|until| now < *until && (!complete || waits(view)));
        if self.until.is_some() {
            timers.give_back(before, passed);
        }
        self.until
    }
}

/// A channel has not been seen since, or not all that has to be seen of it.
fn waits(view: &View) -> bool {
    let unseen = [Reason::NotSeenYet, Reason::Starting, Reason::RoleUnknown, Reason::Stale];
    view.channels.iter().any(|channel| channel.reason.is_some_and(|reason| unseen.contains(&reason)))
}
