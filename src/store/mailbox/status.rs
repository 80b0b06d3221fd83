//! A folder's counters.

use super::super::filename::MessageName;
use super::super::quota::size_of;
use super::Mailbox;
use super::message::known_size;
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
    /// STATUS DELETED-STORAGE (RFC 9208 section 4.1.4): bytes on disk of the messages with \Deleted, which is what the quota gets back.
    pub fn deleted_size(&self) -> u64 {
        let Ok(_owner) = self.assume() else { return 0 };
        let state = self.state();
        let both = state.table.messages().iter().zip(state.table.entries());
        let deleted = both.filter(|(message, _)| message.flags.has(Flags::DELETED));
        let sizes = deleted.filter_map(|(_, entry)| size_of(&self.subdirectory(entry.place), &entry.name));
        // A name can say anything.
        sizes.fold(0, u64::saturating_add)
    }

    /// STATUS SIZE: not less than all messages together (RFC 8438 section 3). Exact where the names or the uidlist tell the sizes with
    /// CRLF; where they do not, twice the size on disk, which no message can be larger than. So no file is read.
    pub fn size(&self) -> u64 {
        // Saturating, since a name can say anything.
        let mut total = 0_u64;
        let mut unknown = Vec::new();
        {
            let state = self.state();
            for entry in state.table.entries() {
                match (known_size(entry), MessageName::parse(&entry.name).and_then(|name| name.size())) {
                    (Some(size), _) => total = total.saturating_add(size),
                    (None, Some(size)) => total = total.saturating_add(size.saturating_mul(2)),
                    (None, None) => unknown.push(self.path(entry.place, &entry.name)),
                }
            }
        }
        if let Ok(_owner) = self.assume() {
            let size = |path| std::fs::symlink_metadata(path).map_or(0, |meta| 2 * meta.len());
            total = unknown.iter().map(size).fold(total, u64::saturating_add);
        }
        total
    }
}

impl Mailbox {
    /// Counters, as of the last refresh. New messages have their UIDs, as with Dovecot: UIDNEXT is true, and a client that sees
    /// it grow finds the new messages below it.
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
