//! UIDs that other processes have given to files that we have not seen yet.
//!
//! A file has the UID of its base; or, if no record has exactly that base, of the only record with the same key: some programs write sizes
//! into a name (`,S=`) after the file got its UID. In memory only; touches no disk and never fails.

use std::collections::HashMap;

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

    /// The one that a file with this base has.
    pub(super) fn find(&self, base: &[u8]) -> Option<&Record> {
        self.by_base.get(base).or_else(|| match &self.by_key.get(&*filename::key(base))?[..] {
            [only] => self.by_base.get(only),
            _ => None,
        })
    }

    /// The file with this base is there.
    pub(super) fn remove(&mut self, base: &[u8]) {
        let Some(found) = self.find(base).map(|record| record.base.clone()) else { return };
        self.by_base.remove(&found);
        let key = filename::key(&found);
        if let Some(same) = self.by_key.get_mut(&*key) {
            same.retain(|other| *other != found);
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
        let uid = |unclaimed: &Unclaimed, base: &str| unclaimed.find(base.as_bytes()).map(|record| record.uid);
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
        for base in ["c,S=5", "b,S=7", "nothing"] {
            unclaimed.remove(base.as_bytes());
        }
        assert_eq!((uid(&unclaimed, "c"), uid(&unclaimed, "b")), (Some(4), None));
        assert_eq!(unclaimed.records().count(), 2);
    }
}
