//! What happens in the folders of an account, for sessions that follow many of them at once (NOTIFY, RFC 5465).
//!
//! Owns no mail and opens no folder: a followed folder costs two directory watches and about a kilobyte, shared by all sessions of the
//! process, where an open one costs 200 bytes a message. What comes of it is only *that* something happened: one number a folder that grows with each
//! change, one for the tree, one for the subscriptions; a session compares them with the number it has dealt with, so none can miss a
//! change however long it was away, and nothing grows with the mail that comes. What really changed is seen by looking: STATUS, LIST.
//!
//! Three things tell: the directory watches (other programs, deliveries, and our own renames), open folders ([`Lookout::changed`]: what is
//! in no directory, such as the 27th keyword), and sessions that change the tree ([`Turn::did`]), who also say what they did, since a rename cannot
//! be told from a removal and a creation afterwards. Of the latter the last [`MAX_DONE`] are remembered; whoever comes later sees the difference only.
//!
//! Where directories cannot be watched, the sessions are woken by the polling thread and one of them compares the times of all such
//! directories, as the owner of the mail ([`Store::look_around`]).
//!
//! Fails as looking for a folder fails; leaves nothing on disk.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use super::mailbox::{Known, Stamp};
use super::process::Process;
use super::watch::{Looking, Seen, Sink, Which};
use super::{Name, Result, Store, subscriptions};
use crate::notice::Raiser;

/// Changes of the tree that are remembered by name: a client that makes a hundred folders, a few times over; 200 bytes each.
const MAX_DONE: usize = 500;

/// What a session did to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Made this folder, and what was missing above it.
    Created(Name),
    /// Removed it.
    Deleted(Name),
    /// Renamed the first to the second, with what is below it.
    Renamed(Name, Name),
    /// Subscribed or unsubscribed.
    Subscribed(Name),
    /// Changed who may do what there.
    Permitted(Name),
}

/// What happened since somebody last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// To go on from.
    pub last: u64,
    /// Followed folders in which something changed.
    pub folders: Vec<Name>,
    /// Folders came or went, or rights were changed.
    pub tree: bool,
    /// Subscriptions were changed.
    pub subscriptions: bool,
    /// What sessions did, oldest first, and which session: as far as it is remembered.
    pub done: Vec<(u64, Done)>,
}

/// The lookout of one account.
#[derive(Default)]
pub struct Lookout {
    notes: Mutex<Notes>,
    /// Held while a session changes the tree, and while one looks at it.
    turn: Mutex<()>,
    /// A directory that cannot be watched may have changed.
    look_due: AtomicBool,
}

#[derive(Default)]
struct Notes {
    /// The number of the last change of anything.
    last: u64,
    folders: HashMap<Name, Noted>,
    tree: u64,
    subscriptions: u64,
    done: VecDeque<(u64, u64, Done)>,
    tree_watch: Weak<FollowedTree>,
    /// Who waits, and whether he was told since he last asked.
    listeners: Vec<(Raiser, bool)>,
}

/// A followed folder.
struct Noted {
    changed: u64,
    /// All that somebody may still hold, the latest last: one, unless the directory was replaced.
    followed: Vec<Weak<Followed>>,
}

impl Noted {
    fn living(&self) -> impl DoubleEndedIterator<Item = Arc<Followed>> {
        self.followed.iter().filter_map(Weak::upgrade)
    }
}

/// As long as this lives, changes in the folder are noted.
pub struct Followed {
    lookout: Weak<Lookout>,
    name: Name,
    dir: PathBuf,
    /// The watches ended: the directory is another one now, or none.
    gone: AtomicBool,
    /// Which directories they are, and what is known of them while they cannot be watched.
    known: Mutex<Option<Known>>,
    looking: OnceLock<[Looking; 2]>,
}

/// As long as this lives, changes of the tree and the subscriptions are noted.
pub struct FollowedTree {
    lookout: Weak<Lookout>,
    me: Weak<FollowedTree>,
    levels: Mutex<HashMap<PathBuf, Looking>>,
}

/// The right to change the tree, or to look at it while nobody of this process changes it.
pub struct Turn<'a> {
    lookout: &'a Lookout,
    _guard: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// The session `by` did this.
    pub fn did(&self, by: u64, done: Done) {
        self.lookout.note(|notes| {
            match done {
                Done::Subscribed(_) => notes.subscriptions = notes.last,
                _ => notes.tree = notes.last,
            }
            notes.done.push_back((notes.last, by, done));
            if notes.done.len() > MAX_DONE {
                notes.done.pop_front();
            }
        });
    }
}

impl Lookout {
    /// Wait until nobody else is at the tree.
    pub fn turn(&self) -> Turn<'_> {
        Turn { lookout: self, _guard: lock(&self.turn) }
    }

    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.notes().last
    }

    /// Raise `raiser` on every change from now on, until its waiter is gone: once until it asks.
    pub fn listen(&self, raiser: Raiser) {
        let mut notes = self.notes();
        notes.listeners.retain(|(raiser, _)| raiser.is_alive());
        match notes.listeners.iter_mut().find(|(other, _)| other.is_same(&raiser)) {
            Some((_, told)) => *told = false,
            None => notes.listeners.push((raiser, false)),
        }
    }

    /// What happened after `since`. Whoever is raised has to look around before ([`Store::look_around`]).
    pub fn after(&self, since: u64) -> News {
        let notes = self.notes();
        if notes.last == since {
            return News { last: since, ..News::default() };
        }
        let changed = notes.folders.iter().filter(|(_, noted)| noted.changed > since);
        News {
            last: notes.last,
            folders: changed.map(|(name, _)| name.clone()).collect(),
            tree: notes.tree > since,
            subscriptions: notes.subscriptions > since,
            done: notes.done.iter().filter(|(at, ..)| *at > since).map(|(_, by, done)| (*by, done.clone())).collect(),
        }
    }

    /// Something changed in this folder.
    pub(super) fn changed(&self, name: &Name) {
        if !self.notes().folders.contains_key(name) {
            return;
        }
        self.note(|notes| {
            let last = notes.last;
            if let Some(noted) = notes.folders.get_mut(name) {
                noted.changed = last;
            }
        });
    }

    /// The folder that was open under this name is gone from there, and its watches with it.
    pub(super) fn closed(&self, name: &Name) {
        let followed: Vec<_> = self.notes().folders.get(name).into_iter().flat_map(Noted::living).collect();
        for folder in &followed {
            folder.gone.store(true, Ordering::Release);
        }
        if !followed.is_empty() {
            self.tree_changed();
        }
    }

    fn tree_changed(&self) {
        self.note(|notes| notes.tree = notes.last);
    }

    /// A directory that is not watched: somebody must look.
    fn look_due(&self) {
        self.look_due.store(true, Ordering::Release);
        // Also if it was due before: whoever was raised then may have ended since without looking.
        self.raise();
    }

    /// The one who is raised by `raiser` looks at what happened from here on, and is to be raised by what happens later.
    fn asked(&self, raiser: &Raiser) {
        let mut notes = self.notes();
        if let Some((_, told)) = notes.listeners.iter_mut().find(|(other, _)| other.is_same(raiser)) {
            *told = false;
        }
    }

    /// Note changes in this folder, unless somebody else has begun to follow the same directory in the meantime: then it is his that is followed.
    fn enter(&self, folder: Arc<Followed>) -> Arc<Followed> {
        // Declared before the lock, so dropped after it: the end of a watch is foreign code.
        let living: Vec<_>;
        let mut notes = self.notes();
        living = notes.folders.get(&folder.name).into_iter().flat_map(Noted::living).collect();
        if let Some(other) = living.iter().rev().find(|other| other.is_as(&folder)) {
            return Arc::clone(other);
        }
        notes.folders.retain(|_, noted| {
            noted.followed.retain(|followed| followed.strong_count() > 0);
            !noted.followed.is_empty()
        });
        let changed = notes.last;
        let noted = notes.folders.entry(folder.name.clone()).or_insert(Noted { changed, followed: Vec::new() });
        noted.changed = changed;
        noted.followed.push(Arc::downgrade(&folder));
        folder
    }

    fn note(&self, change: impl FnOnce(&mut Notes)) {
        {
            let mut notes = self.notes();
            notes.last += 1;
            change(&mut notes);
        }
        self.raise();
    }

    fn raise(&self) {
        // Raised outside the lock: a waker is foreign code.
        let raisers: Vec<Raiser> = {
            let mut notes = self.notes();
            let mut tell = |(raiser, told): &mut (Raiser, bool)| {
                if std::mem::replace(told, true) { None } else { Some(raiser.clone()) }
            };
            notes.listeners.iter_mut().filter_map(&mut tell).collect()
        };
        for raiser in raisers {
            raiser.raise();
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }
}

impl Store {
    /// Notes of what happens in this account.
    pub fn lookout(&self) -> &Arc<Lookout> {
        &self.lookout
    }

    /// Have changes in a folder noted from now on. Look at it *after* this; ask again when the tree has changed, since it may be another one.
    pub fn follow(&self, name: &Name) -> Result<Arc<Followed>> {
        let _owner = self.assume()?;
        let dir = self.tree.find(name)?;
        let known = self.lookout.notes().folders.get(name).and_then(|noted| noted.living().next_back());
        if let Some(folder) = known.filter(|folder| folder.is_still(&dir)) {
            return Ok(folder);
        }
        Ok(self.lookout.enter(self.begin_to_follow(name, dir)))
    }

    fn begin_to_follow(&self, name: &Name, dir: PathBuf) -> Arc<Followed> {
        let folder = Arc::new(Followed {
            lookout: Arc::downgrade(&self.lookout),
            name: name.clone(),
            dir,
            gone: AtomicBool::new(false),
            known: Mutex::default(),
            looking: OnceLock::new(),
        });
        folder.look(&self.process);
        folder
    }

    /// Have changes of the tree noted from now on, also by directories that were made since this was last asked. List the folders *after* this.
    pub fn follow_tree(&self) -> Result<Arc<FollowedTree>> {
        let known = self.lookout.notes().tree_watch.upgrade();
        let tree = known.unwrap_or_else(|| {
            let lookout = Arc::downgrade(&self.lookout);
            let levels = Mutex::default();
            Arc::new_cyclic(|me| FollowedTree { lookout, me: Weak::clone(me), levels })
        });
        self.lookout.notes().tree_watch = Arc::downgrade(&tree);
        let _owner = self.assume()?;
        // First the root, then what is found in it.
        tree.look(&self.process, std::iter::once(self.home.maildir.clone()).collect(), false);
        let levels = self.tree.levels()?.into_iter().map(|level| self.home.maildir.join(level));
        tree.look(&self.process, levels.chain([self.home.maildir.clone()]).collect(), true);
        Ok(tree)
    }

    /// Compare the times of followed directories that cannot be watched, if it is time for that, and note what changed; for the one who
    /// is raised by `raiser`, who asks what happened after this, and is raised again from now on.
    pub fn look_around(&self, raiser: &Raiser) -> Result<()> {
        // First of all: if it falls due again behind the next line, somebody is to be raised.
        self.lookout.asked(raiser);
        if !self.lookout.look_due.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let _owner = self.assume()?;
        let followed: Vec<Arc<Followed>> = {
            let notes = self.lookout.notes();
            notes.folders.values().flat_map(Noted::living).collect()
        };
        for folder in &followed {
            folder.looking.get().into_iter().flatten().for_each(Looking::try_again);
        }
        for folder in followed.iter().filter(|folder| folder.has_changed_unseen()) {
            self.lookout.changed(&folder.name);
        }
        Ok(())
    }
}

impl Followed {
    /// Is it the folder in `dir`, and are the watches for it? No event of a folder's own tells that it was renamed: it is the root that changed.
    fn is_still(&self, dir: &Path) -> bool {
        let same = || {
            let (known, now) = (lock(&self.known), Stamp::take(dir));
            known.is_some_and(|known| now.is_ok_and(|now| known.stamp().same_folder(&now)))
        };
        !self.gone.load(Ordering::Acquire) && self.dir == dir && same()
    }

    /// Is it the same folder as the other one, as far as is known? Touches no disk.
    fn is_as(&self, other: &Followed) -> bool {
        let same = || {
            let (known, now) = (*lock(&self.known), *lock(&other.known));
            known.is_some_and(|known| now.is_some_and(|now| known.stamp().same_folder(now.stamp())))
        };
        !self.gone.load(Ordering::Acquire) && self.dir == other.dir && same()
    }

    fn look(self: &Arc<Self>, process: &Process) {
        let sink: Arc<dyn Sink> = self.clone();
        let look = |which, part| process.watch.look(&self.dir.join(part), which, &sink);
        // Set once, here.
        let _ = self.looking.set([look(Which::New, "new"), look(Which::Cur, "cur")]);
        *lock(&self.known) = Stamp::take(&self.dir).ok().map(|stamp| Known::after_scan(None, stamp, Instant::now()));
    }

    /// The directories cannot be watched, and have other times than when this was last asked, or may have.
    fn has_changed_unseen(&self) -> bool {
        if self.looking.get().is_none_or(|looking| looking.iter().all(Looking::is_watched)) {
            return false;
        }
        let mut known = lock(&self.known);
        let (now, stamp) = (Instant::now(), Stamp::take(&self.dir));
        let Ok(stamp) = stamp else { return true };
        let changed = known.is_none_or(|known| known.needs_scan(stamp));
        *known = Some(Known::after_scan(*known, stamp, now));
        changed
    }
}

impl Sink for Followed {
    fn seen(&self, _: Which, seen: Seen<'_>) {
        let Some(lookout) = self.lookout.upgrade() else { return };
        match seen {
            // No message: `.nfs...`, editors' swap files.
            Seen::Appeared(name) | Seen::Removed(name) | Seen::MovedAway(name) if name.starts_with(b".") => {}
            Seen::Appeared(_) | Seen::Removed(_) | Seen::MovedAway(_) | Seen::Rescan => lookout.changed(&self.name),
            Seen::DirectoryGone => {
                self.gone.store(true, Ordering::Release);
                lookout.tree_changed();
            }
            Seen::Look => lookout.look_due(),
        }
    }
}

impl FollowedTree {
    /// Look at just these directories, or at these too.
    fn look(&self, process: &Process, wanted: HashSet<PathBuf>, only: bool) {
        let Some(sink) = self.me.upgrade() else { return };
        let sink: Arc<dyn Sink> = sink;
        let mut levels = lock(&self.levels);
        if only {
            levels.retain(|path, _| wanted.contains(path));
        }
        for path in wanted {
            // One that was removed and made again has lost its watch.
            levels
                .entry(path)
                .and_modify(|looking| looking.try_again())
                .or_insert_with_key(|path| process.watch.look(path, Which::Cur, &sink));
        }
    }
}

impl Sink for FollowedTree {
    fn seen(&self, _: Which, seen: Seen<'_>) {
        let Some(lookout) = self.lookout.upgrade() else { return };
        match seen {
            Seen::Appeared(name) | Seen::Removed(name) | Seen::MovedAway(name) => {
                if name == subscriptions::FILE.as_bytes() {
                    lookout.note(|notes| notes.subscriptions = notes.last);
                } else if super::tree::may_be_folder(name) {
                    lookout.tree_changed();
                }
            }
            Seen::DirectoryGone | Seen::Rescan | Seen::Look => {
                lookout.note(|notes| (notes.tree, notes.subscriptions) = (notes.last, notes.last));
            }
        }
    }
}

/// A panic leaves notes as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
