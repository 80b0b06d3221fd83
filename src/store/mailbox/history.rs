//! Which UIDs went away, and under which mod-sequence: what VANISHED (EARLIER) is made of (RFC 7162 3.2.5).
//!
//! A copy in memory of what the journal has of it, so that a client that comes back costs no read. Bounded by
//! [`journal::MAX_EXPUNGED`]; what is older is forgotten, and a client of that age is told everything that is not there
//! any more: correct, only longer. Touches no disk and never fails.

use std::collections::VecDeque;

use super::super::Result;
use super::super::journal::{self, Record as Note};
use super::Mailbox;

/// Expunged UIDs.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Mod-sequence and UID, as they went.
    expunged: VecDeque<(u64, u32)>,
    /// Expunges up to this mod-sequence may be missing.
    forgotten: u64,
}

impl History {
    /// As a journal remembers it.
    pub(super) fn new(expunged: VecDeque<(u64, u32)>, forgotten: u64) -> History {
        History { expunged, forgotten }
    }

    /// These messages went under `modseq`.
    pub(super) fn add(&mut self, modseq: u64, uids: &[u32]) {
        self.expunged.extend(uids.iter().map(|uid| (modseq, *uid)));
        while self.expunged.len() > journal::MAX_EXPUNGED
            && let Some((oldest, _)) = self.expunged.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Nothing is known of what happened up to `modseq`.
    pub(super) fn forget(&mut self, modseq: u64) {
        self.forgotten = self.forgotten.max(modseq);
    }

    /// Expunges up to this mod-sequence may be missing.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// UIDs that went after `modseq`, ascending; `None` if that is too long ago to know.
    fn since(&self, modseq: u64) -> Option<Vec<u32>> {
        if modseq < self.forgotten {
            return None;
        }
        let later = self.expunged.iter().filter(|(when, _)| *when > modseq);
        let mut uids: Vec<u32> = later.map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        uids.dedup();
        Some(uids)
    }

    /// The same as journal records, of those UIDs that `wanted` asks for.
    pub(super) fn notes(&self, wanted: impl Fn(u32) -> bool) -> Vec<Note> {
        let mut notes: Vec<(u64, Vec<u32>)> = Vec::new();
        for (modseq, uid) in self.expunged.iter().filter(|(_, uid)| wanted(*uid)) {
            match notes.last_mut() {
                Some((last, uids)) if last == modseq => uids.push(*uid),
                _ => notes.push((*modseq, vec![*uid])),
            }
        }
        let note = |(modseq, mut uids): (u64, Vec<u32>)| {
            uids.sort_unstable();
            Note::Expunged { modseq, uids }
        };
        notes.into_iter().map(note).collect()
    }
}

impl Mailbox {
    /// Something about the folder changed that is no message (RFC 7162 3.2: an annotation): the highest mod-sequence grows.
    pub fn raise_modseq(&self) -> Result<()> {
        let (_owner, mut disk) = self.enter()?;
        let lock = self.lock_files()?;
        if let Some(lock) = &lock {
            self.merge_others(&mut disk, lock)?;
        }
        let highest = journal::next_modseq(self.highest_modseq());
        let forgotten = self.state().history.forgotten();
        self.write_notes(&mut disk, lock.as_ref(), &[Note::Modseq { highest, forgotten }]);
        self.tell(&disk, self.write_state(), highest);
        Ok(())
    }

    /// UIDs that were expunged after `modseq`, ascending; `None` if that is too long ago to know which.
    pub fn expunged_since(&self, modseq: u64) -> Option<Vec<u32>> {
        self.state().history.since(modseq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_since_when() {
        let mut history = History::new([(10, 7), (12, 3), (12, 4)].into(), 5);
        history.add(15, &[9]);
        for (since, expected) in [
            (4, None),
            (5, Some(vec![3, 4, 7, 9])),
            (10, Some(vec![3, 4, 9])),
            (12, Some(vec![9])),
            (15, Some(vec![])),
            (u64::MAX, Some(vec![])),
        ] {
            assert_eq!(history.since(since), expected, "{since}");
        }
        assert_eq!(
            history.notes(|uid| uid != 7),
            [Note::Expunged { modseq: 12, uids: vec![3, 4] }, Note::Expunged { modseq: 15, uids: vec![9] }]
        );
        history.forget(12);
        assert_eq!((history.since(11), history.since(12)), (None, Some(vec![9])));
    }

    #[test]
    fn too_much_is_forgotten_not_kept() {
        let mut history = History::default();
        let uids: Vec<u32> = (1..=u32::try_from(journal::MAX_EXPUNGED).unwrap()).collect();
        history.add(10, &uids);
        assert_eq!(history.since(9).map(|uids| uids.len()), Some(uids.len()));
        history.add(11, &[u32::MAX - 1]);
        assert_eq!((history.since(9), history.since(10)), (None, Some(vec![u32::MAX - 1])));
    }
}
