//! Encoders for what responses are made of (RFC 3501 section 9): strings, mailbox names, flag lists.
//!
//! They write into the output buffer; nothing here decides what is said.

pub use crate::mail::render::{nstring, number, string};
use crate::mail::{Flags, utf7};
use crate::store::{Mailbox, Name};

/// ` {n}` and what `write` writes, n bytes of it. The size comes before the bytes, so they are moved once.
pub fn literal(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let mut size = b" {".to_vec();
    number(&mut size, (out.len() - start) as u64);
    size.extend_from_slice(b"}\r\n");
    out.splice(start..start, size);
}

/// RFC 3501 astring: an atom where possible, since people read it.
pub fn astring(out: &mut Vec<u8>, value: &[u8]) {
    let atom = !value.is_empty()
        && value.iter().all(|b| super::parse::cursor::is_astring_char(*b))
        && !value.eq_ignore_ascii_case(b"NIL");
    if atom { out.extend_from_slice(value) } else { string(out, value) }
}

/// A mailbox name in modified UTF-7 (RFC 3501 5.1.3), or as it is for a client that speaks `utf8` (RFC 6855 section 3).
pub fn mailbox(out: &mut Vec<u8>, name: &Name, utf8: bool) {
    mailbox_text(out, name.as_str(), utf8);
}

/// As [`mailbox`], for a name that may not be in its one right spelling.
pub fn mailbox_text(out: &mut Vec<u8>, name: &str, utf8: bool) {
    if utf8 && !name.is_ascii() {
        return quoted(out, name);
    }
    if utf8 {
        return astring(out, name.as_bytes());
    }
    astring(out, utf7::encode(name).as_bytes());
}

/// A text without line ends in quotes, for a client that speaks UTF-8.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for b in text.bytes() {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// How a FETCH response begins: `* 5 FETCH (`, or `* 77 UIDFETCH (` for a client without message numbers (RFC 9586 section 3.3).
pub fn fetch_head(out: &mut Vec<u8>, number: u32, uid: u32, uidonly: bool) {
    out.extend_from_slice(b"* ");
    self::number(out, u64::from(if uidonly { uid } else { number }));
    out.extend_from_slice(if uidonly { b" UIDFETCH (" } else { b" FETCH (" });
}

/// A mailbox's ObjectID (RFC 8474 section 4).
pub fn mailbox_id(mailbox: &Mailbox) -> String {
    format!("F{}", mailbox.guid())
}

/// `(\Seen \Recent Work)`: system flags, `\Recent` if so, and the keywords whose bit is set. A bit that has no name, or an empty
/// one, is left out.
pub fn flags(out: &mut Vec<u8>, flags: Flags, recent: bool, keywords: u128, names: &[String]) {
    let set = names.iter().enumerate().filter(|(n, name)| *n < 128 && keywords >> n & 1 == 1 && !name.is_empty());
    let recent = recent.then_some("\\Recent");
    let system = flags.names().chain(recent).map(|name: &str| name);
    list(out, system.chain(set.map(|(_, name)| name.as_str())));
}

/// `(a b c)` of things that are atoms already.
pub fn list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a str>) {
    out.push(b'(');
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(item.as_bytes());
    }
    out.push(b')');
}

/// Sorted numbers as a set: `1:3,7`.
pub fn set(numbers: impl Iterator<Item = u32>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut run: Option<(u32, u32)> = None;
    let mut write = |(first, last): (u32, u32)| {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = if first == last { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}:{last}") };
    };
    for number in numbers {
        match &mut run {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => {
                if let Some(done) = run.replace((number, number)) {
                    write(done);
                }
            }
        }
    }
    if let Some(done) = run {
        write(done);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn strings_choose_their_form() {
        let table: &[(&[u8], &str, &str)] = &[
            (b"abc", "\"abc\"", "abc"),
            (b"a b", "\"a b\"", "\"a b\""),
            (b"", "\"\"", "\"\""),
            (b"nil", "\"nil\"", "\"nil\""),
            (b"a\"b\\", "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""),
            (b"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"),
            ("ä".as_bytes(), "{2}\r\nä", "{2}\r\nä"),
            (b"a\0b", "{2}\r\nab", "{2}\r\nab"),
        ];
        for (value, as_string, as_astring) in table {
            assert_eq!(written(|out| string(out, value)), *as_string);
            assert_eq!(written(|out| astring(out, value)), *as_astring);
        }
    }

    #[test]
    fn flag_lists() {
        let names = ["a".to_owned(), "b".to_owned()];
        let all = Flags::SEEN.with(Flags::DELETED);
        assert_eq!(written(|out| flags(out, all, true, 0b110, &names)), "(\\Seen \\Deleted \\Recent b)");
        assert_eq!(written(|out| flags(out, Flags::NONE, false, 0, &names)), "()");
        let gap = [String::new(), "b".to_owned()];
        assert_eq!(written(|out| flags(out, Flags::NONE, false, 0b11, &gap)), "(b)");
    }

    #[test]
    fn sets_join_runs() {
        assert_eq!(set([1, 2, 3, 7, 9, 10].into_iter()), "1:3,7,9:10");
        assert_eq!(set([u32::MAX].into_iter()), "4294967295");
        assert_eq!(set([].into_iter()), "");
    }
}
