//! Reading many messages' files at once, for what the cache does not have.
//!
//! Some threads read ahead, each the next file: a disk that is asked for one file after the other does nothing most of the time. UIDs
//! are given in the order of arrival, and so mostly are inodes, so the order of UIDs is the order on the disk. The number of threads is
//! bounded for the process; where there is no room for more, the caller's own reads alone. Threads take on the owner's identity.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::super::cache::digest::{self, Digest};
use super::super::{Error, Result};
use super::Mailbox;
use super::facts::OPEN_COST;

/// Threads that read for one visit, the caller's own included.
const READERS: usize = 8;
/// Threads that read for all visits of the process, callers not counted.
const MAX_HELPERS: usize = 16;
/// Files for which a thread is worth starting.
const WORTH_A_THREAD: usize = 8;

static HELPERS: AtomicUsize = AtomicUsize::new(0);

/// A thread of the process's few.
struct Helper;

impl Helper {
    fn take() -> Option<Helper> {
        let free = |busy| (busy < MAX_HELPERS).then_some(busy + 1);
        HELPERS.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok().map(|_| Helper)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        HELPERS.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Mailbox {
    /// Read the files of `uids`; takes from `budget`, but reads all.
    pub(super) fn read_files(
        &self,
        uids: &[u32],
        wants_body: bool,
        budget: &mut u64,
    ) -> Result<Vec<(u32, Result<Digest>)>> {
        let read = |buffer: &mut Vec<u8>, n: usize| {
            let read = |file| digest::read(&file, wants_body, buffer).map_err(|e| Error::io(&self.dir, e));
            (uids[n], self.open(uids[n]).and_then(read))
        };
        let read = self.by_several(uids.len(), READERS, None, read)?;
        let bytes: u64 = read.iter().filter_map(|entry| Some(entry.1.as_ref().ok()?.read + OPEN_COST)).sum();
        *budget = budget.saturating_sub(bytes);
        Ok(read)
    }

    /// Do `work` with the numbers from 0 to `count`, by at most so many threads, each of which has a state of its own; they take the numbers
    /// in their order, and none after the moment `until`, but at least one. The results are in that order. Every thread has the owner's identity.
    pub fn by_several<S: Default, R: Send>(
        &self,
        count: usize,
        threads: usize,
        until: Option<Instant>,
        work: impl Fn(&mut S, usize) -> R + Sync,
    ) -> Result<Vec<R>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(count));
        let run = || -> Result<()> {
            let _owner = self.assume()?;
            let (mut state, mut mine) = (S::default(), Vec::new());
            // Late or not is asked before a number is taken: what is taken is done, so that no number is left out.
            while mine.is_empty() || until.is_none_or(|until| Instant::now() < until) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    break;
                }
                mine.push((n, work(&mut state, n)));
            }
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
            Ok(())
        };
        let helpers = (count / WORTH_A_THREAD).min(threads.saturating_sub(1));
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                let Some(helper) = Helper::take() else { break };
                let help = || {
                    // Without the owner's identity nothing is read; then the caller reads all.
                    let _ = run();
                };
                let started =
                    std::thread::Builder::new().name("mailcote-reader".into()).spawn_scoped(scope, move || {
                        let _helper = helper;
                        help();
                    });
                if started.is_err() {
                    break;
                }
            }
            run()
        })?;
        let mut done = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_unstable_by_key(|entry| entry.0);
        Ok(done.into_iter().map(|entry| entry.1).collect())
    }
}
