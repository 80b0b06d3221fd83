//! Renaming a folder with its children, under the tree's lock, durable when it returns.
//!
//! What a cut leaves, and who repairs it:
//!
//! | while | left | then |
//! |---|---|---|
//! | renaming one directory | the old name or the new | nothing to do: it is one rename |
//! | renaming with children (Maildir++) | some under the old name, and `rename` in `mailcote.tree` | finished when the tree is next opened |
//!
//! An error on the way takes back what was renamed. What cannot be finished at an opening is logged, keeps nobody out, and is tried
//! again at the next.
//!
//! UIDVALIDITY stays: every folder of a tree has its own, so that a name never gets an old one back (RFC 3501 section 2.3.1.1).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::change::Moved;
use super::{Facts, IN_THE_WAY, Tree, make_all};
use crate::fsio;
use crate::store::lock::Lock;
use crate::store::{Error, Layout, Name, Result};

impl Tree {
    /// Rename a folder (not INBOX) with its children. Returns what moved.
    pub fn rename(&self, from: &Name, to: &Name) -> Result<Vec<Moved>> {
        if to.is_below(from) {
            return Err(Error::Cannot("a mailbox cannot be renamed to a name below itself"));
        }
        if to.is_inbox() {
            return Err(Error::Exists);
        }
        let lock = self.lock_to_change()?;
        let folders = self.folders()?;
        let moved = moves(&folders, from, to)?;
        for change in &moved {
            let target = change.to.as_ref().ok_or(Error::NotFound)?;
            let directory = self.spelling().directory(target)?;
            if folders.contains_key(target) {
                return Err(Error::Exists);
            }
            // fs: a level without folders may be left over; `rename_level` looks.
            if self.has_directory(&directory)? && self.layout == Layout::Maildirpp {
                return Err(Error::Cannot(IN_THE_WAY));
            }
        }
        let may_get = |has: &Name| has == to || has.is_below(to) || to.is_below(has);
        self.forget_roles(&lock, |has| may_get(has) && !folders.contains_key(has))?;
        // RFC 3501 section 6.3.5: superior names of the new one are made.
        if let Some(parent) = to.parent().filter(|parent| !parent.is_inbox() && !folders.contains_key(parent)) {
            self.make_levels(&lock, &folders, &parent)?;
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
        let paths = self.paths(folders, moved)?;
        let renamed = self.rename_directories(&paths);
        if let Err(error) = renamed {
            if moved.len() > 1 {
                facts.rename = None;
                if let Err(error) = self.set_facts(lock, facts) {
                    tracing::error!(root = %self.root.display(), %error, "a rename that was refused stays announced");
                }
            }
            return Err(error);
        }
        self.record_moves(lock, facts, moved)
    }

    /// Where folders are, and where they go.
    fn paths(&self, folders: &BTreeMap<Name, PathBuf>, moved: &[Moved]) -> Result<Vec<(PathBuf, PathBuf)>> {
        let pairs = moved.iter().filter_map(|change| folders.get(&change.from).zip(change.to.as_ref()));
        pairs.map(|(old, new)| Ok((self.root.join(old), self.root.join(self.spelling().directory(new)?)))).collect()
    }

    /// All of them, for good, or none.
    fn rename_directories(&self, paths: &[(PathBuf, PathBuf)]) -> Result<()> {
        let mut done = 0;
        let renamed = paths.iter().try_for_each(|(old, new)| {
            fsio::rename_new(old, new).map_err(|e| Error::io(old, e))?;
            done += 1;
            Ok(())
        });
        renamed.and_then(|()| fsio::sync_dir(&self.root).map_err(|e| Error::io(&self.root, e))).inspect_err(|_| {
            for (old, new) in paths[..done].iter().rev() {
                if let Err(error) = fsio::rename_new(new, old) {
                    tracing::error!(path = %new.display(), %error, "cannot take back a rename that failed half-way");
                }
            }
        })
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
        if let Some(above) = new.parent() {
            make_all(above)?;
        }
        fsio::rename_new(&old, &new).map_err(|e| Error::io(&old, e))?;
        self.sync_above(&new)?;
        self.sync_above(&old)?;
        self.remove_empty_levels(&old);
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
            let directory = change.to.as_ref().and_then(|to| self.spelling().directory(to).ok());
            // By a folder, or by whatever else has that name.
            let taken = directory.is_none_or(|to| fs::symlink_metadata(self.root.join(to)).is_ok());
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
        self.rename_directories(&self.paths(&folders, &moved)?)?;
        self.record_moves(lock, facts, &all)
    }
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

#[cfg(test)]
mod tests {
    use super::super::change::tests::{
        LAYOUTS, deliver, has_message, listed, name, role_of, uid_validity, with_a_role_left,
    };
    use super::super::list::tests::tree;
    use super::*;
    use crate::store::Role;

    #[test]
    fn rename_takes_the_children_along() {
        for layout in LAYOUTS {
            let (_root, tree) = tree(layout, &[]);
            tree.create(&name("A/B"), None).unwrap();
            tree.create(&name("Ab"), None).unwrap();
            deliver(&tree, "A");
            deliver(&tree, "A/B");
            let before = uid_validity(&tree, "A/B");
            let moved = tree.rename(&name("A"), &name("X/Y")).unwrap();
            assert_eq!(moved.len(), 2);
            assert_eq!(moved[1], Moved { from: name("A/B"), to: Some(name("X/Y/B")) });
            assert_eq!(listed(&tree), ["INBOX", "Ab", "X", "X/Y", "X/Y/B"], "{layout:?}");
            assert!(has_message(&tree, "X/Y", "A") && has_message(&tree, "X/Y/B", "A-B"));
            assert_eq!(uid_validity(&tree, "X/Y/B"), before);
            for (from, to, why) in [
                ("X", "X/Z", "below itself"),
                ("X", "Ab", "taken"),
                ("X", "inbox", "INBOX"),
                ("nothing", "else", "missing"),
                ("Ab", "x\u{2028}/cur", "fs only"),
            ] {
                let renamed = tree.rename(&name(from), &name(to));
                let allowed = why == "fs only" && layout == Layout::Maildirpp;
                assert_eq!(renamed.is_ok(), allowed, "{layout:?} {why}: {renamed:?}");
            }
        }
    }

    #[test]
    fn a_renamed_folder_does_not_get_the_role_of_a_deleted_one() {
        for layout in LAYOUTS {
            for to in ["Quark", "Quark/Old"] {
                let (_root, tree) = with_a_role_left(layout);
                tree.rename(&name("A"), &name(to)).unwrap();
                assert_eq!(role_of(&tree, "Quark"), None, "{layout:?} {to}");
            }
        }
    }

    #[test]
    fn a_parent_that_only_its_children_imply_can_be_renamed() {
        for layout in LAYOUTS {
            let (_root, tree) = tree(layout, &[]);
            tree.create(&name("A/B"), None).unwrap();
            tree.delete(&name("A")).unwrap();
            tree.rename(&name("A"), &name("C")).unwrap();
            assert_eq!(listed(&tree), ["INBOX", "C?", "C/B"], "{layout:?}");
            tree.create(&name("A"), None).unwrap();
        }
    }

    #[test]
    fn an_interrupted_rename_is_finished() {
        let (root, tree) = tree(Layout::Maildirpp, &[]);
        for text in ["A/B", "A/C", "A/D"] {
            tree.create(&name(text), None).unwrap();
        }
        tree.create(&name("A/E"), Some(Role::Sent)).unwrap();
        tree.create(&name("A/F"), Some(Role::Junk)).unwrap();
        // As a crash leaves it: announced, two renames done, one new name taken by somebody else meanwhile.
        let mut facts = Facts::read(root.path()).unwrap().unwrap();
        facts.rename = Some((name("A"), name("X")));
        facts.write(root.path()).unwrap();
        fs::rename(root.path().join(".A"), root.path().join(".X")).unwrap();
        fs::rename(root.path().join(".A.E"), root.path().join(".X.E")).unwrap();
        fs::create_dir_all(root.path().join(".X.D/cur")).unwrap();
        let tree = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert_eq!(listed(&tree), ["INBOX", "A?", "A/D", "X", "X/B", "X/C", "X/D", "X/E", "X/F"]);
        let facts = Facts::read(root.path()).unwrap().unwrap();
        assert_eq!(facts.rename, None);
        assert_eq!(facts.roles, [(name("X/E"), Role::Sent), (name("X/F"), Role::Junk)].into());
    }

    #[test]
    fn a_rename_that_fails_half_way_changes_nothing() {
        let (root, tree) = tree(Layout::Maildirpp, &[]);
        tree.create(&name("A/B"), None).unwrap();
        // What has a child's new name is no folder.
        fs::write(root.path().join(".New.B"), "notes").unwrap();
        assert!(matches!(tree.rename(&name("A"), &name("New")), Err(Error::Cannot(_))));
        fs::remove_file(root.path().join(".New.B")).unwrap();
        let here = root.path().join(".New.B");
        let failing = fsio::watch_steps(move |_, step| match step {
            fsio::Step::Rename(_, to) if *to == here => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        });
        assert!(matches!(tree.rename(&name("A"), &name("New")), Err(Error::Full(_))));
        drop(failing);
        assert_eq!(listed(&tree), ["INBOX", "A", "A/B"]);
        assert_eq!(Facts::read(root.path()).unwrap().unwrap().rename, None);
        tree.rename(&name("A"), &name("New")).unwrap();
    }

    #[test]
    fn an_interrupted_rename_that_cannot_be_finished_keeps_nobody_out() {
        let (root, tree) = tree(Layout::Maildirpp, &[]);
        tree.create(&name("A/B"), None).unwrap();
        let mut facts = Facts::read(root.path()).unwrap().unwrap();
        facts.rename = Some((name("A"), name("X")));
        facts.write(root.path()).unwrap();
        let here = root.path().to_owned();
        let failing = fsio::watch_steps(move |_, step| match step {
            step if step.path().starts_with(&here) => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => Ok(()),
        });
        let again = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert_eq!(listed(&again), ["INBOX", "A", "A/B"]);
        drop(failing);
        // A thing in the way stays, and its folder keeps the old name.
        fs::write(root.path().join(".X.B"), "notes").unwrap();
        let again = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert_eq!(listed(&again), ["INBOX", "A?", "A/B", "X"]);
    }
}
