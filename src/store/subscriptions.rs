//! `subscriptions`: the folders a user wants to see (RFC 3501 section 6.3.6), in Dovecot's file of that name.
//!
//! Version 2 begins with `V<TAB>2` and an empty line; each further line is a name, its levels joined by TAB, with control characters
//! escaped. Version 1 has no header, and levels joined by the layout's separator. What exists keeps its version; a new file is
//! version 2. Levels are spelled as on disk. Lines that we cannot read are kept.
//!
//! Where there is none, Courier's `courierimapsubscribed` counts (`INBOX.Folder`, a line each); the first change writes it
//! into `subscriptions` and leaves Courier's alone.
//!
//! Names need not exist: a subscription outlives its folder (RFC 3501 section 6.3.6).
//!
//! Written whole, by rename, under a lock; nothing changed is nothing written. Leaves `subscriptions.tmp` if cut short.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use super::lock::{Guard, Lock};
use super::tree::Spelling;
use super::{Error, FILE_MODE, Name, Result};
use crate::fsio;

/// The file's name.
pub const FILE: &str = "subscriptions";
/// Courier's.
const COURIERS: &str = "courierimapsubscribed";
/// First line of version 2; an empty one follows.
const MAGIC: &[u8] = b"V\t2\n";
/// Subscriptions an account can have.
const MAX_NAMES: usize = 10_000;
/// Bytes that are read: the greatest number of long names.
const MAX_FILE: u64 = 16 << 20;

/// The file's lines.
#[derive(Debug, Clone)]
struct Lines {
    /// Version 2?
    tabbed: bool,
    lines: Vec<Vec<u8>>,
}

/// What the user of the tree in `root` is subscribed to.
pub fn read(root: &Path, spelling: Spelling) -> Result<BTreeSet<Name>> {
    let lines = Lines::read(root, spelling)?;
    Ok(lines.lines.iter().filter_map(|line| lines.name(line, spelling)).collect())
}

/// Subscribe or unsubscribe, durably.
pub fn change(root: &Path, spelling: Spelling, names: &[(Name, bool)], coexist: bool) -> Result<()> {
    let lock = Lock::take(root, Guard::Subscriptions, coexist)?;
    let mut lines = Lines::read(root, spelling)?;
    let before = lines.lines.clone();
    for (name, on) in names {
        let is_name = |line: &Vec<u8>| lines.name(line, spelling).as_ref() == Some(name);
        match (on, lines.lines.iter().any(is_name)) {
            (true, false) => {
                let line = lines.line(name, spelling);
                lines.lines.push(line);
            }
            (false, true) => {
                let kept = lines.lines.iter().filter(|line| !is_name(line)).cloned().collect();
                lines.lines = kept;
            }
            _ => {}
        }
    }
    if lines.lines == before {
        return Ok(());
    }
    if lines.lines.len() > MAX_NAMES.max(before.len()) {
        return Err(Error::Limit("too many subscriptions"));
    }
    let path = root.join(FILE);
    if !lock.is_ours() {
        return Err(Error::Locked(path));
    }
    fsio::replace(&path, &lines.render(), FILE_MODE).map_err(|e| Error::io(&path, e))
}

impl Lines {
    fn read(root: &Path, spelling: Spelling) -> Result<Lines> {
        if let Some(content) = content(&root.join(FILE))? {
            return Ok(match content.strip_prefix(MAGIC) {
                Some(rest) => Lines { tabbed: true, lines: lines(rest) },
                None => Lines { tabbed: content.is_empty(), lines: lines(&content) },
            });
        }
        let mut imported = Lines { tabbed: true, lines: Vec::new() };
        for line in lines(&content(&root.join(COURIERS))?.unwrap_or_default()) {
            if let Some(name) = couriers_name(&line, spelling) {
                imported.lines.push(imported.line(&name, spelling));
            }
        }
        Ok(imported)
    }

    fn name(&self, line: &[u8], spelling: Spelling) -> Option<Name> {
        let levels: Vec<Vec<u8>> = match self.tabbed {
            true => line.split(|b| *b == b'\t').map(unescape).collect(),
            false => line.split(|b| char::from(*b) == spelling.separator()).map(<[u8]>::to_vec).collect(),
        };
        // Dovecot cuts the names of other namespaces at every dot: `shared/alice@example`, `org/Work`.
        if levels.iter().any(|level| level.contains(&b'/')) {
            let whole = levels.join(&b"."[..]);
            return spelling.read_levels(&whole.split(|b| *b == b'/').collect::<Vec<_>>());
        }
        spelling.read_levels(&levels)
    }

    fn line(&self, name: &Name, spelling: Spelling) -> Vec<u8> {
        let levels: Vec<String> = name.parts().map(|part| spelling.part(part)).collect();
        match self.tabbed {
            // A name holds no control character, so that there is nothing to escape.
            true => levels.join("\t"),
            // A dot in a level can only be one of another namespace, `shared/alice@demo.test`: slashes, as `name` reads them.
            false if levels.iter().any(|level| level.contains(spelling.separator())) => levels.join("/"),
            false => levels.join(&spelling.separator().to_string()),
        }
        .into_bytes()
    }

    fn render(&self) -> Vec<u8> {
        let mut text = if self.tabbed { [MAGIC, b"\n"].concat() } else { Vec::new() };
        for line in &self.lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text
    }
}

/// `INBOX.Folder`, INBOX in any case (courier-imap writes its whole name space so).
fn couriers_name(line: &[u8], spelling: Spelling) -> Option<Name> {
    let mut levels = line.split(|b| *b == b'.');
    if !levels.next()?.eq_ignore_ascii_case(b"INBOX") {
        return None;
    }
    let levels: Vec<&[u8]> = levels.collect();
    if levels.is_empty() { Some(Name::inbox()) } else { spelling.read_levels(&levels) }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Dovecot's tab escapes: byte 1 and a character stand for those that would end a level or a line.
fn unescape(level: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(level.len());
    let mut bytes = level.iter().copied();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == 1 { bytes.next() } else { None };
        out.push(match escaped {
            None => byte,
            Some(b'0') => 0,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'1') => 1,
            Some(other) => other,
        });
    }
    out
}

fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |e| Error::io(path, e);
    let file = match fsio::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
    };
    if file.metadata().map_err(fail)?.len() > MAX_FILE {
        return Err(Error::Limit("the subscriptions file is larger than 16 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(fail)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tree::Charset;
    use super::super::{Layout, Result};
    use super::*;

    const SPELLING: Spelling = Spelling { layout: Layout::Maildirpp, charset: Charset::Utf7 };

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn root(content: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), content).unwrap();
        root
    }

    fn names(root: &Path) -> Vec<String> {
        read(root, SPELLING).unwrap().iter().map(ToString::to_string).collect()
    }

    fn set(root: &Path, text: &str, on: bool) -> Result<()> {
        change(root, SPELLING, &[(name(text), on)], false)
    }

    #[test]
    fn dovecots_file_comes_back_with_our_change() {
        // As Dovecot 2.3.19 wrote it.
        let root = root(b"V\t2\n\nWork\tM&APw-ll\nA\tB\tC\nINBOX\n");
        assert_eq!(names(root.path()), ["A/B/C", "INBOX", "Work/Müll"]);
        set(root.path(), "Grün/x", true).unwrap();
        set(root.path(), "A/B/C", false).unwrap();
        let after = fs::read(root.path().join(FILE)).unwrap();
        assert_eq!(after, b"V\t2\n\nWork\tM&APw-ll\nINBOX\nGr&APw-n\tx\n");
    }

    #[test]
    fn version_1_stays_version_1() {
        let root = root(b"Work.M&APw-ll\nINBOX\n");
        set(root.path(), "a/b", true).unwrap();
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), b"Work.M&APw-ll\nINBOX\na.b\n");
        assert_eq!(names(root.path()), ["INBOX", "Work/Müll", "a/b"]);
        let fs_layout = Spelling { layout: Layout::Fs, ..SPELLING };
        change(root.path(), fs_layout, &[(name("c.d/e"), true)], true).unwrap();
        assert!(fs::read(root.path().join(FILE)).unwrap().ends_with(b"c.d/e\n"));
    }

    #[test]
    fn names_of_others_come_back_in_either_version() {
        for begin in ["", "V\t2\n\n"] {
            let root = root(format!("{begin}Work\n").as_bytes());
            for text in ["shared/alice@demo.test/X", "shared/bob@local/Y"] {
                set(root.path(), text, true).unwrap();
                assert_eq!(names(root.path()), ["Work", text].map(String::from), "{begin:?}");
                set(root.path(), text, false).unwrap();
                assert_eq!(names(root.path()), ["Work"]);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept() {
        let root = root(b"V\t2\n\n..\tx\n\xff\xfe\na\x01tb\nok\n");
        assert_eq!(names(root.path()), ["ok"]);
        set(root.path(), "ok", false).unwrap();
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), b"V\t2\n\n..\tx\n\xff\xfe\na\x01tb\n");
    }

    #[test]
    fn nothing_changed_is_nothing_written() {
        let root = root(b"V\t2\n\nA\n");
        let before = fs::metadata(root.path().join(FILE)).unwrap();
        set(root.path(), "A", true).unwrap();
        set(root.path(), "B", false).unwrap();
        let after = fs::metadata(root.path().join(FILE)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&before), std::os::unix::fs::MetadataExt::ino(&after));
    }

    #[test]
    fn a_new_file_is_version_2() {
        let root = tempfile::tempdir().unwrap();
        assert!(names(root.path()).is_empty());
        set(root.path(), "A", true).unwrap();
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), b"V\t2\n\nA\n");
    }

    #[test]
    fn couriers_subscriptions_are_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let couriers = root.path().join("courierimapsubscribed");
        fs::write(&couriers, "INBOX\nINBOX.Sent\nInbox.Work.M&APw-ll\nshared.x\n").unwrap();
        assert_eq!(names(root.path()), ["INBOX", "Sent", "Work/Müll"]);
        set(root.path(), "Sent", false).unwrap();
        assert_eq!(names(root.path()), ["INBOX", "Work/Müll"]);
        assert!(couriers.exists());
    }

    #[test]
    fn there_is_a_limit() {
        let mut content = b"V\t2\n\n".to_vec();
        (0..MAX_NAMES).for_each(|n| content.extend_from_slice(format!("f{n}\n").as_bytes()));
        let root = root(&content);
        assert!(matches!(set(root.path(), "one-more", true), Err(Error::Limit(_))));
        set(root.path(), "f7", false).unwrap();
    }
}
