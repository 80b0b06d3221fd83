//! Who refers to whom, of many messages: what THREAD looks at, with all texts made numbers.
//!
//! Message ids and base subjects get a small number each on the way in ([`Kindred`]), so that comparing them later is comparing numbers. Texts
//! are told apart by a hash that is keyed at random, and compared whole where hashes agree: nobody can choose ids that collide. Only
//! the numbers stay ([`Kin`]): 32 bytes a message and four a reference, which an open folder may keep.
//!
//! Memory is bounded by [`MAX_BYTES`]; beyond, whoever adds is told that there is no room.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, RandomState};
use std::ops::Range;

use super::Facts;
use super::facts::Wants;
use super::ranks::places;
use crate::store::prehashed::Prehashed;

/// Bytes of ids, subjects and references in one command: 100,000 messages with ten references each take 60 MB.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// What a text takes beside its bytes.
const TEXT_COST: usize = 32;
/// No number.
const NONE: u32 = u32::MAX;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relative {
    /// Sent date, or INTERNALDATE (RFC 5256 section 2.2).
    pub date: i64,
    /// Number of its own id.
    id: u32,
    /// Where its references end in those of all.
    end: u32,
    /// Number of its base subject; 0 if that is empty.
    pub subject: u32,
    /// Its subject said "Re:" or "Fwd:".
    pub is_reply: bool,
}

impl Relative {
    /// Number of its own id, if it has one.
    pub fn id(&self) -> Option<u32> {
        (self.id != NONE).then_some(self.id)
    }
}

/// Many messages, ascending by UID.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kin {
    uids: Vec<u32>,
    messages: Vec<Relative>,
    references: Vec<u32>,
    ids: u32,
    subjects: u32,
}

impl Kin {
    /// Numbers of ids are below this.
    pub fn ids(&self) -> usize {
        self.ids as usize
    }

    /// Numbers of subjects are below this.
    pub fn subjects(&self) -> usize {
        self.subjects as usize + 1
    }

    /// How many messages.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// UIDs of the messages.
    pub fn uids(&self) -> &[u32] {
        &self.uids
    }

    /// Where `uids` (ascending) are, if all of them are here.
    pub fn places(&self, uids: &[u32]) -> Option<Vec<u32>> {
        places(&self.uids, uids)
    }

    /// The message at `place`.
    pub fn message(&self, place: usize) -> &Relative {
        &self.messages[place]
    }

    /// Numbers of the ids that it refers to, the oldest first.
    pub fn references(&self, place: usize) -> &[u32] {
        let start = place.checked_sub(1).map_or(0, |before| self.messages[before].end);
        &self.references[Range { start: start as usize, end: self.messages[place].end as usize }]
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.count() * (size_of::<Relative>() + 4) + self.references.len() * 4
    }
}

/// Makes [`Kin`] of messages that come in the order of their UIDs.
#[derive(Debug, Default)]
pub struct Kindred {
    kin: Kin,
    ids: Texts,
    subjects: Texts,
}

impl Kindred {
    /// What must be known of each message.
    pub const WANTS: Wants = Wants::NUMBERS.and(Wants::SORT).and(Wants::THREAD);

    /// Add a message; `date` counts if it does not say when it was sent. Returns whether there was room.
    pub fn add(&mut self, date: i64, facts: &Facts<'_>) -> bool {
        let (sort, thread) = (facts.sort(), facts.thread());
        let date = facts.sent().unwrap_or(date);
        self.add_message(facts.uid(), date, thread.id, thread.references(), sort.subject, sort.is_reply)
    }

    /// As [`Kindred::add`], with all that is looked at.
    pub fn add_message<'a>(
        &mut self,
        uid: u32,
        date: i64,
        id: &[u8],
        references: impl Iterator<Item = &'a [u8]>,
        subject: &[u8],
        is_reply: bool,
    ) -> bool {
        let kin = &mut self.kin;
        kin.references.extend(references.map(|reference| self.ids.number(reference)));
        let id = if id.is_empty() { NONE } else { self.ids.number(id) };
        let subject = if subject.is_empty() { 0 } else { self.subjects.number(subject) + 1 };
        // Bounded by MAX_BYTES.
        let end = kin.references.len() as u32;
        kin.uids.push(uid);
        kin.messages.push(Relative { date, id, end, subject, is_reply });
        self.ids.cost() + self.subjects.cost() + 4 * self.kin.references.len() <= MAX_BYTES
    }

    /// All are added.
    pub fn finish(self) -> Kin {
        Kin { ids: self.ids.count(), subjects: self.subjects.count(), ..self.kin }
    }
}

/// Gives every text a number, counted from 0.
#[derive(Debug, Default)]
struct Texts {
    hasher: RandomState,
    /// The last text of each hash.
    last: HashMap<u64, u32, BuildHasherDefault<Prehashed>>,
    /// Where each text ends in `bytes`, and the text before it that has the same hash.
    rows: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

impl Texts {
    fn number(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let mut same = self.last.get(&hash).copied().unwrap_or(NONE);
        let before = same;
        while same != NONE {
            let (end, next) = self.rows[same as usize];
            let start = same.checked_sub(1).map_or(0, |before| self.rows[before as usize].0);
            if &self.bytes[start as usize..end as usize] == text {
                return same;
            }
            same = next;
        }
        // Bounded by MAX_BYTES, and by the references of one message beyond that.
        let number = self.rows.len() as u32;
        self.bytes.extend_from_slice(text);
        self.rows.push((self.bytes.len() as u32, before));
        self.last.insert(hash, number);
        number
    }

    fn count(&self) -> u32 {
        self.rows.len() as u32
    }

    fn cost(&self) -> usize {
        self.bytes.len() + TEXT_COST * self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers() {
        let mut texts = Texts::default();
        let numbers: Vec<u32> =
            ["a", "b", "a", "", "ab", "b", ""].iter().map(|text| texts.number(text.as_bytes())).collect();
        assert_eq!(numbers, [0, 1, 0, 2, 3, 1, 2]);
        assert_eq!(texts.count(), 4);
    }

    /// Hashes of 64 bits agree for nobody's messages, so here they are made to.
    #[test]
    fn texts_of_one_hash_are_told_apart() {
        let mut texts = Texts::default();
        for n in 0..50_u32 {
            assert_eq!(texts.number(&n.to_be_bytes()), n);
            let all: Vec<u64> = texts.last.keys().copied().collect();
            let hash = texts.hasher.hash_one(&(n + 1).to_be_bytes()[..]);
            texts.last.insert(hash, n);
            assert!(all.len() >= n as usize);
        }
        for n in (0..50_u32).rev() {
            assert_eq!(texts.number(&n.to_be_bytes()), n);
        }
    }

    #[test]
    fn messages_come_back() {
        let mut kindred = Kindred::default();
        let refer = |text: &'static str| text.split_whitespace().map(str::as_bytes);
        assert!(kindred.add_message(3, 30, b"a", refer(""), b"S", false));
        assert!(kindred.add_message(5, 50, b"b", refer("a x"), b"", true));
        assert!(kindred.add_message(9, -1, b"", refer("b"), b"S", true));
        let kin = kindred.finish();
        assert_eq!((kin.ids(), kin.subjects(), kin.count()), (3, 2, 3));
        let all: Vec<_> =
            (0..3).map(|at| (kin.message(at).id(), kin.references(at), kin.message(at).subject)).collect();
        assert_eq!(all, [(Some(0), &[][..], 1), (Some(2), &[0, 1], 0), (None, &[2], 1)]);
        assert_eq!(kin.places(&[3, 9]), Some(vec![0, 2]));
        assert_eq!(kin.places(&[3, 4]), None);
    }

    #[test]
    fn there_is_an_end() {
        let (mut kindred, long) = (Kindred::default(), vec![b'x'; MAX_BYTES / 4]);
        let adds = |kindred: &mut Kindred, n: u8| {
            kindred.add_message(n.into(), 0, &[&long[..], &[n]].concat(), [].into_iter(), b"", false)
        };
        assert!((1..=3).all(|n| adds(&mut kindred, n)));
        assert!(!adds(&mut kindred, 4));
    }
}
