//! Takes one message in: header looked at, size counted, body kept in memory while it is small.
//!
//! A message up to [`MEMORY`] waits in memory, so that nothing touches the disk for one that is refused at its end. A larger
//! one streams into the first recipient's draft with that recipient's fields in front; the draft then *is* his copy,
//! and mail that is all local is never written twice. Once something is wrong, the rest is read and forgotten: the
//! client hears of it at the end, since SMTP has no way to say it earlier.
//!
//! Leaves on disk: the draft, which removes itself when dropped.

use std::sync::Arc;

use memchr::memmem;

use super::commit::{Body, Outcome, commit};
use super::reply::{self, Reply};
use super::session::Smtp;
use super::transaction::Transaction;
use super::{Kind, Shared, header, trace};
use crate::account::User;

/// Octets of a message kept in memory: most mail is smaller, and a thousand connections hold a quarter of a gigabyte.
/// On submission the header must fit in it, because it is mended there (552 5.3.4 if it does not).
const MEMORY: usize = 256 * 1024;

/// One message on its way in.
pub(super) struct Intake {
    shared: Arc<Shared>,
    kind: Kind,
    /// On submission: who is logged in.
    user: Option<Arc<User>>,
    transaction: Transaction,
    /// Who sent it to us, for the log.
    peer: std::net::IpAddr,
    body: Body,
    /// The header was complete and has been looked at.
    header_done: bool,
    /// Octets of `body` in which no end of the header was found.
    searched: usize,
    /// Octets received (RFC 1870 3: as on the wire, without stuffed dots).
    size: u64,
    refused: Option<Reply>,
}

impl Intake {
    /// For the message of `transaction`, which has at least one recipient.
    pub(super) fn new(session: &Smtp, transaction: Transaction) -> Intake {
        let body = Body::new(trace::received(session, &transaction));
        Intake {
            shared: session.shared.clone(),
            kind: session.kind,
            user: session.user.as_ref().map(|(user, _)| user.clone()),
            transaction,
            peer: session.peer.remote.ip(),
            body,
            header_done: false,
            searched: 0,
            size: 0,
            refused: None,
        }
    }

    /// Why it will be refused, if it will be.
    pub(super) fn refused(&self) -> Option<&Reply> {
        self.refused.as_ref()
    }

    /// Refuse it; what was kept is let go.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.body.clear();
        self.refused.get_or_insert(reply);
    }

    /// More of the message.
    pub(super) fn add(&mut self, piece: &[u8]) {
        if self.refused.is_some() {
            return;
        }
        self.size += piece.len() as u64;
        if self.size > self.shared.settings.max_message_size {
            return self.refuse(reply::too_big(&self.shared.settings));
        }
        if let Err(error) = self.body.add(piece) {
            return self.failed(&error);
        }
        if !self.header_done {
            self.look_for_header();
        }
        if self.body.in_memory() > MEMORY && self.refused.is_none() {
            self.spill();
        }
    }

    fn look_for_header(&mut self) {
        let bytes = self.body.bytes();
        // The empty line may have begun in the piece before.
        let from = self.searched.saturating_sub(3);
        self.searched = bytes.len();
        let end = if bytes.starts_with(b"\r\n") {
            Some(0)
        } else {
            memmem::find(&bytes[from..], b"\r\n\r\n").map(|at| from + at + 2)
        };
        if let Some(end) = end {
            self.header(end);
        }
    }

    /// The header is the first `end` octets.
    fn header(&mut self, end: usize) {
        self.header_done = true;
        let block = &self.body.bytes()[..end];
        if header::is_looping(block) {
            return self.refuse(reply::TOO_MANY_HOPS);
        }
        let Some(user) = self.user.as_ref().filter(|_| self.kind == Kind::Submission) else { return };
        if !header::author_is(block, |author| self.shared.accounts.may_send_as(user, author)) {
            tracing::info!(id = self.transaction.id, login = user.login, "refused: From does not belong to the login");
            return self.refuse(reply::NOT_YOUR_FROM);
        }
        let message_id = format!("<{}@{}>", self.transaction.id, self.shared.settings.hostname);
        if let Some(new) = header::mended(block, &trace::date(), &message_id) {
            self.body.replace_front(end, new);
        }
    }

    /// Too long for memory: on into the first recipient's draft.
    fn spill(&mut self) {
        if !self.header_done {
            if self.kind == Kind::Submission {
                return self.refuse(reply::HEADER_TOO_BIG);
            }
            // A loop shows at the top, where every hop adds its field.
            self.header(self.body.bytes().len());
            if self.refused.is_some() {
                return;
            }
        }
        if let Err(error) = self.body.spill(&self.transaction) {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &crate::store::Error) {
        tracing::error!(id = self.transaction.id, %error, "message cannot be stored");
        self.refuse(reply::for_store(error));
    }

    /// The message is complete: deliver it, and say what each accepted recipient (LMTP) or the client (SMTP) is told.
    pub(super) fn finish(mut self) -> Vec<Reply> {
        if !self.header_done && self.refused.is_none() {
            self.header(self.body.bytes().len());
        }
        let each = if self.kind == Kind::Lmtp { self.transaction.accepted.len() } else { 1 };
        if let Some(refused) = self.refused {
            tracing::info!(id = self.transaction.id, peer = %self.peer, code = refused.code, why = %refused.text, "message refused");
            return vec![refused; each];
        }
        let id = &self.transaction.id;
        let outcome = commit(self.kind, &self.transaction, self.body);
        let replies = match outcome {
            Outcome::Stored => vec![delivered(id); each],
            Outcome::Nothing(refused) => vec![refused; each],
            Outcome::Some(places) => {
                let answer = |indexes: &Vec<usize>| indexes.iter().find_map(|place| places[*place].clone());
                let accepted = self.transaction.accepted.iter();
                accepted.map(|(_, indexes)| answer(indexes).unwrap_or_else(|| delivered(id))).collect()
            }
        };
        let sender = self.transaction.sender.as_ref().map(ToString::to_string).unwrap_or_default();
        for (address, _) in &self.transaction.accepted {
            tracing::info!(id, peer = %self.peer, from = sender, to = %address, size = self.size, codes = ?codes(&replies), "message");
        }
        replies
    }
}

fn delivered(id: &str) -> Reply {
    Reply::made(250, "2.0.0", format!("delivered as {id}"))
}

fn codes(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.code).collect()
}
