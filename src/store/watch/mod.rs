//! The watch: what other programs do to folders that somebody looks at.
//!
//! Owns one inotify instance for the process ([`kernel`]) and a table of watched directories: a folder's `new/` and
//! `cur/`, from the first listener until [`Looking`] is dropped. It reads no directory and holds no mail: it
//! tells a [`Sink`] which names appeared and vanished, or that it must look for itself. Events come on a thread of their
//! own, so a sink only makes a note and raises its notices.
//!
//! One event after a quiet time is told at once. While many come, they are gathered for [`GATHER`]: else every rename of a STORE would wake this
//! thread, which costs both sides more than the event does.
//!
//! The order that makes it exact, kept by the mailbox: set the watch, then scan, then believe events; and before it says that nothing happened,
//! ask whether everything was told ([`Watch::fence`]). The queue overflows: every sink is told to look for itself. Watches run out (ENOSPC), or
//! the directory cannot be watched: said once in the log, counted in [`Watch::polled`], and that folder's sink is told every
//! [`POLL_EVERY`] to compare directory times. Whoever looks then also tries again to set a real watch ([`Looking::try_again`]).
//! If the reading thread ends, which only a bug could cause, every folder is polled.
//!
//! A watch is set by the thread that asks for it, which has taken on the identity of the folder's owner: so it reaches into a home
//! of mode 0700, and no thread needs the right to read everybody's files.
//!
//! Leaves nothing on disk.

mod kernel;
mod poll;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, WatchDescriptor};

use self::kernel::{Kernel, Raw};
use self::poll::POLL_EVERY;

/// While events come one after the other, they are read so much later, all at once. A fence does not wait for that.
const GATHER: Duration = Duration::from_millis(1);
/// Events that come no later than this after the last ones are one after the other.
const STORM: Duration = Duration::from_millis(4);

/// What happened in a watched directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A name appeared: created, linked, or renamed to.
    Appeared(&'a [u8]),
    /// A name vanished: the file was removed.
    Removed(&'a [u8]),
    /// A name vanished: the file was renamed, within the folder or away.
    MovedAway(&'a [u8]),
    /// The directory itself was removed, renamed or unmounted.
    DirectoryGone,
    /// Events may have been lost: read the directory.
    Rescan,
    /// Nothing is known: compare the directory's times.
    Look,
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
}

/// Locked in this order: `setting`, `table`, `fences`. Sinks are called without any.
struct Shared {
    /// Held while a watch is set or removed, so that nobody removes one that somebody else is about to get.
    setting: Mutex<Setting>,
    table: Mutex<Table>,
    /// Numbers of the fences that have not been told of.
    fences: Mutex<HashSet<i32>>,
    told: Condvar,
    /// For the reading thread while it gathers events: somebody waits for a fence.
    hurry: Condvar,
    /// For the polling thread: there is something new to wait for, or the end.
    news: Condvar,
    poller: Mutex<Option<JoinHandle<()>>>,
    complained: AtomicBool,
    /// How often the reading thread was woken.
    #[cfg(test)]
    batches: std::sync::atomic::AtomicUsize,
}

struct Setting {
    /// `None` if this system gave us no inotify instance, or nobody reads it.
    kernel: Option<Kernel>,
    /// The watch whose end will be the next fence.
    standing: Option<WatchDescriptor>,
}

#[derive(Default)]
struct Table {
    directories: HashMap<PathBuf, Entry>,
    /// Which directories a watch is for, by its number: two, if there are two paths to one directory.
    watches: HashMap<i32, Vec<PathBuf>>,
    /// Who asked to be told to look, and when.
    later: Vec<(Instant, Weak<dyn Sink>)>,
    stopped: bool,
}

/// Those who look at a directory.
type Sinks = Vec<(Weak<dyn Sink>, Which)>;

#[derive(Default)]
struct Entry {
    sinks: Arc<Sinks>,
    watch: Option<WatchDescriptor>,
}

/// As long as this lives, the sink is told.
pub(super) struct Looking {
    shared: Arc<Shared>,
    directory: PathBuf,
    sink: Weak<dyn Sink>,
}

impl Watch {
    /// Start the reading thread. Never fails: without inotify, every folder is polled, and the log says so.
    pub(super) fn new() -> Watch {
        let kernel = Kernel::new();
        let shared = Arc::new(Shared {
            setting: Mutex::new(Setting { kernel: kernel.as_ref().ok().cloned(), standing: None }),
            table: Mutex::default(),
            fences: Mutex::default(),
            told: Condvar::new(),
            hurry: Condvar::new(),
            news: Condvar::new(),
            poller: Mutex::new(None),
            complained: AtomicBool::new(false),
            #[cfg(test)]
            batches: Default::default(),
        });
        let weak = Arc::downgrade(&shared);
        let started = kernel.map_err(std::io::Error::from).and_then(|kernel| {
            std::thread::Builder::new().name("mailcote-watch".into()).spawn(move || read_events(&kernel, weak))
        });
        if let Err(e) = started {
            shared.complain(Path::new("inotify"), &e.to_string());
        }
        Watch { shared }
    }

    /// Tell `sink` what happens in `directory` from now on. Scan *after* this.
    pub(super) fn look(&self, directory: &Path, which: Which, sink: &Arc<dyn Sink>) -> Looking {
        let is_set = {
            let mut table = lock(&self.shared.table);
            let entry = table.directories.entry(directory.to_owned()).or_default();
            Arc::make_mut(&mut entry.sinks).push((Arc::downgrade(sink), which));
            entry.watch.is_some()
        };
        if !is_set && !self.shared.set(directory) {
            self.shared.start_polling();
        }
        Looking { shared: Arc::clone(&self.shared), directory: directory.to_owned(), sink: Arc::downgrade(sink) }
    }

    /// Was everything that happened until now told to the sinks, after at most `time`? False: nobody knows; read the directories.
    pub(super) fn fence(&self, time: Duration) -> bool {
        let Some(number) = self.shared.raise_fence() else { return false };
        let fences = lock(&self.shared.fences);
        let waited = self.shared.told.wait_timeout_while(fences, time, |fences| fences.contains(&number));
        let (mut fences, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !fences.remove(&number)
    }

    /// `directory` is another one now, or none: its watch ends, whoever looks. An inotify watch belongs to the inode: whoever looks at
    /// a new directory of the old name must get a watch of its own.
    pub(super) fn forget(&self, directory: &Path) {
        self.shared.forget(directory, |_| true);
    }

    /// Directories that cannot be watched and are polled, for metrics.
    pub(super) fn polled(&self) -> usize {
        lock(&self.shared.table).directories.values().filter(|entry| entry.watch.is_none()).count()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.shared.table).stopped = true;
        self.shared.news.notify_all();
        // Its event wakes the reading thread, which sees the end.
        self.shared.raise_fence();
        if let Some(poller) = lock(&self.shared.poller).take()
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
        lock(&self.shared.table).directories.get(&self.directory).is_some_and(|entry| entry.watch.is_some())
    }

    /// Where there is no watch, try again to set one. If that succeeds, everybody who looks here is told to read the directory,
    /// since what happened before is in no event.
    pub(super) fn try_again(&self) {
        if !self.is_watched() && self.shared.set(&self.directory) {
            let sinks = lock(&self.shared.table).directories.get(&self.directory).map(|entry| Arc::clone(&entry.sinks));
            call(&sinks.unwrap_or_default(), Seen::Rescan);
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.shared.forget(&self.directory, |entry| {
            let sinks = Arc::make_mut(&mut entry.sinks);
            if let Some(at) = sinks.iter().position(|(sink, _)| sink.ptr_eq(&self.sink)) {
                sinks.swap_remove(at);
            }
            sinks.is_empty()
        });
    }
}

impl Shared {
    /// Set a real watch; false if the directory has to be polled.
    fn set(&self, directory: &Path) -> bool {
        let setting = lock(&self.setting);
        let Some(kernel) = &setting.kernel else { return false };
        let watch = match kernel.watch(directory) {
            Ok(watch) => watch,
            Err(e) => {
                self.complain(directory, e.desc());
                return false;
            }
        };
        // Events that were read before this line have no directory. They are older than the scan that follows.
        let mut table = lock(&self.table);
        let Table { directories, watches, .. } = &mut *table;
        let entry = directories.get_mut(directory);
        let is_wanted = entry.is_some();
        if let Some(entry) = entry {
            entry.watch = Some(watch);
            let paths = watches.entry(watch.as_raw()).or_default();
            if !paths.iter().any(|path| path == directory) {
                paths.push(directory.to_owned());
            }
        } else if !watches.contains_key(&watch.as_raw()) {
            remove(kernel, watch);
        }
        is_wanted
    }

    /// End the watch of `directory` if `gone` says so, or was it the last one's?
    fn forget(&self, directory: &Path, gone: impl FnOnce(&mut Entry) -> bool) {
        let setting = lock(&self.setting);
        let mut table = lock(&self.table);
        let Table { directories, watches, .. } = &mut *table;
        if !directories.get_mut(directory).is_some_and(gone) {
            return;
        }
        let Some(watch) = directories.remove(directory).and_then(|entry| entry.watch) else { return };
        let Some(paths) = watches.get_mut(&watch.as_raw()) else { return };
        paths.retain(|path| path != directory);
        if paths.is_empty() {
            watches.remove(&watch.as_raw());
            drop(table);
            setting.kernel.iter().for_each(|kernel| remove(kernel, watch));
        }
    }

    /// Put an event behind all that happened until now; its number, to wait for. `None` if that cannot be.
    fn raise_fence(&self) -> Option<i32> {
        let mut setting = lock(&self.setting);
        let Setting { kernel: Some(kernel), standing } = &mut *setting else { return None };
        let watch = standing.take().or_else(|| kernel.stand().ok())?;
        lock(&self.fences).insert(watch.as_raw());
        let removed = kernel.remove(watch);
        // The next fence finds it there, and saves a call.
        *standing = kernel.stand().ok();
        if removed.is_err() {
            lock(&self.fences).remove(&watch.as_raw());
        }
        self.hurry.notify_all();
        removed.ok().map(|()| watch.as_raw())
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

    fn handle(self: &Arc<Self>, event: Raw<'_>) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            tracing::info!("inotify queue overflowed; every open folder is read again");
            self.tell_all(Seen::Rescan);
            // Their events may be among the lost ones; all who wait have just been told to read the directories.
            lock(&self.fences).clear();
            self.told.notify_all();
            return;
        }
        let seen = if event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
            Seen::Appeared(event.name)
        } else if event.mask.contains(AddWatchFlags::IN_MOVED_FROM) {
            Seen::MovedAway(event.name)
        } else if event.mask.contains(AddWatchFlags::IN_DELETE) {
            Seen::Removed(event.name)
        } else if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            if lock(&self.fences).remove(&event.watch) {
                return self.told.notify_all();
            }
            // The directory was removed or unmounted, and took the watch along.
            return self.lose(event.watch);
        } else if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
            // The watch goes on under another name, which is not ours to look at.
            return self.lose(event.watch);
        } else {
            // IN_DELETE_SELF and IN_UNMOUNT, which IN_IGNORED follows.
            return;
        };
        for n in 0.. {
            let Some(sinks) = self.sinks_of(event.watch, n) else { return };
            call(&sinks, seen);
        }
    }

    /// Of the directory that `watch` is for; of the `n`th, if there are several paths to it.
    fn sinks_of(&self, watch: i32, n: usize) -> Option<Arc<Sinks>> {
        let table = lock(&self.table);
        let path = table.watches.get(&watch)?.get(n)?;
        Some(Arc::clone(&table.directories.get(path)?.sinks))
    }

    /// What `watch` was set on is not there any more: what is called so next needs a watch of its own.
    fn lose(self: &Arc<Self>, watch: i32) {
        let mut gone = Vec::new();
        {
            let setting = lock(&self.setting);
            let mut table = lock(&self.table);
            let Table { directories, watches, .. } = &mut *table;
            for path in watches.remove(&watch).into_iter().flatten() {
                let Some(entry) = directories.get_mut(&path) else { continue };
                gone.push(Arc::clone(&entry.sinks));
                if let (Some(watch), Some(kernel)) = (entry.watch.take(), &setting.kernel) {
                    remove(kernel, watch);
                }
            }
        }
        if !gone.is_empty() {
            self.start_polling();
        }
        gone.iter().for_each(|sinks| call(sinks, Seen::DirectoryGone));
    }

    /// The reading thread has ended before the process.
    fn give_up(self: &Arc<Self>) {
        tracing::error!("the thread that reads inotify has ended; polling every {POLL_EVERY:?} from now on");
        {
            let mut setting = lock(&self.setting);
            setting.kernel = None;
            let mut table = lock(&self.table);
            table.watches.clear();
            table.directories.values_mut().for_each(|entry| entry.watch = None);
        }
        self.start_polling();
        self.tell_all(Seen::Rescan);
    }

    fn tell_all(&self, seen: Seen<'_>) {
        let all: Vec<_> = lock(&self.table).directories.values().map(|entry| Arc::clone(&entry.sinks)).collect();
        all.iter().for_each(|sinks| call(sinks, seen));
    }
}

/// The reading thread: tells until the [`Watch`] is dropped.
fn read_events(kernel: &Kernel, shared: Weak<Shared>) {
    /// Whatever ends the thread, a panic of a sink too, does not leave clients waiting for events that never come.
    struct Guard(Weak<Shared>);

    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(shared) = self.0.upgrade()
                && !lock(&shared.table).stopped
            {
                shared.give_up();
            }
        }
    }

    let guard = Guard(shared);
    let mut buffer = vec![0; kernel::BUFFER];
    let mut last: Option<Instant> = None;
    loop {
        let events = match kernel.read(&mut buffer) {
            Ok(events) => events,
            Err(e) => return tracing::error!(error = e.desc(), "cannot read inotify events"),
        };
        let Some(shared) = guard.0.upgrade().filter(|shared| !lock(&shared.table).stopped) else { return };
        #[cfg(test)]
        shared.batches.fetch_add(1, Ordering::Relaxed);
        events.for_each(|event| shared.handle(event));
        let now = Instant::now();
        if last.replace(now).is_some_and(|last| now - last < STORM) {
            let fences = lock(&shared.fences);
            drop(shared.hurry.wait_timeout_while(fences, GATHER, |fences| fences.is_empty()));
        }
    }
}

/// A directory that is gone took its watch along: that is no error.
fn remove(kernel: &Kernel, watch: WatchDescriptor) {
    if let Err(e) = kernel.remove(watch)
        && e != Errno::EINVAL
    {
        tracing::warn!(error = e.desc(), "cannot remove a watch");
    }
}

/// Without any lock held: a sink raises notices, which may run a waker.
fn call(sinks: &Sinks, seen: Seen<'_>) {
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
