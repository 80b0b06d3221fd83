//! A mail address as SMTP means it (RFC 5321 4.1.2, RFC 6531 3.3): local part and domain.

use std::fmt;

/// `local@domain`. The local part is kept as it was meant (quotes removed); the domain in lower case,
/// an address literal with its brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Local part, unquoted.
    pub local: String,
    /// Domain, lower case; empty only for the bare `postmaster` of RCPT TO.
    pub domain: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}
