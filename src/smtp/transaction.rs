//! What MAIL and RCPT have agreed on: sender, recipients, and where their copies go.

use std::collections::HashMap;
use std::sync::Arc;

use super::trace;
use crate::account::User;
use crate::mail::address::Address;
use crate::store::{Name, Store};

/// Places that the recipients of a transaction may lead to before no more are taken (452, the rest comes in another message): ten of the
/// biggest aliases. A copy costs milliseconds, and each of them a kilobyte or so until the end.
const MAX_LEADS: usize = 10_000;

/// Where one copy goes.
#[derive(Clone)]
pub(super) struct Place {
    pub user: Arc<User>,
    pub store: Arc<Store>,
    pub folder: Name,
}

/// One mail transaction (RFC 5321 3.3).
pub(super) struct Transaction {
    /// By which the message can be followed through the log, in our Received field, and in the 250.
    pub id: String,
    /// `None` is `<>`.
    pub sender: Option<Address>,
    /// MAIL said SMTPUTF8.
    pub utf8: bool,
    /// What MAIL said with SIZE; 0 if nothing.
    pub announced: u64,
    /// One for each copy: no user's folder twice, whatever aliases lead there.
    pub places: Vec<Place>,
    /// What each accepted RCPT named, and its places by index: LMTP answers for each (RFC 2033 4.2).
    pub accepted: Vec<(Address, Vec<usize>)>,
    /// Where each login and folder is in `places`.
    index: HashMap<(String, Name), usize>,
    /// Places that accepted recipients led to, the same ones counted again.
    leads: usize,
}

impl Transaction {
    pub(super) fn new(sender: Option<Address>, utf8: bool, announced: u64) -> Transaction {
        let (places, accepted, index) = (Vec::new(), Vec::new(), HashMap::new());
        Transaction { id: trace::new_id(), sender, utf8, announced, places, accepted, index, leads: 0 }
    }

    /// Accepted RCPT commands so far.
    pub(super) fn recipients(&self) -> usize {
        self.accepted.len()
    }

    /// Have the recipients led to so many places that no more are taken?
    pub(super) fn is_full(&self) -> bool {
        self.leads >= MAX_LEADS
    }

    /// Does somebody's copy go there already?
    pub(super) fn goes_to(&self, login: &str, folder: &Name) -> Option<&Place> {
        let index = self.index.get(&(login.to_owned(), folder.clone()))?;
        self.places.get(*index)
    }

    /// One more accepted recipient.
    pub(super) fn add(&mut self, address: Address, places: Vec<Place>) {
        self.leads += places.len();
        let indexes = places.into_iter().map(|place| self.index(place)).collect();
        self.accepted.push((address, indexes));
    }

    fn index(&mut self, place: Place) -> usize {
        let key = (place.user.login.clone(), place.folder.clone());
        *self.index.entry(key).or_insert_with(|| {
            self.places.push(place);
            self.places.len() - 1
        })
    }
}
