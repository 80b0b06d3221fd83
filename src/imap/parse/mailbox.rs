//! Mailbox names in commands (RFC 3501 5.1, 5.1.3).

use std::borrow::Cow;

use super::{Cursor, Result};
use crate::imap::reply::Reply;
use crate::mail::utf7;
use crate::store::Name;

/// A mailbox name as it came: grammar says it is a string, not yet that it is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox<'a> {
    bytes: Cow<'a, [u8]>,
    /// RFC 6855 section 3: it is UTF-8 as it stands, `&` and all.
    utf8: bool,
}

impl Mailbox<'_> {
    /// Is it the empty string, which some commands take for the server or for nothing?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The name, checked; else the NO that says what is wrong with it.
    pub fn name(&self) -> std::result::Result<Name, Reply> {
        if self.utf8 {
            let text = std::str::from_utf8(&self.bytes);
            return Ok(Name::parse(text.map_err(|_| Reply::no("CANNOT", "Mailbox name is not UTF-8"))?)?);
        }
        let text =
            utf7::decode(&self.bytes).ok_or_else(|| Reply::no("CANNOT", "Mailbox name is not modified UTF-7"))?;
        Ok(Name::parse(&text)?)
    }

    /// As [`Mailbox::name`], where a `/` at the end may say that children are to come (RFC 3501 6.3.3).
    pub fn name_to_be(&self) -> std::result::Result<Name, Reply> {
        let bytes = self.bytes.strip_suffix(b"/").unwrap_or(&self.bytes);
        Mailbox { bytes: Cow::Borrowed(bytes), utf8: self.utf8 }.name()
    }
}

impl<'a> Cursor<'a> {
    /// RFC 3501 mailbox.
    pub fn mailbox(&mut self) -> Result<Mailbox<'a>> {
        self.astring().map(|bytes| Mailbox { bytes, utf8: self.is_utf8() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("inbox", Some("INBOX")),
            ("\"Entw&APw-rfe\"", Some("Entwürfe")),
            ("a/b", Some("a/b")),
            ("\"\"", None),
            ("&", None),
            ("../x", None),
            ("a//b", None),
            ("/etc", None),
            ("a/", None),
        ];
        for (text, expected) in table {
            let mailbox = Cursor::new(text.as_bytes()).mailbox().unwrap();
            assert_eq!(mailbox.name().ok().as_ref().map(Name::as_str), expected, "{text}");
        }
        assert_eq!(Cursor::new(b"a/").mailbox().unwrap().name_to_be().unwrap().as_str(), "a");
    }
}
