//! Limits that an administrator has set over IMAP (SETQUOTA, RFC 9208), in one file for all accounts.
//!
//! ```text
//! alice@example.org:quota=5368709120 quota_messages=1000
//! ```
//!
//! Owns the file. It is the daemon's, beside its other state: `users` files are not, since a daemon that can write these can write passwords, and
//! they may be kept in a repository. A line takes the place of both limits of the user's own line; without any field the
//! user has no limits of his own. An administrator takes a line away to have the users file count again. A line that is not understood is logged and
//! sets nothing; it is kept, as are comments.
//!
//! A user who is removed takes his line along, so that the next of his name does not get his limits.
//!
//! Fails without having changed anything where the file cannot be read or written. The new file is on the disk before it counts. The daemon and
//! admin commands take turns (a lock on the file's directory), and the file keeps its owner whoever writes it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::lines::{Problem, lines};
use super::users;
use super::watched::{Known, USUAL, Vanished, Watched};
use crate::fsio;
use crate::store::quota::Limits;

/// Nobody but the daemon and its group needs to read it.
const FILE_MODE: u32 = 0o640;
/// Bytes of the file: as much as is read of a users file.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The file.
pub struct Overrides {
    path: PathBuf,
    known: Watched<HashMap<String, Limits>>,
    /// Held from reading to writing: two changes at once are two changes.
    changing: Mutex<()>,
}

impl Overrides {
    /// Those in this file, which need not be there.
    pub fn new(path: PathBuf) -> Overrides {
        let known = Watched::new(path.clone(), Vanished::Empty, |bytes, _| read(bytes));
        Overrides { path, known, changing: Mutex::default() }
    }

    /// What was set for this login.
    pub fn find(&self, login: &str) -> Option<Limits> {
        let Known { value, .. } = self.known.get(USUAL);
        value?.get(&login.to_lowercase()).copied()
    }

    /// Set it, durably; it counts from then on.
    pub fn set(&self, login: &str, limits: Limits) -> io::Result<()> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let bytes = match fsio::read(&self.path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        self.replace(&changed(&bytes, login, limits))?;
        self.known.get(Duration::ZERO);
        Ok(())
    }

    /// Forget, durably, what was set for the logins (in lower case) that are gone.
    pub fn forget(&self, is_gone: impl Fn(&str) -> bool) -> io::Result<()> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let _lock = self.lock()?;
        let bytes = fsio::read(&self.path, MAX_FILE)?;
        let left = without(&bytes, is_gone);
        if left.len() < bytes.len() {
            self.replace(&left)?;
            self.known.get(Duration::ZERO);
        }
        Ok(())
    }

    /// Keep other processes from changing it.
    fn lock(&self) -> io::Result<Flock<File>> {
        let directory = File::open(self.path.parent().unwrap_or(Path::new(".")))?;
        Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, e)| e.into())
    }

    /// Another content, wholly or not at all. Not [`fsio::replace`]: the daemon must be able to read what an administrator wrote as root, so that the
    /// new file has its owner before it has its name.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let temporary = fsio::beside(&self.path, ".tmp");
        match fsio::unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let before = fs::metadata(&self.path).ok();
        let file = fsio::create(&temporary, FILE_MODE)?;
        let keep_owner = |made: fs::Metadata| match before {
            Some(old) if (old.uid(), old.gid()) != (made.uid(), made.gid()) => {
                fchown(&file, Some(old.uid()), Some(old.gid()))
            }
            _ => Ok(()),
        };
        let done = file
            .metadata()
            .and_then(keep_owner)
            .and_then(|()| fsio::write(&file, &temporary, bytes))
            .and_then(|()| fsio::sync_all(&file, &temporary))
            .and_then(|()| fsio::rename(&temporary, &self.path));
        if let Err(e) = done {
            // The first error is the one to report; the leftover is overwritten next time.
            let _ = fs::remove_file(&temporary);
            return Err(e);
        }
        fsio::sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }
}

fn read(bytes: &[u8]) -> HashMap<String, Limits> {
    let mut all = HashMap::new();
    for (number, text) in lines(bytes) {
        match text.and_then(|text| line(number, text)) {
            Ok(Some((login, limits))) => drop(all.insert(login, limits)),
            Ok(None) => {}
            Err(problem) => tracing::warn!(place = %problem, "line of the file of limits is not understood"),
        }
    }
    all
}

/// One line: whose, in lower case, and what.
fn line(number: usize, text: &str) -> Result<Option<(String, Limits)>, Problem> {
    if text.trim().is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let Some((login, fields)) = text.split_once(':').filter(|(login, _)| login.contains('@')) else {
        return Err(Problem::at(number, text, 0, "expected user@domain: and limits"));
    };
    let mut limits = Limits::default();
    for word in fields.split_whitespace() {
        let place = match word.split_once('=') {
            Some(("quota", value)) => users::size(value).map(|size| limits.storage = Some(size)),
            Some(("quota_messages", value)) => value.parse().ok().map(|count| limits.messages = Some(count)),
            _ => None,
        };
        place.ok_or_else(|| Problem::at(number, text, 0, format!("{word} is not a limit such as quota=5G")))?;
    }
    Ok(Some((login.to_lowercase(), limits)))
}

/// The file with another line for this login.
fn changed(bytes: &[u8], login: &str, limits: Limits) -> Vec<u8> {
    let mut words = Vec::new();
    words.extend(limits.storage.map(|bytes| format!("quota={bytes}")));
    words.extend(limits.messages.map(|count| format!("quota_messages={count}")));
    let new = format!("{}:{}\n", login.to_lowercase(), words.join(" "));
    let login = login.to_lowercase();
    let mut file = without(bytes, |name| name == login);
    file.extend_from_slice(new.as_bytes());
    file
}

/// The file without the lines of some logins, which are asked about in lower case.
fn without(bytes: &[u8], is_gone: impl Fn(&str) -> bool) -> Vec<u8> {
    let is_its = |line: &[u8]| {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        name.len() < line.len() && is_gone(&String::from_utf8_lossy(name).to_lowercase())
    };
    let mut file = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n').filter(|line| !is_its(line)) {
        file.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            file.push(b'\n');
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(storage: Option<u64>, messages: Option<u64>) -> Limits {
        Limits { storage, messages }
    }

    #[test]
    fn lines_are_read() {
        let table = [
            ("Alice@X.test:quota=5k quota_messages=7", Ok(Some(("alice@x.test".into(), limits(Some(5120), Some(7)))))),
            ("a@x:", Ok(Some(("a@x".into(), limits(None, None))))),
            ("a@x:quota=0", Ok(Some(("a@x".into(), limits(Some(0), None))))),
            ("# a@x:quota=1", Ok(None)),
            ("", Ok(None)),
            ("a@x", Err(())),
            ("alice:quota=1", Err(())),
            ("a@x:quota=x", Err(())),
            ("a@x:qouta=1", Err(())),
        ];
        for (text, want) in table {
            assert_eq!(line(1, text).map_err(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn a_change_is_kept_and_keeps_what_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quota");
        let overrides = Overrides::new(path.clone());
        assert_eq!(overrides.find("alice@x.test"), None);
        overrides.set("Alice@x.test", limits(Some(1024), None)).unwrap();
        assert_eq!(overrides.find("alice@X.test"), Some(limits(Some(1024), None)));
        std::fs::write(&path, "# by hand\nalice@x.test:quota=1024\nwhat is this\nbob@x.test:quota=7").unwrap();
        overrides.set("alice@x.test", limits(None, Some(9))).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# by hand\nwhat is this\nbob@x.test:quota=7\nalice@x.test:quota_messages=9\n");
        let again = Overrides::new(path.clone());
        let found = ["alice@x.test", "bob@x.test"].map(|login| again.find(login));
        assert_eq!(found, [Some(limits(None, Some(9))), Some(limits(Some(7), None))]);
        overrides.set("alice@x.test", limits(None, None)).unwrap();
        assert_eq!(overrides.find("alice@x.test"), Some(Limits::default()));
    }

    #[test]
    fn who_is_gone_has_no_limits_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quota");
        let overrides = Overrides::new(path.clone());
        overrides.forget(|_| true).unwrap();
        assert!(!path.exists(), "nothing to forget");
        std::fs::write(&path, "# kept\nAlice@x.test:quota=1\nalice@x.test:quota=2\nal@x.test:quota=3\n").unwrap();
        assert!(overrides.find("alice@x.test").is_some());
        overrides.forget(|login| login == "alice@x.test").unwrap();
        assert_eq!(overrides.find("alice@x.test"), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# kept\nal@x.test:quota=3\n");
    }

    #[test]
    fn what_cannot_be_written_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides::new(dir.path().join("missing/quota"));
        assert!(overrides.set("a@x", limits(Some(1), None)).is_err());
        assert_eq!(overrides.find("a@x"), None);
    }
}
