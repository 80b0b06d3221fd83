//! Directory entries to the disk: as few syncs as the promises allow.
//!
//! Owns two ways to it. [`DirSyncs::now`] returns when every entry made in the directory *before the call* is on the
//! disk; callers who meet there share a sync: one that arrives while a sync is under way waits for the next, which
//! serves everybody who has come meanwhile. So sixteen deliveries into one folder cost a few syncs, not sixteen.
//! [`DirSyncs::soon`] is for flag changes: a thread syncs the directory within [`SOON`] (promise 1 allows a second).
//!
//! Fails with the system's error, told to everybody whom that sync was to serve. A deferred sync that fails
//! is logged: its caller has long answered, which is what the promise about flags says. Leaves nothing on disk.

use std::collections::HashMap;
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
#[derive(Default)]
pub(super) struct DirSyncs {
    groups: Mutex<HashMap<PathBuf, Arc<Group>>>,
    deferred: Arc<Deferred>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
struct Deferred {
    state: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    directories: HashMap<PathBuf, Owner>,
    stop: bool,
}

impl DirSyncs {
    /// Entries of `directory` to the disk, those that exist now at least. The caller has taken on the owner's identity.
    pub(super) fn now(&self, directory: &Path) -> io::Result<()> {
        let group = self.groups().entry(directory.to_owned()).or_default().clone();
        let result = group.sync(directory);
        let mut groups = self.groups();
        // The table and this call: nobody else waits, and nobody can come while the table is locked.
        if Arc::strong_count(&group) == 2 {
            groups.remove(directory);
        }
        result
    }

    /// Entries of `directory` to the disk within [`SOON`], by a thread that takes on `owner` itself.
    pub(super) fn soon(&self, directory: &Path, owner: Owner) {
        let first = {
            let mut waiting = lock(&self.deferred.state);
            if waiting.directories.contains_key(directory) {
                return;
            }
            waiting.directories.insert(directory.to_owned(), owner);
            waiting.directories.len() == 1
        };
        if first {
            self.start();
            self.deferred.wake.notify_one();
        }
    }

    fn start(&self) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let deferred = Arc::clone(&self.deferred);
            match std::thread::Builder::new().name("mailcote-sync".into()).spawn(move || deferred.run()) {
                Ok(handle) => *thread = Some(handle),
                // No thread: do it here and now, which is early, not late.
                Err(e) => {
                    tracing::warn!(error = %e, "cannot start the thread for deferred syncs; syncing at once");
                    self.deferred.flush();
                }
            }
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Group>>> {
        lock(&self.groups)
    }
}

impl Drop for DirSyncs {
    fn drop(&mut self) {
        lock(&self.deferred.state).stop = true;
        self.deferred.wake.notify_one();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            tracing::error!("the thread for deferred syncs panicked");
        }
    }
}

impl Group {
    fn sync(&self, directory: &Path) -> io::Result<()> {
        let mut rounds = lock(&self.state);
        // A sync that is under way may have passed our entry already; the next one to start has not.
        let ours = rounds.started + 1;
        loop {
            if rounds.finished >= ours {
                return match rounds.failed {
                    Some((round, failure)) if round >= ours => Err(failure.error()),
                    _ => Ok(()),
                };
            }
            if rounds.started > rounds.finished {
                rounds = self.done.wait(rounds).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            rounds.started += 1;
            drop(rounds);
            let result = fsio::sync_dir(directory);
            rounds = lock(&self.state);
            rounds.finished += 1;
            if let Err(e) = &result {
                rounds.failed = Some((rounds.finished, Failure::of(e)));
            }
            self.done.notify_all();
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

impl Deferred {
    fn run(&self) {
        loop {
            let mut waiting = lock(&self.state);
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
        let directories = std::mem::take(&mut lock(&self.state).directories);
        for (directory, owner) in directories {
            let result = owner.assume().and_then(|_owner| fsio::sync_dir(&directory));
            match result {
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
        let syncs = DirSyncs::default();
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
        assert!(syncs.groups().is_empty());
    }

    #[test]
    fn callers_who_meet_share_a_round() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group::default();
        // A round is under way; three callers come; when it ends, one more round serves all three.
        lock(&group.state).started = 1;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| group.sync(dir.path()).unwrap());
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
        let syncs = DirSyncs::default();
        let missing = dir.path().join("missing");
        assert_eq!(syncs.now(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir(&missing).unwrap();
        syncs.now(&missing).unwrap();
    }

    #[test]
    fn a_deferred_sync_happens_at_the_latest_when_the_process_stops() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = DirSyncs::default();
        syncs.soon(dir.path(), Owner::Daemon);
        syncs.soon(dir.path(), Owner::Daemon);
        let deferred = Arc::clone(&syncs.deferred);
        assert_eq!(lock(&deferred.state).directories.len(), 1);
        drop(syncs);
        assert!(lock(&deferred.state).directories.is_empty());
    }
}
