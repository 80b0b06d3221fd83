//! What Courier knew of a folder, taken over when nobody else has written about it since.
//!
//! [`uids`]: `courierimapuiddb` (`1 <uidvalidity> <next uid>`, then `<uid> <base>` lines) where there is no `dovecot-uidlist`, so
//! that clients of a migrated account download nothing again. [`import_keywords`]: `courierimapkeywords/` where there is no
//! `dovecot-keywords`: names get letters, and the files in `cur/` are renamed to carry them.
//!
//! Only read: Courier's files stay as they are, for the way back. The subscriptions are the business of
//! [`super::subscriptions`]. A file of Courier's that makes no sense is logged and counts as missing.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::filename::{self, MessageName};
use super::keywords::{self, Keywords};
use super::lock::Lock;
use super::uidlist::{Found, Header, Record, UidList};
use super::{Error, FILE_MODE, Result};
use crate::fsio;

/// The list of UIDs.
pub(super) const UIDS: &str = "courierimapuiddb";
/// The directory of keywords.
const KEYWORD_DIR: &str = "courierimapkeywords";
/// All keywords but the latest changes: names, an empty line, then `<base>:<number> <number>`.
const KEYWORD_LIST: &str = ":list";
/// Bytes of the list that are read: a hundred thousand messages with keywords.
const MAX_LIST: u64 = 16 << 20;
/// Bytes of one message's keyword file that are read.
const MAX_CHANGE: u64 = 64 << 10;

/// Header and records of Courier's UID list, ready to be written as ours; `None` if there is none.
pub fn uids(dir: &Path) -> Result<Option<(Header, Vec<Record>)>> {
    let path = dir.join(UIDS);
    match UidList::load(&path)? {
        Found::Whole(list, records) => Ok(Some((list.header().clone(), records))),
        Found::Missing => Ok(None),
        Found::Damaged(damage) => {
            tracing::error!(path = %path.display(), line = damage.line, why = damage.why, "cannot take over UIDs");
            Ok(None)
        }
    }
}

/// Give letters to Courier's keywords, if there is no `dovecot-keywords` yet. The caller holds the folder's lock. The table is
/// written last: a crash before that means that all of it is done again, with the same outcome.
pub fn import_keywords(dir: &Path, lock: &Lock) -> Result<()> {
    let directory = dir.join(KEYWORD_DIR);
    if dir.join(keywords::FILE).exists() || !directory.is_dir() {
        return Ok(());
    }
    let messages = merged(&directory)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    messages.values().flatten().for_each(|name| *counts.entry(name).or_default() += 1);
    let mut by_use: Vec<(&str, usize)> = counts.into_iter().collect();
    by_use.sort_by_key(|(name, count)| (usize::MAX - count, *name));
    let mut table = Keywords::default();
    let left: Vec<&str> = by_use.iter().map(|(name, _)| *name).filter(|name| table.add(name, 0).is_none()).collect();
    if !left.is_empty() {
        tracing::warn!(path = %directory.display(), keywords = ?left, "only 26 keywords can be taken over");
    }
    for part in ["cur", "new"] {
        add_letters(&dir.join(part), &messages, &table)?;
    }
    table.write(dir, lock, FILE_MODE)
}

/// Rename the messages in `part` so that they carry their keywords' letters. In `new/` they stay in `new/`: a name there may
/// have an info part.
fn add_letters(part: &Path, messages: &HashMap<Vec<u8>, Vec<String>>, table: &Keywords) -> Result<()> {
    let fail = |e| Error::io(part, e);
    let mut renamed = false;
    for entry in fs::read_dir(part).map_err(fail)? {
        let old = entry.map_err(fail)?.file_name();
        let Some(parsed) = MessageName::parse(old.as_bytes()) else { continue };
        let Some(names) = messages.get(&*parsed.key()) else { continue };
        let letters = names.iter().filter_map(|name| table.find(name)).fold(0, |set, number| set | 1 << number);
        if letters & !parsed.keywords() == 0 {
            continue;
        }
        let new = parsed.with(parsed.flags(), parsed.keywords() | letters);
        match fsio::rename_new(&part.join(&old), &part.join(std::ffi::OsStr::from_bytes(&new))) {
            // Somebody changed its flags meanwhile: the keywords of this one message are not worth a failed SELECT.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                tracing::warn!(path = %part.display(), name = %old.as_bytes().escape_ascii(), "keywords not taken over");
            }
            other => other.map_err(fail)?,
        }
        renamed = true;
    }
    if renamed { fsio::sync_dir(part).map_err(fail) } else { Ok(()) }
}

/// The keywords of every message, by the key of its name: the list, overruled by the latest change of each message.
fn merged(directory: &Path) -> Result<HashMap<Vec<u8>, Vec<String>>> {
    let fail = |e| Error::io(directory, e);
    let mut messages = parse_list(&content(&directory.join(KEYWORD_LIST), MAX_LIST)?);
    // Of a message's changes `<base>` is the newest, then the largest N of `.N.<base>`.
    let mut newest: HashMap<Vec<u8>, (u64, std::ffi::OsString)> = HashMap::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let Some((age, base)) = change(name.as_bytes()) else { continue };
        let key = filename::key(base).into_owned();
        if newest.get(&key).is_none_or(|(known, _)| *known < age) {
            newest.insert(key, (age, name));
        }
    }
    for (key, (_, name)) in newest {
        let text = content(&directory.join(name), MAX_CHANGE)?;
        messages.insert(key, text.lines().filter(|line| !line.is_empty()).map(String::from).collect());
    }
    Ok(messages)
}

/// How new a change is and whose.
fn change(name: &[u8]) -> Option<(u64, &[u8])> {
    let Some(dated) = name.strip_prefix(b".") else {
        return filename::is_base(name).then_some((u64::MAX, name));
    };
    let dot = dated.iter().position(|b| *b == b'.')?;
    let age = std::str::from_utf8(&dated[..dot]).ok()?.parse().ok()?;
    let base = &dated[dot + 1..];
    filename::is_base(base).then_some((age, base))
}

fn parse_list(text: &str) -> HashMap<Vec<u8>, Vec<String>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let mut messages = HashMap::new();
    for line in lines {
        let Some((base, numbers)) = line.rsplit_once(':') else { continue };
        let has = numbers.split(' ').filter_map(|n| names.get(n.parse::<usize>().ok()?)).map(ToString::to_string);
        messages.insert(filename::key(base.as_bytes()).into_owned(), has.collect());
    }
    messages
}

/// A file's text; one that vanished is empty.
fn content(path: &Path, limit: u64) -> Result<String> {
    let mut bytes = Vec::new();
    match fsio::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lock::Guard;
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for directory in ["cur", "new", "tmp", KEYWORD_DIR] {
            fs::create_dir(dir.path().join(directory)).unwrap();
        }
        for (path, content) in files {
            fs::write(dir.path().join(path), content).unwrap();
        }
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn uids_of_couriers() {
        let dir = folder(&[(UIDS, "1 792481236 12\n3 1792.M1P2V0I3_0.host,S=5\n11 1793.M1P2.host\n")]);
        let (header, records) = uids(dir.path()).unwrap().unwrap();
        assert_eq!((header.uid_validity, header.next_uid), (792_481_236, 12));
        assert_eq!(records.iter().map(|r| r.uid).collect::<Vec<_>>(), [3, 11]);
        let dir = folder(&[(UIDS, "nonsense")]);
        assert!(uids(dir.path()).unwrap().is_none());
        assert!(uids(folder(&[]).path()).unwrap().is_none());
    }

    #[test]
    fn keywords_of_couriers_get_letters() {
        let list = "Work\n$Label1\nOld\n\n1.a.h:0 1\n2.b.h:2\n3.c.h:0\n9.gone.h:2\n";
        let dir = folder(&[
            ("cur/1.a.h,S=5:2,S", ""),
            ("cur/2.b.h:2,", ""),
            ("cur/3.c.h", ""),
            ("new/4.d.h", ""),
            ("courierimapkeywords/:list", list),
            ("courierimapkeywords/.5.2.b.h", "Old\n"),
            ("courierimapkeywords/.7.2.b.h", "Work\n$Label1\n"),
            ("courierimapkeywords/3.c.h", ""),
            ("courierimapkeywords/.9.3.c.h", "Old\n"),
            ("courierimapkeywords/4.d.h", "Work\n"),
        ]);
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        for _ in 0..2 {
            // The second time (a crash before the table was written) changes nothing.
            import_keywords(dir.path(), &lock).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join(keywords::FILE)).unwrap(), "0 Work\n1 $Label1\n2 Old\n");
            assert_eq!(names(&dir.path().join("cur")), ["1.a.h,S=5:2,Sab", "2.b.h:2,ab", "3.c.h"]);
            assert_eq!(names(&dir.path().join("new")), ["4.d.h:2,a"]);
            fs::remove_file(dir.path().join(keywords::FILE)).unwrap();
        }
        fs::write(dir.path().join(keywords::FILE), "0 Mine\n").unwrap();
        import_keywords(dir.path(), &lock).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(keywords::FILE)).unwrap(), "0 Mine\n", "Dovecot was here");
    }

    #[test]
    fn keywords_past_the_26th_are_the_least_used() {
        let mut list: String = (0..30).map(|n| format!("k{n}\n")).collect();
        list.push_str("\n1.a.h:29 28\n2.b.h:29\n3.c.h:");
        list.push_str(&(0..30).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        let dir = folder(&[("courierimapkeywords/:list", &list), ("cur/2.b.h", "")]);
        let lock = Lock::take(dir.path(), Guard::Folder, false).unwrap();
        import_keywords(dir.path(), &lock).unwrap();
        let table = Keywords::read(dir.path()).unwrap();
        assert_eq!((table.name(0), table.name(1), table.find("k0")), (Some("k29"), Some("k28"), Some(2)));
        assert_eq!(names(&dir.path().join("cur")), ["2.b.h:2,a"]);
    }
}
