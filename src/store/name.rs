//! The name of a folder, checked once.
//!
//! A [`Name`] is UTF-8 with `/` between the parts, INBOX in capitals, and is the proof that it cannot leave the
//! Maildir: no empty part, no `.` or `..`, no control character, no `/` inside a part, within the limits below. How
//! it looks on disk (dots, modified UTF-7) is the tree's business; how it looks on the wire is `imap`'s.

use std::fmt;

use super::{Error, Result};

/// Bytes in a whole name; a Maildir++ directory name must stay under 255 even when encoded, which the tree checks again.
pub const MAX_NAME: usize = 1000;
/// Parts in a name.
pub const MAX_DEPTH: usize = 32;

/// A folder's name: `INBOX`, `Archive/2026`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The inbox.
    pub fn inbox() -> Name {
        Name("INBOX".into())
    }

    /// Check `text`. INBOX is recognized in any case, also as the first part.
    pub fn parse(text: &str) -> Result<Name> {
        if text.len() > MAX_NAME {
            return Err(Error::BadName("mailbox name is too long"));
        }
        if text.split('/').count() > MAX_DEPTH {
            return Err(Error::BadName("mailbox name has too many levels"));
        }
        for part in text.split('/') {
            match part {
                "" => return Err(Error::BadName("mailbox name has an empty level")),
                "." | ".." => return Err(Error::BadName("mailbox name must not contain . or .. as a level")),
                _ if part.chars().any(char::is_control) => {
                    return Err(Error::BadName("mailbox name contains a control character"));
                }
                _ => {}
            }
        }
        let (first, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
        if first.eq_ignore_ascii_case("INBOX") {
            return Ok(Name(format!("INBOX{rest}")));
        }
        Ok(Name(text.into()))
    }

    /// Is it the inbox itself?
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The text, levels joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The name above, if any.
    pub fn parent(&self) -> Option<Name> {
        self.0.rsplit_once('/').map(|(above, _)| Name(above.into()))
    }

    /// Is this name somewhere below `other`?
    pub fn is_below(&self, other: &Name) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What a folder is for (RFC 6154 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `\All`: every message; a virtual folder.
    All,
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Flagged`: every flagged message; a virtual folder.
    Flagged,
    /// `\Important` (RFC 8457): here a folder like any other, into which rules or people put what is important.
    Important,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

impl Role {
    /// Role and its IMAP attribute.
    pub const TABLE: [(Role, &'static str); 8] = [
        (Role::All, "\\All"),
        (Role::Archive, "\\Archive"),
        (Role::Drafts, "\\Drafts"),
        (Role::Flagged, "\\Flagged"),
        (Role::Important, "\\Important"),
        (Role::Junk, "\\Junk"),
        (Role::Sent, "\\Sent"),
        (Role::Trash, "\\Trash"),
    ];

    /// The IMAP attribute, `\Sent`.
    pub fn attribute(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// From an IMAP attribute in any case.
    pub fn from_attribute(text: &str) -> Option<Role> {
        Self::TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(text)).map(|row| row.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_maildir_are_refused() {
        for bad in ["", "/", "a/", "/a", "a//b", "..", "../x", "a/../../b", "a/./b", "a\0b", "a\nb", &"x".repeat(1001)]
        {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn inbox_in_any_case() {
        assert!(Name::parse("inBox").unwrap().is_inbox());
        assert_eq!(Name::parse("inbox/x").unwrap().as_str(), "INBOX/x");
        assert_eq!(Name::parse("Inboxes").unwrap().as_str(), "Inboxes");
        assert!(Name::parse("INBOX/x").unwrap().is_below(&Name::inbox()));
    }
}
