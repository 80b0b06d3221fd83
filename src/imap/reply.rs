//! Tagged replies, and the one place where an error becomes a response code.
//!
//! A command ends in a [`Reply`]: OK, NO or BAD, perhaps with a response code (RFC 3501 7.1, RFC 5530), and words. Grammar
//! errors become BAD; store errors become NO with the code that tells a client what to do. Errors that are ours are
//! logged here, with their path; the client is told only what kind of error it was.

use std::borrow::Cow;

use super::parse::Bad;
use crate::store;
use crate::wire::Out;

/// The response code of a login that failed (RFC 5530), whatever the cause.
pub const AUTHENTICATION_FAILED: &str = "AUTHENTICATIONFAILED";

/// RFC 3501 7.1: how a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Understood, not done.
    No,
    /// Not understood, or not allowed now.
    Bad,
}

/// Of the mailbox that is open: one text for a deleted one and for one whose rights were taken away, which the user is not to tell apart.
pub const MAILBOX_GONE: &str = "The open mailbox is gone or may no longer be read";

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// OK, NO, BAD.
    pub condition: Condition,
    /// What stands in brackets: `TRYCREATE`, `APPENDUID 1 2`.
    pub code: Option<Cow<'static, str>>,
    /// Words for people. Never bytes of the peer.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `OK text`.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { condition: Condition::Ok, code: None, text: text.into() }
    }

    /// `OK [code] text`.
    pub fn ok_code(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { condition: Condition::Ok, code: Some(code.into()), text: text.into() }
    }

    /// `NO [code] text`. Every NO has a code, so that a client need not read the words.
    pub fn no(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { condition: Condition::No, code: Some(code.into()), text: text.into() }
    }

    /// `BAD text`.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { condition: Condition::Bad, code: None, text: text.into() }
    }

    /// `BAD [code] text`.
    pub fn bad_code(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { condition: Condition::Bad, code: Some(code.into()), text: text.into() }
    }

    /// Is it NO?
    pub fn is_no(&self) -> bool {
        self.condition == Condition::No
    }

    /// The reply for a missing target of APPEND, COPY or MOVE: a client may create it and try again
    /// (RFC 3501 6.3.11). Any other error is what it always is.
    pub fn target(error: store::Error) -> Reply {
        match error {
            store::Error::NotFound => Reply::no("TRYCREATE", "No such mailbox; create it first"),
            other => other.into(),
        }
    }

    /// Write it as the reply of the command `tag`, or untagged with `*`.
    pub fn write(&self, tag: &str, out: &mut Out) {
        let condition = match self.condition {
            Condition::Ok => " OK ",
            Condition::No => " NO ",
            Condition::Bad => " BAD ",
        };
        out.put(tag);
        out.put(condition);
        if let Some(code) = &self.code {
            out.put("[");
            out.put(code.as_bytes());
            out.put("] ");
        }
        out.line(self.text.as_bytes());
    }
}

impl From<Bad> for Reply {
    fn from(bad: Bad) -> Reply {
        let mut text = bad.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Reply::bad(text)
    }
}

impl From<store::Error> for Reply {
    fn from(error: store::Error) -> Reply {
        use store::Error as E;
        match &error {
            E::NotFound => Reply::no("NONEXISTENT", "No such mailbox"),
            E::Exists => Reply::no("ALREADYEXISTS", "Mailbox exists already"),
            E::BadName(why) | E::Cannot(why) => Reply::no("CANNOT", *why),
            E::Gone => Reply::no("EXPUNGEISSUED", "Message was expunged"),
            E::Limit(which) => Reply::no("LIMIT", *which),
            E::OverQuota => Reply::no("OVERQUOTA", "Quota exceeded"),
            E::ReadOnly(_) => Reply::no("NOPERM", "Mailbox is read-only"),
            E::Locked(path) => {
                tracing::warn!(path = %path.display(), "mailbox is locked by another program for too long");
                Reply::no("INUSE", "Mailbox is locked by another program; try again later")
            }
            E::Full(path) => {
                tracing::error!(path = %path.display(), "disk full");
                Reply::no("UNAVAILABLE", "Disk is full; try again later")
            }
            E::Io { path, source } => {
                tracing::error!(path = %path.display(), error = %source, "mailbox error");
                Reply::no("UNAVAILABLE", "Mail storage failed; see the server's log and try again later")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_as_text() {
        let table = [
            (Reply::ok("Done"), "a OK Done\r\n"),
            (Reply::ok_code("READ-ONLY", "Done"), "a OK [READ-ONLY] Done\r\n"),
            (store::Error::NotFound.into(), "a NO [NONEXISTENT] No such mailbox\r\n"),
            (Reply::target(store::Error::NotFound), "a NO [TRYCREATE] No such mailbox; create it first\r\n"),
            (Reply::target(store::Error::OverQuota), "a NO [OVERQUOTA] Quota exceeded\r\n"),
            (Bad { what: "expected x", at: 3 }.into(), "a BAD Expected x (byte 3 of the command)\r\n"),
        ];
        for (reply, expected) in table {
            let mut out = Out::new();
            reply.write("a", &mut out);
            assert_eq!(String::from_utf8_lossy(out.bytes()), expected);
        }
    }
}
