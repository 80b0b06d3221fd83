//! Folders that stay open for a while after the last session has left them.
//!
//! A client that polls, or opens folder after folder, finds what the process knew: a few stats instead of reading the
//! uidlist, the journal and the directories. Bounded by [`MAX_FOLDERS`], by [`MAX_MESSAGES`] (some 20 MB) and by [`KEEP_FOR`]; the one
//! not used for the longest time goes first. A kept folder keeps its account open, so that the next session finds it there.
//!
//! Touches no disk by itself; a folder that goes may write what it still owes. Never fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Mailbox, Store};

/// Folders kept: all of somebody who has a thousand and asks for the STATUS of each, and then some. Each costs some KB and no open file.
const MAX_FOLDERS: usize = 2_048;
/// Messages in them, at 200 bytes each.
const MAX_MESSAGES: usize = 100_000;
/// Time since the last session opened it: longer than the interval of a client that polls.
const KEEP_FOR: Duration = Duration::from_secs(11 * 60);

/// The least recently opened first.
#[derive(Default)]
pub(super) struct Kept(Mutex<VecDeque<Entry>>);

struct Entry {
    opened: Instant,
    messages: usize,
    mailbox: Arc<Mailbox>,
    _store: Arc<Store>,
}

impl Kept {
    /// `mailbox` of `store` was opened.
    pub(super) fn touch(&self, store: Arc<Store>, mailbox: &Arc<Mailbox>) {
        let now = Instant::now();
        let messages = mailbox.read(<[_]>::len);
        let entry = Entry { opened: now, messages, mailbox: Arc::clone(mailbox), _store: store };
        // Dropped after the lock: a folder that goes may have something to write.
        let mut gone = Vec::new();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|entry| Arc::ptr_eq(&entry.mailbox, mailbox)) {
            gone.extend(kept.remove(at));
        }
        kept.push_back(entry);
        let mut total: usize = kept.iter().map(|entry| entry.messages).sum();
        while let Some(oldest) = kept.front() {
            let fits = kept.len() <= MAX_FOLDERS && total <= MAX_MESSAGES;
            if fits && now - oldest.opened <= KEEP_FOR && !oldest.mailbox.is_closed() {
                break;
            }
            total -= oldest.messages;
            gone.extend(kept.pop_front());
        }
        drop(kept);
        drop(gone);
    }
}
