//! POP3: a mailbox read once, front to back (RFC 1939), with RFC 2449 (CAPA), 2595 (STLS), 3206 (AUTH codes), 5034
//! (AUTH) and 6856 (UTF8, LANG).
//!
//! One session type, [`Pop3`]. It owns the conversation, the list of messages as it was at login (`maildrop.rs`), and
//! the marks of DELE. It refuses a second session on a mailbox ([IN-USE]). Store errors become replies in `reply.rs`.
//! Nothing is changed on disk before QUIT: then the messages that were fetched are marked `\Seen`, as Dovecot does
//! (`pop3_no_flag_updates=no`), those that DELE marked are removed, durably, and only then `+OK` is said. A connection
//! that is lost, timed out or cut off changes nothing.
//!
//! # The files
//!
//! | file | commands |
//! |---|---|
//! | `session.rs` | states, the table of commands, what a step does |
//! | `login.rs` | USER, PASS, AUTH |
//! | `capa.rs` | CAPA, STLS |
//! | `language.rs` | UTF8, LANG |
//! | `list.rs` | STAT, LIST, UIDL |
//! | `retrieve.rs` | RETR, TOP |
//! | `delete.rs` | DELE, RSET, NOOP, QUIT |
//!
//! # UTF8
//!
//! Without the UTF8 command, a message that came by SMTPUTF8 and has UTF-8 in its header is refused with [UTF8] (RFC
//! 6856 2.1 and 5): its sender was promised that only those see it who understand it. An ASCII surrogate is not made:
//! its size would not be the one that LIST told, and its signatures would be broken. A message with 8-bit octets in its
//! header that came otherwise goes out as it came: it was broken when it was sent, POP3 clients always got such mail
//! so, and one that cannot be fetched would block the mailbox for good.

mod capa;
mod delete;
mod language;
mod list;
mod login;
mod maildrop;
mod reply;
mod retrieve;
mod session;

use std::sync::Arc;

use crate::account::Accounts;
use crate::store::Stores;

pub use session::Pop3;

/// What sessions are told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name, for the greeting.
    pub hostname: String,
    /// Is STLS offered? Set if there is a certificate.
    pub stls: crate::wire::Switch,
    /// Commands refused before login until the connection is closed.
    pub max_errors: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { hostname: "localhost".into(), stls: crate::wire::Switch::new(true), max_errors: 20 }
    }
}

/// What all sessions share.
pub struct Shared {
    /// From the configuration.
    pub settings: Settings,
    /// Who exists.
    pub accounts: Arc<Accounts>,
    /// Where their mail is.
    pub stores: Stores,
}
