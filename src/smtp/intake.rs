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

use super::commit::{Body, Commit};
use super::delivery::{self, Delivery};
use super::memory::Share;
use super::reply::{self, Reply};
use super::session::Smtp;
use super::transaction::Transaction;
use super::{Kind, Shared, header, trace};
use crate::account::User;

/// Octets of a message kept in memory, as long as [`super::memory`] has them for all that come in at once.
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
    memory: Share,
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
            memory: session.shared.memory.share(),
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
        self.memory.give_back();
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
        if self.refused.is_none() {
            let too_long = self.body.bytes().len() > MEMORY;
            if too_long || !self.memory.covers(self.body.in_memory()) {
                self.spill(too_long);
            }
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

    /// Too long for memory, or there is none: on into the first recipient's draft.
    fn spill(&mut self, too_long: bool) {
        if !self.header_done {
            if self.kind == Kind::Submission {
                return self.refuse(if too_long { reply::HEADER_TOO_BIG } else { reply::BUSY });
            }
            // A loop shows at the top, where every hop adds its field.
            self.header(self.body.bytes().len());
            if self.refused.is_some() {
                return;
            }
        }
        match self.body.spill(&self.transaction) {
            Ok(()) => self.memory.give_back(),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &crate::store::Error) {
        tracing::error!(id = self.transaction.id, %error, "message cannot be stored");
        self.refuse(reply::for_store(error));
    }

    /// The message is complete: what delivers it, or, if it is refused, what each accepted recipient (LMTP) or the client (SMTP) is told.
    pub(super) fn finish(mut self) -> Result<Delivery, Vec<Reply>> {
        if !self.header_done && self.refused.is_none() {
            self.header(self.body.bytes().len());
        }
        if let Some(refused) = self.refused {
            tracing::info!(id = self.transaction.id, peer = %self.peer, code = refused.code, why = %refused.text, "message refused");
            return Err(vec![refused; delivery::answers(self.kind, &self.transaction)]);
        }
        let commit = Commit::new(self.kind, self.transaction, self.body, self.memory);
        Ok(Delivery { commit, peer: self.peer, size: self.size })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::super::{Memory, Settings};
    use super::*;

    #[test]
    fn too_big_is_read_to_the_end_and_refused() {
        let settings = Settings { max_message_size: 600_000, ..Settings::default() };
        let world = World::with(settings);
        let mut client = world.client(Kind::Mx);
        let head = "Subject: x\r\n\r\n";
        for (size, code) in [(600_000, "250"), (600_001, "552 5.3.4"), (2_000_000, "552 5.3.4")] {
            client.begin(&["bob@demo.test"]);
            let line = format!("{}\r\n", "x".repeat(98));
            let mut body = line.repeat((size - head.len()) / 100);
            body.insert_str(0, &"y".repeat(size - head.len() - body.len()));
            let message = format!("{head}{body}.\r\n");
            let mut said = String::new();
            for piece in message.as_bytes().chunks(16 * 1024) {
                said.push_str(&client.say(std::str::from_utf8(piece).unwrap()));
            }
            assert!(said.starts_with(code) && said.lines().count() == 1, "{size}: {said}");
        }
        assert_eq!(world.files("bob", "new").len(), 1);
        assert_eq!(world.files("bob", "tmp").len(), 0);
        assert!(client.say("NOOP\r\n").starts_with("250"));
    }

    #[test]
    fn without_memory_messages_go_to_the_disk_earlier() {
        let world = World::with_memory(Settings::default(), Memory::of(0));
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        client.say(&format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(1_000)));
        assert_eq!(world.files("bob", "tmp").len(), 0, "12 KB need none of what is shared");
        client.say(&"0123456789\r\n".repeat(1_000));
        assert_eq!(world.files("bob", "tmp").len(), 1, "it streams");
        assert!(client.say(".\r\n").starts_with("250"));
        assert!(world.files("bob", "new")[0].ends_with(&"0123456789\n".repeat(2_000)));
        let mut client = world.client(Kind::Submission);
        client.begin(&["bob@demo.test"]);
        let header = format!("Subject: x\r\n{}", "X-Filler: 0123456789\r\n".repeat(2_000));
        client.say(&header);
        assert!(client.say("\r\n.\r\n").starts_with("452 4.3.1"), "a header is mended in memory");
    }

    #[test]
    fn stuffed_dots_do_not_count() {
        let world = World::with(Settings { max_message_size: 100, ..Settings::default() });
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        let line = format!("..{}\r\n", "x".repeat(47));
        assert!(client.say(&format!("{line}{line}.\r\n")).starts_with("250"), "100 octets");
    }

    #[test]
    fn a_flaw_behind_the_spill_takes_the_draft_away() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        client.say(&format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(30_000)));
        assert_eq!(world.files("bob", "tmp").len(), 1, "it streams");
        assert!(client.say("smuggled\n.\r\nRSET\r\n.\r\n").starts_with("550 5.6.11"));
        assert_eq!((world.files("bob", "tmp").len(), world.files("bob", "new").len()), (0, 0));
    }

    #[test]
    fn a_lost_connection_leaves_nothing() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        client.say(&"0123456789\r\n".repeat(30_000));
        drop(client);
        assert_eq!((world.files("bob", "tmp").len(), world.files("bob", "new").len()), (0, 0));
    }

    #[test]
    fn a_submitted_message_is_mended() {
        let world = World::new();
        let mut client = world.client(Kind::Submission);
        client.begin(&["bob@demo.test"]);
        client.say("Subject: x\r\nBcc: secret@demo.test\r\nFrom: alice@demo.test\r\n\r\nBcc: body\r\n.\r\n");
        let file = world.files("bob", "new").remove(0);
        assert!(file.contains(" with ESMTPSA id "), "{file}");
        assert!(file.contains("\n\t(using TLSv1.3 with cipher TLS_X)\n"), "{file}");
        let (_, own) = file.split_once(" +0000\n").unwrap();
        assert!(own.starts_with("Date: "), "{own}");
        let (_, own) = own.split_once("\nMessage-ID: <").unwrap();
        let (id, own) = own.split_once("@mail.demo.test>\n").unwrap();
        assert_eq!(own, "Subject: x\nFrom: alice@demo.test\n\nBcc: body\n");
        assert!(file.contains(&format!(" id {id}\n")), "the id is that of Received");
    }

    #[test]
    fn mail_from_elsewhere_is_not_touched() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        client.say("Bcc: bob@demo.test\r\n\r\nbody\r\n.\r\n");
        assert!(world.files("bob", "new")[0].ends_with(" +0000\nBcc: bob@demo.test\n\nbody\n"));
    }

    #[test]
    fn a_header_without_end() {
        let world = World::new();
        let header = format!("Subject: x\r\n{}", "X-Filler: 0123456789\r\n".repeat(20_000));
        let mut client = world.client(Kind::Submission);
        client.begin(&["bob@demo.test"]);
        assert!(client.say(&format!("{header}.\r\n")).starts_with("552 5.3.4"));
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        assert!(client.say(&format!("{header}.\r\n")).starts_with("250"));
        let mut client = world.client(Kind::Submission);
        client.begin(&["bob@demo.test"]);
        assert!(client.say("Subject: only a header\r\n.\r\n").starts_with("250"));
    }

    #[test]
    fn the_end_of_the_header_may_be_cut_anywhere() {
        let message = "Subject: x\r\n\r\nbody\r\n.\r\n";
        let world = World::new();
        for cut in 0..message.len() {
            let mut client = world.client(Kind::Submission);
            client.begin(&["alice@demo.test"]);
            let said = [client.say(&message[..cut]), client.say(&message[cut..])].concat();
            assert!(said.starts_with("250"), "{cut}: {said}");
        }
        for file in world.files("alice", "new") {
            assert!(file.contains("\nDate: ") && file.ends_with("\nSubject: x\n\nbody\n"), "{file}");
        }
    }
}
