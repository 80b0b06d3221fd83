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

#[cfg(test)]
mod tests {
    use super::super::Own;
    use super::*;
    use crate::mail::Flags;
    use crate::store::Message;

    fn folder(rows: &[(u32, u64)]) -> Vec<Message> {
        rows.iter()
            .map(|(uid, modseq)| Message { uid: *uid, flags: Flags::NONE, keywords: 0, modseq: *modseq })
            .collect()
    }

    /// What a look queues: expunged UIDs, whether EXISTS, and UIDs whose flags are told.
    fn look(view: &mut View, now: &[(u32, u64)], own: Own<'_>) -> (Vec<u32>, bool, Vec<u32>) {
        let highest = now.iter().map(|row| row.1).max().unwrap_or(0).max(20);
        view.look(&folder(now), highest, true, own);
        let queue = std::mem::take(&mut view.queue);
        let gone = queue.expunged.iter().map(|row| row.1).collect();
        (gone, queue.exists, queue.flags.iter().map(|row| row.0).collect())
    }

    #[test]
    fn what_was_not_wanted_is_told_when_it_is() {
        let mut view = View::of(&[1, 2, 3]);
        view.modseq = 3;
        view.want(Wants::Counts);
        assert_eq!(look(&mut view, &[(1, 10), (3, 3), (4, 11)], Own::None), (vec![2], true, vec![]));
        // The client knows all up to there, but for flags above it.
        assert_eq!(view.synced(), 3);
        assert_eq!(look(&mut view, &[(1, 10), (3, 12), (4, 11)], Own::Echo(&[3])), (vec![], false, vec![3]));
        view.want(Wants::Everything);
        let (gone, exists, flags) = look(&mut view, &[(1, 10), (3, 12), (4, 11)], Own::None);
        assert_eq!((gone, exists, flags.contains(&1)), (vec![], false, true));
        assert_eq!(view.synced(), 20);
    }

    #[test]
    fn a_view_that_stands_still_tells_what_its_own_session_did() {
        let mut view = View::of(&[1, 2, 3, 4]);
        view.want(Wants::Nothing);
        assert_eq!(look(&mut view, &[(2, 9), (3, 3), (4, 4), (5, 10)], Own::None), (vec![], false, vec![]));
        view.removed([3]);
        assert_eq!(look(&mut view, &[(2, 9), (4, 4), (5, 10)], Own::Echo(&[4])), (vec![3], false, vec![4]));
        assert_eq!((view.count(), view.uid(1)), (3, Some(1)));
        view.want(Wants::Counts);
        assert_eq!(look(&mut view, &[(2, 9), (4, 4), (5, 10)], Own::None), (vec![1], true, vec![]));
    }

    #[test]
    fn messages_of_ones_own_are_not_new() {
        let mut view = View::of(&[1]);
        view.made(&[3, 2]);
        look(&mut view, &[(1, 1), (2, 2), (3, 3), (4, 4)], Own::None);
        assert_eq!((view.take_new(), view.take_new()), (vec![4], vec![]));
    }
}
