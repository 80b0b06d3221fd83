//! Old files in `tmp/`: what crashed deliveries left.
//!
//! A file there that was not touched for [`OLD`] belongs to nobody (cr.yp.to/proto/maildir.html: 36 hours). Looked for when a folder
//! is opened, at most once an [`INTERVAL`]: the directory's own access time, set after each cleaning, remembers when, for all processes
//! and across restarts, and costs one stat. Fails quietly (logged): cleaning is a courtesy.

use std::fs::{self, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::fcntl::OFlag;

use super::Mailbox;
use crate::{clock, fsio};

/// Seconds after which a file in `tmp/` is abandoned.
const OLD: i64 = 36 * 3600;
/// Seconds between two cleanings of one directory.
const INTERVAL: i64 = 8 * 3600;

impl Mailbox {
    /// Clean this folder's `tmp/` if it is time.
    pub(super) fn clean_tmp(&self) {
        if !self.is_read_only() {
            clean(&self.dir.join("tmp"));
        }
    }
}

/// Clean `tmp` if it is time. The caller has taken on the owner's identity.
pub(in super::super) fn clean(tmp: &Path) {
    match clean_if_due(tmp) {
        // Not every folder has one: Courier's and ours do, a script's may not.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => tracing::warn!(path = %tmp.display(), error = %e, "cannot clean tmp/"),
        Ok(()) => {}
    }
}

fn clean_if_due(tmp: &Path) -> io::Result<()> {
    let now = clock::unix();
    let meta = fs::metadata(tmp)?;
    if now.saturating_sub(meta.atime()) < INTERVAL {
        return Ok(());
    }
    for entry in fs::read_dir(tmp)? {
        let entry = entry?;
        let Ok(meta) = entry.metadata() else { continue };
        // A directory is not ours to judge. The later of the times: a restored backup may have old modification times.
        if meta.is_file() && now.saturating_sub(meta.mtime().max(meta.ctime())) > OLD {
            tracing::info!(path = %entry.path().display(), "abandoned file removed");
            match fsio::unlink(&entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = OpenOptions::new().read(true).custom_flags(flags.bits()).open(tmp)?;
    dir.set_times(FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH + clock::now()))
}
