//! The arguments of GETMETADATA and SETMETADATA (RFC 5464 section 5), and entries as LIST asks for them (RFC 9590).

use super::{Cursor, Mailbox, Result};
use crate::store::metadata::MAX_NAME;

/// Entries in one command; clients ask for a handful.
pub const MAX_ENTRIES: usize = 100;

/// Whose an entry is, on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `/private`.
    Private,
    /// `/shared`.
    Shared,
}

/// The name of an entry, in lower case (RFC 5464 section 3.2: names are case-insensitive).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryName {
    /// The first component.
    pub kind: Kind,
    /// All others: `/comment`; empty for the whole of `/private` or `/shared`, which only GETMETADATA can name.
    pub name: String,
}

/// How far below an entry GETMETADATA looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// The entry itself.
    #[default]
    Zero,
    /// Its children too.
    One,
    /// Everything below.
    Infinity,
}

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata<'a> {
    /// Empty: the server.
    pub mailbox: Mailbox<'a>,
    /// Greater values are not sent.
    pub max_size: Option<u32>,
    /// See there.
    pub depth: Depth,
    /// At least one.
    pub entries: Vec<EntryName>,
}

/// An entry and its new value; `None` removes it.
pub type Assignment = (EntryName, Option<Vec<u8>>);

impl EntryName {
    /// The whole name, as it is sent.
    pub fn full(&self) -> String {
        let kind = match self.kind {
            Kind::Private => "/private",
            Kind::Shared => "/shared",
        };
        format!("{kind}{}", self.name)
    }

    /// Does a GETMETADATA of `self` with this depth ask for `other`?
    pub fn covers(&self, other: &EntryName, depth: Depth) -> bool {
        if self.kind != other.kind {
            return false;
        }
        let Some(below) = other.name.strip_prefix(&self.name) else { return false };
        match depth {
            _ if below.is_empty() => true,
            Depth::Zero => false,
            Depth::One => below.rfind('/') == Some(0),
            Depth::Infinity => below.starts_with('/'),
        }
    }
}

impl<'a> Cursor<'a> {
    /// Everything behind `GETMETADATA`. The options stand before the mailbox in the grammar and behind it in the RFC's own examples, which
    /// clients follow: both are taken.
    pub fn get_metadata(&mut self) -> Result<GetMetadata<'a>> {
        let (mut max_size, mut depth) = (None, Depth::Zero);
        self.space()?;
        if self.peek() == Some(b'(') {
            self.metadata_options(&mut max_size, &mut depth)?;
            self.space()?;
        }
        let mailbox = self.mailbox()?;
        self.space()?;
        let names_entries = |cursor: &Self| matches!(cursor.rest(), [b'(', b'/' | b'"' | b'{', ..]);
        if self.peek() == Some(b'(') && !names_entries(self) {
            self.metadata_options(&mut max_size, &mut depth)?;
            self.space()?;
        }
        let entries = self.entries()?;
        self.end()?;
        Ok(GetMetadata { mailbox, max_size, depth, entries })
    }

    fn metadata_options(&mut self, max_size: &mut Option<u32>, depth: &mut Depth) -> Result<()> {
        self.list1(|cursor| {
            match cursor.word()?.to_ascii_uppercase().as_str() {
                "MAXSIZE" => {
                    cursor.space()?;
                    *max_size = Some(cursor.number()?);
                }
                "DEPTH" => {
                    cursor.space()?;
                    *depth = match cursor.word()?.to_ascii_lowercase().as_str() {
                        "0" => Depth::Zero,
                        "1" => Depth::One,
                        "infinity" => Depth::Infinity,
                        _ => return cursor.bad("expected 0, 1 or infinity"),
                    };
                }
                _ => return cursor.bad("no such GETMETADATA option"),
            }
            Ok(())
        })
        .map(drop)
    }

    /// One entry, or several in parentheses.
    pub fn entries(&mut self) -> Result<Vec<EntryName>> {
        if self.peek() != Some(b'(') {
            return Ok(vec![self.entry()?]);
        }
        let entries = self.list1(Self::entry)?;
        if entries.len() > MAX_ENTRIES { self.bad("too many entries") } else { Ok(entries) }
    }

    /// Everything behind `SETMETADATA`.
    pub fn set_metadata(&mut self) -> Result<(Mailbox<'a>, Vec<Assignment>)> {
        self.space()?;
        let mailbox = self.mailbox()?;
        self.space()?;
        self.expect(b'(', "expected (")?;
        let mut all = Vec::new();
        loop {
            let before = self.clone();
            let entry = self.entry()?;
            // RFC 5464 section 3.2: a vendor's entries have at least four components, all others two.
            let components = entry.name.matches('/').count() + 1;
            if components < 2 || (components < 4 && (entry.name.starts_with("/vendor/") || entry.name == "/vendor")) {
                return before.bad("entry has too few components");
            }
            self.space()?;
            all.push((entry, self.metadata_value()?));
            if all.len() > MAX_ENTRIES {
                return before.bad("too many entries");
            }
            if self.eat(b')') {
                break;
            }
            self.space()?;
        }
        self.end()?;
        Ok((mailbox, all))
    }

    /// nstring or literal8.
    fn metadata_value(&mut self) -> Result<Option<Vec<u8>>> {
        match self.peek() {
            Some(b'~') => self.literal8().map(|bytes| Some(bytes.to_vec())),
            _ => self.nstring().map(|value| value.map(|bytes| bytes.into_owned())),
        }
    }

    fn entry(&mut self) -> Result<EntryName> {
        let before = self.clone();
        let bytes = self.astring()?;
        // RFC 5464 section 3.2; control characters up to 0x19 there, which is meant to be 0x1f.
        let is_wrong = |b: &u8| !matches!(b, 0x20..=0x7e) || matches!(b, b'*' | b'%');
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) if !bytes.iter().any(is_wrong) => text.to_ascii_lowercase(),
            _ => return before.bad("entry name has a character that none may have"),
        };
        if text.len() > MAX_NAME {
            return before.bad("entry name is longer than 255 bytes");
        }
        if text.contains("//") || text.ends_with('/') {
            return before.bad("entry name has an empty component");
        }
        for (kind, prefix) in [(Kind::Private, "/private"), (Kind::Shared, "/shared")] {
            match text.strip_prefix(prefix) {
                Some(name) if name.is_empty() || name.starts_with('/') => {
                    return Ok(EntryName { kind, name: name.into() });
                }
                _ => {}
            }
        }
        before.bad("entry name must begin with /private or /shared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getmetadata() {
        let good = [
            (" \"\" /shared/comment", None, Depth::Zero, "/shared/comment"),
            (" INBOX (/shared/comment /PRIVATE/Comment)", None, Depth::Zero, "/shared/comment /private/comment"),
            (" INBOX (MAXSIZE 1024) (/shared/comment)", Some(1024), Depth::Zero, "/shared/comment"),
            (" (DEPTH infinity maxsize 5) INBOX /private", Some(5), Depth::Infinity, "/private"),
            (" INBOX (depth 1) (\"/private/filters/values\")", None, Depth::One, "/private/filters/values"),
        ];
        for (text, max_size, depth, entries) in good {
            let get = Cursor::new(text.as_bytes()).get_metadata().unwrap_or_else(|bad| panic!("{text}: {bad}"));
            let names: Vec<String> = get.entries.iter().map(EntryName::full).collect();
            assert_eq!((get.max_size, get.depth, names.join(" ").as_str()), (max_size, depth, entries), "{text}");
        }
        let bad = [
            " INBOX",
            " INBOX ()",
            " INBOX /comment",
            " INBOX /shared/",
            " INBOX /shared//x",
            " INBOX \"/shared/a*\"",
            " INBOX \"/shared/a%\"",
            " INBOX \"/shared/\u{e4}\"",
            " INBOX /privateer/x",
            " INBOX (DEPTH 2) /shared",
            " INBOX (MAXSIZE) /shared",
            " INBOX (FOO 1) /shared",
        ];
        for text in bad {
            assert!(Cursor::new(text.as_bytes()).get_metadata().is_err(), "{text}");
        }
    }

    #[test]
    fn setmetadata() {
        let parse = |text: &[u8]| Cursor::new(text).set_metadata().ok().map(|(_, all)| all);
        let all = parse(b" INBOX (/private/comment {3}\r\na\nb /shared/comment NIL)").unwrap();
        assert_eq!(all[0].1.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(all[1].1, None);
        let all = parse(b" \"\" (/private/vendor/x/y ~{2}\r\n\0a)").unwrap();
        assert_eq!(all[0].1.as_deref(), Some(&b"\0a"[..]));
        for bad in [
            " INBOX ()",
            " INBOX (/private \"x\")",
            " INBOX (/private/vendor/x \"x\")",
            " INBOX (/private/comment)",
            " INBOX (/private/comment x)",
            " INBOX /private/comment \"x\"",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn depth() {
        let entry = |text: &str| Cursor::new(text.as_bytes()).entry().unwrap();
        let table = [
            ("/private/a", "/private/a", [true; 3]),
            ("/private/a", "/private/a/b", [false, true, true]),
            ("/private/a", "/private/a/b/c", [false, false, true]),
            ("/private/a", "/private/ab", [false; 3]),
            ("/private", "/private/a", [false, true, true]),
            ("/private", "/shared/a", [false; 3]),
        ];
        for (asked, there, covered) in table {
            let depths = [Depth::Zero, Depth::One, Depth::Infinity];
            assert_eq!(depths.map(|depth| entry(asked).covers(&entry(there), depth)), covered, "{asked} {there}");
        }
    }
}
