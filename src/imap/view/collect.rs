//! Finding out what changed in a folder since the client was told, and queueing it.
//!
//! One pass over the messages in memory beside the list of UIDs. Decides what is told and what is not, the session's own changes
//! included; writes nothing.

use super::{Uids, View, Wants};
use crate::mail::Flags;
use crate::store::{Mailbox, Message};

/// Flag changes that this session itself just made (STORE).
#[derive(Debug, Clone, Copy)]
pub enum Own<'a> {
    /// None.
    None,
    /// Tell the flags of these UIDs (ascending), changed or not (RFC 3501 6.4.6).
    Echo(&'a [u32]),
    /// Do not tell the flags of these messages (ascending UIDs) if they are just these: the client knows them. If they changed, or if
    /// it was a `conditional` STORE, it wants the mod-sequence all the same (RFC 7162 3.1.3).
    Silent {
        /// UID, flags and keywords.
        known: &'a [(u32, Flags, u128)],
        /// See there.
        conditional: bool,
    },
    /// As [`Own::Silent`], and the mod-sequence was told, too.
    Told(&'a [(u32, Flags, u128)]),
}

/// How much of a message is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    Flags,
    /// The flags are as the client knows.
    Modseq,
}

impl View {
    /// Flags and keywords of those of `uids` (ascending) whose last change the client knows.
    pub fn known_flags(&self, mailbox: &Mailbox, uids: &[u32]) -> Vec<(u32, Flags, u128)> {
        let mut next = uids.iter().copied().peekable();
        mailbox.read(|messages| {
            let mut known = Vec::with_capacity(uids.len());
            for message in messages {
                while next.next_if(|uid| *uid < message.uid).is_some() {}
                if next.next_if_eq(&message.uid).is_some() && message.modseq <= self.modseq {
                    known.push((message.uid, message.flags, message.keywords));
                }
            }
            known
        })
    }

    /// Find out what changed since the last look and queue its announcements: expunges only if the
    /// protocol allows them now. The mailbox should have been refreshed.
    ///
    /// Does nothing as long as there are announcements to be written: a message that they are about to tell of might be
    /// gone again, and its number means nothing to the client yet.
    pub fn collect(&mut self, mailbox: &Mailbox, expunges: bool, own: Own<'_>) {
        if self.has_news() {
            return;
        }
        let generation = mailbox.generation();
        let same = generation == self.generation && matches!(own, Own::None);
        if same && !(self.held && expunges) {
            return;
        }
        let arrived = mailbox.read_to(|messages, highest| self.look(messages, highest, expunges, own));
        self.generation = generation;
        if arrived {
            self.claim_recent(mailbox.claim_recent(self.peek));
        }
        // After the messages: a keyword that one of them has is in the table by now.
        let keywords = mailbox.keywords();
        if keywords != self.keywords {
            self.keywords = keywords;
            self.queue.keywords = true;
        }
    }

    /// Find and queue what is different in the folder, all of it up to `highest`. Returns whether there are new messages.
    pub(super) fn look(&mut self, messages: &[Message], highest: u64, expunges: bool, own: Own<'_>) -> bool {
        let (mut gone, arrived) = self.compare(messages, own);
        let all_gone = gone.len();
        if !expunges {
            gone.clear();
        } else if self.wants == Wants::Nothing {
            let mut removed = std::mem::take(&mut self.removed);
            removed.sort_unstable();
            gone.retain(|index| self.uids.get(*index).is_some_and(|uid| removed.binary_search(&uid).is_ok()));
        }
        self.held = gone.len() < all_gone;
        if self.wants == Wants::Everything {
            // Otherwise there are flags above it that the client was not told, and may want to know later.
            self.modseq = self.modseq.max(highest);
        }
        if !self.held {
            self.synced = self.modseq;
            self.reader.knows(self.modseq.max(highest));
        }
        self.forget(&gone);
        self.queue.exists |= arrived;
        arrived
    }

    /// Compare the list with the folder. Returns indices of told messages that are gone, and whether there are new ones (added
    /// to the list here).
    fn compare(&mut self, messages: &[Message], own: Own<'_>) -> (Vec<usize>, bool) {
        let (mut gone, mut arrived) = (Vec::new(), Vec::new());
        let mut told = self.uids.iter().enumerate().peekable();
        for message in messages {
            while let Some((index, _)) = told.next_if(|(_, uid)| *uid < message.uid) {
                gone.push(index);
            }
            match told.peek() {
                None => arrived.push(message.uid),
                Some((_, uid)) if *uid == message.uid => {
                    told.next();
                    let changed = message.modseq > self.modseq && self.wants == Wants::Everything;
                    if let Some(tell) = own.tells(message, changed) {
                        self.queue.flags.push((message.uid, tell));
                    }
                }
                // A UID below told ones that the client does not know. It came back from the dead; a number in the
                // middle cannot be given any more, so this session does not see it.
                Some(_) => {}
            }
        }
        gone.extend(told.map(|(index, _)| index));
        if self.wants == Wants::Nothing {
            arrived.clear();
        }
        self.new_from = self.new_from.or(arrived.first().copied());
        arrived.iter().for_each(|uid| self.uids.push(*uid));
        (gone, !arrived.is_empty())
    }

    /// Take messages out of the list, by ascending indices, and queue that.
    fn forget(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let mut next = gone.iter().copied().peekable();
        let mut left = Uids::default();
        for (index, uid) in self.uids.iter().enumerate() {
            if next.next_if_eq(&index).is_none() {
                left.push(uid);
                continue;
            }
            // Written from the highest number down, so that no response changes the meaning of the next.
            self.queue.expunged.extend(u32::try_from(index + 1).ok().map(|number| (number, uid)));
            if let Ok(at) = self.recent.binary_search(&uid) {
                self.recent.remove(at);
            }
        }
        left.shrink();
        self.uids = left;
    }
}

impl Own<'_> {
    /// What is the client told of `message`, which `changed` since the last look or did not?
    fn tells(self, message: &Message, changed: bool) -> Option<Tell> {
        let expected = |known: &[(u32, Flags, u128)]| {
            let found = known.binary_search_by_key(&message.uid, |known| known.0);
            found.is_ok_and(|at| (message.flags, message.keywords) == (known[at].1, known[at].2))
        };
        match self {
            Own::None => changed.then_some(Tell::Flags),
            Own::Echo(uids) => (changed || uids.binary_search(&message.uid).is_ok()).then_some(Tell::Flags),
            Own::Silent { known, conditional } if expected(known) => (changed || conditional).then_some(Tell::Modseq),
            Own::Told(known) if expected(known) => None,
            Own::Silent { .. } | Own::Told(_) => changed.then_some(Tell::Flags),
        }
    }
}
