//! The messages of an open folder, in memory: sorted by UID, found by name.
//!
//! Owns what is known of every message: what sessions may see ([`Message`]) and what only the store needs
//! ([`Entry`]: the file's name, where it lies, its uidlist fields). Two vectors of one length and order, so that a session reads
//! the first without touching the second. About 190 bytes a message, its name included.
//!
//! Touches no disk and never fails. The index goes from a hash of the message's key (base without `,S=` and such,
//! [`filename::key`]) to its UID; a hit is checked against the name itself, so a collision costs time, not
//! correctness. The hash is keyed at random: nobody can choose names that collide.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault};

use super::super::filename::{self, MessageName};
use super::super::prehashed::Prehashed;
use super::super::watch::Which;
use crate::mail::Flags;

/// Messages of one key that are compared with a new name. Programs that rewrite fields leave one; where many names differ in their
/// fields alone, a name that we do not know is a new message.
const MAX_SAME_KEY: usize = 16;

/// A message as the folder knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: u32,
    /// System flags.
    pub flags: Flags,
    /// Bit n is set if the message has keyword n of [`super::Mailbox::keywords`].
    pub keywords: u128,
    /// Mod-sequence (RFC 7162): grows with every change of its flags.
    pub modseq: u64,
}

/// What the store knows besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The whole file name, flags included.
    pub(super) name: Box<[u8]>,
    /// Fields of its uidlist record (`W23 Pabc`), if any.
    pub(super) fields: Option<Box<[u8]>>,
    /// INTERNALDATE once somebody asked; [`NO_DATE`] before.
    pub(super) date: i64,
    /// The directory that the file is in.
    pub(super) place: Which,
    /// No session was told of it as \Recent yet.
    pub(super) recent: bool,
    /// SAVEDATE, seconds since 1970; 0: not known. Good until 2106.
    saved: u32,
}

/// Nobody has asked for the date yet. No file has this time: it is before the Big Bang.
pub(super) const NO_DATE: i64 = i64::MIN;

impl Entry {
    /// A file as it was found.
    pub(super) fn new(name: &[u8], place: Which) -> Entry {
        Entry { name: name.into(), fields: None, date: NO_DATE, place, recent: place == Which::New, saved: 0 }
    }

    /// When the message came into this folder, seconds since 1970.
    pub(super) fn saved(&self) -> Option<i64> {
        (self.saved != 0).then_some(self.saved.into())
    }

    /// It came at `time`.
    pub(super) fn set_saved(&mut self, time: i64) {
        self.saved = u32::try_from(time.max(1)).unwrap_or(u32::MAX);
    }

    /// INTERNALDATE if somebody asked.
    pub(super) fn known_date(&self) -> Option<i64> {
        (self.date != NO_DATE).then_some(self.date)
    }

    /// The name up to the first colon.
    pub(super) fn base(&self) -> &[u8] {
        base_of(&self.name)
    }
}

/// A file name up to the first colon.
pub(super) fn base_of(name: &[u8]) -> &[u8] {
    &name[..memchr::memchr(b':', name).unwrap_or(name.len())]
}

/// All messages of a folder.
#[derive(Default)]
pub(super) struct Table {
    messages: Vec<Message>,
    entries: Vec<Entry>,
    index: Index,
}

impl Table {
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Place of `uid` in the order.
    pub(super) fn position(&self, uid: u32) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }

    pub(super) fn get(&self, uid: u32) -> Option<(&Message, &Entry)> {
        self.position(uid).map(|at| (&self.messages[at], &self.entries[at]))
    }

    pub(super) fn message_mut(&mut self, uid: u32) -> Option<&mut Message> {
        self.position(uid).map(|at| &mut self.messages[at])
    }

    /// For everything but the name, which the index must follow: see [`Table::rename`].
    pub(super) fn entry_mut(&mut self, uid: u32) -> Option<&mut Entry> {
        self.position(uid).map(|at| &mut self.entries[at])
    }

    /// A new message; normally its UID is the greatest. A message of that UID is replaced.
    pub(super) fn insert(&mut self, message: Message, entry: Entry) {
        let uid = message.uid;
        match self.messages.binary_search_by_key(&uid, |message| message.uid) {
            Ok(at) => {
                self.index.remove(self.entries[at].base(), uid);
                self.index.add(entry.base(), uid);
                self.messages[at] = message;
                self.entries[at] = entry;
            }
            Err(at) => {
                self.index.add(entry.base(), uid);
                self.messages.insert(at, message);
                self.entries.insert(at, entry);
            }
        }
    }

    /// The file of `uid` is called `name` and lies in `place` now. Flags are not read from it.
    pub(super) fn rename(&mut self, uid: u32, name: &[u8], place: Which) {
        let Some(at) = self.position(uid) else { return };
        let entry = &mut self.entries[at];
        if filename::key(entry.base()) != filename::key(base_of(name)) {
            self.index.remove(entry.base(), uid);
            self.index.add(base_of(name), uid);
        }
        entry.name = name.into();
        entry.place = place;
    }

    /// Take messages out; `uids` is sorted. One pass, however many.
    pub(super) fn remove(&mut self, uids: &[u32]) {
        for &uid in uids {
            if let Some(at) = self.position(uid) {
                self.index.remove(self.entries[at].base(), uid);
            }
        }
        let gone = |uid: u32| uids.binary_search(&uid).is_ok();
        let mut at = 0;
        self.entries.retain(|_| {
            at += 1;
            !gone(self.messages[at - 1].uid)
        });
        self.messages.retain(|message| !gone(message.uid));
    }

    /// The message whose file has exactly this base.
    pub(super) fn find_base(&self, base: &[u8]) -> Option<u32> {
        self.index.find_base(base).find(|uid| self.get(*uid).is_some_and(|(_, entry)| entry.base() == base))
    }

    /// Messages whose key is the key of `base`, [`MAX_SAME_KEY`] at most: some tool may have rewritten the `,X=` fields of one of them.
    pub(super) fn find_key(&self, base: &[u8]) -> Vec<u32> {
        let key = filename::key(base);
        self.index
            .find_key(base)
            .take(MAX_SAME_KEY)
            .filter(|uid| self.get(*uid).is_some_and(|(_, entry)| filename::key(entry.base()) == key))
            .collect()
    }

    /// Letters a to z that are in use, bit 0 is `a`.
    pub(super) fn used_letters(&self) -> u32 {
        let all = self.messages.iter().fold(0, |all, message| all | message.keywords);
        (all & LETTER_BITS) as u32
    }
}

/// The keywords that have a letter in the file name.
pub(super) const LETTER_BITS: u128 = (1 << 26) - 1;

/// System flags and letters of a file name.
pub(super) fn flags_of(name: &[u8]) -> (Flags, u128) {
    MessageName::parse(name).map_or((Flags::NONE, 0), |name| (name.flags(), u128::from(name.keywords())))
}

/// From the hash of a key to UIDs.
#[derive(Default)]
struct Index {
    hasher: RandomState,
    first: HashMap<u64, u32, BuildHasherDefault<Prehashed>>,
    /// Second and further messages of one key's hash, with the hash of their base: equal keys with different fields, or a
    /// collision. Normally empty.
    more: BTreeSet<(u64, u64, u32)>,
}

impl Index {
    fn hash(&self, base: &[u8]) -> u64 {
        self.hasher.hash_one(&*filename::key(base))
    }

    fn hash_whole(&self, base: &[u8]) -> u64 {
        self.hasher.hash_one(base)
    }

    fn add(&mut self, base: &[u8], uid: u32) {
        let hash = self.hash(base);
        match self.first.entry(hash) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(uid);
            }
            std::collections::hash_map::Entry::Occupied(_) => {
                self.more.insert((hash, self.hash_whole(base), uid));
            }
        }
    }

    fn remove(&mut self, base: &[u8], uid: u32) {
        let hash = self.hash(base);
        if self.first.get(&hash) != Some(&uid) {
            self.more.remove(&(hash, self.hash_whole(base), uid));
            return;
        }
        match self.more.range((hash, 0, 0)..=(hash, u64::MAX, u32::MAX)).next().copied() {
            Some(row) => {
                self.more.remove(&row);
                self.first.insert(hash, row.2);
            }
            None => {
                self.first.remove(&hash);
            }
        }
    }

    /// Messages that may have this base.
    fn find_base(&self, base: &[u8]) -> impl Iterator<Item = u32> {
        let hash = self.hash(base);
        // Normally there is nothing to look for, and nothing more is hashed.
        let whole = if self.more.is_empty() { 0 } else { self.hash_whole(base) };
        let more = self.more.range((hash, whole, 0)..=(hash, whole, u32::MAX)).map(|row| row.2);
        self.first.get(&hash).copied().into_iter().chain(more)
    }

    /// Messages that may have the key of this base.
    fn find_key(&self, base: &[u8]) -> impl Iterator<Item = u32> {
        let hash = self.hash(base);
        let more = self.more.range((hash, 0, 0)..=(hash, u64::MAX, u32::MAX)).map(|row| row.2);
        self.first.get(&hash).copied().into_iter().chain(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(uid: u32) -> Message {
        Message { uid, flags: Flags::NONE, keywords: 0, modseq: 1 }
    }

    fn table(names: &[&str]) -> Table {
        let mut table = Table::default();
        for (at, name) in names.iter().enumerate() {
            table.insert(message(at as u32 + 1), Entry::new(name.as_bytes(), Which::Cur));
        }
        table
    }

    #[test]
    fn a_message_costs_little() {
        let name = "1795299995.M669320P18697R01234567.mail.example.org,S=20480,W=20992:2,FRS";
        let index = 2 * (8 + 8 + 1);
        let total = size_of::<Message>() + size_of::<Entry>() + name.len() + 16 + index;
        assert!(total <= 220, "{total} bytes at the index's worst fill");
        assert_eq!(size_of::<Message>(), 32);
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn found_by_base_and_by_key() {
        let table = table(&["a,S=1:2,S", "b:2,", "a,S=2"]);
        assert_eq!(table.find_base(b"a,S=1"), Some(1));
        assert_eq!(table.find_base(b"a,S=2"), Some(3));
        assert_eq!(table.find_base(b"a"), None);
        assert_eq!(table.find_key(b"a,U=9"), [1, 3]);
        assert!(table.find_key(b"c").is_empty());
    }

    #[test]
    fn the_index_follows_renames_and_removals() {
        let mut table = table(&["a,S=1:2,S", "b:2,", "a,S=2"]);
        table.rename(2, b"c:2,F", Which::Cur);
        assert_eq!((table.find_base(b"b"), table.find_base(b"c")), (None, Some(2)));
        table.remove(&[1]);
        assert_eq!(table.find_key(b"a"), [3]);
        table.remove(&[2, 3]);
        assert_eq!(table.len(), 0);
        assert!(table.entries().is_empty() && table.index.first.is_empty() && table.index.more.is_empty());
    }

    #[test]
    fn many_names_that_differ_in_their_fields_alone_are_found_fast() {
        let start = std::time::Instant::now();
        let name = |n: u32| format!("a,S={n}");
        let count = 100_000;
        let mut table = Table::default();
        (1..=count).for_each(|n| table.insert(message(n), Entry::new(name(n).as_bytes(), Which::Cur)));
        for n in 1..=count {
            assert_eq!(table.find_base(name(n).as_bytes()), Some(n));
        }
        assert_eq!(table.find_key(b"a,U=1").len(), MAX_SAME_KEY);
        table.remove(&(1..count).collect::<Vec<_>>());
        assert_eq!(table.find_key(b"a"), [count]);
        // Each found by a search among all would be 5,000,000,000 comparisons.
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }

    #[test]
    fn order_is_by_uid_however_they_come() {
        let mut table = Table::default();
        for uid in [5, 1, 3] {
            table.insert(message(uid), Entry::new(format!("m{uid}").as_bytes(), Which::New));
        }
        assert_eq!(table.messages().iter().map(|m| m.uid).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(table.get(3).unwrap().1.base(), b"m3");
        assert!(table.get(4).is_none());
        table.insert(message(3), Entry::new(b"other", Which::Cur));
        assert_eq!((table.len(), table.find_base(b"m3"), table.find_base(b"other")), (3, None, Some(3)));
    }
}
