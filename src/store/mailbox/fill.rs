//! Reading many messages' files at once, for what the cache does not have.
//!
//! Some threads read ahead, each the next file: a disk that is asked for one file after the other does nothing most of the time. UIDs
//! are given in the order of arrival, and so mostly are inodes, so the order of UIDs is the order on the disk. The number of threads is
//! bounded for the process; where there is no room for more, the caller's own reads alone. Threads take on the owner's identity.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(uids.len()));
        let work = || -> Result<()> {
            let _owner = self.assume()?;
            let (mut buffer, mut mine) = (Vec::new(), Vec::new());
            while let Some(uid) = uids.get(next.fetch_add(1, Ordering::Relaxed)) {
                let read = |file| digest::read(&file, wants_body, &mut buffer).map_err(|e| Error::io(&self.dir, e));
                mine.push((*uid, self.open(*uid).and_then(read)));
            }
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
            Ok(())
        };
        let helpers = (uids.len() / WORTH_A_THREAD).min(READERS - 1);
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                let Some(helper) = Helper::take() else { break };
                let help = || {
                    // Without the owner's identity nothing is read; then the caller reads all.
                    let _ = work();
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
            work()
        })?;
        let mut read = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        read.sort_unstable_by_key(|entry| entry.0);
        let bytes: u64 = read.iter().filter_map(|entry| Some(entry.1.as_ref().ok()?.read + OPEN_COST)).sum();
        *budget = budget.saturating_sub(bytes);
        Ok(read)
    }
}
