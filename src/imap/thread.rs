//! Threads (RFC 5256 section 3): which message is an answer to which.
//!
//! [`Threads`] collects the messages of a result in the order of the mailbox; [`Threads::build`] makes a forest of them by one of three
//! algorithms; [`Forest::write`] writes it as a THREAD response. Message-IDs and base subjects become small numbers on the way in, so
//! that comparing them is comparing numbers, and nothing here recurses, since a thread may be as deep as the mailbox is big.
//!
//! Memory is bounded by [`MAX_BYTES`] of ids and subjects, work by [`references::MAX_CLIMBS`]; beyond either the client is told so.

mod forest;
mod ordered;
mod references;

use std::collections::HashMap;

pub use forest::Forest;

use super::parse::sort::Algorithm;
use crate::store::cache::{Facts, Wants};

/// Bytes of ids and subjects in one command: 100,000 messages with ten references each take 60 MB.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// What a kept text takes beside its bytes.
const TEXT_COST: usize = 64;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    /// Number or UID: what is told. Ascending.
    name: u32,
    /// Sent date, or INTERNALDATE (RFC 5256 section 2.2).
    date: i64,
    id: Option<u32>,
    /// Where its references are in [`Threads::references`].
    references: std::ops::Range<usize>,
    /// Base subject; 0 if it is empty.
    subject: u32,
    is_reply: bool,
}

/// The messages of a result.
#[derive(Debug, Default)]
pub struct Threads {
    messages: Vec<Message>,
    references: Vec<u32>,
    ids: Texts,
    subjects: Texts,
}

/// Gives every text a number, counted from 0.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Box<[u8]>, u32>,
    bytes: usize,
}

impl Texts {
    fn number(&mut self, text: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.bytes += text.len() + TEXT_COST;
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.into(), number);
        number
    }
}

/// The limit of work was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

impl Threads {
    /// What must be known of each message.
    pub fn wants(algorithm: Algorithm) -> Wants {
        let all = Wants::NUMBERS;
        match algorithm {
            Algorithm::OrderedSubject => all.and(Wants::SORT),
            Algorithm::References => all.and(Wants::SORT).and(Wants::THREAD),
            Algorithm::Refs => all.and(Wants::THREAD),
        }
    }

    /// Messages so far.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// Add the next message, which is told as `name`. Returns whether there was room.
    pub fn add(&mut self, name: u32, date: i64, facts: &Facts<'_>) -> bool {
        let (sort, thread) = (facts.sort(), facts.thread());
        let date = facts.sent().unwrap_or(date);
        self.add_message(name, date, thread.id, thread.references(), sort.subject, sort.is_reply)
    }

    fn add_message<'a>(
        &mut self,
        name: u32,
        date: i64,
        id: &[u8],
        references: impl Iterator<Item = &'a [u8]>,
        subject: &[u8],
        is_reply: bool,
    ) -> bool {
        let start = self.references.len();
        for reference in references {
            self.references.push(self.ids.number(reference));
        }
        self.messages.push(Message {
            name,
            date,
            id: (!id.is_empty()).then(|| self.ids.number(id)),
            references: start..self.references.len(),
            subject: if subject.is_empty() { 0 } else { self.subjects.number(subject) + 1 },
            is_reply,
        });
        self.ids.bytes + self.subjects.bytes + 4 * self.references.len() <= MAX_BYTES
    }

    /// Thread them.
    pub fn build(self, algorithm: Algorithm) -> Result<Forest, TooMuch> {
        match algorithm {
            Algorithm::OrderedSubject => Ok(ordered::build(&self)),
            Algorithm::References => references::build(&self, true),
            Algorithm::Refs => references::build(&self, false),
        }
    }
}

#[cfg(test)]
mod tests;
