//! How much of what others do in the open mailbox a client is told (NOTIFY, RFC 5465), and what this session did there itself.
//!
//! Writes nothing and compares nothing: [`View::collect`] asks.

use super::{NEVER, View};

/// What the client wants to be told of the changes that others make (RFC 5465). What it does itself is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wants {
    /// All.
    #[default]
    Everything,
    /// New messages and expunges.
    Counts,
    /// Nothing: the view stays as it is.
    Nothing,
}

impl View {
    /// Tell this much of what others do from now on. What was not told so far is told at the next look, as far as it is wanted now.
    pub fn want(&mut self, wants: Wants) {
        if self.wants != wants {
            self.wants = wants;
            self.generation = NEVER;
        }
    }

    /// This session made these messages here: they are not news to its client (RFC 5465 section 5.2).
    pub fn made(&mut self, uids: &[u32]) {
        if self.wants != Wants::Nothing {
            self.made.extend(uids);
        }
    }

    /// This session removed these messages: that is told whatever the client wants to hear of others.
    pub fn removed(&mut self, uids: impl IntoIterator<Item = u32>) {
        if self.wants == Wants::Nothing {
            self.removed.extend(uids);
        }
    }

    /// UIDs of messages that were found since this was last asked, and that this session has not made itself.
    pub fn take_new(&mut self) -> Vec<u32> {
        let Some(first) = self.new_from.take() else { return Vec::new() };
        let mut made = std::mem::take(&mut self.made);
        made.sort_unstable();
        let new = self.uids.iter_from(self.uids.below(first));
        new.filter(|uid| made.binary_search(uid).is_err()).collect()
    }
}
