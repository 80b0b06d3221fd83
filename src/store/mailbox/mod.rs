//! One open folder, shared by every session on it.
//!
//! [`Mailbox`] knows all messages of the folder and keeps that true while sessions, deliveries and other programs change the directories.
//! What happened on disk is taken in by [`Mailbox::refresh`]; what a session wants done is one method each, and durable
//! when it returns. Nothing assumes that we are the only process: shared files are re-read under their lock before
//! they are written, names are matched and looked up again when a file is not where it was.
//!
//! | file | what |
//! |---|---|
//! | `table` | the messages in memory |
//! | `pending` | notes of the watch, and listeners |
//! | `scan` | times and names of `new/` and `cur/` |
//! | `load` | opening: uidlist, journal, first scan; repair of a damaged uidlist |
//! | `refresh` | what happened on disk |
//! | `commit` | giving UIDs, telling sessions |
//! | `others`, `unclaimed` | what other processes wrote |
//! | `write` | uidlist, journal, syncs |
//! | `kept` | expunged messages that somebody may still read |
//! | `history` | which UIDs went away, and when |
//! | `doubles` | one base twice |
//! | `flags`, `remove`, `append`, `copy` | what sessions change |
//! | `message` | one message's file: open, sizes, dates |
//! | `facts`, `fill` | what is known of many messages, from the cache or their files |
//! | `keys` | what SORT and THREAD found out of most messages, in memory |
//! | `status` | counters |
//! | `recent` | \Recent, and `new/` to `cur/` |
//! | `clean` | old files in `tmp/` |
//!
//! # Locks, in their order
//!
//! 1. `disk`, one change at a time: held during disk work, syncs included, so that what a second session changes is built
//!    on what the first one made durable. Reading sessions never wait for it. MOVE holds two: the one at the lower address first.
//! 2. The folder's lock file, against other processes, under `disk`, only around writing shared files.
//! 3. `state`, the table: held for memory work only, written by the holder of `disk` alone. (A scan compares names
//!    under a read lock, which stops nobody: the only possible writer is the scanner.)
//! 4. Notes and listeners of [`pending::Pending`]; nothing is locked under them.

mod append;
mod clean;
mod commit;
mod copy;
mod doubles;
mod facts;
mod fill;
mod flags;
mod history;
mod kept;
mod keys;
mod load;
mod message;
mod others;
mod pending;
mod recent;
mod refresh;
mod remove;
mod scan;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod unclaimed;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::time::{Duration, Instant};

pub use self::append::NewMessage;
pub(super) use self::clean::clean;
pub use self::copy::Copying;
pub use self::facts::{Tour, Visited};
pub use self::flags::Change;
use self::history::History;
pub use self::kept::Reader;
use self::kept::{Keeping, Kept};
pub use self::keys::Since;
pub use self::message::Pop3Lock;
use self::pending::Pending;
pub(super) use self::scan::{Known, Stamp};
pub use self::status::Status;
pub use self::table::Message;
use self::table::Table;
use self::unclaimed::Unclaimed;
use super::cache::Cache;
use super::home::Assumed;
use super::journal::Journal;
use super::keywords::Keywords;
use super::lookout::Lookout;
use super::process::Process;
use super::quota::Quota;
use super::uidlist::UidList;
use super::watch::{Looking, Which};
use super::{Error, Name, Owner, Result};
use crate::notice::Raiser;

/// Times that a file which is not where it was is looked for again, before the message counts as gone. Each look is a scan;
/// Dovecot gives up after ten.
const MAX_LOOKS: usize = 5;

/// One open folder, shared by all sessions on it. All methods take `&self`; the locks are inside and never held while
/// a caller's code runs, except in [`Mailbox::read`].
pub struct Mailbox {
    process: Arc<Process>,
    dir: PathBuf,
    owner: Owner,
    uid_validity: u32,
    guid: String,
    read_only: AtomicBool,
    /// The folder was deleted, renamed or replaced: every call fails with [`Error::NotFound`].
    closed: AtomicBool,
    in_pop3: AtomicBool,
    /// Sessions that were woken, found somebody at work and went away.
    passed_over: Mutex<Vec<Raiser>>,
    /// Sizes were counted that the uidlist does not have yet.
    counted: AtomicBool,
    /// How much mail the account has; a folder that was opened without an account keeps no count.
    quota: OnceLock<Arc<Quota>>,
    /// Who else is told of changes, and under which name.
    lookout: OnceLock<(Arc<Lookout>, Name)>,
    pending: Arc<Pending>,
    keeping: Keeping,
    cache: Cache,
    disk: Mutex<Disk>,
    state: RwLock<State>,
}

/// What sessions see.
struct State {
    table: Table,
    next_uid: u32,
    highest_modseq: u64,
    history: History,
    kept: BTreeMap<u32, Kept>,
    generation: u64,
    /// Names of keywords by number; empty where nobody uses the number.
    keywords: Vec<String>,
}

/// The folder's shared files, and how far we have read them.
struct Disk {
    list: UidList,
    journal: Journal,
    keywords: Keywords,
    /// Names of keywords 26 to 127.
    high_keywords: BTreeMap<u8, String>,
    /// What the table agrees with; `None` before the first scan.
    known: Option<scan::Known>,
    /// UIDs that another process has given to files that we have not seen yet.
    unclaimed: Unclaimed,
    /// Bases that vanished while we looked, for the log if they come back. Bounded.
    vanished: HashSet<Box<[u8]>>,
    /// The uidlist on disk lacks UIDs or fields that the table has (disk full, counted sizes): rewrite it. Since when.
    stale_list: Option<Instant>,
    /// The journal lacks changes (disk full): write it anew.
    stale_journal: bool,
    /// The folder is being opened, and the journal knows nothing of it: it is written once, when all is known.
    begins_journal: bool,
    watch: Option<[Looking; 2]>,
    /// When a refresh fails, it is tried again after this time.
    retry: Duration,
    /// Some message has two names, seen a moment ago.
    has_twins: bool,
    /// Files went from `new/` to `cur/` since `new/` was last synced: a power cut could bring the old names back.
    left_new: bool,
}

impl Mailbox {
    /// UIDVALIDITY; never changes for this object.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// 32 hexadecimal digits that no other folder has or had: `G` of the uidlist's header; a rename keeps it.
    pub fn guid(&self) -> &str {
        &self.guid
    }

    /// UIDNEXT.
    pub fn uid_next(&self) -> u32 {
        self.state().next_uid
    }

    /// The greatest mod-sequence that any message had (RFC 7162).
    pub fn highest_modseq(&self) -> u64 {
        self.state().highest_modseq
    }

    /// Can nothing be changed here (permissions, read-only disk)?
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Was the folder deleted, renamed or replaced? Then this object is good for nothing any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Grows with every change (message arrived, expunged, flags); equal means that nothing happened.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Raise `raiser` on every change from now on, until its waiter is gone. The first listener sets the watch; what happened
    /// before that is found by the next refresh.
    pub fn listen(&self, raiser: Raiser) {
        self.pending.listen(raiser);
        let mut disk = self.lock_disk();
        // Only in `refresh` could an error be told; there the watch is tried again.
        if let Ok(_owner) = self.owner.assume() {
            self.set_watch(&mut disk);
        }
    }

    /// Look at all messages, sorted by UID, under the folder's read lock. `f` must be short and must not call back.
    pub fn read<R>(&self, f: impl FnOnce(&[Message]) -> R) -> R {
        f(self.state().table.messages())
    }

    /// As [`Mailbox::read`], with [`Mailbox::highest_modseq`] of the same moment: whoever knows these messages knows all that
    /// happened up to there.
    pub fn read_to<R>(&self, f: impl FnOnce(&[Message], u64) -> R) -> R {
        let state = self.state();
        f(state.table.messages(), state.highest_modseq)
    }

    /// One message.
    pub fn message(&self, uid: u32) -> Option<Message> {
        self.state().get(uid).map(|(message, _)| message.clone())
    }

    /// Names of the folder's keywords by number: name n belongs to bit n of [`Message::keywords`]. A number that
    /// nobody uses has the empty name.
    pub fn keywords(&self) -> Vec<String> {
        self.state().keywords.clone()
    }

    /// The folder was deleted or renamed by us: sessions on it learn at their next call.
    pub(super) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            for place in [Which::New, Which::Cur] {
                self.process.watch.forget(&self.subdirectory(place));
            }
            self.write_state().generation += 1;
            self.pending.raise();
            if let Some((lookout, name)) = self.lookout.get() {
                lookout.closed(name);
            }
        }
    }

    /// As long as the guard lives, nothing is changed in the folder through this object.
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.lock_disk()
    }

    /// Tell that `name` was delivered into `new/` and is on the disk for good.
    pub(super) fn delivered(&self, name: &[u8]) {
        self.pending.delivered(name);
    }

    /// Those who follow the folder `name` without having it open are told, too.
    pub(super) fn told_to(&self, lookout: &Arc<Lookout>, name: &Name) {
        self.lookout.get_or_init(|| (Arc::clone(lookout), name.clone()));
    }

    /// The folder is of this account.
    pub(super) fn count_for(&self, quota: &Arc<Quota>) {
        self.quota.get_or_init(|| Arc::clone(quota));
    }

    /// Who does the work, and nobody else meanwhile. In this order: identity first, so that nobody waits on us for it.
    fn enter(&self) -> Result<(Assumed, Working<'_>)> {
        let owner = self.assume()?;
        let disk = self.lock_disk();
        if self.is_closed() {
            return Err(Error::NotFound);
        }
        Ok((owner, disk))
    }

    fn assume(&self) -> Result<Assumed> {
        self.owner.assume().map_err(|e| Error::io(&self.dir, e))
    }

    /// As [`Mailbox::enter`], for a change.
    fn enter_to_change(&self) -> Result<(Assumed, Working<'_>)> {
        if self.is_read_only() {
            return Err(Error::ReadOnly(self.dir.clone()));
        }
        self.enter()
    }

    /// Set the watch if somebody waits, or try again. The first refresh without listeners gives it back, or the end of the folder's keeping.
    fn set_watch(&self, disk: &mut Disk) {
        if let Some(watch) = &disk.watch {
            watch.iter().for_each(Looking::try_again);
            return;
        }
        if !self.pending.has_listeners() || self.is_closed() {
            return;
        }
        let sink: Arc<dyn super::watch::Sink> = self.pending.clone();
        let look = |place| self.process.watch.look(&self.subdirectory(place), place, &sink);
        disk.watch = Some([look(Which::New), look(Which::Cur)]);
        // What happened since the last scan is in no event: if the directories' times leave a doubt, read them.
        let unsure = match (&disk.known, scan::Stamp::take(&self.dir)) {
            (Some(known), Ok(stamp)) => known.needs_scan(stamp),
            _ => true,
        };
        if unsure {
            self.pending.rescan();
        }
    }

    fn subdirectory(&self, place: Which) -> PathBuf {
        self.dir.join(scan::subdirectory(place))
    }

    fn path(&self, place: Which, name: &[u8]) -> PathBuf {
        let mut path = self.subdirectory(place);
        path.push(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        path
    }

    fn lock_disk(&self) -> Working<'_> {
        Working { mailbox: self, disk: Some(self.disk.lock().unwrap_or_else(|poisoned| self.recover(poisoned))) }
    }

    /// As [`Mailbox::lock_disk`], but if somebody is at work, they raise `raiser` when they are done, and this is `None`.
    fn lock_disk_if_free(&self, raiser: Raiser) -> Option<Working<'_>> {
        let try_lock = || match self.disk.try_lock() {
            Ok(disk) => Some(Working { mailbox: self, disk: Some(disk) }),
            Err(TryLockError::Poisoned(poisoned)) => {
                Some(Working { mailbox: self, disk: Some(self.recover(poisoned)) })
            }
            Err(TryLockError::WouldBlock) => None,
        };
        try_lock().or_else(|| {
            self.passed_over().push(raiser);
            // Whoever has finished between the two has not seen the note.
            try_lock()
        })
    }

    fn passed_over(&self) -> MutexGuard<'_, Vec<Raiser>> {
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic may have left the table behind the disk; the next scan repairs that, so go on.
    fn recover<'a>(&self, poisoned: PoisonError<MutexGuard<'a, Disk>>) -> MutexGuard<'a, Disk> {
        self.pending.rescan();
        self.disk.clear_poison();
        poisoned.into_inner()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who changes the folder.
struct Working<'a> {
    mailbox: &'a Mailbox,
    disk: Option<MutexGuard<'a, Disk>>,
}

impl Deref for Working<'_> {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        self.disk.as_ref().expect("taken by drop only")
    }
}

impl DerefMut for Working<'_> {
    fn deref_mut(&mut self) -> &mut Disk {
        self.disk.as_mut().expect("taken by drop only")
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        // A watch that was set while the folder was closed: the path may be another folder's soon, which sets its own.
        if self.mailbox.is_closed() {
            self.watch = None;
        }
        self.disk = None;
        // Sessions that did not want to wait are woken again: only they, or they would wake each other for ever.
        for raiser in std::mem::take(&mut *self.mailbox.passed_over()) {
            raiser.raise();
        }
    }
}

impl Disk {
    /// Do events tell everything that happens?
    fn is_watched(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.iter().all(Looking::is_watched))
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.release_all_kept();
        self.save_counted_sizes();
        if !self.is_closed()
            && !self.is_read_only()
            && let Ok(_owner) = self.owner.assume()
        {
            self.cache.compact(&mut |uid| self.identify(uid));
        }
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mailbox").field(&self.dir).finish()
    }
}
