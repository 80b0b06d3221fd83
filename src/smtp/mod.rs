//! Receiving mail: SMTP (port 25), submission (587, 465) and LMTP.
//!
//! One session type, [`Smtp`], for three [`Kind`]s that differ in a few columns of the command table. It owns the
//! conversation and the message while it is received; it refuses what the RFCs and the settings refuse, with the codes of
//! `reply.rs`; what the store could not do becomes a 4xx there, so that no mail is lost by our trouble. It leaves
//! nothing on disk but what [`crate::store`] delivered, and drafts in `tmp/` after a crash.
//!
//! # The files
//!
//! `session.rs` has the states, `commands.rs` the table of commands; `hello.rs`, `mail.rs`, `rcpt.rs`, `data.rs`, `bdat.rs`, `auth.rs`, `starttls.rs`
//! and `plain.rs` (RSET, NOOP, QUIT, HELP, VRFY) have the commands; `parse.rs` the grammar; `reply.rs` every reply.
//! `transaction.rs` is what MAIL and RCPT agreed on, `intake.rs` takes the message in, `header.rs` reads
//! (and for submission mends) its header, `trace.rs` writes the fields that we add, `commit.rs` delivers, in the steps
//! of `delivery.rs`; `memory.rs` bounds what all messages together hold before they are on the disk.
//!
//! # Said means stored
//!
//! `250` behind a message is sent when every recipient's copy is synced and has its name. With several recipients all copies
//! are written and synced first, so that a full disk or a broken mailbox is found while nothing has been delivered: then
//! SMTP answers 4xx for all, and nobody has it twice when the client tries again. Only a failure between the
//! renames can make duplicates for some; it never loses. LMTP answers for each recipient by itself (RFC 2033 4.2).
//!
//! # Who may send what
//!
//! On submission the envelope sender must belong to the login ([`crate::account::Accounts::may_send_as`]), or be empty (MDNs,
//! RFC 8098 4), and so must every address in the message's From field: a checked envelope is
//! worth nothing to a reader who sees only From.

mod auth;
mod bdat;
mod commands;
mod commit;
mod data;
mod delivery;
mod header;
mod hello;
mod intake;
mod mail;
mod memory;
mod parse;
mod plain;
mod rcpt;
mod reply;
mod session;
mod starttls;
#[cfg(test)]
mod testing;
mod trace;
mod transaction;

use std::sync::Arc;

use crate::account::Accounts;
use crate::store::Stores;

pub use memory::Memory;
pub use session::Smtp;

/// Which of the three services a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Other servers bring mail for our users; no login.
    Mx,
    /// Our users send; login first (RFC 6409).
    Submission,
    /// A program on this machine or network brings mail for our users, and gets an answer for each (RFC 2033).
    Lmtp,
}

/// What sessions are told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name: in the greeting, in EHLO, in Received and in made-up Message-IDs.
    pub hostname: String,
    /// Octets in a message (RFC 1870); announced.
    pub max_message_size: u64,
    /// Recipients in a transaction; RFC 5321 4.5.3.1.8 wants at least 100; announced (RFC 9422).
    pub max_recipients: usize,
    /// Transactions on a connection; announced (RFC 9422).
    pub max_transactions: u32,
    /// Refused commands since the last message before the connection is closed.
    pub max_errors: u32,
    /// Is STARTTLS offered? Set if there is a certificate.
    pub starttls: crate::wire::Switch,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            hostname: "localhost".into(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 100,
            max_transactions: 10_000,
            max_errors: 20,
            starttls: crate::wire::Switch::new(true),
        }
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
    /// For messages on their way in.
    pub memory: Memory,
}
