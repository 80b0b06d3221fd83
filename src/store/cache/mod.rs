//! `mailcote.cache`: what is asked of messages again and again, so that a listing opens no message.
//!
//! Per folder: sort and thread keys, the usual header fields, ENVELOPE, BODYSTRUCTURE, part tree, preview ([`Facts`]), made from the
//! files by [`digest`]. Disposable: it may be deleted at any time, also while we work, and nothing but speed changes.
//!
//! The file is 32 bytes of header (the line `mailcote.cache 1`, UIDVALIDITY, a random number), then [`batch`]es of up to 256 messages, each
//! with checksums. It only grows, by one write a batch under an flock of the file itself, or is replaced by rename when more than half of
//! it is about messages that are gone. Never synced: what a power cut leaves is checked like anything else.
//!
//! What it says is believed if the header is this folder's, the batch's checksums agree, and the message has the UID, the name (its key)
//! and the size that the record was made for: a UID never changes its message, so names are compared when a batch is first seen. A torn
//! tail is cut off by the next writer. Any other doubt throws the whole file away. Whoever opens a message and finds another size than
//! the record's reads the file.
//!
//! Deliveries do not write here: at delivery a message has no UID yet, and most folders that mail comes into are not looked at before
//! more comes. The first look at new mail finds it in the page cache and costs one open and one read.
//!
//! Memory: [`index`], 8 bytes a message and half; no file is kept open between two visits. Whoever sorted or threaded most of a folder leaves the
//! result here in numbers ([`Ranks`], [`Kin`]) for as long as the folder is open.

mod batch;
mod coding;
pub(crate) mod digest;
mod facts;
mod file;
mod index;
mod kin;
mod ranks;
mod tree;
mod window;

pub use digest::is_kept;
pub use facts::{Facts, SortKeys, ThreadKeys, Wants};
pub(crate) use file::{Cache, Identity, Opened, key_number};
pub(crate) use index::Place;
pub use kin::{Kin, Kindred, Relative};
pub use ranks::{Ranks, SortKey};
pub(crate) use window::Window;

/// The file's name.
pub const FILE: &str = "mailcote.cache";

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
