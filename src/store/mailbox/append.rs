//! New messages from our own sessions: APPEND, and the second half of COPY and MOVE.
//!
//! The files are complete and synced before the folder's locks are taken. Then, with nobody else giving UIDs in the folder: a
//! rename for each into `cur/` (or `new/` if it has no flags, where other readers see it as new mail), one sync of the
//! directory, one append to the uidlist, synced. If a step fails, every rename is taken back: all or none. After a crash
//! in the middle, what has its name is mail and gets its UID at the next opening.

use std::path::{Path, PathBuf};

use super::super::draft::{Draft, place};
use super::super::filename::{self, MessageName};
use super::super::journal::{self, Known, Record as Note};
use super::super::lock::Lock;
use super::super::quota::size_of;
use super::super::watch::Which;
use super::super::{Error, Result};
use super::refresh::Effort;
use super::scan::File;
use super::table::{Entry, LETTER_BITS, Message};
use super::{Disk, Mailbox};
use crate::mail::Flags;
use crate::{clock, fsio};

/// What APPEND says of a message: the draft, its flags and keywords, and its INTERNALDATE in seconds since 1970 (without one it is now).
pub type NewMessage = (Draft, Flags, Vec<String>, Option<i64>);

/// A complete, synced file that shall become a message here.
pub(super) struct Incoming {
    /// Where it is now: a `tmp/`, or the folder that it is moved from.
    pub(super) path: PathBuf,
    /// The base it will have.
    pub(super) base: String,
    /// What stood behind the base in its old name: letters that we do not know are kept.
    pub(super) info: Box<[u8]>,
    pub(super) flags: Flags,
    pub(super) keywords: u128,
    /// Of the message that it is a copy of, or was; else empty.
    pub(super) guid: Box<[u8]>,
}

impl Mailbox {
    /// Add drafts, in order, all or none; returns their UIDs.
    pub fn append(&self, drafts: Vec<NewMessage>) -> Result<Vec<u32>> {
        if self.is_read_only() {
            return Err(Error::ReadOnly(self.dir.clone()));
        }
        let _owner = self.assume()?;
        let mut ready = Vec::with_capacity(drafts.len());
        for (mut draft, flags, keywords, date) in drafts {
            if let Some(date) = date {
                draft.set_date(date)?;
            }
            draft.sync()?;
            ready.push((draft, flags, keywords));
        }
        let (_owner, mut disk) = self.enter()?;
        let mut incoming = Vec::with_capacity(ready.len());
        for (draft, flags, keywords) in &ready {
            incoming.push(Incoming {
                path: draft.path().to_owned(),
                base: filename::with_sizes(draft.base(), draft.disk_size(), draft.wire_size()),
                info: Box::default(),
                flags: *flags,
                keywords: self.number_keywords(&mut disk, keywords, true)?,
                guid: Box::default(),
            });
        }
        let uids = self.take_in_files(&mut disk, &incoming)?;
        ready.into_iter().for_each(|(draft, ..)| draft.placed());
        Ok(uids)
    }

    /// Give `incoming` names here, and UIDs, in order; all or none. On an error every file is back where it was.
    pub(super) fn take_in_files(&self, disk: &mut Disk, incoming: &[Incoming]) -> Result<Vec<u32>> {
        // Whatever lies there already came before.
        self.refresh_locked(disk, Effort::Needed)?;
        let files: Vec<File> = incoming.iter().map(target).collect();
        // The lock before the names: a Dovecot beside us that finds a new name gives it a UID as soon as it gets the lock.
        let lock = loop {
            let lock = self.lock_files()?.ok_or_else(|| Error::Full(self.dir.clone()))?;
            let known = disk.unclaimed.len();
            self.merge_others(disk, &lock)?;
            if disk.unclaimed.len() <= known {
                break lock;
            }
            // Another program has given UIDs below ours: whoever is told of ours must have been told of these.
            drop(lock);
            self.refresh_locked(disk, Effort::Scan)?;
        };
        let mut done = 0;
        let change = self.quota.get().map(|quota| quota.begin());
        let renamed = self.rename_all(incoming, &files, &mut done);
        let result = renamed.and_then(|()| self.enroll(disk, lock, incoming, &files));
        if result.is_err() {
            self.take_back(&incoming[..done], &files);
        } else if let Some(change) = change {
            change.came(files.iter().filter_map(|file| size_of(&self.subdirectory(file.place), &file.name)));
        }
        self.own_change(disk);
        result
    }

    fn rename_all(&self, incoming: &[Incoming], files: &[File], done: &mut usize) -> Result<()> {
        for (one, file) in incoming.iter().zip(files) {
            let to = self.path(file.place, &file.name);
            self.in_order(&one.path, &to, || place(&one.path, &to))?;
            *done += 1;
        }
        for place in [Which::New, Which::Cur] {
            if files.iter().any(|file| file.place == place) {
                self.sync_directory(place)?;
            }
        }
        Ok(())
    }

    /// Do `rename` so that no power cut finds the file in neither place. From or to a `tmp/` there is nothing to lose.
    fn in_order<R>(&self, from: &Path, to: &Path, rename: impl FnOnce() -> R) -> R {
        match (from.parent(), to.parent()) {
            (Some(from), Some(to)) if !from.ends_with("tmp") && !to.ends_with("tmp") => {
                self.process.syncs.moving(from, to, rename)
            }
            _ => rename(),
        }
    }

    fn take_back(&self, incoming: &[Incoming], files: &[File]) {
        for (one, file) in incoming.iter().zip(files) {
            let path = self.path(file.place, &file.name);
            if let Err(e) = self.in_order(&path, &one.path, || fsio::rename_new(&path, &one.path)) {
                tracing::error!(path = %path.display(), error = %e, "a message stays although the command failed");
            }
        }
        self.pending.rescan();
    }

    /// UIDs for files that are in place, on the disk when this returns, and into the table.
    fn enroll(&self, disk: &mut Disk, lock: Lock, incoming: &[Incoming], files: &[File]) -> Result<Vec<u32>> {
        let guids: Vec<Box<[u8]>> = incoming.iter().map(|one| one.guid.clone()).collect();
        let given = self.give_uids(disk, Some(&lock), files.to_vec(), &[], false, &guids)?;
        let uids: Vec<u32> = given.iter().map(|one| one.uid).collect();
        let modseq = journal::next_modseq(self.highest_modseq());
        let saved = clock::unix();
        self.note_incoming(disk, &lock, &uids, (modseq, saved), incoming)?;
        drop(lock);
        let mut state = self.write_state();
        for ((given, one), file) in given.into_iter().zip(incoming).zip(files) {
            let uid = given.uid;
            let mut entry = Entry::new(&file.name, file.place);
            entry.fields = given.fields;
            // RFC 3501 sections 6.3.11 and 6.4.7: whatever its flags, it is recent.
            entry.recent = true;
            entry.set_saved(saved);
            state.table.insert(Message { uid, flags: one.flags, keywords: one.keywords, modseq }, entry);
            state.next_uid = state.next_uid.max(uid + 1);
        }
        self.tell(disk, state, modseq);
        Ok(uids)
    }

    fn note_incoming(
        &self,
        disk: &mut Disk,
        lock: &Lock,
        uids: &[u32],
        (modseq, saved): (u64, i64),
        incoming: &[Incoming],
    ) -> Result<()> {
        let note = |(uid, one): (&u32, &Incoming)| Note::Message {
            uid: *uid,
            known: Known { base: one.base.as_bytes().into(), modseq, saved, flags: one.flags, keywords: one.keywords },
        };
        let notes: Vec<Note> = uids.iter().zip(incoming).map(note).collect();
        if incoming.iter().any(|one| one.keywords & !LETTER_BITS != 0) {
            // Only the journal knows these keywords.
            return self.promise_notes(disk, lock, &notes);
        }
        self.write_notes(disk, Some(lock), &notes);
        Ok(())
    }
}

/// Name and place that the file will have.
pub(super) fn target(one: &Incoming) -> File {
    let letters = (one.keywords & LETTER_BITS) as u32;
    let base = one.base.as_bytes();
    let name = [base, &one.info].concat();
    match MessageName::parse(&name).map(|name| name.with(one.flags, letters)) {
        Some(name) if name.len() > base.len() + ":2,".len() => File { name: name.into(), place: Which::Cur },
        _ => File { name: base.into(), place: Which::New },
    }
}
