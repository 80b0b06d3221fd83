//! The folders of one Maildir: which there are, where they lie, what they are for.
//!
//! The directories are the truth and are read every time: a folder is a directory that is spelled as one and has a `cur/` or a `new/`
//! inside (so that a stray `.dovecot.sieve` is none, and one that lost an empty directory in a backup is one), and what another program makes or removes is seen at once. Only the
//! spelling and the roles are kept, in `facts`. INBOX is the root itself.
//!
//! Symbolic links are not folders: nothing reached by a name lies outside the root, and what is no directory of this tree's own is neither
//! made into a folder nor put in the place of one. A directory that its owner cannot read (a `lost+found`, one that root made) is no
//! folder either, and a log line says so; only the root itself must be readable.
//!
//! `spelling` turns names into directories and back; `change` makes and removes folders and `rename` renames
//! them, each with what it leaves if it is cut short.

mod change;
mod facts;
mod fresh;
mod list;
mod rename;
mod spelling;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use change::{MAX_FOLDERS, Moved};
pub(super) use facts::Facts;
pub use list::Folder;
pub(super) use spelling::may_be_folder;
pub use spelling::{Charset, Spelling};

use super::lock::{Guard, Lock};
use super::{DIR_MODE, Error, Layout, Name, Result};
use crate::fsio;

/// Said where a folder cannot be made, or get another name.
const IN_THE_WAY: &str = "something that is no mailbox has this name on disk";

/// The folders of one Maildir.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    layout: Layout,
    coexist: bool,
    facts: Mutex<Cached>,
}

/// The facts as they were last read, and when the file was changed then.
#[derive(Debug)]
struct Cached {
    facts: Facts,
    seen: Option<(u64, u64, i64, i64)>,
}

impl Tree {
    /// The tree in `root`, which exists. Names are spelled in `charset`; with `None` as the tree has them. Finishes what a crash
    /// interrupted.
    pub fn open(root: &Path, layout: Layout, charset: Option<Charset>, coexist: bool) -> Result<Tree> {
        let cached = Cached { facts: Facts::default(), seen: None };
        let tree = Tree { root: root.into(), layout, coexist, facts: Mutex::new(cached) };
        match Facts::read(root)? {
            Some(facts) => {
                let interrupted = facts.rename.is_some();
                *tree.cached() = Cached { facts, seen: tree.mark() };
                // What cannot be finished now (a read-only disk, a directory in the way) keeps nobody out.
                if interrupted && let Err(error) = tree.lock().and_then(|lock| tree.finish_rename(&lock)) {
                    tracing::error!(root = %root.display(), %error, "cannot finish an interrupted rename");
                }
            }
            None if tree.is_folder(Path::new(""))? => {
                let charset = charset.map_or_else(|| tree.detect(), Ok)?;
                match tree.mark() {
                    None => tree.record(charset)?,
                    // Not a file of ours: somebody may yet repair it.
                    seen => *tree.cached() = Cached { facts: Facts { charset, ..Facts::default() }, seen },
                }
            }
            // A home that is only being made: there is nothing to detect.
            None => tree.cached().facts.charset = charset.unwrap_or_default(),
        }
        if let Some(charset) = charset.filter(|charset| *charset != tree.spelling().charset) {
            tracing::warn!(root = %root.display(), ?charset, "folder names are spelled otherwise from now on, as the setting says");
            tree.record(charset)?;
        }
        tree.sweep();
        Ok(tree)
    }

    /// Where INBOX is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How names are spelled here.
    pub fn spelling(&self) -> Spelling {
        Spelling { layout: self.layout, charset: self.cached().facts.charset }
    }

    /// The directory of an existing folder.
    pub fn find(&self, name: &Name) -> Result<PathBuf> {
        self.find_spelled(name)?.ok_or(Error::NotFound)
    }

    /// As [`Tree::find`], as we spell it or as it stands; `None` if there is neither.
    fn find_spelled(&self, name: &Name) -> Result<Option<PathBuf>> {
        if name.is_inbox() {
            return Ok(Some(self.root.clone()));
        }
        let spelling = self.spelling();
        let relative = spelling.directory(name);
        for relative in relative.as_ref().ok().into_iter().chain(&spelling.literal(name)) {
            if self.is_folder(relative)? {
                return Ok(Some(self.root.join(relative)));
            }
        }
        // A name that cannot be a folder at all is told as such.
        relative.map(|_| None)
    }

    /// Is there a folder in `relative` below the root, reached without a symbolic link?
    fn is_folder(&self, relative: &Path) -> Result<bool> {
        let mut path = self.root.clone();
        for part in relative {
            path.push(part);
            match is_directory(&path) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => return self.pass_over(relative, error),
            }
        }
        self.holds_mail(relative)
    }

    /// Is there a `cur/` or a `new/` in the directory `relative` below the root?
    fn holds_mail(&self, relative: &Path) -> Result<bool> {
        let directory = self.root.join(relative);
        let looked = is_directory(&directory.join("cur"))
            .and_then(|has_cur| Ok(has_cur || is_directory(&directory.join("new"))?));
        looked.or_else(|error| self.pass_over(relative, error))
    }

    /// The answer for a directory that cannot be read for want of permission: there is nothing in it. One such must not take the others along.
    fn pass_over<T: Default>(&self, relative: &Path, error: Error) -> Result<T> {
        match error {
            Error::Io { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied && relative != Path::new("") =>
            {
                tracing::warn!(root = %self.root.display(), directory = %relative.display(),
                    "not readable, so no mailbox: give it to its owner");
                Ok(T::default())
            }
            error => Err(error),
        }
    }

    /// Is there a directory in `relative` below the root? [`Error::Cannot`] if it, or one on the way there, is something else: a link to a
    /// directory leads to files that are not this tree's.
    fn has_directory(&self, relative: &Path) -> Result<bool> {
        let mut path = self.root.clone();
        for part in relative {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(entry) if entry.is_dir() => {}
                Ok(_) => return Err(Error::Cannot(IN_THE_WAY)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Ok(true)
    }

    /// The facts, read again if another process has written them.
    fn facts(&self) -> Result<Facts> {
        let mut cached = self.cached();
        let now = self.mark();
        if now != cached.seen {
            if let Some(facts) = Facts::read(&self.root)? {
                cached.facts = facts;
            }
            cached.seen = now;
        }
        Ok(cached.facts.clone())
    }

    /// Write the facts. The caller holds the tree's lock.
    fn set_facts(&self, _lock: &Lock, facts: Facts) -> Result<()> {
        facts.write(&self.root)?;
        *self.cached() = Cached { facts, seen: self.mark() };
        Ok(())
    }

    fn lock(&self) -> Result<Lock> {
        Lock::take(&self.root, Guard::Tree, self.coexist)
    }

    /// The lock, for who makes, renames or removes folders: what is still to be renamed must not get mixed up with that.
    fn lock_to_change(&self) -> Result<Lock> {
        let lock = self.lock()?;
        if self.facts()?.rename.is_some()
            && let Err(error) = self.finish_rename(&lock)
        {
            tracing::error!(root = %self.root.display(), %error, "cannot finish an interrupted rename");
        }
        Ok(lock)
    }

    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self) -> Option<(u64, u64, i64, i64)> {
        use std::os::unix::fs::MetadataExt;
        let file = fs::metadata(self.root.join(facts::FILE)).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    }

    /// A tree that we see for the first time: find out its charset.
    fn detect(&self) -> Result<Charset> {
        let mut charset = Charset::Utf7;
        for directory in self.directories()? {
            // A directory of notes has a name in its owner's language, and says nothing of folders.
            if spelling::detect(directory.iter()) == Charset::Utf8 && self.is_folder(&directory)? {
                charset = Charset::Utf8;
            }
        }
        Ok(charset)
    }

    /// The tree is spelled so from now on.
    fn record(&self, charset: Charset) -> Result<()> {
        let facts = Facts { charset, ..self.cached().facts.clone() };
        let recorded = self.lock().and_then(|lock| self.set_facts(&lock, facts.clone()));
        match recorded {
            Ok(()) => Ok(()),
            // A full or read-only disk must not lock the owner out: detect again next time.
            Err(error) => {
                tracing::warn!(root = %self.root.display(), %error, "cannot record the spelling of folder names");
                *self.cached() = Cached { facts, seen: self.mark() };
                Ok(())
            }
        }
    }
}

/// Is `path` itself a directory, not a link to one?
fn is_directory(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(entry) => Ok(entry.is_dir()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Make `path` and what is missing above it, durably. Who else makes the same at the same time is no error.
pub(super) fn make_all(path: &Path) -> Result<()> {
    sync_dirs(&make_missing(path)?)
}

/// As [`make_all`], but the directories that it returns are still to be synced.
pub(super) fn make_missing(path: &Path) -> Result<Vec<PathBuf>> {
    let mut missing: Vec<&Path> = Vec::new();
    for above in path.ancestors() {
        match fs::metadata(above) {
            Ok(_) => break,
            Err(_) if above.as_os_str().is_empty() => break,
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(above),
            Err(e) => return Err(Error::io(above, e)),
        }
    }
    missing.iter().rev().try_for_each(|directory| make(directory))?;
    Ok(missing.iter().rev().filter_map(|directory| directory.parent()).map(PathBuf::from).collect())
}

/// The entries of these directories to the disk.
pub(super) fn sync_dirs(directories: &[PathBuf]) -> Result<()> {
    directories.iter().try_for_each(|directory| fsio::sync_dir(directory).map_err(|e| Error::io(directory, e)))
}

/// Make what a Maildir lacks: backup programs like to lose empty directories. `tmp/` comes first: with one of the others it is a folder.
pub(super) fn complete(directory: &Path) -> Result<()> {
    let missing: Vec<PathBuf> =
        ["tmp", "cur", "new"].iter().map(|part| directory.join(part)).filter(|part| !part.is_dir()).collect();
    for part in &missing {
        make(part)?;
    }
    if missing.is_empty() { Ok(()) } else { fsio::sync_dir(directory).map_err(|e| Error::io(directory, e)) }
}

/// Make one directory; that it exists already is fine.
fn make(path: &Path) -> Result<()> {
    match fsio::make_dir(path, DIR_MODE) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}
