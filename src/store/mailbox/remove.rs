//! EXPUNGE, and POP3's QUIT: messages go away.
//!
//! Files are unlinked one by one, the directories synced once, the journal told, and only then do sessions see it. A message that another
//! program renamed meanwhile is looked for again; one that it removed is expunged all the same. On an error in the middle, what was removed
//! is finished and shown, and the error returned. What other sessions may still ask for goes to `tmp/` first, see [`super::kept`]; where it
//! cannot go there (a directory that must grow on a full disk) it goes away at once, and a session that asks is told so.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use super::super::journal::{self, Record as Note};
use super::super::quota::size_of;
use super::super::watch::Which;
use super::super::{Error, Result};
use super::refresh::Effort;
use super::{Disk, MAX_LOOKS, Mailbox};
use crate::fsio;
use crate::mail::Flags;

impl Mailbox {
    /// Remove those of `uids` (all messages if `None`) that have \Deleted; returns which.
    pub fn expunge(&self, uids: Option<&[u32]>) -> Result<Vec<u32>> {
        let (_owner, mut disk) = self.enter_to_change()?;
        // A flag that another program has just taken back must save the message.
        self.refresh_locked(&mut disk, Effort::Needed)?;
        let wanted: Option<HashSet<u32>> = uids.map(|uids| uids.iter().copied().collect());
        let doomed: Vec<u32> = self.read(|messages| {
            let deleted = messages.iter().filter(|message| message.flags.has(Flags::DELETED));
            let deleted = deleted.map(|message| message.uid);
            deleted.filter(|uid| wanted.as_ref().is_none_or(|wanted| wanted.contains(uid))).collect()
        });
        self.remove_locked(&mut disk, &doomed, Flags::DELETED)
    }

    /// Remove `uids` whatever their flags (POP3 QUIT); returns which.
    pub fn remove(&self, uids: &[u32]) -> Result<Vec<u32>> {
        let (_owner, mut disk) = self.enter_to_change()?;
        self.remove_locked(&mut disk, uids, Flags::NONE)
    }

    pub(super) fn remove_locked(&self, disk: &mut Disk, uids: &[u32], only: Flags) -> Result<Vec<u32>> {
        let change = self.quota.get().map(|quota| quota.begin());
        let (mut removed, mut kept, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let mut touched = [false; 2];
        let mut failure = None;
        for &uid in uids {
            let size = change.as_ref().and_then(|_| self.stored_size(uid));
            match self.unlink_one(disk, uid, only, &mut kept) {
                Ok(Some(place)) => {
                    sizes.extend(size);
                    touched[usize::from(place == Which::Cur)] = true;
                    removed.push(uid);
                }
                Ok(None) => {}
                Err(e) => {
                    failure = Some(e);
                    break;
                }
            }
        }
        if let Err(e) = self.sync_removed_from(disk, touched) {
            // Not for good on the disk: nobody is told, and a scan will find what there is.
            self.pending.rescan();
            return Err(e);
        }
        if let Some(change) = change {
            change.went(sizes.into_iter());
        }
        self.own_change(disk);
        removed.sort_unstable();
        self.forget(disk, &removed, kept);
        failure.map_or(Ok(removed), Err)
    }

    /// Names went away from `new/` and `cur/`, as `touched` says: for good. A name that a file had in `new/` before it went to `cur/` must not
    /// come back either.
    pub(super) fn sync_removed_from(&self, disk: &mut Disk, touched: [bool; 2]) -> Result<()> {
        if touched[1] {
            self.sync_directory(Which::Cur)?;
        }
        if touched[0] || disk.left_new {
            self.sync_directory(Which::New)?;
            disk.left_new = false;
        }
        Ok(())
    }

    /// Bytes on disk of these messages together, as names or files tell: what a copy of them counts in a quota. Reads no file.
    pub fn stored_size_of(&self, uids: &[u32]) -> Result<u64> {
        let _owner = self.assume()?;
        // Saturating, since a name can say anything.
        Ok(uids.iter().filter_map(|uid| self.stored_size(*uid)).fold(0, u64::saturating_add))
    }

    /// Bytes of a message on disk, as its name or its file tells.
    fn stored_size(&self, uid: u32) -> Option<u64> {
        let state = self.state();
        let (_, entry) = state.table.get(uid)?;
        size_of(&self.subdirectory(entry.place), &entry.name)
    }

    /// Unlink the file of `uid`; where it was. `None` if it is gone or has lost the flags in `only`.
    fn unlink_one(
        &self,
        disk: &mut Disk,
        uid: u32,
        only: Flags,
        kept: &mut Vec<(u32, PathBuf)>,
    ) -> Result<Option<Which>> {
        let must_keep = self.must_keep(kept.len());
        for _ in 0..=MAX_LOOKS {
            let (path, place) = match self.state().table.get(uid) {
                Some((message, entry)) if message.flags.has(only) => (self.path(entry.place, &entry.name), entry.place),
                _ => return Ok(None),
            };
            let aside = must_keep.then(|| self.kept_path()).filter(|to| fsio::rename_new(&path, to).is_ok());
            let result = match aside {
                Some(to) => {
                    kept.push((uid, to));
                    Ok(())
                }
                None => self.process.leavings.unlink(&path),
            };
            match result {
                Ok(()) => return Ok(Some(place)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.refresh_locked(disk, Effort::Scan)?,
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        Err(Error::Locked(self.dir.clone()))
    }

    /// The files of `uids` (sorted) are gone for good, or `kept` there: the journal and the sessions learn it.
    pub(super) fn forget(&self, disk: &mut Disk, uids: &[u32], kept: Vec<(u32, PathBuf)>) {
        if uids.is_empty() {
            return;
        }
        let noted = self.lock_files().and_then(|lock| {
            if let Some(lock) = &lock {
                self.merge_others(disk, lock)?;
            }
            // Above what another process has told its clients meanwhile: they ask for what went later (RFC 7162 3.2.5).
            let modseq = journal::next_modseq(self.highest_modseq());
            self.write_notes(disk, lock.as_ref(), &[Note::Expunged { modseq, uids: uids.to_vec() }]);
            Ok(modseq)
        });
        let modseq = noted.unwrap_or_else(|e| {
            // The next opening finds the files missing and notes it then.
            tracing::warn!(path = %self.dir.display(), error = %e, "expunge not noted in the journal");
            journal::next_modseq(self.highest_modseq())
        });
        let mut state = self.write_state();
        kept.into_iter().for_each(|(uid, path)| Mailbox::keep(&mut state, uid, path, modseq));
        state.table.remove(uids);
        state.history.add(modseq, uids);
        self.tell(disk, state, modseq);
    }
}
