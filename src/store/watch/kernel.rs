//! The kernel's side of the watch: one inotify instance, and the form in which it tells.
//!
//! Owns the instance, what is asked of it, and the fence. It knows no folder and no sink. Fails with the error number that the system gave;
//! leaves nothing on disk.
//!
//! Asked are the names that come and go, and nothing else. Reading mail makes no event, so ten thousand messages that a client fetches do not
//! wake a thread. That is why this is not the crate `notify`: its version 8 asks for openings and closings always (8,000 reads of the watching
//! thread for a FETCH of 10,000 messages); version 9, a release candidate today, can be told not to, but offers no mask of its own for one
//! watch, and both read 1 KiB at a time, some ten events, and set a watch by a message to their thread.
//!
//! *The fence.* All events come in one queue, in the order of what happened. Removing a watch puts `IN_IGNORED` at its end, with the number of
//! that watch, which no other watch gets. So one watch stands on [`STAND`], where nothing ever happens, and whoever wants to know that he was told
//! everything takes it away and waits for its number. That touches no file, and needs no right but to read [`STAND`], so that it works
//! under any user's identity and under Landlock.

use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::unistd;

/// Bytes taken from the kernel in one read: some 700 events with names like ours.
pub(super) const BUFFER: usize = 64 * 1024;

/// Where the fence's watch stands: on every system, readable for everybody, and no directory of mail.
const STAND: &str = "/dev/null";

/// `struct inotify_event` of inotify(7), without the name.
const HEAD: usize = 16;

/// The instance.
#[derive(Clone)]
pub(super) struct Kernel(Arc<Inotify>);

/// One event, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    /// [`WatchDescriptor::as_raw`]; -1 for an overflow.
    pub(super) watch: i32,
    pub(super) mask: AddWatchFlags,
    /// Without the zeros behind it; empty if the event is about the watched directory itself.
    pub(super) name: &'a [u8],
}

impl Kernel {
    pub(super) fn new() -> Result<Kernel, Errno> {
        Ok(Kernel(Arc::new(Inotify::init(InitFlags::IN_CLOEXEC)?)))
    }

    /// Tell which names come and go in `directory`. If that is watched already, maybe by another path, it is the same watch.
    pub(super) fn watch(&self, directory: &Path) -> Result<WatchDescriptor, Errno> {
        self.0.add_watch(
            directory,
            AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_MOVE
                | AddWatchFlags::IN_DELETE_SELF
                | AddWatchFlags::IN_MOVE_SELF
                | AddWatchFlags::IN_ONLYDIR,
        )
    }

    /// A watch to be removed for the sake of its `IN_IGNORED`. There is one at a time: a second would be the same.
    pub(super) fn stand(&self) -> Result<WatchDescriptor, Errno> {
        self.0.add_watch(STAND, AddWatchFlags::IN_DELETE_SELF)
    }

    /// End a watch; `EINVAL` if its directory took it along. `IN_IGNORED` comes behind all events of before.
    pub(super) fn remove(&self, watch: WatchDescriptor) -> Result<(), Errno> {
        self.0.rm_watch(watch)
    }

    /// Wait for events.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> Result<Events<'a>, Errno> {
        loop {
            match unistd::read(&*self.0, buffer) {
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
                Ok(n) => return Ok(Events(&buffer[..n])),
            }
        }
    }
}

/// The events of one read.
pub(super) struct Events<'a>(&'a [u8]);

impl<'a> Iterator for Events<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let (head, rest) = self.0.split_at_checked(HEAD)?;
        let word = |at: usize| <[u8; 4]>::try_from(&head[at..at + 4]).unwrap_or_default();
        let length = usize::try_from(u32::from_ne_bytes(word(12))).ok()?;
        // The kernel tells whole events only.
        let (name, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let end = memchr::memchr(0, name).unwrap_or(name.len());
        Some(Raw {
            watch: i32::from_ne_bytes(word(0)),
            mask: AddWatchFlags::from_bits_retain(u32::from_ne_bytes(word(4))),
            name: &name[..end],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_that_come_and_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = Kernel::new().unwrap();
        let here = kernel.watch(dir.path()).unwrap();
        assert_eq!(kernel.watch(&dir.path().join(".")), Ok(here), "the same directory is the same watch");
        assert_eq!(kernel.watch(&dir.path().join("none")), Err(Errno::ENOENT));
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "x").unwrap();
        assert_eq!(kernel.watch(&a), Err(Errno::ENOTDIR));
        fs::read(&a).unwrap();
        fs::read_dir(dir.path()).unwrap().count();
        fs::set_permissions(&a, fs::metadata(&a).unwrap().permissions()).unwrap();
        fs::rename(&a, &b).unwrap();
        fs::remove_file(&b).unwrap();
        let fence = kernel.stand().unwrap();
        kernel.remove(fence).unwrap();
        assert_eq!(kernel.remove(fence), Err(Errno::EINVAL));
        let mut buffer = [0; BUFFER];
        let told: Vec<_> = kernel.read(&mut buffer).unwrap().collect();
        let name = |mask, name| Raw { watch: here.as_raw(), mask, name };
        let expected = [
            name(AddWatchFlags::IN_CREATE, &b"a"[..]),
            name(AddWatchFlags::IN_MOVED_FROM, b"a"),
            name(AddWatchFlags::IN_MOVED_TO, b"b"),
            name(AddWatchFlags::IN_DELETE, b"b"),
            Raw { watch: fence.as_raw(), mask: AddWatchFlags::IN_IGNORED, name: b"" },
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn every_fence_has_a_number_of_its_own() {
        let kernel = Kernel::new().unwrap();
        let mut numbers = Vec::new();
        for _ in 0..100 {
            let fence = kernel.stand().unwrap();
            kernel.remove(fence).unwrap();
            numbers.push(fence.as_raw());
        }
        let mut buffer = [0; BUFFER];
        let told: Vec<i32> = kernel.read(&mut buffer).unwrap().map(|raw| raw.watch).collect();
        assert_eq!(told, numbers, "one event each, in order");
        numbers.dedup();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn half_an_event_is_none() {
        let mut bytes = [1u32.to_ne_bytes(), 0x100u32.to_ne_bytes(), [0; 4], 16u32.to_ne_bytes()].concat();
        bytes.extend(*b"a-name\0\0\0\0\0\0\0\0\0\0");
        let whole = Raw { watch: 1, mask: AddWatchFlags::IN_CREATE, name: b"a-name" };
        assert_eq!(Events(&bytes).collect::<Vec<_>>(), [whole]);
        for short in 0..bytes.len() {
            assert_eq!(Events(&bytes[..short]).count(), 0, "{short}");
        }
    }
}
