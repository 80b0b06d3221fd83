//! The polling thread: what no event tells.
//!
//! Who looks at a directory that cannot be watched is told so every [`POLL_EVERY`]; a sink whose refresh failed is
//! told to look again when it asked for that ([`Watch::look_later`]), since nothing else might ever happen there. The thread starts
//! with the first of either and then sleeps while there is nothing to wait for.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Seen, Shared, Sink, Watch, Which, call, lock};

/// How often a folder that cannot be watched is looked at: Dovecot's own interval is 30 s; two `stat` calls a folder cost little.
/// Tests do not wait that long.
pub(super) const POLL_EVERY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5000 });

/// What the polling thread has to do.
struct Turn {
    /// Their time has come.
    due: Vec<Weak<dyn Sink>>,
    /// Directories to poll, if it is time for that.
    unwatched: Vec<PathBuf>,
}

impl Watch {
    /// Tell `sink` to look after `time`, if it is still there then.
    pub(in super::super) fn look_later(&self, sink: &Arc<dyn Sink>, time: Duration) {
        lock(&self.shared.table).later.push((Instant::now() + time, Arc::downgrade(sink)));
        self.shared.start_polling();
    }
}

impl Shared {
    /// There is something to wait for.
    pub(super) fn start_polling(self: &Arc<Self>) {
        self.news.notify_all();
        let mut poller = lock(&self.poller);
        if poller.is_some() {
            return;
        }
        let shared = Arc::clone(self);
        match std::thread::Builder::new().name("mailcote-poll".into()).spawn(move || shared.poll()) {
            Ok(handle) => *poller = Some(handle),
            Err(e) => {
                tracing::error!(error = %e, "cannot start the polling thread: IDLE will not see what other programs do")
            }
        }
    }

    /// Runs from the first directory that cannot be watched, or the first who asks to be told later, until the end.
    fn poll(&self) {
        let mut polled = Instant::now();
        while let Some(Turn { due, unwatched }) = self.wait(polled) {
            for sink in due.iter().filter_map(Weak::upgrade) {
                sink.seen(Which::Cur, Seen::Look);
            }
            if polled.elapsed() < POLL_EVERY {
                continue;
            }
            polled = Instant::now();
            for directory in unwatched {
                let sinks = lock(&self.table).directories.get(&directory).map(|entry| Arc::clone(&entry.sinks));
                call(&sinks.unwrap_or_default(), Seen::Look);
            }
        }
    }

    /// Sleep until somebody is due or the next round is; who, and the directories to poll. `None` at the end.
    fn wait(&self, polled: Instant) -> Option<Turn> {
        let mut table = lock(&self.table);
        loop {
            if table.stopped {
                return None;
            }
            let now = Instant::now();
            let unwatched = || table.directories.iter().filter(|(_, entry)| entry.watch.is_none());
            let round = unwatched().next().map(|_| polled + POLL_EVERY);
            let next = table.later.iter().map(|(when, _)| *when).chain(round).min();
            let Some(next) = next else {
                table = self.news.wait(table).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if next <= now {
                let unwatched = unwatched().map(|(path, _)| path.clone()).collect();
                let (due, later) = std::mem::take(&mut table.later).into_iter().partition(|(when, _)| *when <= now);
                table.later = later;
                let due: Vec<(Instant, Weak<dyn Sink>)> = due;
                return Some(Turn { due: due.into_iter().map(|(_, sink)| sink).collect(), unwatched });
            }
            table = self.news.wait_timeout(table, next - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
