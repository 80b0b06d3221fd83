//! Header fields as they lie in a message: names, raw bytes, values.
//!
//! Owns the walk over a header block, which never copies: a [`Field`] borrows the block. Lines end with LF or
//! CRLF. Nothing is refused: a line without a colon is a field without a name (so that nobody finds it), a
//! continuation before any field too. The walk ends at the first empty line or at the end of the bytes.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// One field with its continuation lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name as written, without white space before the colon. Empty if the line has no colon.
    pub name: &'a [u8],
    /// Everything after the colon: leading white space, folds and the last line end included.
    pub body: &'a [u8],
    /// The whole field: name, colon, body.
    pub raw: &'a [u8],
    /// Where the field begins in the block.
    pub offset: usize,
}

impl<'a> Field<'a> {
    /// Is this the field `name`, in any case?
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value without white space around it, folds still in it.
    pub fn value(&self) -> &'a [u8] {
        self.body.trim_ascii()
    }

    /// The value on one line: line ends removed, the white space that follows them kept (RFC 5322 section 2.2.3).
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value())
    }

    /// Where the field lies in the block.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.raw.len()
    }
}

/// `value` without its line ends.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect())
}

/// `value` on one line with every run of white space as one space, and none around it.
pub fn squeeze(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for word in value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out
}

/// The fields of a header block, in order. The block may be followed by an empty line and a body.
pub fn fields(block: &[u8]) -> Fields<'_> {
    Fields { block, at: 0 }
}

/// The fields called `name`, in any case.
pub fn find<'a>(block: &'a [u8], name: &str) -> impl Iterator<Item = Field<'a>> {
    fields(block).filter(move |field| field.is(name))
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let offset = self.at;
        let rest = &self.block[offset..];
        if rest.is_empty() || is_empty_line(rest) {
            return None;
        }
        let mut end = line_end(rest);
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end += line_end(&rest[end..]);
        }
        self.at += end;
        let raw = &rest[..end];
        let first_line = &raw[..line_end(raw)];
        let (name, body) = match memchr(b':', first_line) {
            Some(colon) if !matches!(raw[0], b' ' | b'\t') => (raw[..colon].trim_ascii_end(), &raw[colon + 1..]),
            _ => (&raw[..0], raw),
        };
        Some(Field { name, body, raw, offset })
    }
}

/// Does `bytes` begin with an empty line (the end of a header block)?
pub fn is_empty_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n")
}

/// Length of the first line with its line end.
fn line_end(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |lf| lf + 1)
}

/// Length of the header block at the start of `message`, the empty line included; `None` if the block has no end in
/// `message` (read more of the file, or take it all).
pub fn block_len(message: &[u8]) -> Option<usize> {
    if is_empty_line(message) {
        return Some(if message[0] == b'\n' { 1 } else { 2 });
    }
    memchr::memchr_iter(b'\n', message).find_map(|lf| match &message[lf + 1..] {
        [b'\n', ..] => Some(lf + 2),
        [b'\r', b'\n', ..] => Some(lf + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_of_a_block() {
        let block = b"A: one\r\nB : two\r\n\tmore\r\nno colon\r\n: empty\r\nC:\r\n\r\nD: body\r\n";
        let got: Vec<_> = fields(block).map(|f| (f.name, f.unfolded().into_owned())).collect();
        let want: [(&[u8], &[u8]); 5] =
            [(b"A", b"one"), (b"B", b"two\tmore"), (b"", b"no colon"), (b"", b"empty"), (b"C", b"")];
        assert_eq!(got, want.map(|(n, v)| (n, v.to_vec())));
        assert_eq!(find(block, "b").next().unwrap().raw, b"B : two\r\n\tmore\r\n");
        assert_eq!(find(block, "d").next(), None);
    }

    #[test]
    fn a_continuation_before_any_field_belongs_to_nobody() {
        let got: Vec<_> = fields(b" lead: x\nSubject: y").map(|f| (f.name, f.value())).collect();
        assert_eq!(got, [(&b""[..], &b"lead: x"[..]), (b"Subject", b"y")]);
    }

    #[test]
    fn squeezed() {
        assert_eq!(squeeze(b"  a \r\n\t b\tc "), b"a b c");
        assert_eq!(squeeze(b" \r\n"), b"");
    }

    #[test]
    fn where_the_block_ends() {
        let table: [(&[u8], Option<usize>); 6] = [
            (b"A: b\n\nx", Some(6)),
            (b"A: b\r\n\r\nx", Some(8)),
            (b"\nx", Some(1)),
            (b"\r\nx", Some(2)),
            (b"A: b\n", None),
            (b"A: b\r\n\r", None),
        ];
        for (message, want) in table {
            assert_eq!(block_len(message), want, "{:?}", String::from_utf8_lossy(message));
        }
    }

    proptest! {
        #[test]
        fn fields_cover_the_block(block in "[ab: \t\r\n]{0,60}") {
            let mut at = 0;
            for field in fields(block.as_bytes()) {
                prop_assert_eq!(field.range().start, at);
                at = field.range().end;
            }
            prop_assert!(at == block.len() || is_empty_line(&block.as_bytes()[at..]));
        }
    }
}
