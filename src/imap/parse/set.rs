//! Sequence sets (RFC 3501 section 9 sequence-set): `1:3,7,10:*`; and `$`, the result of the last SEARCH that was told to
//! save it (RFC 5182).
//!
//! Numbers stay as the client wrote them; what they mean (message numbers or UIDs, and what `*` and `$` are) only a view
//! can say.

use super::{Cursor, Result};

/// Elements of one set: a line has no room for more UIDs of four digits. Each costs eight bytes, and sorting.
pub const MAX_RANGES: usize = 16 * 1024;

/// One element of a set. `None` is `*`, the largest number in use. The two ends may come in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetRange {
    /// First end.
    pub first: Option<u32>,
    /// Last end; equal to `first` for a single number.
    pub last: Option<u32>,
}

impl SetRange {
    /// The numbers from low to high, both included, when `*` is `star`.
    pub fn bounds(self, star: u32) -> (u32, u32) {
        let (a, b) = (self.first.unwrap_or(star), self.last.unwrap_or(star));
        (a.min(b), a.max(b))
    }
}

/// A set as it was written; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(pub Vec<SetRange>);

impl SequenceSet {
    /// Is it one number, or `*`?
    pub fn is_single(&self) -> bool {
        matches!(self.0[..], [SetRange { first, last }] if first == last)
    }

    /// The numbers as sorted ranges that neither overlap nor touch, when `*` is `star`.
    pub fn normalize(&self, star: u32) -> Vec<(u32, u32)> {
        let mut ranges: Vec<_> = self.0.iter().map(|range| range.bounds(star)).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        merged
    }
}

/// The messages that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// These.
    Set(SequenceSet),
    /// `$`: those of the search result variable. It stands alone, and is the same whether numbers or UIDs are meant.
    Saved,
}

impl Cursor<'_> {
    /// RFC 3501 sequence-set, as RFC 5182 section 3 extends it.
    pub fn message_set(&mut self) -> Result<MessageSet> {
        if self.eat(b'$') { Ok(MessageSet::Saved) } else { self.sequence_set().map(MessageSet::Set) }
    }

    /// RFC 3501 sequence-set.
    pub fn sequence_set(&mut self) -> Result<SequenceSet> {
        let mut ranges = Vec::new();
        loop {
            let first = self.seq_number()?;
            let last = if self.eat(b':') { self.seq_number()? } else { first };
            if ranges.len() == MAX_RANGES {
                return self.bad("too many numbers and ranges in a set");
            }
            ranges.push(SetRange { first, last });
            if !self.eat(b',') {
                return Ok(SequenceSet(ranges));
            }
        }
    }

    fn seq_number(&mut self) -> Result<Option<u32>> {
        if self.eat(b'*') {
            return Ok(None);
        }
        match self.peek() {
            Some(b'0'..=b'9') => self.nz_number().map(Some),
            _ => self.bad("expected a message number, a UID or *"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        type Case = (&'static str, Option<&'static [(u32, u32)]>);
        let table: &[Case] = &[
            ("1", Some(&[(1, 1)])),
            ("1:3,2:5", Some(&[(1, 5)])),
            ("5:3,9,1", Some(&[(1, 1), (3, 5), (9, 9)])),
            ("1,2,3", Some(&[(1, 3)])),
            ("*", Some(&[(100, 100)])),
            ("*:98", Some(&[(98, 100)])),
            ("200:*", Some(&[(100, 200)])),
            ("4294967295,4294967294", Some(&[(4_294_967_294, 4_294_967_295)])),
            ("0", None),
            ("1:", None),
            (",1", None),
            ("1,", None),
            ("a", None),
            ("4294967296", None),
        ];
        for (text, expected) in table {
            let mut cursor = Cursor::new(text.as_bytes());
            let set = cursor.sequence_set().and_then(|set| cursor.end().map(|()| set)).ok();
            assert_eq!(set.map(|set| set.normalize(100)).as_deref(), *expected, "{text}");
        }
    }
}
