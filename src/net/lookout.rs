//! Sees to it that a step which waits for the disk does not hold up everybody else.
//!
//! Sessions step directly on the runtime's threads, because handing each step to another thread and back would cost more than
//! most steps. The runtime polls its sockets on whichever thread runs out of work first. When a single event arrives, the
//! thread that was polling takes it along and wakes nobody to poll in its place; if that step then waits for an fsync, no other
//! socket is looked at until it returns, although the other threads are asleep.
//!
//! So one thread looks every millisecond while steps are running. If a step runs, none has ended since the last look and nobody
//! polls, it wakes a sleeping worker, which finds nothing to do and polls. That bounds what one step can do to its neighbours to
//! two [`TICK`]s, and short steps wake nobody. The lookout costs nothing when the server is idle, since it then sleeps until
//! the next step, and half a percent of a core when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// How often the lookout looks while steps are running.
const TICK: Duration = Duration::from_millis(1);

/// How many looks without any step before it goes to sleep: long enough not to be woken for every command of a busy client.
const QUIET_TICKS: u32 = 20;

/// Nobody polls.
const NOBODY: usize = 0;

/// What the lookout sees.
#[derive(Default)]
pub struct Lookout {
    /// Which thread polls the sockets, as far as park and unpark tell. It may be wrong for a moment towards [`NOBODY`],
    /// which costs a needless wake-up.
    polling: AtomicUsize,
    /// Steps that are running.
    running: AtomicUsize,
    /// Steps that have begun since the start.
    begun: AtomicUsize,
    asleep: AtomicBool,
    done: AtomicBool,
}

/// A running lookout; ends with its drop.
pub struct Post {
    lookout: Arc<Lookout>,
    thread: Thread,
}

/// A step that is running.
pub struct Stepping<'a>(&'a Lookout);

impl Lookout {
    /// This thread has nothing to do and is about to wait, for sockets if nobody else does.
    pub fn parked(&self) {
        let _ = self.polling.compare_exchange(NOBODY, this_thread(), Ordering::SeqCst, Ordering::SeqCst);
    }

    /// This thread has something to do.
    pub fn unparked(&self) {
        let _ = self.polling.compare_exchange(this_thread(), NOBODY, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Start to look, over the runtime that `handle` belongs to.
    pub fn start(self: &Arc<Self>, handle: Handle) -> std::io::Result<Post> {
        let lookout = self.clone();
        let thread = thread::Builder::new().name("lookout".into()).spawn(move || lookout.look(&handle))?;
        Ok(Post { lookout: self.clone(), thread: thread.thread().clone() })
    }

    fn look(&self, handle: &Handle) {
        let (mut seen, mut ended, mut quiet) = (0, 0, 0);
        let waking = Arc::new(AtomicBool::new(false));
        while !self.done.load(Ordering::SeqCst) {
            let begun = self.begun.load(Ordering::SeqCst);
            let running = self.running.load(Ordering::SeqCst);
            quiet = if begun == seen && running == 0 { quiet + 1 } else { 0 };
            seen = begun;
            if quiet > QUIET_TICKS {
                self.sleep(begun);
                quiet = 0;
                continue;
            }
            // A step counts as running before it counts as begun, so this never goes below zero for long.
            let stuck = running > 0 && begun.wrapping_sub(running) == ended;
            ended = begun.wrapping_sub(running);
            if stuck && self.polling.load(Ordering::SeqCst) == NOBODY && !waking.swap(true, Ordering::SeqCst) {
                let waking = waking.clone();
                handle.spawn(async move { waking.store(false, Ordering::SeqCst) });
            }
            thread::sleep(TICK);
        }
    }

    /// Sleep until a step begins. `asleep` is set before the last look, and a step counts itself before it looks at
    /// `asleep`: one of the two sees the other.
    fn sleep(&self, begun: usize) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.asleep.load(Ordering::SeqCst)
            && self.begun.load(Ordering::SeqCst) == begun
            && !self.done.load(Ordering::SeqCst)
        {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl Post {
    /// A step begins, and ends with the drop of what is returned.
    pub fn step(&self) -> Stepping<'_> {
        self.lookout.running.fetch_add(1, Ordering::SeqCst);
        self.lookout.begun.fetch_add(1, Ordering::SeqCst);
        if self.lookout.asleep.load(Ordering::SeqCst) && self.lookout.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Stepping(&self.lookout)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.lookout.done.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Stepping<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A number for this thread, never [`NOBODY`].
fn this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(NOBODY + 1);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    MINE.with(|n| *n)
}
