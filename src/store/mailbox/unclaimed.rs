//! UIDs that other processes have given to files that we have not seen yet.
//!
//! A file has the UID of its base; or, if no record has exactly that base, of the only record with the same key that no other file has: some
//! programs write sizes into a name (`,S=`) after the file got its UID. A record is one file's, never two's. In memory only; touches no
//! disk and never fails.

use std::collections::{HashMap, HashSet};

use super::super::filename;
use super::super::uidlist::Record;

/// Records of the uidlist that wait for their files.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    by_base: HashMap<Box<[u8]>, Record>,
    /// Bases by key, where they differ from it or share it.
    by_key: HashMap<Box<[u8]>, Vec<Box<[u8]>>>,
}

impl Unclaimed {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_base.len()
    }

    /// One more, in place of one of the same base.
    pub(super) fn insert(&mut self, record: Record) {
        let same = self.by_key.entry(filename::key(&record.base).into()).or_default();
        if !same.contains(&record.base) {
            same.push(record.base.clone());
        }
        self.by_base.insert(record.base.clone(), record);
    }

    /// Which of them each of the files with these bases has, all looked at together: a base that is a record's own goes before one that only
    /// has its key.
    pub(super) fn claims<'a>(&self, bases: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<Option<&Record>> {
        let mut used: HashSet<&[u8]> = HashSet::new();
        let own = |base| self.by_base.get(base).filter(|record| used.insert(&record.base));
        let mut claims: Vec<Option<&Record>> = bases.clone().map(own).collect();
        for (claim, base) in claims.iter_mut().zip(bases).filter(|(claim, _)| claim.is_none()) {
            if used.len() == self.len() {
                break;
            }
            let Some(same) = self.by_key.get(&*filename::key(base)) else { continue };
            let mut free = same.iter().filter(|base| !used.contains(&***base));
            if let (Some(only), None) = (free.next(), free.next()) {
                used.insert(only);
                *claim = self.by_base.get(only);
            }
        }
        claims
    }

    /// The file with this base is there.
    pub(super) fn remove(&mut self, base: &[u8]) {
        let Some(found) = self.by_base.remove(base) else { return };
        let key = filename::key(base);
        if let Some(same) = self.by_key.get_mut(&*key) {
            same.retain(|other| *other != found.base);
            if same.is_empty() {
                self.by_key.remove(&*key);
            }
        }
    }

    /// All that wait.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.by_base.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_base_or_by_a_key_that_only_one_has() {
        let mut unclaimed = Unclaimed::default();
        for (uid, base) in [(1, "a"), (2, "b,S=5"), (3, "c,S=5"), (4, "c,S=6"), (5, "a")] {
            unclaimed.insert(Record::new(uid, base.as_bytes()));
        }
        let uid = |unclaimed: &Unclaimed, base: &str| {
            let claims = unclaimed.claims([base.as_bytes()].into_iter());
            claims[0].map(|record| record.uid)
        };
        assert_eq!(unclaimed.len(), 4);
        for (base, want) in [
            ("a", Some(5)),
            ("a,S=9", Some(5)),
            ("b", Some(2)),
            ("b,S=7,W=8", Some(2)),
            ("c", None),
            ("c,S=6", Some(4)),
            ("d", None),
        ] {
            assert_eq!(uid(&unclaimed, base), want, "{base}");
        }
        for base in ["c,S=5", "b,S=5", "a,S=9", "nothing"] {
            unclaimed.remove(base.as_bytes());
        }
        assert_eq!((uid(&unclaimed, "c"), uid(&unclaimed, "b")), (Some(4), None));
        assert_eq!(unclaimed.records().count(), 2);
    }

    #[test]
    fn a_record_is_one_files() {
        let mut unclaimed = Unclaimed::default();
        for (uid, base) in [(1, "a"), (2, "b,S=5"), (3, "c,S=5"), (4, "c,S=6")] {
            unclaimed.insert(Record::new(uid, base.as_bytes()));
        }
        let table: [(&str, &[&str], &[u32]); 6] = [
            ("own, then key", &["b,S=5", "b,S=7"], &[2, 0]),
            ("key, then own", &["b,S=4", "b,S=5"], &[0, 2]),
            ("twice by key", &["a,S=1", "a,S=2"], &[1, 0]),
            ("what the first left", &["c,S=7", "c,S=5", "c,S=8"], &[4, 3, 0]),
            ("either", &["c,S=7", "c,S=8"], &[0, 0]),
            ("each its own", &["c,S=6", "c,S=5", "b", "d"], &[4, 3, 2, 0]),
        ];
        for (case, bases, want) in table {
            let claims = unclaimed.claims(bases.iter().map(|base| base.as_bytes()));
            let uids: Vec<u32> = claims.into_iter().map(|claim| claim.map_or(0, |record| record.uid)).collect();
            assert_eq!(uids, want, "{case}");
        }
    }
}
