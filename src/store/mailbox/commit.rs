//! From "this is how the directories differ from the table" to "sessions see it".
//!
//! Owns the order of steps that makes a UID a promise: under the folder's lock read what other processes wrote, give UIDs in order of arrival,
//! append them to `dovecot-uidlist` and sync it, note everything in the journal; then sync files that others delivered, with their
//! directory; then change the table; then raise the listeners. Whoever sees a UID sees one that a power cut cannot take back.
//! (The list first: on a journaling file system its sync carries the renames along, and the others find nothing left to do.)
//!
//! When the disk is full or read-only the folder stays readable: UIDs are given in memory, in the order in which they will be
//! given again, and written as soon as there is room ([`RETRY`]). Every other error leaves the table as it was.

use std::collections::{HashMap, HashSet};
use std::fs::{File as OsFile, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::super::journal::{self, Journal, Known, Record as Note, Update};
use super::super::lock::{Guard, Lock};
use super::super::uidlist::{self, Change, MAX_UID, Record};
use super::super::watch::Which;
use super::super::{Error, FILE_MODE, Result, filename};
use super::scan::{Difference, File};
use super::table::{Entry, LETTER_BITS, Message, base_of, flags_of};
use super::{Disk, Mailbox};
use crate::{clock, fsio};

/// Files of others are synced one by one up to this many; past it, one sync of the whole file system is cheaper.
const SYNC_EACH: usize = 64;
/// How often writing is tried again after the disk was full.
const RETRY: Duration = Duration::from_secs(1);
/// Bases of vanished messages that are remembered for the log.
const MAX_VANISHED: usize = 1000;

/// A file with its UID.
pub(super) struct Given {
    pub(super) uid: u32,
    pub(super) file: File,
    pub(super) fields: Option<Box<[u8]>>,
}

impl Mailbox {
    /// Make `difference` known. `durable` are names that need no sync.
    pub(super) fn commit(
        &self,
        disk: &mut Disk,
        mut difference: Difference,
        durable: &HashSet<Box<[u8]>>,
    ) -> Result<()> {
        self.settle_doubles(disk, &mut difference)?;
        let owes = disk.stale_journal || disk.stale_list.is_some_and(|since| since.elapsed() > RETRY);
        let is_empty = difference.fresh.is_empty() && difference.renamed.is_empty() && difference.missing.is_empty();
        if is_empty && !(owes && !self.is_read_only()) {
            return Ok(());
        }
        let lock = self.lock_files()?;
        if let Some(lock) = &lock {
            self.merge_others(disk, lock)?;
        }
        let given = self.give_uids(disk, lock.as_ref(), difference.fresh, &difference.missing)?;
        let modseq = journal::next_modseq(self.state().highest_modseq);
        let changes = self.note_changes(disk, lock.as_ref(), modseq, &given, &difference.renamed, &difference.missing);
        drop(lock);
        if let Err(e) = self.sync_files(given.iter().map(|g| &g.file).filter(|f| !durable.contains(&f.name))) {
            // They have their UIDs: the next refresh shall find them.
            let record = |g: Given| Record { uid: g.uid, base: base_of(&g.file.name).into(), fields: g.fields };
            let records = given.into_iter().map(record);
            disk.unclaimed.extend(records.map(|r| (r.base.clone(), r)));
            return Err(e);
        }
        self.remember_vanished(disk, &difference.missing);
        self.show(disk, modseq, given, changes, difference.renamed, &difference.missing);
        Ok(())
    }

    /// The folder's lock; `None` where nothing can be written, and UIDs are given in memory.
    pub(super) fn lock_files(&self) -> Result<Option<Lock>> {
        if self.is_read_only() {
            return Ok(None);
        }
        match Lock::take(&self.dir, Guard::Folder, self.process.coexist) {
            Ok(lock) => Ok(Some(lock)),
            Err(Error::Full(path)) => {
                tracing::warn!(path = %path.display(), "disk full: new UIDs are kept in memory");
                Ok(None)
            }
            Err(e) if e.forbids_writing() => {
                self.set_read_only();
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Read what other processes wrote since we looked.
    pub(super) fn merge_others(&self, disk: &mut Disk, lock: &Lock) -> Result<()> {
        match disk.list.refresh()? {
            Change::Same => {}
            Change::Added(records) | Change::Replaced(records) => self.merge_records(disk, records),
            Change::Missing => disk.stale_list = Some(Instant::now()),
            Change::Damaged(damage) => {
                let aside = uidlist::set_aside(&self.dir)?;
                tracing::error!(
                    path = %aside.display(), line = damage.line, why = damage.why,
                    "damaged uidlist set aside; written again from memory"
                );
                self.merge_records(disk, damage.records);
                disk.stale_list = Some(Instant::now());
            }
        }
        if disk.list.header().uid_validity != self.uid_validity {
            tracing::warn!(path = %self.dir.display(), "another program gave the folder a new UIDVALIDITY");
            self.close();
            return Err(Error::NotFound);
        }
        match disk.journal.refresh()? {
            Update::Same => {}
            Update::Added(notes) => self.merge_notes(disk, notes),
            Update::Replaced(state) => self.merge_notes(disk, state.records().collect()),
        }
        if disk.stale_journal {
            self.rewrite_journal(disk, lock);
        }
        Ok(())
    }

    fn merge_records(&self, disk: &mut Disk, records: Vec<Record>) {
        let mut state = self.write_state();
        let next_uid = state.next_uid;
        let mut expelled = Vec::new();
        for record in records {
            let same = |base: &[u8]| filename::key(base) == filename::key(&record.base);
            match state.table.entry_mut(record.uid) {
                Some(entry) if same(entry.base()) => {
                    if record.fields.is_some() {
                        entry.fields = record.fields;
                    }
                }
                // Given in memory while the disk was full, and by somebody else to another file.
                Some(_) => {
                    expelled.push(record.uid);
                    disk.unclaimed.insert(record.base.clone(), record);
                }
                None if record.uid >= next_uid => {
                    // A file that we know under an older UID: the newer one counts, as in Dovecot.
                    expelled.extend(state.table.find_base(&record.base));
                    disk.unclaimed.insert(record.base.clone(), record);
                }
                // Expunged; the line stays until the list is rewritten.
                None => {}
            }
        }
        if !expelled.is_empty() {
            expelled.sort_unstable();
            tracing::warn!(path = %self.dir.display(), uids = ?expelled, "another program gave these files other UIDs");
            state.table.remove(&expelled);
            state.generation += 1;
            drop(state);
            self.pending.rescan();
        }
    }

    fn merge_notes(&self, disk: &mut Disk, notes: Vec<Note>) {
        let mut state = self.write_state();
        let mut changed = false;
        let mut merge = |state: &mut super::State, uid: u32, modseq: u64, keywords: u128| {
            if let Some(message) = state.table.message_mut(uid).filter(|message| message.modseq < modseq) {
                message.modseq = modseq;
                message.keywords = message.keywords & LETTER_BITS | keywords & !LETTER_BITS;
                changed = true;
            }
        };
        for note in notes {
            match note {
                Note::Message { uid, known } => merge(&mut state, uid, known.modseq, known.keywords),
                Note::Flags { modseq, keywords, uids, .. } => {
                    uids.into_iter().for_each(|uid| merge(&mut state, uid, modseq, keywords));
                    state.highest_modseq = state.highest_modseq.max(modseq);
                }
                Note::Keyword { number, name } => drop(disk.high_keywords.insert(number, name)),
                Note::Modseq { highest, .. } => state.highest_modseq = state.highest_modseq.max(highest),
                // What is gone or renamed is seen in the directories; \Recent is each process's own.
                Note::Expunged { .. } | Note::Base { .. } | Note::Recent { .. } | Note::Folder(_) => {}
            }
        }
        if changed {
            state.generation += 1;
        }
    }

    /// UIDs for files that have none, in order of arrival; on the disk when this returns, unless it is full.
    fn give_uids(
        &self,
        disk: &mut Disk,
        lock: Option<&Lock>,
        mut fresh: Vec<File>,
        missing: &[u32],
    ) -> Result<Vec<Given>> {
        fresh.sort_by_cached_key(|file| (filename::arrival(base_of(&file.name)), base_of(&file.name).to_vec()));
        let mut next = self.state().next_uid.max(disk.list.header().next_uid);
        let mut given = Vec::with_capacity(fresh.len());
        let mut records = Vec::new();
        for file in fresh {
            let base = base_of(&file.name);
            if let Some(record) = disk.unclaimed.get(base) {
                given.push(Given { uid: record.uid, fields: record.fields.clone(), file });
                continue;
            }
            if next >= MAX_UID {
                return Err(Error::Limit("the folder has used up its UIDs"));
            }
            if disk.vanished.contains(base) {
                tracing::warn!(path = %self.dir.display(), name = %base.escape_ascii(), uid = next, "an expunged message came back: new UID");
            }
            records.push(Record::new(next, base));
            given.push(Given { uid: next, fields: None, file });
            next += 1;
        }
        self.write_list(disk, lock, records, missing, true)?;
        for one in &given {
            disk.unclaimed.remove(base_of(&one.file.name));
        }
        Ok(given)
    }

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
        let counted = self.counted.load(std::sync::atomic::Ordering::Relaxed);
        let live = self.state().table.len() + new.len() + disk.unclaimed.len() - missing.len();
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
                records.extend(disk.unclaimed.values().cloned());
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
                    self.counted.store(false, std::sync::atomic::Ordering::Relaxed);
                }
                disk.stale_list = None;
            }
            Err(e) if may_wait && (e.forbids_writing() || matches!(e, Error::Full(_))) => {
                tracing::warn!(path = %self.dir.display(), error = %e, "UIDs are kept in memory");
                disk.stale_list = Some(Instant::now());
            }
            Err(e) => return Err(e),
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

    /// What changes for messages that we know, noted in the journal together with what is new and gone.
    fn note_changes(
        &self,
        disk: &mut Disk,
        lock: Option<&Lock>,
        modseq: u64,
        given: &[Given],
        renamed: &[(u32, File)],
        missing: &[u32],
    ) -> Vec<(u32, Message)> {
        let saved = clock::unix();
        let mut notes: Vec<Note> = Vec::new();
        for one in given {
            let (flags, keywords) = flags_of(&one.file.name);
            let base = base_of(&one.file.name).into();
            notes.push(Note::Message { uid: one.uid, known: Known { base, modseq, saved, flags, keywords } });
        }
        let mut changes = Vec::new();
        {
            let state = self.state();
            for (uid, file) in renamed {
                let Some((message, entry)) = state.table.get(*uid) else { continue };
                if entry.base() != base_of(&file.name) {
                    notes.push(Note::Base { uid: *uid, base: base_of(&file.name).into() });
                    disk.stale_list.get_or_insert(Instant::now());
                }
                let (flags, letters) = flags_of(&file.name);
                let keywords = message.keywords & !LETTER_BITS | letters;
                if (flags, keywords) != (message.flags, message.keywords) {
                    changes.push((*uid, Message { uid: *uid, flags, keywords, modseq }));
                }
            }
        }
        notes.extend(flag_notes(modseq, changes.iter().map(|(_, message)| message)));
        if !missing.is_empty() {
            notes.push(Note::Expunged { modseq, uids: missing.to_vec() });
        }
        self.write_notes(disk, lock, &notes);
        changes
    }

    /// Append to the journal, unsynced: what it says can be lost, and is then found out again or begun anew.
    pub(super) fn write_notes(&self, disk: &mut Disk, lock: Option<&Lock>, notes: &[Note]) {
        if notes.is_empty() || self.is_read_only() {
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
    fn rewrite_journal(&self, disk: &mut Disk, lock: &Lock) {
        let notes: Vec<Note> = {
            let state = self.state();
            let rows = state.table.messages().iter().zip(state.table.entries());
            let saved = clock::unix();
            rows.map(|(message, entry)| Note::Message {
                uid: message.uid,
                known: Known {
                    base: entry.base().into(),
                    modseq: message.modseq,
                    saved,
                    flags: message.flags,
                    keywords: message.keywords,
                },
            })
            .collect()
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
            match opened.and_then(|open| fsio::sync_all(&open, &path)) {
                // Moved or removed meanwhile, or unreadable to us: nothing that we could promise.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
                result => result.map_err(|e| Error::io(&path, e))?,
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

    fn remember_vanished(&self, disk: &mut Disk, missing: &[u32]) {
        let state = self.state();
        for uid in missing {
            if disk.vanished.len() >= MAX_VANISHED {
                disk.vanished.clear();
            }
            disk.vanished.extend(state.table.get(*uid).map(|(_, entry)| entry.base().into()));
        }
    }

    /// Change the table, all at once, and tell.
    fn show(
        &self,
        disk: &mut Disk,
        modseq: u64,
        given: Vec<Given>,
        changes: Vec<(u32, Message)>,
        renamed: Vec<(u32, File)>,
        missing: &[u32],
    ) {
        let seen = !given.is_empty() || !changes.is_empty() || !missing.is_empty();
        if seen && disk.keywords.is_stale(&self.dir) {
            self.read_keywords(disk);
        }
        let mut state = self.write_state();
        for (uid, file) in renamed {
            state.table.rename(uid, &file.name, file.place);
        }
        for (uid, message) in changes {
            if let Some(place) = state.table.message_mut(uid) {
                *place = message;
            }
        }
        state.table.remove(missing);
        for one in given {
            let (flags, keywords) = flags_of(&one.file.name);
            let mut entry = Entry::new(&one.file.name, one.file.place);
            entry.fields = one.fields;
            state.next_uid = state.next_uid.max(one.uid + 1);
            state.table.insert(Message { uid: one.uid, flags, keywords, modseq }, entry);
        }
        if seen {
            self.tell(disk, state, modseq);
        }
    }

    /// Something that sessions can see has changed under `modseq`.
    pub(super) fn tell(&self, disk: &Disk, mut state: std::sync::RwLockWriteGuard<'_, super::State>, modseq: u64) {
        state.highest_modseq = state.highest_modseq.max(modseq);
        state.generation += 1;
        state.keywords = disk.keyword_names(state.table.used_letters());
        drop(state);
        self.pending.raise();
    }

    /// Directories differ because of us: remember their times, if a watch tells what others do meanwhile.
    pub(super) fn own_change(&self, disk: &mut Disk) {
        if disk.is_watched()
            && let Some(known) = &mut disk.known
            && let Ok(stamp) = super::scan::Stamp::take(&self.dir)
            && known.stamp().same_folder(&stamp)
        {
            known.move_to(stamp);
        }
    }
}

/// Journal notes for messages whose flags changed: one for each set of flags.
pub(super) fn flag_notes<'a>(modseq: u64, changed: impl Iterator<Item = &'a Message>) -> Vec<Note> {
    let mut groups: HashMap<(u8, u128), Vec<u32>> = HashMap::new();
    for message in changed {
        groups.entry((message.flags.bits(), message.keywords)).or_default().push(message.uid);
    }
    let note = |((flags, keywords), mut uids): (_, Vec<u32>)| {
        uids.sort_unstable();
        Note::Flags { modseq, flags: crate::mail::Flags::from_bits(flags), keywords, uids }
    };
    groups.into_iter().map(note).collect()
}
