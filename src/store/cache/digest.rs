//! From a message's file to what the cache keeps of it.
//!
//! The head costs one read of the beginning; the body is scanned by blocks, so that a big message costs no memory, up to
//! [`MAX_DIGESTED`] bytes: beyond, whoever needs it reads it in steps. Reads only; fails as reading the file fails.
//!
//! Owns the doubt about files that somebody may still be writing ([`is_settled`]): other programs need not write to `tmp/` first.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::coding::{put, put_bytes};
use super::facts::{Facts, NONE, Piece, SortKeys};
use super::{KEPT_FIELDS, MAX_DIGESTED, tree};
use crate::clock;
use crate::mail::address_list::Mailbox;
use crate::mail::envelope::Envelope;
use crate::mail::part::Tree;
use crate::mail::scan::{MAX_HEADER, Scanner};
use crate::mail::{casemap, date, header, message_id, preview, render, subject, text};

/// Bytes read first: more than most headers have, and not a second block of most disks' read-ahead.
const FIRST: usize = 8 * 1024;
/// Bytes read at once while looking for parts.
const BLOCK: usize = 128 * 1024;
/// Bytes of header fields that are kept.
const MAX_FIELDS: usize = 8 * 1024;
/// Message ids kept of one message: the longest threads have some hundred, and only the last ones matter then.
const MAX_REFERENCES: usize = 200;

/// Both halves, as far as they were wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    pub(crate) head: Option<Piece>,
    pub(crate) body: Option<Piece>,
    /// Bytes that were read for it.
    pub(crate) read: u64,
    /// Was the file at rest?
    pub(crate) is_settled: bool,
}

/// Age from which a file is believed to be whole, in seconds: no program pauses longer while it writes a message.
const SETTLED: i64 = 60;

/// Is what was read of a file, which was as `before` said, what it will say tomorrow? Not if it was written to within the last minute, or
/// while it was read. Whose name tells its size needs no such doubt.
pub(crate) fn is_settled(file: &File, before: &Metadata) -> io::Result<bool> {
    let now = file.metadata()?;
    let is_same = (now.len(), now.mtime(), now.mtime_nsec()) == (before.len(), before.mtime(), before.mtime_nsec());
    // A time to come is no sign of haste: mail has what date its sender likes.
    Ok(is_same && (clock::unix() - now.mtime()).abs() >= SETTLED)
}

impl Digest {
    pub(crate) fn facts(&self, uid: u32) -> Facts<'_> {
        Facts::of(uid, self.head.as_ref().map(Piece::half), self.body.as_ref().map(Piece::half))
    }
}

/// Read what is wanted of `file`; the head always. `buffer` is for its bytes, and may be used again.
pub(crate) fn read(file: &File, wants_body: bool, buffer: &mut Vec<u8>) -> io::Result<Digest> {
    let meta = file.metadata()?;
    let (size, date) = (meta.len(), meta.mtime());
    buffer.clear();
    let whole = wants_body && size <= MAX_DIGESTED;
    read_up_to(file, if whole { BLOCK } else { FIRST }, buffer)?;
    let header = loop {
        if let Some(len) = header::block_len(buffer) {
            break len.min(MAX_HEADER);
        }
        let had = buffer.len();
        if had >= MAX_HEADER {
            break MAX_HEADER;
        }
        read_up_to(file, (had * 4).clamp(FIRST, MAX_HEADER), buffer)?;
        if buffer.len() == had {
            break had;
        }
    };
    let envelope = Envelope::parse(&buffer[..header]);
    let head = head(&buffer[..header], header < MAX_HEADER, &envelope, size, date);
    let body = if whole { Some(scan(file, size, date, buffer)?) } else { None };
    let read = if whole { size } else { buffer.len() as u64 };
    Ok(Digest { head: Some(head), body, read, is_settled: is_settled(file, &meta)? })
}

/// Have `want` bytes of the beginning in `buffer`, or all there are.
fn read_up_to(file: &File, want: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut have = buffer.len();
    buffer.resize(want.max(have), 0);
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                buffer.truncate(have);
                return Err(e);
            }
        }
    }
    buffer.truncate(have);
    Ok(())
}

/// The body of a file whose beginning is in `buffer`.
fn scan(file: &File, size: u64, date: i64, buffer: &[u8]) -> io::Result<Piece> {
    let mut scanner = Scanner::new();
    scanner.push(buffer);
    let mut at = buffer.len() as u64;
    let mut block = Vec::new();
    while at < size {
        block.resize(BLOCK, 0);
        match file.read_at(&mut block, at) {
            // Somebody cut the file.
            Ok(0) => break,
            Ok(n) => {
                scanner.push(&block[..n]);
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let tree = scanner.finish();
    let preview = preview_of(file, buffer, &tree)?;
    Ok(body(&tree, &preview, size, date))
}

/// The preview of a message whose parts are known and whose beginning is in `start`.
fn preview_of(file: &File, start: &[u8], tree: &Tree) -> io::Result<String> {
    let Some((part, is_html)) = preview::part(tree) else { return Ok(String::new()) };
    let range = part.body.range();
    let end = range.end.min(range.start + preview::MAX_READ);
    let in_memory = usize::try_from(range.start).ok().zip(usize::try_from(end).ok());
    let mut read = Vec::new();
    let bytes = match in_memory.and_then(|(from, to)| start.get(from..to)) {
        Some(bytes) => bytes,
        None => {
            read.resize((end - range.start) as usize, 0);
            let got = file.read_at(&mut read, range.start)?;
            &read[..got]
        }
    };
    Ok(preview::of_part(part, is_html, bytes, end == range.end))
}

/// The head of a message with this header block.
fn head(block: &[u8], is_whole: bool, envelope: &Envelope, size: u64, date: i64) -> Piece {
    let sent = envelope.date.as_deref().and_then(date::parse);
    let mut piece = Piece {
        numbers: [
            size.cast_signed(),
            date,
            sent.map_or(NONE, |sent| sent.unix_timestamp()),
            sent.map_or(NONE, |sent| sent.date().to_julian_day().into()),
        ],
        ..Piece::default()
    };
    sort_keys(envelope, &mut piece.bytes);
    piece.end_text(0);
    thread_keys(block, envelope, &mut piece.bytes);
    piece.end_text(1);
    fields(block, is_whole, &mut piece.bytes);
    piece.end_text(2);
    render::envelope::write(&mut piece.bytes, envelope);
    piece.end_text(3);
    piece
}

/// The body of a message with these parts.
fn body(tree: &Tree, preview: &str, size: u64, date: i64) -> Piece {
    let wire = tree.root().whole().wire_size();
    let mut piece = Piece { numbers: [wire.cast_signed(), size.cast_signed(), date, 0], ..Piece::default() };
    render::structure::write(&mut piece.bytes, tree, tree.root(), true);
    piece.end_text(0);
    render::structure::write(&mut piece.bytes, tree, tree.root(), false);
    piece.end_text(1);
    tree::encode(tree, &mut piece.bytes);
    piece.end_text(2);
    piece.bytes.extend_from_slice(preview.as_bytes());
    piece.end_text(3);
    piece
}

fn sort_keys(envelope: &Envelope, out: &mut Vec<u8>) {
    let folded = |text: &str| casemap::folded(text).into_bytes();
    let base = subject::base(&text::of_header(envelope.subject.as_deref().unwrap_or_default()));
    let mailbox = |list: &[Mailbox]| {
        let first = list.first().and_then(|one| one.mailbox.as_deref()).unwrap_or_default();
        folded(&String::from_utf8_lossy(first))
    };
    let display = |list: &[Mailbox]| list.first().map_or(Vec::new(), |one| folded(&display_name(one)));
    SortKeys {
        subject: &folded(&base.text),
        is_reply: base.is_reply,
        from: &mailbox(&envelope.from),
        to: &mailbox(&envelope.to),
        cc: &mailbox(&envelope.cc),
        display_from: &display(&envelope.from),
        display_to: &display(&envelope.to),
    }
    .encode(out);
}

/// RFC 5957 section 3.
fn display_name(one: &Mailbox) -> String {
    let name = one.name.as_deref().map(text::of_header).unwrap_or_default();
    if !name.is_empty() {
        return name;
    }
    let lossy = |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    match (&one.mailbox, &one.host) {
        (Some(_), Some(_)) => format!("{}@{}", lossy(&one.mailbox), lossy(&one.host)),
        (mailbox, _) => lossy(mailbox),
    }
}

/// RFC 5256 section 3, REFERENCES step 1.
fn thread_keys(block: &[u8], envelope: &Envelope, out: &mut Vec<u8>) {
    let own = message_id::ids(envelope.message_id.as_deref().unwrap_or_default()).next().unwrap_or_default();
    let field = header::find(block, "References").last();
    let mut references: Vec<_> = field.map_or(Vec::new(), |field| message_id::ids(field.value()).collect());
    if references.is_empty() {
        // Some mailers quote a whole line there; only the first id counts.
        references = message_id::ids(envelope.in_reply_to.as_deref().unwrap_or_default()).take(1).collect();
    }
    let kept = &references[references.len().saturating_sub(MAX_REFERENCES)..];
    put_bytes(&own, out);
    put(kept.len() as u64, out);
    kept.iter().for_each(|id| put_bytes(id, out));
}

/// A byte that says whether all is here, and the usual fields.
fn fields(block: &[u8], is_whole: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(1);
    for field in header::fields(block).filter(|field| is_kept(field.name)) {
        out.extend_from_slice(field.raw);
        if !field.raw.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    if !is_whole || out.len() - start > MAX_FIELDS {
        out.truncate(start);
        out.push(0);
    }
}

/// Is it, in any case, one of [`KEPT_FIELDS`]?
pub fn is_kept(name: &[u8]) -> bool {
    KEPT_FIELDS.iter().any(|kept| kept.len() == name.len() && kept.as_bytes().eq_ignore_ascii_case(name))
}
