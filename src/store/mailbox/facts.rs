//! Looking at what is known of many messages.
//!
//! [`Mailbox::visit`] goes through messages in UID order and shows each one's [`Facts`], from the cache where it has them,
//! else from the file. Never wrong and never incomplete for want of a cache. Changes nothing that a client can see.

use std::fs::File;
use std::ops::ControlFlow;

use super::super::cache::{Facts, Wants, digest};
use super::super::{Error, Result};
use super::Mailbox;

/// A tour through messages: what is looked at, and the memory for it, which serves one visit after the other.
#[derive(Debug)]
pub struct Tour {
    wants: Wants,
    buffer: Vec<u8>,
}

impl Tour {
    /// To look at this of every message.
    pub fn new(wants: Wants) -> Tour {
        Tour { wants, buffer: Vec::new() }
    }

    /// What is looked at.
    pub fn wants(&self) -> Wants {
        self.wants
    }
}

/// How far a visit came.
#[derive(Debug)]
pub struct Visited {
    /// How many of the UIDs are done.
    pub done: usize,
    /// The first error: messages whose file could not be read were passed over.
    pub failed: Option<Error>,
}

impl Mailbox {
    /// Show `visitor` the messages `uids` (ascending), until it breaks or about `budget` bytes were read from files, but at least one.
    /// Those that are gone are passed over. The visitor is called without a lock held.
    pub fn visit(
        &self,
        tour: &mut Tour,
        uids: &[u32],
        budget: &mut u64,
        mut visitor: impl FnMut(&Facts<'_>) -> ControlFlow<()>,
    ) -> Result<Visited> {
        let mut visited = Visited { done: 0, failed: None };
        for &uid in uids {
            visited.done += 1;
            match self.open(uid).and_then(|file| self.digest(&file, tour)) {
                Ok(digest) => {
                    *budget = budget.saturating_sub(tour.buffer.len() as u64);
                    if visitor(&digest.facts(uid)).is_break() {
                        break;
                    }
                }
                Err(Error::Gone) => {}
                Err(error) => drop(visited.failed.get_or_insert(error)),
            }
            if *budget == 0 {
                break;
            }
        }
        Ok(visited)
    }

    fn digest(&self, file: &File, tour: &mut Tour) -> Result<digest::Digest> {
        digest::read(file, tour.wants.needs_body(), &mut tour.buffer).map_err(|e| Error::io(&self.dir, e))
    }
}
