//! [`Stores`], the process's table of open accounts, and [`Store`], one of them: which folders it has and which the user wants to see.
//!
//! A home that does not exist yet is made at its first use, under its owner's identity, with the default folders. INBOX's own
//! `cur/` and `new/` are made last: a home without them is not finished, and the next opening makes the rest. It is not made where a
//! file system is missing that it belongs on ([`super::mounts`]).
//!
//! An account is kept as long as somebody holds it, so that all sessions and deliveries of a user share one [`Store`]
//! and through it one [`super::Mailbox`] a folder; and for a minute after it was opened, since mail and pollers come in
//! bursts and opening costs a dozen system calls.
//!
//! Leaves on disk: the Maildir (see [`super::tree`]), `subscriptions`, `mailcote.tree`, lock files.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::acl::Absent;
use super::kept::Kept;
use super::lookout::Lookout;
use super::mailbox::clean;
use super::metadata::Feed;
use super::mounts::Mounts;
use super::process::Process;
use super::quota::{Limits, Quota};
use super::tree::{self, Folder, Moved, Tree};
use super::{Assumed, Charset, Error, Home, Mailbox, Name, Result, Role, subscriptions};

/// Accounts in the table before those that nobody holds any more are dropped from it; then again at twice what is left.
const FIRST_CLEANING: usize = 256;
/// Accounts kept open though nobody holds them: a kilobyte or so each. Must be below [`FIRST_CLEANING`].
const MAX_KEPT: usize = 64;
/// How long after its opening: short, so that `tmp/` is still cleaned and a tree still looked over now and then.
const KEEP_FOR: Duration = Duration::from_secs(60);

/// What the store is told by the configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Host part of new file names.
    pub hostname: String,
    /// A running Dovecot shares the accounts: honour its `dovecot-uidlist.lock`.
    pub coexist: bool,
    /// Folders made at first use, with their roles.
    pub default_folders: Vec<(Name, Role)>,
    /// How names of folders are spelled on disk; `None` is what each tree speaks already.
    pub mailbox_names: Option<Charset>,
    /// What must be mounted before a home is made below it.
    pub mounts: Mounts,
    /// How much mail an account may have that has no limits of its own.
    pub quota: Limits,
}

/// The process's table of open accounts. Cheap to clone.
#[derive(Clone)]
pub struct Stores(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    process: Arc<Process>,
    table: Mutex<Table>,
    /// Opened lately, oldest first.
    kept: Mutex<VecDeque<(Instant, Arc<Store>)>>,
    folders: Arc<Kept>,
}

/// Accounts by Maildir. A slot's own lock is held while its account is opened, so that two logins at once make one store and
/// a slow disk keeps nobody else waiting.
struct Table {
    slots: HashMap<PathBuf, Arc<Mutex<Weak<Store>>>>,
    clean_at: usize,
}

/// One account's tree.
pub struct Store {
    pub(super) home: Home,
    pub(super) settings: Arc<Settings>,
    pub(super) tree: Tree,
    /// Folders that somebody has open.
    pub(super) open: Mutex<HashMap<Name, Weak<Mailbox>>>,
    /// Held while a folder is opened.
    pub(super) opening: Mutex<()>,
    /// When the disk last had plenty of room, and how much; see [`super::room`].
    pub(super) plenty: Mutex<Option<(Instant, u64)>>,
    pub(super) process: Arc<Process>,
    /// Folders that stay open for a while.
    pub(super) kept: Weak<Kept>,
    pub(super) me: Weak<Store>,
    /// Changed annotations.
    pub(super) feed: Feed,
    /// Folders without an ACL.
    pub(super) absent: Absent,
    /// How much mail there is and may be.
    pub(super) quota: Arc<Quota>,
    /// What happens in the folders.
    pub(super) lookout: Arc<Lookout>,
}

impl Stores {
    /// An empty table.
    pub fn new(settings: Settings) -> Result<Stores> {
        let table = Table { slots: HashMap::new(), clean_at: FIRST_CLEANING };
        let process = Arc::new(Process::new(&settings));
        Ok(Stores(Arc::new(Shared {
            settings: Arc::new(settings),
            process,
            table: Mutex::new(table),
            kept: Mutex::default(),
            folders: Arc::default(),
        })))
    }

    /// The account at `home`, shared with everybody who has it open. Makes the Maildir and the default folders if
    /// it does not exist yet.
    pub fn open(&self, home: &Home) -> Result<Arc<Store>> {
        let slot = self.slot(home);
        let mut slot = lock(&slot);
        // A home that was removed is made anew, not served from memory.
        if let Some(store) = slot.upgrade().filter(|store| store.is_there()) {
            return Ok(store);
        }
        let mut store = Store::open(home, Arc::clone(&self.0.settings), Arc::clone(&self.0.process))?;
        store.kept = Arc::downgrade(&self.0.folders);
        let store = Arc::new_cyclic(|me| Store { me: Weak::clone(me), ..store });
        *slot = Arc::downgrade(&store);
        self.keep(Arc::clone(&store));
        Ok(store)
    }

    fn keep(&self, store: Arc<Store>) {
        let now = Instant::now();
        let mut kept = lock(&self.0.kept);
        while kept.front().is_some_and(|(opened, _)| kept.len() >= MAX_KEPT || now - *opened > KEEP_FOR) {
            kept.pop_front();
        }
        kept.push_back((now, store));
    }

    /// Directories that somebody looks at and that cannot be watched: they are polled, and IDLE is told some seconds late. For metrics.
    pub fn polled_directories(&self) -> usize {
        self.0.process.watch.polled()
    }

    fn slot(&self, home: &Home) -> Arc<Mutex<Weak<Store>>> {
        let mut table = lock(&self.0.table);
        if table.slots.len() >= table.clean_at {
            // Somebody who is opening holds the slot; somebody who has opened is in it.
            table.slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
            table.clean_at = FIRST_CLEANING.max(2 * table.slots.len());
        }
        Arc::clone(table.slots.entry(home.maildir.clone()).or_default())
    }
}

impl Store {
    fn open(home: &Home, settings: Arc<Settings>, process: Arc<Process>) -> Result<Store> {
        let assumed = assume(home)?;
        let root = &home.maildir;
        let is_fresh = !root.join("cur").is_dir() && !root.join("new").is_dir();
        if is_fresh {
            process.mounts.check(root)?;
        }
        let above = if is_fresh { tree::make_missing(root)? } else { Vec::new() };
        let tree = Tree::open(root, home.layout, settings.mailbox_names, settings.coexist)?;
        if is_fresh {
            tree.make_home(&settings.default_folders, &above)?;
        } else if let Err(error) = tree::complete(root) {
            // A full or read-only disk must not lock the owner out.
            tracing::warn!(root = %root.display(), %error, "cannot make what the Maildir lacks");
        }
        // Drafts begin here, also of accounts that nobody ever reads.
        clean(&root.join("tmp"));
        drop(assumed);
        let (open, opening, plenty) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (kept, me) = (Weak::new(), Weak::new());
        let (feed, quota, lookout) = (Feed::default(), Arc::new(Quota::new(root)), Arc::default());
        let (home, absent) = (home.clone(), Absent::default());
        Ok(Store { home, settings, tree, open, opening, plenty, process, kept, me, feed, absent, quota, lookout })
    }

    /// Is INBOX where it was when the account was opened?
    fn is_there(&self) -> bool {
        let there = |part| self.home.maildir.join(part).is_dir();
        self.assume().is_ok_and(|_owner| there("cur") || there("new"))
    }

    /// Where the account is.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Every folder, INBOX first, then by name; implied parents included.
    pub fn folders(&self) -> Result<Vec<Folder>> {
        let _owner = self.assume()?;
        self.tree.list()
    }

    /// Is there a folder of that name?
    pub fn exists(&self, name: &Name) -> Result<bool> {
        let _owner = self.assume()?;
        match self.tree.find(name) {
            Ok(_) => Ok(true),
            Err(Error::NotFound | Error::BadName(_)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Make a folder and its missing parents. [`Error::Cannot`] if it cannot have the role; then nothing is made (RFC 6154
    /// section 3: the answer is `[USEATTR]`).
    pub fn create(&self, name: &Name, role: Option<Role>) -> Result<()> {
        let _owner = self.assume()?;
        let mut made = Vec::new();
        for level in std::iter::successors(Some(name.clone()), Name::parent) {
            if self.exists(&level)? {
                break;
            }
            made.insert(0, level);
        }
        self.tree.create(name, role)?;
        self.inherit_acl(&made)
    }

    /// Remove a folder with its messages. Children stay, and so does a subscription (RFC 3501 section 6.3.6).
    pub fn delete(&self, name: &Name) -> Result<()> {
        let _owner = self.assume()?;
        let change = self.quota.begin();
        let mut sizes = Vec::new();
        let delete = || {
            sizes = self.sizes_in(&self.tree.find(name)?)?;
            self.tree.delete(name).map(|moved| vec![moved])
        };
        self.undisturbed(|folder| folder == name, delete)?;
        change.went(sizes.into_iter());
        Ok(())
    }

    /// Rename a folder with its children; renaming INBOX moves its messages into the new folder and leaves its children
    /// alone (RFC 3501 section 6.3.5).
    pub fn rename(&self, from: &Name, to: &Name) -> Result<()> {
        let _owner = self.assume()?;
        if !from.is_inbox() {
            return self.undisturbed(|folder| folder == from || folder.is_below(from), || self.tree.rename(from, to));
        }
        self.tree.create(to, None)?;
        self.copy_annotations(from, to)?;
        let (inbox, target) = (self.mailbox(from)?, self.mailbox(to)?);
        let uids: Vec<u32> = inbox.read(|messages| messages.iter().map(|m| m.uid).collect());
        inbox.move_to(&uids, &target).map(drop)
    }

    /// The names that the user wants to see; they need not exist.
    pub fn subscriptions(&self) -> Result<BTreeSet<Name>> {
        let _owner = self.assume()?;
        subscriptions::read(&self.home.maildir, self.tree.spelling())
    }

    /// Subscribe or unsubscribe. A name that could be no folder here is refused.
    pub fn subscribe(&self, name: &Name, on: bool) -> Result<()> {
        let _owner = self.assume()?;
        if on {
            self.tree.spelling().directory(name)?;
        }
        let change = [(name.clone(), on)];
        subscriptions::change(&self.home.maildir, self.tree.spelling(), &change, self.settings.coexist)
    }

    /// As [`Store::subscribe`], to a name that is not this account's.
    pub fn subscribe_elsewhere(&self, name: &Name, on: bool) -> Result<()> {
        let _owner = self.assume()?;
        let change = [(name.clone(), on)];
        subscriptions::change(&self.home.maildir, self.tree.spelling(), &change, self.settings.coexist)
    }

    /// Change the tree while nothing happens in the open folders that are `meant`: a MOVE that is under way must end first, since it
    /// could not take back what lies in a folder that is gone. Nobody opens a folder meanwhile, so that those that moved are the ones
    /// that are closed, and the next one who asks for a name does not get the old folder.
    fn undisturbed(&self, meant: impl Fn(&Name) -> bool, work: impl FnOnce() -> Result<Vec<Moved>>) -> Result<()> {
        let _turn = lock(&self.opening);
        let mut open: Vec<Arc<Mailbox>> = {
            let table = lock(&self.open);
            table.iter().filter(|(name, _)| meant(name)).filter_map(|(_, weak)| weak.upgrade()).collect()
        };
        // In the order in which a MOVE locks two folders.
        open.sort_by_key(Arc::as_ptr);
        let holds: Vec<_> = open.iter().map(|mailbox| mailbox.hold()).collect();
        let moved = work()?;
        let mut table = lock(&self.open);
        let gone: Vec<_> = moved.iter().filter_map(|change| table.remove(&change.from)?.upgrade()).collect();
        drop(table);
        gone.iter().for_each(|mailbox| mailbox.close());
        drop(holds);
        Ok(())
    }

    /// Be the owner for the length of one call.
    pub(super) fn assume(&self) -> Result<Assumed> {
        assume(&self.home)
    }
}

fn assume(home: &Home) -> Result<Assumed> {
    home.owner.assume().map_err(|e| Error::io(&home.maildir, e))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
