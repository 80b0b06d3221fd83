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
//! is being renamed; who finds it finishes the job. Lines that we do not know are kept. A file that is not ours or is damaged
//! counts as missing: the charset is detected again, roles fall back to well-known names; it is not replaced until
//! there is something to write, and a log line says so.
//!
//! Written whole, by rename, under the tree's lock. Leaves `mailcote.tree.tmp` if that is cut short.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::spelling::Charset;
use crate::fsio;
use crate::store::{Error, FILE_MODE, Name, Result, Role};

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
    /// Lines of a later version.
    pub(super) others: Vec<String>,
}

impl Facts {
    /// Read the facts of the tree in `root`; `None` if there are none.
    pub fn read(root: &Path) -> Result<Option<Facts>> {
        let path = root.join(FILE);
        let text = match fs::metadata(&path).and_then(|file| match file.len() {
            0..=MAX_FILE => fsio::read(&path, MAX_FILE),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }) {
            Ok(bytes) => String::from_utf8(bytes).ok(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&path, e)),
        };
        let facts = text.as_deref().and_then(Facts::parse);
        if facts.is_none() {
            tracing::error!(path = %path.display(), "not a tree file of ours: ignored");
        }
        Ok(facts)
    }

    fn parse(text: &str) -> Option<Facts> {
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return None;
        }
        let mut facts = Facts::default();
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let name = |at: usize| fields.get(at).and_then(|text| Name::parse(text).ok());
            match (*fields.first()?, fields.len()) {
                ("charset", 2) if fields[1] == "utf-8" => facts.charset = Charset::Utf8,
                ("charset", 2) if fields[1] == "modified-utf-7" => facts.charset = Charset::Utf7,
                ("role", 3) => drop(facts.roles.insert(name(2)?, Role::from_attribute(fields[1])?)),
                ("rename", 3) => facts.rename = Some((name(1)?, name(2)?)),
                _ => facts.others.push(line.into()),
            }
        }
        Some(facts)
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
        self.others.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        let path = root.join(FILE);
        fsio::replace(&path, text.as_bytes(), FILE_MODE).map_err(|e| Error::io(&path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for bad in [
            "",
            "mailcote.tree 2\n",
            "\0\0\0",
            "mailcote.tree 1\nrole\t\\Sent\t../x\n",
            "mailcote.tree 1\nrole\tx\ty\n",
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(FILE), bad).unwrap();
            assert_eq!(Facts::read(root.path()).unwrap(), None, "{bad:?}");
        }
    }
}
