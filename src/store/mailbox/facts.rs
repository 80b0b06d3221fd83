//! Looking at what is known of many messages.
//!
//! [`Mailbox::visit`] goes through messages in UID order and shows each one's [`Facts`], from the cache where it has them,
//! else from the file ([`super::fill`]), and then the cache has them. Never wrong and never incomplete for want of a cache. Changes nothing
//! that a client can see.

use std::ops::ControlFlow;

use super::super::cache::digest::Digest;
use super::super::cache::{Facts, Identity, Opened, Place, Wants, Window, key_number};
use super::super::filename::{self, MessageName};
use super::super::{Error, Result};
use super::{Mailbox, Message};

/// Messages that are looked up at once, and those that are read from files before the visitor sees the first of them.
const CHUNK: usize = 256;
/// What opening a file counts as, in bytes read.
pub(super) const OPEN_COST: u64 = 16 * 1024;
/// What looking at a record counts as.
const LOOK_COST: u64 = 64;

/// A tour through messages: what is looked at, and the memory for it, which serves one visit after the other. One tour is about one folder.
#[derive(Debug)]
pub struct Tour {
    wants: Wants,
    opened: Option<Opened>,
    window: Window,
    /// What was read from files and not shown yet, ascending.
    fresh: Vec<(u32, Result<Digest>)>,
}

impl Tour {
    /// To look at this of every message.
    pub fn new(wants: Wants) -> Tour {
        Tour { wants, opened: None, window: Window::new(wants), fresh: Vec::new() }
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
    /// Was every file whole? What was shown of one that somebody may still be writing is true now, and must not be kept.
    pub is_settled: bool,
}

/// Where the cache has what is wanted of some messages.
struct Found {
    heads: Vec<Option<Place>>,
    bodies: Vec<Option<Place>>,
}

impl Found {
    /// Is something of message `n` not there?
    fn lacks(&self, wants: Wants, n: usize) -> bool {
        wants.needs_head() && self.heads[n].is_none() || wants.needs_body() && self.bodies[n].is_none()
    }
}

impl Mailbox {
    /// Show `visitor` the messages `uids` (ascending), until it breaks or about `budget` bytes were read from files, but at least one.
    /// Those that are gone are shown as long as the cache knows them, else passed over. The visitor is called without a lock held. Budget is also taken, little, for messages that the
    /// cache knows.
    pub fn visit(
        &self,
        tour: &mut Tour,
        uids: &[u32],
        budget: &mut u64,
        mut visitor: impl FnMut(&Facts<'_>) -> ControlFlow<()>,
    ) -> Result<Visited> {
        let _owner = self.assume()?;
        let mut visited = Visited { done: 0, failed: None, is_settled: true };
        while visited.done < uids.len() && (visited.done == 0 || *budget > 0) {
            let rest = &uids[visited.done..];
            let chunk = &rest[..rest.len().min(CHUNK)];
            if self.visit_some(tour, chunk, budget, &mut visited, &mut visitor)?.is_break() {
                break;
            }
        }
        Ok(visited)
    }

    /// A chunk of a visit, or a piece of it if the budget ends.
    fn visit_some(
        &self,
        tour: &mut Tour,
        uids: &[u32],
        budget: &mut u64,
        visited: &mut Visited,
        visitor: &mut impl FnMut(&Facts<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let found = self.find(tour, uids);
        for (n, uid) in uids.iter().enumerate() {
            let (head, body) = (found.heads[n], found.bodies[n]);
            let facts = if let Ok(at) = tour.fresh.binary_search_by_key(uid, |entry| entry.0) {
                let entry = &mut tour.fresh[at].1;
                if entry.as_ref().is_err_and(|error| !matches!(error, Error::Gone)) {
                    visited.failed = visited.failed.take().or(std::mem::replace(entry, Err(Error::Gone)).err());
                }
                visited.is_settled &= entry.as_ref().map_or(true, |digest| digest.is_settled);
                entry.as_ref().ok().map(|digest| digest.facts(*uid))
            } else if !found.lacks(tour.wants, n) {
                *budget = budget.saturating_sub(LOOK_COST);
                let Some(opened) = tour.opened.as_ref().filter(|_| head.is_some() || body.is_some()) else {
                    // Wanted only if it is known, which it is not.
                    visited.done += 1;
                    if visitor(&Facts::none(*uid)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    continue;
                };
                if !tour.window.load(opened, head, body) {
                    self.cache.doubt(opened);
                    tour.opened = None;
                    // From the files, or from a new cache.
                    return Ok(ControlFlow::Continue(()));
                }
                let (head, body) = tour.window.halves(head, body);
                Some(Facts::of(*uid, head, body))
            } else {
                if visited.done == 0 || *budget > 0 {
                    let missing = (n..uids.len()).filter(|n| found.lacks(tour.wants, *n)).map(|n| uids[n]);
                    let room = usize::try_from(*budget / OPEN_COST).unwrap_or(usize::MAX).max(1);
                    self.fill(tour, &missing.take(room).collect::<Vec<u32>>(), budget)?;
                }
                // The index is another one now: look up again, or end here.
                return Ok(ControlFlow::Continue(()));
            };
            visited.done += 1;
            if facts.is_some_and(|facts| visitor(&facts).is_break()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Look up a chunk. Opens the cache if that was not done in this tour.
    fn find(&self, tour: &mut Tour, uids: &[u32]) -> Found {
        if tour.opened.is_none() {
            tour.opened = self.cache.open(&mut |uid| self.identify(uid));
            tour.window.clear();
        }
        let none = || vec![None; uids.len()];
        let opened = tour.opened.as_ref();
        let heads = opened.filter(|_| tour.wants.needs_head()).map_or_else(none, |o| o.find_heads(uids));
        let bodies = opened.filter(|_| tour.wants.has_body()).map_or_else(none, |o| o.find_bodies(uids));
        Found { heads, bodies }
    }

    /// Read these messages' files, show the cache, and keep what was found for the visitor.
    fn fill(&self, tour: &mut Tour, uids: &[u32], budget: &mut u64) -> Result<()> {
        tour.fresh = self.read_files(uids, tour.wants.needs_body(), budget)?;
        // Of a file that somebody may still be writing only the visitor learns, now. One that has the size in its name is whole.
        for (uid, digest) in &mut tour.fresh {
            let Ok(digest) = digest else { continue };
            let named = self.identify(*uid).and_then(|(_, named_size)| named_size);
            digest.is_settled |= named.is_some_and(|named| named == digest.facts(*uid).size());
        }
        let read = tour.fresh.iter().filter_map(|(uid, digest)| Some((*uid, digest.as_ref().ok()?)));
        let known: Vec<(u32, &Digest)> = read.filter(|(_, digest)| digest.is_settled).collect();
        if known.is_empty() || self.is_read_only() {
            return Ok(());
        }
        let mut identify = |uid| self.identify(uid);
        // Let go of the index, so that adding to it need not copy it.
        tour.opened = None;
        self.cache.add(&known, &mut identify);
        if let Some(opened) = self.cache.open(&mut identify) {
            self.cache.gather(&opened, &mut identify);
        }
        Ok(())
    }

    /// Which message a UID is, for records about it.
    pub(super) fn identify(&self, uid: u32) -> Identity {
        let state = self.state();
        let (_, entry) = state.table.get(uid)?;
        let size = MessageName::parse(&entry.name).and_then(|name| name.size());
        Some((key_number(&filename::key(entry.base())), size))
    }

    /// What is in memory of `uids` (ascending), in one look: the message, its size on the wire if its name or the uidlist tells it, and its
    /// INTERNALDATE if somebody asked before. Messages that are gone are passed over. `f` must be short and must not call back.
    pub fn outline(&self, uids: &[u32], mut f: impl FnMut(&Message, Option<u64>, Option<i64>)) {
        let state = self.state();
        let (messages, entries) = (state.table.messages(), state.table.entries());
        let Some(first) = uids.first() else { return };
        let mut at = messages.partition_point(|message| message.uid < *first);
        for uid in uids {
            if messages.get(at).is_some_and(|message| message.uid < *uid) {
                at += messages[at..].partition_point(|message| message.uid < *uid);
            }
            if let Some(message) = messages.get(at).filter(|message| message.uid == *uid) {
                let entry = &entries[at];
                f(message, super::message::known_size(entry), entry.known_date());
                at += 1;
            }
        }
    }
}
