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

    /// As [`Mailbox::name`], where a `/` at the end may say that children are to come (RFC 3501 6.3.3). Who writes UTF-8 must write
    /// Net-Unicode, whose composed form we do not make ourselves (RFC 9051 5.1, RFC 6855 section 3).
    pub fn name_to_be(&self) -> std::result::Result<Name, Reply> {
        let bytes = self.bytes.strip_suffix(b"/").unwrap_or(&self.bytes);
        let name = Mailbox { bytes: Cow::Borrowed(bytes), utf8: self.utf8 }.name()?;
        if self.utf8 && !unicode_normalization::is_nfc(name.as_str()) {
            return Err(Reply::no("CANNOT", "Mailbox name is not in Unicode's Normalization Form C"));
        }
        Ok(name)
    }

    /// The name as it came, if it is not how `name` is told to the client (RFC 9051 6.3.9.7 OLDNAME): another spelling of INBOX.
    pub fn other_spelling(&self, name: &Name) -> Option<String> {
        let text =
            if self.utf8 { std::str::from_utf8(&self.bytes).ok()?.to_owned() } else { utf7::decode(&self.bytes)? };
        (text != name.as_str()).then_some(text)
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

    #[test]
    fn new_names_in_utf8_are_composed() {
        let mailbox = |text: &'static str| Cursor::new(text.as_bytes()).speaking(true).mailbox().unwrap();
        assert!(mailbox("\"M\u{fc}ll\"").name_to_be().is_ok());
        let decomposed = mailbox("\"Mu\u{308}ll\"");
        assert!(decomposed.name_to_be().is_err());
        assert!(decomposed.name().is_ok(), "it may be there from before");
    }

    #[test]
    fn other_spellings_are_of_inbox() {
        let other = |text: &'static str| {
            let mailbox = Cursor::new(text.as_bytes()).speaking(true).mailbox().unwrap();
            mailbox.other_spelling(&mailbox.name().unwrap())
        };
        assert_eq!(other("inbox/a").as_deref(), Some("inbox/a"));
        assert_eq!((other("INBOX"), other("\"R&D\"")), (None, None));
    }
}
