//! The words that structured header fields are made of (RFC 5322 section 3.2, RFC 2045 section 5.1).
//!
//! Owns a cursor over one field's value and the small readers that addresses, dates and MIME parameters
//! share: comments and folding white space, atoms, quoted strings, tokens. 8-bit bytes count as letters, since real
//! mail has them and RFC 6532 allows them. Never fails: a reader that finds nothing reads nothing, and the
//! caller looks at what comes next. A comment or string without an end reaches to the end of the value. Comments are
//! counted, not recursed into, so no depth of nesting costs stack.

/// A place in a field's value.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Text of the comment read last, without its outer parentheses.
    comment: Option<Vec<u8>>,
}

impl<'a> Lexer<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, comment: None }
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Nothing left?
    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Where we are, to come back to with [`Lexer::back_to`].
    pub fn mark(&self) -> usize {
        self.at
    }

    /// Go back to a mark.
    pub fn back_to(&mut self, mark: usize) {
        self.at = mark;
    }

    /// Pass over one byte, whatever it is.
    pub fn skip(&mut self) {
        self.at = (self.at + 1).min(self.bytes.len());
    }

    /// Pass over `byte` if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// The text of the last comment since the last call.
    pub fn take_comment(&mut self) -> Option<Vec<u8>> {
        self.comment.take()
    }

    /// The longest run of bytes that `wanted` accepts.
    pub fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// White space, line ends and comments (CFWS, RFC 5322 section 3.2.2).
    pub fn cfws(&mut self) {
        loop {
            self.run(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            if self.peek() != Some(b'(') {
                return;
            }
            self.read_comment();
        }
    }

    fn read_comment(&mut self) {
        let mut text = Vec::new();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            self.skip();
            match byte {
                b'(' => {
                    depth += 1;
                    if depth > 1 {
                        text.push(byte);
                    }
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        self.comment = Some(text);
                        return;
                    }
                    text.push(byte);
                }
                b'\\' => {
                    text.extend(self.peek());
                    self.skip();
                }
                b'\r' | b'\n' => {}
                _ => text.push(byte),
            }
        }
        // No end: what was inside cannot be told from the rest of the field, so it is no comment worth showing.
    }

    /// A quoted string (RFC 5322 section 3.2.4): what is between the quotes, with quoted pairs resolved and
    /// folding removed; then CFWS. `None` if there is no end, and then everything is read. Call it at a `"`.
    pub fn quoted_string(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.skip();
        while let Some(byte) = self.peek() {
            self.skip();
            match byte {
                b'"' => {
                    self.cfws();
                    return Some(text);
                }
                b'\\' => {
                    text.extend(self.peek());
                    self.skip();
                }
                b'\r' | b'\n' => {}
                _ => text.push(byte),
            }
        }
        None
    }

    /// A MIME token (RFC 2045 section 5.1), then CFWS. Empty if there is none.
    pub fn token(&mut self) -> &'a [u8] {
        let token = self.run(is_token);
        self.cfws();
        token
    }
}

/// May `byte` be in an atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2)?
pub fn is_atext(byte: u8) -> bool {
    const OTHERS: u128 = bits(b"!#$%&'*+-/=?^_`{|}~");
    byte.is_ascii_alphanumeric() || byte >= 0x80 || OTHERS >> byte & 1 == 1
}

/// May `byte` be in a MIME token? 8-bit bytes may not by RFC 2045; they are kept rather than cut.
pub fn is_token(byte: u8) -> bool {
    const SPECIALS: u128 = bits(b"()<>@,;:\\\"/[]?=\x7f");
    byte > b' ' && (byte >= 0x80 || SPECIALS >> byte & 1 == 0)
}

/// ASCII bytes as bits.
const fn bits(bytes: &[u8]) -> u128 {
    let (mut bits, mut n) = (0, 0);
    while n < bytes.len() {
        bits |= 1 << bytes[n];
        n += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_the_last_is_kept() {
        let mut lexer = Lexer::new(b" (a) (b (c\\)) d)\r\n x");
        lexer.cfws();
        assert_eq!(lexer.peek(), Some(b'x'));
        assert_eq!(lexer.take_comment().unwrap(), b"b (c)) d");
    }

    #[test]
    fn what_has_no_end_reaches_to_the_end() {
        for text in [&b"(((("[..], b"(a\\", b"\"a", b"\"a\\"] {
            let mut lexer = Lexer::new(text);
            lexer.cfws();
            if !lexer.is_at_end() {
                assert_eq!(lexer.quoted_string(), None);
            }
            assert!(lexer.is_at_end(), "{text:?}");
            assert_eq!(lexer.take_comment(), None);
        }
    }

    #[test]
    fn quoted_strings() {
        let table: [(&[u8], &[u8]); 4] =
            [(b"\"a b\"", b"a b"), (b"\"\"", b""), (b"\"a\\\"b\\\\\"", b"a\"b\\"), (b"\"a\r\n b\"", b"a b")];
        for (text, want) in table {
            assert_eq!(Lexer::new(text).quoted_string().unwrap(), want);
        }
    }

    #[test]
    fn a_hundred_thousand_parentheses_cost_no_stack() {
        let text = [vec![b'('; 100_000], vec![b')'; 100_000]].concat();
        let mut lexer = Lexer::new(&text);
        lexer.cfws();
        assert!(lexer.is_at_end());
    }
}
