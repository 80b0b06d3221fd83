//! Puts messages in order (RFC 5256 section 3, RFC 5957).
//!
//! [`Keys`] collects what is compared: a row of cells a message, one for each criterion, strings in one buffer as i;unicode-casemap made
//! them. A string is compared by its first eight bytes, and only if these are the same by the rest. What is
//! equal in all criteria is in the order of the mailbox. Memory is bounded by [`MAX_BYTES`]; beyond, the client is told so.

use std::cmp::Ordering;

use super::parse::sort::{Criterion, SortKey};
use crate::store::cache::{Facts, Wants};

/// Bytes of strings in one command: 100,000 messages with a long subject each take 10 MB.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What one criterion compares of one message.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// A number, or the beginning of a string, so that comparing it compares them.
    prefix: u64,
    start: u32,
    end: u32,
}

/// The rows of all messages.
#[derive(Debug)]
pub struct Keys {
    criteria: Vec<Criterion>,
    /// Message numbers, in the order in which they were added.
    numbers: Vec<u32>,
    cells: Vec<Cell>,
    strings: Vec<u8>,
}

impl Keys {
    /// To sort by these.
    pub fn new(criteria: Vec<Criterion>) -> Keys {
        Keys { criteria, numbers: Vec::new(), cells: Vec::new(), strings: Vec::new() }
    }

    /// What must be known of each message.
    pub fn wants(&self) -> Wants {
        self.criteria.iter().fold(Wants::NONE, |wants, criterion| match criterion.key {
            SortKey::Arrival | SortKey::Size => wants,
            SortKey::Date => wants.and(Wants::NUMBERS),
            _ => wants.and(Wants::SORT),
        })
    }

    /// Is it sorted by this?
    pub fn uses(&self, key: SortKey) -> bool {
        self.criteria.iter().any(|criterion| criterion.key == key)
    }

    /// Messages so far.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Add a message: its number, its INTERNALDATE, its size. Returns whether there was room.
    pub fn add(&mut self, number: u32, date: i64, size: u64, facts: Option<&Facts<'_>>) -> bool {
        let sort = facts.map(Facts::sort).unwrap_or_default();
        for n in 0..self.criteria.len() {
            let cell = match self.criteria[n].key {
                SortKey::Arrival => number_cell(date),
                // RFC 5256 2.2: without a sent date the INTERNALDATE.
                SortKey::Date => number_cell(facts.and_then(Facts::sent).unwrap_or(date)),
                SortKey::Size => number_cell(i64::try_from(size).unwrap_or(i64::MAX)),
                SortKey::Subject => self.string(sort.subject),
                SortKey::From => self.string(sort.from),
                SortKey::To => self.string(sort.to),
                SortKey::Cc => self.string(sort.cc),
                SortKey::DisplayFrom => self.string(sort.display_from),
                SortKey::DisplayTo => self.string(sort.display_to),
            };
            self.cells.push(cell);
        }
        self.numbers.push(number);
        self.strings.len() <= MAX_BYTES
    }

    fn string(&mut self, value: &[u8]) -> Cell {
        let mut prefix = [0; 8];
        let head = value.len().min(8);
        prefix[..head].copy_from_slice(&value[..head]);
        let position = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let start = position(self.strings.len());
        self.strings.extend_from_slice(value);
        Cell { prefix: u64::from_be_bytes(prefix), start, end: position(self.strings.len()) }
    }

    /// The message numbers in order.
    pub fn sorted(mut self) -> Vec<u32> {
        let mut rows: Vec<usize> = (0..self.numbers.len()).collect();
        rows.sort_unstable_by(|a, b| self.compare(*a, *b));
        for row in &mut rows {
            *row = self.numbers[*row] as usize;
        }
        self.numbers.clear();
        rows.into_iter().filter_map(|number| u32::try_from(number).ok()).collect()
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let width = self.criteria.len();
        for (n, criterion) in self.criteria.iter().enumerate() {
            let (first, second) = (self.cells[a * width + n], self.cells[b * width + n]);
            let order = first.prefix.cmp(&second.prefix).then_with(|| self.text(first).cmp(self.text(second)));
            if order != Ordering::Equal {
                return if criterion.reverse { order.reverse() } else { order };
            }
        }
        // RFC 5256 section 3: REVERSE does not touch the implicit criterion.
        self.numbers[a].cmp(&self.numbers[b])
    }

    fn text(&self, cell: Cell) -> &[u8] {
        self.strings.get(cell.start as usize..cell.end as usize).unwrap_or_default()
    }
}

fn number_cell(number: i64) -> Cell {
    Cell { prefix: number.cast_unsigned() ^ (1 << 63), start: 0, end: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;
    use proptest::prelude::*;

    fn keys(text: &str) -> Keys {
        Keys::new(Cursor::new(text.as_bytes()).sort_criteria().unwrap())
    }

    #[test]
    fn numbers_with_ties() {
        let rows = [(1, 50, 9), (2, 40, 7), (3, 50, 7), (4, -5, 9)];
        let table = [
            ("(ARRIVAL)", [4, 2, 1, 3]),
            ("(REVERSE ARRIVAL)", [1, 3, 2, 4]),
            ("(SIZE)", [2, 3, 1, 4]),
            ("(SIZE ARRIVAL)", [2, 3, 4, 1]),
            ("(SIZE REVERSE ARRIVAL)", [3, 2, 1, 4]),
            ("(REVERSE SIZE)", [1, 4, 2, 3]),
        ];
        for (text, want) in table {
            let mut keys = keys(text);
            assert!(keys.wants().is_nothing());
            for (number, date, size) in rows {
                keys.add(number, date, size, None);
            }
            assert_eq!(keys.sorted(), want, "{text}");
        }
    }

    proptest! {
        /// Strings compare as their bytes do, however they begin.
        #[test]
        fn strings(texts in prop::collection::vec("[a\u{0}é]{0,12}", 0..20), reverse in any::<bool>()) {
            let mut keys = keys(if reverse { "(REVERSE SUBJECT)" } else { "(SUBJECT)" });
            for (n, text) in texts.iter().enumerate() {
                let cell = keys.string(text.as_bytes());
                keys.cells.push(cell);
                keys.numbers.push(n as u32);
            }
            let mut want: Vec<u32> = (0..texts.len() as u32).collect();
            want.sort_by(|a, b| {
                let order = texts[*a as usize].as_bytes().cmp(texts[*b as usize].as_bytes());
                if reverse { order.reverse() } else { order }
            });
            prop_assert_eq!(keys.sorted(), want);
        }
    }
}
