//! Threads (RFC 5256 section 3): which message is an answer to which.
//!
//! [`Threads`] is the messages of a result in the order of the mailbox, as [`Kin`] knows them: message ids and base subjects are numbers there, so
//! that comparing them is comparing numbers. [`Threads::build`] makes a forest of them by one of three algorithms; [`Forest::write`] writes
//! it as a THREAD response. Nothing here recurses, since a thread may be as deep as the mailbox is big.
//!
//! Work is bounded by [`references::MAX_CLIMBS`]; beyond, the client is told so.

mod forest;
mod ordered;
mod references;

use std::sync::Arc;

pub use forest::Forest;
use forest::Node;

use super::parse::sort::Algorithm;
use crate::store::cache::{Kin, Relative};

/// The messages of a result.
#[derive(Debug)]
pub struct Threads {
    kin: Arc<Kin>,
    /// Place among its kin, and what is told of it: number or UID. Both ascending.
    rows: Vec<(u32, u32)>,
}

/// The limit of work was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

impl Threads {
    /// Those of `kin` whose places and names are given, both ascending.
    pub fn new(kin: Arc<Kin>, rows: Vec<(u32, u32)>) -> Threads {
        Threads { kin, rows }
    }

    /// How many messages.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    fn message(&self, row: u32) -> &Relative {
        self.kin.message(self.rows[row as usize].0 as usize)
    }

    fn references(&self, row: u32) -> &[u32] {
        self.kin.references(self.rows[row as usize].0 as usize)
    }

    fn node(&self, row: u32) -> Node {
        Node::new(self.rows[row as usize].1, self.message(row).date)
    }

    /// Thread them.
    pub fn build(&self, algorithm: Algorithm) -> Result<Forest, TooMuch> {
        match algorithm {
            Algorithm::OrderedSubject => Ok(ordered::build(self)),
            Algorithm::References => references::build(self, true),
            Algorithm::Refs => references::build(self, false),
        }
    }
}

#[cfg(test)]
mod tests;
