//! Sessions that are being made at once: a few of all pairs' in this process, the others after them.
//!
//! To make a session takes both sides some work (TLS, a password that is hashed thousands of times). All of an observer's sessions begun
//! in one moment get on side by side, and where that takes longer than the time that each has, none is ever there. So they take
//! turns, in the order in which they came, and the time of each counts from its turn.
//!
//! A turn is for work, not for waiting: a server that keeps silent loses it soon, while the attempt itself goes on. So one that hangs
//! holds nobody up for longer than a moment, and a hundred of them not for long.

mod wakes;

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use wakes::while_it_moves;

/// So many at first, and again when all are through.
const USUAL: usize = 4;
/// Never fewer: one whose server answers a byte now and then cannot hold up all others.
const LEAST: usize = 2;
/// Never more: each is a process that a server starts.
const MOST: usize = 32;
/// Silence of the other side for this part of an attempt's time ends its turn, …
const SILENCE: u32 = 6;
/// … and so does one of this length: half a second is much between two machines.
const LONGEST_SILENCE: Duration = Duration::from_millis(500);

/// Who may make a session now, and who waits for it. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    /// The bounds of `width`, and where it begins.
    least: usize,
    usual: usize,
    most: usize,
    /// So many may be made at once, as long as the machine and the servers keep up.
    width: usize,
    busy: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The turn of one attempt. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    begun: Instant,
    /// What the attempt has for itself; set once it has begun.
    limit: Option<Duration>,
    /// The session was there in time.
    made: bool,
}

/// A turn that is to come.
pub(super) type Place = oneshot::Receiver<Turn>;

impl Turns {
    /// Those that all probes of this process take, whatever pair they are of: it is one machine that does the work.
    pub fn of_this_process() -> Self {
        static ALL: LazyLock<Turns> = LazyLock::new(|| Turns::new(LEAST, USUAL, MOST));
        ALL.clone()
    }

    fn new(least: usize, usual: usize, most: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue { least, usual, most, width: usual, busy: 0, waiting: VecDeque::new() })))
    }

    /// A place behind all that wait. Its turn comes while it is held, even if nobody looks; given up, it is nobody's.
    pub(super) fn place(&self) -> Place {
        let (next, place) = oneshot::channel();
        self.with(|queue| queue.waiting.push_back(next));
        self.go_on();
        place
    }

    /// A turn for what can be done later as well: only if nobody waits.
    pub(super) fn at_once(&self) -> Option<Turn> {
        let free = self.with(|queue| {
            let free = queue.busy < queue.width && queue.waiting.is_empty();
            queue.busy += usize::from(free);
            free
        });
        free.then(|| self.turn())
    }

    /// How many wait now.
    pub(super) fn waiting(&self) -> usize {
        self.with(|queue| queue.waiting.iter().filter(|next| !next.is_closed()).count())
    }

    fn turn(&self) -> Turn {
        Turn { turns: self.clone(), begun: Instant::now(), limit: None, made: false }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Queue) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives turns to those who wait, as far as there is room.
    fn go_on(&self) {
        while let Some(next) = self.with(Queue::next) {
            // One that was given up in this very moment comes back, and is dropped: the next one's turn.
            drop(next.send(self.turn()));
        }
    }
}

impl Queue {
    /// The first that still waits, if there is room for it.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.waiting.retain(|next| !next.is_closed());
        let next = if self.busy < self.width { self.waiting.pop_front() } else { None }?;
        self.busy += 1;
        Some(next)
    }

    /// Where sessions are made quickly there is room for more; where they take most of their time, for fewer.
    fn ended(&mut self, took: Duration, limit: Option<Duration>, made: bool) {
        self.busy -= 1;
        match limit {
            Some(limit) if took > limit * 2 / 3 => self.width = self.width.saturating_sub(1).max(self.least),
            Some(limit) if made && took < limit / 3 => self.width = (self.width + 1).min(self.most),
            _ => {}
        }
        if self.busy == 0 && self.waiting.is_empty() {
            self.width = self.usual;
        }
    }
}

impl Turn {
    /// Makes a session, which has `limit` for itself. The turn ends with it, or once the other side has been silent for long.
    ///
    /// `None`: it was not there in time.
    pub(super) async fn make<S, E>(
        mut self,
        limit: Duration,
        making: impl Future<Output = Result<S, E>>,
    ) -> Option<Result<S, E>> {
        (self.begun, self.limit) = (Instant::now(), Some(limit));
        let silence = (limit / SILENCE).min(LONGEST_SILENCE);
        let mut turn = Some(self);
        let made = tokio::time::timeout(limit, while_it_moves(making, silence, || drop(turn.take()))).await.ok();
        if let Some(turn) = &mut turn {
            turn.made = matches!(made, Some(Ok(_)));
        }
        made
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (took, limit, made) = (self.begun.elapsed(), self.limit, self.made);
        self.turns.with(|queue| queue.ended(took, limit, made));
        self.turns.go_on();
    }
}

#[cfg(test)]
mod tests;
