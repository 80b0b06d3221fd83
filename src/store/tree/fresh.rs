//! The first use of a home: its Maildir with the default folders.
//!
//! All directories are made, then all is synced, then INBOX gets its `cur/` and `new/`: until then the home does not exist, and whoever
//! comes after a crash makes the rest. Few syncs matter here: the first mail of a new user waits for them. So all folders get their
//! UIDVALIDITY in one step. They get it now and not when they are first opened: that may be on a full disk, where it could not be kept.

use std::path::{Path, PathBuf};

use super::{Tree, complete, make, sync_dirs};
use crate::fsio;
use crate::store::{
    Error, FILE_MODE, Layout, Name, Result, Role, courier, journal, subscriptions, uidlist, uidvalidity,
};

impl Tree {
    /// Make `folders`, with their roles and subscribed, and INBOX last. `above` are directories to be synced before: somebody
    /// made the root in them.
    pub(in crate::store) fn make_home(&self, folders: &[(Name, Role)], above: &[PathBuf]) -> Result<()> {
        let lock = self.lock()?;
        let mut facts = self.facts()?;
        let mut made: Vec<PathBuf> = Vec::new();
        let mut wanted = Vec::new();
        for (name, role) in folders {
            // A setting that does not suit this tree must not keep its owner out.
            let allowed = match facts.roles.get(name) {
                Some(_) => Ok(()),
                None => self.check_role(*role, &facts),
            };
            match allowed.and_then(|()| self.make_default(name, &mut made)) {
                Ok(()) => {
                    facts.roles.insert(name.clone(), *role);
                    wanted.push((name.clone(), true));
                }
                Err(error @ (Error::BadName(_) | Error::Cannot(_))) => {
                    tracing::error!(root = %self.root.display(), folder = %name, %error, "default folder not made");
                }
                Err(e) => return Err(e),
            }
        }
        let roots = std::iter::once(&self.root);
        for (directory, uid_validity) in made.iter().chain(roots).zip(self.numbers(made.len() + 1)?..) {
            number(directory, uid_validity)?;
        }
        sync_dirs(&made)?;
        sync_dirs(above)?;
        self.set_facts(&lock, facts)?;
        subscriptions::change(&self.root, self.spelling(), &wanted, self.coexist)?;
        complete(&self.root)
    }

    /// The first of so many new UIDVALIDITYs.
    fn numbers(&self, count: usize) -> Result<u32> {
        uidvalidity::take(&self.root, u32::try_from(count).map_err(|_| Error::Limit("too many mailboxes"))?)
    }

    /// One folder and its missing parents, not synced; the directories that need it are added to `made`.
    fn make_default(&self, name: &Name, made: &mut Vec<PathBuf>) -> Result<()> {
        if name.is_inbox() {
            return Ok(());
        }
        let relative = self.spelling().directory(name)?;
        if let Some(parent) = name.parent() {
            self.make_default(&parent, made)?;
        }
        if self.is_folder(&relative)? {
            return Ok(());
        }
        self.has_directory(&relative)?;
        let directory = self.root.join(&relative);
        make(&directory)?;
        if self.layout == Layout::Maildirpp {
            mark_as_folder(&directory)?;
        }
        ["tmp", "cur", "new"].iter().try_for_each(|part| make(&directory.join(part)))?;
        made.push(directory);
        Ok(())
    }
}

/// Give a folder that was just made its UIDVALIDITY, unless somebody knows one: what is left of an older home has the UIDs that clients know.
fn number(directory: &Path, uid_validity: u32) -> Result<()> {
    let known = [uidlist::FILE, journal::FILE, courier::UIDS];
    if known.iter().any(|file| std::fs::symlink_metadata(directory.join(file)).is_ok()) {
        return Ok(());
    }
    uidlist::create(directory, uid_validity)
}

/// The empty file that tells delivery agents to go up to the parent for the quota (Maildir++).
pub(super) fn mark_as_folder(directory: &Path) -> Result<()> {
    let path = directory.join("maildirfolder");
    match fsio::create(&path, FILE_MODE) {
        // Half made before a crash.
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::io(&path, e)),
        _ => Ok(()),
    }
}
