//! Slow work: password hashes, which take tens of milliseconds of one core and megabytes of memory.
//!
//! At most one piece of work a core runs at a time, so that a flood of logins costs the memory of that many hashes and leaves
//! the session threads alone. What waits, waits in order of arrival; a connection has at most one piece of work, so
//! the limit on connections is the limit of the queue too. A piece of work that panics ends its own connection only.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::wire::{Answer, Work};

/// The bounded pool. Threads are the runtime's blocking threads, whose number is [`Pool::threads`].
#[derive(Clone)]
pub struct Pool {
    places: Arc<Semaphore>,
}

impl Pool {
    /// Threads for slow work: one a core.
    pub fn threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// A pool with one place a core.
    pub fn new() -> Pool {
        Pool { places: Arc::new(Semaphore::new(Pool::threads())) }
    }

    /// Run `work` when a place is free. `None` if it panicked (the panic is logged by the hook).
    pub async fn run(&self, work: Work) -> Option<Answer> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(place);
            answer
        });
        done.await.ok()
    }
}
