//! Folders that have no `dovecot-acl`, as far as we have looked: most folders, and each is asked about in every LIST with STATUS.
//!
//! A folder's directory gets another change time when a file comes into it or goes. So a folder whose directory is the same one with the same
//! times has no ACL still, and is a folder still: one look instead of three. Only absence is kept, since a file that is there can be written in
//! place, and only of directories that had been left alone for [`SETTLED`], since two changes in one tick of the clock leave one time.
//!
//! A link that leads nowhere is not kept as absence: its target comes and goes without the directory.
//!
//! Bounded by [`MAX_KNOWN`]. Leaves nothing on disk; what cannot be looked at is simply not known.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::Name;
use crate::clock;

/// Folders known, of one account: some 300 bytes each. Past it all are forgotten.
const MAX_KNOWN: usize = 4_096;
/// How long a directory must have been left alone: longer than the tick of any file system's clock. Tests do not wait that long.
const SETTLED: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 3000 });

/// See the module.
#[derive(Debug, Default)]
pub(in super::super) struct Absent(Mutex<HashMap<Name, (PathBuf, Mark)>>);

/// Which directory it is, and when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    id: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    /// Of a directory that is no link; to be taken before its files are looked for.
    pub(super) fn of(dir: &Path) -> Option<Mark> {
        let now = fs::symlink_metadata(dir).ok().filter(fs::Metadata::is_dir)?;
        let (modified, changed) = ((now.mtime(), now.mtime_nsec()), (now.ctime(), now.ctime_nsec()));
        Some(Mark { id: (now.dev(), now.ino()), modified, changed })
    }

    /// Does a further change surely give another mark? A time in the future does not.
    fn is_settled(&self) -> bool {
        let (seconds, nanos) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        changed.is_some_and(|(seconds, nanos)| Duration::new(seconds, nanos) + SETTLED < clock::now())
    }
}

impl Absent {
    /// Has this folder still no ACL?
    pub(super) fn holds(&self, name: &Name) -> bool {
        let Some((dir, mark)) = self.lock().get(name).cloned() else { return false };
        let holds = Mark::of(&dir) == Some(mark);
        if !holds {
            self.lock().remove(name);
        }
        holds
    }

    /// There was no ACL in `dir`, which had this mark before.
    pub(super) fn remember(&self, name: &Name, dir: PathBuf, mark: Option<Mark>) {
        let Some(mark) = mark.filter(Mark::is_settled) else { return };
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(name.clone(), (dir, mark));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, (PathBuf, Mark)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::super::{Error, Home, Layout, Owner, Settings, Stores};
    use super::super::{FILE, Identifier, Who};
    use super::*;

    #[test]
    fn what_comes_into_a_folder_is_seen_at_once() {
        let root = tempfile::tempdir().unwrap();
        let home = Home { maildir: root.path().join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let store = Stores::new(Settings { hostname: "h".into(), ..Settings::default() }).unwrap().open(&home).unwrap();
        let (name, dir) = (Name::parse("A").unwrap(), home.maildir.join(".A"));
        let is_known = || store.absent.lock().contains_key(&name);
        let bob = Who { login: "bob", is_owner: false, anyone: false };
        let can_bob_read = || store.rights(&name, &bob).map(|rights| !rights.is_empty());
        let settle = || {
            std::thread::sleep(2 * SETTLED);
            (can_bob_read().unwrap(), is_known())
        };
        store.create(&name, None).unwrap();
        assert!(!can_bob_read().unwrap() && !is_known(), "changed just now");
        assert_eq!(settle(), (false, true));
        assert!(!can_bob_read().unwrap() && is_known());
        // Put there by another program, by rename and in place; what is there is read every time.
        fs::write(root.path().join("acl"), "user=bob lr\n").unwrap();
        fs::rename(root.path().join("acl"), dir.join(FILE)).unwrap();
        assert_eq!((can_bob_read().unwrap(), settle()), (true, (true, false)));
        fs::write(dir.join(FILE), "").unwrap();
        assert!(!can_bob_read().unwrap());
        fs::remove_file(dir.join(FILE)).unwrap();
        assert_eq!(settle(), (false, true));
        fs::write(dir.join(FILE), "user=bob lr\n").unwrap();
        assert!(can_bob_read().unwrap());
        store.delete_acl(&name, &Identifier::User("bob".into()), false).unwrap();
        assert!(!can_bob_read().unwrap());
        // A link whose target is not there yet.
        fs::remove_file(dir.join(FILE)).unwrap();
        symlink(root.path().join("shared-acl"), dir.join(FILE)).unwrap();
        assert_eq!(settle(), (false, false));
        fs::write(root.path().join("shared-acl"), "user=bob lr\n").unwrap();
        assert!(can_bob_read().unwrap());
        // A folder that is none any more; a link in its place.
        fs::remove_file(dir.join(FILE)).unwrap();
        assert_eq!(settle(), (false, true));
        fs::rename(&dir, root.path().join("away")).unwrap();
        assert!(matches!(can_bob_read(), Err(Error::NotFound)));
        symlink(root.path().join("away"), &dir).unwrap();
        assert!(matches!(can_bob_read(), Err(Error::NotFound)));
        fs::remove_file(&dir).unwrap();
        fs::rename(root.path().join("away"), &dir).unwrap();
        assert_eq!(settle(), (false, true));
        for part in ["cur", "new"] {
            fs::remove_dir(dir.join(part)).unwrap();
        }
        assert!(matches!(can_bob_read(), Err(Error::NotFound)));
    }
}
