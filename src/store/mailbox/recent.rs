//! \Recent, and the way from `new/` to `cur/`.
//!
//! A message is recent for the first session that is told of it (RFC 3501 section 2.3.2). Who is told for good ("claims")
//! has its files moved from `new/` to `cur/`, as the Maildir rules ask of a reader, and the journal remembers how far it was
//! told. A session that only looks (EXAMINE) sees the same messages as recent and takes nothing.
//!
//! \Seen has nothing to do with it: a message that was appended with flags is recent like any other, here as with Dovecot, although it
//! never was in `new/`. Only files that other programs put into `cur/` are not: somebody has looked at them.
//!
//! A file that cannot be moved (disk full, no permission) stays in `new/` and is served from there.

use std::io;

use super::super::journal::Record as Note;
use super::super::watch::Which;
use super::table::base_of;
use super::{Disk, Mailbox};
use crate::fsio;

impl Mailbox {
    /// UIDs that no session was told as \Recent before; the caller now has them as recent. With `peek`, they stay.
    pub fn claim_recent(&self, peek: bool) -> Vec<u32> {
        if peek || self.is_read_only() {
            return self.recent();
        }
        // Many sessions wake for one message, and only the first finds something to do: the others wait for nobody's work on the disk.
        if !self.has_unclaimed() {
            return Vec::new();
        }
        // Only to change the disk: what cannot be changed there changes nothing of the answer.
        let (_owner, mut disk) = match self.enter() {
            Ok(entered) => entered,
            Err(e) => {
                tracing::debug!(path = %self.dir.display(), error = %e, "recent messages stay unclaimed");
                return self.recent();
            }
        };
        let recent = self.recent();
        let waiting = {
            let state = self.state();
            let rows = state.table.messages().iter().zip(state.table.entries());
            rows.filter(|(_, entry)| entry.place == Which::New).map(|(m, e)| (m.uid, e.name.clone())).collect()
        };
        self.move_to_cur(&mut disk, waiting);
        if let Some(last) = recent.last() {
            let mut state = self.write_state();
            for uid in &recent {
                if let Some(entry) = state.table.entry_mut(*uid) {
                    entry.recent = false;
                }
            }
            drop(state);
            self.note_claim(&mut disk, last + 1);
        }
        recent
    }

    /// Is a message recent, or in `new/`?
    fn has_unclaimed(&self) -> bool {
        self.state().table.entries().iter().any(|entry| entry.recent || entry.place == Which::New)
    }

    fn recent(&self) -> Vec<u32> {
        let state = self.state();
        let rows = state.table.messages().iter().zip(state.table.entries());
        rows.filter(|(_, entry)| entry.recent).map(|(message, _)| message.uid).collect()
    }

    fn move_to_cur(&self, disk: &mut Disk, waiting: Vec<(u32, Box<[u8]>)>) {
        if waiting.is_empty() {
            return;
        }
        let (new, cur) = (self.subdirectory(Which::New), self.subdirectory(Which::Cur));
        let moved = self.process.syncs.moving(&new, &cur, || self.rename_to_cur(waiting));
        if moved.is_empty() {
            return;
        }
        let mut state = self.write_state();
        for (uid, target) in &moved {
            state.table.rename(*uid, target, Which::Cur);
        }
        drop(state);
        disk.left_new = true;
        // The messages are on the disk under one name or the other: no hurry.
        for directory in [cur, new] {
            self.process.syncs.soon(&directory, self.owner);
        }
        self.own_change(disk);
    }

    fn rename_to_cur(&self, waiting: Vec<(u32, Box<[u8]>)>) -> Vec<(u32, Vec<u8>)> {
        let mut moved = Vec::new();
        for (uid, name) in waiting {
            let mut target = name.to_vec();
            // "A file already carrying :2, in new/ must keep it when moved."
            if base_of(&name).len() == name.len() {
                target.extend_from_slice(b":2,");
            }
            let path = self.path(Which::New, &name);
            match fsio::rename_new(&path, &self.path(Which::Cur, &target)) {
                Ok(()) => moved.push((uid, target)),
                // Somebody else did it, or has the name: look what there is now.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                    self.pending.rescan();
                }
                Err(e) => tracing::debug!(path = %path.display(), error = %e, "message stays in new/"),
            }
        }
        moved
    }

    fn note_claim(&self, disk: &mut Disk, below: u32) {
        let lock = match self.lock_files() {
            Ok(lock) => lock,
            Err(e) => {
                tracing::warn!(path = %self.dir.display(), error = %e, "after a restart some messages may be recent again");
                return;
            }
        };
        if let Some(lock) = &lock
            && self.merge_others(disk, lock).is_err()
        {
            return;
        }
        self.write_notes(disk, lock.as_ref(), &[Note::Recent { below }]);
    }
}
