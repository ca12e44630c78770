//! Attempts that take time, hang or fail; how many are at it at once, and in which order they are through.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

/// What each attempt has for itself; silence of a sixth of it ends the turn.
const LIMIT: Duration = Duration::from_millis(1200);
/// Few and long enough that a busy machine does not make much more of them.
const STEP: Duration = Duration::from_millis(25);
const LONG: Duration = Duration::from_secs(60);

fn fixed(width: usize) -> Turns {
    Turns::new(width, width, width)
}

/// Gets on in many small steps, as a machine does that works for it.
async fn works(steps: u32) -> Result<(), ()> {
    for _ in 0..steps {
        sleep(STEP).await;
    }
    Ok(())
}

async fn makes(turns: Turns, making: impl Future<Output = Result<(), ()>>) -> Option<Result<(), ()>> {
    turns.place().await.expect("a turn").make(LIMIT, making).await
}

async fn within<T>(within: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(within, future).await.expect("in time")
}

#[tokio::test]
async fn with_room_for_one_thirty_get_in_one_after_the_other_in_their_order() {
    let turns = fixed(1);
    let (at_it, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut all = JoinSet::new();
    for number in 0..30 {
        let (place, at_it, done) = (turns.place(), at_it.clone(), done.clone());
        all.spawn(async move {
            let making = async {
                assert_eq!(at_it.fetch_add(1, Ordering::SeqCst), 0, "another is at it");
                let made = works(1).await;
                at_it.fetch_sub(1, Ordering::SeqCst);
                assert_eq!(done.fetch_add(1, Ordering::SeqCst), number, "who came first is first");
                made
            };
            place.await.expect("a turn").make(LIMIT, making).await
        });
    }
    let made = within(LONG, all.join_all()).await;
    assert!(made.iter().all(|made| *made == Some(Ok(()))), "{made:?}");
    turns.with(|queue| assert_eq!((queue.busy, queue.waiting.len()), (0, 0)));
}

#[tokio::test]
async fn the_time_of_an_attempt_counts_from_its_turn() {
    let turns = fixed(1);
    let mut all = JoinSet::new();
    for _ in 0..8 {
        // Seven before the last take more than each has.
        all.spawn(makes(turns.clone(), works(8)));
    }
    let begun = Instant::now();
    let made = within(LONG, all.join_all()).await;
    assert!(begun.elapsed() > LIMIT, "the last has waited for longer than it has for itself");
    assert!(made.iter().all(|made| *made == Some(Ok(()))), "{made:?}");
}

#[tokio::test]
async fn those_that_hang_hold_up_nobody_for_longer_than_a_moment_and_are_given_up_in_their_own_time() {
    let turns = fixed(1);
    let mut hanging = JoinSet::new();
    for _ in 0..3 {
        hanging.spawn(makes(turns.clone(), pending()));
    }
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let mut good = JoinSet::new();
    for _ in 0..10 {
        good.spawn(makes(turns.clone(), works(1)));
    }
    let made = within(LONG, good.join_all()).await;
    let took = begun.elapsed();
    assert!(made.iter().all(|made| *made == Some(Ok(()))), "{made:?}");
    let silent = 3 * (LIMIT / SILENCE);
    assert!(took > silent && took < silent + LIMIT, "{took:?}: each that hangs has its moment");
    assert_eq!(within(LONG, hanging.join_all()).await, [None, None, None], "not there in time");
}

#[tokio::test]
async fn an_attempt_that_lost_its_turn_goes_on_and_succeeds() {
    let late = async {
        sleep(LIMIT / 2).await;
        Ok(())
    };
    assert_eq!(makes(fixed(1), late).await, Some(Ok(())));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a thread that is kept busy is what this is about")]
async fn work_that_the_machine_is_late_to_look_at_is_no_silence() {
    let turns = fixed(1);
    let slow = makes(turns.clone(), async {
        for _ in 0..3 {
            // The thread is at something else for longer than silence may last, while what is awaited has come.
            std::thread::sleep(LIMIT / 4);
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    let second = async {
        tokio::task::yield_now().await;
        let mut place = turns.place();
        assert!(place.try_recv().is_err(), "the first is at it");
        let turn = place.await.expect("a turn");
        turn.begun
    };
    let begun = Instant::now();
    let (made, its_turn) = tokio::join!(slow, second);
    assert_eq!(made, Some(Ok(())));
    assert!(its_turn - begun >= 3 * (LIMIT / 4), "it was passed on early");
}

#[tokio::test]
async fn a_place_that_is_given_up_is_nobodys_and_a_failure_passes_the_turn_on() {
    let turns = fixed(1);
    let first = turns.place().await.expect("a turn");
    let (given_up, next) = (turns.place(), turns.place());
    drop(given_up);
    assert_eq!(turns.waiting(), 1);
    assert!(turns.at_once().is_none(), "one is at it");
    assert_eq!(first.make(LIMIT, async { Err::<(), ()>(()) }).await, Some(Err(())));
    let next = within(LONG, next).await.expect("a turn");
    assert!(turns.at_once().is_none(), "one is at it");
    drop(next);
    assert!(turns.at_once().is_some(), "nobody waits");
    turns.with(|queue| assert_eq!((queue.busy, queue.waiting.len()), (0, 0)));
}

#[test]
fn room_grows_while_sessions_are_made_quickly_and_shrinks_while_they_are_not() {
    let mut queue = Queue { least: 2, usual: 4, most: 6, width: 4, busy: 100, waiting: VecDeque::new() };
    let mut ended = |part: f64, made: bool| {
        queue.ended(LIMIT.mul_f64(part), Some(LIMIT), made);
        queue.width
    };
    assert_eq!([ended(0.1, true), ended(0.1, true), ended(0.1, true)], [5, 6, 6]);
    assert_eq!([ended(0.1, false), ended(0.5, true)], [6, 6], "a refusal says nothing, and neither does the middle");
    let shrunk = [ended(0.9, true), ended(1.0, false), ended(0.9, true), ended(0.9, true), ended(1.0, false)];
    assert_eq!(shrunk, [5, 4, 3, 2, 2]);
    queue.busy = 1;
    queue.ended(LIMIT, Some(LIMIT), true);
    assert_eq!((queue.busy, queue.width), (0, 4), "all are through");
}
