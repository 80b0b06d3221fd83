//! Directory entries to the disk: as few syncs as the promises allow, and in the right order.
//!
//! Owns two ways to it. [`DirSyncs::now`] returns when every entry made in the directory *before the call* is on the
//! disk; callers who meet there share a sync: one that arrives while a sync is under way waits for the next, which
//! serves everybody who has come meanwhile. So sixteen deliveries into one folder cost a few syncs, not sixteen.
//! [`DirSyncs::soon`] is for flag changes: a thread syncs the directory within [`SOON`] (promise 1 allows a second).
//!
//! A file that goes from one directory to another must not be lost between them: if the old directory reached the disk first
//! and the power failed then, the file would be in neither. [`DirSyncs::moving`] is told before such a rename, and whoever syncs the
//! old directory next, for whatever reason, syncs the new one before it. (Where a rename is one transaction, as on ext4, XFS and
//! btrfs, the second sync finds nothing to do and costs microseconds.)
//!
//! Fails with the system's error, told to everybody whom that sync was to serve. A deferred sync that fails
//! is logged: its caller has long answered, which is what the promise about flags says. Leaves nothing on disk.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Owner;
use crate::fsio;

/// A deferred sync happens this long after it was first asked for: half of the promised second, for slow disks.
pub(super) const SOON: Duration = Duration::from_millis(500);

/// The directory syncs of a process.
pub(super) struct DirSyncs {
    shared: Arc<Shared>,
    /// `None` if the system gave us no thread: then nothing is deferred.
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    groups: Mutex<HashMap<PathBuf, Arc<Group>>>,
    /// Directories that must reach the disk before the one they stand under.
    first: Mutex<HashMap<PathBuf, BTreeSet<PathBuf>>>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
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
    directories: HashMap<PathBuf, Owner>,
    stop: bool,
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

    /// A file is about to be renamed from directory `from` to `to`, and neither may be synced at once.
    pub(super) fn moving(&self, from: &Path, to: &Path) {
        if from != to {
            lock(&self.shared.first).entry(from.to_owned()).or_default().insert(to.to_owned());
        }
    }

    /// Entries of `directory` to the disk within [`SOON`], by a thread that takes on `owner` itself.
    pub(super) fn soon(&self, directory: &Path, owner: Owner) {
        let first = {
            let mut waiting = lock(&self.shared.waiting);
            let first = waiting.directories.is_empty();
            waiting.directories.entry(directory.to_owned()).or_insert(owner);
            first
        };
        if self.thread.is_none() {
            return self.shared.flush();
        }
        if first {
            self.shared.wake.notify_one();
        }
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
        let result = group.sync(|| self.in_order(directory));
        let mut groups = lock(&self.groups);
        // The table and this call: nobody else waits, and nobody can come while the table is locked.
        if Arc::strong_count(&group) == 2 {
            groups.remove(directory);
        }
        result
    }

    /// What must come first, then `directory`. Runs in one thread at a time for one directory.
    fn in_order(&self, directory: &Path) -> io::Result<()> {
        let first = lock(&self.first).remove(directory).unwrap_or_default();
        let missing_is_fine = |result: io::Result<()>| match result {
            // The folder was deleted meanwhile, and its messages with it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        if let Err(e) = first.iter().try_for_each(|target| missing_is_fine(fsio::sync_dir(target))) {
            lock(&self.first).entry(directory.to_owned()).or_default().extend(first);
            return Err(e);
        }
        fsio::sync_dir(directory)
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
        let directories = std::mem::take(&mut lock(&self.waiting).directories);
        for (directory, owner) in directories {
            match owner.assume().and_then(|_owner| self.now(&directory)) {
                // The folder was deleted or renamed meanwhile; whoever did that synced it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    tracing::error!(path = %directory.display(), error = %e, "flag changes may not survive a power cut")
                }
                Ok(()) => {}
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_served_and_the_table_is_empty_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = DirSyncs::new();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (syncs, dir) = (&syncs, dir.path());
                scope.spawn(move || {
                    for n in 0..20 {
                        std::fs::write(dir.join(format!("{thread}.{n}")), "x").unwrap();
                        syncs.now(dir).unwrap();
                    }
                });
            }
        });
        assert!(lock(&syncs.shared.groups).is_empty());
    }

    #[test]
    fn callers_who_meet_share_a_round() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group::default();
        // A round is under way; three callers come; when it ends, one more round serves all three.
        lock(&group.state).started = 1;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| group.sync(|| fsio::sync_dir(dir.path())).unwrap());
            }
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(lock(&group.state).started, 1, "nobody starts a second sync beside the first");
            lock(&group.state).finished = 1;
            group.done.notify_all();
        });
        assert_eq!(lock(&group.state).started, 2);
    }

    #[test]
    fn a_failure_is_told_to_everybody_it_concerns() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = DirSyncs::new();
        let missing = dir.path().join("missing");
        assert_eq!(syncs.now(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&missing).unwrap();
        syncs.now(&missing).unwrap();
    }

    #[test]
    fn a_deferred_sync_happens_at_the_latest_when_the_process_stops() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = DirSyncs::new();
        syncs.soon(dir.path(), Owner::Daemon);
        syncs.soon(dir.path(), Owner::Daemon);
        let shared = Arc::clone(&syncs.shared);
        assert_eq!(lock(&shared.waiting).directories.len(), 1);
        drop(syncs);
        assert!(lock(&shared.waiting).directories.is_empty());
    }

    #[test]
    fn the_new_place_comes_before_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = DirSyncs::new();
        let (old, gone) = (dir.path().join("old"), dir.path().join("gone"));
        std::fs::create_dir(&old).unwrap();
        syncs.moving(&old, dir.path());
        syncs.moving(&old, &gone);
        syncs.moving(&old, &old);
        assert_eq!(lock(&syncs.shared.first)[&old].len(), 2);
        syncs.now(&old).unwrap();
        assert!(lock(&syncs.shared.first).is_empty(), "what is gone needs no sync");
        // A target that cannot be synced keeps the old directory from the disk, too, and stays on the list.
        std::fs::write(dir.path().join("file"), "").unwrap();
        syncs.moving(&old, &dir.path().join("file"));
        assert!(syncs.now(&old).is_err());
        assert_eq!(lock(&syncs.shared.first)[&old].len(), 1);
    }
}
