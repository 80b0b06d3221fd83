//! Where each message's halves lie in the file: eight bytes a message and half, and a line a batch.
//!
//! Owns no file. A half that comes twice (two processes looked at the same message) counts where it lay first, but for a merge,
//! which means the later one.

use super::batch::{Batch, Kind, Row};

/// Batches in a file; a file with more is begun anew. Each costs 60 bytes of memory.
const MAX_BATCHES: usize = 1 << 16;
/// A batch with fewer messages is small: deliveries make batches of one.
const SMALL: u32 = 64;
/// Halves of no use for which a file is written anew.
const WORTH: usize = 1_000;

/// A half's place: batch and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) batch: u32,
    pub(super) row: u8,
}

/// What is in one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    batches: Vec<Batch>,
    heads: Vec<(u32, u32)>,
    bodies: Vec<(u32, u32)>,
    /// Rows of all batches, found or not.
    rows: usize,
    /// Those in small batches.
    scattered: usize,
}

impl Index {
    pub(super) fn batch(&self, number: u32) -> &Batch {
        &self.batches[number as usize]
    }

    pub(super) fn is_full(&self) -> bool {
        self.batches.len() >= MAX_BATCHES
    }

    /// Take in a batch whose `rows` were checked. Rows that are not `ours` (expunged, or another message's) are passed over.
    pub(super) fn add(&mut self, batch: Batch, rows: &[u8], replaces: bool, mut ours: impl FnMut(&Row<'_>) -> bool) {
        let number = (self.batches.len() as u32) << 8;
        let list = match batch.kind {
            Kind::Head => &mut self.heads,
            Kind::Body => &mut self.bodies,
        };
        let known = list.len();
        self.rows += batch.count as usize;
        self.scattered += if batch.count < SMALL { batch.count as usize } else { 0 };
        for row in 0..batch.count {
            let this = Row::of(rows, row as usize);
            if !ours(&this) {
                continue;
            }
            match list[..known].binary_search_by_key(&this.uid(), |entry| entry.0) {
                Ok(at) if replaces => list[at].1 = number | row,
                Ok(_) => {}
                Err(_) => list.push((this.uid(), number | row)),
            }
        }
        // Both parts are sorted, and mostly the second lies behind the first.
        if known > 0 && list.get(known).is_some_and(|first| first.0 < list[known - 1].0) {
            list.sort_unstable();
        }
        self.batches.push(batch);
    }

    /// Where the half of each of `uids` (ascending) is.
    pub(super) fn find(&self, kind: Kind, uids: &[u32]) -> Vec<Option<Place>> {
        let list = self.list(kind);
        let Some(first) = uids.first() else { return Vec::new() };
        let mut at = list.partition_point(|entry| entry.0 < *first);
        let look = |uid: &u32| {
            // Mostly the next one; else not far.
            if list.get(at).is_some_and(|entry| entry.0 < *uid) {
                at += list[at..].partition_point(|entry| entry.0 < *uid);
            }
            let (_, place) = list.get(at).filter(|entry| entry.0 == *uid)?;
            at += 1;
            Some(Place { batch: place >> 8, row: *place as u8 })
        };
        uids.iter().map(look).collect()
    }

    fn list(&self, kind: Kind) -> &[(u32, u32)] {
        match kind {
            Kind::Head => &self.heads,
            Kind::Body => &self.bodies,
        }
    }

    /// UIDs that have this half, ascending.
    pub(super) fn uids(&self, kind: Kind) -> impl Iterator<Item = u32> + '_ {
        self.list(kind).iter().map(|entry| entry.0)
    }

    /// UIDs whose half lies in a small batch, ascending.
    pub(super) fn scattered(&self, kind: Kind) -> Vec<u32> {
        let is_small = |place: u32| self.batches[(place >> 8) as usize].count < SMALL;
        self.list(kind).iter().filter(|entry| is_small(entry.1)).map(|entry| entry.0).collect()
    }

    /// How many halves lie in small batches, about.
    pub(super) fn scattered_rows(&self) -> usize {
        self.scattered
    }

    /// They were written together.
    pub(super) fn forget_scattered(&mut self) {
        self.scattered = 0;
    }

    /// Is more than half of the file of no use if `live` halves are still wanted, and is that worth the work?
    pub(super) fn is_worth_more_than(&self, live: usize) -> bool {
        self.rows > 2 * live && self.rows - live > WORTH
    }
}
