//! Annotations of folders and of the account (RFC 5464).
//!
//! ```text
//! mailcote.metadata 1
//! shared<TAB>/comment<TAB>A value
//! private<TAB><TAB>/comment<TAB>The owner's own value
//! private<TAB>bob@example.org<TAB>/comment<TAB>What bob notes of a folder that is shared with him
//! ```
//!
//! `mailcote.metadata` lies in the folder's directory, so that it is renamed and deleted with the folder; INBOX's is in the root, and the
//! account's own is `mailcote.account-metadata` beside it. Entry names are lower case and without their first component, which is
//! the first field. Values are any bytes; TAB, LF, CR, NUL and byte 1 are written as Dovecot escapes them: byte 1 and a letter or digit. Lines
//! that we do not know are kept.
//!
//! Where there is no such file, what a Dovecot 2.3 has written into `dovecot-attributes` counts (see [`mod@dovecot`]); the first change takes
//! it over, and Dovecot's file is left alone.
//!
//! Written whole, by rename, under the folder's lock; on the disk when the call returns. A damaged file counts as empty and is
//! logged; it is kept beside the new one (`.damaged`) when something is written. Leaves `mailcote.metadata.tmp` if cut short.
//!
//! Fails with [`Error::Limit`] where a folder would get more than [`MAX_ENTRIES`], or of a guest's more than [`MAX_GUEST`]; the size of a value is the protocol's to check
//! ([`MAX_VALUE`]).

mod dovecot;
mod feed;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use feed::{Changed, Feed};

use super::lock::{Guard, Lock};
use super::{Error, FILE_MODE, Name, Result, Store};
use crate::fsio;

/// Bytes in a value. RFC 5464 section 4.1 demands 1024; a signature with a small picture has some 30 KB.
pub const MAX_VALUE: usize = 60 * 1024;
/// Entries of a folder, or of the account: the owner's private ones and the shared ones. RFC 5464 section 4.1 demands 10.
pub const MAX_ENTRIES: usize = 200;
/// Private entries that one user can have on a folder that another shares with him: twice what RFC 5464 demands.
pub const MAX_GUEST: usize = 20;
/// Private entries of all such users of a folder. Counted apart, so that those who may only read a folder cannot keep its owner from noting anything.
const MAX_GUESTS: usize = 400;
/// Bytes in the name of an entry: names in use have 20 to 60.
pub const MAX_NAME: usize = 255;
/// Bytes that are read of a file: the greatest number of great values, escaped.
const MAX_FILE: u64 = 2 * (MAX_VALUE as u64 + 2 * MAX_NAME as u64) * (MAX_ENTRIES + MAX_GUESTS) as u64;
/// A folder's file.
const FOLDER_FILE: &str = "mailcote.metadata";
/// The account's file.
const ACCOUNT_FILE: &str = "mailcote.account-metadata";
const MAGIC: &[u8] = b"mailcote.metadata 1\n";

/// Whose an entry is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `/shared`: everybody's who may see the folder.
    Shared,
    /// `/private` of this user; `None` is the owner of the account.
    Private(Option<String>),
}

/// An entry: whose, and its name behind `/shared` or `/private`, in lower case: `/comment`.
pub type Entry = (Scope, String);

/// The annotations of one folder, or of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Annotations {
    entries: BTreeMap<Entry, Vec<u8>>,
    /// Lines of a later version.
    others: Vec<Vec<u8>>,
    damaged: bool,
}

impl Store {
    /// What is noted of a folder (of the account: `None`), everybody's.
    pub fn annotations(&self, of: Option<&Name>) -> Result<BTreeMap<Entry, Vec<u8>>> {
        let _owner = self.assume()?;
        let path = self.annotations_file(of)?;
        Ok(self.read_annotations(of, &path)?.entries)
    }

    /// Set entries, or remove them (`None`): all or nothing, durable when it returns. `by` is the session that does it; all others are told.
    pub fn annotate(&self, of: Option<&Name>, changes: &[(Entry, Option<Vec<u8>>)], by: u64) -> Result<()> {
        {
            let _owner = self.assume()?;
            let path = self.annotations_file(of)?;
            let dir = path.parent().unwrap_or(&path);
            // Nobody else writes this file, so our own lock will do also beside a Dovecot.
            let _lock = Lock::take(dir, Guard::Folder, false)?;
            let mut all = self.read_annotations(of, &path)?;
            let before = all.entries.clone();
            let had = all.counts(changes);
            for (entry, value) in changes {
                match value {
                    Some(value) => drop(all.entries.insert(entry.clone(), value.clone())),
                    None => drop(all.entries.remove(entry)),
                }
            }
            let has = all.counts(changes);
            if (0..3).any(|n| has[n] > had[n].max([MAX_ENTRIES, MAX_GUESTS, MAX_GUEST][n])) {
                return Err(Error::Limit("too many annotations"));
            }
            if all.entries != before {
                all.write(&path)?;
            }
        }
        self.feed.note(of, changes.iter().map(|(entry, _)| entry), by);
        Ok(())
    }

    /// INBOX was renamed: RFC 5464 section 4.1 has its annotations in both folders then.
    pub(super) fn copy_annotations(&self, from: &Name, to: &Name) -> Result<()> {
        let all = self.annotations(Some(from))?;
        if all.is_empty() {
            return Ok(());
        }
        let changes: Vec<_> = all.into_iter().map(|(entry, value)| (entry, Some(value))).collect();
        self.annotate(Some(to), &changes, 0)
    }

    /// Who changed what since somebody last looked.
    pub fn annotation_feed(&self) -> &Feed {
        &self.feed
    }

    fn annotations_file(&self, of: Option<&Name>) -> Result<PathBuf> {
        Ok(match of {
            Some(name) => self.tree.find(name)?.join(FOLDER_FILE),
            None => self.home.maildir.join(ACCOUNT_FILE),
        })
    }

    fn read_annotations(&self, of: Option<&Name>, path: &Path) -> Result<Annotations> {
        if let Some(annotations) = Annotations::read(path)? {
            return Ok(annotations);
        }
        let folder = path.parent().filter(|_| of.is_some());
        Ok(Annotations { entries: dovecot::read(&self.home.maildir, folder)?, ..Annotations::default() })
    }
}

impl Annotations {
    /// `None` if there is no file.
    fn read(path: &Path) -> Result<Option<Annotations>> {
        let bytes = match fsio::read(path, MAX_FILE + 1) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, e)),
        };
        if let (Some(lines), true) = (bytes.strip_prefix(MAGIC), bytes.len() as u64 <= MAX_FILE) {
            return Ok(Some(Annotations::parse(lines)));
        }
        tracing::error!(path = %path.display(), "not a file of annotations: ignored");
        Ok(Some(Annotations { damaged: true, ..Annotations::default() }))
    }

    /// How many there are: the owner's and shared ones, other users', and of those the ones of whom `changes` are.
    fn counts(&self, changes: &[(Entry, Option<Vec<u8>>)]) -> [usize; 3] {
        let guest = |(scope, _): &Entry| match scope {
            Scope::Private(Some(login)) => Some(login.clone()),
            _ => None,
        };
        let doer = changes.iter().find_map(|(entry, _)| guest(entry));
        let guests: Vec<String> = self.entries.keys().filter_map(guest).collect();
        let of_doer = guests.iter().filter(|login| Some(*login) == doer.as_ref()).count();
        [self.entries.len() - guests.len(), guests.len(), of_doer]
    }

    fn parse(lines: &[u8]) -> Annotations {
        let mut all = Annotations::default();
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let fields: Vec<&[u8]> = line.split(|b| *b == b'\t').collect();
            let found = match fields[..] {
                [b"shared", name, value] => text(name).map(|name| ((Scope::Shared, name), value)),
                [b"private", user, name, value] => text(user).zip(text(name)).map(|(user, name)| {
                    let user = Some(user).filter(|user| !user.is_empty());
                    ((Scope::Private(user), name), value)
                }),
                _ => None,
            };
            match found {
                Some((entry, value)) => drop(all.entries.insert(entry, unescape(value))),
                None => all.others.push(line.into()),
            }
        }
        all
    }

    fn write(&self, path: &Path) -> Result<()> {
        if self.damaged {
            let aside = fsio::beside(path, ".damaged");
            fsio::rename(path, &aside).map_err(|e| Error::io(path, e))?;
        }
        let mut bytes = MAGIC.to_vec();
        for ((scope, name), value) in &self.entries {
            match scope {
                Scope::Shared => bytes.extend_from_slice(b"shared\t"),
                Scope::Private(user) => {
                    bytes.extend_from_slice(b"private\t");
                    escape(user.as_deref().unwrap_or("").as_bytes(), &mut bytes);
                    bytes.push(b'\t');
                }
            }
            escape(name.as_bytes(), &mut bytes);
            bytes.push(b'\t');
            escape(value, &mut bytes);
            bytes.push(b'\n');
        }
        for line in &self.others {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        fsio::replace(path, &bytes, FILE_MODE).map_err(|e| Error::io(path, e))
    }
}

fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(unescape(field)).ok()
}

/// Dovecot's tab escapes: byte 1 and a character stand for those that would end a field or a line.
const ESCAPES: [(u8, u8); 5] = [(0, b'0'), (1, b'1'), (b'\t', b't'), (b'\n', b'n'), (b'\r', b'r')];

fn escape(value: &[u8], to: &mut Vec<u8>) {
    for byte in value {
        match ESCAPES.iter().find(|row| row.0 == *byte) {
            Some((_, letter)) => to.extend_from_slice(&[1, *letter]),
            None => to.push(*byte),
        }
    }
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        let Some(letter) = (byte == 1).then(|| bytes.next()).flatten() else {
            out.push(byte);
            continue;
        };
        out.push(ESCAPES.iter().find(|row| row.1 == letter).map_or(letter, |row| row.0));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Home, Layout, Owner, Settings, Stores};
    use super::*;
    use crate::store::uidlist;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn store(dir: &Path) -> std::sync::Arc<Store> {
        let settings =
            Settings { hostname: "h".into(), coexist: false, default_folders: Vec::new(), ..Settings::default() };
        let home = Home { maildir: dir.join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        Stores::new(settings).unwrap().open(&home).unwrap()
    }

    fn shared(name: &str) -> Entry {
        (Scope::Shared, name.into())
    }

    fn set(entry: Entry, value: &[u8]) -> (Entry, Option<Vec<u8>>) {
        (entry, Some(value.to_vec()))
    }

    #[test]
    fn any_bytes_come_back_and_other_lines_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let file = dir.path().join("m/mailcote.metadata");
        fs::write(&file, "mailcote.metadata 1\nfuture\tx\n").unwrap();
        let mine = (Scope::Private(None), "/comment".to_owned());
        let bobs = (Scope::Private(Some("bob@demo.test".into())), "/comment".to_owned());
        let all: Vec<u8> = (0..=255).collect();
        let inbox = Name::inbox();
        let changes = [set(mine.clone(), &all), set(bobs.clone(), b""), set(shared("/comment"), b"a\r\nb")];
        store.annotate(Some(&inbox), &changes, 1).unwrap();
        let found = store.annotations(Some(&inbox)).unwrap();
        let want: BTreeMap<_, _> = changes.iter().map(|(e, v)| (e.clone(), v.clone().unwrap())).collect();
        assert_eq!(found, want);
        assert!(fs::read_to_string(&file).is_err(), "raw bytes");
        store.annotate(Some(&inbox), &[(mine, None), (bobs, None)], 1).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, "mailcote.metadata 1\nshared\t/comment\ta\u{1}r\u{1}nb\nfuture\tx\n");
        assert!(store.annotations(None).unwrap().is_empty(), "the account's are others");
    }

    #[test]
    fn they_go_with_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.create(&name("A/B"), None).unwrap();
        store.annotate(Some(&name("A/B")), &[set(shared("/comment"), b"x")], 1).unwrap();
        store.rename(&name("A"), &name("C")).unwrap();
        assert_eq!(store.annotations(Some(&name("C/B"))).unwrap().len(), 1);
        store.delete(&name("C/B")).unwrap();
        assert!(matches!(store.annotations(Some(&name("C/B"))), Err(Error::NotFound)));
        store.create(&name("C/B"), None).unwrap();
        assert!(store.annotations(Some(&name("C/B"))).unwrap().is_empty());
        // RFC 5464 section 4.1: renaming INBOX copies them.
        store.annotate(Some(&Name::inbox()), &[set(shared("/comment"), b"in")], 1).unwrap();
        store.rename(&Name::inbox(), &name("Old")).unwrap();
        for folder in ["INBOX", "Old"] {
            assert_eq!(store.annotations(Some(&name(folder))).unwrap()[&shared("/comment")], b"in", "{folder}");
        }
    }

    #[test]
    fn too_many_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let many: Vec<_> = (0..=MAX_ENTRIES).map(|n| set(shared(&format!("/vendor/x/{n}")), b"v")).collect();
        assert!(matches!(store.annotate(None, &many, 1), Err(Error::Limit(_))));
        assert!(store.annotations(None).unwrap().is_empty());
        store.annotate(None, &many[1..], 1).unwrap();
        assert!(matches!(store.annotate(None, &many[..1], 1), Err(Error::Limit(_))));
        store.annotate(None, &[set(shared("/vendor/x/5"), b"new")], 1).unwrap();
        // What guests note is counted apart from what the owner does, and of each guest.
        let inbox = Name::inbox();
        let guests = |user: usize, n| set((Scope::Private(Some(format!("u{user}@x"))), format!("/vendor/x/{n}")), b"v");
        let of_one: Vec<_> = (0..=MAX_GUEST).map(|n| guests(0, n)).collect();
        assert!(matches!(store.annotate(Some(&inbox), &of_one, 1), Err(Error::Limit(_))));
        for user in 0..MAX_GUESTS / MAX_GUEST {
            let all: Vec<_> = (0..MAX_GUEST).map(|n| guests(user, n)).collect();
            store.annotate(Some(&inbox), &all, 1).unwrap();
        }
        assert!(matches!(store.annotate(Some(&inbox), &[guests(99, 1)], 1), Err(Error::Limit(_))));
        store.annotate(Some(&inbox), &many[1..], 1).unwrap();
    }

    #[test]
    fn a_damaged_file_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let file = dir.path().join("m/mailcote.account-metadata");
        fs::write(&file, "something else").unwrap();
        assert!(store.annotations(None).unwrap().is_empty());
        store.annotate(None, &[set(shared("/comment"), b"x")], 1).unwrap();
        assert_eq!(store.annotations(None).unwrap().len(), 1);
        assert_eq!(fs::read(dir.path().join("m/mailcote.account-metadata.damaged")).unwrap(), b"something else");
    }

    #[test]
    fn dovecots_are_read_until_the_first_change() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.create(&name("Work"), None).unwrap();
        let (inbox, work) = (uidlist::new_guid(), uidlist::new_guid());
        let root = dir.path().join("m");
        fs::write(root.join("dovecot-uidlist"), format!("3 V5 N1 G{inbox}\n")).unwrap();
        fs::write(root.join(".Work/dovecot-uidlist"), format!("3 V6 N1 G{work}\n")).unwrap();
        let lines = format!(
            "priv/{work}/comment\nx y\nshared/{work}/comment\na\u{1}r\u{1}nb\npriv/{work}/vendor/x/y\nq\n\
             priv/{inbox}/vendor/vendor.dovecot/pvt/server/vendor/x/y\nsrv\npriv/{inbox}/comment\nin\n"
        );
        fs::write(root.join("dovecot-attributes"), &lines).unwrap();
        let mine = |name: &str| (Scope::Private(None), name.to_owned());
        let found = store.annotations(Some(&name("Work"))).unwrap();
        assert_eq!(found[&mine("/comment")], b"x y");
        assert_eq!(found[&shared("/comment")], b"a\r\nb");
        assert_eq!((found[&mine("/vendor/x/y")].as_slice(), found.len()), (&b"q"[..], 3));
        assert_eq!(store.annotations(None).unwrap(), [(mine("/vendor/x/y"), b"srv".to_vec())].into());
        assert_eq!(store.annotations(Some(&Name::inbox())).unwrap(), [(mine("/comment"), b"in".to_vec())].into());
        store.annotate(Some(&name("Work")), &[(mine("/comment"), None)], 1).unwrap();
        assert_eq!(store.annotations(Some(&name("Work"))).unwrap().len(), 2, "taken over, not lost");
        assert_eq!(fs::read_to_string(root.join("dovecot-attributes")).unwrap(), lines);
    }
}
