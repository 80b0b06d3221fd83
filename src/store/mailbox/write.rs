//! Writing the folder's shared files, and syncing what others delivered.
//!
//! The uidlist is synced before anything that depends on it is told; the journal is not, but where only it knows a keyword: what it
//! loses in a power cut is found out again or begun anew. A list that could not be written (disk full) and a journal that missed
//! something are written whole at the next chance.

use std::collections::{HashMap, HashSet};
use std::fs::{File as OsFile, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::fcntl::OFlag;

use super::super::journal::{Folder, Journal, Known, Record as Note};
use super::super::lock::Lock;
use super::super::uidlist::Record;
use super::super::watch::Which;
use super::super::{Error, FILE_MODE, Result};
use super::scan::File;
use super::table::Message;
use super::{Disk, Mailbox};
use crate::mail::Flags;
use crate::{clock, fsio};

/// Files of others are synced one by one up to this many; past it, one sync of the whole file system is cheaper.
const SYNC_EACH: usize = 64;

impl Mailbox {
    /// Append `new` to the uidlist, or write all of it if it wants that. On a full or read-only disk an error, or, if the records
    /// `may_wait`, a note to write them later.
    pub(super) fn write_list(
        &self,
        disk: &mut Disk,
        lock: Option<&Lock>,
        new: Vec<Record>,
        missing: &[u32],
        may_wait: bool,
    ) -> Result<()> {
        let counted = self.counted.load(Ordering::Relaxed);
        let live = (self.state().table.len() + new.len() + disk.unclaimed.len()).saturating_sub(missing.len());
        let rewrite = counted || disk.stale_list.is_some() || disk.list.wants_rewrite(live);
        if new.is_empty() && disk.stale_list.is_none() {
            return Ok(());
        }
        let result = match lock {
            None => Err(Error::ReadOnly(self.dir.clone())),
            Some(lock) if !rewrite => disk.list.append(lock, &new),
            Some(lock) => {
                let mut records = self.records(missing);
                records.extend(new);
                records.extend(disk.unclaimed.records().cloned());
                records.sort_by_key(|record| record.uid);
                records.dedup_by_key(|record| record.uid);
                let mut header = disk.list.header().clone();
                header.next_uid = header.next_uid.max(self.state().next_uid);
                disk.list.rewrite(lock, header, records.iter(), FILE_MODE)
            }
        };
        match result {
            Ok(()) => {
                if rewrite {
                    self.counted.store(false, Ordering::Relaxed);
                }
                disk.stale_list = None;
            }
            Err(e) if may_wait && (e.forbids_writing() || matches!(e, Error::Full(_))) => {
                tracing::warn!(path = %self.dir.display(), error = %e, "UIDs are kept in memory");
                disk.stale_list = Some(Instant::now());
            }
            Err(e) => {
                // Half of it may be in the file, and what a failed sync left there must not be believed: a new file next time.
                disk.stale_list = Some(Instant::now());
                return Err(e);
            }
        }
        Ok(())
    }

    /// The table as uidlist records, without `missing`.
    fn records(&self, missing: &[u32]) -> Vec<Record> {
        let state = self.state();
        let rows = state.table.messages().iter().zip(state.table.entries());
        rows.filter(|(message, _)| missing.binary_search(&message.uid).is_err())
            .map(|(message, entry)| Record {
                uid: message.uid,
                base: entry.base().into(),
                fields: entry.fields.clone(),
            })
            .collect()
    }

    /// Append to the journal, durably: of what only the journal knows.
    pub(super) fn promise_notes(&self, disk: &mut Disk, lock: &Lock, notes: &[Note]) -> Result<()> {
        if disk.journal.must_compact() {
            // A sync of this file failed, or it is damaged: what is promised goes into a new one.
            let (_, state) = Journal::open(&self.dir)?;
            disk.journal.compact(lock, &state, FILE_MODE)?;
        }
        disk.journal.append(lock, notes, true, FILE_MODE)
    }

    /// Append to the journal, unsynced: what it says can be lost, and is then found out again or begun anew.
    pub(super) fn write_notes(&self, disk: &mut Disk, lock: Option<&Lock>, notes: &[Note]) {
        if notes.is_empty() || self.is_read_only() || disk.begins_journal {
            return;
        }
        let result = match lock {
            Some(lock) => disk.journal.append(lock, notes, false, FILE_MODE),
            None => Err(Error::Full(self.dir.clone())),
        };
        if let Err(e) = result {
            tracing::warn!(path = %self.dir.display(), error = %e, "journal not written; it will be rewritten");
            disk.stale_journal = true;
        } else if let Some(lock) = lock
            && disk.journal.wants_compaction(self.state().table.len())
        {
            let result = Journal::open(&self.dir).and_then(|(_, state)| disk.journal.compact(lock, &state, FILE_MODE));
            if let Err(e) = result {
                tracing::warn!(path = %self.dir.display(), error = %e, "journal not compacted");
            }
        }
    }

    /// Bring the journal up to the table after it missed changes.
    pub(super) fn rewrite_journal(&self, disk: &mut Disk, lock: &Lock) {
        let old = Journal::open(&self.dir).map(|(_, old)| old).unwrap_or_default();
        let header = disk.list.header();
        let folder = Folder { uid_validity: header.uid_validity, next_uid: header.next_uid, guid: header.guid.clone() };
        let notes: Vec<Note> = {
            let state = self.state();
            let modseq = Note::Modseq { highest: state.highest_modseq, forgotten: state.history.forgotten() };
            let rows = state.table.messages().iter().zip(state.table.entries());
            let now = clock::unix();
            let messages = rows.map(|(message, entry)| Note::Message {
                uid: message.uid,
                known: Known {
                    base: entry.base().into(),
                    modseq: message.modseq,
                    saved: entry.saved().unwrap_or(now),
                    flags: message.flags,
                    keywords: message.keywords,
                },
            });
            let expunged: HashSet<u32> = old.expunged.iter().map(|(_, uid)| *uid).collect();
            let expunged = state.history.notes(|uid| !expunged.contains(&uid));
            let keywords = disk.high_keywords.iter().filter(|(number, _)| !old.keywords.contains_key(number));
            let keywords = keywords.map(|(number, name)| Note::Keyword { number: *number, name: name.clone() });
            let head = [Note::Folder(folder), modseq].into_iter();
            head.chain(keywords).chain(messages).chain(expunged).collect()
        };
        disk.stale_journal = false;
        self.write_notes(disk, Some(lock), &notes);
    }

    /// Files that another program delivered, perhaps without a sync, and their entries.
    pub(super) fn sync_files<'a>(&self, files: impl Iterator<Item = &'a File>) -> Result<()> {
        let files: Vec<&File> = files.collect();
        if files.is_empty() || self.is_read_only() {
            return Ok(());
        }
        if files.len() > SYNC_EACH {
            let dir = OsFile::open(&self.dir).map_err(|e| Error::io(&self.dir, e))?;
            return fsio::sync_fs(&dir, &self.dir).map_err(|e| Error::io(&self.dir, e));
        }
        for file in &files {
            let path = self.path(file.place, &file.name);
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path);
            match opened {
                Ok(open) => fsio::sync_all(&open, &path).map_err(|e| Error::io(&path, e))?,
                Err(e) if is_shortage(&e) => return Err(Error::io(&path, e)),
                // Moved or removed meanwhile, or nothing that we can read: a message whose bytes we cannot promise, and no
                // reason to keep the others from their owner.
                Err(e) => tracing::debug!(path = %path.display(), error = %e, "not synced"),
            }
        }
        for place in [Which::New, Which::Cur] {
            if files.iter().any(|file| file.place == place) {
                self.sync_directory(place)?;
            }
        }
        Ok(())
    }

    /// Entries of `new/` or `cur/` to the disk.
    pub(super) fn sync_directory(&self, place: Which) -> Result<()> {
        let path = self.subdirectory(place);
        self.process.syncs.now(&path).map_err(|e| Error::io(&path, e))
    }
}

/// Is it us who have run out of something, so that the file may be opened later?
fn is_shortage(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|raw| shortages.contains(&Errno::from_raw(raw)))
}

/// Journal notes for messages whose flags changed: one for each set of flags.
pub(super) fn flag_notes<'a>(changed: impl Iterator<Item = &'a Message>) -> Vec<Note> {
    let mut groups: HashMap<(u64, u8, u128), Vec<u32>> = HashMap::new();
    for message in changed {
        groups.entry((message.modseq, message.flags.bits(), message.keywords)).or_default().push(message.uid);
    }
    let note = |((modseq, flags, keywords), mut uids): (_, Vec<u32>)| {
        uids.sort_unstable();
        Note::Flags { modseq, flags: Flags::from_bits(flags), keywords, uids }
    };
    groups.into_iter().map(note).collect()
}
