//! The file of a uidlist: made, read from where it was left, set aside.
//!
//! What is read is on the disk when it is believed: a list that changed lately is synced first, since whoever wrote it may have been
//! killed before the sync.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{FILE, Header, render_header};
use crate::store::{Error, FILE_MODE, Result};
use crate::{clock, fsio};

/// Bytes of a list that are read: some three million messages. Keeps a planted file from filling the memory.
const MAX_FILE: u64 = 256 << 20;
/// Seconds after which the kernel has surely written a changed file back by itself (it begins after 30): a list that is read
/// sooner is synced first.
const YOUNG: i64 = 3600;

/// Which file we have read, and up to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes read: up to the end of the last whole line.
    pub(super) end: u64,
    /// Its size then.
    pub(super) size: u64,
}

impl Place {
    pub(super) const NOWHERE: Place = Place { device: 0, inode: 0, end: 0, size: 0 };
}

/// Make the list of a folder that nobody else can know yet: no lock, no rename. Synced, but its directory entry is the caller's.
pub(in crate::store) fn create(dir: &Path, uid_validity: u32) -> Result<()> {
    let path = dir.join(FILE);
    let header = render_header(&Header::new(uid_validity));
    let written = fsio::create(&path, FILE_MODE)
        .and_then(|file| fsio::write(&file, &path, &header).and_then(|()| fsio::sync_data(&file, &path)));
    written.map_err(|e| Error::io(&path, e))
}

/// Rename a damaged list aside (`dovecot-uidlist.broken-<seconds>`), for the admin to look at. Call under the lock.
pub fn set_aside(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(FILE);
    let aside = fsio::beside(&path, &format!(".broken-{}", clock::unix()));
    fsio::rename(&path, &aside).map_err(|e| Error::io(&path, e))?;
    Ok(aside)
}

/// As [`set_aside`], but the damaged list also stays where it is, to be replaced: if that cannot be done now, the next one finds what
/// could be read of it.
pub fn copy_aside(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(FILE);
    let aside = fsio::beside(&path, &format!(".broken-{}", clock::unix()));
    match fsio::link(&path, &aside) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(&path, e)),
        _ => Ok(aside),
    }
}

/// May what stands in the file not have reached the disk yet?
fn is_young(now: &std::fs::Metadata) -> bool {
    let age = clock::unix().saturating_sub(now.ctime());
    !(YOUNG..).contains(&age)
}

/// What was just read is told to clients: a writer that was killed before its sync must not make that a lie after a power cut.
fn ensure_synced(file: &std::fs::File, path: &Path) -> Result<()> {
    match fsio::sync_data(file, path).map_err(|e| Error::io(path, e)) {
        // Nothing can be written here, so that nothing waits to be; and a full disk must not keep the owner out.
        Err(e) if e.forbids_writing() || matches!(e, Error::Full(_)) => Ok(()),
        result => result,
    }
}

/// The file from `from`'s end if it is the same file and only grew, else nothing of it but its place.
pub(super) fn read_from(path: &Path, from: Option<Place>) -> Result<Option<(Vec<u8>, Place)>> {
    let fail = |e| Error::io(path, e);
    let mut file = match fsio::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
    };
    let now = file.metadata().map_err(fail)?;
    if now.len() > MAX_FILE {
        return Err(Error::Limit("dovecot-uidlist is larger than 256 MiB"));
    }
    let mut bytes = Vec::new();
    let mut start = 0;
    if let Some(place) = from {
        if (place.device, place.inode) != (now.dev(), now.ino()) || now.len() < place.end {
            return Ok(Some((bytes, Place { device: now.dev(), inode: now.ino(), end: 0, size: 0 })));
        }
        start = place.end;
        file.seek(SeekFrom::Start(start)).map_err(fail)?;
    }
    bytes.reserve(usize::try_from(now.len() - start).unwrap_or(0));
    (&file).take(MAX_FILE).read_to_end(&mut bytes).map_err(fail)?;
    if !bytes.is_empty() && is_young(&now) {
        ensure_synced(&file, path)?;
    }
    let size = start + bytes.len() as u64;
    Ok(Some((bytes, Place { device: now.dev(), inode: now.ino(), end: 0, size })))
}
