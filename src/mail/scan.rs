//! Finds the parts of a message without reading it whole (RFC 2045, 2046).
//!
//! [`Scanner`] is fed the file block by block and gives a [`Tree`]. It decodes nothing and keeps nothing but
//! one header block at a time, so its memory does not grow with the message: at most [`MAX_HEADER`] for the header in hand,
//! [`MAX_PARTS`] parts, [`MAX_KEPT`] of field values, and [`MAX_VALUES`] addresses, parameters and languages, which take up to a hundred
//! times their letters. Lines may end with LF, as on our disk, or CRLF.
//!
//! Nothing is refused. What passes a limit is opaque: a part nested too deep has no parts, one whose fields are too many has no fields, a
//! multipart with too many parts ends early. Only the message's own fields are always there. Broken structure is read as Dovecot 2.3 reads it, since that is what clients have learned to live
//! with: a boundary line is one that begins with the boundary, a multipart without an end reaches to the boundary
//! of the one around it or to the end, a boundary among header fields ends the header. There is no recursion: a stack of
//! open boundaries, at most [`MAX_DEPTH`] high, is all that nesting costs.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use memchr::{memchr, memchr_iter, memrchr};

use super::content::Content;
use super::envelope::Envelope;
use super::header;
use super::part::{Part, Position, Shape, Span, Tree};

/// Levels of parts. Real mail has fewer than 10; Dovecot stops at 100 too.
pub const MAX_DEPTH: usize = 100;
/// Parts in a message. A digest of 10,000 messages is a mailbox, not a message.
pub const MAX_PARTS: usize = 10_000;
/// Bytes of one header block that are looked at. 256 KiB is four times what the largest known lists of recipients need.
pub const MAX_HEADER: usize = 256 * 1024;
/// Bytes of header blocks whose fields are kept, in the whole tree; parts beyond are not made.
pub const MAX_KEPT: usize = 8 * 1024 * 1024;
/// Addresses, parameters and languages that are kept, in the whole tree. A real digest of a thousand messages has some thousand.
pub const MAX_VALUES: usize = 20_000;
/// Bytes of a boundary. RFC 2046 section 5.1.1 allows 70; a line has at most 998.
const MAX_BOUNDARY: usize = 998;
/// Bytes of a line's beginning that must be seen to know whether it is a boundary: `--`, boundary, `--`, CRLF.
const LINE_HEAD: usize = MAX_BOUNDARY + 6;

/// Where the next line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To the header of the current part.
    Header,
    /// To the body of the current part (of a multipart: before its first or behind its last part).
    Body,
    /// To a boundary line, behind which the current part gets a new part.
    BoundaryBeforePart,
    /// To a boundary line, behind which the current part goes on.
    BoundaryAtEnd,
}

#[derive(Debug)]
struct Open {
    part: usize,
    boundary: Vec<u8>,
}

/// Reads a message block by block. See the module.
#[derive(Debug)]
pub struct Scanner {
    parts: Vec<Part>,
    current: usize,
    state: State,
    /// Multiparts that wait for a boundary, outermost first.
    open: Vec<Open>,
    /// The header in hand, up to [`MAX_HEADER`].
    header: Vec<u8>,
    /// Bytes of all headers whose fields were kept.
    kept: usize,
    /// Addresses, parameters and languages in them.
    values: usize,
    /// Beginning of a line that was cut by the end of a block.
    head: Vec<u8>,
    /// Past the beginning of a line?
    in_line: bool,
    at: Position,
    /// Before the last line end.
    before_line_end: Position,
    last_byte: u8,
    /// Is message/global looked into?
    sees_global: bool,
    /// Are the envelopes of messages read?
    wants_envelopes: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the start of a message.
    pub fn new() -> Scanner {
        let mut scanner = Scanner {
            parts: Vec::new(),
            current: 0,
            state: State::Header,
            open: Vec::new(),
            header: Vec::new(),
            kept: 0,
            values: 0,
            head: Vec::new(),
            in_line: false,
            at: Position::default(),
            before_line_end: Position::default(),
            last_byte: b'\n',
            sees_global: false,
            wants_envelopes: true,
        };
        scanner.add_part(None);
        scanner
    }

    /// At the start of a message whose parts of message/global are messages like those of message/rfc822 (RFC 9051), or are not (RFC 3501).
    pub fn seeing_global(sees_global: bool) -> Scanner {
        Scanner { sees_global, ..Scanner::new() }
    }

    /// At the start of a message whose parts are looked for and whose envelopes are not: those of the tree are empty.
    pub fn without_envelopes() -> Scanner {
        Scanner { wants_envelopes: false, ..Scanner::new() }
    }

    /// The next bytes of the message, cut anywhere.
    pub fn push(&mut self, block: &[u8]) {
        let mut rest = block;
        while !rest.is_empty() {
            if self.state == State::Body && self.head.is_empty() {
                if self.open.is_empty() {
                    // Nobody waits for a boundary: what is left is body.
                    return self.count(rest);
                }
                let skipped = if self.in_line { 0 } else { before_dashes(rest) };
                if skipped > 0 {
                    self.count(&rest[..skipped]);
                    rest = &rest[skipped..];
                    continue;
                }
            }
            let end = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            let (piece, behind) = rest.split_at(end);
            self.piece(piece, piece.ends_with(b"\n"));
            rest = behind;
        }
    }

    /// The message ends here.
    pub fn finish(mut self) -> Tree {
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.begin_line(&head);
        }
        self.end_header_early();
        let end = self.at;
        self.close_up_to(None, end);
        Tree { parts: self.parts }
    }

    /// A line, or a piece of one.
    fn piece(&mut self, piece: &[u8], ends: bool) {
        if self.in_line {
            self.add(piece);
        } else if self.head.is_empty() && (ends || piece.len() >= LINE_HEAD) {
            self.begin_line(piece);
            self.in_line = true;
        } else {
            self.head.extend_from_slice(piece);
            if ends || self.head.len() >= LINE_HEAD {
                let mut head = std::mem::take(&mut self.head);
                self.begin_line(&head);
                self.in_line = true;
                head.clear();
                self.head = head;
            }
        }
        if ends {
            self.in_line = false;
            self.end_line();
        }
    }

    /// The first piece of a line, long enough to tell what it is.
    fn begin_line(&mut self, line: &[u8]) {
        if let Some((level, is_last)) = self.boundary(line) {
            self.meet_boundary(level, is_last);
            self.count_line(line);
        } else if self.state == State::Header && matches!(line, b"\n" | b"\r\n") {
            self.count_line(line);
            self.end_header();
        } else {
            self.add(line);
        }
    }

    /// Bytes that belong where the state says.
    fn add(&mut self, bytes: &[u8]) {
        if self.state == State::Header {
            let room = MAX_HEADER - self.header.len();
            self.header.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
        self.count_line(bytes);
    }

    /// A line, or a piece of one.
    fn count_line(&mut self, line: &[u8]) {
        if let [text @ .., b'\n'] = line {
            let is_bare = text.last().copied().unwrap_or(self.last_byte) != b'\r';
            let offset = self.at.offset + text.len() as u64 - u64::from(!is_bare);
            self.before_line_end = Position { offset, ..self.at };
            self.at.lines += 1;
            self.at.bare += u64::from(is_bare);
        }
        self.at.offset += line.len() as u64;
        self.last_byte = line.last().copied().unwrap_or(self.last_byte);
    }

    /// Any number of lines.
    fn count(&mut self, bytes: &[u8]) {
        if let Some(last) = memrchr(b'\n', bytes) {
            let (lines, bare) = line_ends(bytes, self.last_byte);
            let before = if last == 0 { self.last_byte } else { bytes[last - 1] };
            let is_bare = before != b'\r';
            self.before_line_end = Position {
                offset: self.at.offset + last as u64 - u64::from(!is_bare),
                lines: self.at.lines + lines - 1,
                bare: self.at.bare + bare - u64::from(is_bare),
            };
            self.at.lines += lines;
            self.at.bare += bare;
        }
        self.at.offset += bytes.len() as u64;
        self.last_byte = bytes.last().copied().unwrap_or(self.last_byte);
    }

    fn end_line(&mut self) {
        match self.state {
            State::BoundaryBeforePart => {
                let multipart = self.current;
                self.add_part(Some(multipart));
                self.state = State::Header;
            }
            State::BoundaryAtEnd => self.state = State::Body,
            State::Header | State::Body => {}
        }
    }

    /// Which open multipart's boundary `line` is, and whether it is the last. The innermost counts first, as the same
    /// boundary may be used at two levels; but one that is a prefix of another gives way to it.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let mut best: Option<usize> = None;
        for (level, open) in self.open.iter().enumerate().rev() {
            let Some(behind) = text.strip_prefix(&open.boundary[..]) else { continue };
            if best.is_none_or(|best| self.open[best].boundary.len() < open.boundary.len()) {
                best = Some(level);
                if matches!(behind.trim_ascii_end(), b"" | b"--") {
                    break;
                }
            }
        }
        best.map(|level| (level, text[self.open[level].boundary.len()..].starts_with(b"--")))
    }

    /// A boundary line of the multipart at `level` begins here.
    fn meet_boundary(&mut self, level: usize, is_last: bool) {
        self.end_header_early();
        let multipart = self.open[level].part;
        self.close_up_to(Some(multipart), self.before_line_end);
        if is_last || self.is_full() {
            self.open.truncate(level);
            self.state = State::BoundaryAtEnd;
        } else {
            self.open.truncate(level + 1);
            self.state = State::BoundaryBeforePart;
        }
    }

    /// The current part and those around it end at `end`, up to `stop`, which goes on.
    fn close_up_to(&mut self, stop: Option<usize>, mut end: Position) {
        let mut part = Some(self.current);
        while part != stop {
            let Some(index) = part else { break };
            let closing = &mut self.parts[index];
            // A header that ends at a boundary keeps its last line end.
            end = end.max(closing.body.start);
            closing.body.end = end;
            part = closing.parent;
        }
        self.current = stop.unwrap_or(0);
    }

    fn add_part(&mut self, parent: Option<usize>) {
        let here = Span { start: self.at, end: self.at };
        let index = self.parts.len();
        let depth = parent.map_or(0, |parent| self.parts[parent].depth + 1);
        let is_message = parent.is_none_or(|parent| self.parts[parent].shape == Shape::Message);
        self.parts.push(Part {
            parent,
            children: Vec::new(),
            shape: Shape::Leaf,
            header: here,
            body: here,
            content: Content::default(),
            envelope: is_message.then(Box::default),
            depth,
        });
        if let Some(parent) = parent {
            self.parts[parent].children.push(index);
        }
        self.current = index;
        self.header.clear();
    }

    /// The header in hand ends here: read it, and go inside or on to the body.
    fn end_header(&mut self) {
        let in_multipart = self.parent_is(Shape::Multipart);
        let in_digest = in_multipart && self.parent_is_digest();
        let part = &mut self.parts[self.current];
        part.header.end = self.at;
        part.body = Span { start: self.at, end: self.at };
        part.content = Content::parse(&self.header, in_multipart);
        self.values += part.content.values();
        if self.wants_envelopes && part.envelope.is_some() {
            let envelope = Box::new(Envelope::parse(&self.header));
            self.values += envelope.addresses();
            part.envelope = Some(envelope);
        }
        self.kept += self.header.len();
        if self.values > MAX_VALUES && self.current > 0 {
            return self.forget_fields();
        }
        let part = &self.parts[self.current];
        let has_type = header::find(&self.header, "Content-Type").next().is_some();
        self.header.clear();

        let shape = match &part.content.media {
            Some(media) if media.is("message", "rfc822") => Shape::Message,
            Some(media) if self.sees_global && media.is("message", "global") => Shape::Message,
            Some(media) if media.is_kind("multipart") && !media.subtype.is_empty() => Shape::Multipart,
            // RFC 2046 section 5.1.5: a part of a digest is a message unless it says something else.
            None if in_digest && !has_type => Shape::Message,
            _ => Shape::Leaf,
        };
        let full = part.depth + 1 >= MAX_DEPTH || self.is_full();
        self.parts[self.current].shape = if full && shape != Shape::Leaf { Shape::Opaque } else { shape };
        self.state = State::Body;
        match self.parts[self.current].shape {
            Shape::Message => {
                self.add_part(Some(self.current));
                self.state = State::Header;
            }
            Shape::Multipart => self.open_multipart(),
            Shape::Leaf | Shape::Opaque => {}
        }
    }

    /// Is there room for no more parts?
    fn is_full(&self) -> bool {
        self.parts.len() >= MAX_PARTS || self.kept >= MAX_KEPT || self.values >= MAX_VALUES
    }

    /// The part whose header ends here says more than is kept: it is opaque, or what it is the message of.
    fn forget_fields(&mut self) {
        self.header.clear();
        self.state = State::Body;
        if self.parent_is(Shape::Message) {
            // The newest of all parts, and without parts: nothing was read behind its header.
            let embedded = self.parts.pop();
            self.current = embedded.and_then(|part| part.parent).unwrap_or(0);
            self.parts[self.current].children.clear();
        } else {
            self.parts[self.current].content = Content::default();
        }
        self.parts[self.current].shape = Shape::Opaque;
    }

    /// A boundary or the end of the message comes before the empty line.
    fn end_header_early(&mut self) {
        while self.state == State::Header {
            self.end_header();
        }
    }

    fn open_multipart(&mut self) {
        let part = &self.parts[self.current];
        let boundary = part.content.media.as_ref().and_then(|media| media.param("boundary"));
        if let Some(boundary) = boundary.filter(|boundary| boundary.len() <= MAX_BOUNDARY) {
            let boundary = boundary.to_vec();
            self.open.push(Open { part: self.current, boundary });
        }
    }

    fn parent_is(&self, shape: Shape) -> bool {
        self.parts[self.current].parent.is_some_and(|parent| self.parts[parent].shape == shape)
    }

    fn parent_is_digest(&self) -> bool {
        self.parts[self.current].parent.is_some_and(|parent| {
            self.parts[parent].content.media.as_ref().is_some_and(|media| media.is("multipart", "digest"))
        })
    }
}

/// Bytes at the beginning of `lines` that are whole lines of which none begins with two dashes: none of them is a boundary.
fn before_dashes(lines: &[u8]) -> usize {
    if lines.starts_with(b"-") {
        return 0;
    }
    static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n--"));
    DASHES.find(lines).or_else(|| memrchr(b'\n', lines)).map_or(0, |lf| lf + 1)
}

/// Line ends in `bytes`, and those of them that are LF alone; `last` is the byte before.
fn line_ends(bytes: &[u8], last: u8) -> (u64, u64) {
    let lines = memchr_iter(b'\n', bytes).count();
    let across = usize::from(last == b'\r' && bytes.first() == Some(&b'\n'));
    let inside = if memchr(b'\r', bytes).is_some() { memmem::find_iter(bytes, b"\r\n").count() } else { 0 };
    (lines as u64, (lines - inside - across) as u64)
}

#[cfg(test)]
mod tests;
