//! The only durable writes.
//!
//! Owns every system call that changes a file system on purpose: create exclusively, write, sync, rename,
//! link, unlink, sync a directory. Nobody else calls `rename`, `fsync` or `unlink` on mail, so that promise 1
//! ("said means stored") can be read in one place and tested step by step.
//!
//! Every call is one *step*. A test may install a [`watch_steps`] hook, which sees each step before it
//! happens and may end the process there (`tests/crash.rs`), or let it fail (`tests/transcripts`, `do fail`); the same
//! hook, fed into a shadow tree, shows what a power cut would leave. Without a hook a step costs one relaxed load.
//!
//! Fails with the `io::Error` of the system call. A failed fsync is final for that file: the caller drops it
//! and answers "try later"; it never retries the same descriptor, since Linux may have thrown the pages away.
//!
//! Leaves on disk: what it was asked to, plus `NAME.tmp` beside the target if [`replace`] is cut short; the
//! next [`replace`] overwrites it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};

/// One durable step, told to the hook before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// A new file, which must not exist yet.
    Create(&'a Path),
    /// Bytes written (or appended) to a file.
    Write(&'a Path),
    /// The file's data reach the disk.
    SyncFile(&'a Path),
    /// A name changes, replacing what has the new name.
    Rename(&'a Path, &'a Path),
    /// A second name for a file.
    Link(&'a Path, &'a Path),
    /// A name goes away.
    Unlink(&'a Path),
    /// A new directory.
    MakeDir(&'a Path),
    /// An empty directory goes away.
    RemoveDir(&'a Path),
    /// A directory's entries reach the disk.
    SyncDir(&'a Path),
    /// Everything on the file system of this directory reaches the disk.
    SyncFs(&'a Path),
}

impl Step<'_> {
    /// What is done, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Create(_) => "create",
            Step::Write(_) => "write",
            Step::SyncFile(_) => "sync",
            Step::Rename(..) => "rename",
            Step::Link(..) => "link",
            Step::Unlink(_) => "unlink",
            Step::MakeDir(_) => "mkdir",
            Step::RemoveDir(_) => "rmdir",
            Step::SyncDir(_) => "syncdir",
            Step::SyncFs(_) => "syncfs",
        }
    }

    /// What it is done to; of a rename or a link, the new name.
    pub fn path(&self) -> &Path {
        match self {
            Step::Rename(_, path) | Step::Link(_, path) => path,
            Step::Create(path)
            | Step::Write(path)
            | Step::SyncFile(path)
            | Step::Unlink(path)
            | Step::MakeDir(path)
            | Step::RemoveDir(path)
            | Step::SyncDir(path)
            | Step::SyncFs(path) => path,
        }
    }
}

type Hook = Box<dyn Fn(u64, &Step<'_>) -> io::Result<()> + Send + Sync>;

static HOOKS: RwLock<Vec<(u64, Hook)>> = RwLock::new(Vec::new());
/// Is there a hook?
static WATCHED: AtomicBool = AtomicBool::new(false);
static STEPS: AtomicU64 = AtomicU64::new(0);

/// As long as this lives, its hook is called.
#[must_use = "the hook goes with it"]
#[derive(Debug)]
pub struct Watching(u64);

/// Let `hook` see every step of this process from now on, with its number, before it happens; if it gives an error, that is the
/// step's outcome and nothing is done. For tests. A hook must take no step itself.
pub fn watch_steps(hook: impl Fn(u64, &Step<'_>) -> io::Result<()> + Send + Sync + 'static) -> Watching {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    HOOKS.write().unwrap_or_else(PoisonError::into_inner).push((id, Box::new(hook)));
    WATCHED.store(true, Ordering::Release);
    Watching(id)
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut hooks = HOOKS.write().unwrap_or_else(PoisonError::into_inner);
        hooks.retain(|(id, _)| *id != self.0);
        WATCHED.store(!hooks.is_empty(), Ordering::Release);
    }
}

fn step(step: &Step<'_>) -> io::Result<()> {
    if !WATCHED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let number = STEPS.fetch_add(1, Ordering::SeqCst);
    let hooks = HOOKS.read().unwrap_or_else(PoisonError::into_inner);
    hooks.iter().try_for_each(|(_, hook)| hook(number, step))
}

/// Create `path` for reading and writing; an existing file is an error, a symbolic link is not followed.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    step(&Step::Create(path))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)
}

/// Open `path` for appending, making it if it is not there.
pub fn open_append(path: &Path, mode: u32) -> io::Result<File> {
    step(&Step::Create(path))?;
    OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .mode(mode)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)
}

/// Open the existing file `path` for reading. A FIFO that its owner put there is as an empty file, and keeps nobody waiting.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits()).open(path)
}

/// Read the existing file `path`, up to `limit` bytes of it; see [`open`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Open the existing file `path` for reading and appending.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits()).open(path)
}

/// Write all of `bytes` to `file`, which is known as `path`.
pub fn write(file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(&Step::Write(path))?;
    let mut file = file;
    file.write_all(bytes)
}

/// Append `length` bytes of `from`, starting at `offset`, to `to`, which is known as `path`: in the kernel where it can
/// (std's copy uses copy_file_range). Leaves the position of `from` after what was copied.
pub fn copy_range(from: &File, offset: u64, to: &File, path: &Path, length: u64) -> io::Result<()> {
    step(&Step::Write(path))?;
    let (mut from, mut to) = (from, to);
    from.seek(SeekFrom::Start(offset))?;
    match io::copy(&mut from.take(length), &mut to)? {
        copied if copied == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Cut `file` down to `length` bytes.
pub fn truncate(file: &File, path: &Path, length: u64) -> io::Result<()> {
    step(&Step::Write(path))?;
    file.set_len(length)
}

/// Data of `file` to the disk (fdatasync: also its size, not its times).
pub fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    step(&Step::SyncFile(path))?;
    file.sync_data()
}

/// Data and metadata of `file` to the disk. For messages, whose mtime is their INTERNALDATE.
pub fn sync_all(file: &File, path: &Path) -> io::Result<()> {
    step(&Step::SyncFile(path))?;
    file.sync_all()
}

/// Rename, replacing what is called `to`. Durable only after [`sync_dir`] of both directories.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(&Step::Rename(from, to))?;
    fs::rename(from, to)
}

/// Rename, failing with `AlreadyExists` if there is a `to`.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    step(&Step::Rename(from, to))?;
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // File systems without the flag (NFS, some FUSE): link refuses an existing name by itself.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) if from.is_file() => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        // There a directory takes the place of an empty one at most, and nothing is lost.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        other => other.map_err(io::Error::from),
    }
}

/// A second name for the file `from`; an existing `to` is an error.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    step(&Step::Link(from, to))?;
    fs::hard_link(from, to)
}

/// Remove the file `path`.
pub fn unlink(path: &Path) -> io::Result<()> {
    step(&Step::Unlink(path))?;
    fs::remove_file(path)
}

/// As [`unlink`], but what the file occupies is given back only when the returned handle is dropped. Freeing it can wait for the disk
/// (ext4 without a journal and with `discard` asks the disk for every file), which removing the name does not.
pub fn unlink_held(path: &Path) -> io::Result<File> {
    let held = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)?;
    unlink(path)?;
    Ok(held)
}

/// Make the directory `path`; its parent must exist, itself must not.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    step(&Step::MakeDir(path))?;
    fs::DirBuilder::new().mode(mode).create(path)
}

/// Remove the empty directory `path`.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    step(&Step::RemoveDir(path))?;
    fs::remove_dir(path)
}

/// The entries of directory `path` to the disk: what was created, renamed or removed in it is now for good.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    step(&Step::SyncDir(path))?;
    OpenOptions::new().read(true).custom_flags((OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits()).open(path)?.sync_all()
}

/// Everything on the file system of directory `path`, which is open as `dir`, to the disk: for many files at once.
pub fn sync_fs(dir: &File, path: &Path) -> io::Result<()> {
    step(&Step::SyncFs(path))?;
    nix::unistd::syncfs(dir).map_err(io::Error::from)
}

/// As [`sync_dir`], on a directory that is already open.
pub fn sync_open_dir(dir: &File, path: &Path) -> io::Result<()> {
    step(&Step::SyncDir(path))?;
    dir.sync_all()
}

/// Replace the file `path` by `bytes`, wholly or not at all: temporary file beside it, sync, rename, sync of
/// the directory. Callers that can race each other hold a lock of their own.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_with(path, bytes, mode, None).map(drop)
}

/// As [`replace`], with a modification time; gives the new file.
pub fn replace_dated(path: &Path, bytes: &[u8], mode: u32, modified: SystemTime) -> io::Result<File> {
    replace_with(path, bytes, mode, Some(modified))
}

fn replace_with(path: &Path, bytes: &[u8], mode: u32, modified: Option<SystemTime>) -> io::Result<File> {
    let temporary = beside(path, ".tmp");
    match unlink(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = create(&temporary, mode)?;
    write(&file, &temporary, bytes)
        .and_then(|()| modified.map_or(Ok(()), |modified| file.set_modified(modified)))
        .and_then(|()| sync_all(&file, &temporary))
        .and_then(|()| rename(&temporary, path))
        .inspect_err(|_| {
            // The first error is the one to report; the leftover is overwritten next time.
            let _ = fs::remove_file(&temporary);
        })?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(file)
}

/// `path` with `suffix` added to its last component.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_sees_steps_and_may_let_them_fail_as_long_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let note = std::sync::Arc::clone(&seen);
        let watching = watch_steps(move |_, step| {
            if !step.path().starts_with(&root) {
                return Ok(());
            }
            note.lock().unwrap().push(step.name());
            if matches!(step, Step::SyncFile(_)) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
        });
        let path = dir.path().join("f");
        let other = watch_steps(|_, _| Ok(()));
        assert_eq!(replace(&path, b"x", 0o600).unwrap_err().raw_os_error(), Some(5));
        assert_eq!(*seen.lock().unwrap(), ["unlink", "create", "write", "sync"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        drop(watching);
        replace(&path, b"x", 0o600).unwrap();
        assert_eq!(seen.lock().unwrap().len(), 4);
        drop(other);
    }

    #[test]
    fn rename_new_keeps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        assert_eq!(rename_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&b).unwrap(), b"b");
    }

    #[test]
    fn replace_survives_an_old_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(beside(&path, ".tmp"), "half").unwrap();
        replace(&path, b"whole", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!beside(&path, ".tmp").exists());
    }

    #[test]
    fn a_fifo_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&path, 9).unwrap(), b"");
    }

    #[test]
    fn create_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("l")).unwrap();
        assert!(create(&dir.path().join("l"), 0o600).is_err());
    }
}
