//! The UIDs that a client was told, as runs.
//!
//! An idle session owns little but this list. A folder's UIDs are runs of consecutive numbers with gaps where mail was deleted: eight bytes a
//! run, where a list of a hundred thousand messages would be 400 KB in every session on it. Where every second message was deleted, a run costs
//! as much as the two numbers would; only a folder in which no two neighbours are left costs twice a list.
//!
//! Looking up a UID or a message number is a binary search among the runs. No I/O, never fails.

/// UIDs, ascending, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uids {
    runs: Vec<Run>,
    len: u32,
}

/// Consecutive UIDs, up to the `at` of the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// The first UID.
    uid: u32,
    /// How many UIDs are before this run.
    at: u32,
}

impl Uids {
    /// How many.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest.
    pub fn last(&self) -> Option<u32> {
        self.runs.last().map(|run| run.uid + (self.len - 1 - run.at))
    }

    /// The one that has `index` before it.
    pub fn get(&self, index: usize) -> Option<u32> {
        let index = u32::try_from(index).ok().filter(|index| *index < self.len)?;
        let run = self.runs[self.runs.partition_point(|run| run.at <= index) - 1];
        Some(run.uid + (index - run.at))
    }

    /// How many are lower than `uid`.
    pub fn below(&self, uid: u32) -> usize {
        let next = self.runs.partition_point(|run| run.uid < uid);
        let Some(run) = next.checked_sub(1).map(|last| self.runs[last]) else { return 0 };
        (run.at + (uid - run.uid).min(self.end(next) - run.at)) as usize
    }

    /// How many are lower than `uid`, if it is among them.
    pub fn find(&self, uid: u32) -> Option<usize> {
        let index = self.below(uid);
        (self.get(index) == Some(uid)).then_some(index)
    }

    /// Add one that is higher than all.
    pub fn push(&mut self, uid: u32) {
        let last = self.last();
        debug_assert!(last.is_none_or(|last| last < uid));
        if last.and_then(|last| last.checked_add(1)) != Some(uid) {
            self.runs.push(Run { uid, at: self.len });
        }
        self.len += 1;
    }

    /// All, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges().flat_map(|(low, high)| low..=high)
    }

    /// Those that have at least `index` before them, ascending.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = u32> + '_ {
        let low = self.get(index);
        let first = low.map_or(self.runs.len(), |low| self.runs.partition_point(|run| run.uid <= low) - 1);
        self.ranges_of(first).flat_map(move |(first, last)| low.map_or(first, |low| low.max(first))..=last)
    }

    /// All, as ranges.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.ranges_of(0)
    }

    /// Give memory back that is not needed.
    pub fn shrink(&mut self) {
        self.runs.shrink_to_fit();
    }

    /// From a run on.
    fn ranges_of(&self, first: usize) -> impl Iterator<Item = (u32, u32)> + '_ {
        (first..self.runs.len()).map(|n| {
            let run = self.runs[n];
            (run.uid, run.uid + (self.end(n + 1) - 1 - run.at))
        })
    }

    /// How many there are before run `n`, or at all.
    fn end(&self, n: usize) -> u32 {
        self.runs.get(n).map_or(self.len, |next| next.at)
    }
}

impl FromIterator<u32> for Uids {
    fn from_iter<I: IntoIterator<Item = u32>>(ascending: I) -> Uids {
        // As many calls of `push` would, but each SELECT waits for this.
        let (mut runs, mut len, mut next) = (Vec::new(), 0, u64::MAX);
        for uid in ascending {
            if u64::from(uid) != next {
                runs.push(Run { uid, at: len });
            }
            (len, next) = (len + 1, u64::from(uid) + 1);
        }
        runs.shrink_to_fit();
        Uids { runs, len }
    }
}

impl PartialEq<[u32]> for Uids {
    fn eq(&self, other: &[u32]) -> bool {
        self.iter().eq(other.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hundred_thousand_without_gaps_are_one_run() {
        let uids: Uids = (7..100_007).collect();
        assert_eq!((uids.runs.len(), uids.runs.capacity(), uids.len()), (1, 1, 100_000));
        assert_eq!((uids.last(), uids.get(99_999), uids.get(100_000)), (Some(100_006), Some(100_006), None));
    }

    #[test]
    fn the_highest_uids_there_can_be() {
        let uids: Uids = [1, u32::MAX - 1, u32::MAX].into_iter().collect();
        assert_eq!(uids.iter().collect::<Vec<_>>(), [1, u32::MAX - 1, u32::MAX]);
        assert_eq!((uids.find(u32::MAX), uids.below(u32::MAX), uids.last()), (Some(2), 2, Some(u32::MAX)));
    }

    proptest! {
        #[test]
        fn as_a_list(set in proptest::collection::btree_set(1u32..80, 0..60)) {
            let list: Vec<u32> = set.iter().copied().collect();
            let uids: Uids = list.iter().copied().collect();
            prop_assert_eq!(uids.iter().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!((uids.len(), uids.is_empty(), uids.last()), (list.len(), list.is_empty(), list.last().copied()));
            for index in 0..list.len() + 2 {
                prop_assert_eq!(uids.get(index), list.get(index).copied());
                prop_assert_eq!(uids.iter_from(index).collect::<Vec<_>>(), list.get(index..).unwrap_or(&[]).to_vec());
            }
            for uid in 0..82 {
                prop_assert_eq!(uids.below(uid), list.partition_point(|told| *told < uid));
                prop_assert_eq!(uids.find(uid), list.binary_search(&uid).ok());
            }
            let ranges: Vec<(u32, u32)> = uids.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs that touch are one");
        }
    }
}
