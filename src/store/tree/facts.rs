//! `mailcote.tree`, in the root of a Maildir: what must be remembered of a tree and is in no directory's name.
//!
//! ```text
//! mailcote.tree 1
//! charset<TAB>modified-utf-7 | utf-8
//! role<TAB>\Sent<TAB>Gesendet
//! rename<TAB>Old<TAB>New
//! ```
//!
//! Names are UTF-8 with `/` between levels, whatever the spelling on disk. `rename` stands there while a folder with children
//! is being renamed; who finds it finishes the job. Lines that we do not understand are kept. A file that is not ours
//! counts as missing: the charset is detected again, roles fall back to well-known names; when there is something to write it
//! is set aside (`mailcote.tree.broken-<seconds>`), and log lines say so.
//!
//! Written whole, by rename, under the tree's lock. Leaves `mailcote.tree.tmp` if that is cut short.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::spelling::Charset;
use crate::store::{Error, FILE_MODE, Name, Result, Role};
use crate::{clock, fsio};

/// The file's name.
pub const FILE: &str = "mailcote.tree";
const MAGIC: &str = "mailcote.tree 1";
/// Bytes that are read: thousands of roles; keeps a planted file from filling the memory.
const MAX_FILE: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How names are spelled.
    pub charset: Charset,
    /// Roles that were given to folders.
    pub roles: BTreeMap<Name, Role>,
    /// A rename that was begun: from, to.
    pub rename: Option<(Name, Name)>,
    /// Lines of a later version, or that somebody wrote wrong.
    pub(super) others: Vec<Vec<u8>>,
}

impl Facts {
    /// Read the facts of the tree in `root`; `None` if there are none.
    pub fn read(root: &Path) -> Result<Option<Facts>> {
        let path = root.join(FILE);
        let bytes = match fs::metadata(&path) {
            Ok(file) if file.is_file() && file.len() <= MAX_FILE => fsio::read(&path, MAX_FILE),
            Ok(_) => Ok(Vec::new()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => Err(e),
        };
        let facts = Facts::parse(&bytes.map_err(|e| Error::io(&path, e))?);
        if facts.is_none() {
            tracing::error!(path = %path.display(), "not a tree file of ours: ignored");
        }
        Ok(facts)
    }

    fn parse(bytes: &[u8]) -> Option<Facts> {
        let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut lines = lines.filter(|line| !line.is_empty());
        if lines.next() != Some(MAGIC.as_bytes()) {
            return None;
        }
        let mut facts = Facts::default();
        for line in lines {
            // One line that is not understood must not cost the others.
            if std::str::from_utf8(line).ok().and_then(|line| facts.take(line)).is_none() {
                facts.others.push(line.into());
            }
        }
        Some(facts)
    }

    /// One line; `None` if it says nothing that we know.
    fn take(&mut self, line: &str) -> Option<()> {
        let name = |text| Name::parse(text).ok();
        match line.split('\t').collect::<Vec<&str>>()[..] {
            ["charset", "utf-8"] => self.charset = Charset::Utf8,
            ["charset", "modified-utf-7"] => self.charset = Charset::Utf7,
            ["role", role, folder] => drop(self.roles.insert(name(folder)?, Role::from_attribute(role)?)),
            ["rename", from, to] => self.rename = Some((name(from)?, name(to)?)),
            _ => return None,
        }
        Some(())
    }

    /// Write them, durably. The caller holds the tree's lock and has read them since it took it.
    pub fn write(&self, root: &Path) -> Result<()> {
        let charset = match self.charset {
            Charset::Utf7 => "modified-utf-7",
            Charset::Utf8 => "utf-8",
        };
        let mut text = format!("{MAGIC}\ncharset\t{charset}\n");
        for (name, role) in &self.roles {
            text.push_str(&format!("role\t{}\t{name}\n", role.attribute()));
        }
        if let Some((from, to)) = &self.rename {
            text.push_str(&format!("rename\t{from}\t{to}\n"));
        }
        let mut text = text.into_bytes();
        for line in &self.others {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let path = root.join(FILE);
        set_aside(&path)?;
        fsio::replace(&path, &text, FILE_MODE).map_err(|e| Error::io(&path, e))
    }
}

/// What stands at `path` and is no tree file of ours gets another name: somebody may want to know what it said.
fn set_aside(path: &Path) -> Result<()> {
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    let is_ours = there.is_file() && fsio::read(path, MAGIC.len() as u64).is_ok_and(|begin| begin == MAGIC.as_bytes());
    if is_ours {
        return Ok(());
    }
    let aside = fsio::beside(path, &format!(".broken-{}", clock::unix()));
    tracing::error!(path = %aside.display(), "a tree file that is not ours is set aside");
    fsio::rename_new(path, &aside).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;
    use crate::store::Layout;

    #[test]
    fn facts_come_back() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Facts::read(root.path()).unwrap(), None);
        let name = |text| Name::parse(text).unwrap();
        let facts = Facts {
            charset: Charset::Utf8,
            roles: [(name("Gesendet"), Role::Sent), (name("Müll/alt"), Role::Trash)].into(),
            rename: Some((name("a b"), name("c/d"))),
            others: vec!["colour\tblue\t\t".into()],
        };
        facts.write(root.path()).unwrap();
        assert_eq!(Facts::read(root.path()).unwrap(), Some(facts));
    }

    #[test]
    fn a_file_that_is_not_ours_counts_as_missing() {
        for bad in ["", "mailcote.tree 2\n", "\0\0\0", &"x".repeat(MAX_FILE as usize + 1)] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(FILE), bad).unwrap();
            assert_eq!(Facts::read(root.path()).unwrap(), None, "{:.20}", bad);
            // Opening does not touch it; what is then to be written does not destroy it.
            fs::create_dir(root.path().join("cur")).unwrap();
            let tree = Tree::open(root.path(), Layout::Maildirpp, None, false).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(FILE)).unwrap(), bad);
            let sent = Name::parse("Gesendet").unwrap();
            tree.create(&sent, Some(Role::Sent)).unwrap();
            assert_eq!(Facts::read(root.path()).unwrap().unwrap().roles, [(sent, Role::Sent)].into());
            let entries = || fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
            let aside = entries().find(|path| path.to_string_lossy().contains("mailcote.tree.broken-")).unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), bad);
        }
    }

    #[test]
    fn lines_that_are_not_understood_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let text =
            b"mailcote.tree 1\ncharset\tutf-8\nrole\t\\Sent\tGesendet\nrole\t\\Sent\t../x\nrole\tx\ty\n\xff\trename\n";
        fs::write(root.path().join(FILE), text).unwrap();
        let facts = Facts::read(root.path()).unwrap().unwrap();
        assert_eq!((facts.charset, facts.roles.len(), facts.others.len()), (Charset::Utf8, 1, 3));
        facts.write(root.path()).unwrap();
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), text);
    }
}
