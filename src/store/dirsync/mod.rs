//! Directory entries to the disk: as few syncs as the promises allow, and in the right order.
//!
//! Owns two ways to it. [`DirSyncs::now`] returns when every entry made in the directory *before the call* is on the
//! disk; callers who meet there share a sync: one that arrives while a sync is under way waits for the next, which
//! serves everybody who has come meanwhile. So sixteen deliveries into one folder cost a few syncs, not sixteen.
//! [`DirSyncs::soon`] is for flag changes: a thread syncs the directory within [`SOON`] (promise 1 allows a second).
//!
//! A file that goes from one directory to another must not be lost between them: if the old directory reached the disk first
//! and the power failed then, the file would be in neither. Such a rename is done within [`DirSyncs::moving`], and whoever syncs the
//! old directory next, for whatever reason, syncs the new one before it; none of these renames happens between the two. (Where a
//! rename is one transaction, as on ext4, XFS and btrfs, the second sync finds nothing to do and costs microseconds.)
//!
//! A directory that waits for its deferred sync is held open: it may be renamed meanwhile, and another may have its name.
//!
//! Fails with the system's error, told to everybody whom that sync was to serve. A deferred sync that fails
//! is logged: its caller has long answered, which is what the promise about flags says. Leaves nothing on disk.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Owner;
use crate::fsio;

/// A deferred sync happens this long after it was first asked for: half of the promised second, for slow disks.
pub(super) const SOON: Duration = Duration::from_millis(500);

/// Directories that wait for their deferred sync: each holds a file descriptor. One more is synced at once.
const MAX_WAITING: usize = 256;

/// The directory syncs of a process.
pub(super) struct DirSyncs {
    shared: Arc<Shared>,
    /// `None` if the system gave us no thread: then nothing is deferred.
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    groups: Mutex<HashMap<PathBuf, Arc<Group>>>,
    /// By the directory that must not reach the disk before others do.
    orders: Mutex<HashMap<PathBuf, Arc<Order>>>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// What must reach the disk before one directory.
#[derive(Default)]
struct Order {
    /// Shared by those who rename out of the directory; alone is who syncs it.
    renaming: RwLock<()>,
    first: Mutex<BTreeSet<PathBuf>>,
}

/// Those who wait for one directory.
#[derive(Default)]
struct Group {
    state: Mutex<Rounds>,
    done: Condvar,
}

/// Syncs of one directory are numbered from 1.
#[derive(Default)]
struct Rounds {
    started: u64,
    finished: u64,
    /// Callers who wait for a round to finish: without any, nobody is woken (a system call).
    waiting: usize,
    /// The last round that failed, and how. A later success does not excuse it for those whom it was to serve.
    failed: Option<(u64, Failure)>,
}

/// An `io::Error` that several callers can have.
#[derive(Debug, Clone, Copy)]
enum Failure {
    System(i32),
    Other(io::ErrorKind),
}

#[derive(Default)]
struct Waiting {
    /// By device and inode.
    directories: HashMap<(u64, u64), Deferred>,
    stop: bool,
}

/// One directory that waits.
struct Deferred {
    /// What it was called when the sync was asked for.
    path: PathBuf,
    directory: File,
    owner: Owner,
}

impl DirSyncs {
    /// Start the thread: now, as the daemon, since a thread inherits the identity of the one that starts it.
    pub(super) fn new() -> DirSyncs {
        let shared: Arc<Shared> = Arc::default();
        let run = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("mailcote-sync".into()).spawn(move || run.run());
        let thread = thread
            .inspect_err(
                |e| tracing::warn!(error = %e, "no thread for deferred syncs; flag changes are synced at once"),
            )
            .ok();
        DirSyncs { shared, thread }
    }

    /// Entries of `directory` to the disk, those that exist now at least. The caller has taken on the owner's identity.
    pub(super) fn now(&self, directory: &Path) -> io::Result<()> {
        self.shared.now(directory)
    }

    /// Do `renames` of files from directory `from` to `to`, neither of which is synced at once. They must sync nothing themselves.
    pub(super) fn moving<R>(&self, from: &Path, to: &Path, renames: impl FnOnce() -> R) -> R {
        if from == to {
            return renames();
        }
        let order = self.shared.order(from);
        let _renaming = order.renaming.read().unwrap_or_else(PoisonError::into_inner);
        {
            let mut first = lock(&order.first);
            if !first.contains(to) {
                first.insert(to.to_owned());
            }
        }
        renames()
    }

    /// Entries of `directory` to the disk within [`SOON`], by a thread that takes on `owner` itself. The caller has taken on
    /// the owner's identity.
    pub(super) fn soon(&self, directory: &Path, owner: Owner) {
        let queued = match self.thread {
            Some(_) => self.queue(directory, owner),
            None => Ok(false),
        };
        let done = queued.and_then(|queued| if queued { Ok(()) } else { self.now(directory) });
        told_nobody(directory, done);
    }

    /// False if too many wait already.
    fn queue(&self, directory: &Path, owner: Owner) -> io::Result<bool> {
        let meta = fs::metadata(directory)?;
        let mut waiting = lock(&self.shared.waiting);
        let (count, key) = (waiting.directories.len(), (meta.dev(), meta.ino()));
        if waiting.directories.contains_key(&key) {
            return Ok(true);
        }
        if count >= MAX_WAITING {
            return Ok(false);
        }
        let open = File::open(directory)?;
        let meta = open.metadata()?;
        waiting
            .directories
            .insert((meta.dev(), meta.ino()), Deferred { path: directory.to_owned(), directory: open, owner });
        drop(waiting);
        if count == 0 {
            self.shared.wake.notify_one();
        }
        Ok(true)
    }
}

/// The outcome of a sync whose caller has answered long ago.
fn told_nobody(directory: &Path, result: io::Result<()>) {
    match result {
        // The folder was deleted or renamed meanwhile; whoever did that synced it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => tracing::error!(path = %directory.display(), error = %e, "flag changes may not survive a power cut"),
        Ok(()) => {}
    }
}

impl Drop for DirSyncs {
    fn drop(&mut self) {
        lock(&self.shared.waiting).stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for deferred syncs panicked");
        }
    }
}

impl Shared {
    fn now(&self, directory: &Path) -> io::Result<()> {
        let group = Arc::clone(lock(&self.groups).entry(directory.to_owned()).or_default());
        let result = group.sync(|| self.in_order(directory, None));
        let mut groups = lock(&self.groups);
        // The table and this call: nobody else waits, and nobody can come while the table is locked.
        if Arc::strong_count(&group) == 2 {
            groups.remove(directory);
        }
        result
    }

    fn order(&self, directory: &Path) -> Arc<Order> {
        let mut orders = lock(&self.orders);
        match orders.get(directory) {
            Some(order) => Arc::clone(order),
            None => Arc::clone(orders.entry(directory.to_owned()).or_default()),
        }
    }

    /// What must come first, then `directory`; the one that is open, if that is given.
    fn in_order(&self, directory: &Path, open: Option<&File>) -> io::Result<()> {
        let order = self.order(directory);
        let result = {
            let _alone = order.renaming.write().unwrap_or_else(PoisonError::into_inner);
            let mut first = lock(&order.first);
            let result = first.iter().try_for_each(|target| match fsio::sync_dir(target) {
                // The folder was deleted meanwhile, and its messages with it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            });
            if result.is_ok() {
                first.clear();
            }
            result.and_then(|()| match open {
                Some(open) => fsio::sync_open_dir(open, directory),
                None => fsio::sync_dir(directory),
            })
        };
        let mut orders = lock(&self.orders);
        // The table and this call: nobody renames, and nobody can begin to while the table is locked.
        if Arc::strong_count(&order) == 2 && lock(&order.first).is_empty() {
            orders.remove(directory);
        }
        result
    }

    fn run(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            while waiting.directories.is_empty() && !waiting.stop {
                waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            // Gather for a while, unless we are to stop.
            let (waiting, _) = self
                .wake
                .wait_timeout_while(waiting, SOON, |waiting| !waiting.stop)
                .unwrap_or_else(PoisonError::into_inner);
            let stop = waiting.stop;
            drop(waiting);
            self.flush();
            if stop {
                return;
            }
        }
    }

    fn flush(&self) {
        let waiting = std::mem::take(&mut lock(&self.waiting).directories);
        let mut waiting: Vec<Deferred> = waiting.into_values().collect();
        // Of a folder, `cur/` before `new/`: files go from one to the other.
        waiting.sort_by(|a, b| a.path.cmp(&b.path));
        for Deferred { path, directory, owner } in waiting {
            let result = owner.assume().and_then(|_owner| self.in_order(&path, Some(&directory)));
            told_nobody(&path, result);
        }
    }
}

impl Group {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut rounds = lock(&self.state);
        // A sync that is under way may have passed our entry already; the next one to start has not.
        let ours = rounds.started + 1;
        while rounds.started > rounds.finished && rounds.finished < ours {
            rounds.waiting += 1;
            rounds = self.done.wait(rounds).unwrap_or_else(PoisonError::into_inner);
            rounds.waiting -= 1;
        }
        if rounds.finished < ours {
            rounds.started += 1;
            drop(rounds);
            let result = sync();
            rounds = lock(&self.state);
            rounds.finished += 1;
            if let Err(e) = &result {
                rounds.failed = Some((rounds.finished, Failure::of(e)));
            }
            if rounds.waiting > 0 {
                self.done.notify_all();
            }
        }
        match rounds.failed {
            Some((round, failure)) if round >= ours => Err(failure.error()),
            _ => Ok(()),
        }
    }
}

impl Failure {
    fn of(error: &io::Error) -> Failure {
        error.raw_os_error().map_or(Failure::Other(error.kind()), Failure::System)
    }

    fn error(self) -> io::Error {
        match self {
            Failure::System(code) => io::Error::from_raw_os_error(code),
            Failure::Other(kind) => kind.into(),
        }
    }
}

/// A panic elsewhere does not make these counters wrong: each is changed in one statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
