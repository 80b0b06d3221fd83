//! In which order the messages of a folder stand by one sort key, in memory.
//!
//! Whoever has sorted many messages leaves [`Ranks`] here: a number for each message, so that the next SORT by that key reads nothing and
//! compares numbers. A message never changes, so a rank never does either; messages that came since are simply not in it. [`Kept`] is
//! all that one open folder has, and goes when the folder is closed. Owns no file; nothing here fails.

use std::sync::Arc;

use super::kin::Kin;

/// Messages whose ranks by one key are kept: eight bytes each.
const MAX_RANKED: usize = 1 << 20;
/// Bytes of [`Kin`] that are kept of one folder: a million messages with four references each.
const MAX_KIN: usize = 64 * 1024 * 1024;

/// By what messages are sorted (RFC 5256, RFC 5957).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE.
    Arrival,
    /// Local part of the first Cc.
    Cc,
    /// When it was sent.
    Date,
    /// Local part of the first From.
    From,
    /// Bytes.
    Size,
    /// Base subject.
    Subject,
    /// Local part of the first To.
    To,
    /// Name of the first From (RFC 5957).
    DisplayFrom,
    /// Name of the first To (RFC 5957).
    DisplayTo,
}

impl SortKey {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// A number for each of some messages: lower is before, equal is equal. Numbers are dense, from 0 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranks {
    uids: Vec<u32>,
    ranks: Vec<u32>,
}

impl Ranks {
    /// Of `uids` (ascending), a rank for each.
    pub fn new(uids: Vec<u32>, ranks: Vec<u32>) -> Ranks {
        debug_assert!(uids.len() == ranks.len() && uids.is_sorted());
        Ranks { uids, ranks }
    }

    /// The ranks of `uids` (ascending), if all of them have one.
    pub fn of(&self, uids: &[u32]) -> Option<Vec<u32>> {
        if self.uids == uids {
            return Some(self.ranks.clone());
        }
        Some(places(&self.uids, uids)?.into_iter().map(|place| self.ranks[place as usize]).collect())
    }
}

/// Where each of `wanted` is in `all`, both ascending, if all are there.
pub(super) fn places(all: &[u32], wanted: &[u32]) -> Option<Vec<u32>> {
    let (mut at, mut places) = (0_usize, Vec::with_capacity(wanted.len().min(all.len())));
    for uid in wanted {
        // Mostly the next one; else not far.
        if *all.get(at)? < *uid {
            at += all[at..].partition_point(|other| other < uid);
        }
        if all.get(at) != Some(uid) {
            return None;
        }
        // UIDs have 32 bits, and so have their places.
        places.push(at as u32);
        at += 1;
    }
    Some(places)
}

/// What is kept of one open folder.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Grows when all was forgotten: what was begun before is not kept.
    epoch: u64,
    ranks: [Option<Arc<Ranks>>; SortKey::COUNT],
    kin: Option<Arc<Kin>>,
}

impl Kept {
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn forget(&mut self) {
        *self = Kept { epoch: self.epoch + 1, ..Kept::default() };
    }

    pub(crate) fn ranks(&self, key: SortKey) -> Option<Arc<Ranks>> {
        self.ranks[key as usize].clone()
    }

    /// Keep ranks that somebody began to find out at `epoch` in a folder that has so many messages. Those of a few are not worth it, and
    /// would push out those of many.
    pub(crate) fn keep_ranks(&mut self, epoch: u64, key: SortKey, ranks: Ranks, messages: usize) {
        if epoch == self.epoch && ranks.uids.len() <= MAX_RANKED && ranks.uids.len() * 2 >= messages {
            self.ranks[key as usize] = Some(Arc::new(ranks));
        }
    }

    pub(crate) fn kin(&self) -> Option<Arc<Kin>> {
        self.kin.clone()
    }

    /// As [`Kept::keep_ranks`].
    pub(crate) fn keep_kin(&mut self, epoch: u64, kin: Arc<Kin>, messages: usize) {
        if epoch == self.epoch && kin.bytes() <= MAX_KIN && kin.count() * 2 >= messages {
            self.kin = Some(kin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_some() {
        let ranks = Ranks::new(vec![2, 3, 5, 9], vec![1, 0, 1, 2]);
        let table: [(&[u32], Option<&[u32]>); 8] = [
            (&[2, 3, 5, 9], Some(&[1, 0, 1, 2])),
            (&[3, 9], Some(&[0, 2])),
            (&[9], Some(&[2])),
            (&[], Some(&[])),
            (&[1], None),
            (&[4], None),
            (&[2, 10], None),
            (&[2, 3, 5, 9, 11], None),
        ];
        for (uids, want) in table {
            assert_eq!(ranks.of(uids).as_deref(), want, "{uids:?}");
        }
    }

    #[test]
    fn what_is_kept() {
        let mut kept = Kept::default();
        let ranks = |count: u32| Ranks::new((0..count).collect(), vec![0; count as usize]);
        kept.keep_ranks(0, SortKey::Date, ranks(4), 10);
        assert_eq!(kept.ranks(SortKey::Date), None, "too few");
        kept.keep_ranks(0, SortKey::Date, ranks(5), 10);
        kept.keep_ranks(0, SortKey::Date, ranks(1), 10);
        assert_eq!(kept.ranks(SortKey::Date).as_deref(), Some(&ranks(5)));
        assert_eq!(kept.ranks(SortKey::DisplayTo), None);
        kept.forget();
        kept.keep_ranks(0, SortKey::Date, ranks(5), 10);
        assert_eq!(kept.ranks(SortKey::Date), None, "begun before");
        kept.keep_ranks(kept.epoch(), SortKey::DisplayTo, ranks(5), 5);
        assert!(kept.ranks(SortKey::DisplayTo).is_some());
        kept.keep_ranks(kept.epoch(), SortKey::Size, ranks(MAX_RANKED as u32 + 1), 5);
        assert_eq!(kept.ranks(SortKey::Size), None, "too many");
    }
}
