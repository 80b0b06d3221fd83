//! Is a message written in its own letters?
//!
//! Most words that are searched for are in few messages, and in most messages what a reader sees is there byte for byte, but for case and line
//! ends. [`is_plain`] says so without looking for parts: no byte that is not ASCII text, no transfer encoding, no charset that writes ASCII otherwise, no word of RFC
//! 2047, no parameter of RFC 2231, no quoted pair. When in doubt it is not plain, and whoever asks reads it part by part.

use std::sync::LazyLock;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_16BE, UTF_16LE};

use super::needle::Plain;

/// Bytes of a charset's name; the longest known one has 19.
const MAX_CHARSET: usize = 40;

static ENCODING: LazyLock<Plain> = LazyLock::new(|| Plain::of(b"TRANSFER-ENCODING"));
static CHARSET: LazyLock<Plain> = LazyLock::new(|| Plain::of(b"CHARSET"));

/// See the module. `message` is a whole message or one part's header.
pub fn is_plain(message: &[u8]) -> bool {
    is_text(message)
        && memchr::memchr(b'\\', message).is_none()
        && !has_words(message)
        && !has_starred_parameter(message)
        && all(message, &ENCODING, is_identity)
        && all(message, &CHARSET, is_ascii_charset)
}

/// ASCII without control characters but white space and line ends.
fn is_text(message: &[u8]) -> bool {
    let is_other = |byte: &u8| !matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    // By pieces, so that many bytes are compared at once and a picture ends it soon.
    let odd = |piece: &[u8]| piece.iter().fold(false, |odd, byte| odd | is_other(byte));
    let ends_line = |cr: usize| message.get(cr + 1) == Some(&b'\n');
    !message.chunks(1024).any(odd) && memchr::memchr_iter(b'\r', message).all(ends_line)
}

/// May there be RFC 2047 words in it?
pub fn has_words(header: &[u8]) -> bool {
    memchr::memmem::find(header, b"=?").is_some()
}

/// Does `holds` hold of what is behind each `word`?
fn all(message: &[u8], word: &Plain, holds: fn(&[u8]) -> bool) -> bool {
    let mut rest = message;
    while let Some(at) = word.find(rest) {
        // Both words are longer than one byte, and the next one begins behind this one's first.
        rest = &rest[at + 1..];
        let behind = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').unwrap_or(rest.len());
        if !holds(&rest[behind..]) {
            return false;
        }
    }
    true
}

/// Behind the name of Content-Transfer-Encoding: is it one that changes nothing, or was it no field?
fn is_identity(behind: &[u8]) -> bool {
    let Some(value) = behind.trim_ascii_start().strip_prefix(b":") else { return true };
    let value = value.trim_ascii_start();
    let line = &value[..memchr::memchr(b'\n', value).unwrap_or(value.len())];
    [&b"7bit"[..], b"8bit", b"binary"].iter().any(|name| line.trim_ascii_end().eq_ignore_ascii_case(name))
}

/// Behind the name of the parameter charset: is ASCII itself in that charset, or was it no parameter?
fn is_ascii_charset(behind: &[u8]) -> bool {
    let behind = behind.trim_ascii_start();
    let Some(value) = behind.strip_prefix(b"=") else { return !matches!(behind.first(), Some(b'(' | b'*')) };
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b';' | b'(');
    let name = &value[..value.iter().position(ends).unwrap_or(value.len())];
    let others = [ISO_2022_JP, UTF_16BE, UTF_16LE];
    !name.is_empty()
        && name.len() <= MAX_CHARSET
        && value.get(name.len()) != Some(&b'(')
        && Encoding::for_label_no_replacement(name).is_none_or(|encoding| !others.contains(&encoding))
}

/// `name*=`, `name*0=`, `name*0*=`: a star behind a letter, before a digit or the end of the name.
fn has_starred_parameter(message: &[u8]) -> bool {
    memchr::memchr_iter(b'*', message).any(|star| {
        let behind = &message[star + 1..];
        let goes_on = |next: &u8| next.is_ascii_digit() || matches!(next, b'=' | b'(');
        star > 0 && message[star - 1] > b' ' && behind.trim_ascii_start().first().is_none_or(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_not() {
        let plain = [
            "",
            "Subject: a\n\nbody with 2 * 3 = 6 and **bold** words?",
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\nbody\n",
            "Content-Type: text/plain;\n\tcharset = \"ISO-8859-1\"\nCONTENT-TRANSFER-ENCODING:\r\n 8BIT \r\n\r\nbody",
            "Content-Type: text/plain; charset=x-unknown\n\nno Content-Transfer-Encoding and no charset here",
            "Content-Transfer-Encoding : binary\n\n",
        ];
        for text in plain {
            assert!(is_plain(text.as_bytes()), "{text}");
        }
        let others = [
            "é",
            "a\0b",
            "a\rb",
            "Subject: =?utf-8?q?a?=\n",
            "a\\b",
            "Content-Transfer-Encoding: base64\n\n",
            "content-transfer-encoding : quoted-printable\n\n",
            "Content-Transfer-Encoding:\n quoted-printable\n\n",
            "Content-Transfer-Encoding:",
            "Content-Transfer-Encoding: (a) base64",
            "Content-Transfer-Encoding: 7bit\n\n--x\nContent-Transfer-Encoding: Base64\n\n",
            "charset=utf-16",
            "Content-Type: text/plain; CHARSET=\"unicode\"",
            "charset=\" utf-16\"",
            "charset=(a)utf-16",
            "charset (a) = utf-16",
            "charset=iso-2022-jp\n",
            "charset\n =\n csISO2022JP;",
            "filename*=utf-8''%41",
            "filename*0=a; filename*1=b",
            "filename* =utf-8''%41",
            "charset*=utf-8''utf-16",
        ];
        for text in others {
            assert!(!is_plain(text.as_bytes()), "{text}");
        }
    }
}
