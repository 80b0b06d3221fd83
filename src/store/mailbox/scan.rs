//! Looking at `new/` and `cur/`: their times, and the names in them.
//!
//! Owns the comparison of what lies there with the table. It changes nothing, neither disk nor table: what it found
//! ([`Difference`]) is for [`super::refresh`] to act on. Fails with [`Error::NotFound`] when the folder is gone.
//!
//! `new/` is read before `cur/`: a file that is moved meanwhile is then seen twice, which is easily checked, and not missed.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::filename::MessageName;
use super::super::watch::Which;
use super::super::{Error, Result};
use super::table::{Table, base_of};
use crate::clock;

/// A directory whose time is older than this by our clock was not changed just now, even if the clock of the disk's host is
/// off by some minutes.
const LONG_AGO: Duration = Duration::from_secs(3600);
/// Two changes within this time can leave the same time on a directory: the kernel's clock ticks every 1 to 10 ms.
const TICK: Duration = Duration::from_millis(25);
/// The same for file systems that keep whole seconds.
const WHOLE_SECOND: Duration = Duration::from_millis(1100);

/// The directory's name.
pub(super) fn subdirectory(place: Which) -> &'static str {
    match place {
        Which::New => "new",
        Which::Cur => "cur",
    }
}

/// Identity and time of both directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Stamp {
    new: One,
    cur: One,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct One {
    device: u64,
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    /// Two stats.
    pub(in super::super) fn take(dir: &Path) -> Result<Stamp> {
        let one = |place| {
            let path = dir.join(subdirectory(place));
            let meta = fs::metadata(&path).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound,
                _ => Error::io(&path, e),
            })?;
            Ok(One { device: meta.dev(), inode: meta.ino(), seconds: meta.mtime(), nanos: meta.mtime_nsec() })
        };
        Ok(Stamp { new: one(Which::New)?, cur: one(Which::Cur)? })
    }

    /// Are these the same directories, whatever happened in them?
    pub(in super::super) fn same_folder(&self, other: &Stamp) -> bool {
        let id = |one: &One| (one.device, one.inode);
        id(&self.new) == id(&other.new) && id(&self.cur) == id(&other.cur)
    }

    /// How long after this stamp was first seen a further change surely leaves another one.
    fn window(&self) -> Duration {
        let now = clock::now();
        let age = |one: &One| now.saturating_sub(Duration::from_secs(u64::try_from(one.seconds).unwrap_or(0)));
        if age(&self.new).min(age(&self.cur)) > LONG_AGO {
            Duration::ZERO
        } else if self.new.nanos == 0 || self.cur.nanos == 0 {
            WHOLE_SECOND
        } else {
            TICK
        }
    }
}

/// What we know to be true of the directories: the table agrees with them as of this stamp.
///
/// A stamp may stand for two changes in one tick of the disk's clock. So it is believed only after a scan that began
/// later than a tick after the stamp was first seen. No clock is compared with another, but for [`LONG_AGO`].
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Known {
    stamp: Stamp,
    first_seen: Instant,
    scanned: Instant,
}

impl Known {
    /// Everything was known at `scanned`, just after `stamp` was taken: a scan began then, or the watch was asked.
    pub(in super::super) fn after_scan(before: Option<Known>, stamp: Stamp, scanned: Instant) -> Known {
        let first_seen = before.filter(|known| known.stamp == stamp).map_or(scanned, |known| known.first_seen);
        Known { stamp, first_seen, scanned }
    }

    /// Did anything happen, or could it have?
    pub(in super::super) fn needs_scan(&self, stamp: Stamp) -> bool {
        self.stamp != stamp || self.scanned.duration_since(self.first_seen) < stamp.window()
    }

    /// Is the time the same, and so old that nothing can have happened since without another one? Until then only the watch
    /// knows, and it may not have told yet.
    pub(super) fn is_settled_at(&self, stamp: Stamp) -> bool {
        self.stamp == stamp && self.first_seen.elapsed() >= stamp.window()
    }

    /// The directories have this stamp now, and a watch tells what else happens.
    pub(super) fn move_to(&mut self, stamp: Stamp) {
        if self.stamp != stamp {
            self.stamp = stamp;
            self.first_seen = Instant::now();
        }
    }

    pub(in super::super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

/// A name in one of the directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: Box<[u8]>,
    pub(super) place: Which,
}

/// Where directories and table differ.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Messages whose file is called otherwise now.
    pub(super) renamed: Vec<(u32, File)>,
    /// Files of no message.
    pub(super) fresh: Vec<File>,
    /// Messages that have a file already, and another one of the same base.
    pub(super) doubles: Vec<(u32, File)>,
    /// Messages without a file, sorted.
    pub(super) missing: Vec<u32>,
}

/// Read both directories and compare.
pub(super) fn compare(dir: &Path, table: &Table) -> Result<Difference> {
    let mut difference = Difference::default();
    let mut seen = vec![false; table.len()];
    for place in [Which::New, Which::Cur] {
        each_message(&dir.join(subdirectory(place)), |name| {
            let found = table.find_base(base_of(name)).and_then(|uid| Some((uid, table.position(uid)?)));
            let Some((uid, at)) = found else {
                return difference.fresh.push(File { name: name.into(), place });
            };
            let entry = &table.entries()[at];
            if std::mem::replace(&mut seen[at], true) {
                difference.doubles.push((uid, File { name: name.into(), place }));
            } else if *entry.name != *name || entry.place != place {
                difference.renamed.push((uid, File { name: name.into(), place }));
            }
        })?;
    }
    // The same message under another base: a tool has rewritten its `,X=` fields.
    let fresh = std::mem::take(&mut difference.fresh);
    for file in fresh {
        let by_key = table.find_key(base_of(&file.name)).into_iter();
        let unseen = by_key.filter_map(|uid| Some((uid, table.position(uid)?))).find(|(_, at)| !seen[*at]);
        match unseen {
            Some((uid, at)) => {
                seen[at] = true;
                difference.renamed.push((uid, file));
            }
            None => difference.fresh.push(file),
        }
    }
    let unseen = table.messages().iter().zip(&seen).filter(|(_, seen)| !**seen);
    difference.missing = unseen.map(|(message, _)| message.uid).collect();
    Ok(difference)
}

/// Every regular file in `dir` whose name can be a message's.
fn each_message(dir: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    let fail = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Error::NotFound,
        _ => Error::io(dir, e),
    };
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if MessageName::parse(name.as_bytes()).is_none() {
            continue;
        }
        // The type comes with the name on every common file system; elsewhere this is a stat.
        match entry.file_type() {
            Ok(kind) if kind.is_file() => take(name.as_bytes()),
            Ok(_) => tracing::debug!(path = %entry.path().display(), "not a regular file: no message"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::table::{Entry, Message};
    use super::*;
    use crate::mail::Flags;

    fn folder(new: &[&str], cur: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (sub, names) in [("new", new), ("cur", cur)] {
            fs::create_dir(dir.path().join(sub)).unwrap();
            for name in names {
                fs::write(dir.path().join(sub).join(name), "x").unwrap();
            }
        }
        dir
    }

    fn table(names: &[&str]) -> Table {
        let mut table = Table::default();
        for (at, name) in names.iter().enumerate() {
            let message = Message { uid: at as u32 + 1, flags: Flags::NONE, keywords: 0, modseq: 1 };
            table.insert(message, Entry::new(name.as_bytes(), Which::Cur));
        }
        table
    }

    fn file(name: &str, place: Which) -> File {
        File { name: name.as_bytes().into(), place }
    }

    #[test]
    fn differences_by_kind() {
        let dir = folder(&["n", "d"], &["same:2,S", "flags:2,FS", "size,S=5:2,", "d:2,", ".hidden", ":2,S"]);
        fs::create_dir(dir.path().join("cur/directory")).unwrap();
        std::os::unix::fs::symlink("same:2,S", dir.path().join("cur/link")).unwrap();
        let table = table(&["same:2,S", "flags:2,S", "size,S=4:2,", "gone:2,", "d:2,"]);
        let difference = compare(dir.path(), &table).unwrap();
        let mut renamed = difference.renamed;
        renamed.sort_by_key(|row| row.0);
        assert_eq!(
            renamed,
            [(2, file("flags:2,FS", Which::Cur)), (3, file("size,S=5:2,", Which::Cur)), (5, file("d", Which::New)),]
        );
        assert_eq!(difference.fresh, [file("n", Which::New)]);
        assert_eq!(difference.doubles, [(5, file("d:2,", Which::Cur))]);
        assert_eq!(difference.missing, [4]);
    }

    #[test]
    fn equal_keys_are_two_messages_if_both_are_there() {
        let dir = folder(&[], &["a,U=1:2,", "a,U=2:2,"]);
        let difference = compare(dir.path(), &table(&["a,U=1:2,"])).unwrap();
        assert_eq!(difference.fresh, [file("a,U=2:2,", Which::Cur)]);
        assert!(difference.renamed.is_empty() && difference.missing.is_empty());
    }

    #[test]
    fn a_folder_that_is_gone_says_so() {
        let dir = folder(&[], &[]);
        fs::remove_dir(dir.path().join("cur")).unwrap();
        assert!(matches!(Stamp::take(dir.path()), Err(Error::NotFound)));
        assert!(matches!(compare(dir.path(), &Table::default()), Err(Error::NotFound)));
    }

    #[test]
    fn a_stamp_is_believed_only_when_it_can_hide_nothing() {
        let dir = folder(&[], &[]);
        let stamp = Stamp::take(dir.path()).unwrap();
        let start = Instant::now();
        let known = Known::after_scan(None, stamp, start);
        assert!(known.needs_scan(stamp), "a change in the same tick would leave the same time");
        let later = Known::after_scan(Some(known), stamp, start + WHOLE_SECOND);
        assert!(!later.needs_scan(stamp));
        fs::write(dir.path().join("new/x"), "").unwrap();
        assert!(later.needs_scan(Stamp::take(dir.path()).unwrap()));
        // Whole seconds: a longer doubt.
        let whole = Stamp { new: One { nanos: 0, ..stamp.new }, ..stamp };
        let known = Known::after_scan(Some(Known::after_scan(None, whole, start)), whole, start + TICK);
        assert!(known.needs_scan(whole));
        // Nothing happened for a long time: no doubt.
        let old = |one: One| One { seconds: one.seconds - 7200, ..one };
        let old = Stamp { new: old(stamp.new), cur: old(stamp.cur) };
        assert!(!Known::after_scan(None, old, start).needs_scan(old));
    }
}
