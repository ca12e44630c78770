//! Canaries whose write left and was never answered: such a write may land later. They are watched until their fate is known.

use std::collections::VecDeque;

use super::canary::Mark;
use super::outcome::{Ack, Held, outcome};
use crate::names::{Name, Outcome};

/// So many are watched at once. While a link is cut no write leaves, so there are seldom two.
const MAX_WATCHED: usize = 8;

/// A write that has not landed while this many later canaries went through is not going to.
const QUIET_CYCLES: u8 = 3;

/// How far a write got at one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It is there, or was.
    Landed,
    /// It left and was not answered.
    Open,
    /// It never left, or was refused.
    Never,
}

#[derive(Clone, Debug)]
struct Watched {
    mark: Mark,
    standby: (Name, Landing),
    primary: (Name, Landing),
    quiet_cycles: u8,
}

impl Watched {
    const fn sides(&mut self) -> [&mut (Name, Landing); 2] {
        [&mut self.standby, &mut self.primary]
    }

    fn is_open(&self) -> bool {
        [self.standby.1, self.primary.1].contains(&Landing::Open)
    }

    /// By the same table as any other canary that was not acknowledged.
    fn fate(&self) -> Outcome {
        let held = |landing| if landing == Landing::Landed { Held::Yes } else { Held::No };
        outcome(Ack::TimedOut, held(self.standby.1), held(self.primary.1))
    }
}

/// The canaries whose fate is open.
#[derive(Debug, Default)]
pub struct Indeterminate {
    watched: VecDeque<Watched>,
    /// Fates that are known and not yet reported.
    resolved: VecDeque<Outcome>,
}

impl Indeterminate {
    /// Watches a canary from now on, if its fate is open at all. The oldest gives way when there are too many.
    pub fn watch(&mut self, mark: Mark, standby: (Name, Landing), primary: (Name, Landing)) {
        let watched = Watched { mark, standby, primary, quiet_cycles: 0 };
        if !watched.is_open() {
            return;
        }
        if self.watched.len() == MAX_WATCHED {
            self.watched.pop_front();
        }
        self.watched.push_back(watched);
    }

    /// Whether anything is watched, so that a look at the stores before the next write is worth it.
    pub fn any(&self) -> bool {
        !self.watched.is_empty()
    }

    /// How many are watched.
    pub fn pending(&self) -> usize {
        self.watched.len()
    }

    /// Notes what `node`'s store holds. True if that is a canary that was watched: it has landed late.
    pub fn seen(&mut self, node: &Name, mark: Option<Mark>) -> bool {
        let Some(watched) = self.watched.iter_mut().find(|watched| Some(watched.mark) == mark) else {
            return false;
        };
        let mut late = false;
        for side in watched.sides() {
            if side.0 == *node && side.1 == Landing::Open {
                side.1 = Landing::Landed;
                late = true;
            }
        }
        late
    }

    /// Notes that a later canary went all the way.
    pub fn passed(&mut self) {
        for watched in &mut self.watched {
            watched.quiet_cycles += 1;
            if watched.quiet_cycles < QUIET_CYCLES {
                continue;
            }
            for side in watched.sides() {
                if side.1 == Landing::Open {
                    side.1 = Landing::Never;
                }
            }
        }
    }

    /// The fate of one of them, if it was learned; each is reported once.
    pub fn take_resolved(&mut self) -> Option<Outcome> {
        let (open, known) = std::mem::take(&mut self.watched).into_iter().partition(Watched::is_open);
        self.watched = open;
        self.resolved.extend(known.iter().map(Watched::fate));
        while self.resolved.len() > MAX_WATCHED {
            self.resolved.pop_front();
        }
        self.resolved.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: u64) -> Mark {
        Mark { sequence, nonce: sequence * 31 }
    }

    fn side(name: &str, landing: Landing) -> (Name, Landing) {
        (Name::new(name), landing)
    }

    fn watching() -> Indeterminate {
        let mut list = Indeterminate::default();
        list.watch(mark(4), side("beta", Landing::Open), side("alpha", Landing::Never));
        list
    }

    #[test]
    fn a_write_that_lands_late_is_told_once() {
        let mut list = watching();
        assert_eq!(list.take_resolved(), None);
        assert!(!list.seen(&Name::new("alpha"), Some(mark(4))), "it was never sent there");
        assert!(!list.seen(&Name::new("beta"), Some(mark(3))));
        assert!(list.seen(&Name::new("beta"), Some(mark(4))));
        assert_eq!(list.take_resolved(), Some(Outcome::StandbyOnly));
        assert_eq!(list.take_resolved(), None);
        assert!(!list.any());
    }

    #[test]
    fn a_write_that_never_lands_is_given_up_after_three_that_passed() {
        let mut list = watching();
        list.passed();
        list.passed();
        assert_eq!(list.take_resolved(), None, "it may still come");
        list.passed();
        assert_eq!(list.take_resolved(), Some(Outcome::Blocked));
    }

    #[test]
    fn a_write_open_on_the_primary_only() {
        let mut list = Indeterminate::default();
        list.watch(mark(5), side("beta", Landing::Landed), side("alpha", Landing::Open));
        assert!(list.seen(&Name::new("alpha"), Some(mark(5))));
        assert_eq!(list.take_resolved(), Some(Outcome::LostAck), "both have it, nobody was told");
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_watched_without_need() {
        let mut list = Indeterminate::default();
        list.watch(mark(1), side("beta", Landing::Never), side("alpha", Landing::Never));
        assert!(!list.any());
        for sequence in 0..100 {
            list.watch(mark(sequence), side("beta", Landing::Open), side("alpha", Landing::Never));
        }
        assert_eq!(list.watched.len(), MAX_WATCHED);
    }
}
