//! Items of STATUS, also as a return option of LIST (RFC 3501 6.3.10, RFC 5819).

use super::{Cursor, Result};

/// One item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// Number of messages.
    Messages,
    /// Messages that no session was told of as \Recent.
    Recent,
    /// The UID that comes next.
    UidNext,
    /// The mailbox's UIDVALIDITY.
    UidValidity,
    /// Messages without \Seen.
    Unseen,
    /// Messages with \Deleted (RFC 9051).
    Deleted,
    /// Bytes of the messages with \Deleted (RFC 9208).
    DeletedStorage,
    /// The highest mod-sequence (RFC 7162).
    HighestModseq,
    /// Bytes of all messages (RFC 8438).
    Size,
    /// The mailbox's id (RFC 8474).
    MailboxId,
    /// The largest message that APPEND takes (RFC 7889).
    AppendLimit,
}

impl StatusItem {
    /// Items and their names.
    pub const TABLE: [(StatusItem, &'static str); 11] = [
        (StatusItem::Messages, "MESSAGES"),
        (StatusItem::Recent, "RECENT"),
        (StatusItem::UidNext, "UIDNEXT"),
        (StatusItem::UidValidity, "UIDVALIDITY"),
        (StatusItem::Unseen, "UNSEEN"),
        (StatusItem::Deleted, "DELETED"),
        (StatusItem::DeletedStorage, "DELETED-STORAGE"),
        (StatusItem::HighestModseq, "HIGHESTMODSEQ"),
        (StatusItem::Size, "SIZE"),
        (StatusItem::MailboxId, "MAILBOXID"),
        (StatusItem::AppendLimit, "APPENDLIMIT"),
    ];
}

impl Cursor<'_> {
    /// `(MESSAGES UNSEEN)`; an item named twice counts once.
    pub fn status_items(&mut self) -> Result<Vec<StatusItem>> {
        let mut items = Vec::new();
        self.list1(|cursor| {
            let word = cursor.word()?;
            match StatusItem::TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(word)) {
                Some((item, _)) if !items.contains(item) => items.push(*item),
                Some(_) => {}
                None => return cursor.bad("no such STATUS item"),
            }
            Ok(())
        })?;
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        let parse = |text: &str| Cursor::new(text.as_bytes()).status_items().ok();
        assert_eq!(parse("(messages UNSEEN messages)"), Some(vec![StatusItem::Messages, StatusItem::Unseen]));
        for bad in ["()", "MESSAGES", "(MESSAGES", "(SIZES)"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
