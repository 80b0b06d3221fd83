//! A file that an admin may change at any moment, kept in memory.
//!
//! Owns when to look (`stat`, at most once a second, or more often for a caller who is about to say "unknown"), when a
//! change may be believed, and what to answer while it may not. A file may be half written: if it does not end with a
//! line end, or was edited in place and shrank, it is believed once it has been left alone for a second. A file that
//! was replaced by rename is believed at once, and so is the first one. Until then, and when it cannot be read, the
//! last good content stands and is called doubtful, so that the caller says "try later" and never "unknown user". Each
//! new trouble is logged once.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How old a look may be for an ordinary answer.
pub const USUAL: Duration = Duration::from_secs(1);
/// How old a look may be before somebody is told that he does not exist: soon enough for "add a user, send him mail",
/// and a dictionary attack still costs at most twenty looks a second.
pub const AGAIN: Duration = Duration::from_millis(50);
/// How long a file that is edited in place must have been left alone.
const SETTLED: Duration = Duration::from_secs(1);
/// A file younger than this when it was read may change again without a new time stamp (clock ticks of file systems are
/// 1 to 10 ms): it is read again at the next look.
const TICK: Duration = Duration::from_millis(50);
/// How long a file may be missing before it counts as removed: editors that keep a backup rename the old file away
/// before they write the new one.
const MISSING: Duration = Duration::from_secs(5);
/// Bytes in such a file: 64 MiB is half a million users; more is a mistake (a log, a device).
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What a file that vanished means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vanished {
    /// Nothing is in it any more.
    Empty,
    /// Somebody made a mistake: what was in it stands.
    Keep,
}

/// Makes the content from bytes, given what was there before.
type Make<T> = Box<dyn Fn(&[u8], Option<&T>) -> T + Send + Sync>;

/// See the module.
pub struct Watched<T> {
    path: PathBuf,
    vanished: Vanished,
    make: Make<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Option<Arc<T>>,
    /// Of the file that the value was made from.
    believed: Option<Stamp>,
    /// The same, if nothing can have changed since without changing it.
    stamp: Option<Stamp>,
    looked: Option<Instant>,
    missing_since: Option<Instant>,
    trouble: Option<String>,
}

/// What tells one state of a file or directory from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what is there now.
    pub fn of(meta: &Metadata) -> Stamp {
        Stamp {
            inode: (meta.dev(), meta.ino()),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// The stamp, if it is old enough that a further change must give another one.
    pub fn settled(self) -> Option<Stamp> {
        (self.age() >= TICK).then_some(self)
    }

    /// How long ago it was written; a time in the future counts as long ago, or it would never settle.
    fn age(self) -> Duration {
        let seconds = u64::try_from(self.modified.0).unwrap_or(0);
        let nanos = u32::try_from(self.modified.1).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        SystemTime::now().duration_since(modified).unwrap_or(Duration::MAX)
    }
}

/// What is known of a file.
pub struct Known<T> {
    /// Its content; `None` if it could never be read.
    pub value: Option<Arc<T>>,
    /// Why this may not be what the admin meant, if so.
    pub trouble: Option<String>,
}

impl<T> Watched<T> {
    /// A file that will be read when it is asked for.
    pub fn new(
        path: PathBuf,
        vanished: Vanished,
        make: impl Fn(&[u8], Option<&T>) -> T + Send + Sync + 'static,
    ) -> Watched<T> {
        let state =
            State { value: None, believed: None, stamp: None, looked: None, missing_since: None, trouble: None };
        Watched { path, vanished, make: Box::new(make), state: Mutex::new(state) }
    }

    /// Its content, not older than `age`.
    pub fn get(&self, age: Duration) -> Known<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| looked.elapsed() >= age) {
            state.looked = Some(Instant::now());
            self.look(&mut state);
        }
        Known { value: state.value.clone(), trouble: state.trouble.clone() }
    }

    fn look(&self, state: &mut State<T>) {
        let trouble = match fs::metadata(&self.path) {
            Ok(meta) if state.stamp == Some(Stamp::of(&meta)) => None,
            Ok(_) => self.read(state).err().map(|e| format!("{}: {e}", self.path.display())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.is_missing(state),
            Err(e) => Some(format!("{}: {e}", self.path.display())),
        };
        if let Some(text) = &trouble
            && state.trouble != trouble
        {
            tracing::warn!(reason = %text, "account file is in doubt; what was in it before stands");
        }
        state.trouble = trouble;
    }

    fn read(&self, state: &mut State<T>) -> Result<(), String> {
        state.missing_since = None;
        let (bytes, stamp) = slurp(&self.path).map_err(|e| e.to_string())?;
        if let Some(old) = state.believed.filter(|old| *old != stamp) {
            // Another inode can be half written, too: editors that keep a backup write a new file under the old name.
            let in_place = old.inode == stamp.inode;
            let whole = bytes.ends_with(b"\n") && (!in_place || stamp.size >= old.size);
            if !whole && stamp.age() < SETTLED {
                return Err("is being written".into());
            }
        }
        state.value = Some(Arc::new((self.make)(&bytes, state.value.as_deref())));
        state.believed = Some(stamp);
        // Without one the next look reads again.
        state.stamp = stamp.settled();
        Ok(())
    }

    fn is_missing(&self, state: &mut State<T>) -> Option<String> {
        let since = *state.missing_since.get_or_insert_with(Instant::now);
        let never_there = state.believed.is_none();
        if never_there || (self.vanished == Vanished::Empty && since.elapsed() >= MISSING) {
            state.value = Some(Arc::new((self.make)(b"", state.value.as_deref())));
            (state.believed, state.stamp) = (None, None);
            return None;
        }
        Some(format!("{} has vanished", self.path.display()))
    }
}

fn slurp(path: &std::path::Path) -> io::Result<(Vec<u8>, Stamp)> {
    let file = File::open(path)?;
    let before = file.metadata()?;
    if !before.is_file() || before.len() > MAX_FILE {
        return Err(io::Error::other("is not a file of at most 64 MiB"));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_FILE).read_to_end(&mut bytes)?;
    let after = Stamp::of(&file.metadata()?);
    if after != Stamp::of(&before) {
        return Err(io::Error::other("changed while it was read"));
    }
    Ok((bytes, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{FileTimes, OpenOptions};
    use std::path::Path;

    fn watch(path: &Path, vanished: Vanished) -> Watched<Vec<u8>> {
        Watched::new(path.into(), vanished, |bytes, _| bytes.to_vec())
    }

    fn now(file: &Watched<Vec<u8>>) -> (Vec<u8>, bool) {
        let known = file.get(Duration::ZERO);
        (known.value.map(|v| v.to_vec()).unwrap_or_default(), known.trouble.is_some())
    }

    fn make_old(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    #[test]
    fn replaced_and_appended_files_are_believed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, "a\nb\n").unwrap();
        let file = watch(&path, Vanished::Keep);
        assert_eq!(now(&file), (b"a\nb\n".to_vec(), false));
        fs::write(dir.path().join("new"), "c\n").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(now(&file), (b"c\n".to_vec(), false));
        io::Write::write_all(&mut OpenOptions::new().append(true).open(&path).unwrap(), b"d\n").unwrap();
        assert_eq!(now(&file), (b"c\nd\n".to_vec(), false));
    }

    #[test]
    fn a_half_written_file_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, "alice\nbob\n").unwrap();
        let file = watch(&path, Vanished::Keep);
        now(&file);
        for half in ["", "alice\n", "alice\nbob\nca"] {
            fs::write(&path, half).unwrap();
            assert_eq!(now(&file), (b"alice\nbob\n".to_vec(), true), "{half:?}");
        }
        make_old(&path, 2);
        assert_eq!(now(&file), (b"alice\nbob\nca".to_vec(), false), "left alone");
    }

    #[test]
    fn an_editor_that_writes_a_new_file_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, "alice\nbob\n").unwrap();
        let file = watch(&path, Vanished::Keep);
        now(&file);
        fs::rename(&path, dir.path().join("users~")).unwrap();
        for half in ["", "alice\nbo"] {
            fs::write(&path, half).unwrap();
            assert_eq!(now(&file), (b"alice\nbob\n".to_vec(), true), "{half:?}");
        }
        fs::write(&path, "bob\n").unwrap();
        assert_eq!(now(&file), (b"bob\n".to_vec(), false));
    }

    #[test]
    fn unreadable_and_vanished_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let file = watch(&path, Vanished::Keep);
        assert_eq!(now(&file), (b"".to_vec(), false), "never there is empty");
        fs::write(&path, "a\n").unwrap();
        assert_eq!(now(&file), (b"a\n".to_vec(), false));
        fs::remove_file(&path).unwrap();
        assert_eq!(now(&file), (b"a\n".to_vec(), true), "vanished");
        fs::create_dir(&path).unwrap();
        assert_eq!(now(&file), (b"a\n".to_vec(), true), "not a file");
        let never = watch(&path, Vanished::Keep).get(Duration::ZERO);
        assert!(never.value.is_none() && never.trouble.is_some());
    }

    #[test]
    fn looks_are_rare() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, "a\n").unwrap();
        let file = watch(&path, Vanished::Keep);
        now(&file);
        fs::write(&path, "b\nc\n").unwrap();
        assert_eq!(*file.get(Duration::from_secs(60)).value.unwrap(), b"a\n");
        assert_eq!(now(&file).0, b"b\nc\n");
    }
}
