//! Delivers a complete message to every place: all copies are made and synced first, then all get their names.
//!
//! Fails for SMTP as a whole ([`Outcome::Nothing`]): the client has one answer for all recipients and will try all again. While
//! copies are made nothing is delivered yet, so that the usual failures (full disk, broken mailbox) make no duplicates. If
//! a rename fails after another was done, the client is still told to try again: the others then get it twice, and nobody loses it. LMTP
//! has an answer for each place ([`Outcome::Some`]).
//!
//! One file is open at a time (and the first place's while a long message is copied from it), and the work can stop between any two copies.

use std::time::Instant;

use super::Kind;
use super::memory::Share;
use super::reply::{self, Reply};
use super::trace;
use super::transaction::{Place, Transaction};
use crate::store::{self, Draft, Mark};

/// The message as received so far: in memory, or in the first place's draft.
pub(super) struct Body {
    /// The Received field, which every copy has below its own fields.
    trace: String,
    bytes: Vec<u8>,
    spilled: Option<(Draft, Mark)>,
}

impl Body {
    pub(super) fn new(trace: String) -> Body {
        Body { trace, bytes: Vec::new(), spilled: None }
    }

    /// What is in memory: all of it, until it was spilled.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Octets of memory.
    pub(super) fn in_memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Let everything go.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.spilled = None;
    }

    pub(super) fn add(&mut self, piece: &[u8]) -> store::Result<()> {
        match &mut self.spilled {
            Some((draft, _)) => draft.write(piece),
            None => {
                self.bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// The first `end` octets become `new`.
    pub(super) fn replace_front(&mut self, end: usize, new: Vec<u8>) {
        let old = std::mem::replace(&mut self.bytes, new);
        self.bytes.extend_from_slice(&old[end..]);
    }

    /// Into the first place's draft from here on.
    pub(super) fn spill(&mut self, transaction: &Transaction) -> store::Result<()> {
        let Some(first) = transaction.places.first() else { return Ok(()) };
        let mut draft = first.store.draft()?;
        draft.write(head(transaction, first).as_bytes())?;
        let mark = draft.mark();
        draft.write(self.trace.as_bytes())?;
        draft.write(&self.bytes)?;
        self.bytes = Vec::new();
        self.spilled = Some((draft, mark));
        Ok(())
    }

    fn draft(&self, transaction: &Transaction, place: &Place) -> store::Result<Draft> {
        let mut draft = place.store.draft()?;
        draft.write(head(transaction, place).as_bytes())?;
        draft.write(self.trace.as_bytes())?;
        draft.write(&self.bytes)?;
        Ok(draft)
    }
}

fn head(transaction: &Transaction, place: &Place) -> String {
    trace::own_head(transaction.sender.as_ref(), &place.user.login)
}

/// What became of a message.
pub(super) enum Outcome {
    /// Every place has it, durably.
    Stored,
    /// SMTP: nobody is said to have it.
    Nothing(Reply),
    /// LMTP: the places with a reply do not have it.
    Some(Vec<Option<Reply>>),
}

/// A complete message and how far its delivery has come.
pub(super) struct Commit {
    kind: Kind,
    transaction: Transaction,
    body: Body,
    /// What the body has of the memory for all.
    _memory: Share,
    /// Copies that are made, synced and closed, the last place's first: the first place's may be the draft that the others are copied from.
    made: Vec<store::Result<Draft>>,
    all_made: bool,
    /// What became of each place that was delivered to.
    delivered: Vec<Option<Reply>>,
}

impl Commit {
    /// To deliver `body` to every place of `transaction`.
    pub(super) fn new(kind: Kind, transaction: Transaction, body: Body, memory: Share) -> Commit {
        Commit { kind, transaction, body, _memory: memory, made: Vec::new(), all_made: false, delivered: Vec::new() }
    }

    pub(super) fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Go on until it is done or it is `until`; one copy at least. `None` if there is more to do.
    pub(super) fn go_on(&mut self, until: Instant) -> Option<Outcome> {
        loop {
            let done = if self.all_made { self.deliver_next() } else { self.make_next() };
            if done.is_some() || Instant::now() >= until {
                return done;
            }
        }
    }

    fn is_all_or_nothing(&self) -> bool {
        self.kind != Kind::Lmtp
    }

    /// Make and sync one copy.
    fn make_next(&mut self) -> Option<Outcome> {
        let Some(at) = self.transaction.places.len().checked_sub(self.made.len() + 1) else {
            self.all_made = true;
            return None;
        };
        let place = &self.transaction.places[at];
        let made = match &mut self.body.spilled {
            Some((first, mark)) if at > 0 => {
                place.store.draft_from(head(&self.transaction, place).as_bytes(), first, *mark)
            }
            spilled => match spilled.take() {
                Some((first, _)) => Ok(first),
                None => self.body.draft(&self.transaction, place),
            },
        };
        // A failed sync is final for its file: the draft is dropped, and with it the descriptor.
        let made = made.and_then(|mut draft| {
            // Once more: RCPT knew only what MAIL had announced.
            place.store.has_quota_for(draft.disk_size(), 1, true)?;
            draft.close().map(|()| draft)
        });
        if let Err(error) = &made
            && self.is_all_or_nothing()
        {
            return Some(Outcome::Nothing(refusal(&self.transaction, place, error)));
        }
        self.made.push(made);
        None
    }

    /// Give one copy its name.
    fn deliver_next(&mut self) -> Option<Outcome> {
        let Some(draft) = self.made.pop() else {
            let delivered = std::mem::take(&mut self.delivered);
            let all = delivered.iter().all(Option::is_none);
            return Some(if all { Outcome::Stored } else { Outcome::Some(delivered) });
        };
        let place = &self.transaction.places[self.delivered.len()];
        let result = draft.and_then(|draft| place.store.deliver(draft, &place.folder));
        let refused = result.err().map(|error| refusal(&self.transaction, place, &error));
        if self.is_all_or_nothing()
            && let Some(refused) = refused
        {
            return Some(Outcome::Nothing(refused));
        }
        self.delivered.push(refused);
        None
    }
}

fn refusal(transaction: &Transaction, place: &Place, error: &store::Error) -> Reply {
    tracing::error!(id = transaction.id, user = place.user.login, folder = %place.folder, %error, "message not delivered");
    reply::for_store(error)
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    const MESSAGE: &str = "Subject: hello\r\n\r\n..dot\r\nend\r\n.\r\n";

    /// The stored file without our Received field.
    fn without_received(file: &str) -> String {
        let (head, rest) = file.split_once("Received: ").unwrap();
        let (_, rest) = rest.split_once(" +0000\n").unwrap();
        format!("{head}{rest}")
    }

    #[test]
    fn one_recipient() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        let said = client.say(MESSAGE);
        let files = world.files("bob", "new");
        assert_eq!(files.len(), 1);
        assert_eq!(
            without_received(&files[0]),
            "Return-Path: <alice@demo.test>\nDelivered-To: bob@demo.test\nSubject: hello\n\n.dot\nend\n"
        );
        let id = said.strip_prefix("250 2.0.0 delivered as ").unwrap().trim();
        let received = format!(
            "Received: from client.example ([192.0.2.1])\n\tby mail.demo.test with ESMTP id {id}\n\tfor <bob@demo.test>;\n\t"
        );
        assert!(files[0].contains(&received), "{}", files[0]);
        assert!(world.files("bob", "tmp").is_empty());
    }

    #[test]
    fn each_user_gets_one_copy_however_many_ways_lead_to_him() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test", "team@demo.test", "alice@demo.test", "alice+nowhere@demo.test"]);
        assert!(client.say(MESSAGE).starts_with("250"));
        let (alice, bob) = (world.files("alice", "new"), world.files("bob", "new"));
        assert_eq!((alice.len(), bob.len()), (1, 1));
        assert!(alice[0].contains("Delivered-To: alice@demo.test\n") && !alice[0].contains("bob"));
        assert!(bob[0].contains("Delivered-To: bob@demo.test\n") && !bob[0].contains("\tfor <"));
        assert!(alice[0].contains("Return-Path: <alice@demo.test>\n"));
    }

    #[test]
    fn the_detail_names_a_folder() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        for detail in ["Work", "work", "nowhere", "../x"] {
            client.begin(&[&format!("alice+{detail}@demo.test")]);
            assert!(client.say(MESSAGE).starts_with("250"));
        }
        assert_eq!(world.files("alice", ".Work/new").len(), 2);
        assert_eq!(world.files("alice", "new").len(), 2);
    }

    #[test]
    fn a_large_message_is_the_same_for_everybody() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["alice@demo.test", "bob@demo.test"]);
        let line = "..0123456789 0123456789 0123456789 0123456789\r\n";
        let body = line.repeat(20_000);
        for piece in ["Subject: large\r\n\r\n", &body, ".\r\n"].concat().as_bytes().chunks(16 * 1024) {
            client.say(std::str::from_utf8(piece).unwrap());
        }
        let want = format!("Subject: large\n\n{}", line[1..].replace("\r\n", "\n").repeat(20_000));
        for user in ["alice", "bob"] {
            let files = world.files(user, "new");
            assert_eq!(files.len(), 1);
            let want = format!("Return-Path: <alice@demo.test>\nDelivered-To: {user}@demo.test\n{want}");
            assert!(without_received(&files[0]) == want, "{user}");
            assert!(world.files(user, "tmp").is_empty());
        }
    }

    /// The copies are made first: one that cannot be made keeps all from being delivered, so that the client's
    /// second try makes no duplicates.
    #[test]
    fn smtp_delivers_to_all_or_to_none() {
        for size in [1, 20_000] {
            let world = World::new();
            let mut client = world.client(Kind::Mx);
            client.begin(&["alice@demo.test", "bob@demo.test"]);
            world.break_directory("bob", "tmp");
            let said = client.say(&format!("Subject: x\r\n\r\n{}.\r\n", "0123456789 0123456789\r\n".repeat(size)));
            assert!(said.starts_with("451 4.3.0"), "{said}");
            assert_eq!(world.files("alice", "new").len(), 0);
            assert_eq!(world.files("alice", "tmp").len(), 0, "drafts are removed");
        }
    }

    #[test]
    fn smtp_never_says_yes_for_a_copy_that_has_no_name() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["alice@demo.test", "bob@demo.test"]);
        world.break_directory("bob", "new");
        assert!(client.say(MESSAGE).starts_with("451"));
    }

    #[test]
    fn lmtp_answers_for_each() {
        for (broken, size) in [("tmp", 1), ("new", 1), ("tmp", 20_000), ("new", 20_000)] {
            let world = World::new();
            let mut client = world.client(Kind::Lmtp);
            client.begin(&["alice@demo.test", "bob@demo.test", "team@demo.test"]);
            world.break_directory("bob", broken);
            let said = client.say(&format!("Subject: x\r\n\r\n{}.\r\n", "0123456789 0123456789\r\n".repeat(size)));
            let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
            assert_eq!(codes, ["250", "451", "451"], "{broken}: {said}");
            assert_eq!(world.files("alice", "new").len(), 1);
        }
    }
}
