//! Text out of a message, to search in: transfer encodings and charsets undone, case folded.
//!
//! A body is decoded block by block, so that its size costs no memory. Nothing is refused: an unknown transfer encoding is
//! read as if there was none, bytes that are no character of the charset become U+FFFD, an unknown charset is read as UTF-8 (and so is US-ASCII: its 8-bit bytes mostly are).
//! RFC 2047 words in headers are mail-parser's work; it is given one field at a time, since on a whole message that
//! nests 100,000 deep it ends the process.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use mail_parser::parsers::MessageStream;

use super::content::Param;
use super::plain::has_words;
use super::transfer::Transfer;

/// The value of a header field as people read it: folds removed, RFC 2047 words decoded.
pub fn of_header(value: &[u8]) -> String {
    let value = value.trim_ascii();
    if value.iter().all(|byte| matches!(byte, b' '..=b'~')) && !has_words(value) {
        return value.iter().copied().map(char::from).collect();
    }
    // The reader stops at a line end that no white space follows, and wants one.
    let line = [value, b"\n"].concat();
    let text = MessageStream::new(&line).parse_unstructured();
    text.as_text().unwrap_or_default().to_owned()
}

/// Bytes in `charset` as a string; `None` if there is no such charset or the bytes are not in it.
pub fn from_charset(charset: &[u8], bytes: &[u8]) -> Option<String> {
    let encoding = if charset.eq_ignore_ascii_case(b"us-ascii") { UTF_8 } else { Encoding::for_label(charset)? };
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(|text| text.into_owned())
}

/// A parameter's value as people read it: RFC 2231 encoding (a name that ends with `*`), or RFC 2047 words, which are
/// not allowed there but found.
pub fn of_param(param: &Param) -> String {
    let mut pieces = param.value.splitn(3, |b| *b == b'\'');
    match (param.name.ends_with(b"*"), pieces.next(), pieces.next(), pieces.next()) {
        (true, Some(charset), Some(_), Some(text)) => {
            let bytes = percent_decode(text);
            from_charset(charset, &bytes).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => of_header(&param.value),
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |b: &u8| (*b as char).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let pair = tail.first().and_then(hex).zip(tail.get(1).and_then(hex));
        (rest, _) = match pair {
            Some((high, low)) if *first == b'%' => (&tail[2..], bytes.push(high << 4 | low)),
            _ => (tail, bytes.push(*first)),
        };
    }
    bytes
}

/// Undoes the transfer encoding and the charset of a text part.
pub struct Decoder {
    transfer: Transfer,
    charset: encoding_rs::Decoder,
    bytes: Vec<u8>,
}

impl Decoder {
    /// For a part with this Content-Transfer-Encoding and charset.
    pub fn new(encoding: Option<&[u8]>, charset: Option<&[u8]>) -> Decoder {
        let charset = charset
            .filter(|charset| !charset.eq_ignore_ascii_case(b"us-ascii"))
            .and_then(Encoding::for_label_no_replacement)
            .unwrap_or(UTF_8);
        Decoder {
            transfer: encoding.and_then(Transfer::of).unwrap_or_default(),
            charset: charset.new_decoder_without_bom_handling(),
            bytes: Vec::new(),
        }
    }

    /// Decode a whole text; without a copy if it is as it would be.
    pub fn whole(self, text: &[u8]) -> Cow<'_, str> {
        let encoding = self.charset.encoding();
        let mut transfer = self.transfer;
        if matches!(transfer, Transfer::Identity) {
            return encoding.decode_without_bom_handling(text).0;
        }
        let mut bytes = Vec::with_capacity(text.len());
        transfer.push(text, true, &mut bytes);
        Cow::Owned(match encoding.decode_without_bom_handling(&bytes).0 {
            // Then the bytes are the text.
            Cow::Borrowed(_) => String::from_utf8(bytes).unwrap_or_default(),
            Cow::Owned(text) => text,
        })
    }

    /// Decode the next bytes, cut anywhere, and add the text to `out`. `last` if no more will come.
    pub fn push(&mut self, block: &[u8], last: bool, out: &mut String) {
        self.bytes.clear();
        self.transfer.push(block, last, &mut self.bytes);
        let mut rest = &self.bytes[..];
        loop {
            out.reserve(self.charset.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len()));
            let (result, read, _) = self.charset.decode_to_string(rest, out, last);
            rest = &rest[read..];
            if result == encoding_rs::CoderResult::InputEmpty {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(encoding: &str, charset: &str, body: &[u8], cut: usize) -> String {
        let mut decoder = Decoder::new(Some(encoding.as_bytes()), Some(charset.as_bytes()));
        let mut out = String::new();
        for block in body.chunks(cut) {
            decoder.push(block, false, &mut out);
        }
        decoder.push(b"", true, &mut out);
        out
    }

    #[test]
    fn bodies() {
        let table: [(&str, &str, &str, &[u8], &str); 14] = [
            ("as is", "7bit", "us-ascii", b"abc", "abc"),
            ("8 bits as UTF-8", "8bit", "us-ascii", "né".as_bytes(), "né"),
            ("latin 1", "8bit", "ISO-8859-1", b"n\xe9", "né"),
            ("unknown charset", "8bit", "x-none", "né".as_bytes(), "né"),
            ("not in the charset", "8bit", "utf-8", b"a\xffb", "a\u{fffd}b"),
            ("japanese", "7bit", "iso-2022-jp", b"\x1b$B$3\x1b(B!", "こ!"),
            ("base64", "BASE64", "utf-8", b"bsOpCg==\n", "né\n"),
            ("base64 without padding", "base64", "utf-8", b"bsOpCg", "né\n"),
            ("base64 with junk", "base64", "utf-8", b"bs-O\r\np!Cg", "né\n"),
            ("two base64 runs", "base64", "utf-8", b"YQ==Yg==", "ab"),
            ("quoted", "quoted-printable", "utf-8", b"n=C3=A9 a=\r\nb =  \nc", "né ab c"),
            ("lower case", "quoted-printable", "utf-8", b"n=c3=a9", "né"),
            ("broken", "quoted-printable", "utf-8", b"a=b=XY=4=41== 4=", "a=b=XY=4A== 4"),
            ("unknown encoding", "x-uue", "utf-8", b"abc", "abc"),
        ];
        for (case, encoding, charset, body, want) in table {
            for cut in 1..=body.len() {
                assert_eq!(decode(encoding, charset, body, cut), want, "{case}, cut at {cut}");
            }
            let decoder = Decoder::new(Some(encoding.as_bytes()), Some(charset.as_bytes()));
            assert_eq!(decoder.whole(body), want, "{case}, whole");
        }
    }

    #[test]
    fn headers() {
        let table: [(&[u8], &str); 6] = [
            (b" plain text\r\n", "plain text"),
            (b"folded\r\n text", "folded text"),
            (b"=?iso-8859-1?q?n=E9?= =?utf-8?B?w6k=?= x", "néé x"),
            (b"=?broken?= x", "=?broken?= x"),
            ("raw é".as_bytes(), "raw é"),
            (b"", ""),
        ];
        for (value, want) in table {
            assert_eq!(of_header(value), want);
        }
    }

    #[test]
    fn params() {
        let table = [
            ("name", "=?utf-8?q?n=C3=A9?=", "né"),
            ("filename*", "iso-8859-1'fr'n%E9%", "né%"),
            ("filename*", "x-none''n%C3%A9", "né"),
            ("filename*", "100%25", "100%25"),
            ("filename", "a'b'c%20", "a'b'c%20"),
        ];
        for (name, value, want) in table {
            assert_eq!(of_param(&Param { name: name.into(), value: value.into() }), want, "{value}");
        }
    }

    #[test]
    fn words_without_an_end_cost_no_second_look() {
        let started = std::time::Instant::now();
        for piece in
            ["=?", "=?a?q?", "=?utf-8?b?", "=?utf-8?q?x", "=?a?b?=\n ", "=?utf-8*", "(", "\"", " ", "=?utf-8?q?x?= "]
        {
            of_header(piece.repeat(256 * 1024 / piece.len()).as_bytes());
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "took {:?}", started.elapsed());
    }

    #[test]
    fn charsets_of_search() {
        assert_eq!(from_charset(b"iso-8859-1", b"n\xe9").as_deref(), Some("né"));
        assert_eq!(from_charset(b"US-ASCII", b"n").as_deref(), Some("n"));
        assert_eq!(from_charset(b"utf-8", b"\xff"), None);
        assert_eq!(from_charset(b"x-none", b"n"), None);
    }

    proptest! {
        /// What SEARCH counts on where it looks at a field without decoding it, and why nothing is decoded then: the reader says the same.
        #[test]
        fn plain_values_are_their_own_text(value in "[ -~]{0,40}") {
            prop_assume!(!value.contains("=?"));
            prop_assert_eq!(of_header(value.as_bytes()), value.trim());
            let line = format!("{}\n", value.trim());
            let read = MessageStream::new(line.as_bytes()).parse_unstructured();
            prop_assert_eq!(read.as_text().unwrap_or_default(), value.trim());
        }

        #[test]
        fn never_panics(bytes in any::<Vec<u8>>(), cut in 1_usize..9) {
            for encoding in ["base64", "quoted-printable", "8bit"] {
                for charset in ["utf-8", "utf-16", "iso-2022-jp", "gb18030"] {
                    prop_assert_eq!(
                        decode(encoding, charset, &bytes, cut),
                        decode(encoding, charset, &bytes, bytes.len().max(1))
                    );
                    let decoder = Decoder::new(Some(encoding.as_bytes()), Some(charset.as_bytes()));
                    prop_assert_eq!(&*decoder.whole(&bytes), decode(encoding, charset, &bytes, cut));
                }
            }
            of_header(&bytes);
        }
    }
}
