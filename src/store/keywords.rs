//! `dovecot-keywords`: the names of a folder's keyword letters. Letter `a` is number 0, `z` is 25.
//!
//! Lines of `<number> <name>`; names are equal in any case. A letter that a file name has and the table has not is
//! shown as `unknown-<number>`, as Dovecot does, and stays in the file name; so is one whose name is no atom of IMAP: it
//! keeps its line, byte for byte, and a client that was told it would lose its place in the response. Keywords past the 26th have no letter: they
//! live in the journal, as numbers 26 to 127.
//!
//! Changed only under the folder's [`Lock`], by a new file that replaces the old, whose modification time is at least a whole
//! second later: Dovecot compares whole seconds to see a change. Lines that we do not understand are not written back: their
//! numbers or names are taken or impossible, and Dovecot drops them too.
//!
//! Leaves `dovecot-keywords.tmp` if a write is cut short; the next one replaces it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lock::Lock;
use super::{Error, Result};
use crate::fsio;

/// The file's name.
pub const FILE: &str = "dovecot-keywords";
/// Keywords that have a letter.
pub const LETTERS: usize = 26;
/// Keywords a folder can have, letters and journal together: bits of a `u128`.
pub const MAX_KEYWORDS: usize = 128;
/// Bytes of a keyword's name: Dovecot's own limit is 50; longer ones from a file are still shown.
pub const MAX_NAME: usize = 255;
/// Bytes of the file that are read: 26 names of the greatest length, many times over.
const MAX_FILE: u64 = 64 << 10;

/// What stands behind each number: somebody's bytes, not always text.
type Names = [Option<Box<[u8]>>; LETTERS];

/// The table, with what tells us that the file has changed.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    names: Names,
    /// Inode, whole and nanoseconds of the modification time, size; `None` if there was no file.
    seen: Option<(u64, i64, i64, u64)>,
}

impl Keywords {
    /// Read the table of the folder in `dir`; no file is an empty table.
    pub fn read(dir: &Path) -> Result<Keywords> {
        let path = dir.join(FILE);
        let fail = |e| Error::io(&path, e);
        let mut file = match fsio::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Keywords::default()),
            Err(e) => return Err(fail(e)),
        };
        let seen = Some(mark(&file.metadata().map_err(fail)?));
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(&mut file, MAX_FILE), &mut bytes).map_err(fail)?;
        Ok(Keywords { names: parse(&bytes), seen })
    }

    /// Has somebody replaced the file since it was read? One stat.
    pub fn is_stale(&self, dir: &Path) -> bool {
        fs::metadata(dir.join(FILE)).ok().map(|now| mark(&now)) != self.seen
    }

    /// The name of a number, if it has one that a client can be told.
    pub fn name(&self, number: usize) -> Option<&str> {
        std::str::from_utf8(self.names.get(number)?.as_deref()?).ok().filter(|name| is_atom(name))
    }

    /// The name to show for a letter that is in use: its own, or `unknown-<number>`.
    pub fn shown(&self, number: usize) -> String {
        self.name(number).map_or_else(|| format!("unknown-{number}"), String::from)
    }

    /// The number of `name`, in any case of its letters; also of the `unknown-<number>` of a nameless letter.
    pub fn find(&self, name: &str) -> Option<usize> {
        let is_it = |known: &[u8]| known.eq_ignore_ascii_case(name.as_bytes());
        let named = self.names.iter().position(|known| known.as_deref().is_some_and(is_it));
        named.or_else(|| {
            let number: usize = name.to_ascii_lowercase().strip_prefix("unknown-")?.parse().ok()?;
            (number < LETTERS && self.name(number).is_none()).then_some(number)
        })
    }

    /// Give `name` a letter, in memory. `used` are the letters in file names (bit 0 is `a`): a nameless letter that is in use
    /// means something to somebody and is not given away. `None` if all are taken: the journal has room for more.
    pub fn add(&mut self, name: &str, used: u32) -> Option<usize> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        if name.is_empty() || name.len() > MAX_NAME || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let free = (0..LETTERS).find(|n| self.names[*n].is_none() && used & 1 << n == 0)?;
        self.names[free] = Some(name.as_bytes().into());
        Some(free)
    }

    /// Write the table, durably. The caller holds the folder's lock and has read the table since it took it.
    pub fn write(&mut self, dir: &Path, lock: &Lock, mode: u32) -> Result<()> {
        let path = dir.join(FILE);
        let fail = |e| Error::io(&path, e);
        if !lock.is_ours() {
            return Err(Error::Locked(path));
        }
        let mut text = Vec::new();
        for (number, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                text.extend_from_slice(format!("{number} ").as_bytes());
                text.extend_from_slice(name);
                text.push(b'\n');
            }
        }
        let later = self.seen.and_then(|seen| u64::try_from(seen.1).ok()).unwrap_or(0) + 1;
        // A file system can hold a time that no clock can show.
        let later = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(later)).unwrap_or(SystemTime::UNIX_EPOCH);
        let file = fsio::replace_dated(&path, &text, mode, SystemTime::now().max(later)).map_err(fail)?;
        self.seen = Some(mark(&file.metadata().map_err(fail)?));
        Ok(())
    }
}

/// RFC 3501 section 9 atom.
fn is_atom(name: &str) -> bool {
    name.bytes().all(|b| matches!(b, 0x21..=0x7e) && !b"(){%*\"\\]".contains(&b))
}

fn mark(file: &fs::Metadata) -> (u64, i64, i64, u64) {
    (file.ino(), file.mtime(), file.mtime_nsec(), file.len())
}

fn parse(bytes: &[u8]) -> Names {
    let mut names = Names::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(space) = memchr::memchr(b' ', line) else { continue };
        let (number, name) = (std::str::from_utf8(&line[..space]), &line[space + 1..]);
        let Some(number) = number.ok().and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < LETTERS) else { continue };
        let is_taken = names.iter().flatten().any(|n| n.eq_ignore_ascii_case(name));
        if !name.is_empty() && !is_taken {
            names[number] = Some(name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::lock::Guard;
    use super::*;

    #[test]
    fn a_name_that_no_client_can_be_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"0 a\n1 x) (y\n2 caf\xe9\n4 \\Seen\n5 caf\xe8\n6 caf\xc3\xa9\n").unwrap();
        let mut keywords = Keywords::read(dir.path()).unwrap();
        for number in [1, 2, 4, 5, 6] {
            assert_eq!((keywords.name(number), keywords.shown(number)), (None, format!("unknown-{number}")));
            assert_eq!(keywords.find(&keywords.shown(number)), Some(number));
        }
        assert_eq!(keywords.add("b", 0), Some(3), "its number is not given away");
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        keywords.write(dir.path(), &lock, 0o600).unwrap();
        let text = fs::read(dir.path().join(FILE)).unwrap();
        let want = b"0 a\n1 x) (y\n2 caf\xe9\n3 b\n4 \\Seen\n5 caf\xe8\n6 caf\xc3\xa9\n";
        assert_eq!(text, want, "and its line is kept");
    }

    /// As Dovecot 2.3.19 wrote it.
    const DOVECOTS: &str = "0 kw1\n1 $Forwarded\n2 kw2\n3 kw3\n";

    #[test]
    fn a_table_of_dovecots() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), DOVECOTS).unwrap();
        let mut keywords = Keywords::read(dir.path()).unwrap();
        assert_eq!(keywords.find("$FORWARDED"), Some(1));
        assert_eq!(keywords.name(3), Some("kw3"));
        assert_eq!(keywords.shown(25), "unknown-25");
        assert_eq!(keywords.find("unknown-25"), Some(25));
        assert_eq!(keywords.add("New", 1 << 4), Some(5), "letter e is in use without a name");
        assert!(!keywords.is_stale(dir.path()));
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        let before = fs::metadata(dir.path().join(FILE)).unwrap().mtime();
        keywords.write(dir.path(), &lock, 0o600).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), format!("{DOVECOTS}5 New\n"));
        assert!(fs::metadata(dir.path().join(FILE)).unwrap().mtime() > before, "whole seconds grow");
        assert!(!keywords.is_stale(dir.path()));
        keywords.write(dir.path(), &lock, 0o600).unwrap();
        assert!(fs::metadata(dir.path().join(FILE)).unwrap().mtime() > before + 1);
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let names = parse(b"0 a\nx\n26 far\n-1 b\n1 A\n2\n3 \n4 two words\n\n5 last");
        let found: Vec<_> = names.iter().flatten().map(|name| &**name).collect();
        assert_eq!(found, [&b"a"[..], b"two words", b"last"]);
    }

    #[test]
    fn the_table_is_full_at_26() {
        let mut keywords = Keywords::default();
        for number in 0..LETTERS {
            assert_eq!(keywords.add(&format!("k{number}"), 0), Some(number));
        }
        assert_eq!(keywords.add("K7", 0), Some(7));
        assert_eq!(keywords.add("one-more", 0), None);
        assert_eq!(Keywords::default().add("a b", 0), None);
        assert_eq!(Keywords::default().add("a", u32::MAX), None);
    }
}
