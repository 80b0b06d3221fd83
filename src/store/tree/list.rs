//! Which folders there are: one readdir of the root (one a level in the fs layout) and one look for `cur/` (or `new/`) in each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Tree;
use super::spelling::MAILDIR;
use crate::store::name::MAX_DEPTH;
use crate::store::{Error, Layout, Name, Result, Role};

/// One line of LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub role: Option<Role>,
    /// False for a missing parent that is only implied by a child (`\NonExistent`).
    pub exists: bool,
}

/// Names by which other servers and clients call folders with a role, best first. They count where no folder was given that role.
const WELL_KNOWN: [(Role, &[&str]); 5] = [
    (Role::Drafts, &["Drafts", "Draft"]),
    (Role::Sent, &["Sent", "Sent Messages", "Sent Items", "Sent Mail"]),
    (Role::Junk, &["Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail"]),
    (Role::Trash, &["Trash", "Deleted Messages", "Deleted Items"]),
    (Role::Archive, &["Archive", "Archives"]),
];

impl Tree {
    /// Every folder, INBOX first, then by name; implied parents included.
    pub fn list(&self) -> Result<Vec<Folder>> {
        let found = self.folders()?;
        let names: BTreeSet<&Name> = found.keys().collect();
        let roles = roles(&names, &self.facts()?.roles);
        let mut all: BTreeMap<Name, bool> = BTreeMap::new();
        for name in found.keys() {
            let mut above = name.parent();
            while let Some(parent) = above {
                above = parent.parent();
                all.entry(parent).or_insert(false);
            }
            all.insert(name.clone(), true);
        }
        // INBOX always exists, also as the parent of INBOX/x.
        all.remove(&Name::inbox());
        let inbox = (Name::inbox(), true);
        let folder = |(name, exists): (Name, bool)| Folder { role: roles.get(&name).copied(), name, exists };
        Ok([inbox].into_iter().chain(all).map(folder).collect())
    }

    /// The directories of all folders but INBOX, below the root.
    pub fn folder_directories(&self) -> Result<Vec<PathBuf>> {
        self.folders().map(|folders| folders.into_values().collect())
    }

    /// Directories below the root in which folders can come and go, or that can become folders by what is made in them.
    pub fn levels(&self) -> Result<Vec<PathBuf>> {
        let mut levels = self.directories()?;
        if self.layout == Layout::Maildirpp {
            // Everything is in the root, but for what is half made.
            let is_whole = levels.iter().map(|level| self.is_folder(level)).collect::<Result<Vec<bool>>>()?;
            let mut is_whole = is_whole.into_iter();
            levels.retain(|_| !is_whole.next().unwrap_or(true));
        }
        Ok(levels)
    }

    /// Every folder but INBOX with its directory below the root.
    pub(super) fn folders(&self) -> Result<BTreeMap<Name, PathBuf>> {
        let spelling = self.spelling();
        let mut found: BTreeMap<Name, PathBuf> = BTreeMap::new();
        for directory in self.directories()? {
            // That it is a directory, and no link to one, came with its name.
            if !self.holds_mail(&directory)? {
                continue;
            }
            let Some(name) = spelling.name(&directory) else {
                tracing::warn!(root = %self.root().display(), directory = %directory.display(),
                    "folder whose name cannot be shown: rename it on disk");
                continue;
            };
            let ours = spelling.directory(&name).is_ok_and(|d| d == directory);
            if let Some(other) = found.get(&name) {
                tracing::warn!(root = %self.root().display(), one = %other.display(), other = %directory.display(),
                    "two folders have one name: rename one on disk");
                if !ours {
                    continue;
                }
            }
            found.insert(name, directory);
        }
        Ok(found)
    }

    /// Directories below the root that are spelled as folders can be; whether they are is seen by what is in them.
    pub(super) fn directories(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        match self.layout {
            Layout::Maildirpp => self.below(Path::new(""), &mut found, |name| {
                name.starts_with(b".") && name.len() > 1 && !name.starts_with(b"..")
            })?,
            Layout::Fs => {
                let mut next = 0;
                let is_level = |name: &[u8]| !name.starts_with(b".") && !MAILDIR.iter().any(|m| m.as_bytes() == name);
                self.below(Path::new(""), &mut found, is_level)?;
                while next < found.len() {
                    let level = found[next].clone();
                    if level.iter().count() < MAX_DEPTH {
                        self.below(&level, &mut found, is_level)?;
                    }
                    next += 1;
                }
            }
        }
        Ok(found)
    }

    fn below(&self, level: &Path, to: &mut Vec<PathBuf>, is_wanted: impl Fn(&[u8]) -> bool) -> Result<()> {
        let path = self.root.join(level);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // Removed since its parent was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound && level != Path::new("") => return Ok(()),
            Err(e) => return self.pass_over(level, Error::io(&path, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&path, e))?;
            // The kind comes with the name (d_type); a symbolic link is not a directory here.
            if is_wanted(entry.file_name().as_bytes()) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                to.push(level.join(OsStr::new(&entry.file_name())));
            }
        }
        Ok(())
    }
}

/// Who has which role: those that were given one; for the other roles the best of the well-known names.
fn roles(names: &BTreeSet<&Name>, given: &BTreeMap<Name, Role>) -> BTreeMap<Name, Role> {
    let mut roles: BTreeMap<Name, Role> =
        given.iter().filter(|(name, _)| names.contains(name)).map(|(name, role)| (name.clone(), *role)).collect();
    for (role, known) in WELL_KNOWN {
        if roles.values().any(|given| *given == role) {
            continue;
        }
        let mut matching = known.iter().flat_map(|text| names.iter().filter(|n| n.as_str().eq_ignore_ascii_case(text)));
        if let Some(name) = matching.find(|name| !roles.contains_key(**name)) {
            roles.insert((**name).clone(), role);
        }
    }
    roles
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::facts::Facts;
    use super::super::spelling::Charset;
    use super::*;

    pub(in super::super) fn tree(layout: Layout, entries: &[&str]) -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().unwrap();
        for entry in entries.iter().chain(&["cur", "new", "tmp"]) {
            fs::create_dir_all(root.path().join(entry)).unwrap();
        }
        let tree = Tree::open(root.path(), layout, None, false).unwrap();
        (root, tree)
    }

    fn listed(tree: &Tree) -> Vec<String> {
        let show =
            |f: Folder| format!("{}{}{}", f.name, if f.exists { "" } else { "?" }, f.role.map_or("", Role::attribute));
        tree.list().unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn a_maildirpp_tree() {
        let (root, tree) = tree(
            Layout::Maildirpp,
            &[
                ".Work.M&APw-ll/cur",
                ".Sent/cur",
                ".Spam/cur",
                ".R&D/cur",
                ".stray",
                "..mailcote-trashed-x/cur",
                ".INBOX.x/cur",
            ],
        );
        fs::write(root.path().join(".dovecot.sieve"), "").unwrap();
        std::os::unix::fs::symlink("/", root.path().join(".root")).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("cur")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join(".link")).unwrap();
        assert_eq!(
            listed(&tree),
            ["INBOX", "INBOX/x", "R&D", "Sent\\Sent", "Spam\\Junk", "Work?", "Work/Müll"].map(String::from)
        );
        let find = |text| tree.find(&Name::parse(text).unwrap());
        assert_eq!(find("Work/Müll").unwrap(), root.path().join(".Work.M&APw-ll"));
        assert_eq!(find("R&D").unwrap(), root.path().join(".R&D"));
        assert_eq!(find("inbox").unwrap(), root.path());
        for missing in ["Work", "link", "stray", "dovecot/sieve"] {
            assert!(matches!(find(missing), Err(Error::NotFound)), "{missing}");
        }
        assert!(matches!(find("a.b"), Err(Error::BadName(_))));
    }

    #[test]
    fn an_fs_tree() {
        let (root, tree) =
            tree(Layout::Fs, &["Work/M&APw-ll/cur", "Work/M&APw-ll/new", "Sent/cur", "empty", ".git/cur"]);
        std::os::unix::fs::symlink("/", root.path().join("Sent/root")).unwrap();
        assert_eq!(listed(&tree), ["INBOX", "Sent\\Sent", "Work?", "Work/Müll"].map(String::from));
        let name = Name::parse("Work/Müll").unwrap();
        assert_eq!(tree.find(&name).unwrap(), root.path().join("Work/M&APw-ll"));
    }

    #[test]
    fn the_charset_is_detected_once_and_recorded() {
        let (root, utf8) = tree(Layout::Maildirpp, &[".Müll/cur", ".R&D/cur"]);
        assert_eq!(utf8.spelling().charset, Charset::Utf8);
        assert_eq!(listed(&utf8), ["INBOX", "Müll", "R&D"].map(String::from));
        fs::remove_dir_all(root.path().join(".Müll")).unwrap();
        let again = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
        assert_eq!(again.spelling().charset, Charset::Utf8, "recorded");
        let (_, fs) = tree(Layout::Fs, &["a/Müll/cur"]);
        assert_eq!(fs.spelling().charset, Charset::Utf8);
        let (_, fs) = tree(Layout::Fs, &["Fr/notiz-für-mich", "Fr/M&APw-ll/cur"]);
        assert_eq!(fs.spelling().charset, Charset::Utf7, "notes are no folder");
    }

    #[test]
    fn what_cannot_be_read_is_no_folder_and_hides_no_other() {
        let as_nobody = nix::unistd::geteuid().is_root();
        for (layout, hidden) in [(Layout::Maildirpp, ".rootmade"), (Layout::Fs, "lost+found")] {
            let (root, tree) = tree(layout, &[&format!("{hidden}/cur"), ".Work/cur", "Work/cur"]);
            fs::set_permissions(root.path().join(hidden), fs::Permissions::from_mode(0o000)).unwrap();
            // Root reads everything: take the test's own rights away for a moment.
            let nobody = as_nobody.then(|| {
                let all = fs::Permissions::from_mode(0o777);
                fs::set_permissions(root.path(), all.clone()).unwrap();
                fs::set_permissions(root.path().join("mailcote.tree"), all).unwrap();
                crate::store::Owner::User { uid: 65534, gid: 65534 }.assume().unwrap()
            });
            assert_eq!(listed(&tree), ["INBOX", "Work"].map(String::from), "{layout:?}");
            Tree::open(root.path(), layout, None, false).unwrap();
            drop(nobody);
            fs::set_permissions(root.path().join(hidden), fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn given_roles_go_before_well_known_names() {
        let (root, tree) = tree(Layout::Maildirpp, &[".Sent/cur", ".Gesendet/cur", ".Deleted Items/cur", ".trash/cur"]);
        let mut facts = Facts::read(root.path()).unwrap().unwrap();
        facts.roles.insert(Name::parse("Gesendet").unwrap(), Role::Sent);
        facts.roles.insert(Name::parse("gone").unwrap(), Role::Junk);
        facts.write(root.path()).unwrap();
        assert_eq!(
            listed(&tree),
            ["INBOX", "Deleted Items", "Gesendet\\Sent", "Sent", "trash\\Trash"].map(String::from)
        );
    }
}
