//! Delivers a complete message to every place: all copies are made and synced first, then all get their names.
//!
//! Fails for SMTP as a whole ([`Outcome::Nothing`]): the client has one answer for all recipients and will try all again. While
//! copies are made nothing is delivered yet, so that the usual failures (full disk, broken mailbox) make no duplicates. If
//! a rename fails after another was done, the client is still told to try again: the others then get it twice, and nobody loses it. LMTP
//! has an answer for each place ([`Outcome::Some`]).

use super::Kind;
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

    /// Octets in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.bytes.len()
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
        let mut rest = std::mem::replace(&mut self.bytes, new);
        self.bytes.extend_from_slice(&rest[end..]);
        rest.clear();
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

    /// One draft for each place, none synced yet.
    fn drafts(mut self, transaction: &Transaction) -> Vec<store::Result<Draft>> {
        let places = transaction.places.iter();
        let Some((mut first, mark)) = self.spilled.take() else {
            return places.map(|place| self.draft(transaction, place)).collect();
        };
        let copies: Vec<_> = places
            .skip(1)
            .map(|place| place.store.draft_from(head(transaction, place).as_bytes(), &mut first, mark))
            .collect();
        std::iter::once(Ok(first)).chain(copies).collect()
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

/// Deliver to every place of `transaction`.
pub(super) fn commit(kind: Kind, transaction: &Transaction, body: Body) -> Outcome {
    let mut drafts = body.drafts(transaction);
    for draft in &mut drafts {
        // A failed sync is final for its file: the draft is dropped, and with it the descriptor.
        if let Ok(Err(error)) = draft.as_mut().map(Draft::sync) {
            *draft = Err(error);
        }
    }
    let all_or_nothing = kind != Kind::Lmtp;
    let mut made = transaction.places.iter().zip(&drafts);
    if all_or_nothing && let Some((place, Err(error))) = made.find(|(_, draft)| draft.is_err()) {
        return Outcome::Nothing(refusal(transaction, place, error));
    }
    let mut failed: Vec<Option<Reply>> = Vec::with_capacity(drafts.len());
    for (place, draft) in transaction.places.iter().zip(drafts) {
        let result = draft.and_then(|draft| place.store.deliver(draft, &place.folder));
        let refused = result.err().map(|error| refusal(transaction, place, &error));
        if all_or_nothing && let Some(refused) = refused {
            return Outcome::Nothing(refused);
        }
        failed.push(refused);
    }
    if failed.iter().all(Option::is_none) { Outcome::Stored } else { Outcome::Some(failed) }
}

fn refusal(transaction: &Transaction, place: &Place, error: &store::Error) -> Reply {
    tracing::error!(id = transaction.id, user = place.user.login, folder = %place.folder, %error, "message not delivered");
    reply::for_store(error)
}
