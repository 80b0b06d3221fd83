//! How folder names are spelled on disk.
//!
//! Maildir++: `A/B` is the directory `.A.B`; fs: it is `A/B`. Each part is modified UTF-7 (Dovecot's default, Courier before 5.0)
//! or UTF-8 (Courier since, Dovecot with `mailbox_list_utf8`), one of them for the whole tree.
//!
//! Refused with [`Error::BadName`]: a dot in a part of a Maildir++ name, which would be a level; names that are files or
//! directories of the store itself in the fs layout; what is too long for a directory entry.
//!
//! A directory that is not spelled as we would spell it, such as `.R&D` made by hand in a modified UTF-7 tree, is still mail:
//! it is shown as it stands and found again by [`Spelling::literal`]. One that is no text at all (invalid UTF-8, control characters)
//! cannot be shown to a client; the listing logs it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::mail::utf7;
use crate::store::{Error, Layout, Name, Result, filename};

/// Spelling of the parts of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// RFC 3501 section 5.1.3.
    #[default]
    Utf7,
    /// As it is.
    Utf8,
}

/// Beginnings of names that belong to the store or to other servers; an fs folder must not have them.
const RESERVED_BEGINNINGS: [&str; 7] =
    [".", "dovecot-", "dovecot.", "mailcote.", "courier", "subscriptions", "maildir"];
/// Directories of a Maildir; an fs folder must not be called so.
pub const MAILDIR: [&str; 3] = ["cur", "new", "tmp"];

/// A tree's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling {
    /// Where the levels go.
    pub layout: Layout,
    /// What the letters are.
    pub charset: Charset,
}

impl Spelling {
    /// What stands between levels in directory names and in old `subscriptions` files.
    pub fn separator(self) -> char {
        match self.layout {
            Layout::Maildirpp => '.',
            Layout::Fs => '/',
        }
    }

    /// One part of a name as it is on disk.
    pub fn part(self, part: &str) -> String {
        match self.charset {
            Charset::Utf7 => utf7::encode(part),
            Charset::Utf8 => part.into(),
        }
    }

    /// The directory of `name` below the root; empty for INBOX.
    pub fn directory(self, name: &Name) -> Result<PathBuf> {
        let parts: Vec<String> = name.parts().map(|part| self.part(part)).collect();
        self.join(name, &parts)
    }

    /// The directory of `name` if its text stood on disk as it is; `None` where that is the same as [`Spelling::directory`], or where that
    /// directory is the spelling of another name: one folder must not have two.
    pub fn literal(self, name: &Name) -> Option<PathBuf> {
        let parts: Vec<String> = name.parts().map(String::from).collect();
        let literal = self.join(name, &parts).ok()?;
        let is_ours = self.read_levels(&parts).is_some_and(|read| read == *name);
        (is_ours && self.directory(name).ok()? != literal).then_some(literal)
    }

    fn join(self, name: &Name, parts: &[String]) -> Result<PathBuf> {
        if name.is_inbox() {
            return Ok(PathBuf::new());
        }
        let directory = match self.layout {
            Layout::Maildirpp if parts.iter().any(|p| p.contains('.')) => {
                return Err(Error::BadName("mailbox name must not contain a dot: on disk it separates levels"));
            }
            Layout::Maildirpp => format!(".{}", parts.join(".")),
            Layout::Fs if parts.iter().any(|p| p.starts_with('.') || is_stores(p)) => {
                return Err(Error::BadName("mailbox name is one that the mail store uses for itself"));
            }
            Layout::Fs => parts.join("/"),
        };
        if directory.split('/').any(|entry| entry.len() > filename::MAX_FILE_NAME) {
            return Err(Error::BadName("mailbox name is too long for a directory name"));
        }
        Ok(directory.into())
    }

    /// The name whose levels are spelled so; as it stands if it is not our spelling.
    pub fn read_levels<T: AsRef<[u8]>>(self, levels: &[T]) -> Option<Name> {
        let spelled: Option<Vec<String>> = match self.charset {
            Charset::Utf7 => levels.iter().map(|level| utf7::decode(level.as_ref())).collect(),
            Charset::Utf8 => None,
        };
        let literal = || levels.iter().map(|level| String::from_utf8(level.as_ref().to_vec()).ok()).collect();
        let texts: Vec<String> = spelled.or_else(literal)?;
        // A slash inside a part would become a level.
        if texts.iter().any(|text| text.contains('/')) {
            return None;
        }
        Name::parse(&texts.join("/")).ok()
    }

    /// The folder in `directory` below the root, if its name is text that a client can be shown.
    pub fn name(self, directory: &Path) -> Option<Name> {
        let bytes = directory.as_os_str().as_bytes();
        let parts: Vec<&[u8]> = match self.layout {
            Layout::Maildirpp => bytes.strip_prefix(b".")?.split(|b| *b == b'.').collect(),
            Layout::Fs => bytes.split(|b| *b == b'/').collect(),
        };
        let name = self.read_levels(&parts)?;
        // It must be found again under that name; `.inbox` and `.Inbox.x`, for example, are not.
        let found = self.directory(&name).ok()? == directory || self.literal(&name).is_some_and(|l| l == directory);
        (found && !name.is_inbox()).then_some(name)
    }
}

/// Is that a file or directory by which a folder is kept, by us or by another server?
pub fn is_stores(entry: &str) -> bool {
    MAILDIR.contains(&entry) || RESERVED_BEGINNINGS.iter().any(|beginning| entry.starts_with(beginning))
}

/// Can the coming or going of this entry mean that a folder came or went, or that somebody may see another one?
pub fn may_be_folder(entry: &[u8]) -> bool {
    match std::str::from_utf8(entry) {
        Ok("cur" | "new") => true,
        Ok(text) if text.starts_with('.') => text.len() > 1 && !text.starts_with(".."),
        Ok(text) => !is_stores(text) || text == crate::store::acl::FILE,
        Err(_) => true,
    }
}

/// Which charset do these directory names speak for? Any byte above ASCII means UTF-8; otherwise modified UTF-7, which is also
/// what a new tree gets, since Dovecot expects it.
pub fn detect<'a>(entries: impl Iterator<Item = &'a OsStr>) -> Charset {
    let mut entries = entries;
    if entries.any(|entry| !entry.as_bytes().is_ascii()) { Charset::Utf8 } else { Charset::Utf7 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPELLINGS: [(Layout, Charset); 4] = [
        (Layout::Maildirpp, Charset::Utf7),
        (Layout::Maildirpp, Charset::Utf8),
        (Layout::Fs, Charset::Utf7),
        (Layout::Fs, Charset::Utf8),
    ];

    #[test]
    fn names_and_directories() {
        let rows = [
            ("INBOX", ["", "", "", ""]),
            ("Work", [".Work", ".Work", "Work", "Work"]),
            ("Work/Müll", [".Work.M&APw-ll", ".Work.Müll", "Work/M&APw-ll", "Work/Müll"]),
            ("R&D", [".R&-D", ".R&D", "R&-D", "R&D"]),
            ("INBOX/x", [".INBOX.x", ".INBOX.x", "INBOX/x", "INBOX/x"]),
        ];
        for (text, directories) in rows {
            let name = Name::parse(text).unwrap();
            for ((layout, charset), directory) in SPELLINGS.into_iter().zip(directories) {
                let spelling = Spelling { layout, charset };
                assert_eq!(spelling.directory(&name).unwrap(), Path::new(directory), "{text} {spelling:?}");
                if !name.is_inbox() {
                    assert_eq!(spelling.name(Path::new(directory)), Some(name.clone()), "{directory} {spelling:?}");
                }
            }
        }
    }

    #[test]
    fn names_that_cannot_be_directories() {
        let pp = Spelling { layout: Layout::Maildirpp, charset: Charset::Utf7 };
        let fs = Spelling { layout: Layout::Fs, charset: Charset::Utf7 };
        let long = "x".repeat(255);
        for (spelling, bad) in [
            (pp, "a.b"),
            (pp, "a/b.c"),
            (pp, &long),
            (fs, "cur"),
            (fs, "a/tmp"),
            (fs, "a/new/b"),
            (fs, "dovecot-uidlist"),
            (fs, "subscriptions"),
            (fs, "mailcote.journal"),
            (fs, ".hidden"),
            (fs, "..mailcote-trashed-1"),
        ] {
            let name = Name::parse(bad).unwrap();
            assert!(matches!(spelling.directory(&name), Err(Error::BadName(_))), "{bad}");
        }
        assert!(fs.directory(&Name::parse("a.b").unwrap()).is_ok());
        assert!(fs.directory(&Name::parse(&long).unwrap()).is_ok());
        assert!(pp.directory(&Name::parse("cur").unwrap()).is_ok());
    }

    #[test]
    fn directories_that_are_spelled_otherwise() {
        let pp = Spelling { layout: Layout::Maildirpp, charset: Charset::Utf7 };
        for (directory, name) in [
            (&b".R&D"[..], Some("R&D")),
            (".Müll".as_bytes(), Some("Müll")),
            (b".M\xfcll", None),
            (b".inbox", None),
            (b".INBOX", None),
            (b".Inbox.x", None),
            (b"..trash", None),
            (b".a..b", None),
            (b".", None),
            (b".a&AC8-b", Some("a&AC8-b")), // a slash is printable and has no such spelling: as it stands
            (b".a\nb", None),
        ] {
            let found = pp.name(Path::new(OsStr::from_bytes(directory)));
            assert_eq!(found.as_ref().map(Name::as_str), name, "{}", directory.escape_ascii());
        }
        let literal = pp.literal(&Name::parse("R&D").unwrap());
        assert_eq!(literal.as_deref(), Some(Path::new(".R&D")));
        assert_eq!(pp.literal(&Name::parse("Work").unwrap()), None);
        assert_eq!(pp.literal(&Name::parse("M&APw-ll").unwrap()), None, "the directory of Müll");
    }

    #[test]
    fn what_a_tree_speaks() {
        let detected = |names: &[&str]| detect(names.iter().map(OsStr::new));
        assert_eq!(detected(&[".Work", ".M&APw-ll"]), Charset::Utf7);
        assert_eq!(detected(&[".Work", ".Müll"]), Charset::Utf8);
        assert_eq!(detected(&[]), Charset::Utf7);
    }

    proptest::proptest! {
        #[test]
        fn every_name_comes_back_and_stays_below_the_root(text in "([a-zA-Z.&/~ü日\\\\*%\"-]|\\PC){1,20}") {
            let Ok(name) = Name::parse(&text) else { return Ok(()) };
            for (layout, charset) in SPELLINGS {
                let spelling = Spelling { layout, charset };
                let Ok(directory) = spelling.directory(&name) else { continue };
                let is_plain = |part: std::path::Component| matches!(part, std::path::Component::Normal(_));
                proptest::prop_assert!(directory.components().all(is_plain), "{directory:?}");
                if !name.is_inbox() {
                    proptest::prop_assert_eq!(spelling.name(&directory), Some(name.clone()), "{:?}", spelling);
                }
            }
        }
    }
}
