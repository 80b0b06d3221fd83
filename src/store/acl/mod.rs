//! Rights on folders (RFC 4314), in the files of Dovecot's ACL plugin, so that a switch keeps them in both directions.
//!
//! | file | what |
//! |---|---|
//! | `rights` | the letters |
//! | `file` | `dovecot-acl` of a folder; who has which right |
//! | `absent` | which folders have no file |
//! | `shares` | who shares something with whom: found without looking at every account |
//!
//! A folder without `dovecot-acl` is its owner's alone. A new folder gets a copy of the file of the folder above (RFC 4314 section 4), INBOX
//! not being above anything, as with Dovecot. The file lies in the folder's directory: it is renamed and deleted with it.
//!
//! Written whole, by rename, under the folder's lock, on the disk when the call returns; `dovecot-acl-list` in the root, a cache of Dovecot's, is removed
//! then. Fails with [`Error::Limit`] past [`file::MAX_ENTRIES`]. Leaves `dovecot-acl.tmp` if cut short.

mod absent;
pub mod file;
mod rights;
pub mod shares;

use std::io;
use std::path::Path;

pub(super) use absent::Absent;
use absent::Mark;
pub use file::{Acl, Identifier, Who};
pub use rights::Rights;

use super::lock::{Guard, Lock};
use super::{Error, FILE_MODE, Name, Result, Store};
use crate::fsio;

/// A folder's file.
pub const FILE: &str = "dovecot-acl";
/// Dovecot's cache of which folders have one.
const LIST: &str = "dovecot-acl-list";
/// Bytes that are read: five hundred entries of the longest identifiers, quoted, and as much again of lines that are not ours. A larger file
/// is an error, since its end may take rights away.
const MAX_FILE: u64 = 2 << 20;

/// What SETACL does to rights that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// These and no others.
    Replace,
    /// These too.
    Add,
    /// Not these.
    Remove,
}

impl Store {
    /// The ACL of a folder.
    pub fn acl(&self, name: &Name) -> Result<Acl> {
        let _owner = self.assume()?;
        if self.absent.holds(name) {
            return Ok(Acl::default());
        }
        let dir = self.tree.find(name)?;
        let mark = Mark::of(&dir);
        let acl = read_if_any(&dir)?;
        // A link that leads nowhere gives no rights, but its target may come without a change of this directory.
        let is_missing =
            || matches!(std::fs::symlink_metadata(dir.join(FILE)), Err(e) if e.kind() == io::ErrorKind::NotFound);
        if acl.is_none() && is_missing() {
            self.absent.remember(name, dir, mark);
        }
        Ok(acl.unwrap_or_default())
    }

    /// What somebody may do with a folder.
    pub fn rights(&self, name: &Name, who: &Who<'_>) -> Result<Rights> {
        self.acl(name).map(|acl| acl.rights(who))
    }

    /// Change what an identifier is given, or what is taken from it; returns what it has then.
    pub fn set_acl(
        &self,
        name: &Name,
        identifier: &Identifier,
        is_negative: bool,
        change: Change,
        rights: Rights,
    ) -> Result<Rights> {
        self.change_acl(name, |acl| {
            let before = match acl.entry(identifier, is_negative) {
                Some(entry) => entry.rights,
                // The owner has what nobody took away.
                None if *identifier == Identifier::Owner && !is_negative => Rights::ALL,
                None => Rights::NONE,
            };
            let after = match change {
                Change::Replace => rights,
                Change::Add => before.with(rights),
                Change::Remove => before.without(rights),
            };
            if acl.set(identifier, is_negative, after) { Ok(after) } else { Err(Error::Limit("too many identifiers")) }
        })
    }

    /// Forget an identifier. That it is not there is fine.
    pub fn delete_acl(&self, name: &Name, identifier: &Identifier, is_negative: bool) -> Result<()> {
        self.change_acl(name, |acl| {
            acl.remove(identifier, is_negative);
            Ok(())
        })
    }

    fn change_acl<R>(&self, name: &Name, change: impl FnOnce(&mut Acl) -> Result<R>) -> Result<R> {
        let _owner = self.assume()?;
        let dir = self.tree.find(name)?;
        // Dovecot replaces the file by rename, too; it has no lock of its own for it.
        let _lock = Lock::take(&dir, Guard::Folder, false)?;
        let mut acl = read(&dir)?;
        let before = acl.clone();
        let result = change(&mut acl)?;
        if acl != before {
            write(&dir, &acl)?;
            forget_list(self.tree.root())?;
        }
        Ok(result)
    }

    /// Folders that were just made inherit from the one above, from the top down.
    pub(super) fn inherit_acl(&self, made: &[Name]) -> Result<()> {
        for name in made {
            let Some(parent) = name.parent().filter(|parent| !parent.is_inbox()) else { continue };
            let (from, to) = (self.tree.find(&parent)?, self.tree.find(name)?);
            let acl = read(&from)?;
            if acl != Acl::default() {
                write(&to, &acl)?;
                forget_list(self.tree.root())?;
            }
        }
        Ok(())
    }
}

fn read(dir: &Path) -> Result<Acl> {
    read_if_any(dir).map(Option::unwrap_or_default)
}

fn read_if_any(dir: &Path) -> Result<Option<Acl>> {
    let path = dir.join(FILE);
    match fsio::read(&path, MAX_FILE + 1) {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE => {
            Err(Error::io(&path, io::Error::new(io::ErrorKind::FileTooLarge, "larger than an ACL can be")))
        }
        Ok(bytes) => Ok(Some(Acl::parse(&String::from_utf8_lossy(&bytes)))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(&path, e)),
    }
}

fn write(dir: &Path, acl: &Acl) -> Result<()> {
    let path = dir.join(FILE);
    fsio::replace(&path, acl.render().as_bytes(), FILE_MODE).map_err(|e| Error::io(&path, e))
}

fn forget_list(root: &Path) -> Result<()> {
    let path = root.join(LIST);
    match fsio::unlink(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Home, Layout, Owner, Settings, Stores};
    use super::*;

    #[test]
    fn new_folders_inherit_and_old_ones_take_theirs_along() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            Settings { hostname: "h".into(), coexist: false, default_folders: Vec::new(), ..Settings::default() };
        let home = Home { maildir: dir.path().join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let store = Stores::new(settings).unwrap().open(&home).unwrap();
        let name = |text: &str| Name::parse(text).unwrap();
        let bob = Who { login: "bob", is_owner: false, anyone: false };
        let set = |folder: &str, change, rights| {
            store.set_acl(&name(folder), &Identifier::User("bob".into()), false, change, rights).unwrap()
        };
        store.create(&name("A"), None).unwrap();
        set("INBOX", Change::Replace, Rights::READ);
        fs::write(home.maildir.join(LIST), "1 A\n").unwrap();
        set("A", Change::Replace, Rights::LOOKUP.with(Rights::READ));
        assert!(!home.maildir.join(LIST).exists(), "Dovecot must look again");
        assert_eq!(set("A", Change::Remove, Rights::READ), Rights::LOOKUP);
        set("A", Change::Add, Rights::WRITE);
        let want = Rights::LOOKUP.with(Rights::WRITE);
        store.create(&name("A/B/C"), None).unwrap();
        assert_eq!(store.rights(&name("A/B/C"), &bob).unwrap(), want);
        store.rename(&name("A"), &name("Z")).unwrap();
        assert_eq!(store.rights(&name("Z/B"), &bob).unwrap(), want);
        store.create(&name("INBOX/x"), None).unwrap();
        assert_eq!(store.rights(&name("INBOX/x"), &bob).unwrap(), Rights::NONE);
        let long = |n| Identifier::User(format!("{n:03}{}@{}", "\"".repeat(317), "x".repeat(255)));
        let mut many = Acl::default();
        (0..file::MAX_ENTRIES - 2).for_each(|n| assert!(many.set(&long(n), n % 2 == 0, Rights::READ)));
        write(&home.maildir.join(".Z.B.C"), &many).unwrap();
        store.set_acl(&name("Z/B/C"), &long(498), true, Change::Replace, Rights::READ).unwrap();
        store.set_acl(&name("Z/B/C"), &long(499), true, Change::Replace, Rights::READ).unwrap();
        assert_eq!(store.acl(&name("Z/B/C")).unwrap().entries.len(), file::MAX_ENTRIES, "none is lost at the end");
        assert!(store.set_acl(&name("Z/B/C"), &long(500), true, Change::Replace, Rights::READ).is_err());
        fs::write(home.maildir.join(".Z.B.C").join(FILE), vec![b'\n'; MAX_FILE as usize + 1]).unwrap();
        assert!(matches!(store.acl(&name("Z/B/C")), Err(Error::Io { .. })), "not as if it were cut off");
        store.delete(&name("Z/B/C")).unwrap();
        store.delete_acl(&name("Z/B"), &Identifier::User("bob".into()), false).unwrap();
        store.create(&name("Z/B/C"), None).unwrap();
        assert_eq!(store.rights(&name("Z/B/C"), &bob).unwrap(), Rights::NONE, "the old ACL is gone");
        assert!(matches!(store.rights(&name("nosuch"), &bob), Err(Error::NotFound)));
    }
}
