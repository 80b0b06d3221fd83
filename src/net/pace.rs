//! Deadlines of one connection, and what counts as progress of its peer.
//!
//! Owns one timer, armed as seldom as possible, since moving it takes a lock of the runtime: when it rings too early, it
//! is set again.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How many bytes are progress by themselves: a transfer must average 14 bytes a second over five minutes, which any
/// line does, and a thousand trickling connections cannot keep.
pub const PROGRESS: usize = 4096;

/// Deadlines of one connection: one timer, armed as seldom as possible, since moving it takes a lock of the runtime.
pub struct Pace {
    timer: Option<Pin<Box<Sleep>>>,
    /// When patience ends. The timer may ring earlier; it is then set again.
    deadline: Instant,
    /// Last progress of the peer.
    since: Instant,
    /// Bytes since then that were not yet progress.
    trickle: usize,
    /// Bytes came in since the last answer.
    asked: bool,
    patience: Duration,
    /// The session knows that we are stopping.
    told: bool,
}

impl Pace {
    /// The clock starts now.
    pub fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Pace { timer: None, deadline: now, since: now, trickle: 0, asked: false, patience, told: false }
    }

    /// The clock starts anew: something happened that was not the peer's waiting.
    pub fn progressed(&mut self) {
        self.since = Instant::now();
        self.trickle = 0;
    }

    /// The peer sent `n` bytes.
    pub fn received(&mut self, n: usize) {
        self.asked = true;
        self.told = false;
        self.trickle += n;
        if self.trickle >= PROGRESS {
            self.progressed();
        }
    }

    /// We answer something; progress if the peer had sent anything.
    pub fn answered(&mut self) {
        if std::mem::take(&mut self.asked) {
            self.progressed();
        }
    }

    /// The peer took `n` bytes.
    pub fn written(&mut self, n: usize) {
        self.trickle += n;
        if self.trickle >= PROGRESS {
            self.progressed();
            self.deadline = self.since + self.patience;
        }
    }

    pub fn wait_for(&mut self, patience: Duration) {
        self.patience = patience;
        self.deadline = self.since + patience;
    }

    pub fn write_for(&mut self, patience: Duration) {
        self.patience = patience;
        self.deadline = Instant::now() + patience;
    }

    /// True once for each time the session came to want input after something else.
    pub fn tell_stop(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// Ready when the deadline has passed.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
