//! How much mail an account has and may have.
//!
//! Usage is kept in `maildirsize` in the root (see [`mod@file`]), which Courier and Dovecot keep up, too. Every change that this process makes is
//! appended to it with one write and no sync: what a crash loses or a foreign program does not write is put right by counting. It is
//! counted from the names of the files alone where they have `,S=`; only a file without it costs a `stat`. Counted are the messages of all folders,
//! Trash and those with \Deleted included, as Dovecot does it.
//!
//! The messages are counted again when there is a limit and the file is missing or says nothing, when its limits are not ours, and when it says that the account is over a limit
//! while it has more than one line of changes or is older than [`STALE`]: before somebody is refused, the truth is looked up. An account without limits and without the file keeps none.
//!
//! What others of this process change while the messages are counted could be counted twice or not at all: then the result is used but not written
//! down, and the next one who asks counts again.
//!
//! A failed write of the file is logged and no reason to fail what was done; the file is removed then if that is possible, so that nobody believes it.

pub mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::filename::{MessageName, unique};
use super::{Error, FILE_MODE, Result, Store};
use crate::fsio;

/// The file's name.
pub const FILE: &str = "maildirsize";
/// Age from which a file that says "over" is not believed (the specification's number).
const STALE: Duration = Duration::from_secs(15 * 60);
/// Part of the limit by which a delivery may exceed it, in percent (Dovecot's `quota_grace`): the last message fits, and the sender need not try again.
const GRACE_PERCENT: u64 = 10;

/// How much there may be; `None`: any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of messages as they are on disk.
    pub storage: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of messages as they are on disk.
    pub storage: u64,
    /// Messages.
    pub messages: u64,
}

impl Limits {
    /// Is there none?
    pub fn is_unlimited(self) -> bool {
        self == Limits::default()
    }

    /// These, and the others where there is none.
    pub fn or(self, others: Limits) -> Limits {
        Limits { storage: self.storage.or(others.storage), messages: self.messages.or(others.messages) }
    }

    /// Is more used than is allowed?
    fn is_exceeded_by(self, usage: Usage) -> bool {
        self.storage.is_some_and(|limit| usage.storage > limit)
            || self.messages.is_some_and(|limit| usage.messages > limit)
    }

    /// With the grace of a delivery.
    fn with_grace(self) -> Limits {
        let grace = |limit: u64| limit.saturating_add(limit / 100 * GRACE_PERCENT);
        Limits { storage: self.storage.map(grace), messages: self.messages.map(grace) }
    }
}

/// An account's limits, and the changes that are being made.
#[derive(Debug)]
pub struct Quota {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    /// Changes that have begun and not ended.
    in_flight: u32,
    /// Changes that have ended.
    ended: u64,
}

/// A change of the account's mail that is under way. Dropped without a word, it was none.
#[derive(Debug)]
pub struct Pending<'a>(&'a Quota);

impl Quota {
    pub(super) fn new(root: &Path) -> Quota {
        Quota { path: root.join(FILE), state: Mutex::default() }
    }

    /// Something is about to come or go.
    pub(super) fn begin(&self) -> Pending<'_> {
        self.state().in_flight += 1;
        Pending(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line at the end, under the lock, so that it goes into the file that a count has just made or into the one before it.
    fn append(&self, storage: i64, messages: i64) {
        let _state = self.state();
        let line = format!("{storage} {messages}\n");
        let written = fsio::open_to_append(&self.path).and_then(|file| fsio::write(&file, &self.path, line.as_bytes()));
        match written {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let removed = fsio::unlink(&self.path).is_ok();
                tracing::warn!(path = %self.path.display(), %error, removed, "usage not noted; it is counted next time");
            }
        }
    }
}

impl Pending<'_> {
    /// These files came (sizes in bytes).
    pub(super) fn came(self, sizes: impl Iterator<Item = u64>) {
        self.note(sizes, 1);
    }

    /// These files went.
    pub(super) fn went(self, sizes: impl Iterator<Item = u64>) {
        self.note(sizes, -1);
    }

    fn note(self, sizes: impl Iterator<Item = u64>, sign: i64) {
        let (mut storage, mut messages) = (0i64, 0i64);
        for size in sizes {
            storage = storage.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
            messages += 1;
        }
        if messages > 0 {
            self.0.append(sign * storage, sign * messages);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.ended += 1;
    }
}

impl Store {
    /// The account's limits are these; the configuration's where it has none of its own. Said by whoever opens it for a user.
    pub fn set_limits(&self, limits: Limits) {
        self.quota.state().limits = limits.or(self.settings.quota);
    }

    /// How much mail there may be.
    pub fn limits(&self) -> Limits {
        self.quota.state().limits
    }

    /// How much mail there is.
    pub fn usage(&self) -> Result<Usage> {
        let _owner = self.assume()?;
        let limits = self.limits();
        match self.noted(limits)? {
            Some(usage) => Ok(usage),
            None => self.count(limits),
        }
    }

    /// [`Error::OverQuota`] if these messages would be too much. With `grace` for mail that comes from outside: it may exceed the limit a little,
    /// once. Costs nothing without limits.
    pub fn has_quota_for(&self, storage: u64, messages: u64, grace: bool) -> Result<()> {
        let limits = self.limits();
        if limits.is_unlimited() {
            return Ok(());
        }
        let _owner = self.assume()?;
        let fits = |usage: Usage| {
            let sum = Usage {
                storage: usage.storage.saturating_add(storage),
                messages: usage.messages.saturating_add(messages),
            };
            let is_full = limits.storage.is_some_and(|limit| usage.storage >= limit)
                || limits.messages.is_some_and(|limit| usage.messages >= limit);
            if grace { !is_full && !limits.with_grace().is_exceeded_by(sum) } else { !limits.is_exceeded_by(sum) }
        };
        if self.noted(limits)?.is_some_and(fits) || fits(self.count_again(limits)?) {
            Ok(())
        } else {
            Err(Error::OverQuota)
        }
    }

    /// What the file says, if it can be believed.
    fn noted(&self, limits: Limits) -> Result<Option<Usage>> {
        let path = &self.quota.path;
        let bytes = match fsio::read(path, file::MAX_LEN) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, e)),
        };
        let Some(content) = file::parse(&bytes).filter(|content| content.limits == limits) else { return Ok(None) };
        let is_over = limits.is_exceeded_by(content.usage);
        let doubtful = is_over && (content.lines > 1 || self.is_stale());
        Ok((!doubtful).then_some(content.usage))
    }

    fn is_stale(&self) -> bool {
        let changed = fs::metadata(&self.quota.path).and_then(|meta| meta.modified());
        changed.is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age >= STALE))
    }

    /// Before somebody is refused: what the file says if it was counted lately and nothing was added since, else count.
    fn count_again(&self, limits: Limits) -> Result<Usage> {
        let bytes = fsio::read(&self.quota.path, file::MAX_LEN).unwrap_or_default();
        match file::parse(&bytes) {
            Some(content) if content.limits == limits && content.lines <= 1 && !self.is_stale() => Ok(content.usage),
            _ => self.count(limits),
        }
    }

    /// Count all messages, and write it down if nothing came between.
    pub fn count(&self, limits: Limits) -> Result<Usage> {
        let _owner = self.assume()?;
        let before = {
            let state = self.quota.state();
            (state.in_flight, state.ended)
        };
        let root = self.tree.root();
        let mut usage = Usage::default();
        let folders = self.tree.folder_directories()?;
        for folder in std::iter::once(PathBuf::new()).chain(folders) {
            for part in ["new", "cur"] {
                each_size(&root.join(&folder).join(part), |size| {
                    usage.storage = usage.storage.saturating_add(size);
                    usage.messages += 1;
                })?;
            }
        }
        let state = self.quota.state();
        if before == (0, state.ended) && state.in_flight == 0 {
            let written = self.write_count(&file::render(limits, usage));
            if let Err(error) = written {
                // A full disk keeps nobody from knowing how full he is.
                tracing::warn!(root = %root.display(), %error, "usage was counted and cannot be written down");
            }
        }
        Ok(usage)
    }

    /// Sizes of the messages of a folder that is about to go, if anybody keeps count.
    pub(super) fn sizes_in(&self, dir: &Path) -> Result<Vec<u64>> {
        let mut sizes = Vec::new();
        if self.quota.path.exists() {
            for part in ["new", "cur"] {
                each_size(&dir.join(part), |size| sizes.push(size))?;
            }
        }
        Ok(sizes)
    }

    /// Not synced: a file that a crash leaves empty says nothing, and the messages are counted again.
    fn write_count(&self, text: &str) -> io::Result<()> {
        let temporary = self.tree.root().join("tmp").join(unique("maildirsize"));
        let file = fsio::create(&temporary, FILE_MODE)?;
        fsio::write(&file, &temporary, text.as_bytes())?;
        fsio::rename(&temporary, &self.quota.path).inspect_err(|_| {
            // The first error is the one to report.
            let _ = fsio::unlink(&temporary);
        })
    }
}

/// The size of a message of this name: from the name, or the file.
pub(super) fn size_of(dir: &Path, name: &[u8]) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let named = MessageName::parse(name).and_then(|name| name.size());
    named.or_else(|| {
        let meta = fs::symlink_metadata(dir.join(std::ffi::OsStr::from_bytes(name))).ok()?;
        meta.is_file().then_some(meta.len())
    })
}

/// The size of every message in a directory.
fn each_size(dir: &Path, mut add: impl FnMut(u64)) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Not its owner's to read, so not his mail: no reason to refuse him all other mail.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %dir.display(), "not readable, so not counted");
            return Ok(());
        }
        Err(e) => return Err(Error::io(dir, e)),
    };
    for entry in entries {
        let name = entry.map_err(|e| Error::io(dir, e))?.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        // Gone since it was listed: not counted.
        if let Some(size) = size_of(dir, name.as_bytes()) {
            add(size);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Home, Layout, Name, Owner, Settings, Stores};
    use super::*;
    use crate::mail::Flags;

    fn store(dir: &Path, limits: Limits) -> Arc<Store> {
        let settings = Settings { hostname: "h".into(), quota: limits, ..Settings::default() };
        let home = Home { maildir: dir.join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let store = Stores::new(settings).unwrap().open(&home).unwrap();
        store.set_limits(Limits::default());
        store
    }

    fn deliver(store: &Store, size: usize, folder: &Name) {
        let mut draft = store.draft().unwrap();
        draft.write(&vec![b'x'; size]).unwrap();
        store.deliver(draft, folder).unwrap();
    }

    fn usage(store: &Store) -> (u64, u64) {
        let usage = store.usage().unwrap();
        (usage.storage, usage.messages)
    }

    fn counted(store: &Store) -> (u64, u64) {
        let usage = store.count(store.limits()).unwrap();
        (usage.storage, usage.messages)
    }

    #[test]
    fn every_change_of_ours_is_kept_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), Limits { storage: Some(100_000), messages: None });
        let (inbox, work) = (Name::inbox(), Name::parse("Work").unwrap());
        store.create(&work, None).unwrap();
        assert_eq!(usage(&store), (0, 0));
        deliver(&store, 100, &inbox);
        deliver(&store, 10, &inbox);
        assert_eq!(usage(&store), (110, 2));
        let (from, to) = (store.mailbox(&inbox).unwrap(), store.mailbox(&work).unwrap());
        from.copy(&[1], &to).unwrap();
        assert_eq!(usage(&store), (210, 3));
        from.move_to(&[2], &to).unwrap();
        assert_eq!(usage(&store), (220 - 10, 3));
        let mut draft = store.draft().unwrap();
        draft.write(b"12345").unwrap();
        to.append(vec![(draft, Flags::SEEN, Vec::new(), None)]).unwrap();
        assert_eq!(usage(&store), (215, 4));
        from.remove(&[1]).unwrap();
        assert_eq!(usage(&store), (115, 3));
        let text = fs::read_to_string(dir.path().join("m/maildirsize")).unwrap();
        assert!(text.starts_with("100000S\n0 0\n100 1\n10 1\n"), "{text}");
        assert_eq!(counted(&store), (115, 3), "a count says the same");
        store.delete(&work).unwrap();
        assert_eq!(usage(&store), (0, 0));
        assert_eq!(counted(&store), (0, 0));
    }

    #[test]
    fn it_is_counted_when_the_file_cannot_be_believed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), Limits { storage: Some(1000), messages: Some(10) });
        deliver(&store, 100, &Name::inbox());
        let file = dir.path().join("m/maildirsize");
        for damaged in
            ["", "1000S,10C\n-5 -1\n", "1000S,10C\n5 1\n\0\0", "999S,10C\n5 1\n", "1000S,10C\n5000 1\n-1 0\n"]
        {
            fs::write(&file, damaged).unwrap();
            assert_eq!(usage(&store), (100, 1), "{damaged:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "1000S,10C\n100 1\n");
        }
        // What somebody else took away makes room before anybody is refused.
        fs::write(&file, "1000S,10C\n950 9\n0 0\n").unwrap();
        store.has_quota_for(500, 1, false).unwrap();
    }

    #[test]
    fn limits_hold_and_a_delivery_has_grace() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), Limits { storage: Some(1000), messages: Some(10) });
        let fits = |size, grace| store.has_quota_for(size, 1, grace).is_ok();
        assert!(fits(1000, false) && !fits(1001, false));
        assert!(fits(1100, true) && !fits(1101, true));
        deliver(&store, 1000, &Name::inbox());
        assert!(!fits(0, true) && !fits(1, false), "full is full");
        let mailbox = store.mailbox(&Name::inbox()).unwrap();
        mailbox.remove(&[1]).unwrap();
        assert!(fits(1000, false));
    }

    #[test]
    fn without_limits_there_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), Limits::default());
        deliver(&store, 100, &Name::inbox());
        store.has_quota_for(u64::MAX, 1, false).unwrap();
        assert!(!dir.path().join("m/maildirsize").exists());
    }
}
