//! What other processes wrote into the folder's shared files since we looked.
//!
//! Read under the folder's lock, before we write. UIDs that others gave are taken over (a file whose line we have
//! read and which we have not seen yet waits in `unclaimed`); where they and we gave different ones, the newer counts, as with Dovecot.
//! A uidlist that is damaged or gone is set aside and written again from memory; one with another UIDVALIDITY is another folder, and
//! this object is closed.

use std::time::Instant;

use super::super::journal::{self, Record as Note, Update};
use super::super::lock::Lock;
use super::super::uidlist::{self, Change, Record};
use super::super::{Error, Result, filename};
use super::table::LETTER_BITS;
use super::{Disk, Mailbox};

impl Mailbox {
    /// As [`Mailbox::merge_others`], if two stats say that there is something, and the lock can be had. True if it was done.
    pub(super) fn merge_if_written(&self, disk: &mut Disk) -> Result<bool> {
        if disk.list.is_current() && disk.journal.is_current() {
            return Ok(false);
        }
        let Some(lock) = self.lock_files()? else { return Ok(false) };
        self.merge_others(disk, &lock)?;
        Ok(true)
    }

    /// Read what other processes wrote since we looked.
    pub(super) fn merge_others(&self, disk: &mut Disk, lock: &Lock) -> Result<()> {
        let mut expelled = Vec::new();
        match disk.list.refresh()? {
            Change::Same => {}
            Change::Added(records) | Change::Replaced(records) => expelled = self.merge_records(disk, records),
            Change::Missing => disk.stale_list = Some(Instant::now()),
            Change::Damaged(damage) => {
                let aside = uidlist::set_aside(&self.dir)?;
                tracing::error!(
                    path = %aside.display(), line = damage.line, why = damage.why,
                    "damaged uidlist set aside; written again from memory"
                );
                expelled = self.merge_records(disk, damage.records);
                // UIDs behind the fault were given, and maybe told: they must not be given again.
                if let Some(header) = damage.header.filter(|header| header.uid_validity == self.uid_validity) {
                    let mut state = self.write_state();
                    state.next_uid = state.next_uid.max(header.next_uid);
                }
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
            Update::Replaced(state) => {
                // Somebody removed it: without these it could not tell what it forgot.
                disk.stale_journal |= state.folder.is_none();
                self.merge_notes(disk, state.records().collect());
            }
        }
        if !expelled.is_empty() {
            self.note_expelled(disk, lock, &expelled);
        }
        if disk.stale_journal && !disk.begins_journal {
            self.rewrite_journal(disk, lock);
        }
        Ok(())
    }

    /// Returns the UIDs that are void, since another program gave their files others.
    fn merge_records(&self, disk: &mut Disk, records: Vec<Record>) -> Vec<u32> {
        let mut state = self.write_state();
        let next_uid = state.next_uid;
        let mut expelled = Vec::new();
        for record in records {
            let same = |base: &[u8]| filename::key(base) == filename::key(&record.base);
            match state.table.entry_mut(record.uid) {
                Some(entry) if same(entry.base()) => entry.fields = record.fields.or(entry.fields.take()),
                // Given in memory while the disk was full, and by somebody else to another file.
                Some(_) => {
                    expelled.push(record.uid);
                    disk.unclaimed.insert(record);
                }
                None if record.uid >= next_uid => {
                    // A file that we know under an older UID: the newer one counts, as in Dovecot.
                    let by_key = || match state.table.find_key(&record.base)[..] {
                        // Its name has other fields now.
                        [only] => Some(only),
                        _ => None,
                    };
                    expelled.extend(state.table.find_base(&record.base).or_else(by_key));
                    disk.unclaimed.insert(record);
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
            // It may know a void UID's old message, and the UID is another's soon.
            self.cache.forget();
            self.pending.rescan();
        }
        expelled
    }

    fn note_expelled(&self, disk: &mut Disk, lock: &Lock, uids: &[u32]) {
        let modseq = journal::next_modseq(self.highest_modseq());
        self.write_notes(disk, Some(lock), &[Note::Expunged { modseq, uids: uids.to_vec() }]);
        let mut state = self.write_state();
        state.history.add(modseq, uids);
        state.highest_modseq = state.highest_modseq.max(modseq);
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
                Note::Message { uid, known } => {
                    merge(&mut state, uid, known.modseq, known.keywords);
                    state.highest_modseq = state.highest_modseq.max(known.modseq);
                }
                Note::Flags { modseq, keywords, uids, .. } => {
                    uids.into_iter().for_each(|uid| merge(&mut state, uid, modseq, keywords));
                    state.highest_modseq = state.highest_modseq.max(modseq);
                }
                Note::Keyword { number, name } => drop(disk.high_keywords.insert(number, name)),
                Note::Modseq { highest, forgotten } => {
                    state.history.forget(forgotten);
                    state.highest_modseq = state.highest_modseq.max(highest);
                }
                Note::Expunged { modseq, uids } => {
                    state.history.add(modseq, &uids);
                    state.highest_modseq = state.highest_modseq.max(modseq);
                }
                // What is gone or renamed is seen in the directories; \Recent is each process's own.
                Note::Base { .. } | Note::Recent { .. } | Note::Folder(_) => {}
            }
        }
        if changed {
            state.generation += 1;
        }
    }
}
