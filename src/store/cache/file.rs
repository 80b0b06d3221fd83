//! The file `mailcote.cache`: opening, believing, adding, throwing away.
//!
//! [`Cache`] belongs to an open folder; all sessions share its index. Nothing here fails: what cannot be read or written is a cache
//! that does not know, and the reason is in the log.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};

use super::FILE;
use super::batch::{Batch, HEAD, Kind, MAX_ROWS, ROW, Row, Writer};
use super::digest::Digest;
use super::facts::{Half, Wants};
use super::index::{Index, Place};
use super::ranks::Kept;
use super::window::Window;
use crate::fsio;

/// First line; the number is the version. It grows with every change of what is kept or how, collation included.
const MAGIC: &[u8; 20] = b"mailcote.cache 1\n\0\0\0";
/// Bytes before the first batch.
const HEADER: usize = 32;
/// Mode of the file: nobody but the owner.
const MODE: u32 = super::super::FILE_MODE;
/// Messages in small batches before they are written together: deliveries make batches of one.
const MANY_SMALL: usize = 512;

/// The cache of one folder.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    uid_validity: u32,
    known: Mutex<Option<Arc<Known>>>,
    kept: Mutex<Kept>,
}

/// One file, as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Device and inode.
    file: (u64, u64),
    /// From its header: an inode can be another file's later.
    id: [u8; 8],
    /// Behind the last good batch.
    end: u64,
    pub(super) index: Index,
}

/// An open file and what is known of it: reading needs no lock.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) known: Arc<Known>,
}

/// Which message a record is about, for those who ask: its key and its file's size, if its name tells it.
pub(crate) type Identity = Option<(u64, Option<u64>)>;

/// A number for a message's key (its base without `,X=` fields). A version of std that hashes otherwise makes all records unknown.
pub(crate) fn key_number(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Cache {
    /// The cache of the folder in `dir`. Reads nothing yet.
    pub(crate) fn new(dir: &Path, uid_validity: u32) -> Cache {
        Cache { path: dir.join(FILE), uid_validity, known: Mutex::new(None), kept: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Option<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open what is there. `identify` tells of a UID which message it is.
    pub(crate) fn open(&self, identify: &mut dyn FnMut(u32) -> Identity) -> Option<Opened> {
        let mut slot = self.known();
        let Ok(file) = fsio::open(&self.path) else {
            *slot = None;
            return None;
        };
        let known = self.catch_up(&file, &mut slot, identify)?;
        Some(Opened { file: Arc::new(file), known })
    }

    /// Read what `file` has more than we know. If it is of no use, nothing is known.
    fn catch_up(
        &self,
        file: &File,
        slot: &mut Option<Arc<Known>>,
        identify: &mut dyn FnMut(u32) -> Identity,
    ) -> Option<Arc<Known>> {
        let before = slot.take();
        let meta = file.metadata().ok().filter(|meta| meta.is_file())?;
        let id = self.read_header(file)?;
        let same =
            |known: &Arc<Known>| known.file == (meta.dev(), meta.ino()) && known.id == id && known.end <= meta.len();
        let mut known = before.filter(same).unwrap_or_else(|| {
            Arc::new(Known { file: (meta.dev(), meta.ino()), id, end: HEADER as u64, index: Index::default() })
        });
        if known.end < meta.len() {
            read_batches(file, Arc::make_mut(&mut known), false, identify);
        }
        if known.index.is_full() {
            self.discard("too many batches");
            return None;
        }
        *slot = Some(Arc::clone(&known));
        Some(known)
    }

    /// The id in the header, if it is this folder's.
    fn read_header(&self, file: &File) -> Option<[u8; 8]> {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let ours = header[..20] == *MAGIC && header[20..24] == self.uid_validity.to_le_bytes();
        if !ours {
            self.discard("of another version or UIDVALIDITY");
            return None;
        }
        header[24..].try_into().ok()
    }

    /// Throw the file away.
    pub(super) fn discard(&self, why: &str) {
        tracing::info!(path = %self.path.display(), why, "cache thrown away");
        if let Err(error) = fsio::unlink(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot delete a cache that is of no use");
        }
    }

    /// Read a batch's texts that do not agree with their checksums: forget all of it.
    pub(crate) fn doubt(&self, opened: &Opened) {
        let mut known = self.known();
        if known.as_ref().is_some_and(|known| known.file == opened.known.file && known.id == opened.known.id) {
            *known = None;
            self.discard("a checksum does not agree");
        }
    }

    /// A UID that was told to nobody for good means another message now: compare all records with their messages again.
    pub(crate) fn forget(&self) {
        *self.known() = None;
        self.kept().forget();
    }

    /// What is kept in memory.
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep what was found out; ascending by UID. If that cannot be written now (another process writes, disk full), it is not kept.
    pub(crate) fn add(&self, found: &[(u32, &Digest)], identify: &mut dyn FnMut(u32) -> Identity) {
        let mut bytes = Vec::new();
        let uids: Vec<u32> = found.iter().map(|(uid, _)| *uid).collect();
        for kind in [Kind::Head, Kind::Body] {
            let mut writer = Writer::new(kind);
            let here = self.known().as_ref().map_or(vec![None; uids.len()], |known| known.index.find(kind, &uids));
            for ((uid, digest), _) in found.iter().zip(here).filter(|(_, here)| here.is_none()) {
                let piece = match kind {
                    Kind::Head => &digest.head,
                    Kind::Body => &digest.body,
                };
                if let (Some(piece), Some((key, _))) = (piece, identify(*uid)) {
                    writer.add_piece(*uid, key, piece);
                }
            }
            writer.close();
            bytes.append(&mut writer.bytes);
        }
        if bytes.is_empty() {
            return;
        }
        self.tell(self.append(&bytes, identify));
    }

    fn append(&self, bytes: &[u8], identify: &mut dyn FnMut(u32) -> Identity) -> io::Result<()> {
        let mut slot = self.known();
        let file = fsio::open_append(&self.path, MODE)?;
        // Somebody else is writing: our turn comes with the next message that is looked at.
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| io::Error::from(e))?;
        let meta = file.metadata()?;
        // Deleted or replaced since we opened it; or something that only looks like a file.
        if meta.nlink() == 0 || !meta.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if meta.len() < HEADER as u64 {
            fsio::truncate(&file, &self.path, 0)?;
            fsio::write(&file, &self.path, &self.new_header())?;
        }
        let Some(known) = self.catch_up(&file, &mut slot, identify) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // Nobody writes without the lock, so what is behind the last good batch was torn off.
        if known.end < file.metadata()?.len() {
            fsio::truncate(&file, &self.path, known.end)?;
        }
        let written = fsio::write(&file, &self.path, bytes);
        if written.is_err() {
            fsio::truncate(&file, &self.path, known.end)?;
            return written;
        }
        drop(known);
        self.catch_up(&file, &mut slot, identify);
        Ok(())
    }

    fn new_header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..20].copy_from_slice(MAGIC);
        header[20..24].copy_from_slice(&self.uid_validity.to_le_bytes());
        let now = crate::clock::now().as_nanos() as u64;
        header[24..].copy_from_slice(&(now ^ u64::from(std::process::id()).rotate_left(40)).to_le_bytes());
        header
    }

    /// Write what lies scattered in small batches together, if there is much of it.
    pub(crate) fn gather(&self, opened: &Opened, identify: &mut dyn FnMut(u32) -> Identity) {
        if opened.known.index.scattered_rows() >= MANY_SMALL {
            self.tell(self.gather_scattered(opened, identify));
        }
    }

    fn gather_scattered(&self, opened: &Opened, identify: &mut dyn FnMut(u32) -> Identity) -> io::Result<()> {
        let mut slot = self.known();
        let (file, known) = self.lock(&mut slot, opened, identify)?;
        let lists = [Kind::Head, Kind::Body].map(|kind| (kind, known.index.scattered(kind)));
        drop(known);
        copy(opened, &lists, identify, &mut |bytes| fsio::write(&file, &self.path, bytes))?;
        if let Some(known) = slot.as_mut() {
            let known = Arc::make_mut(known);
            known.index.forget_scattered();
            read_batches(&file, known, true, identify);
        }
        Ok(())
    }

    /// The folder is closed: write the file anew if most of it is of no use any more.
    pub(crate) fn compact(&self, identify: &mut dyn FnMut(u32) -> Identity) {
        if self.known().is_none() {
            return;
        }
        let Some(opened) = self.open(identify) else { return };
        let index = &opened.known.index;
        let lists = [Kind::Head, Kind::Body]
            .map(|kind| (kind, index.uids(kind).filter(|uid| identify(*uid).is_some()).collect::<Vec<u32>>()));
        if index.is_worth_more_than(lists.iter().map(|(_, uids)| uids.len()).sum()) {
            self.tell(self.write_anew(&opened, &lists, identify));
        }
    }

    fn write_anew(
        &self,
        opened: &Opened,
        lists: &[(Kind, Vec<u32>); 2],
        identify: &mut dyn FnMut(u32) -> Identity,
    ) -> io::Result<()> {
        let mut slot = self.known();
        let (_lock, _) = self.lock(&mut slot, opened, identify)?;
        let temporary = fsio::beside(&self.path, ".tmp");
        match fsio::unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let new = fsio::create(&temporary, MODE)?;
        let written = fsio::write(&new, &temporary, &self.new_header())
            .and_then(|()| copy(opened, lists, identify, &mut |bytes| fsio::write(&new, &temporary, bytes)));
        if written.is_err() {
            fsio::unlink(&temporary)?;
            return written;
        }
        *slot = None;
        fsio::rename(&temporary, &self.path)
    }

    /// The right to write, if the file is still as `opened` knows it.
    fn lock(
        &self,
        slot: &mut Option<Arc<Known>>,
        opened: &Opened,
        identify: &mut dyn FnMut(u32) -> Identity,
    ) -> io::Result<(Flock<File>, Arc<Known>)> {
        let file = fsio::open_to_append(&self.path)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| io::Error::from(e))?;
        let known = self.catch_up(&file, slot, identify).ok_or(io::ErrorKind::InvalidData)?;
        let meta = file.metadata()?;
        let same = known.end == opened.known.end && known.id == opened.known.id;
        // Another process was faster, or has added something meanwhile: next time.
        if meta.nlink() == 0 || !same || known.end != meta.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok((file, known))
    }

    fn tell(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::debug!(path = %self.path.display(), %error, "cache not written");
        }
    }
}

/// Read these halves and give them on as batches, some megabytes at a time.
fn copy(
    opened: &Opened,
    lists: &[(Kind, Vec<u32>); 2],
    identify: &mut dyn FnMut(u32) -> Identity,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut window = Window::new(Wants::ALL);
    for (kind, uids) in lists {
        let mut writer = Writer::new(*kind);
        for uids in uids.chunks(MAX_ROWS) {
            for (uid, place) in uids.iter().zip(opened.known.index.find(*kind, uids)) {
                let (Some(place), Some((key, _))) = (place, identify(*uid)) else { continue };
                let half = window.half(opened, *kind, place).ok_or(io::ErrorKind::InvalidData)?;
                writer.add(*uid, key, &half);
            }
            write(&std::mem::take(&mut writer.bytes))?;
        }
        writer.close();
        write(&writer.bytes)?;
    }
    Ok(())
}

impl Opened {
    /// Where the halves of `uids` (ascending) are.
    pub(crate) fn find_heads(&self, uids: &[u32]) -> Vec<Option<Place>> {
        self.known.index.find(Kind::Head, uids)
    }

    /// See [`Opened::find_heads`].
    pub(crate) fn find_bodies(&self, uids: &[u32]) -> Vec<Option<Place>> {
        self.known.index.find(Kind::Body, uids)
    }
}

/// Take in the batches behind the last known one, up to the end or the first that is none.
fn read_batches(file: &File, known: &mut Known, replaces: bool, identify: &mut dyn FnMut(u32) -> Identity) {
    let length = file.metadata().map_or(0, |meta| meta.len());
    // A head and its rows come in one read.
    let mut buffer = vec![0; HEAD + MAX_ROWS * ROW];
    while !known.index.is_full() {
        let got = read_at(file, &mut buffer, known.end);
        let Some(batch) = Batch::parse(known.end, &buffer[..got]).filter(|batch| batch.end() <= length) else { return };
        let Some(rows) = buffer[..got].get(HEAD..HEAD + batch.rows_len()).filter(|rows| batch.holds_rows(rows)) else {
            return;
        };
        let kind = batch.kind;
        known.index.add(batch, rows, replaces, |row| is_about(row, kind, identify(row.uid())));
        known.end = batch.end();
    }
}

/// Is the record about this message?
fn is_about(row: &Row<'_>, kind: Kind, identity: Identity) -> bool {
    let half = Half { numbers: row.numbers(), ..Half::default() };
    let size = half.file_size(kind);
    identity.is_some_and(|(key, named)| key == row.key() && named.is_none_or(|named| named == size))
}

/// As much as there is, up to the length of `buffer`.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut have = 0;
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], offset + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    have
}
