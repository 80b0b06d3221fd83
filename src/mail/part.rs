//! The parts of a message: where each begins and ends in the file, and what it says of itself (RFC 2045, 2046).
//!
//! [`Scanner`] is fed the file block by block and gives a [`Tree`]. It decodes nothing and keeps nothing but
//! one header block at a time, so its memory does not grow with the message: at most [`MAX_HEADER`] for the header in hand,
//! [`MAX_PARTS`] parts, and [`MAX_KEPT`] of field values. Lines may end with LF, as on our disk, or CRLF; sizes
//! are told as on the wire, where every line ends with CRLF.
//!
//! Nothing is refused. What passes a limit is opaque: a part nested too deep has no parts, a multipart with too many ends
//! early. Broken structure is read as Dovecot 2.3 reads it, since that is what clients have learned to live
//! with: a boundary line is one that begins with the boundary, a multipart without an end reaches to the boundary
//! of the one around it or to the end, a boundary among header fields ends the header. There is no recursion: a stack of
//! open boundaries, at most [`MAX_DEPTH`] high, is all that nesting costs.

use std::ops::Range;

use memchr::memchr;

use super::content::Content;
use super::envelope::Envelope;

/// Levels of parts. Real mail has fewer than 10; Dovecot stops at 100 too.
pub const MAX_DEPTH: usize = 100;
/// Parts in a message. A digest of 10,000 messages is a mailbox, not a message.
pub const MAX_PARTS: usize = 10_000;
/// Bytes of one header block that are looked at. 256 KiB is four times what the largest known lists of recipients need.
pub const MAX_HEADER: usize = 256 * 1024;
/// Bytes of header blocks whose fields are kept, in the whole tree; parts beyond are not made.
pub const MAX_KEPT: usize = 8 * 1024 * 1024;
/// Bytes of a boundary. RFC 2046 section 5.1.1 allows 70; a line has at most 998.
const MAX_BOUNDARY: usize = 998;
/// Bytes of a line's beginning that must be seen to know whether it is a boundary: `--`, boundary, `--`, CRLF.
const LINE_HEAD: usize = MAX_BOUNDARY + 6;

/// A place in the file, with what was counted on the way there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Bytes of the file before it.
    pub offset: u64,
    /// Line ends before it.
    pub lines: u64,
    /// Line ends before it that are LF alone, each of which is one byte more on the wire.
    pub bare: u64,
}

/// From one place to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: Position,
    /// Behind the last byte.
    pub end: Position,
}

impl Span {
    /// Bytes in the file.
    pub fn range(&self) -> Range<u64> {
        self.start.offset..self.end.offset
    }

    /// Bytes on the wire.
    pub fn wire_size(&self) -> u64 {
        self.end.offset - self.start.offset + self.end.bare - self.start.bare
    }

    /// Line ends inside.
    pub fn lines(&self) -> u64 {
        self.end.lines - self.start.lines
    }
}

/// What is inside a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Data.
    Leaf,
    /// Parts; none if no boundary was found.
    Multipart,
    /// A message/rfc822: its one child is the message.
    Message,
    /// Would have parts, but a limit was reached: to be treated as application/octet-stream.
    Opaque,
}

/// One part, or the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part around it.
    pub parent: Option<usize>,
    /// The parts directly inside.
    pub children: Vec<usize>,
    /// See [`Shape`].
    pub shape: Shape,
    /// Header block with the empty line.
    pub header: Span,
    /// Body, without the line end that belongs to the boundary behind it.
    pub body: Span,
    /// The `Content-*` fields.
    pub content: Content,
    /// For the message itself and every message/rfc822's child.
    pub envelope: Option<Box<Envelope>>,
    depth: usize,
}

impl Part {
    /// Is it a message (the whole, or the one in a message/rfc822)?
    pub fn is_message(&self) -> bool {
        self.envelope.is_some()
    }

    /// Header and body.
    pub fn whole(&self) -> Span {
        Span { start: self.header.start, end: self.body.end }
    }
}

/// The parts of a message; number 0 is the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    parts: Vec<Part>,
}

impl Tree {
    /// Scan a message that is in memory.
    pub fn of(message: &[u8]) -> Tree {
        let mut scanner = Scanner::new();
        scanner.push(message);
        scanner.finish()
    }

    /// The message.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// All parts, in the order in which they begin.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts directly in `part`.
    pub fn children<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Part> {
        part.children.iter().map(|child| &self.parts[*child])
    }

    /// The message in a message/rfc822.
    pub fn embedded(&self, part: &Part) -> Option<&Part> {
        (part.shape == Shape::Message).then(|| &self.parts[part.children[0]])
    }

    /// The part that IMAP numbers so (RFC 3501 section 6.4.5). A message that is no multipart is its own part 1.
    pub fn find(&self, numbers: &[u32]) -> Option<&Part> {
        let mut part = self.root();
        for (level, number) in numbers.iter().enumerate() {
            // `2.1` with 2 a message/rfc822: the first part of the message in it.
            let around = if level > 0 { self.embedded(part).unwrap_or(part) } else { part };
            part = if around.shape == Shape::Multipart {
                &self.parts[*around.children.get(usize::try_from(*number).ok()?.checked_sub(1)?)?]
            } else if *number == 1 && around.is_message() && (level == 0 || !std::ptr::eq(around, part)) {
                around
            } else {
                return None;
            };
        }
        Some(part)
    }
}

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
    /// Beginning of a line that was cut by the end of a block.
    head: Vec<u8>,
    /// Past the beginning of a line?
    in_line: bool,
    at: Position,
    /// Before the last line end.
    before_line_end: Position,
    last_byte: u8,
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
            head: Vec::new(),
            in_line: false,
            at: Position::default(),
            before_line_end: Position::default(),
            last_byte: b'\n',
        };
        scanner.add_part(None);
        scanner
    }

    /// The next bytes of the message, cut anywhere.
    pub fn push(&mut self, block: &[u8]) {
        let mut rest = block;
        while !rest.is_empty() {
            if self.state == State::Body && self.open.is_empty() && self.head.is_empty() {
                // Nobody waits for a boundary: what is left is body.
                return self.count(rest);
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
            self.count(line);
        } else if self.state == State::Header && matches!(line, b"\n" | b"\r\n") {
            self.count(line);
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
        self.count(bytes);
    }

    fn count(&mut self, bytes: &[u8]) {
        for lf in memchr::memchr_iter(b'\n', bytes) {
            let before = if lf == 0 { self.last_byte } else { bytes[lf - 1] };
            let is_bare = before != b'\r';
            let offset = self.at.offset + lf as u64 - u64::from(!is_bare);
            self.before_line_end = Position { offset, lines: self.at.lines, bare: self.at.bare };
            self.at.lines += 1;
            self.at.bare += u64::from(is_bare);
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
        let enough = self.parts.len() >= MAX_PARTS || self.kept >= MAX_KEPT;
        if is_last || enough {
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
        if part.envelope.is_some() {
            part.envelope = Some(Box::new(Envelope::parse(&self.header)));
        }
        self.kept += self.header.len();
        let has_type = super::header::find(&self.header, "Content-Type").next().is_some();
        self.header.clear();

        let shape = match &part.content.media {
            Some(media) if media.is("message", "rfc822") => Shape::Message,
            Some(media) if media.is_kind("multipart") && !media.subtype.is_empty() => Shape::Multipart,
            // RFC 2046 section 5.1.5: a part of a digest is a message unless it says something else.
            None if in_digest && !has_type => Shape::Message,
            _ => Shape::Leaf,
        };
        let full = part.depth + 1 >= MAX_DEPTH || self.parts.len() >= MAX_PARTS || self.kept >= MAX_KEPT;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    const MIXED: &str = "Content-Type: multipart/mixed; boundary=x\n\n";

    /// `kind/subtype`, wire size and lines of the body; children in brackets.
    fn show(message: &[u8]) -> String {
        let tree = Tree::of(message);
        let mut out = String::new();
        show_part(&tree, tree.root(), &mut out);
        out
    }

    fn show_part(tree: &Tree, part: &Part, out: &mut String) {
        *out += match part.shape {
            Shape::Leaf => "leaf",
            Shape::Multipart => "multi",
            Shape::Message => "message",
            Shape::Opaque => "opaque",
        };
        if part.shape != Shape::Multipart {
            *out += &format!(" {} {}", part.body.wire_size(), part.body.lines());
        }
        if part.shape == Shape::Multipart || part.shape == Shape::Message {
            *out += " [";
            for (n, child) in tree.children(part).enumerate() {
                *out += if n > 0 { ", " } else { "" };
                show_part(tree, child, out);
            }
            *out += "]";
        }
    }

    /// Sizes and lines are what Dovecot 2.3.19 gives.
    #[test]
    fn structures() {
        let table: [(&str, &str, &str); 24] = [
            ("no header at all", "\nbody\n", "leaf 6 1"),
            ("empty", "", "leaf 0 0"),
            ("header only", "Subject: x\n", "leaf 0 0"),
            ("no line end", "Subject: x\n\nbody", "leaf 4 0"),
            ("crlf and bare lf", "A: b\r\n\r\na\r\nb\rc\nd", "leaf 9 2"),
            ("two parts", "--x\n\na\n--x\n\nb\n--x--\nepilogue\n", "multi [leaf 1 0, leaf 1 0]"),
            ("preamble, no end", "pre\n--x\nContent-Type: text/html\n\na\n", "multi [leaf 3 1]"),
            ("boundary in header", "--x\nContent-Type: text/html\n--x\n\nb\n--x--\n", "multi [leaf 0 0, leaf 1 0]"),
            ("boundaries only", "--x\n--x\n--x--\n", "multi [leaf 0 0, leaf 0 0]"),
            ("no boundary", "text\n", "multi []"),
            ("longer line matches", "--xyz\n\na\n--x--\n", "multi [leaf 1 0]"),
            ("spaces behind", "--x \n\na\n--x-- \n", "multi [leaf 1 0]"),
            ("space before", " --x\n\na\n--x--\n", "multi []"),
            ("no last line end", "--x\n\na\n--x--", "multi [leaf 1 0]"),
            ("end first", "--x--\n--x\n\na\n", "multi []"),
            ("parts behind the end", "--x\n\na\n--x--\n--x\n\nb\n--x--\n", "multi [leaf 1 0]"),
            (
                "inner without end",
                "--x\nContent-Type: multipart/a; boundary=y\n\n--y\n\n1\n--x\n\nb\n--x--\n",
                "multi [multi [leaf 1 0], leaf 1 0]",
            ),
            (
                "same boundary inside",
                "--x\nContent-Type: multipart/a; boundary=x\n\n--x\n\n1\n--x--\n\n--x\n\nb\n--x--\n",
                "multi [multi [leaf 1 0], leaf 1 0]",
            ),
            (
                "prefix of the inner",
                "--x\nContent-Type: multipart/a; boundary=xx\n\n--xx\n\n1\n--xx--\n\n--x\n\nb\n--x--\n",
                "multi [multi [leaf 1 0], leaf 1 0]",
            ),
            (
                "message",
                "--x\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n--x--\n",
                "multi [message 19 2 [leaf 4 0]]",
            ),
            (
                "message cut in its header",
                "--x\nContent-Type: message/rfc822\n\nSubject: a\n--x--\n",
                "multi [message 12 1 [leaf 0 0]]",
            ),
            (
                "message cut before its header",
                "--x\nContent-Type: message/rfc822\n--x--\n",
                "multi [message 0 0 [leaf 0 0]]",
            ),
            ("empty parts", "--x\n\n--x\n\n\n--x\n\n\n\n--x--\n", "multi [leaf 0 0, leaf 0 0, leaf 2 1]"),
            ("multipart without boundary", "--x\nContent-Type: multipart/a\n\n--q\n--x--\n", "multi [multi []]"),
        ];
        for (n, (case, body, want)) in table.iter().enumerate() {
            let message = if n < 5 { (*body).to_string() } else { format!("{MIXED}{body}") };
            assert_eq!(show(message.as_bytes()), *want, "{case}");
        }
    }

    #[test]
    fn digests_hold_messages() {
        let digest = "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: a\n\nb\n\
            --x\nContent-Type: text/plain\n\nq\n--x\nContent-ID: 3\n\nSubject: c\n\nd\n--x--\n";
        let tree = Tree::of(digest.as_bytes());
        let shapes: Vec<_> = tree.children(tree.root()).map(|part| part.shape).collect();
        assert_eq!(shapes, [Shape::Message, Shape::Leaf, Shape::Message]);
        let inner = tree.embedded(tree.find(&[1]).unwrap()).unwrap();
        assert_eq!(inner.envelope.as_ref().unwrap().subject.as_deref(), Some(&b"a"[..]));
    }

    /// The example of RFC 3501 section 6.4.5.
    #[test]
    fn part_numbers() {
        let inner = "Content-Type: multipart/mixed; boundary=i\n\n--i\n\n41\n--i\n\n42\n--i--\n";
        let nested = "Content-Type: multipart/mixed; boundary=n\n\n--n\nContent-Type: image/gif\n\n421\n\
            --n\nContent-Type: message/rfc822\n\nSubject: z\n\nplain\n--n--\n";
        let message = format!(
            "{MIXED}--x\n\n1\n--x\nContent-Type: application/octet-stream\n\n2\n\
             --x\nContent-Type: message/rfc822\n\n{inner}\n--x\n{nested}--x--\n"
        );
        let tree = Tree::of(message.as_bytes());
        let text = |numbers: &[u32]| {
            let range = tree.find(numbers)?.body.range();
            Some(&message[range.start as usize..range.end as usize])
        };
        assert_eq!(text(&[1]), Some("1"));
        assert_eq!(text(&[2]), Some("2"));
        assert_eq!(text(&[3, 1]), Some("41"));
        assert_eq!(text(&[3, 2]), Some("42"));
        assert_eq!(text(&[4, 1]), Some("421"));
        assert_eq!(text(&[4, 2, 1]), Some("plain"));
        for missing in [&[0][..], &[5], &[1, 1], &[2, 1], &[3, 3], &[4, 2, 2], &[4, 2, 1, 1], &[u32::MAX]] {
            assert_eq!(text(missing), None, "{missing:?}");
        }
        let plain = Tree::of(b"A: b\n\nbody");
        assert_eq!(plain.find(&[1]), Some(plain.root()));
        assert_eq!(plain.find(&[1, 1]), None);
        assert_eq!(plain.find(&[2]), None);
    }

    #[test]
    fn a_hundred_thousand_levels_are_quick() {
        let started = Instant::now();
        let messages = "Content-Type: message/rfc822\n\n".repeat(100_000);
        let tree = Tree::of(messages.as_bytes());
        assert_eq!(tree.parts().len(), MAX_DEPTH);
        assert_eq!(tree.parts().last().unwrap().shape, Shape::Opaque);

        let multiparts: String =
            (0..100_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n:06}\n\n--b{n:06}\n")).collect();
        assert_eq!(Tree::of(multiparts.as_bytes()).parts().len(), MAX_DEPTH);
        assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
    }

    #[test]
    fn too_many_parts_end_the_multipart() {
        let many = format!("{MIXED}{}", "--x\n\na\n".repeat(2 * MAX_PARTS));
        let tree = Tree::of(many.as_bytes());
        assert_eq!(tree.parts().len(), MAX_PARTS);
        assert_eq!(tree.root().body.end.offset, many.len() as u64);

        let big = format!("{MIXED}{}", format!("--x\nContent-ID: {}\n\n", "y".repeat(MAX_HEADER)).repeat(100));
        assert!(Tree::of(big.as_bytes()).parts().len() < 40);
    }

    #[test]
    fn a_header_past_the_limit_still_has_its_length() {
        let message = format!("Subject: a\nX: {}\nDate: late\n\nbody\n", "y".repeat(MAX_HEADER));
        let tree = Tree::of(message.as_bytes());
        assert_eq!(tree.root().body.wire_size(), 6);
        let envelope = tree.root().envelope.as_ref().unwrap();
        assert_eq!((envelope.subject.is_some(), envelope.date.is_some()), (true, false));
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "\n",
            "\r\n",
            "\r",
            "--x",
            "--x--",
            "--y",
            "--",
            " ",
            "a",
            "Subject: s",
            "Content-Type: ",
            "multipart/mixed; boundary=x",
            "multipart/digest; boundary=y",
            "message/rfc822",
            "text/plain",
            "\0",
            "é",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_spans_nest(message in pieces(), cut in 1_usize..7) {
            let whole = Tree::of(&message);
            let mut scanner = Scanner::new();
            for block in message.chunks(cut) {
                scanner.push(block);
            }
            prop_assert_eq!(&scanner.finish(), &whole);
            for part in whole.parts() {
                prop_assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
                prop_assert!(part.body.start <= part.body.end && part.body.end.offset <= message.len() as u64);
                prop_assert!(part.shape != Shape::Message || part.children.len() == 1);
                if let Some(parent) = part.parent {
                    let around = whole.parts()[parent].body;
                    prop_assert!(around.start <= part.header.start && part.body.end <= around.end);
                }
            }
            prop_assert_eq!(whole.root().body.end.offset, message.len() as u64);
        }

        #[test]
        fn never_panics(message in any::<Vec<u8>>()) {
            Tree::of(&message);
        }
    }
}
