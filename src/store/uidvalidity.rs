//! `dovecot-uidvalidity`: the tree's counter from which new folders get their UIDVALIDITY, shared with Dovecot, so that a
//! folder that is deleted and made again never has the old one's (RFC 3501 section 2.3.1.1).
//!
//! The counter's value is in the *name* of an empty file, `dovecot-uidvalidity.<8 hex digits>`; renaming it to the next value
//! is the atomic step, and needs no lock. `dovecot-uidvalidity` holds the same digits, as a shortcut.
//! If both are missing or nonsense, counting begins at the present time.
//!
//! Fails with the system's error; a value that was taken is then simply not used.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Error, Result};
use crate::{clock, fsio};

/// The file with the shortcut, and the stem of the counter.
pub const FILE: &str = "dovecot-uidvalidity";
/// Times that somebody else may be faster before we give up.
const MAX_TRIES: usize = 100;

/// Take the next value for a folder of the tree in `root`. Durable when it returns.
pub fn next(root: &Path) -> Result<u32> {
    take(root, 1)
}

/// Take `count` values, at least one, and give the first; the others follow it. Durable when it returns.
pub fn take(root: &Path, count: u32) -> Result<u32> {
    // Threads take turns, so that they do not tread on each other's temporary shortcut.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shortcut = root.join(FILE);
    let name = |value: u32| root.join(format!("{FILE}.{value:08x}"));
    let mut current = fsio::read(&shortcut, 9).ok().and_then(|bytes| parse(&bytes));
    for _ in 0..MAX_TRIES {
        let known = match current {
            Some(value) => Some(value),
            None => largest(root)?,
        };
        let begin = || u32::try_from(clock::unix()).unwrap_or(u32::MAX / 2).max(1) - 1;
        let before = known.unwrap_or_else(begin);
        let value = before
            .checked_add(count)
            .filter(|value| *value < u32::MAX)
            .ok_or(Error::Limit("no UIDVALIDITY is left"))?;
        let step = match known {
            Some(_) => fsio::rename_new(&name(before), &name(value)),
            None => fsio::create(&name(value), 0o444).map(drop),
        };
        match step {
            Ok(()) => {
                // `replace` syncs the directory, and so the counter's new name with it. Without a good shortcut the next
                // one looks at the names, so that its failure (another process writes it, too) costs only that.
                if fsio::replace(&shortcut, format!("{value:08x}").as_bytes(), 0o600).is_err() {
                    fsio::sync_dir(root).map_err(|e| Error::io(root, e))?;
                }
                return Ok(before + 1);
            }
            // Somebody was faster, or the shortcut is old: look at the names themselves.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => current = None,
            Err(e) => return Err(Error::io(&name(value), e)),
        }
    }
    Err(Error::Locked(shortcut))
}

/// The largest value in a name. Of several (a crash of an old Dovecot can leave two) the largest counts.
fn largest(root: &Path) -> Result<Option<u32>> {
    let fail = |e| Error::io(root, e);
    let mut largest = None;
    for entry in fs::read_dir(root).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let digits = name.as_encoded_bytes().strip_prefix(FILE.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
        largest = largest.max(digits.and_then(parse));
    }
    Ok(largest)
}

/// Eight lower-case hexadecimal digits, not 0, and with room for one more.
fn parse(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|t| t.len() == 8)?;
    let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(text, 16).ok().filter(|n| is_hex && *n != 0 && *n != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(root: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn counts_on_from_dovecots_files() {
        let root = tempfile::tempdir().unwrap();
        // As Dovecot 2.3.19 left them.
        fs::write(root.path().join("dovecot-uidvalidity"), "6b021a9c").unwrap();
        fs::write(root.path().join("dovecot-uidvalidity.6b021a9c"), "").unwrap();
        assert_eq!(next(root.path()).unwrap(), 1_795_299_997);
        assert_eq!(files(root.path()), ["dovecot-uidvalidity", "dovecot-uidvalidity.6b021a9d"]);
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), b"6b021a9d");
    }

    #[test]
    fn several_at_once() {
        let root = tempfile::tempdir().unwrap();
        let first = take(root.path(), 5).unwrap();
        assert_eq!(next(root.path()).unwrap(), first + 5);
        assert_eq!(take(root.path(), 2).unwrap(), first + 6);
        assert_eq!(next(root.path()).unwrap(), first + 8);
    }

    #[test]
    fn an_old_or_broken_shortcut_is_not_believed() {
        for shortcut in ["00000005", "zz", "", "00000000", "6B021A9C"] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("dovecot-uidvalidity"), shortcut).unwrap();
            fs::write(root.path().join("dovecot-uidvalidity.00000010"), "").unwrap();
            fs::write(root.path().join("dovecot-uidvalidity.0000000f"), "").unwrap();
            assert_eq!(next(root.path()).unwrap(), 0x11, "{shortcut}");
        }
    }

    #[test]
    fn a_new_tree_begins_now_and_never_repeats() {
        let root = tempfile::tempdir().unwrap();
        let first = next(root.path()).unwrap();
        assert!(i64::from(first) >= clock::unix() - 5);
        let path = root.path().to_owned();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || (0..5).map(|_| next(&path).unwrap()).collect::<Vec<_>>())
            })
            .collect();
        let mut all: Vec<u32> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20);
        assert!(all[0] > first);
    }
}
