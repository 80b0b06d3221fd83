//! What removed files occupied, given back to the disk behind the answer.
//!
//! A name goes in microseconds, and the directory's sync makes that last. Freeing the file's blocks is another matter: a file system that tells
//! the disk of each (ext4 with `discard` and no journal) waits a tenth of a millisecond to several, and an EXPUNGE or QUIT of a thousand
//! messages would wait for all of them. So the file is held open while its name is removed, and a thread lets go of it.
//!
//! Bounded: past [`MAX_HELD`] files the caller lets go itself and waits as it would have. After a crash nothing is held any more; the file
//! system frees what has no name (a journaling one at the next mount). On a full disk, room that was just made may
//! take that moment to be seen.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use nix::errno::Errno;

use crate::fsio;

/// Files held at most: one descriptor each, less than the daemon keeps beside those of connections.
const MAX_HELD: usize = 512;

/// The thread that lets go; ends when this is dropped and nothing is left.
pub(super) struct Leavings {
    /// `None` if the system gave us no thread: then every caller lets go itself.
    held: Option<SyncSender<File>>,
}

impl Leavings {
    /// Start the thread.
    pub(super) fn new() -> Leavings {
        let (held, files) = sync_channel::<File>(MAX_HELD);
        let thread =
            std::thread::Builder::new().name("mailcote-free".into()).spawn(move || files.iter().for_each(drop));
        match thread {
            Ok(_) => Leavings { held: Some(held) },
            Err(e) => {
                tracing::warn!(error = %e, "no thread to free removed files; deleting much mail may take longer");
                Leavings { held: None }
            }
        }
    }

    /// Remove the name `path`; what it occupies follows.
    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        let Some(held) = &self.held else { return fsio::unlink(path) };
        let file = match fsio::unlink_held(path) {
            // No descriptor to be had: removing mail must not need one.
            Err(e) if e.raw_os_error().is_some_and(is_out_of_files) => return fsio::unlink(path),
            result => result?,
        };
        match held.try_send(file) {
            Ok(()) => {}
            Err(TrySendError::Full(file) | TrySendError::Disconnected(file)) => drop(file),
        }
        Ok(())
    }
}

/// Has the process, or the system, as many open files as it may have?
fn is_out_of_files(code: i32) -> bool {
    matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn names_go_at_once_and_files_soon() {
        let dir = tempfile::tempdir().unwrap();
        let (leavings, count) = (Leavings::new(), 2 * MAX_HELD);
        let path = |n: usize| dir.path().join(n.to_string());
        (0..count).for_each(|n| std::fs::write(path(n), "x").unwrap());
        let open: Vec<File> = [0, count - 1].map(|n| File::open(path(n)).unwrap()).into();
        for n in 0..count {
            leavings.unlink(&path(n)).unwrap();
            assert!(!path(n).exists());
        }
        assert_eq!(leavings.unlink(&path(0)).unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(open);
        // Nobody holds any of them any more: no descriptor of ours leads to a file that was here.
        let until = Instant::now() + Duration::from_secs(10);
        let held = || {
            let ours = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            ours.filter_map(|fd| std::fs::read_link(fd.path()).ok()).filter(|to| to.starts_with(dir.path())).count()
        };
        while held() > 0 {
            assert!(Instant::now() < until, "{} files are still held", held());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_link_goes_and_what_it_names_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Leavings::new().unlink(&link).unwrap();
        assert!(file.exists() && link.symlink_metadata().is_err());
    }
}
