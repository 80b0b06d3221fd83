//! IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) for who enables it, and the extensions that [`cmd::capability`] names.
//!
//! From the wire inwards:
//!
//! - [`frame`] cuts the stream into commands, with limits; [`parse`] is the grammar of their arguments.
//! - [`session`] runs them one after the other: [`cmd::TABLE`] says which command is allowed when and what may be
//!   announced behind it; [`cmd`] has one file a command; [`job`] is a command that takes more than one step.
//! - [`context`] is what a command may see and change, [`enabled`] what the client has switched on; [`view`] is what the client was told of the open mailbox.
//! - [`source`] reads a message's file by blocks, [`section`] finds pieces of it, [`answer`] sends them; [`glance`]
//!   answers without the file what the folder's cache knows.
//! - [`search`] decides whether a message matches, [`hunt`] looks into bodies for it, [`searching`] goes through the mailbox, [`found`] tells
//!   the result; [`gathering`] learns what [`sort`] and [`thread`] put in order;
//!   [`updates`] keeps results up to date.
//! - [`message_limit`] cuts commands on too many messages.
//! - [`notify`] tells what happens in other mailboxes, and says how much is told of the open one.
//! - [`resync`] tells a client that comes back what went away meanwhile.
//! - [`reply`] and [`response`] write the answers.
//!
//! Nothing here knows a socket or a timer, and nothing here decides how mail lies on disk. To add an extension: a file in
//! `cmd/`, its rows in the table, its grammar in `parse/`, its name in `cmd/capability.rs`.

pub mod acl;
pub mod annotations;
pub mod answer;
pub mod binary;
pub mod cmd;
pub mod context;
pub mod enabled;
pub mod found;
pub mod frame;
pub mod gathering;
pub mod glance;
pub mod hunt;
pub mod job;
pub mod listing;
pub mod message_limit;
pub mod notify;
pub mod parse;
pub mod pattern;
pub mod place;
pub mod reply;
pub mod response;
pub mod resync;
pub mod search;
pub mod searching;
pub mod section;
pub mod session;
pub mod sort;
pub mod source;
pub mod thread;
pub mod updates;
pub mod upload;
pub mod url;
pub mod view;

#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use session::Imap;

use crate::account::Accounts;
use crate::store::Stores;

/// What IMAP is told by the configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Largest message that APPEND takes, in bytes.
    pub max_message_size: u64,
    /// Is there a certificate, so that STARTTLS can be offered to clients in clear?
    pub starttls: crate::wire::Switch,
    /// `/shared/comment` of the server (RFC 5464).
    pub comment: Option<String>,
    /// `/shared/admin` of the server: a URI by which its administrator can be reached.
    pub admin: Option<String>,
    /// How many messages a command may work on.
    pub message_limits: message_limit::Limits,
    /// How users share folders; none: they cannot.
    pub sharing: Option<place::Sharing>,
}

/// What all IMAP sessions share.
pub struct Shared {
    /// See there.
    pub settings: Settings,
    /// Who exists.
    pub accounts: Arc<Accounts>,
    /// Their mail.
    pub stores: Stores,
}
