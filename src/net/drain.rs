//! Who is connected, and how everybody is asked to leave.
//!
//! Owns the list of open connections (one wake-up handle each) and the flag that says "we are stopping". Stopping
//! raises every handle once; each connection then tells its session. Nothing here closes a socket: that is done by
//! the connection itself, or by the end of the runtime when the time is up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::notice::{Notice, Raiser};

/// The open connections.
#[derive(Default)]
pub struct Drain {
    stopping: AtomicBool,
    open: Mutex<HashMap<u64, Raiser>>,
    /// Told when stopping begins and when the last connection has gone.
    changed: Notify,
}

/// One connection's place in the list, given up on drop.
pub struct Ticket {
    id: u64,
    call: Notice,
    drain: Arc<Drain>,
}

impl Drain {
    /// Register connection `id`.
    pub fn enter(self: &Arc<Self>, id: u64) -> Ticket {
        let call = Notice::new();
        self.open().insert(id, call.raiser());
        Ticket { id, call, drain: self.clone() }
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// Have we been asked to stop?
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ask everybody to leave.
    pub fn stop(&self) {
        // The flag first: a connection that registers after the raising below sees the flag before it waits.
        self.stopping.store(true, Ordering::SeqCst);
        for raiser in self.open().values() {
            raiser.raise();
        }
        self.changed.notify_waiters();
    }

    /// Wait until somebody calls [`Drain::stop`].
    pub async fn stopped(&self) {
        self.until(|| self.is_stopping()).await;
    }

    /// Wait until nobody is connected.
    pub async fn empty(&self) {
        self.until(|| self.count() == 0).await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            // Registered before the look, so that a change between look and wait is not lost.
            let changed = self.changed.notified();
            if done() {
                return;
            }
            changed.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Raiser>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The connection's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Raised when we are stopping, and when the connection's session is to look whether its user may stay.
    pub fn call(&self) -> &Notice {
        &self.call
    }

    /// Wait for `done`; `None` as soon as we are stopping, which must not wait for a slowed login or a handshake.
    pub async fn unless_stopping<T>(&self, done: impl Future<Output = T>) -> Option<T> {
        if self.drain.is_stopping() {
            return None;
        }
        tokio::select! {
            done = done => Some(done),
            // Lowers the notice; from now on the flag says it.
            () = self.stopped() => None,
        }
    }

    /// A call for another reason comes too early here to matter: nobody has logged in, or not anew.
    async fn stopped(&self) {
        while !self.drain.is_stopping() {
            self.call.raised().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let last = {
            let mut open = self.drain.open();
            open.remove(&self.id);
            open.is_empty()
        };
        if last {
            self.drain.changed.notify_waiters();
        }
    }
}
