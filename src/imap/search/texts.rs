//! Strings in header fields, decoded only where that can matter.
//!
//! A header that is ASCII without encoded words is looked through as it lies; only in others are fields unfolded and words decoded.

use crate::mail::header::{self, Field};
use crate::mail::needle::Needle;
use crate::mail::plain::has_words;
use crate::mail::text;

/// Is the string in the value of a field, as a reader sees it?
pub(super) fn value_has(value: &[u8], needle: &Needle) -> bool {
    let is_plain = value.is_ascii() && !value.contains(&b'\n') && !has_words(value);
    match std::str::from_utf8(value) {
        Ok(text) if is_plain => needle.is_in(text),
        _ => needle.is_in(&text::of_header(value)),
    }
}

/// What a text is taken from. RFC 9051 6.4.4: TEXT looks into MIME header fields, too, BODY into no header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// The header of a part.
    Header,
    /// What the part holds.
    Body,
}

/// A header to search in, decoded only if that can matter.
pub struct HeaderText<'a> {
    header: &'a [u8],
    is_plain: bool,
    decoded: Option<String>,
}

impl HeaderText<'_> {
    /// Of a header block.
    pub fn new(header: &[u8]) -> HeaderText<'_> {
        HeaderText { header, is_plain: header.is_ascii() && !has_words(header), decoded: None }
    }

    /// Is the string in it?
    pub fn has(&mut self, needle: &Needle) -> bool {
        if self.is_plain && needle.is_plain() {
            // Nothing is decoded, and no line is put together, that could make or break it.
            return needle.is_in_bytes(self.header);
        }
        if self.is_plain && !needle.may_be_in(self.header) {
            return false;
        }
        needle.is_in(self.decoded.get_or_insert_with(|| text_of_header(self.header)))
    }
}

/// All fields of a header as text to search in, one a line.
pub fn text_of_header(header: &[u8]) -> String {
    let mut text = String::new();
    for Field { name, body, .. } in header::fields(header) {
        if !name.is_empty() {
            text.push_str(&String::from_utf8_lossy(name));
            text.push_str(": ");
        }
        text.push_str(&text::of_header(body));
        text.push('\n');
    }
    text
}
