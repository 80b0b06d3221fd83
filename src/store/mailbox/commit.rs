//! From "this is how the directories differ from the table" to "sessions see it".
//!
//! Owns the order of steps that makes a UID a promise: under the folder's lock read what other processes wrote, give UIDs in order of arrival,
//! append them to `dovecot-uidlist` and sync it, note everything in the journal; then sync files that others delivered, with their
//! directory; then change the table; then raise the listeners. Whoever sees a UID sees one that a power cut cannot take back.
//! (The list first: on a journaling file system its sync carries the renames along, and the others find nothing left to do.)
//!
//! When the disk is full or read-only the folder stays readable: UIDs are given in memory, in the order in which they will be
//! given again, and written as soon as there is room ([`RETRY`]). Every other error leaves the table as it was.

use std::collections::HashSet;
use std::sync::RwLockWriteGuard;
use std::time::{Duration, Instant};

use super::super::journal::{self, Known, Record as Note};
use super::super::lock::{Guard, Lock};
use super::super::uidlist::{MAX_UID, Record};
use super::super::watch::Which;
use super::super::{Error, Result, filename};
use super::scan::{self, Difference, File, Stamp};
use super::table::{Entry, LETTER_BITS, Message, base_of, flags_of};
use super::write::flag_notes;
use super::{Disk, Mailbox, State};
use crate::{clock, fsio};

/// How often writing is tried again after the disk was full.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes that `:2,`, six flags and 26 keyword letters need in a file name.
const FLAGS_ROOM: usize = 3 + 6 + 26;
/// Bases of vanished messages that are remembered for the log.
const MAX_VANISHED: usize = 1000;

/// A file with its UID.
pub(super) struct Given {
    pub(super) uid: u32,
    pub(super) file: File,
    pub(super) fields: Option<Box<[u8]>>,
    /// When it came, seconds since 1970.
    pub(super) saved: i64,
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
        if is_empty && (!owes || self.is_read_only()) {
            return Ok(());
        }
        let lock = self.lock_files()?;
        let mut fresh = difference.fresh;
        if let Some(lock) = &lock {
            let known = disk.unclaimed.len();
            self.merge_others(disk, lock)?;
            if disk.unclaimed.len() > known {
                self.find_claimed(disk, &mut fresh)?;
            }
            self.shorten_names(disk, &mut fresh);
        }
        fresh.sort_by_cached_key(|file| (filename::arrival(base_of(&file.name)), base_of(&file.name).to_vec()));
        let given = self.give_uids(disk, lock.as_ref(), fresh, &difference.missing, true, &[])?;
        let modseq = journal::next_modseq(self.state().highest_modseq);
        let changes = self.note_changes(disk, lock.as_ref(), modseq, &given, &difference.renamed, &difference.missing);
        drop(lock);
        if let Err(e) = self.sync_files(given.iter().map(|g| &g.file).filter(|f| !durable.contains(&f.name))) {
            // They have their UIDs: the next refresh shall find them.
            let record = |g: Given| Record { uid: g.uid, base: base_of(&g.file.name).into(), fields: g.fields };
            let records = given.into_iter().map(record);
            records.for_each(|record| disk.unclaimed.insert(record));
            return Err(e);
        }
        self.remember_vanished(disk, &difference.missing);
        self.show(disk, modseq, given, changes, difference.renamed, &difference.missing);
        Ok(())
    }

    /// Another program has just given UIDs, perhaps to files that came after we looked. They go in with ours, which are greater: a session
    /// that was told those first would never see these.
    fn find_claimed(&self, disk: &Disk, fresh: &mut Vec<File>) -> Result<()> {
        let mut have: HashSet<Box<[u8]>> = fresh.iter().map(|file| base_of(&file.name).into()).collect();
        if disk.unclaimed.records().all(|record| have.contains(&record.base)) {
            return Ok(());
        }
        let seen = scan::compare(&self.dir, &self.state().table)?;
        let others = seen.fresh.into_iter().filter(|file| have.insert(base_of(&file.name).into()));
        let others: Vec<File> = others.collect();
        // Together: what one of ours has is not another's.
        let claims = disk.unclaimed.claims(fresh.iter().chain(&others).map(|file| base_of(&file.name)));
        let claimed = others.into_iter().zip(&claims[fresh.len()..]).filter(|(_, claim)| claim.is_some());
        fresh.extend(claimed.map(|(file, _)| file));
        Ok(())
    }

    /// Files that got so long a name from somebody that no flag fits into it get one of ours, before they get their UID. Afterwards they
    /// could never be marked, nor deleted.
    fn shorten_names(&self, disk: &Disk, fresh: &mut [File]) {
        let is_long = |file: &File| base_of(&file.name).len() + FLAGS_ROOM > filename::MAX_FILE_NAME;
        if !fresh.iter().any(is_long) {
            return;
        }
        let claims = disk.unclaimed.claims(fresh.iter().map(|file| base_of(&file.name)));
        for (file, _) in fresh.iter_mut().zip(claims).filter(|(file, claim)| is_long(file) && claim.is_none()) {
            let base = base_of(&file.name);
            let short = [self.process.unique().as_bytes(), &file.name[base.len()..]].concat();
            match fsio::rename_new(&self.path(file.place, &file.name), &self.path(file.place, &short)) {
                Ok(()) => file.name = short.into(),
                Err(error) => {
                    tracing::warn!(path = %self.dir.display(), name = %base.escape_ascii(), %error, "too long a name, and it cannot be changed");
                }
            }
        }
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

    /// UIDs for files that have none, in their order; on the disk when this returns, or, where the disk is full and they
    /// `may_wait`, in memory. A file that another process has numbered meanwhile has that UID, and no other file has it. `guids` are those of the originals, in the same order,
    /// empty for what is no copy.
    pub(super) fn give_uids(
        &self,
        disk: &mut Disk,
        lock: Option<&Lock>,
        fresh: Vec<File>,
        missing: &[u32],
        may_wait: bool,
        guids: &[Box<[u8]>],
    ) -> Result<Vec<Given>> {
        let mut next = self.state().next_uid.max(disk.list.header().next_uid);
        let mut given = Vec::with_capacity(fresh.len());
        let (mut records, saved) = (Vec::new(), clock::unix());
        let claims = disk.unclaimed.claims(fresh.iter().map(|file| base_of(&file.name)));
        let claims: Vec<Option<Record>> = claims.into_iter().map(Option::<&Record>::cloned).collect();
        for (at, (file, claim)) in fresh.into_iter().zip(claims).enumerate() {
            let base = base_of(&file.name);
            // It stays in `unclaimed` until the list is written, which may be written whole.
            if let Some(record) = claim {
                if *record.base != *base {
                    // Renamed since: the list must name it as it is.
                    disk.unclaimed.remove(&record.base);
                    disk.unclaimed.insert(Record { base: base.into(), ..record.clone() });
                    disk.stale_list.get_or_insert(Instant::now());
                }
                given.push(Given { uid: record.uid, fields: record.fields.clone(), file, saved });
                continue;
            }
            if next >= MAX_UID {
                return Err(Error::Limit("the folder has used up its UIDs"));
            }
            if disk.vanished.contains(base) {
                tracing::warn!(path = %self.dir.display(), name = %base.escape_ascii(), uid = next, "an expunged message came back: new UID");
            }
            let mut record = Record::new(next, base);
            if let Some(guid) = guids.get(at).filter(|guid| !guid.is_empty()) {
                record.set_field(b'G', guid);
            }
            given.push(Given { uid: next, fields: record.fields.clone(), file, saved });
            records.push(record);
            next += 1;
        }
        self.write_list(disk, lock, records, missing, may_wait)?;
        for one in &given {
            disk.unclaimed.remove(base_of(&one.file.name));
        }
        Ok(given)
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
        let mut notes: Vec<Note> = Vec::new();
        for one in given {
            let saved = one.saved;
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
        notes.extend(flag_notes(changes.iter().map(|(_, message)| message)));
        if !missing.is_empty() {
            notes.push(Note::Expunged { modseq, uids: missing.to_vec() });
        }
        self.write_notes(disk, lock, &notes);
        changes
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
            disk.left_new |=
                state.table.get(uid).is_some_and(|(_, e)| e.place == Which::New && file.place == Which::Cur);
            state.table.rename(uid, &file.name, file.place);
        }
        for (uid, message) in changes {
            if let Some(place) = state.table.message_mut(uid) {
                *place = message;
            }
        }
        state.table.remove(missing);
        state.history.add(modseq, missing);
        for one in given {
            let (flags, keywords) = flags_of(&one.file.name);
            let mut entry = Entry::new(&one.file.name, one.file.place);
            entry.fields = one.fields;
            entry.set_saved(one.saved);
            state.next_uid = state.next_uid.max(one.uid + 1);
            state.table.insert(Message { uid: one.uid, flags, keywords, modseq }, entry);
        }
        if seen {
            self.tell(disk, state, modseq);
        }
    }

    /// Something that sessions can see has changed under `modseq`.
    pub(super) fn tell(&self, disk: &Disk, mut state: RwLockWriteGuard<'_, State>, modseq: u64) {
        state.highest_modseq = state.highest_modseq.max(modseq);
        state.generation += 1;
        state.keywords = disk.keyword_names(state.table.used_letters());
        drop(state);
        self.pending.raise();
        if let Some((lookout, name)) = self.lookout.get() {
            lookout.changed(name);
        }
    }

    /// Directories differ because of us: remember their times, if a watch tells what others do meanwhile.
    pub(super) fn own_change(&self, disk: &mut Disk) {
        if disk.is_watched()
            && let Some(known) = &mut disk.known
            && let Ok(stamp) = Stamp::take(&self.dir)
            && known.stamp().same_folder(&stamp)
        {
            known.move_to(stamp);
        }
    }
}
