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

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::event::{AccessKind, Flag, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, EventKind, INotifyWatcher, RecursiveMode, Watcher};

/// How often a folder that cannot be watched is looked at: Dovecot's own interval is 30 s; two `stat` calls a folder cost little.
/// Tests do not wait that long.
const POLL_EVERY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5000 });

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
    stop: Condvar,
    complained: AtomicBool,
}

#[derive(Default)]
struct Table {
    directories: HashMap<PathBuf, Entry>,
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
            stop: Condvar::new(),
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

    fn start_polling(&self) {
        let mut poller = lock(&self.poller);
        if poller.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        match std::thread::Builder::new().name("mailcote-poll".into()).spawn(move || shared.poll()) {
            Ok(handle) => *poller = Some(handle),
            Err(e) => {
                tracing::error!(error = %e, "cannot start the polling thread: IDLE will not see what other programs do")
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Stops `notify`'s thread. Taken out first: its last events may want the lock.
        let watcher = lock(&self.shared.watcher).take();
        drop(watcher);
        lock(&self.shared.table).stopped = true;
        self.shared.stop.notify_all();
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

    /// The polling thread: runs from the first directory that cannot be watched until the end.
    fn poll(&self) {
        loop {
            let table = lock(&self.table);
            let (table, _) = self
                .stop
                .wait_timeout_while(table, POLL_EVERY, |table| !table.stopped)
                .unwrap_or_else(PoisonError::into_inner);
            if table.stopped {
                return;
            }
            let polled: Vec<PathBuf> =
                table.directories.iter().filter(|(_, entry)| !entry.watched).map(|(path, _)| path.clone()).collect();
            drop(table);
            for directory in polled {
                // From now on events come, but what happened before they did must be looked for.
                let seen = if self.set(&directory) { Seen::Rescan } else { Seen::Look };
                let sinks = lock(&self.table).directories.get(&directory).map(|entry| entry.sinks.clone());
                call(&sinks.unwrap_or_default(), seen);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    /// Longest wait for an event in a test.
    const PATIENCE: Duration = Duration::from_secs(5);

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Sink for Notes {
        fn seen(&self, which: Which, seen: Seen<'_>) {
            let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let text = match seen {
                Seen::Appeared(n) => format!("+{}", name(n)),
                Seen::Removed(n) => format!("-{}", name(n)),
                Seen::MovedAway(n) => format!("<{}", name(n)),
                other => format!("{other:?}"),
            };
            lock(&self.0).push(format!("{which:?} {text}"));
        }
    }

    fn wait_for(notes: &Notes, expected: &[&str]) {
        let start = Instant::now();
        while *lock(&notes.0) != expected {
            assert!(start.elapsed() < PATIENCE, "{:?} instead of {expected:?}", lock(&notes.0));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn opening_cur_tells_that_everything_before_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let (new, cur) = (dir.path().join("new"), dir.path().join("cur"));
        fs::create_dir(&new).unwrap();
        fs::create_dir(&cur).unwrap();
        let watch = Watch::new();
        let notes = Arc::new(Notes::default());
        let sink: Arc<dyn Sink> = notes.clone();
        let _looking = [watch.look(&new, Which::New, &sink), watch.look(&cur, Which::Cur, &sink)];
        fs::write(new.join("cur"), "a message of that name").unwrap();
        fs::File::open(new.join("cur")).unwrap();
        fs::File::open(&cur).unwrap();
        wait_for(&notes, &["New +cur", "Cur Opened"]);
    }

    fn look(watch: &Watch, dir: &Path, which: Which) -> (Arc<Notes>, Looking) {
        let notes = Arc::new(Notes::default());
        let sink: Arc<dyn Sink> = notes.clone();
        let looking = watch.look(dir, which, &sink);
        (notes, looking)
    }

    #[test]
    fn names_that_come_and_go_are_told_and_reading_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (new, cur) = (dir.path().join("new"), dir.path().join("cur"));
        fs::create_dir(&new).unwrap();
        fs::create_dir(&cur).unwrap();
        let watch = Watch::new();
        let (notes, looking) = look(&watch, &new, Which::New);
        assert!(looking.is_watched());
        fs::write(new.join("a"), "x").unwrap();
        fs::read(new.join("a")).unwrap();
        fs::rename(new.join("a"), cur.join("a:2,")).unwrap();
        fs::rename(cur.join("a:2,"), new.join("b")).unwrap();
        fs::rename(new.join("b"), new.join("c")).unwrap();
        fs::remove_file(new.join("c")).unwrap();
        wait_for(&notes, &["New +a", "New <a", "New +b", "New <b", "New +c", "New -c"]);
    }

    #[test]
    fn the_last_one_who_looks_takes_the_watch_along() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::new();
        let (first, one) = look(&watch, dir.path(), Which::Cur);
        let (second, two) = look(&watch, dir.path(), Which::Cur);
        fs::write(dir.path().join("a"), "").unwrap();
        wait_for(&first, &["Cur +a"]);
        wait_for(&second, &["Cur +a"]);
        drop(one);
        fs::write(dir.path().join("b"), "").unwrap();
        wait_for(&second, &["Cur +a", "Cur +b"]);
        wait_for(&first, &["Cur +a"]);
        drop(two);
        assert!(lock(&watch.shared.table).directories.is_empty());
        let unwatched = lock(&watch.shared.watcher).as_mut().unwrap().unwatch(dir.path());
        assert!(matches!(unwatched.unwrap_err().kind, ErrorKind::WatchNotFound));
    }

    #[test]
    fn a_directory_that_goes_away_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let cur = dir.path().join("cur");
        fs::create_dir(&cur).unwrap();
        let watch = Watch::new();
        let (notes, looking) = look(&watch, &cur, Which::Cur);
        fs::remove_dir(&cur).unwrap();
        wait_for(&notes, &["Cur DirectoryGone"]);
        drop(looking);
        // The same name again is a new directory with a watch of its own.
        fs::create_dir(&cur).unwrap();
        let (notes, _looking) = look(&watch, &cur, Which::Cur);
        fs::write(cur.join("x"), "").unwrap();
        wait_for(&notes, &["Cur +x"]);
    }

    #[test]
    fn an_overflow_makes_everybody_look() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::new();
        let (notes, _looking) = look(&watch, dir.path(), Which::New);
        watch.shared.handle(Ok(notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        watch.shared.handle(Err(notify::Error::generic("read failed")));
        wait_for(&notes, &["New Rescan", "New Rescan"]);
    }

    #[test]
    fn what_cannot_be_watched_is_polled_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("later");
        let watch = Watch::new();
        let (notes, looking) = look(&watch, &missing, Which::New);
        assert!(!looking.is_watched());
        assert_eq!(watch.polled(), 1);
        fs::create_dir(&missing).unwrap();
        let start = Instant::now();
        while watch.polled() == 1 {
            assert!(start.elapsed() < POLL_EVERY + PATIENCE);
            std::thread::sleep(Duration::from_millis(20));
        }
        wait_for(&notes, &["New Rescan"]);
    }
}
