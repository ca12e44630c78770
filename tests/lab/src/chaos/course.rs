//! What is drawn: which faults, when, for how long, and how long a rest follows.

use std::time::Duration;

use fastrand::Rng;

use super::fault::{Fault, Part};

/// Where few faults are drawn from, not so many may find room as were drawn.
const MOST_DRAWS: usize = 50;

/// A fault that is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub fault: Fault,
    /// From the beginning of the episode.
    pub after: Duration,
    pub lasts: Duration,
}

/// Some faults that overlap, or do not, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    pub faults: Vec<Planned>,
    /// `None`: until all is well.
    pub rest: Option<Duration>,
}

impl Episode {
    /// Faults out of these that can be there at the same time: no two of them take the same part.
    pub fn draw(dice: &mut Rng, from: &[Fault], at_once: usize) -> Self {
        let count = dice.usize(1..=at_once.max(1));
        let mut taken: Vec<Part> = Vec::new();
        let mut faults: Vec<Planned> = Vec::new();
        for _ in 0..MOST_DRAWS {
            let Some(&fault) = from.get(dice.usize(..from.len().max(1))) else { break };
            let (after, lasts) = (seconds(dice, 0.0, 12.0), draw_length(dice));
            let is_free = !fault.parts().iter().any(|part| taken.contains(part));
            if is_free && faults.len() < count {
                taken.extend(fault.parts());
                let after = if faults.is_empty() { Duration::ZERO } else { after };
                faults.push(Planned { fault, after, lasts });
            }
        }
        let rest = seconds(dice, 0.0, 12.0);
        Self { faults, rest: dice.bool().then_some(rest) }
    }
}

/// Some end before they must be told, most after it.
fn draw_length(dice: &mut Rng) -> Duration {
    if dice.u8(..4) == 0 { seconds(dice, 0.5, 8.0) } else { seconds(dice, 10.0, 45.0) }
}

fn seconds(dice: &mut Rng, from: f64, to: f64) -> Duration {
    Duration::from_secs_f64(from + (to - from) * dice.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_no_part_is_taken_twice() {
        let course = |seed| {
            let mut dice = Rng::with_seed(seed);
            (0..200).map(|_| Episode::draw(&mut dice, Fault::ALL, 3)).collect::<Vec<_>>()
        };
        assert_eq!(course(7), course(7));
        assert_ne!(course(7), course(8));
        let mut drawn: Vec<&str> = Vec::new();
        for episode in course(7) {
            let parts: Vec<Part> = episode.faults.iter().flat_map(|planned| planned.fault.parts()).copied().collect();
            for (at, part) in parts.iter().enumerate() {
                assert!(!parts[..at].contains(part), "{part:?} twice in {episode:?}");
            }
            drawn.extend(episode.faults.iter().map(|planned| planned.fault.name()));
        }
        let few = Episode::draw(&mut Rng::with_seed(7), &[Fault::Load], 3);
        assert_eq!(few.faults.iter().map(|planned| planned.fault).collect::<Vec<_>>(), [Fault::Load]);
        let never = Fault::ALL.iter().find(|fault| !drawn.contains(&fault.name()));
        assert_eq!(never, None, "a fault that is never drawn");
    }
}
