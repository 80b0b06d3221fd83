//! Who may write a folder's shared files (`dovecot-uidlist`, `dovecot-keywords`, the journal) or the tree's.
//!
//! Two kinds, chosen by the `coexist` setting. Alone, an flock on `mailcote.lock` and the like: the kernel gives it back when we die,
//! so a crash or power cut leaves no stale lock; it is a file of its own because the files it guards are replaced by
//! rename, which would carry the lock away with the old inode. Beside a running Dovecot, its dot-locks
//! (`dovecot-uidlist.lock`, `subscriptions.lock`): a file made exclusively that holds `pid:host`, stale when that
//! process is dead, when it is older than this host's boot, or when neither it nor what it guards changed for a while. What is no regular
//! file names no process.
//!
//! Readers take no lock: every guarded file only grows or is replaced whole.
//!
//! Fails with [`Error::Locked`] after ten seconds. Leaves our own lock files (empty, never removed); a killed holder leaves its dot-lock,
//! which the next one finds stale.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::Pid;

use super::{Error, Result};
use crate::{clock, fsio};

/// How long a caller waits before it is told to try later. Below every protocol's time-out; holders keep a lock for milliseconds.
const WAIT: Duration = Duration::from_secs(10);
/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// Bytes of a dot-lock that are looked at; `pid:host` is shorter.
const MAX_CONTENT: u64 = 300;

/// What a lock guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// `dovecot-uidlist`, `dovecot-keywords` and the journal of a folder.
    Folder,
    /// `subscriptions` of a tree's root.
    Subscriptions,
    /// Which folders a tree has, and `mailcote.tree`. Dovecot has no lock for that, so it is always our own. One who holds it may take
    /// a folder's, never the reverse.
    Tree,
    /// Who shares folders with whom in a domain.
    Shares,
}

impl Guard {
    /// Our own lock file.
    fn ours(self) -> &'static str {
        match self {
            Guard::Folder => "mailcote.lock",
            Guard::Subscriptions => "mailcote.subscriptions.lock",
            Guard::Tree => "mailcote.tree.lock",
            Guard::Shares => "mailcote.shares.lock",
        }
    }

    /// The file that Dovecot locks, and its time after which an unchanged lock on it is stale.
    fn dovecots(self) -> Option<(&'static str, Duration)> {
        match self {
            Guard::Folder => Some(("dovecot-uidlist", Duration::from_secs(120))),
            Guard::Subscriptions => Some(("subscriptions", Duration::from_secs(30))),
            Guard::Tree | Guard::Shares => None,
        }
    }
}

/// A lock that is held; released on drop.
#[derive(Debug)]
pub struct Lock(Held);

#[derive(Debug)]
enum Held {
    Flock(#[expect(dead_code, reason = "unlocks when dropped")] Flock<File>),
    Dot { path: PathBuf, inode: u64 },
}

impl Lock {
    /// Wait for the lock of directory `dir`.
    pub fn take(dir: &Path, guard: Guard, coexist: bool) -> Result<Lock> {
        let start = Instant::now();
        let mut pause = PAUSE.0;
        let dovecots = guard.dovecots().filter(|_| coexist).map(|(file, stale_after)| (dir.join(file), stale_after));
        let path = match &dovecots {
            Some((protected, _)) => fsio::beside(protected, ".lock"),
            None => dir.join(guard.ours()),
        };
        loop {
            let tried = match &dovecots {
                Some((protected, stale_after)) => try_dot(&path, protected, *stale_after),
                None => try_flock(&path),
            };
            if let Some(held) = tried.map_err(|e| Error::io(&path, e))? {
                return Ok(Lock(held));
            }
            if start.elapsed() >= WAIT {
                return Err(Error::Locked(path));
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Do we still have it? A dot-lock can be taken away from a holder that somebody believed dead.
    pub fn is_ours(&self) -> bool {
        match &self.0 {
            Held::Flock(_) => true,
            Held::Dot { path, inode } => fs::symlink_metadata(path).is_ok_and(|now| now.ino() == *inode),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Held::Dot { path, .. } = &self.0 {
            // Somebody who overrode us has the name now: leave it to them.
            if !self.is_ours() {
                tracing::warn!(path = %path.display(), "lock was taken away while we held it");
            } else if let Err(error) = fsio::unlink(path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove lock");
            }
        }
    }
}

fn try_flock(path: &Path) -> io::Result<Option<Held>> {
    let file = fsio::open_append(path, 0o600)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Held::Flock(lock))),
        Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

fn try_dot(path: &Path, protected: &Path, stale_after: Duration) -> io::Result<Option<Held>> {
    match fsio::create(path, 0o600) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            let content = format!("{}:{}", std::process::id(), hostname());
            fsio::write(&file, path, content.as_bytes()).inspect_err(|_| {
                // The write's error is the one to report; without content the lock goes stale by age.
                let _ = fs::remove_file(path);
            })?;
            Ok(Some(Held::Dot { path: path.into(), inode }))
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            remove_if_stale(path, protected, stale_after)?;
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn remove_if_stale(path: &Path, protected: &Path, stale_after: Duration) -> io::Result<()> {
    let Some(lock) = missing_is_none(fs::symlink_metadata(path))? else { return Ok(()) };
    let written = |seconds: i64| u64::try_from(seconds).map(Duration::from_secs).unwrap_or_default();
    let last = match missing_is_none(fs::metadata(protected))? {
        Some(file) => written(lock.mtime().max(file.mtime())),
        None => written(lock.mtime()),
    };
    let content = if lock.is_file() { missing_is_none(content(path))?.unwrap_or_default() } else { Vec::new() };
    let holder_is_gone = holder(&content).is_some_and(|pid| match nix::sys::signal::kill(pid, None) {
        Err(Errno::ESRCH) => true,
        // The number may have been given again since: whoever held it before the boot is gone.
        _ => boot_time().is_some_and(|boot| written(lock.mtime()) < boot),
    });
    if !holder_is_gone && clock::now().saturating_sub(last) < stale_after {
        return Ok(());
    }
    tracing::info!(path = %path.display(), content = %content.escape_ascii(), "stale lock removed");
    // Two waiters may find it stale at once: the slower one must not remove the faster one's new lock. Renaming aside takes exactly
    // one inode, and a look at it tells whether it was the stale one.
    let aside = fsio::beside(path, &format!(".stale-{}-{:?}", std::process::id(), std::thread::current().id()));
    if missing_is_none(fsio::rename(path, &aside))?.is_none() {
        return Ok(());
    }
    if fs::symlink_metadata(&aside)?.ino() != lock.ino() {
        // If its owner's place was taken meanwhile, the owner sees it in `is_ours`.
        let _ = fsio::rename_new(&aside, path);
    }
    missing_is_none(fsio::unlink(&aside)).map(drop)
}

/// What a dot-lock says. A FIFO or a link that took its place since we looked keeps nobody waiting, and leads nowhere.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let mut content = Vec::new();
    file.take(MAX_CONTENT).read_to_end(&mut content)?;
    Ok(content)
}

/// The process that a dot-lock names, if it is one of this host.
fn holder(content: &[u8]) -> Option<Pid> {
    let (pid, host) = std::str::from_utf8(content).ok()?.trim_end().split_once(':')?;
    let pid = pid.parse::<i32>().ok().filter(|pid| *pid > 0)?;
    (host == hostname()).then(|| Pid::from_raw(pid))
}

fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// When this host started, as time since 1970.
fn boot_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_is_no_file_goes_by_age() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dovecot-uidlist.lock");
        let protected = dir.path().join("dovecot-uidlist");
        let fifo = || nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let link = || std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        for make in [&fifo as &dyn Fn(), &link] {
            make();
            remove_if_stale(&path, &protected, Duration::from_secs(120)).unwrap();
            assert!(fs::symlink_metadata(&path).is_ok(), "too young");
            remove_if_stale(&path, &protected, Duration::ZERO).unwrap();
            assert!(fs::symlink_metadata(&path).is_err(), "old enough");
        }
    }

    #[test]
    fn one_at_a_time_of_either_kind() {
        for coexist in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let first = Lock::take(dir.path(), Guard::Folder, coexist).unwrap();
            assert!(first.is_ours());
            let path = dir.path().to_owned();
            let second = std::thread::spawn(move || {
                let _lock = Lock::take(&path, Guard::Folder, coexist).unwrap();
                Instant::now()
            });
            sleep(Duration::from_millis(60));
            let released = Instant::now();
            drop(first);
            assert!(second.join().unwrap() >= released, "coexist {coexist}");
        }
    }

    #[test]
    fn a_dot_lock_says_who_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dovecot-uidlist.lock");
        let lock = Lock::take(dir.path(), Guard::Folder, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}:{}", std::process::id(), hostname()));
        drop(lock);
        assert!(!path.exists());
    }

    #[test]
    fn stale_dot_locks() {
        // A process that has ended.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (dead, host) = (child.id(), hostname());
        let old = SystemTime::now() - Duration::from_secs(200);
        for (case, content, mtime, stale) in [
            ("dead holder", format!("{dead}:{host}"), SystemTime::now(), true),
            ("living holder", format!("{}:{host}", std::process::id()), SystemTime::now(), false),
            ("other host, fresh", format!("{dead}:elsewhere"), SystemTime::now(), false),
            ("other host, old", format!("{dead}:elsewhere"), old, true),
            ("garbage, fresh", "\0\0".into(), SystemTime::now(), false),
            ("garbage, old", "\0\0".into(), old, true),
            ("living, but from before the boot", format!("1:{host}"), SystemTime::UNIX_EPOCH, true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("dovecot-uidlist.lock");
            fs::write(&path, content).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
            remove_if_stale(&path, &dir.path().join("dovecot-uidlist"), Duration::from_secs(120)).unwrap();
            assert_eq!(!path.exists(), stale, "{case}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), usize::from(!stale), "{case}: nothing left beside");
        }
    }

    #[test]
    fn losing_the_lock_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), Guard::Subscriptions, true).unwrap();
        let path = dir.path().join("subscriptions.lock");
        fs::rename(&path, dir.path().join("gone")).unwrap();
        fs::write(&path, "1:other").unwrap();
        assert!(!lock.is_ours());
        drop(lock);
        assert!(path.exists(), "another's lock is not removed");
    }
}
