//! What MAIL and RCPT have agreed on: sender, recipients, and where their copies go.

use std::sync::Arc;

use super::trace;
use crate::account::User;
use crate::mail::address::Address;
use crate::store::{Name, Store};

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
}

impl Transaction {
    pub(super) fn new(sender: Option<Address>, utf8: bool, announced: u64) -> Transaction {
        Transaction { id: trace::new_id(), sender, utf8, announced, places: Vec::new(), accepted: Vec::new() }
    }

    /// Accepted RCPT commands so far.
    pub(super) fn recipients(&self) -> usize {
        self.accepted.len()
    }

    /// One more accepted recipient.
    pub(super) fn add(&mut self, address: Address, places: Vec<Place>) {
        let indexes = places.into_iter().map(|place| self.index(place)).collect();
        self.accepted.push((address, indexes));
    }

    fn index(&mut self, place: Place) -> usize {
        let same = |there: &Place| there.user.login == place.user.login && there.folder == place.folder;
        self.places.iter().position(same).unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        })
    }
}
