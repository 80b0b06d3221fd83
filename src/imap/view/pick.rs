//! What a sequence set means to a view, and the search result variable (RFC 5182).
//!
//! The variable holds ranges of UIDs, from a message of the view to a message of the view, between which no message of the view
//! was left out. UIDs are never used twice, so it stays right when messages go, and new ones have higher UIDs.

use super::View;
use crate::imap::parse::MessageSet;
use crate::imap::reply::Reply;
use crate::store::Mailbox;

/// Messages that a sequence set means: ranges of message numbers, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picked(Vec<(u32, u32)>);

impl Picked {
    /// The message numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(low, high)| *low..=*high)
    }

    /// The message numbers from `from` on, ascending.
    pub fn numbers_from(&self, from: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.0.partition_point(|(_, high)| *high < from);
        self.0[first..].iter().flat_map(move |(low, high)| (*low).max(from)..=*high)
    }

    /// The smallest message number from `from` on.
    pub fn next_from(&self, from: u32) -> Option<u32> {
        let range = self.0.get(self.0.partition_point(|(_, high)| *high < from))?;
        Some(range.0.max(from))
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(low, high)| (high - low) as usize + 1).sum()
    }

    /// Those between these places, counted from 0.
    pub fn piece(&self, places: std::ops::Range<usize>) -> Picked {
        let (mut before, mut piece) = (0, Vec::new());
        for (low, high) in &self.0 {
            let count = (high - low) as usize + 1;
            let (first, end) = (places.start.max(before), places.end.min(before + count));
            if first < end {
                // Places in a range of u32 fit.
                piece.push((low + (first - before) as u32, low + (end - 1 - before) as u32));
            }
            before += count;
        }
        Picked(piece)
    }

    /// Those that are in both.
    pub fn and(&self, other: &Picked) -> Picked {
        let (mut a, mut b, mut both) = (0, 0, Vec::new());
        while let (Some(one), Some(two)) = (self.0.get(a), other.0.get(b)) {
            let (low, high) = (one.0.max(two.0), one.1.min(two.1));
            if low <= high {
                both.push((low, high));
            }
            if one.1 < two.1 { a += 1 } else { b += 1 }
        }
        Picked(both)
    }

    /// Those that are in one of the two.
    pub fn or(&self, other: &Picked) -> Picked {
        let mut all: Vec<(u32, u32)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (low, high) in all {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Picked(merged)
    }

    /// No message at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl View {
    /// The messages that `set` means. UIDs that do not exist are passed over (RFC 3501 6.4.8); a message number
    /// that does not exist is the client's mistake.
    pub fn pick(&self, set: &MessageSet, by_uid: bool) -> Result<Picked, Reply> {
        let set = match set {
            // RFC 5182 2.1: an empty variable is a valid set that means nothing.
            MessageSet::Saved => return Ok(self.pick_uids(&self.saved)),
            MessageSet::Set(set) => set,
        };
        if by_uid {
            return Ok(self.pick_uids(&set.normalize(self.uids.last().unwrap_or(0))));
        }
        let star = set.0.iter().any(|range| range.first.is_none() || range.last.is_none());
        if self.uids.is_empty() && star {
            // `1:*` of nothing is nothing: clients ask it of every mailbox they open.
            return Ok(Picked::default());
        }
        let ranges = set.normalize(self.count());
        if ranges.last().is_none_or(|(_, high)| *high > self.count()) {
            return Err(Reply::bad("No message has such a number in this mailbox"));
        }
        Ok(Picked(ranges))
    }

    /// All messages.
    pub fn everything(&self) -> Picked {
        self.picked_numbers(&[(1, self.count())])
    }

    /// Those of these message numbers (sorted ranges) that there are.
    pub fn picked_numbers(&self, ranges: &[(u32, u32)]) -> Picked {
        let ranges = ranges.iter().map(|(low, high)| (*low, (*high).min(self.count())));
        Picked(ranges.filter(|(low, high)| low <= high).collect())
    }

    /// The messages of these UIDs, ascending.
    pub fn pick_these(&self, uids: &[u32]) -> Picked {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in uids.iter().filter_map(|uid| self.number(*uid)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Picked(ranges)
    }

    /// The messages whose UIDs are in these ranges (sorted).
    pub fn pick_uids(&self, ranges: &[(u32, u32)]) -> Picked {
        let index = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
        let ranges = ranges.iter().filter_map(|(low, high)| {
            let first = index(self.uids.below(*low));
            let last = index(self.uids.below(*high) + usize::from(self.uids.find(*high).is_some()));
            (first < last).then_some((first + 1, last))
        });
        Picked(ranges.collect())
    }

    /// Set the search result variable to messages, by ascending numbers.
    pub fn save(&mut self, numbers: impl Iterator<Item = u32>) {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let mut last = 0;
        for number in numbers {
            let Some(uid) = self.uid(number) else { continue };
            match ranges.last_mut() {
                Some(range) if number == last + 1 => range.1 = uid,
                _ => ranges.push((uid, uid)),
            }
            last = number;
        }
        self.saved = ranges;
    }

    /// The search result variable: ranges of UIDs, ascending.
    pub fn saved(&self) -> &[(u32, u32)] {
        &self.saved
    }

    /// Those of `picked` with a mod-sequence above `modseq` (RFC 7162 3.1.4.1).
    pub fn changed_since(&self, mailbox: &Mailbox, picked: &Picked, modseq: u64) -> Picked {
        let changed: Vec<u32> = mailbox.read(|messages| {
            let changed = messages.iter().filter(|message| message.modseq > modseq);
            changed.filter_map(|message| self.number(message.uid)).collect()
        });
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in changed.into_iter().filter(|number| picked.next_from(*number) == Some(*number)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Picked(ranges)
    }

    /// UIDs of picked messages, ascending.
    pub fn picked_uids(&self, picked: &Picked) -> Vec<u32> {
        picked.numbers().filter_map(|number| self.uid(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;

    #[test]
    fn sets_mean_messages() {
        let view = View::of(&[10, 20, 30]);
        let table: &[(&str, bool, Option<&[u32]>)] = &[
            ("1:*", false, Some(&[1, 2, 3])),
            ("*", false, Some(&[3])),
            ("3,1", false, Some(&[1, 3])),
            ("4", false, None),
            ("2:9", false, None),
            ("15:25", true, Some(&[2])),
            ("1:5", true, Some(&[])),
            ("500:*", true, Some(&[3])),
            ("10,30", true, Some(&[1, 3])),
            ("4294967295", true, Some(&[])),
        ];
        for (text, by_uid, expected) in table {
            let set = Cursor::new(text.as_bytes()).message_set().unwrap();
            let picked = view.pick(&set, *by_uid).ok().map(|picked| picked.numbers().collect::<Vec<_>>());
            assert_eq!(picked.as_deref(), *expected, "{text}");
        }
        let all = Cursor::new(b"1:*").message_set().unwrap();
        assert!(View::default().pick(&all, false).unwrap().is_empty());
        assert!(View::default().pick(&Cursor::new(b"1").message_set().unwrap(), false).is_err());
        let picked = view.pick(&Cursor::new(b"1,3").message_set().unwrap(), false).unwrap();
        let many = Picked(vec![(1, 3), (7, 8), (10, 10)]);
        assert_eq!(many.count(), 6);
        for (places, want) in [(0..0, vec![]), (0..6, vec![(1, 3), (7, 8), (10, 10)]), (2..4, vec![(3, 3), (7, 7)])] {
            assert_eq!(many.piece(places), Picked(want));
        }
        assert_eq!((picked.next_from(1), picked.next_from(2), picked.next_from(4)), (Some(1), Some(3), None));
    }

    /// RFC 5182 2.1: what is expunged leaves the variable, what arrives does not enter it.
    #[test]
    fn the_search_result_variable() {
        let mut view = View::of(&[10, 20, 30, 40]);
        let picked = |view: &View, by_uid| {
            view.pick(&MessageSet::Saved, by_uid).ok().map(|picked| picked.numbers().collect::<Vec<_>>())
        };
        assert_eq!(picked(&view, false), Some(vec![]));
        view.save([1, 2, 4].into_iter());
        assert_eq!(view.saved(), [(10, 20), (40, 40)]);
        assert_eq!((picked(&view, false), picked(&view, true)), (Some(vec![1, 2, 4]), Some(vec![1, 2, 4])));
        view.uids = [20, 30, 40, 50].into_iter().collect();
        assert_eq!(picked(&view, false), Some(vec![1, 3]));
        view.save(std::iter::empty());
        assert_eq!(picked(&view, true), Some(vec![]));
    }
}
