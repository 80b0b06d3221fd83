//! What a login attempt says to the protocol that runs it: the next step, the refusal, the mechanisms.

use std::sync::Arc;
use std::time::Duration;

use super::{Seat, User};
use crate::wire::{Question, Work};

/// What a login attempt wants next.
pub enum Step {
    /// Send this to the client ([`crate::wire::sasl::challenge`]) and pass its next line to [`super::Login::line`].
    Challenge(Vec<u8>),
    /// Return it as `Want::Work`, and pass the answer to [`super::Login::answered`].
    Work(Work),
    /// Return it as `Want::Ask`, and pass the answer to [`super::Login::answered`].
    Ask(Question),
    /// Return it as `Want::Pause` without any output, and call [`super::Login::resumed`] when it is over. It comes
    /// before the check (an address or login that failed often) and before a refusal (every failure takes the same
    /// time).
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

/// SASL mechanisms we know, in the order we announce them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS, bound to the TLS connection.
    ScramSha256Plus,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// PLAIN.
    Plain,
    /// LOGIN, which never was a standard and which clients still use.
    Login,
    /// EXTERNAL: the address in the client's certificate.
    External,
    /// OAUTHBEARER: a token, checked by the authorization server.
    OAuthBearer,
    /// XOAUTH2: the same before it was a standard.
    XOAuth2,
}

impl Mechanism {
    /// Mechanisms and their names.
    pub const TABLE: [(Mechanism, &'static str); 7] = [
        (Mechanism::ScramSha256Plus, "SCRAM-SHA-256-PLUS"),
        (Mechanism::ScramSha256, "SCRAM-SHA-256"),
        (Mechanism::Plain, "PLAIN"),
        (Mechanism::Login, "LOGIN"),
        (Mechanism::External, "EXTERNAL"),
        (Mechanism::OAuthBearer, "OAUTHBEARER"),
        (Mechanism::XOAuth2, "XOAUTH2"),
    ];

    /// The name to announce.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// By its name, in any case (RFC 4422 3.1 has capitals; clients vary).
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Self::TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanism_names() {
        assert_eq!(Mechanism::from_name("scram-sha-256-plus"), Some(Mechanism::ScramSha256Plus));
        assert_eq!(Mechanism::from_name("CRAM-MD5"), None);
        for (mechanism, name) in Mechanism::TABLE {
            assert_eq!(mechanism.name(), name);
        }
    }
}
