//! The watch: what other programs do to folders that somebody looks at.
//!
//! Owns one inotify instance for the process (by `notify`) and a table of watched directories: a folder's `new/` and
//! `cur/`, from the first listener until [`Looking`] is dropped. It reads no directory and holds no mail: it
//! tells a [`Sink`] which names appeared and vanished, or that it must look for itself. Events come on `notify`'s own
//! thread, so a sink only makes a note and raises its notices.
//!
//! Opening and reading messages also makes events (`notify` 8 asks for IN_OPEN always): they are dropped before any lock is taken. Sessions
//! that never wait (POP3, a short IMAP visit) set no watch at all, so in the normal case reading costs no event. One use is made of them:
//! whoever opens `cur/` itself gets [`Seen::Opened`] behind everything that happened before, since all events come in one queue.
//!
//! The order that makes it exact, kept by the mailbox: set the watch, then scan, then believe events. The
//! queue overflows (`Flag::Rescan`): every sink is told to look for itself. Watches run out (ENOSPC), or the directory
//! cannot be watched: said once in the log, counted in [`Watch::polled`], and that folder's sink is told every
//! [`POLL_EVERY`] to compare directory times; each round tries again to set a real watch.
//!
//! The thread that sets watches runs as the daemon, not as a folder's owner: home directories of mode 0700 need the daemon's
//! CAP_DAC_READ_SEARCH, which it keeps when there are system users; without it such folders are polled.
//!
//! Leaves nothing on disk.

mod poll;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use self::poll::POLL_EVERY;
use notify::event::{AccessKind, Flag, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, EventKind, INotifyWatcher, RecursiveMode, Watcher};

/// What happened in a watched directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A name appeared: created, linked, or renamed to.
    Appeared(&'a [u8]),
    /// A name vanished: the file was removed.
    Removed(&'a [u8]),
    /// A name vanished: the file was renamed, within the folder or away.
    MovedAway(&'a [u8]),
    /// The directory itself was removed or renamed.
    DirectoryGone,
    /// Events may have been lost: read the directory.
    Rescan,
    /// Nothing is known: compare the directory's times.
    Look,
    /// The directory `cur/` was opened: everything that happened before that has been told.
    Opened,
}

/// Who is told. Called on the watch's thread: make a note, raise notices, return.
pub(super) trait Sink: Send + Sync {
    /// `seen` in the directory that was registered as `which`.
    fn seen(&self, which: Which, seen: Seen<'_>);
}

/// Which directory of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Which {
    /// `new/`: nobody has looked at these messages yet.
    New,
    /// `cur/`: messages with flags in their names.
    Cur,
}

/// The process's watcher.
pub(super) struct Watch {
    shared: Arc<Shared>,
    poller: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    table: Mutex<Table>,
    /// `None` if this system gave us no inotify instance. Locked while `notify`'s thread is asked for something; that thread
    /// takes `table` only, so nobody waits in a circle as long as `table` is not held meanwhile.
    watcher: Mutex<Option<INotifyWatcher>>,
    /// For the polling thread: there is something new to wait for, or the end.
    news: Condvar,
    complained: AtomicBool,
}

#[derive(Default)]
struct Table {
    directories: HashMap<PathBuf, Entry>,
    /// Who asked to be told to look, and when.
    later: Vec<(Instant, Weak<dyn Sink>)>,
    stopped: bool,
}

struct Entry {
    sinks: Vec<(Weak<dyn Sink>, Which)>,
    watched: bool,
}

/// As long as this lives, the sink is told.
pub(super) struct Looking {
    shared: Arc<Shared>,
    directory: PathBuf,
    sink: Weak<dyn Sink>,
    watched: bool,
}

impl Watch {
    /// Start `notify`'s thread. Never fails: without inotify, every folder is polled, and the log says so.
    pub(super) fn new() -> Watch {
        let shared = Arc::new(Shared {
            table: Mutex::default(),
            watcher: Mutex::new(None),
            news: Condvar::new(),
            complained: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&shared);
        let handler = move |event: notify::Result<notify::Event>| {
            if let Some(shared) = weak.upgrade() {
                shared.handle(event);
            }
        };
        match INotifyWatcher::new(handler, Config::default()) {
            Ok(watcher) => *lock(&shared.watcher) = Some(watcher),
            Err(e) => shared.complain(Path::new("inotify"), &e.to_string()),
        }
        Watch { shared, poller: Mutex::new(None) }
    }

    /// Tell `sink` what happens in `directory` from now on. Scan *after* this.
    pub(super) fn look(&self, directory: &Path, which: Which, sink: &Arc<dyn Sink>) -> Looking {
        // Into the table first, so that not even the first event is lost.
        let first = {
            let mut table = lock(&self.shared.table);
            let entry = table.directories.entry(directory.to_owned());
            let entry = entry.or_insert_with(|| Entry { sinks: Vec::new(), watched: false });
            entry.sinks.push((Arc::downgrade(sink), which));
            !entry.watched
        };
        let watched = !first || self.shared.set(directory);
        if !watched {
            self.start_polling();
        }
        Looking {
            shared: Arc::clone(&self.shared),
            directory: directory.to_owned(),
            sink: Arc::downgrade(sink),
            watched,
        }
    }

    /// `directory` is another one now, or none: its watch ends, whoever looks. An inotify watch belongs to the inode, so it must be gone before
    /// somebody looks at that under its new name: the two would be one watch, and the end of either would be the end of both. And
    /// whoever looks at a new directory of the old name must get a watch of its own.
    pub(super) fn forget(&self, directory: &Path) {
        if lock(&self.shared.table).directories.remove(directory).is_some() {
            self.shared.unwatch(directory);
        }
    }

    /// Directories that cannot be watched and are polled, for metrics.
    pub(super) fn polled(&self) -> usize {
        lock(&self.shared.table).directories.values().filter(|entry| !entry.watched).count()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Stops `notify`'s thread. Taken out first: its last events may want the lock.
        let watcher = lock(&self.shared.watcher).take();
        drop(watcher);
        lock(&self.shared.table).stopped = true;
        self.shared.news.notify_all();
        if let Some(poller) = lock(&self.poller).take()
            && poller.thread().id() != std::thread::current().id()
            && poller.join().is_err()
        {
            tracing::error!("the polling thread panicked");
        }
    }
}

impl Looking {
    /// Does inotify tell (true), or is the directory polled (false)?
    pub(super) fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let last = {
            let mut table = lock(&self.shared.table);
            let Some(entry) = table.directories.get_mut(&self.directory) else { return };
            if let Some(at) = entry.sinks.iter().position(|(sink, _)| sink.ptr_eq(&self.sink)) {
                entry.sinks.swap_remove(at);
            }
            let last = entry.sinks.is_empty();
            if last {
                table.directories.remove(&self.directory);
            }
            last
        };
        if last {
            self.shared.unwatch(&self.directory);
        }
    }
}

impl Shared {
    /// Set a real watch; false if the directory has to be polled.
    fn set(&self, directory: &Path) -> bool {
        let result = match lock(&self.watcher).as_mut() {
            None => return false,
            Some(watcher) => watcher.watch(directory, RecursiveMode::NonRecursive),
        };
        match result {
            Ok(()) => {
                if let Some(entry) = lock(&self.table).directories.get_mut(directory) {
                    entry.watched = true;
                }
                true
            }
            Err(e) => {
                self.complain(directory, &e.to_string());
                false
            }
        }
    }

    /// Nobody looks at `directory` any more, unless somebody began again meanwhile.
    fn unwatch(&self, directory: &Path) {
        if let Some(watcher) = lock(&self.watcher).as_mut()
            && !lock(&self.table).directories.contains_key(directory)
        {
            match watcher.unwatch(directory) {
                // The directory is gone and took its watch along, or never had one.
                Err(e) if matches!(e.kind, ErrorKind::WatchNotFound) => {}
                Err(e) => tracing::debug!(path = %directory.display(), error = %e, "cannot remove watch"),
                Ok(()) => {}
            }
        }
    }

    /// Once in the log; the counter tells how it goes on.
    fn complain(&self, directory: &Path, why: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %directory.display(),
                error = why,
                "cannot watch; polling every {POLL_EVERY:?} instead (raise fs.inotify.max_user_watches)"
            );
        }
    }

    fn handle(&self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) => event,
            Err(e) => {
                tracing::error!(error = %e, "inotify failed; every open folder is read again");
                return self.tell_all(Seen::Rescan);
            }
        };
        if event.flag() == Some(Flag::Rescan) {
            tracing::info!("inotify queue overflowed; every open folder is read again");
            return self.tell_all(Seen::Rescan);
        }
        let Some(path) = event.paths.first() else { return };
        let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let seen = match event.kind {
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Seen::Appeared(name),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Seen::MovedAway(name),
            EventKind::Remove(_) => Seen::Removed(name),
            // Somebody opened `cur/` itself, perhaps a refresh that wants to know whether it was told everything.
            EventKind::Access(AccessKind::Open(_)) if name == b"cur" => Seen::Opened,
            // Opened, read, closed, written, chmod: no name changed. `RenameMode::Both` repeats From and To.
            _ => return,
        };
        self.tell(path, seen);
    }

    fn tell(&self, path: &Path, seen: Seen<'_>) {
        let (sinks, seen) = {
            let mut table = lock(&self.table);
            match (table.directories.get_mut(path), seen) {
                (Some(entry), Seen::Opened) => (entry.sinks.clone(), seen),
                (Some(entry), Seen::Removed(_) | Seen::MovedAway(_)) => {
                    // Its watch went with it: what is called so next needs one of its own.
                    entry.watched = false;
                    (entry.sinks.clone(), Seen::DirectoryGone)
                }
                // A message of that name, or a directory that nobody looks at any more.
                (_, Seen::Opened) => return,
                _ => {
                    let Some(entry) = path.parent().and_then(|parent| table.directories.get(parent)) else { return };
                    (entry.sinks.clone(), seen)
                }
            }
        };
        call(&sinks, seen);
    }

    fn tell_all(&self, seen: Seen<'_>) {
        let sinks: Vec<_> = lock(&self.table).directories.values().flat_map(|entry| entry.sinks.clone()).collect();
        call(&sinks, seen);
    }
}

/// Without any lock held: a sink raises notices, which may run a waker.
fn call(sinks: &[(Weak<dyn Sink>, Which)], seen: Seen<'_>) {
    for (sink, which) in sinks {
        if let Some(sink) = sink.upgrade() {
            sink.seen(*which, seen);
        }
    }
}

/// A panic in a sink leaves the table as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
