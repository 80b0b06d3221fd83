//! Making, removing and renaming folders, under the tree's lock, durable when they return.
//!
//! What a cut leaves, and who repairs it:
//!
//! | while | left | then |
//! |---|---|---|
//! | making | a directory without `cur/` (made last) | it is no folder; making it again completes it |
//! | deleting | `..mailcote-trashed-*`, no folder to anybody | emptied when the tree is next opened or something is deleted |
//! | renaming one directory | the old name or the new | nothing to do: it is one rename |
//! | renaming with children (Maildir++) | some under the old name, and `rename` in `mailcote.tree` | finished when the tree is next opened |
//!
//! A role is recorded after its folder is made, and forgotten after it is removed; a role without a folder counts for nothing and
//! goes with the next change of the file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Facts, Tree, make};
use crate::fsio;
use crate::store::lock::Lock;
use crate::store::{Error, FILE_MODE, Layout, Name, Result, Role, filename, uidlist, uidvalidity};

/// Folders a tree can have. Listing must fit into one step of a session.
const MAX_FOLDERS: usize = 10_000;
/// Beginning of the name that a deleted folder has until it is empty. Two dots: not a folder to any Maildir++ program.
const TRASHED: &str = "..mailcote-trashed-";
/// How long a delete unlinks files; what is left goes next time. Bounds a session's step.
const SWEEP_TIME: Duration = Duration::from_secs(2);
/// Marks a directory as a folder, so that delivery agents go up to its parent for the quota (Maildir++).
const MAILDIRFOLDER: &str = "maildirfolder";

/// A folder that has another name now, or none: whoever has it open must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What it was called.
    pub from: Name,
    /// What it is called; `None` if it was deleted.
    pub to: Option<Name>,
}

impl Tree {
    /// Make a folder and its missing parents.
    pub fn create(&self, name: &Name, role: Option<Role>) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Exists);
        }
        let lock = self.lock()?;
        let folders = self.folders()?;
        if folders.contains_key(name) {
            return Err(Error::Exists);
        }
        let mut facts = self.facts()?;
        facts.roles.retain(|has, _| folders.contains_key(has));
        if let Some(role) = role {
            self.check_role(role, &facts)?;
        }
        let mut above = name.parent();
        let mut missing = vec![name.clone()];
        while let Some(parent) = above.filter(|parent| !parent.is_inbox()) {
            above = parent.parent();
            if !folders.contains_key(&parent) {
                missing.push(parent);
            }
        }
        if folders.len() + missing.len() > MAX_FOLDERS {
            return Err(Error::Limit("too many mailboxes"));
        }
        for folder in missing.iter().rev() {
            self.make_folder(&self.spelling().directory(folder)?)?;
        }
        if let Some(role) = role {
            facts.roles.insert(name.clone(), role);
        }
        if facts != self.facts()? {
            self.set_facts(&lock, facts)?;
        }
        Ok(())
    }

    fn check_role(&self, role: Role, facts: &Facts) -> Result<()> {
        // RFC 6154 section 3: a mailbox that cannot have the use is not created.
        if matches!(role, Role::All | Role::Flagged) {
            return Err(Error::Cannot("this special use belongs to virtual mailboxes, which cannot be created"));
        }
        if facts.roles.values().any(|given| *given == role) {
            return Err(Error::Cannot("another mailbox has this special use already"));
        }
        Ok(())
    }

    /// Make the Maildir of one folder. Its `cur/` comes last: without it, it is no folder.
    fn make_folder(&self, relative: &Path) -> Result<()> {
        let directory = self.root.join(relative);
        let existed = directory.exists();
        make(&directory)?;
        if existed {
            // Half made, or half deleted (fs): its old files must not come back to life in the new folder.
            self.trash_contents(&directory)?;
        }
        let fail = |e| Error::io(&directory, e);
        make(&directory.join("tmp"))?;
        make(&directory.join("new"))?;
        if self.layout == Layout::Maildirpp {
            fsio::create(&directory.join(MAILDIRFOLDER), FILE_MODE).map_err(fail)?;
        }
        // RFC 3501 section 6.3.3: if a mailbox of this name was deleted, the new one has a greater UIDVALIDITY.
        uidlist::create(&directory, uidvalidity::next(&self.root)?)?;
        make(&directory.join("cur"))?;
        fsio::sync_dir(&directory).map_err(fail)?;
        self.sync_above(&directory)
    }

    /// Remove a folder with its messages. Children stay.
    pub fn delete(&self, name: &Name) -> Result<Moved> {
        if name.is_inbox() {
            return Err(Error::Cannot("INBOX cannot be deleted"));
        }
        let lock = self.lock()?;
        let directory = self.find(name)?;
        let has_levels = self.layout == Layout::Fs
            && self.folders()?.values().any(|other| {
                let other = self.root.join(other);
                other != directory && other.starts_with(&directory)
            });
        if has_levels {
            self.trash_contents(&directory)?;
        } else {
            let trash = self.trash_name();
            fsio::rename_new(&directory, &trash).map_err(|e| Error::io(&directory, e))?;
            self.sync_above(&directory)?;
            self.sync_above(&trash)?;
        }
        let mut facts = self.facts()?;
        if facts.roles.remove(name).is_some() {
            self.set_facts(&lock, facts)?;
        }
        drop(lock);
        self.sweep();
        Ok(Moved { from: name.clone(), to: None })
    }

    /// Take what is of the folder itself out of a directory that also holds other folders (fs), `cur/` first: from then on
    /// it is no folder.
    fn trash_contents(&self, directory: &Path) -> Result<()> {
        let trash = self.trash_name();
        let fail = |e| Error::io(directory, e);
        let mut own = Vec::new();
        for entry in fs::read_dir(directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let is_level = entry.file_type().map_err(fail)?.is_dir() && !is_maildir_part(&entry.file_name());
            if !is_level {
                own.push(entry.file_name());
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        own.sort_by_key(|name| name != "cur");
        make(&trash)?;
        for name in own {
            fsio::rename_new(&directory.join(&name), &trash.join(&name)).map_err(fail)?;
        }
        fsio::sync_dir(directory).map_err(fail)
    }

    /// Rename a folder (not INBOX) with its children. Returns what moved.
    pub fn rename(&self, from: &Name, to: &Name) -> Result<Vec<Moved>> {
        if to.is_below(from) {
            return Err(Error::Cannot("a mailbox cannot be renamed to a name below itself"));
        }
        if to.is_inbox() {
            return Err(Error::Exists);
        }
        let lock = self.lock()?;
        let folders = self.folders()?;
        let moved = moves(&folders, from, to)?;
        for change in &moved {
            let target = change.to.as_ref().ok_or(Error::NotFound)?;
            self.spelling().directory(target)?;
            if folders.contains_key(target) {
                return Err(Error::Exists);
            }
        }
        // RFC 3501 section 6.3.5: superior names of the new one are made. The lock is ours alone, so `create` may not take it again.
        if let Some(parent) = to.parent().filter(|parent| !parent.is_inbox() && !folders.contains_key(parent)) {
            drop(lock);
            match self.create(&parent, None) {
                Ok(()) | Err(Error::Exists) => return self.rename(from, to),
                Err(e) => return Err(e),
            }
        }
        match self.layout {
            Layout::Maildirpp => self.rename_flat(&lock, &folders, from, to, &moved)?,
            Layout::Fs => self.rename_level(&lock, from, to, &moved)?,
        }
        Ok(moved)
    }

    /// Maildir++: a directory a folder.
    fn rename_flat(
        &self,
        lock: &Lock,
        folders: &BTreeMap<Name, PathBuf>,
        from: &Name,
        to: &Name,
        moved: &[Moved],
    ) -> Result<()> {
        let mut facts = self.facts()?;
        if moved.len() > 1 {
            facts.rename = Some((from.clone(), to.clone()));
            self.set_facts(lock, facts.clone())?;
        }
        for change in moved {
            if let (Some(old), Some(new)) = (folders.get(&change.from), &change.to) {
                let (old, new) = (self.root.join(old), self.root.join(self.spelling().directory(new)?));
                fsio::rename_new(&old, &new).map_err(|e| Error::io(&old, e))?;
            }
        }
        fsio::sync_dir(&self.root).map_err(|e| Error::io(&self.root, e))?;
        self.record_moves(lock, facts, moved)
    }

    /// fs: one directory has all of it.
    fn rename_level(&self, lock: &Lock, from: &Name, to: &Name, moved: &[Moved]) -> Result<()> {
        let old = match self.find(from) {
            Ok(directory) => directory,
            Err(Error::NotFound) => self.root.join(self.spelling().directory(from)?),
            Err(e) => return Err(e),
        };
        let new = self.root.join(self.spelling().directory(to)?);
        // A level without folders may be left over; one with folders stays, and the rename fails.
        match fsio::remove_dir(&new) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(Error::Cannot("there are mailboxes below the new name already"));
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(&new, e)),
            _ => {}
        }
        fsio::rename_new(&old, &new).map_err(|e| Error::io(&old, e))?;
        self.sync_above(&new)?;
        self.sync_above(&old)?;
        self.record_moves(lock, self.facts()?, moved)
    }

    /// Roles go with their folders; an interrupted rename is done.
    fn record_moves(&self, lock: &Lock, mut facts: Facts, moved: &[Moved]) -> Result<()> {
        facts.rename = None;
        for change in moved {
            if let (Some(role), Some(to)) = (facts.roles.remove(&change.from), &change.to) {
                facts.roles.insert(to.clone(), role);
            }
        }
        if facts == self.facts()? {
            return Ok(());
        }
        self.set_facts(lock, facts)
    }

    /// Complete a rename that a crash interrupted. A folder whose new name was taken meanwhile keeps the old one.
    pub(super) fn finish_rename(&self, lock: &Lock) -> Result<()> {
        let facts = self.facts()?;
        let Some((from, to)) = facts.rename.clone() else { return Ok(()) };
        tracing::info!(root = %self.root.display(), %from, %to, "finishing an interrupted rename");
        let folders = self.folders()?;
        let mut moved = moves(&folders, &from, &to).unwrap_or_default();
        moved.retain(|change| {
            let taken = change.to.as_ref().is_some_and(|to| folders.contains_key(to));
            if taken {
                tracing::error!(root = %self.root.display(), folder = %change.from, "cannot be renamed: name is taken");
            }
            !taken
        });
        // Roles of those that were renamed before the crash have not moved yet.
        let mut all = moved.clone();
        for name in facts.roles.keys().filter(|name| !folders.contains_key(name)) {
            if let Some(new) = moved_name(name, &from, &to).filter(|new| folders.contains_key(new)) {
                all.push(Moved { from: name.clone(), to: Some(new) });
            }
        }
        for change in &moved {
            if let (Some(old), Some(new)) = (folders.get(&change.from), &change.to) {
                let (old, new) = (self.root.join(old), self.root.join(self.spelling().directory(new)?));
                fsio::rename_new(&old, &new).map_err(|e| Error::io(&old, e))?;
            }
        }
        fsio::sync_dir(&self.root).map_err(|e| Error::io(&self.root, e))?;
        self.record_moves(lock, facts, &all)
    }

    /// Empty what earlier deletes left, for a bounded time. Out of everybody's sight already, so that a failure is only logged.
    pub(super) fn sweep(&self) {
        let end = Instant::now() + SWEEP_TIME;
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            if !entry.file_name().as_encoded_bytes().starts_with(TRASHED.as_bytes()) {
                continue;
            }
            match remove_all(&entry.path(), end) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), %error, "cannot remove what is left of a deleted mailbox");
                }
            }
        }
    }

    fn trash_name(&self) -> PathBuf {
        self.root.join(format!("{TRASHED}{}", filename::unique("mailcote")))
    }

    fn sync_above(&self, path: &Path) -> Result<()> {
        let above = path.parent().unwrap_or(&self.root);
        fsio::sync_dir(above).map_err(|e| Error::io(above, e))
    }
}

fn is_maildir_part(name: &std::ffi::OsStr) -> bool {
    super::spelling::MAILDIR.iter().any(|part| name == *part)
}

/// `from` and everything below it, with their new names. [`Error::NotFound`] if there is nothing.
fn moves(folders: &BTreeMap<Name, PathBuf>, from: &Name, to: &Name) -> Result<Vec<Moved>> {
    let mut moved = Vec::new();
    for name in folders.keys() {
        if name == from || name.is_below(from) {
            let to = moved_name(name, from, to).ok_or(Error::BadName("a mailbox below would get too long a name"))?;
            moved.push(Moved { from: name.clone(), to: Some(to) });
        }
    }
    if moved.is_empty() { Err(Error::NotFound) } else { Ok(moved) }
}

/// What `name` is called after `from` became `to`.
fn moved_name(name: &Name, from: &Name, to: &Name) -> Option<Name> {
    let rest = name.as_str().strip_prefix(from.as_str())?;
    Name::parse(&format!("{to}{rest}")).ok()
}

/// Remove a directory and what is in it, until `end`; false if time ran out.
fn remove_all(path: &Path, end: Instant) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if !remove_all(&entry.path(), end)? {
                return Ok(false);
            }
        } else {
            fsio::unlink(&entry.path())?;
        }
        if Instant::now() > end {
            return Ok(false);
        }
    }
    fsio::remove_dir(path).map(|()| true)
}
