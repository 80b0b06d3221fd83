//! A wake-up handle: raise it, wait on it; it carries no data.
//!
//! A session that waits (IDLE) holds a [`Notice`]; whatever changes a folder raises it. Raising twice before
//! the waiter looks is one wake-up: the waiter finds out what happened by looking at the folder, so a lost
//! detail is impossible and a queue that a stranger could grow does not exist. Built on `std` alone; the
//! async side waits by polling with a waker, a test by [`Notice::take`].

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct State {
    raised: bool,
    waker: Option<Waker>,
    /// Raised along with this one.
    whole: Raiser,
}

/// One waiter's handle. Cloning gives another handle on the same wake-up.
#[derive(Clone, Default)]
pub struct Notice(Arc<Mutex<State>>);

/// The raiser's side, which does not keep the waiter alive. The default one has no waiter.
#[derive(Clone, Default)]
pub struct Raiser(Weak<Mutex<State>>);

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notice")
    }
}

impl std::fmt::Debug for Raiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raiser")
    }
}

impl Notice {
    /// A notice that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// A notice that raises this one, too: so one can wait for several things, each of which ends by itself.
    pub fn part(&self) -> Notice {
        Notice(Arc::new(Mutex::new(State { whole: self.raiser(), ..State::default() })))
    }

    /// Wake whoever waits, or let the next wait return at once.
    pub fn raise(&self) {
        raise(&self.0);
    }

    /// Was it raised since the last take? Lowers it.
    pub fn take(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).raised)
    }

    /// For the one who raises: a handle that dies with the waiter.
    pub fn raiser(&self) -> Raiser {
        Raiser(Arc::downgrade(&self.0))
    }

    /// Ready once raised; lowers it. One task waits at a time.
    pub fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.raised) {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Wait until raised.
    pub async fn raised(&self) {
        poll_fn(|cx| self.poll_raised(cx)).await;
    }
}

impl Raiser {
    /// Wake the waiter. False if it is gone and the raiser may be forgotten.
    pub fn raise(&self) -> bool {
        self.0.upgrade().map(|state| raise(&state)).is_some()
    }

    /// Does it raise the same notice?
    pub fn is_same(&self, other: &Raiser) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Is the waiter still there?
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

fn raise(state: &Mutex<State>) {
    // The waker is called outside the lock: it may run code that looks at this notice.
    let (waker, whole) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.raised = true;
        (state.waker.take(), state.whole.clone())
    };
    if let Some(waker) = waker {
        waker.wake();
    }
    whole.raise();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_is_one_wake_up() {
        let notice = Notice::new();
        notice.raise();
        assert!(notice.raiser().raise());
        assert!(notice.take());
        assert!(!notice.take());
    }

    #[test]
    fn a_part_raises_the_whole() {
        let whole = Notice::new();
        let (one, other) = (whole.part(), whole.part());
        one.raise();
        assert!(whole.take() && one.take() && !other.take());
        whole.raise();
        assert!(!one.take());
        drop(whole);
        assert!(other.raiser().raise());
    }

    #[test]
    fn a_raiser_notices_that_the_waiter_is_gone() {
        let notice = Notice::new();
        let raiser = notice.raiser();
        drop(notice);
        assert!(!raiser.raise());
    }
}
