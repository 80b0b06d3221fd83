//! Who exists: domains, users, aliases, passwords, limits.
//!
//! [`Accounts`] reads `domains/NAME/users` and `domains/NAME/aliases`, notices changes without a restart, resolves an
//! address to recipients, and verifies logins. [`Login`] is one login attempt in progress, the same for
//! every protocol: it runs the SASL exchange, asks for slow work, slows down failures, and counts seats.
#![allow(missing_docs, unused_variables, clippy::todo)]

pub mod password;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::mail::address::Address;
use crate::store::{Home, Layout};
use crate::wire::{Answer, Network, Peer, Secret, Tls, Work};

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

/// Are SCRAM mechanisms announced?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scram {
    /// When every password on file can be used with them (SCRAM-SHA-256 or PLAIN): clients choose the strongest
    /// mechanism, and one that cannot work for a user locks him out.
    #[default]
    Auto,
    /// Always; users with other schemes must choose another mechanism.
    Always,
    /// Never.
    Never,
}

/// What accounts are told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of domain directories: `/etc/mailcote/domains`.
    pub domains: PathBuf,
    /// Maildir of a user whose line names none; `{domain}` and `{user}` are filled in.
    pub maildir: String,
    /// Layout of trees whose line names none.
    pub layout: Layout,
    /// What stands between user and detail (`+`); none: addresses have no detail.
    pub delimiter: Option<char>,
    /// Deliver to the folder that the detail names, if it exists?
    pub detail: bool,
    /// Domain of login names and of the bare `postmaster` without one; otherwise the only domain there is.
    pub default_domain: Option<String>,
    /// Address that gets mail for a postmaster whom no file names; otherwise the first user of the domain.
    pub postmaster: Option<String>,
    /// Domains whose users are those of the system (getpwnam): mail in `~/Maildir`, files are theirs.
    pub system_domains: Vec<String>,
    /// Clients in these networks are never slowed; loopback never is.
    pub exempt: Vec<Network>,
    /// May a client on this machine log in without TLS?
    pub clear_on_loopback: bool,
    /// Connections one user may have at a time, over all protocols.
    pub max_seats: usize,
    /// Are SCRAM mechanisms announced?
    pub scram: Scram,
    /// 32 random bytes, made at first start, from which the salts of SCRAM for users without one come; if none, they
    /// change with every start.
    pub secret_file: Option<PathBuf>,
}

/// Everybody.
pub struct Accounts;

impl Accounts {
    /// Read every domain. Files that are broken are logged, and their users are told to try later.
    pub fn new(settings: Settings) -> std::io::Result<Accounts> {
        todo!()
    }
    /// Look at every file again now (SIGHUP).
    pub fn reload(&self) {
        todo!()
    }
    /// Names of the domains we serve, in lower case (A-labels), sorted.
    pub fn domains(&self) -> Vec<String> {
        todo!()
    }
    /// Every user on file, for start-up checks and admin commands.
    pub fn users(&self) -> Vec<Arc<User>> {
        todo!()
    }
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
    /// Return it as `Want::Pause` without any output, and call [`Login::resumed`] when it is over. It comes before the
    /// check (an address or login that failed often) and before a refusal (every failure takes the same time).
    Pause(Duration),
    /// In. Keep the seat as long as the session lives: it counts connections of this user.
    Granted(Arc<User>, Seat),
    /// No: send the reply now.
    Refused(Refusal),
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

impl Mechanism {
    /// The name in AUTH lines (IANA's registry of SASL mechanisms).
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }
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
    /// The client sent `*` (RFC 4954 4, RFC 3501 6.2.2, RFC 5034 4).
    pub fn cancel(&mut self) -> Step {
        todo!()
    }
    /// The answer of the work that was asked for.
    pub fn answered(&mut self, answer: Answer) -> Step {
        todo!()
    }
    /// The pause that was asked for is over.
    pub fn resumed(&mut self) -> Step {
        todo!()
    }
}
