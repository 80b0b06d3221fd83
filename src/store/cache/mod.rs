//! `mailcote.cache`: what is asked of messages again and again, so that a listing opens no message.
//!
//! Per folder: sort and thread keys, the usual header fields, ENVELOPE, BODYSTRUCTURE, part tree, preview ([`Facts`]), made from the
//! files by [`digest`]. Disposable: it may be deleted at any time, and any doubt about it means reading the file instead.

mod coding;
pub(crate) mod digest;
mod facts;
mod tree;

pub use digest::is_kept;
pub use facts::{Facts, SortKeys, ThreadKeys, Wants};

/// Bytes of a message whose body is looked at in one go; whoever needs a bigger one reads it in steps.
pub const MAX_DIGESTED: u64 = 8 * 1024 * 1024;

/// Header fields that are kept as they are: what clients list, sort, filter and thread by.
pub const KEPT_FIELDS: [&str; 32] = [
    "Date",
    "Subject",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Newsgroups",
    "Followup-To",
    "Priority",
    "X-Priority",
    "X-MSMail-Priority",
    "Importance",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Precedence",
    "Auto-Submitted",
    "Disposition-Notification-To",
    "X-Mailer",
    "User-Agent",
    "X-Spam-Flag",
    "X-Spam-Status",
];
