//! What the cache keeps of a message, and how one looks at it without copying.
//!
//! Two halves, since a listing needs only the header of each file and must not read bodies: the *head* (sort and thread keys,
//! the usual header fields, ENVELOPE) and the *body* (BODYSTRUCTURE, BODY, part tree, preview). A half is four numbers and four
//! texts: a [`Piece`] owns them, a [`Half`] borrows them from wherever they lie, [`Facts`] gives them names.
//!
//! Everything here can be made again from the file; a half that does not decode is as if absent.

use time::Date;

use super::batch::Kind;
use super::coding::{Reader, put_bytes};
use crate::mail::part::Tree;

/// Texts of a half.
pub(super) const TEXTS: usize = 4;
/// Numbers of a half.
pub(super) const NUMBERS: usize = 4;
/// Stands for a date that a message does not have.
pub(super) const NONE: i64 = i64::MIN;

/// What a visitor will look at; nothing else is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// Bit n: text n of the head.
    pub(super) head: Option<u8>,
    /// The same of the body.
    pub(super) body: Option<u8>,
    /// The body only where it is known: no file is read for it.
    lazy: bool,
}

impl Wants {
    /// Nothing.
    pub const NONE: Wants = Wants { head: None, body: None, lazy: false };
    /// [`Facts::size`], [`Facts::date`], [`Facts::sent`], [`Facts::sent_day`].
    pub const NUMBERS: Wants = Wants { head: Some(0), body: None, lazy: false };
    /// [`Facts::sort`].
    pub const SORT: Wants = Wants { head: Some(1), body: None, lazy: false };
    /// [`Facts::thread`].
    pub const THREAD: Wants = Wants { head: Some(2), body: None, lazy: false };
    /// [`Facts::fields`].
    pub const FIELDS: Wants = Wants { head: Some(4), body: None, lazy: false };
    /// [`Facts::envelope`].
    pub const ENVELOPE: Wants = Wants { head: Some(8), body: None, lazy: false };
    /// [`Facts::wire_size`].
    pub const WIRE_SIZE: Wants = Wants { head: None, body: Some(0), lazy: false };
    /// [`Facts::structure`].
    pub const STRUCTURE: Wants = Wants { head: None, body: Some(1), lazy: false };
    /// [`Facts::body`].
    pub const BODY: Wants = Wants { head: None, body: Some(2), lazy: false };
    /// [`Facts::tree`].
    pub const TREE: Wants = Wants { head: None, body: Some(4), lazy: false };
    /// [`Facts::preview`].
    pub const PREVIEW: Wants = Wants { head: None, body: Some(8), lazy: false };
    /// [`Facts::preview`], where [`Facts::has_body`] says that it is known.
    pub const PREVIEW_IF_KNOWN: Wants = Wants { head: None, body: Some(8), lazy: true };

    /// Both. Lazy if one of them is: see [`Wants::not_lazy`].
    pub const fn and(self, other: Wants) -> Wants {
        const fn both(a: Option<u8>, b: Option<u8>) -> Option<u8> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a | b),
                (Some(one), None) | (None, Some(one)) => Some(one),
                (None, None) => None,
            }
        }
        Wants { head: both(self.head, other.head), body: both(self.body, other.body), lazy: self.lazy || other.lazy }
    }

    /// The same, but files are read for it.
    pub const fn not_lazy(self) -> Wants {
        Wants { lazy: false, ..self }
    }

    /// Everything.
    pub(super) const ALL: Wants = Wants { head: Some(u8::MAX), body: Some(u8::MAX), lazy: false };

    /// Is something of the head wanted?
    pub(crate) fn needs_head(self) -> bool {
        self.head.is_some()
    }

    /// Is something of the body wanted?
    pub(crate) fn has_body(self) -> bool {
        self.body.is_some()
    }

    /// Must the whole file be looked at?
    pub(crate) fn needs_body(self) -> bool {
        self.body.is_some() && !self.lazy
    }

    /// Can it be had without looking at any message?
    pub fn is_nothing(self) -> bool {
        self == Wants::NONE
    }
}

/// Half of what is known of a message, borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Half<'a> {
    pub(super) numbers: [i64; NUMBERS],
    /// Those that were not wanted are empty.
    pub(super) texts: [&'a [u8]; TEXTS],
}

impl Half<'_> {
    /// Bytes of the file that this was made from.
    pub(super) fn file_size(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Head => self.numbers[0].cast_unsigned(),
            Kind::Body => self.numbers[1].cast_unsigned(),
        }
    }
}

/// Half of what is known of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(super) numbers: [i64; NUMBERS],
    pub(super) bytes: Vec<u8>,
    /// Where each text ends in `bytes`.
    pub(super) ends: [u32; TEXTS],
}

impl Piece {
    /// The text in hand is complete.
    pub(super) fn end_text(&mut self, text: usize) {
        // A message's header and tree are bounded far below.
        self.ends[text] = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
    }

    pub(super) fn text(&self, text: usize) -> &[u8] {
        let start = if text == 0 { 0 } else { self.ends[text - 1] as usize };
        &self.bytes[start..self.ends[text] as usize]
    }

    pub(super) fn half(&self) -> Half<'_> {
        Half { numbers: self.numbers, texts: std::array::from_fn(|text| self.text(text)) }
    }
}

/// What is known of one message. Only what was wanted may be asked; the rest is empty.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub(super) uid: u32,
    pub(super) head: Option<Half<'a>>,
    pub(super) body: Option<Half<'a>>,
}

/// Sort keys (RFC 5256 section 3, RFC 5957), made ready for comparison byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SortKeys<'a> {
    /// Base subject.
    pub subject: &'a [u8],
    /// The subject said "Re:" or "Fwd:".
    pub is_reply: bool,
    /// Local part of the first From.
    pub from: &'a [u8],
    /// Of the first To.
    pub to: &'a [u8],
    /// Of the first Cc.
    pub cc: &'a [u8],
    /// DISPLAYFROM.
    pub display_from: &'a [u8],
    /// DISPLAYTO.
    pub display_to: &'a [u8],
}

/// Threading keys (RFC 5256 section 3): message ids without brackets and quotes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadKeys<'a> {
    /// The message's own; empty if it has none.
    pub id: &'a [u8],
    count: usize,
    references: &'a [u8],
}

impl<'a> ThreadKeys<'a> {
    /// References, or the first id of In-Reply-To where there are none: the oldest first.
    pub fn references(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Reader(self.references);
        (0..self.count).map_while(move |_| rest.bytes())
    }
}

impl<'a> Facts<'a> {
    /// Nothing is known.
    pub fn none(uid: u32) -> Facts<'static> {
        Facts { uid, head: None, body: None }
    }

    /// From its halves.
    pub(crate) fn of(uid: u32, head: Option<Half<'a>>, body: Option<Half<'a>>) -> Facts<'a> {
        Facts { uid, head, body }
    }

    /// Which message.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Bytes of the file. [`Wants::NUMBERS`].
    pub fn size(&self) -> u64 {
        self.number(self.head, 0).cast_unsigned()
    }

    /// INTERNALDATE, seconds since 1970. [`Wants::NUMBERS`].
    pub fn date(&self) -> i64 {
        self.number(self.head, 1)
    }

    /// When it was sent, seconds since 1970, if it says so. [`Wants::NUMBERS`].
    pub fn sent(&self) -> Option<i64> {
        Some(self.number(self.head, 2)).filter(|sent| *sent != NONE)
    }

    /// The day on which it was sent, where it was sent. [`Wants::NUMBERS`].
    pub fn sent_day(&self) -> Option<Date> {
        i32::try_from(self.number(self.head, 3)).ok().and_then(|day| Date::from_julian_day(day).ok())
    }

    /// [`Wants::SORT`].
    pub fn sort(&self) -> SortKeys<'a> {
        let mut from = Reader(self.text(self.head, 0));
        let is_reply = from.byte() == Some(1);
        let mut next = || from.bytes().unwrap_or_default();
        let (subject, sender, to, cc) = (next(), next(), next(), next());
        SortKeys { subject, is_reply, from: sender, to, cc, display_from: next(), display_to: next() }
    }

    /// [`Wants::THREAD`].
    pub fn thread(&self) -> ThreadKeys<'a> {
        let mut from = Reader(self.text(self.head, 1));
        let id = from.bytes().unwrap_or_default();
        let count = from.number().unwrap_or(0);
        ThreadKeys { id, count, references: from.0 }
    }

    /// The message's header fields whose name is one of [`super::KEPT_FIELDS`], raw, in their order. `None` if they are so long that the file
    /// must be asked. [`Wants::FIELDS`].
    pub fn fields(&self) -> Option<&'a [u8]> {
        let (is_whole, fields) = self.text(self.head, 2).split_first()?;
        (*is_whole == 1).then_some(fields)
    }

    /// ENVELOPE as IMAP writes it. [`Wants::ENVELOPE`].
    pub fn envelope(&self) -> &'a [u8] {
        self.text(self.head, 3)
    }

    /// Is the body known? Not if it is so big that whoever needs it should read it in steps ([`super::MAX_DIGESTED`]).
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Bytes on the wire, with CRLF at line ends. [`Wants::WIRE_SIZE`].
    pub fn wire_size(&self) -> u64 {
        self.number(self.body, 0).cast_unsigned()
    }

    /// BODYSTRUCTURE as IMAP writes it. [`Wants::STRUCTURE`].
    pub fn structure(&self) -> &'a [u8] {
        self.text(self.body, 0)
    }

    /// BODY as IMAP writes it. [`Wants::BODY`].
    pub fn body(&self) -> &'a [u8] {
        self.text(self.body, 1)
    }

    /// The parts, and where they lie in the file. [`Wants::TREE`].
    pub fn tree(&self) -> Option<Tree> {
        super::tree::decode(self.text(self.body, 2))
    }

    /// The beginning of what a reader would see (RFC 8970), at most 200 characters; may be empty. [`Wants::PREVIEW`].
    pub fn preview(&self) -> &'a [u8] {
        self.text(self.body, 3)
    }

    fn number(&self, half: Option<Half<'a>>, number: usize) -> i64 {
        half.map_or(NONE, |half| half.numbers[number])
    }

    fn text(&self, half: Option<Half<'a>>, text: usize) -> &'a [u8] {
        half.map_or(&[], |half| half.texts[text])
    }
}

impl SortKeys<'_> {
    /// As [`Facts::sort`] reads it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_reply));
        for key in [self.subject, self.from, self.to, self.cc, self.display_from, self.display_to] {
            put_bytes(key, out);
        }
    }
}
