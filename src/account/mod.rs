//! Who exists: domains, users, aliases, passwords, limits.
//!
//! [`Accounts`] reads `domains/NAME/users` and `domains/NAME/aliases`, notices changes without a restart, resolves an
//! address to recipients, and verifies logins. [`Login`] is one login attempt in progress, the same for
//! every protocol: it runs the SASL exchange, asks for slow work, slows down failures, and counts seats.
#![allow(missing_docs, unused_variables, clippy::todo)]

use std::sync::Arc;
use std::time::Duration;

use crate::mail::address::Address;
use crate::store::Home;
use crate::wire::{Answer, Peer, Secret, Tls, Work};

/// A user who may log in and gets mail.
#[derive(Debug)]
pub struct User {
    /// Full address, domain in lower case: `alice@example.org`.
    pub login: String,
    /// Where the mail is.
    pub home: Home,
}

/// Where mail for an address goes.
#[derive(Debug)]
pub enum Resolved {
    /// To these users here; never empty, no user twice.
    Local(Vec<Recipient>),
    /// Not our domain.
    Remote,
    /// Our domain, nobody of that name: 550 5.1.1.
    Unknown,
    /// Alias loop or too many members: a permanent error of ours, 5.4.6 or 5.3.5; the text says which.
    Broken(String),
    /// The files cannot be read now: 451.
    TryLater(String),
}

/// One local recipient of an address.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub user: Arc<User>,
    /// `+detail` of the address, if the setting is on: the folder to deliver to, if it exists.
    pub detail: Option<String>,
}

/// Everybody.
pub struct Accounts;

impl Accounts {
    /// Where does mail for `address` go?
    pub fn resolve(&self, address: &Address) -> Resolved {
        todo!()
    }
    /// May `user` send mail as `sender`? (His own address, with +detail, and aliases that lead to him alone or list him.)
    pub fn may_send_as(&self, user: &User, sender: &Address) -> bool {
        todo!()
    }
}

/// What a login attempt wants next.
pub enum Step {
    /// Send this to the client (base64 by the protocol) and pass its answer to [`Login::respond`].
    Challenge(Vec<u8>),
    /// Return it as `Want::Work`, and pass the answer to [`Login::answered`].
    Work(Work),
    /// In. Keep the seat as long as the session lives: it counts connections of this user.
    Granted(Arc<User>, Seat),
    /// No. First `Want::Pause(pause)`, then the reply.
    Refused { pause: Duration, why: Refusal },
}

/// Why a login was refused, as far as the client may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong user, wrong password, disabled, whatever: one answer (AUTHENTICATIONFAILED, 535 5.7.8, -ERR [AUTH]).
    Credentials,
    /// Not base64, not the mechanism's syntax: 501 5.5.2, BAD.
    Malformed,
    /// The client sent `*`: 501 5.7.0, BAD.
    Cancelled,
    /// The password was right, but the user has too many connections ([LIMIT], 421).
    TooMany,
    /// The user files cannot be read now ([UNAVAILABLE], 454 4.7.0, [SYS/TEMP]).
    Unavailable,
}

/// A seat among a user's connections; given back on drop.
pub struct Seat;

/// SASL mechanisms we know, in the order we announce them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    ScramSha256Plus,
    ScramSha256,
    Plain,
    Login,
}

/// One login attempt.
pub struct Login;

impl Login {
    /// Mechanisms to announce to this peer: none in clear off loopback; -PLUS only with an exporter.
    pub fn mechanisms(accounts: &Accounts, peer: &Peer, tls: Option<&Tls>) -> Vec<Mechanism> {
        todo!()
    }
    /// Begin with a mechanism by its name, with the initial response if the client sent one (already base64-decoded; `=` is empty).
    pub fn sasl(
        accounts: &Arc<Accounts>,
        peer: &Peer,
        tls: Option<&Tls>,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> (Login, Step) {
        todo!()
    }
    /// USER/PASS and LOGIN.
    pub fn password(accounts: &Arc<Accounts>, peer: &Peer, login: &str, password: Secret) -> (Login, Step) {
        todo!()
    }
    /// The client's answer to a challenge, base64-decoded.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        todo!()
    }
    /// The answer of the work that was asked for.
    pub fn answered(&mut self, answer: Answer) -> Step {
        todo!()
    }
}
