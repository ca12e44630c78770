//! Whether a future gets on: it is woken each time that something it waits for has come.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Passes a wake on and notes it. A machine that is too busy to look in time then sees that something came meanwhile, where the time
/// alone would say that nothing did.
struct Noted {
    moved: Arc<AtomicBool>,
    outer: Waker,
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.moved.store(true, Ordering::Release);
        self.outer.wake_by_ref();
    }
}

/// What the future gives. Once nothing has come for it for as long as `silence`, `silent` is called; it goes on all the same.
pub(super) async fn while_it_moves<F: Future>(future: F, silence: Duration, silent: impl FnOnce()) -> F::Output {
    let mut future = pin!(future);
    let mut quiet = pin!(sleep(silence));
    let moved = Arc::new(AtomicBool::new(true));
    let mut silent = Some(silent);
    let mut known: Option<Waker> = None;
    std::future::poll_fn(|context| {
        let has_moved = moved.swap(false, Ordering::AcqRel);
        // Whoever is to be woken may be another one than last time.
        let is_known = known.as_ref().is_some_and(|known| known.will_wake(context.waker()));
        if has_moved || !is_known {
            let outer = context.waker().clone();
            known = Some(outer.clone());
            let noted = Waker::from(Arc::new(Noted { moved: moved.clone(), outer }));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&noted)) {
                return Poll::Ready(output);
            }
        }
        if has_moved {
            // From now on: what it has just done itself was no silence.
            quiet.as_mut().reset(Instant::now() + silence);
        }
        if silent.is_some()
            && quiet.as_mut().poll(context).is_ready()
            && let Some(silent) = silent.take()
        {
            silent();
        }
        Poll::Pending
    })
    .await
}
