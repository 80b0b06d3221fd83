//! The words of the grammar (RFC 3501 section 9): atoms, strings, numbers, lists.
//!
//! A [`Cursor`] stands somewhere in one command. Each method reads one element and moves past it, or says what it
//! expected and where. After an error the cursor's place is not defined; the command is dropped whole.
//!
//! Lenient in two places only: atoms may begin with any atom character, and quoted strings may contain 8-bit
//! bytes (old clients send Latin-1 or UTF-8 there; who uses the value decides).

use std::borrow::Cow;

use super::{Bad, Result};

/// Levels of parentheses (SEARCH keys, lists in lists): clients use three or four; each costs a stack frame.
pub const MAX_DEPTH: usize = 64;

/// A place in one command.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    utf8: bool,
}

/// RFC 3501 section 9 ATOM-CHAR: any CHAR except atom-specials.
pub fn is_atom_char(b: u8) -> bool {
    matches!(b, 0x21..=0x7e) && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 3501 section 9 ASTRING-CHAR: ATOM-CHAR and `]`.
pub fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

impl<'a> Cursor<'a> {
    /// Stand at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0, utf8: false }
    }

    /// With `utf8`, the client speaks it (RFC 6855): what stands in quotes must be UTF-8, and mailbox names are.
    pub fn speaking(self, utf8: bool) -> Self {
        Self { utf8, ..self }
    }

    /// Does the client speak UTF-8?
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// Bytes that were read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Go on at byte `at` of the command, where reading stopped when only a part of it was there.
    pub fn go_to(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// Is `b` the last byte but a `~` that was read?
    pub fn is_behind(&self, b: u8) -> bool {
        self.at.checked_sub(1).is_some_and(|before| self.bytes[before] == b)
    }

    /// Everything that is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next byte, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// An error at this place.
    pub fn bad<T>(&self, what: &'static str) -> Result<T> {
        Err(Bad { what, at: self.at + 1 })
    }

    /// Read `b` if it is next.
    pub fn eat(&mut self, b: u8) -> bool {
        let there = self.peek() == Some(b);
        self.at += usize::from(there);
        there
    }

    /// Read `text` (ASCII, any case) if it is next. Does not look at what follows it.
    pub fn eat_text(&mut self, text: &str) -> bool {
        let there = self.rest().get(..text.len()).is_some_and(|next| next.eq_ignore_ascii_case(text.as_bytes()));
        if there {
            self.at += text.len();
        }
        there
    }

    /// `b` must be next; `what` says it in words.
    pub fn expect(&mut self, b: u8, what: &'static str) -> Result<()> {
        if self.eat(b) { Ok(()) } else { self.bad(what) }
    }

    /// One space.
    pub fn space(&mut self) -> Result<()> {
        self.expect(b' ', "expected a space and an argument")
    }

    /// The end of the command. One trailing space is forgiven, since several clients send it.
    pub fn end(&mut self) -> Result<()> {
        let spaced = self.clone().eat(b' ') && self.at + 1 == self.bytes.len();
        if spaced || self.at == self.bytes.len() {
            self.at = self.bytes.len();
            return Ok(());
        }
        self.bad("expected the end of the command")
    }

    /// Is everything read?
    pub fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The longest run (at least one byte) of bytes that are `good`.
    pub fn run(&mut self, good: impl Fn(u8) -> bool, what: &'static str) -> Result<&'a [u8]> {
        let rest = self.rest();
        let len = rest.iter().position(|b| !good(*b)).unwrap_or(rest.len());
        if len == 0 {
            return self.bad(what);
        }
        self.at += len;
        Ok(&rest[..len])
    }

    /// Letters, digits, `.`, `-` and `_`: the name of a command, item, key or option. Stops before `[`, which an atom
    /// would not.
    pub fn word(&mut self) -> Result<&'a str> {
        let word = self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'), "expected a word")?;
        Ok(ascii(word))
    }

    /// RFC 3501 atom.
    pub fn atom(&mut self) -> Result<&'a str> {
        self.run(is_atom_char, "expected an atom").map(ascii)
    }

    /// RFC 3501 tag: ASTRING-CHAR except `+`.
    pub fn tag(&mut self) -> Result<&'a str> {
        self.run(|b| is_astring_char(b) && b != b'+', "expected a tag").map(ascii)
    }

    /// RFC 3501 astring: an atom (where `]` is allowed) or a string.
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.run(is_astring_char, "expected an atom or a string").map(Cow::Borrowed),
        }
    }

    /// RFC 3501 list-mailbox: an atom where `%`, `*` and `]` are allowed, or a string.
    pub fn list_mailbox(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self
                .run(|b| is_astring_char(b) || matches!(b, b'%' | b'*'), "expected a mailbox pattern")
                .map(Cow::Borrowed),
        }
    }

    /// RFC 3501 string: quoted or literal.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => self.bad("expected a string"),
        }
    }

    /// RFC 3501 nstring: a string or NIL.
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>> {
        if self.eat_text("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>> {
        self.expect(b'"', "expected a quoted string")?;
        let start = self.at;
        let mut copy: Option<Vec<u8>> = None;
        loop {
            let Some(b) = self.peek() else {
                return self.bad("quoted string is not closed");
            };
            self.at += 1;
            let value = match b {
                b'"' => {
                    let plain = &self.bytes[start..self.at - 1];
                    // RFC 6855 section 3.
                    if self.utf8 && std::str::from_utf8(plain).is_err() {
                        return self.bad("quoted string is not UTF-8");
                    }
                    return Ok(copy.map_or(Cow::Borrowed(plain), Cow::Owned));
                }
                // RFC 3501 section 9: only the two quoted-specials may be escaped.
                b'\\' if matches!(self.peek(), Some(b'"' | b'\\')) => {
                    let unescaped = copy.get_or_insert_with(|| self.bytes[start..self.at - 1].to_vec());
                    unescaped.push(self.bytes[self.at]);
                    self.at += 1;
                    continue;
                }
                b'\\' => return self.bad("only \\\" and \\\\ may be escaped in a quoted string"),
                0 | b'\r' | b'\n' => return self.bad("quoted string contains a line end or NUL"),
                other => other,
            };
            if let Some(copy) = &mut copy {
                copy.push(value);
            }
        }
    }

    /// RFC 3501 literal, in place: the frame saw to it that its bytes are all here.
    pub fn literal(&mut self) -> Result<&'a [u8]> {
        let size = self.literal_head()?;
        let rest = self.rest();
        let Some(bytes) = usize::try_from(size).ok().and_then(|size| rest.get(..size)) else {
            return self.bad("literal is cut short");
        };
        // RFC 3501 section 9: CHAR8 excludes NUL.
        if memchr::memchr(0, bytes).is_some() {
            return self.bad("literal contains a NUL");
        }
        self.at += bytes.len();
        Ok(bytes)
    }

    /// RFC 3516 literal8: `~{n}`, CRLF and any bytes, in place.
    pub fn literal8(&mut self) -> Result<&'a [u8]> {
        self.expect(b'~', "expected ~")?;
        let size = self.literal_head()?;
        let rest = self.rest();
        let Some(bytes) = usize::try_from(size).ok().and_then(|size| rest.get(..size)) else {
            return self.bad("literal is cut short");
        };
        self.at += bytes.len();
        Ok(bytes)
    }

    /// `{n}` or `{n+}` and CRLF, without the bytes: all there is of a literal that was streamed elsewhere.
    pub fn literal_head(&mut self) -> Result<u64> {
        self.expect(b'{', "expected a literal")?;
        let size = self.number64()?;
        self.eat(b'+');
        self.expect(b'}', "expected } after a literal's size")?;
        self.expect(b'\r', "expected a line end after a literal's size")?;
        self.expect(b'\n', "expected a line end after a literal's size")?;
        Ok(size)
    }

    /// RFC 3501 number: 32 bits.
    pub fn number(&mut self) -> Result<u32> {
        let at = self.at;
        let number = self.number64()?;
        u32::try_from(number).map_err(|_| Bad { what: "number is over 4294967295", at: at + 1 })
    }

    /// RFC 3501 nz-number.
    pub fn nz_number(&mut self) -> Result<u32> {
        let at = self.at;
        match self.number()? {
            0 => Err(Bad { what: "number must not be 0", at: at + 1 }),
            number => Ok(number),
        }
    }

    /// A number of 63 bits (RFC 7162 mod-sequences, RFC 9051 number64).
    pub fn number64(&mut self) -> Result<u64> {
        let at = self.at;
        let too_big = Bad { what: "number is too big", at: at + 1 };
        self.run(|b| b.is_ascii_digit(), "expected a number")?
            .iter()
            .try_fold(0u64, |sum, b| sum.checked_mul(10)?.checked_add(u64::from(b - b'0')))
            .filter(|number| *number <= i64::MAX as u64)
            .ok_or(too_big)
    }

    /// Read one level deeper, for anything recursive.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return self.bad("too many nested parentheses");
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    /// `(item item ...)`, possibly empty.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(b'(', "expected (")?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        self.nested(|cursor| {
            loop {
                items.push(item(cursor)?);
                if cursor.eat(b')') {
                    return Ok(items);
                }
                cursor.expect(b' ', "expected a space or )")?;
            }
        })
    }

    /// `(item item ...)` with at least one item.
    pub fn list1<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let items = self.list(item)?;
        if items.is_empty() { self.bad("list must not be empty") } else { Ok(items) }
    }
}

/// Bytes that a test of ASCII classes let through.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        type Case = (&'static str, &'static [u8], Option<&'static [u8]>);
        let table: &[Case] = &[
            ("atom", b"abc rest", Some(b"abc")),
            ("atom with ]", b"a]b", Some(b"a]b")),
            ("quoted", b"\"a b\"", Some(b"a b")),
            ("empty quoted", b"\"\"", Some(b"")),
            ("escapes", b"\"a\\\"b\\\\c\"", Some(b"a\"b\\c")),
            ("bad escape", b"\"a\\n\"", None),
            ("open quote", b"\"abc", None),
            ("NUL in quotes", b"\"a\0\"", None),
            ("literal", b"{3}\r\nx y", Some(b"x y")),
            ("literal+", b"{3+}\r\nx y", Some(b"x y")),
            ("literal of nothing", b"{0}\r\n", Some(b"")),
            ("short literal", b"{4}\r\nx y", None),
            ("literal with NUL", b"{1}\r\n\0", None),
            ("huge literal", b"{99999999999999999999}\r\n", None),
            ("Latin-1 in quotes", b"\"\xe4\"", Some(b"\xe4")),
            ("nothing", b"", None),
            ("parenthesis", b"(", None),
        ];
        for (name, input, expected) in table {
            let value = Cursor::new(input).astring().ok();
            assert_eq!(value.as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn quotes_hold_utf8_where_it_is_spoken() {
        let quoted = |bytes: &'static [u8]| Cursor::new(bytes).speaking(true).astring().ok();
        assert_eq!(quoted("\"Müll\"".as_bytes()).as_deref(), Some("Müll".as_bytes()));
        assert_eq!(quoted(b"\"M\xfcll\""), None);
        assert_eq!(quoted(b"\"\xc3\\\"\xbc\""), None, "an escape does not hide it");
    }

    #[test]
    fn numbers() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"-1").number().is_err());
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
    }

    #[test]
    fn lists_nest_up_to_the_limit() {
        fn nested(cursor: &mut Cursor<'_>) -> Result<usize> {
            Ok(1 + cursor.list(nested)?.into_iter().max().unwrap_or(0))
        }
        let deep = |n: usize| [vec![b'('; n], vec![b')'; n]].concat();
        assert_eq!(nested(&mut Cursor::new(&deep(MAX_DEPTH))), Ok(MAX_DEPTH));
        assert_eq!(nested(&mut Cursor::new(&deep(100_000))).unwrap_err().what, "too many nested parentheses");
    }

    #[test]
    fn an_error_says_where() {
        let mut cursor = Cursor::new(b"abc(");
        cursor.atom().unwrap();
        assert_eq!(cursor.space().unwrap_err().to_string(), "expected a space and an argument (byte 4 of the command)");
    }

    #[test]
    fn one_trailing_space_is_forgiven() {
        assert!(Cursor::new(b" ").end().is_ok());
        assert!(Cursor::new(b"  ").end().is_err());
    }
}
