//! Puts messages in order (RFC 5256 section 3, RFC 5957).
//!
//! What is compared is a rank for each message and criterion ([`Ranks`]). Those that the folder keeps from an earlier SORT are taken from there;
//! for the others [`Keys`] collects what is compared, numbers or strings as i;unicode-casemap made them, makes ranks of it, and gives
//! them to the folder. What is equal in all criteria is in the order of the mailbox. Memory is bounded by
//! [`MAX_BYTES`]; beyond, the client is told so.

mod rank;

use super::parse::sort::{Criterion, SortKey};
use crate::store::Mailbox;
use crate::store::cache::{Facts, Ranks, Wants};

/// Bytes of strings in one command: 100,000 messages with a long subject each take 10 MB.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What one criterion compares.
#[derive(Debug)]
enum Column {
    /// Ranks of all messages of the result, as the folder keeps them.
    Kept(Vec<u32>),
    /// A number for each message that was added.
    Numbers(Vec<i64>),
    /// Strings, and where each ends.
    Texts(Vec<u8>, Vec<u32>),
}

/// What is compared of the messages of a result.
#[derive(Debug)]
pub struct Keys {
    criteria: Vec<Criterion>,
    columns: Vec<Column>,
    /// Messages of the result that were added: places in it, and UIDs.
    rows: Vec<u32>,
    uids: Vec<u32>,
    /// Of all strings.
    bytes: usize,
}

/// The order of the messages that were added.
#[derive(Debug)]
pub struct Sorted {
    /// Places in the result.
    pub places: Vec<u32>,
    /// What was found out on the way.
    pub ranks: Vec<(SortKey, Ranks)>,
}

impl Keys {
    /// To sort the messages `uids` (ascending) of `mailbox` by these.
    pub fn new(mut criteria: Vec<Criterion>, mailbox: &Mailbox, uids: &[u32]) -> Keys {
        // A key that comes again decides nothing more.
        let mut seen = [false; SortKey::COUNT];
        criteria.retain(|criterion| !std::mem::replace(&mut seen[criterion.key as usize], true));
        let column = |criterion: &Criterion| match mailbox.ranks(criterion.key).and_then(|ranks| ranks.of(uids)) {
            Some(ranks) => Column::Kept(ranks),
            None => Column::empty(criterion.key),
        };
        let columns = criteria.iter().map(column).collect();
        Keys { criteria, columns, rows: Vec::new(), uids: Vec::new(), bytes: 0 }
    }

    /// What must be known of each message; `None` if all is known of the whole result.
    pub fn wants(&self) -> Option<Wants> {
        let missing = |column: &Column| !matches!(column, Column::Kept(_));
        let wants = |key| match key {
            SortKey::Arrival | SortKey::Size => Wants::NONE,
            SortKey::Date => Wants::NUMBERS,
            _ => Wants::SORT,
        };
        let missing = self.columns.iter().zip(&self.criteria).filter(|(column, _)| missing(column));
        missing.map(|(_, criterion)| wants(criterion.key)).reduce(Wants::and)
    }

    /// Is this to be found out of each message?
    pub fn lacks(&self, key: SortKey) -> bool {
        let mut columns = self.columns.iter().zip(&self.criteria);
        columns.any(|(column, criterion)| criterion.key == key && !matches!(column, Column::Kept(_)))
    }

    /// Messages so far.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Add a message: its place in the result, its UID, its INTERNALDATE, its size. Returns whether there was room.
    pub fn add(&mut self, row: u32, uid: u32, date: i64, size: u64, facts: Option<&Facts<'_>>) -> bool {
        let sort = facts.map(Facts::sort).unwrap_or_default();
        for (criterion, column) in self.criteria.iter().zip(&mut self.columns) {
            let text = match criterion.key {
                SortKey::Arrival => {
                    column.add_number(date);
                    continue;
                }
                SortKey::Date => {
                    // RFC 5256 2.2: without a sent date the INTERNALDATE.
                    column.add_number(facts.and_then(Facts::sent).unwrap_or(date));
                    continue;
                }
                SortKey::Size => {
                    column.add_number(i64::try_from(size).unwrap_or(i64::MAX));
                    continue;
                }
                SortKey::Subject => sort.subject,
                SortKey::From => sort.from,
                SortKey::To => sort.to,
                SortKey::Cc => sort.cc,
                SortKey::DisplayFrom => sort.display_from,
                SortKey::DisplayTo => sort.display_to,
            };
            self.bytes += column.add_text(text);
        }
        self.rows.push(row);
        self.uids.push(uid);
        self.bytes <= MAX_BYTES
    }

    /// The messages that were added, in order; all of a result of `count` if nothing had to be known of them.
    pub fn sorted(self, count: usize) -> Sorted {
        let is_known = self.wants().is_none();
        // Messages are counted in 32 bits.
        let rows = if is_known { (0..count as u32).collect() } else { self.rows };
        let (mut columns, mut ranks) = (Vec::new(), Vec::new());
        for (criterion, column) in self.criteria.into_iter().zip(self.columns) {
            let found = match column {
                Column::Kept(all) if is_known => {
                    columns.push((all, criterion.reverse));
                    continue;
                }
                Column::Kept(all) => {
                    let some = rows.iter().map(|row| all[*row as usize]).collect();
                    columns.push((some, criterion.reverse));
                    continue;
                }
                Column::Numbers(numbers) => rank::of_numbers(&numbers),
                Column::Texts(bytes, ends) => rank::of_texts(&bytes, &ends),
            };
            columns.push((found.clone(), criterion.reverse));
            ranks.push((criterion.key, Ranks::new(self.uids.clone(), found)));
        }
        let order = rank::order(rows.len() as u32, &columns);
        Sorted { places: order.into_iter().map(|row| rows[row as usize]).collect(), ranks }
    }
}

impl Column {
    fn empty(key: SortKey) -> Column {
        match key {
            SortKey::Arrival | SortKey::Date | SortKey::Size => Column::Numbers(Vec::new()),
            _ => Column::Texts(Vec::new(), Vec::new()),
        }
    }

    fn add_number(&mut self, number: i64) {
        if let Column::Numbers(numbers) = self {
            numbers.push(number);
        }
    }

    /// Returns what it takes.
    fn add_text(&mut self, text: &[u8]) -> usize {
        let Column::Texts(bytes, ends) = self else { return 0 };
        bytes.extend_from_slice(text);
        // Bounded by MAX_BYTES, and by one message's texts beyond that.
        ends.push(bytes.len() as u32);
        text.len()
    }
}

#[cfg(test)]
mod tests;
