//! What a sequence set means to a view.

use super::View;
use crate::imap::parse::SequenceSet;
use crate::imap::reply::Reply;

/// Messages that a sequence set means: ranges of message numbers, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picked(Vec<(u32, u32)>);

impl Picked {
    /// The message numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(low, high)| *low..=*high)
    }

    /// The smallest message number from `from` on.
    pub fn next_from(&self, from: u32) -> Option<u32> {
        let range = self.0.get(self.0.partition_point(|(_, high)| *high < from))?;
        Some(range.0.max(from))
    }

    /// No message at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl View {
    /// The messages that `set` means. UIDs that do not exist are passed over (RFC 3501 6.4.8); a message number
    /// that does not exist is the client's mistake.
    pub fn pick(&self, set: &SequenceSet, by_uid: bool) -> Result<Picked, Reply> {
        if by_uid {
            let index = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
            let star = self.uids.last().copied().unwrap_or(0);
            let ranges = set.normalize(star).into_iter().filter_map(|(low, high)| {
                let first = index(self.uids.partition_point(|uid| *uid < low));
                let last = index(self.uids.partition_point(|uid| *uid <= high));
                (first < last).then_some((first + 1, last))
            });
            return Ok(Picked(ranges.collect()));
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
        let view = View { uids: vec![10, 20, 30], ..View::default() };
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
            let set = Cursor::new(text.as_bytes()).sequence_set().unwrap();
            let picked = view.pick(&set, *by_uid).ok().map(|picked| picked.numbers().collect::<Vec<_>>());
            assert_eq!(picked.as_deref(), *expected, "{text}");
        }
        let all = Cursor::new(b"1:*").sequence_set().unwrap();
        assert!(View::default().pick(&all, false).unwrap().is_empty());
        assert!(View::default().pick(&Cursor::new(b"1").sequence_set().unwrap(), false).is_err());
        let picked = view.pick(&Cursor::new(b"1,3").sequence_set().unwrap(), false).unwrap();
        assert_eq!((picked.next_from(1), picked.next_from(2), picked.next_from(4)), (Some(1), Some(3), None));
    }
}
