//! Is there room on the disk for one more message?
//!
//! Asked before a message is sent to us, so that the sender is told before it sends megabytes that cannot be kept
//! (promise 6: refused before DATA with a code that says whether to retry). An answer of yes is no reservation:
//! whoever writes still meets [`Error::Full`]. A file system that cannot say counts as having room.
//!
//! A disk with [`PLENTY`] to spare is believed for [`BELIEVED`], so that a stream of mail into one account asks once.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::{Error, Result, Store};

/// Octets that stay free of new mail, so that on a nearly full disk the owner can still delete: uidlists and the like are
/// replaced by writing new ones.
const RESERVE: u64 = 16 * 1024 * 1024;
/// Inodes that stay free for the same reason; file systems that count none (btrfs) say zero of zero.
const RESERVE_INODES: u64 = 128;
/// Octets beyond message and reserve that no server takes in while the answer is believed: a gigabyte a second.
const PLENTY: u64 = 1024 * 1024 * 1024;
/// Inodes likewise.
const PLENTY_INODES: u64 = 100_000;
/// How long a disk with plenty of room is not asked again.
const BELIEVED: Duration = Duration::from_secs(1);

impl Store {
    /// [`Error::Full`] if a message of `octets` would not fit beside the reserve, [`Error::ReadOnly`] if the file
    /// system is. One system call, or none.
    pub fn room_for(&self, octets: u64) -> Result<()> {
        let needed = octets.saturating_add(RESERVE);
        let plenty = || self.plenty.lock().unwrap_or_else(PoisonError::into_inner);
        if plenty().is_some_and(|(asked, free)| asked.elapsed() < BELIEVED && free >= needed.saturating_add(PLENTY)) {
            return Ok(());
        }
        let _owner = self.assume()?;
        let root = &self.home.maildir;
        let facts = match statvfs(root) {
            Ok(facts) => facts,
            Err(Errno::ENOSYS) => return Ok(()),
            Err(errno) => return Err(Error::io(root, errno.into())),
        };
        if facts.flags().contains(FsFlags::ST_RDONLY) {
            return Err(Error::ReadOnly(root.clone()));
        }
        let free = facts.blocks_available().saturating_mul(facts.fragment_size());
        let is_short_of_inodes = facts.files() > 0 && facts.files_available() < RESERVE_INODES;
        if is_short_of_inodes || free < needed {
            return Err(Error::Full(root.clone()));
        }
        let has_inodes = facts.files() == 0 || facts.files_available() > PLENTY_INODES;
        *plenty() = has_inodes.then(|| (Instant::now(), free));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Home, Layout, Owner, Settings, Stores};
    use super::*;

    #[test]
    fn a_message_larger_than_the_disk_has_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            Settings { hostname: "h".into(), coexist: false, default_folders: Vec::new(), ..Settings::default() };
        let home = Home { maildir: dir.path().join("m"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let store = Stores::new(settings).unwrap().open(&home).unwrap();
        assert!(store.room_for(1).is_ok());
        assert!(matches!(store.room_for(u64::MAX), Err(Error::Full(_))));
    }
}
