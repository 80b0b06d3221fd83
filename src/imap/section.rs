//! Which bytes of a message a FETCH section means (RFC 3501 section 6.4.5), and how it is named in the answer.

use std::io;
use std::ops::Range;

use super::parse::fetch::{Label, Section, What};
use super::source::{Source, convert};
use crate::mail::header;
use crate::mail::part::{Part, Tree};
use crate::mail::scan::MAX_HEADER;

/// Names that a short field is compared with in the time in which a byte is read and converted.
const NAMES_A_BYTE: u64 = 4;

/// What must be known of a message before a section can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing but its size.
    File,
    /// Where its header ends.
    Header,
    /// Its parts.
    Tree,
}

/// The bytes of a section.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// There is no such part.
    Nothing,
    /// Made from a header, as it goes on the wire.
    Text(Vec<u8>),
    /// Bytes of the file, and their number on the wire if it is known.
    Range(Range<u64>, Option<u64>),
}

/// What `section` needs.
pub fn need(section: &Section) -> Need {
    match (&section.what, section.path.is_empty()) {
        (What::Whole, true) => Need::File,
        (_, true) => Need::Header,
        (_, false) => Need::Tree,
    }
}

/// Find a section. `tree` must be there if [`need`] said so, or if the header is so long that its end was not seen.
pub fn find(section: &Section, source: &Source, tree: Option<&Tree>) -> io::Result<Piece> {
    match tree {
        Some(tree) => in_tree(section, source, tree),
        None => in_message(section, source),
    }
}

/// Without a tree: pieces of the message itself.
fn in_message(section: &Section, source: &Source) -> io::Result<Piece> {
    let (header, _) = source.header();
    let behind = header.len() as u64;
    Ok(match &section.what {
        What::Whole => Piece::Range(0..source.size(), None),
        What::Header | What::Mime => Piece::Range(0..behind, None),
        What::Text => Piece::Range(behind..source.size(), None),
        What::Fields(names) => Piece::Text(fields(header, names, true)),
        What::FieldsNot(names) => Piece::Text(fields(header, names, false)),
    })
}

fn in_tree(section: &Section, source: &Source, tree: &Tree) -> io::Result<Piece> {
    if section.path.is_empty() {
        return of_message(section, source, tree.root());
    }
    let Some(part) = tree.find(&section.path) else { return Ok(Piece::Nothing) };
    match section.what {
        What::Whole => Ok(Piece::Range(part.body.range(), Some(part.body.wire_size()))),
        What::Mime => Ok(Piece::Range(part.header.range(), Some(part.header.wire_size()))),
        // RFC 3501 section 6.4.5: these refer to the header and text of the message in a message/rfc822.
        _ => tree.embedded(part).map_or(Ok(Piece::Nothing), |message| of_message(section, source, message)),
    }
}

fn of_message(section: &Section, source: &Source, message: &Part) -> io::Result<Piece> {
    let known = |span: crate::mail::part::Span| Piece::Range(span.range(), Some(span.wire_size()));
    let text = || {
        let Range { start, end } = message.header.range();
        source.bytes(start..end.min(start + MAX_HEADER as u64))
    };
    Ok(match &section.what {
        What::Whole => known(message.whole()),
        What::Header | What::Mime => known(message.header),
        What::Text => known(message.body),
        What::Fields(names) => Piece::Text(fields(&text()?, names, true)),
        What::FieldsNot(names) => Piece::Text(fields(&text()?, names, false)),
    })
}

/// What finding `section` costs, in bytes read: header fields are compared with every name that was asked for.
pub fn cost(section: &Section, source: &Source, tree: Option<&Tree>) -> u64 {
    let (What::Fields(names) | What::FieldsNot(names)) = &section.what else { return 0 };
    let header = match tree.and_then(|tree| tree.find(&section.path)) {
        Some(part) if !section.path.is_empty() => part.body.range().end - part.body.range().start,
        _ => source.header().0.len() as u64,
    };
    header.min(MAX_HEADER as u64) * (1 + names.len() as u64 / NAMES_A_BYTE)
}

/// The fields whose name is among `names` (or is not), and the empty line that RFC 3501 section 6.4.5 wants behind them.
fn fields(block: &[u8], names: &[Vec<u8>], among: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for field in header::fields(block) {
        if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) == among {
            convert(field.raw, false, &mut text);
            if !field.raw.ends_with(b"\n") {
                text.extend_from_slice(b"\r\n");
            }
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The name of a section in the answer: `BODY[1.HEADER.FIELDS (To)]<0>`. Field names come back as the client wrote them.
pub fn label(out: &mut Vec<u8>, section: &Section) {
    match section.label {
        Label::Body => {}
        Label::Rfc822 => return out.extend_from_slice(b"RFC822"),
        Label::Rfc822Header => return out.extend_from_slice(b"RFC822.HEADER"),
        Label::Rfc822Text => return out.extend_from_slice(b"RFC822.TEXT"),
    }
    out.extend_from_slice(b"BODY[");
    let mut path: Vec<String> = section.path.iter().map(u32::to_string).collect();
    let (word, names) = match &section.what {
        What::Whole => (None, None),
        What::Header => (Some("HEADER"), None),
        What::Fields(names) => (Some("HEADER.FIELDS"), Some(names)),
        What::FieldsNot(names) => (Some("HEADER.FIELDS.NOT"), Some(names)),
        What::Text => (Some("TEXT"), None),
        What::Mime => (Some("MIME"), None),
    };
    path.extend(word.map(str::to_owned));
    out.extend_from_slice(path.join(".").as_bytes());
    for (n, name) in names.into_iter().flatten().enumerate() {
        out.extend_from_slice(if n == 0 { b" (" } else { b" " });
        super::response::astring(out, name);
    }
    out.extend_from_slice(if names.is_some() { b")]" } else { b"]" });
    if let Some((first, _)) = section.partial {
        out.extend_from_slice(format!("<{first}>").as_bytes());
    }
}
