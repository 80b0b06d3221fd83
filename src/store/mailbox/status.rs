//! A folder's counters.

use super::Mailbox;
use crate::mail::Flags;

/// What STATUS tells (RFC 3501 section 6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// MESSAGES.
    pub messages: u32,
    /// RECENT: messages that no session was told of.
    pub recent: u32,
    /// UNSEEN: messages without \Seen.
    pub unseen: u32,
    /// Messages with \Deleted.
    pub deleted: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// HIGHESTMODSEQ (RFC 7162).
    pub highest_modseq: u64,
}

impl Mailbox {
    /// Counters, as of the last refresh.
    pub fn status(&self) -> Status {
        let state = self.state();
        let mut status = Status {
            uid_next: state.next_uid,
            uid_validity: self.uid_validity,
            highest_modseq: state.highest_modseq,
            ..Status::default()
        };
        for (message, entry) in state.table.messages().iter().zip(state.table.entries()) {
            status.messages += 1;
            status.recent += u32::from(entry.recent);
            status.unseen += u32::from(!message.flags.has(Flags::SEEN));
            status.deleted += u32::from(message.flags.has(Flags::DELETED));
        }
        status
    }
}
