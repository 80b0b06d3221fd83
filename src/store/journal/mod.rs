//! `mailcote.journal`: what a folder must remember and no shared format can hold.
//!
//! Per folder: mod-sequences, save dates, keywords past the 26th, which UIDs were expunged when, how far \Recent was told,
//! and a second copy of the UID map, from which a damaged `dovecot-uidlist` is rebuilt. Without it nothing is wrong,
//! only forgotten; Dovecot and others ignore it. A delivery never touches it.
//!
//! The file is the line `mailcote.journal 1`, then records: length and CRC-32 of the body (4 bytes each, little-endian), then the
//! body ([`super::record`]). It only grows, one write a batch, or is replaced by rename when more than half of it is
//! history ([`Journal::compact`]). Opening a folder costs one read.
//!
//! What a cut or a bad disk leaves: a torn tail is not read, and cut off by the next append. Damage between good records is passed over,
//! whatever its length ([`frame`]), and the next writer replaces the file, the damaged one kept as `mailcote.journal.broken-<seconds>`;
//! so it is with a file that does not begin as ours. What damage may have told of expunges counts as forgotten. A failed sync makes the
//! file suspect: it is replaced, not synced again.
//!
//! A mod-sequence is [`next_modseq`]: never lower than the clock, so that a lost journal cannot make HIGHESTMODSEQ go back.

mod frame;
mod state;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use self::frame::put;
pub use self::frame::{Piece, Pieces};
pub use self::state::State;
use super::lock::Lock;
pub use super::record::{Folder, Known, Record};
use super::{Error, Result};
use crate::{clock, fsio};

/// The file's name.
pub const FILE: &str = "mailcote.journal";
/// First line; the number is the version.
const MAGIC: &[u8] = b"mailcote.journal 1\n";
/// Bytes of a record's body: a batch of a hundred thousand UIDs is far below.
const MAX_BODY: usize = 16 << 20;
/// Bytes of a journal that are read. Keeps a planted file from filling the memory.
const MAX_FILE: u64 = 512 << 20;
/// A journal below this many bytes is never worth a compaction.
const MIN_COMPACTION: u64 = 64 << 10;
/// Expunged UIDs that are remembered (for QRESYNC); older ones are forgotten, and clients of that age resynchronize whole.
pub const MAX_EXPUNGED: usize = 100_000;

/// The mod-sequence after `last`: the microseconds since 1970, or one more than `last` where the clock lags.
pub fn next_modseq(last: u64) -> u64 {
    u64::try_from(clock::now().as_micros()).unwrap_or(0).max(last + 1)
}

/// What [`Journal::refresh`] found.
#[derive(Debug)]
pub enum Update {
    /// Nothing.
    Same,
    /// Another process added these.
    Added(Vec<Record>),
    /// Another process replaced the file; this is all of it.
    Replaced(Box<State>),
}

/// Device and inode.
type FileId = (u64, u64);

/// An open journal: which file was read, and up to where. The [`State`] belongs to the caller.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Zero if there is no file yet.
    file: FileId,
    /// Bytes up to the end of the last good record.
    end: u64,
    /// Bytes in the file when it was read; more than `end` if the tail is torn.
    size: u64,
    /// What was seen of it, to guess what a compaction would leave.
    tally: Tally,
    /// There is damage between good records: the next writer sets the file aside.
    is_damaged: bool,
    /// A sync of the file failed: what is read back from it may not be on the disk, and another sync of it would not tell.
    is_suspect: bool,
    /// We made the file, and its directory was not synced since: a power cut may take it away whole.
    is_unanchored: bool,
}

impl Journal {
    /// Read the journal of the folder in `dir`; none is an empty one.
    pub fn open(dir: &Path) -> Result<(Journal, State)> {
        let (file, tally) = ((0, 0), Tally::default());
        let mut journal = Journal {
            path: dir.join(FILE),
            file,
            end: 0,
            size: 0,
            tally,
            is_damaged: false,
            is_suspect: false,
            is_unanchored: false,
        };
        let state = journal.load()?;
        Ok((journal, state))
    }

    fn load(&mut self) -> Result<State> {
        (self.file, self.end, self.size, self.tally) = ((0, 0), 0, 0, Tally::default());
        (self.is_damaged, self.is_suspect, self.is_unanchored) = (false, false, false);
        let mut state = State::default();
        let Some((file, bytes)) = self.read(0)? else { return Ok(state) };
        (self.file, self.size) = (file, bytes.len() as u64);
        let Some(records) = bytes.strip_prefix(MAGIC) else {
            if MAGIC.starts_with(&bytes) {
                // Cut while the first line was written: an empty journal.
                return Ok(state);
            }
            let aside = fsio::beside(&self.path, &format!(".broken-{}", clock::unix()));
            tracing::error!(path = %self.path.display(), aside = %aside.display(), "not a journal of ours: set aside");
            fsio::rename(&self.path, &aside).map_err(|e| Error::io(&self.path, e))?;
            (self.file, self.size) = ((0, 0), 0);
            return Ok(state);
        };
        self.end = MAGIC.len() as u64;
        self.replay(records, |record| state.apply(record));
        Ok(state)
    }

    /// Read from `start` to the end; the file's identity with it. `None` if there is no file.
    fn read(&self, start: u64) -> Result<Option<(FileId, Vec<u8>)>> {
        let fail = |e| Error::io(&self.path, e);
        let mut file = match fsio::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(e)),
        };
        let now = file.metadata().map_err(fail)?;
        if now.len() > MAX_FILE {
            return Err(Error::Limit("mailcote.journal is larger than 512 MiB"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(now.len().saturating_sub(start)).unwrap_or(0));
        file.seek(SeekFrom::Start(start)).map_err(fail)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(fail)?;
        Ok(Some(((now.dev(), now.ino()), bytes)))
    }

    /// Hand every good record of `bytes`, which begin at `self.end`, to `take`; move `self.end` behind the last.
    fn replay(&mut self, bytes: &[u8], mut take: impl FnMut(Record)) {
        let mut pieces = Pieces::new(bytes);
        let (mut highest, mut is_damaged) = (0, false);
        for (piece, length) in &mut pieces {
            match piece {
                Piece::Record(record) => {
                    highest = highest.max(record.modseq());
                    self.tally.count(&record, length);
                    take(record);
                }
                Piece::Unknown => {
                    tracing::warn!(path = %self.path.display(), offset = self.end, "journal record of a later version passed over");
                }
                Piece::Damage => {
                    tracing::error!(path = %self.path.display(), offset = self.end, bytes = length, "damage in the journal passed over");
                    is_damaged = true;
                }
            }
            self.end += length as u64;
        }
        if is_damaged {
            self.is_damaged = true;
            // What was lost there may have been expunges, of any mod-sequence up to now.
            let now = next_modseq(highest);
            take(Record::Modseq { highest: now, forgotten: now });
        }
        if !pieces.rest().is_empty() {
            tracing::warn!(path = %self.path.display(), bytes = pieces.rest().len(), "torn end of journal ignored");
        }
    }

    /// Is the file still as it was read? One stat.
    pub fn is_current(&self) -> bool {
        let now = fs::metadata(&self.path).map_or(((0, 0), 0), |now| ((now.dev(), now.ino()), now.len()));
        now == (self.file, self.size)
    }

    /// Look whether another process has written. One stat if not.
    pub fn refresh(&mut self) -> Result<Update> {
        let now = match fs::metadata(&self.path) {
            Ok(now) => ((now.dev(), now.ino()), now.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => ((0, 0), 0),
            Err(e) => return Err(Error::io(&self.path, e)),
        };
        if now == (self.file, self.size) {
            return Ok(Update::Same);
        }
        let tail = if now.0 == self.file && now.1 >= self.end && self.end > 0 { self.read(self.end)? } else { None };
        match tail {
            Some((file, bytes)) if file == self.file => {
                self.size = self.end + bytes.len() as u64;
                let mut records = Vec::new();
                self.replay(&bytes, |record| records.push(record));
                Ok(if records.is_empty() { Update::Same } else { Update::Added(records) })
            }
            _ => Ok(Update::Replaced(Box::new(self.load()?))),
        }
    }

    /// Add records in one write; with `sync`, durably. The caller holds the lock and has refreshed since it took it.
    pub fn append(&mut self, lock: &Lock, records: &[Record], sync: bool, mode: u32) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut bytes = if self.end == 0 { MAGIC.to_vec() } else { Vec::new() };
        for record in records {
            let before = bytes.len();
            put(record, &mut bytes)?;
            self.tally.count(record, bytes.len() - before);
        }
        let is_new = self.file == (0, 0);
        let fail = |e| Error::io(&self.path, e);
        let file = if is_new { fsio::open_append(&self.path, mode) } else { fsio::open_to_append(&self.path) }
            .map_err(fail)?;
        let now = file.metadata().map_err(fail)?;
        if !lock.is_ours() || now.len() != self.size || (!is_new && (now.dev(), now.ino()) != self.file) {
            return Err(Error::Locked(self.path.clone()));
        }
        if self.end < self.size {
            fsio::truncate(&file, &self.path, self.end).map_err(fail)?;
            self.size = self.end;
        }
        // After a failure (disk full) half a batch may stand there: a torn tail, which the next append cuts.
        let written = fsio::write(&file, &self.path, &bytes);
        self.file = (now.dev(), now.ino());
        self.is_unanchored |= is_new;
        if let Err(e) = written {
            self.size = file.metadata().map_err(fail)?.len();
            return Err(fail(e));
        }
        self.size += bytes.len() as u64;
        self.end = self.size;
        if sync {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let synced = fsio::sync_data(&file, &self.path);
            let synced = synced.and_then(|()| if self.is_unanchored { fsio::sync_dir(folder) } else { Ok(()) });
            self.is_suspect |= synced.is_err();
            self.is_unanchored &= synced.is_err();
            synced.map_err(|e| Error::io(&self.path, e))?;
        }
        Ok(())
    }

    /// Must the file be replaced before anything is promised that it says? So it is after damage and after a failed sync.
    pub fn must_compact(&self) -> bool {
        self.is_damaged || self.is_suspect
    }

    /// Is more than half of the file history, `live` being the messages that still exist? Or must it be replaced anyway?
    pub fn wants_compaction(&self, live: usize) -> bool {
        self.must_compact() || self.size > MIN_COMPACTION && self.size > 2 * self.tally.left(live)
    }

    /// Replace the file by the shortest one that amounts to `state`, durably. The caller holds the lock and has refreshed since.
    pub fn compact(&mut self, lock: &Lock, state: &State, mode: u32) -> Result<()> {
        if !lock.is_ours() {
            return Err(Error::Locked(self.path.clone()));
        }
        let mut bytes = MAGIC.to_vec();
        let mut tally = Tally::default();
        for record in state.records() {
            let before = bytes.len();
            put(&record, &mut bytes)?;
            tally.count(&record, bytes.len() - before);
        }
        let fail = |e| Error::io(&self.path, e);
        if self.is_damaged {
            let aside = fsio::beside(&self.path, &format!(".broken-{}", clock::unix()));
            match fsio::link(&self.path, &aside) {
                Ok(()) => {
                    tracing::error!(aside = %aside.display(), "damaged journal set aside; its good records are kept")
                }
                // Nobody needs two of one second; and without links the records matter more than the rubble.
                Err(e) => tracing::warn!(path = %self.path.display(), error = %e, "damaged journal not set aside"),
            }
        }
        fsio::replace(&self.path, &bytes, mode).map_err(fail)?;
        (self.is_damaged, self.is_suspect, self.is_unanchored) = (false, false, false);
        let now = fs::metadata(&self.path).map_err(fail)?;
        self.file = (now.dev(), now.ino());
        self.size = bytes.len() as u64;
        (self.end, self.tally) = (self.size, tally);
        Ok(())
    }
}

/// What a journal holds, as far as a compaction would keep it.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Number and bytes of message records.
    messages: (u64, u64),
    /// UIDs in records of expunges, and the bytes of these.
    expunged: (u64, u64),
}

impl Tally {
    fn count(&mut self, record: &Record, bytes: usize) {
        let (kind, number) = match record {
            Record::Message { .. } => (&mut self.messages, 1),
            Record::Expunged { uids, .. } => (&mut self.expunged, uids.len() as u64),
            _ => return,
        };
        *kind = (kind.0 + number, kind.1 + bytes as u64);
    }

    /// About the bytes that a compaction would leave with `live` messages.
    fn left(self, live: usize) -> u64 {
        let average = |(number, bytes): (u64, u64)| bytes.div_ceil(number.max(1));
        let expunged = self.expunged.0.min(MAX_EXPUNGED as u64);
        (live as u64).saturating_mul(average(self.messages)) + expunged * average(self.expunged)
    }
}
