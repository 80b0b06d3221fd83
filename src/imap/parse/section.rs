//! Sections: which piece of a message or part is meant (RFC 3501 section 6.4.5, RFC 3516).
//!
//! ```text
//! section    = "[" [part *("." part) ["." ("MIME" / msgtext)] / msgtext] "]" ["<" number "." nz-number ">"]
//! msgtext    = "HEADER" / "HEADER.FIELDS" [".NOT"] SP "(" field *(SP field) ")" / "TEXT"
//! binary     = "[" [part *("." part)] "]"
//! ```

use super::{Cursor, Result};
use crate::mail::scan::MAX_DEPTH;

/// Field names in one list; each costs a comparison with every field of every header.
const MAX_FIELDS: usize = 200;

/// A piece of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// How the client named it.
    pub label: Label,
    /// Leaves \Seen alone.
    pub peek: bool,
    /// Part numbers; none for the message itself.
    pub path: Vec<u32>,
    /// Which piece of that part.
    pub what: What,
    /// First byte and number of bytes.
    pub partial: Option<(u64, u64)>,
}

/// Names of a section in the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `BODY[...]`.
    Body,
    /// `RFC822`.
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// Pieces of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `[]` or `[1.2]`: all of the message, or the body of the part.
    Whole,
    /// `HEADER`.
    Header,
    /// `HEADER.FIELDS`, with the names as written.
    Fields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT`.
    FieldsNot(Vec<Vec<u8>>),
    /// `TEXT`.
    Text,
    /// `MIME`.
    Mime,
}

impl Cursor<'_> {
    /// `[...]` and what follows it; with `peek` it leaves \Seen alone.
    pub fn section(&mut self, peek: bool) -> Result<Section> {
        self.expect(b'[', "expected [ and a section")?;
        let mut path = Vec::new();
        let mut what = What::Whole;
        while self.peek() != Some(b']') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                path.push(self.nz_number()?);
                // One more than any part lies deep; what it names does not exist, but it is no mistake.
                if path.len() > MAX_DEPTH + 1 {
                    return self.bad("section has too many part numbers");
                }
                if self.peek() == Some(b']') {
                    break;
                }
                self.expect(b'.', "expected . or ] after a part number")?;
                if self.peek() != Some(b']') {
                    continue;
                }
                return self.bad("expected a part number or the name of a section");
            }
            what = self.section_text(!path.is_empty())?;
            break;
        }
        self.expect(b']', "expected ] at the end of a section")?;
        let partial = if self.eat(b'<') { Some(self.partial()?) } else { None };
        Ok(Section { label: Label::Body, peek, path, what, partial })
    }

    fn section_text(&mut self, in_part: bool) -> Result<What> {
        let before = self.clone();
        Ok(match self.word()?.to_ascii_uppercase().as_str() {
            "HEADER" => What::Header,
            "HEADER.FIELDS" => What::Fields(self.field_names()?),
            "HEADER.FIELDS.NOT" => What::FieldsNot(self.field_names()?),
            "TEXT" => What::Text,
            // RFC 3501 section 6.4.5: MIME must have a part number before it.
            "MIME" if in_part => What::Mime,
            _ => return before.bad("unknown section"),
        })
    }

    fn field_names(&mut self) -> Result<Vec<Vec<u8>>> {
        self.space()?;
        let names = self.list1(|cursor| Ok(cursor.astring()?.into_owned()))?;
        if names.len() > MAX_FIELDS {
            return self.bad("too many field names");
        }
        Ok(names)
    }

    /// RFC 3516 section 7: part numbers in brackets, or nothing in them.
    pub(super) fn section_binary(&mut self) -> Result<Vec<u32>> {
        self.expect(b'[', "expected [ and part numbers")?;
        let mut path = Vec::new();
        while !self.eat(b']') {
            if !path.is_empty() {
                self.expect(b'.', "expected . or ] after a part number")?;
            }
            path.push(self.nz_number()?);
            if path.len() > MAX_DEPTH + 1 {
                return self.bad("section has too many part numbers");
            }
        }
        Ok(path)
    }

    /// RFC 9051: numbers of 63 bits; RFC 3501 has only those of 32.
    pub(super) fn partial(&mut self) -> Result<(u64, u64)> {
        let first = self.number64()?;
        self.expect(b'.', "expected . and a number of bytes")?;
        let before = self.clone();
        let count = self.number64()?;
        if count == 0 {
            return before.bad("number of bytes must not be 0");
        }
        self.expect(b'>', "expected > after a number of bytes")?;
        Ok((first, count))
    }
}
