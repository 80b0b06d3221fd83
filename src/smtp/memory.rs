//! Memory for messages on their way in, over all connections.
//!
//! Owns one counter. A message may have [`EACH`] octets in memory without asking: most mail fits. More, up to what `intake.rs` allows a
//! message, comes out of [`IN_ALL`]; when that is used up, messages go to the disk earlier. So a flood of senders costs
//! connections times [`EACH`], and [`IN_ALL`] once, not connections times the most that a message may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets that every message may have in memory: a 10 KiB mail with room for its buffer's doubling.
pub(super) const EACH: usize = 16 * 1024;
/// Octets beyond those, of all messages together.
const IN_ALL: usize = 64 * 1024 * 1024;

/// What is left for all.
#[derive(Debug, Clone)]
pub struct Memory(Arc<AtomicUsize>);

/// What one message has of it; given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    octets: usize,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::of(IN_ALL)
    }
}

impl Memory {
    /// So many octets for all.
    pub(super) fn of(octets: usize) -> Memory {
        Memory(Arc::new(AtomicUsize::new(octets)))
    }

    /// For one more message.
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), octets: 0 }
    }
}

impl Share {
    /// May the message have so many octets in memory? It keeps what it was given before in any case.
    pub(super) fn covers(&mut self, octets: usize) -> bool {
        let more = octets.saturating_sub(EACH + self.octets);
        let take = |left: usize| left.checked_sub(more);
        let covered = more == 0 || self.memory.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if covered {
            self.octets += more;
        }
        covered
    }

    /// Nothing is in memory any more.
    pub(super) fn give_back(&mut self) {
        self.memory.0.fetch_add(std::mem::take(&mut self.octets), Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_are_free_and_large_ones_share() {
        let memory = Memory::of(100);
        let left = || memory.0.load(Ordering::Relaxed);
        let (mut one, mut two) = (memory.share(), memory.share());
        assert!(one.covers(EACH) && left() == 100);
        assert!(one.covers(EACH + 60) && one.covers(EACH + 50) && left() == 40);
        assert!(!two.covers(EACH + 41) && left() == 40);
        assert!(two.covers(EACH + 40) && left() == 0);
        assert!(!one.covers(EACH + 61) && one.covers(EACH + 60));
        drop(one);
        two.give_back();
        assert_eq!(left(), 100);
    }
}
