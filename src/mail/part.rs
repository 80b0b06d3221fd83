//! The parts of a message, as [`super::scan`] found them (RFC 2045, 2046): where each begins and ends in the file, and what it
//! says of itself.
//!
//! A [`Tree`] holds at most [`super::scan::MAX_PARTS`] parts, nested at most [`super::scan::MAX_DEPTH`] deep, so whoever
//! follows it may recurse. Sizes are told as on the wire, where every line ends with CRLF, whatever the file has.

use std::ops::Range;

use super::content::Content;
use super::envelope::Envelope;
use super::scan::{MAX_DEPTH, Scanner};

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
    /// Parts around it.
    pub(super) depth: usize,
}

impl Part {
    /// A part as it was kept; [`Tree::from_parts`] finds its children and depth.
    pub fn new(
        parent: Option<usize>,
        shape: Shape,
        header: Span,
        body: Span,
        content: Content,
        envelope: Option<Box<Envelope>>,
    ) -> Part {
        Part { parent, children: Vec::new(), shape, header, body, content, envelope, depth: 0 }
    }

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
    pub(super) parts: Vec<Part>,
}

impl Tree {
    /// Scan a message that is in memory.
    pub fn of(message: &[u8]) -> Tree {
        let mut scanner = Scanner::new();
        scanner.push(message);
        scanner.finish()
    }

    /// The parts of a message in memory, without their envelopes.
    pub fn without_envelopes(message: &[u8]) -> Tree {
        let mut scanner = Scanner::without_envelopes();
        scanner.push(message);
        scanner.finish()
    }

    /// A tree that was kept; `None` if the parts are none: each must come behind its parent, a message/rfc822 has one child, and no
    /// nesting is deeper than a scan would go.
    pub fn from_parts(mut parts: Vec<Part>) -> Option<Tree> {
        for index in 0..parts.len() {
            let Some(parent) = parts[index].parent else {
                if index > 0 {
                    return None;
                }
                continue;
            };
            let around = parts.get_mut(parent).filter(|_| parent < index)?;
            around.children.push(index);
            let depth = around.depth + 1;
            parts[index].depth = depth;
            if depth > MAX_DEPTH {
                return None;
            }
        }
        let whole = |part: &Part| match part.shape {
            Shape::Message => part.children.len() == 1,
            Shape::Multipart => true,
            Shape::Leaf | Shape::Opaque => part.children.is_empty(),
        };
        (!parts.is_empty() && parts.iter().all(whole)).then_some(Tree { parts })
    }

    /// The envelope of the message itself is kept elsewhere.
    pub fn forget_envelope(&mut self) {
        self.parts[0].envelope = Some(Box::default());
    }

    /// The envelope of the message itself.
    pub fn set_envelope(&mut self, envelope: Envelope) {
        self.parts[0].envelope = Some(Box::new(envelope));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 3501 section 6.4.5.
    #[test]
    fn part_numbers() {
        let inner = "Content-Type: multipart/mixed; boundary=i\n\n--i\n\n41\n--i\n\n42\n--i--\n";
        let nested = "Content-Type: multipart/mixed; boundary=n\n\n--n\nContent-Type: image/gif\n\n421\n\
            --n\nContent-Type: message/rfc822\n\nSubject: z\n\nplain\n--n--\n";
        let message = format!(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n1\n--x\nContent-Type: application/octet-stream\n\n2\n\
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
}
