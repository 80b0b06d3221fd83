//! Messages that are expunged and still readable: sessions that have not been told of it may ask for them (RFC 3501 7.4.1 holds the
//! news back, RFC 2180 section 4.1 asks that the message stays readable meanwhile).
//!
//! Owns the files of such messages: when one session of this process removes a message while others look at the folder, its file goes to `tmp/`
//! instead of away, and leaves the disk when the last of these sessions was told. At most [`MAX_KEPT`] a folder. Only what goes through
//! this object can be kept: a file that another process unlinks is gone, and a FETCH of it says so; so it is with Dovecot. After a crash
//! the files are leftovers in `tmp/`, removed as all are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use super::table::{Entry, Message};
use super::{Mailbox, State};
use crate::fsio;

/// Messages kept in one folder: what a session that does nothing for half an hour may cost in directory entries.
const MAX_KEPT: usize = 10_000;

/// One session's place among those that look at a folder. Dropped with the session's view.
#[derive(Debug, Default)]
pub struct Reader(Arc<AtomicU64>);

impl Reader {
    /// The session knows everything up to this mod-sequence.
    pub fn knows(&self, modseq: u64) {
        self.0.store(modseq, Ordering::Release);
    }
}

/// A message that is out of the folder.
pub(super) struct Kept {
    pub(super) message: Message,
    pub(super) entry: Entry,
    /// Where its file is.
    pub(super) path: PathBuf,
    /// Of its going.
    modseq: u64,
}

/// Those of a folder, and who may still ask for them.
#[derive(Default)]
pub(super) struct Keeping {
    readers: std::sync::Mutex<Vec<Weak<AtomicU64>>>,
}

impl Keeping {
    /// What every session knows, and how many there are.
    fn known_to_all(&self) -> (u64, usize) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.strong_count() > 0);
        let all = readers.iter().filter_map(Weak::upgrade).map(|known| known.load(Ordering::Acquire));
        all.fold((u64::MAX, 0), |(least, count), known| (least.min(known), count + 1))
    }
}

impl Mailbox {
    /// Count a session in. It knows nothing yet.
    pub fn reader(&self) -> Reader {
        let reader = Reader::default();
        self.keeping.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&reader.0));
        reader
    }

    /// Is a message that is removed to be kept, `more` others beside it? Not if at most one session looks: who removes is told at once.
    pub(super) fn must_keep(&self, more: usize) -> bool {
        self.keeping.known_to_all().1 > 1 && self.state().kept.len() + more < MAX_KEPT
    }

    /// Where the file of a kept message goes.
    pub(super) fn kept_path(&self) -> PathBuf {
        self.dir.join("tmp").join(format!("{}.expunged", self.process.unique()))
    }

    /// `uid` goes under `modseq`, which its table row will soon tell nobody; its file is at `path`.
    pub(super) fn keep(state: &mut State, uid: u32, path: PathBuf, modseq: u64) {
        if let Some((message, entry)) = state.table.get(uid) {
            let kept = Kept { message: message.clone(), entry: entry.clone(), path, modseq };
            state.kept.insert(uid, kept);
        }
    }

    /// Remove files that nobody can ask for any more. The caller has taken on the owner's identity.
    pub(super) fn release_kept(&self) {
        if self.state().kept.is_empty() {
            return;
        }
        let (known, _) = self.keeping.known_to_all();
        let released: BTreeMap<u32, Kept> = {
            let mut state = self.write_state();
            state.kept.extract_if(.., |_, kept| kept.modseq <= known).collect()
        };
        released.values().for_each(|kept| remove(&kept.path));
    }

    /// At the end of the folder's keeping nobody looks at it.
    pub(super) fn release_all_kept(&self) {
        let all = std::mem::take(&mut self.write_state().kept);
        if !all.is_empty()
            && let Ok(_owner) = self.assume()
        {
            all.values().for_each(|kept| remove(&kept.path));
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fsio::unlink(path) {
        tracing::warn!(path = %path.display(), %error, "an expunged message stays in tmp/ until it is 36 hours old");
    }
}

impl State {
    /// A message of the folder, or one that some session was not told to be gone.
    pub(super) fn get(&self, uid: u32) -> Option<(&Message, &Entry)> {
        self.table.get(uid).or_else(|| self.kept.get(&uid).map(|kept| (&kept.message, &kept.entry)))
    }
}
