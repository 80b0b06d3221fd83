//! Making and removing folders, under the tree's lock, durable when they return. (Renaming is in `rename`.)
//!
//! What a cut leaves, and who repairs it:
//!
//! | while | left | then |
//! |---|---|---|
//! | making | a directory without `cur/` and `new/` (made last) | it is no folder; making it again completes it |
//! | deleting | `..mailcote-trashed-*`, no folder to anybody | emptied when the tree is next opened or something is deleted |
//! | deleting from above other folders (fs) | the folder without some of its parts | the client, who was told nothing, deletes it again |
//!
//! A role is recorded after its folder is made, and forgotten after it is removed; a role without a folder counts for nothing, and is
//! forgotten before a folder gets a name: otherwise the new folder would have it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fresh::mark_as_folder;
use super::spelling::{MAILDIR, is_stores};
use super::{Facts, Tree, complete, make, make_all};
use crate::fsio;
use crate::store::lock::Lock;
use crate::store::{Error, Layout, Name, Result, Role, filename, uidlist, uidvalidity};

/// Folders a tree can have. Listing must fit into one step of a session.
pub const MAX_FOLDERS: usize = 10_000;
/// Beginning of the name that a deleted folder has until it is empty. Two dots: not a folder to any Maildir++ program.
const TRASHED: &str = "..mailcote-trashed-";
/// How long a delete unlinks files; what is left goes next time. Bounds a session's step.
const SWEEP_TIME: Duration = Duration::from_secs(2);
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
        let lock = self.lock_to_change()?;
        let folders = self.folders()?;
        if folders.contains_key(name) {
            return Err(Error::Exists);
        }
        let mut facts = self.facts()?;
        facts.roles.retain(|has, _| folders.contains_key(has));
        if let Some(role) = role {
            self.check_role(role, &facts)?;
        }
        self.forget_roles(&lock, |has| !folders.contains_key(has))?;
        self.make_levels(&lock, &folders, name)?;
        if let Some(role) = role {
            facts.roles.insert(name.clone(), role);
            self.set_facts(&lock, facts)?;
        }
        Ok(())
    }

    /// Forget the roles of names that no folder has, durably, before a folder gets one of these: a delete on a full disk leaves them.
    /// The caller holds the tree's lock.
    pub(super) fn forget_roles(&self, lock: &Lock, is_free: impl Fn(&Name) -> bool) -> Result<()> {
        let mut facts = self.facts()?;
        let known = facts.roles.len();
        facts.roles.retain(|has, _| !is_free(has));
        if facts.roles.len() == known { Ok(()) } else { self.set_facts(lock, facts) }
    }

    pub(super) fn check_role(&self, role: Role, facts: &Facts) -> Result<()> {
        // RFC 6154 section 3: a mailbox that cannot have the use is not created.
        if matches!(role, Role::All | Role::Flagged) {
            return Err(Error::Cannot("this special use belongs to virtual mailboxes, which cannot be created"));
        }
        if facts.roles.values().any(|given| *given == role) {
            return Err(Error::Cannot("another mailbox has this special use already"));
        }
        Ok(())
    }

    /// Make the folder `name`, which is not among `folders`, and those above it that are not. The caller holds the tree's lock.
    pub(super) fn make_levels(&self, _lock: &Lock, folders: &BTreeMap<Name, PathBuf>, name: &Name) -> Result<()> {
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
        missing.iter().rev().try_for_each(|folder| self.make_folder(&self.spelling().directory(folder)?))
    }

    /// Make the Maildir of one folder. `cur/` and `new/` come last: without them it is no folder.
    fn make_folder(&self, relative: &Path) -> Result<()> {
        let directory = self.root.join(relative);
        match self.has_directory(relative)? {
            // Half made, or a level above other folders (fs): old files must not come back to life in the new folder.
            true => self.trash_contents(&directory)?,
            false => make_all(&directory)?,
        }
        make(&directory.join("tmp"))?;
        if self.layout == Layout::Maildirpp {
            mark_as_folder(&directory)?;
        }
        // RFC 3501 section 6.3.3: if a mailbox of this name was deleted, the new one has a greater UIDVALIDITY.
        uidlist::create(&directory, uidvalidity::next(&self.root)?)?;
        complete(&directory)?;
        self.sync_above(&directory)
    }

    /// Remove a folder with its messages. Children stay.
    pub fn delete(&self, name: &Name) -> Result<Moved> {
        if name.is_inbox() {
            return Err(Error::Cannot("INBOX cannot be deleted"));
        }
        let lock = self.lock_to_change()?;
        let directory = self.find(name)?;
        if self.layout == Layout::Fs && self.has_folders_below(&directory)? {
            self.trash_contents(&directory)?;
        } else {
            let trash = self.trash_name();
            fsio::rename_new(&directory, &trash).map_err(|e| Error::io(&directory, e))?;
            self.sync_above(&trash)?;
            self.sync_above(&directory)?;
            self.remove_empty_levels(&directory);
        }
        // It is gone, and a role without a folder counts for nothing: on a full disk this waits, and what was deleted makes room.
        let forgotten = self.facts().and_then(|mut facts| match facts.roles.remove(name) {
            Some(_) => self.set_facts(&lock, facts),
            None => Ok(()),
        });
        if let Err(error) = forgotten {
            tracing::warn!(root = %self.root.display(), folder = %name, %error, "the role of a deleted mailbox stays noted");
        }
        drop(lock);
        self.sweep();
        Ok(Moved { from: name.clone(), to: None })
    }

    /// fs: also folders that cannot be listed, because somebody gave them names that no client can be shown.
    fn has_folders_below(&self, directory: &Path) -> Result<bool> {
        for other in self.directories()? {
            let path = self.root.join(&other);
            if path != directory && path.starts_with(directory) && self.is_folder(&other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// fs: directories above `directory` that hold nothing any more were only levels; without this they would be in the way of
    /// a folder of their name. A failure is only logged: what was asked for is done.
    pub(super) fn remove_empty_levels(&self, directory: &Path) {
        for above in directory.ancestors().skip(1).take_while(|above| *above != self.root) {
            match fsio::remove_dir(above) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => return,
                Err(error) => return tracing::warn!(path = %above.display(), %error, "cannot remove an empty level"),
            }
        }
    }

    /// Take what is of the folder itself out of a directory that may also hold other folders (fs) or somebody's files; `cur/` and
    /// `new/` first: from then on it is no folder.
    fn trash_contents(&self, directory: &Path) -> Result<()> {
        let trash = self.trash_name();
        let fail = |e| Error::io(directory, e);
        let mut own = Vec::new();
        for entry in fs::read_dir(directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let Some(text) = name.to_str().filter(|text| is_stores(text)) else { continue };
            // A name that we refuse to a folder can be one of Dovecot's (`courier-users`), with mail in it or below.
            let path = directory.join(&name);
            let may_be_level = self.layout == Layout::Fs && !MAILDIR.contains(&text) && !text.starts_with('.');
            let is_level = may_be_level
                && path.is_dir()
                && (path.join("cur").is_dir() || path.join("new").is_dir() || self.has_folders_below(&path)?);
            if !is_level {
                own.push(name);
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        own.sort_by_key(|name| (name != "cur", name != "new"));
        make(&trash)?;
        for name in own {
            fsio::rename_new(&directory.join(&name), &trash.join(&name)).map_err(fail)?;
        }
        fsio::sync_dir(directory).map_err(fail)
    }

    /// Empty what earlier deletes left, for a bounded time. Out of everybody's sight already, so that a failure is only logged.
    pub(super) fn sweep(&self) {
        let end = Instant::now() + SWEEP_TIME;
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            // A link of that name is not followed: what it leads to was never deleted.
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(TRASHED.as_bytes());
            if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
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

    pub(super) fn sync_above(&self, path: &Path) -> Result<()> {
        let above = path.parent().unwrap_or(&self.root);
        fsio::sync_dir(above).map_err(|e| Error::io(above, e))
    }
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

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::super::list::tests::tree;
    use super::*;
    use crate::store::uidlist::{Found, UidList};

    pub(in super::super) const LAYOUTS: [Layout; 2] = [Layout::Maildirpp, Layout::Fs];

    pub(in super::super) fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    pub(in super::super) fn listed(tree: &Tree) -> Vec<String> {
        let show = |f: crate::store::Folder| format!("{}{}", f.name, if f.exists { "" } else { "?" });
        tree.list().unwrap().into_iter().map(show).collect()
    }

    pub(in super::super) fn uid_validity(tree: &Tree, text: &str) -> u32 {
        match UidList::read(&tree.find(&name(text)).unwrap()).unwrap() {
            Found::Whole(list, _) => list.header().uid_validity,
            other => panic!("{other:?}"),
        }
    }

    /// A message in a folder, to see where it goes.
    pub(in super::super) fn deliver(tree: &Tree, text: &str) {
        fs::write(tree.find(&name(text)).unwrap().join("new").join(text.replace('/', "-")), "hi").unwrap();
    }

    pub(in super::super) fn has_message(tree: &Tree, folder: &str, message: &str) -> bool {
        tree.find(&name(folder)).unwrap().join("new").join(message).exists()
    }

    #[test]
    fn create_makes_parents_and_all_parts() {
        for layout in LAYOUTS {
            let (_root, tree) = tree(layout, &[]);
            tree.create(&name("A/Bü/C"), None).unwrap();
            assert_eq!(listed(&tree), ["INBOX", "A", "A/Bü", "A/Bü/C"], "{layout:?}");
            let directory = tree.find(&name("A/Bü/C")).unwrap();
            for part in ["cur", "new", "tmp", "dovecot-uidlist"] {
                assert!(directory.join(part).exists(), "{part}");
            }
            assert_eq!(directory.join("maildirfolder").exists(), layout == Layout::Maildirpp);
            for (text, exists) in [("A/Bü/C", true), ("inbox", true), ("A/b.c", false)] {
                let error = tree.create(&name(text), None);
                match (exists, layout) {
                    (true, _) => assert!(matches!(error, Err(Error::Exists)), "{text}"),
                    (false, Layout::Maildirpp) => assert!(matches!(error, Err(Error::BadName(_))), "{text}"),
                    (false, Layout::Fs) => error.unwrap(),
                }
            }
            tree.create(&name("INBOX/x"), None).unwrap();
            assert!(listed(&tree).contains(&"INBOX/x".into()), "{layout:?}");
        }
    }

    #[test]
    fn a_folder_made_again_has_a_greater_uidvalidity() {
        for layout in LAYOUTS {
            let (_root, tree) = tree(layout, &[]);
            tree.create(&name("A"), None).unwrap();
            let first = uid_validity(&tree, "A");
            tree.delete(&name("A")).unwrap();
            tree.create(&name("A"), None).unwrap();
            assert!(uid_validity(&tree, "A") > first, "{layout:?}");
        }
    }

    #[test]
    fn delete_takes_the_messages_and_leaves_the_children() {
        for layout in LAYOUTS {
            let (root, tree) = tree(layout, &[]);
            tree.create(&name("A/B"), None).unwrap();
            deliver(&tree, "A");
            deliver(&tree, "A/B");
            assert_eq!(tree.delete(&name("A")).unwrap(), Moved { from: name("A"), to: None });
            assert_eq!(listed(&tree), ["INBOX", "A?", "A/B"], "{layout:?}");
            assert!(has_message(&tree, "A/B", "A-B"));
            assert!(matches!(tree.delete(&name("A")), Err(Error::NotFound)));
            tree.create(&name("A"), None).unwrap();
            assert!(!has_message(&tree, "A", "A"));
            tree.delete(&name("A")).unwrap();
            tree.delete(&name("A/B")).unwrap();
            assert_eq!(listed(&tree), ["INBOX"], "{layout:?}");
            let left = || fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            assert!(!left().any(|n| n.starts_with("..") || n == "A"), "{:?}", left().collect::<Vec<_>>());
            assert!(matches!(tree.delete(&Name::inbox()), Err(Error::Cannot(_))));
        }
    }

    #[test]
    fn delete_leaves_folders_that_no_client_can_be_shown() {
        let hidden = ["A/courier-users/cur", "A/B/maildir-dev/cur", "A/C/cur", "D/subscriptions-x/sub/cur"];
        let (root, tree) = tree(Layout::Fs, &[&hidden[..], &["A/cur", "A/B/cur", "D/cur"]].concat());
        for text in ["A/B", "A", "D"] {
            tree.delete(&name(text)).unwrap();
        }
        for directory in hidden {
            assert!(root.path().join(directory).is_dir(), "{directory}");
        }
        assert!(matches!(tree.find(&name("A")), Err(Error::NotFound)));
    }

    #[test]
    fn leftovers_of_a_delete_are_removed_at_opening() {
        let (root, _tree) = tree(Layout::Maildirpp, &["..mailcote-trashed-x/cur", "..DOVECOT-TRASHED/cur"]);
        assert!(!root.path().join("..mailcote-trashed-x").exists());
        assert!(root.path().join("..DOVECOT-TRASHED").exists(), "not ours");
        // Somebody else's directory under such a name is not emptied.
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("mail"), "mine").unwrap();
        symlink(outside.path(), root.path().join("..mailcote-trashed-y")).unwrap();
        Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert!(outside.path().join("mail").exists());
    }

    #[test]
    fn what_is_no_directory_of_the_tree_is_left_alone() {
        for layout in LAYOUTS {
            let (root, tree) = tree(layout, &[]);
            tree.create(&name("A/B"), None).unwrap();
            let outside = tempfile::tempdir().unwrap();
            for part in ["cur", "new", "tmp"] {
                fs::create_dir(outside.path().join(part)).unwrap();
            }
            fs::write(outside.path().join("cur/1:2,"), "mine").unwrap();
            let link = if layout == Layout::Maildirpp { ".Shared" } else { "Shared" };
            symlink(outside.path(), root.path().join(link)).unwrap();
            let refused =
                |result: Result<()>| assert!(matches!(result, Err(Error::Cannot(_))), "{layout:?} {result:?}");
            refused(tree.create(&name("Shared"), None));
            refused(tree.create(&name("Shared/x"), None));
            refused(tree.rename(&name("A"), &name("Shared")).map(drop));
            refused(tree.rename(&name("A/B"), &name("Shared/x/y")).map(drop));
            tree.make_home(&[(name("Shared"), Role::Junk), (name("Sent"), Role::Sent)], &[]).unwrap();
            assert!(matches!(tree.delete(&name("Shared")), Err(Error::NotFound)));
            Tree::open(root.path(), layout, None, false).unwrap();
            assert_eq!(fs::read(outside.path().join("cur/1:2,")).unwrap(), b"mine");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 3, "nothing was added");
            assert_eq!(listed(&tree), ["INBOX", "A", "A/B", "Sent"]);
        }
    }

    #[test]
    fn a_full_disk_does_not_stop_a_delete() {
        let (root, tree) = tree(Layout::Maildirpp, &[]);
        tree.create(&name("Junk"), Some(Role::Junk)).unwrap();
        let here = root.path().to_owned();
        let full = fsio::watch_steps(move |_, step| match step {
            fsio::Step::Write(path) | fsio::Step::Create(path)
                if path.starts_with(&here) && !path.ends_with("mailcote.tree.lock") =>
            {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        });
        tree.delete(&name("Junk")).unwrap();
        let left = || fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(!left().any(|n| n.starts_with("..")), "nothing was freed");
        drop(full);
        tree.create(&name("Spam"), Some(Role::Junk)).unwrap();
    }

    /// A tree with a folder A, whose folder Quark was deleted while its role could not be forgotten.
    pub(in super::super) fn with_a_role_left(layout: Layout) -> (tempfile::TempDir, Tree) {
        let (root, tree) = tree(layout, &[]);
        tree.create(&name("A"), None).unwrap();
        tree.create(&name("Quark"), Some(Role::Junk)).unwrap();
        let full = unwritable_facts(&root);
        tree.delete(&name("Quark")).unwrap();
        drop(full);
        assert_eq!(Facts::read(root.path()).unwrap().unwrap().roles.len(), 1);
        (root, tree)
    }

    fn unwritable_facts(root: &tempfile::TempDir) -> impl Drop + use<> {
        let here = root.path().to_owned();
        fsio::watch_steps(move |_, step| match step {
            fsio::Step::Write(path) | fsio::Step::Create(path) if *path == here.join("mailcote.tree.tmp") => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        })
    }

    pub(in super::super) fn role_of(tree: &Tree, text: &str) -> Option<Role> {
        tree.list().unwrap().into_iter().find(|f| f.name == name(text)).unwrap().role
    }

    #[test]
    fn a_folder_does_not_get_the_role_of_a_deleted_one() {
        for layout in LAYOUTS {
            // Itself, above another one, and while the role cannot be forgotten yet.
            for made in ["Quark", "Quark/Old"] {
                let (root, tree) = with_a_role_left(layout);
                let full = unwritable_facts(&root);
                assert!(matches!(tree.create(&name(made), None), Err(Error::Full(_))), "{made}");
                drop(full);
                assert_eq!(listed(&tree), ["INBOX", "A"], "{layout:?} {made}");
                tree.create(&name(made), None).unwrap();
                assert_eq!(role_of(&tree, "Quark"), None, "{layout:?} {made}");
                tree.create(&name("Spam"), Some(Role::Junk)).unwrap();
            }
            let (_root, tree) = with_a_role_left(layout);
            tree.create(&name("Quark"), Some(Role::Trash)).unwrap();
            assert_eq!(role_of(&tree, "Quark"), Some(Role::Trash));
        }
    }

    #[test]
    fn a_name_is_not_another_folders_directory() {
        let (_root, tree) = tree(Layout::Maildirpp, &[".M&APw-ll/cur", ".R&D/cur"]);
        assert!(matches!(tree.delete(&name("M&APw-ll")), Err(Error::NotFound)));
        tree.create(&name("M&APw-ll"), None).unwrap();
        assert_eq!(listed(&tree), ["INBOX", "M&APw-ll", "Müll", "R&D"]);
    }

    #[test]
    fn what_lies_in_a_directory_that_was_no_folder_is_not_lost() {
        let (root, tree) = tree(Layout::Maildirpp, &[".half/tmp", ".half/pictures"]);
        fs::write(root.path().join(".half/notes.txt"), "mine").unwrap();
        fs::write(root.path().join(".half/dovecot-uidlist"), "3 V5 N9\n").unwrap();
        tree.create(&name("half"), None).unwrap();
        assert!(root.path().join(".half/notes.txt").exists() && root.path().join(".half/pictures").exists());
        assert_ne!(uid_validity(&tree, "half"), 5);
    }

    #[test]
    fn roles_are_kept_moved_and_forgotten() {
        let (root, tree) = tree(Layout::Maildirpp, &[]);
        tree.create(&name("Gesendet"), Some(Role::Sent)).unwrap();
        for (text, role) in [("Zwei", Role::Sent), ("Alle", Role::All)] {
            assert!(matches!(tree.create(&name(text), Some(role)), Err(Error::Cannot(_))), "{text}");
            assert!(matches!(tree.find(&name(text)), Err(Error::NotFound)), "not made: {text}");
        }
        tree.rename(&name("Gesendet"), &name("Post/Raus")).unwrap();
        let role = |tree: &Tree, text: &str| {
            tree.list().unwrap().into_iter().find(|f| f.name == name(text)).and_then(|f| f.role)
        };
        assert_eq!(role(&tree, "Post/Raus"), Some(Role::Sent));
        let again = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert_eq!(role(&again, "Post/Raus"), Some(Role::Sent), "recorded");
        again.delete(&name("Post/Raus")).unwrap();
        assert_eq!(tree.list().unwrap().iter().filter(|f| f.role.is_some()).count(), 0);
        tree.create(&name("Post/Raus"), None).unwrap();
        assert_eq!(role(&tree, "Post/Raus"), None, "made again without a role");
    }
}
