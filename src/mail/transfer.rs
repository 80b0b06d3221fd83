//! Transfer encodings undone (RFC 2045 section 6): base64 and quoted-printable, block by block.
//!
//! A block may be cut anywhere, so a body's size costs no memory; a [`Transfer`] can be cloned, to go on later from a place that was
//! reached before. Damage is not refused: bytes that are no base64 are passed over (section 6.8), a broken `=` of quoted-printable stands
//! for itself. Unknown encodings are none of ours: the caller decides what they mean.

use memchr::memchr2;

/// White space at the end of a line of quoted-printable that is held back until it is known whether the line ends there. RFC 2045 6.7: lines
/// have at most 76 characters; what is longer is taken for text.
const MAX_HELD: usize = 998;

/// Undoes a Content-Transfer-Encoding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Transfer {
    /// 7bit, 8bit, binary.
    #[default]
    Identity,
    /// RFC 2045 section 6.8.
    Base64 {
        /// Digits of an unfinished group.
        bits: u32,
        /// How many they are.
        count: u8,
    },
    /// RFC 2045 section 6.7.
    QuotedPrintable {
        /// A `=` or white space, and what may belong to it.
        held: Vec<u8>,
    },
}

impl Transfer {
    /// By its name; `None` if it is not known.
    pub fn of(name: &[u8]) -> Option<Transfer> {
        match name.to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" => Some(Transfer::Identity),
            b"base64" => Some(Transfer::Base64 { bits: 0, count: 0 }),
            b"quoted-printable" => Some(Transfer::QuotedPrintable { held: Vec::new() }),
            _ => None,
        }
    }

    /// Decode the next bytes and add them to `out`; `last` if no more will come. Never more than were put in and held.
    pub fn push(&mut self, block: &[u8], last: bool, out: &mut Vec<u8>) {
        match self {
            Transfer::Identity => out.extend_from_slice(block),
            Transfer::Base64 { bits, count } => {
                let mut rest = block;
                while let Some((first, behind)) = rest.split_first() {
                    if *count == 0 {
                        rest = base64_groups(rest, out);
                        if rest.len() <= behind.len() {
                            continue;
                        }
                    }
                    base64_byte(*first, bits, count, out);
                    rest = behind;
                }
                if last {
                    base64_flush(bits, count, out);
                }
            }
            Transfer::QuotedPrintable { held } => {
                let mut rest = block;
                while !rest.is_empty() {
                    if held.is_empty() {
                        rest = quoted_printable_run(rest, held, out);
                    }
                    if let Some((first, behind)) = rest.split_first() {
                        quoted_printable_byte(*first, held, out);
                        rest = behind;
                    }
                }
                if last {
                    quoted_printable_end(held, out);
                }
            }
        }
    }
}

/// What each byte stands for in base64; [`NO_DIGIT`] for those that are none.
static BASE64: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 64 {
        table[b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[value] as usize] = value as u8;
        value += 1;
    }
    table
};
const NO_DIGIT: u8 = 0x80;
/// Groups decoded at once: more than a line has.
const GROUPS: usize = 32;

/// Decode whole groups of four digits, up to the first that is not one; what is left.
fn base64_groups<'a>(block: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = block;
    loop {
        let (mut bytes, mut count) = ([0; GROUPS * 3], 0);
        let groups = rest.as_chunks::<4>().0;
        for (group, bytes) in groups.iter().zip(bytes.as_chunks_mut::<3>().0) {
            let digit = |n: usize| u32::from(BASE64[usize::from(group[n])]);
            let (a, b, c, d) = (digit(0), digit(1), digit(2), digit(3));
            if (a | b | c | d) & u32::from(NO_DIGIT) != 0 {
                break;
            }
            let [_, first, second, third] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
            *bytes = [first, second, third];
            count += 1;
        }
        out.extend_from_slice(&bytes[..count * 3]);
        rest = &rest[count * 4..];
        if count < GROUPS {
            return rest;
        }
    }
}

fn base64_byte(byte: u8, bits: &mut u32, count: &mut u8, out: &mut Vec<u8>) {
    let value = match BASE64[byte as usize] {
        // Padding ends a run; some mailers put several runs into one body.
        _ if byte == b'=' => return base64_flush(bits, count, out),
        // RFC 2045 section 6.8: other characters must be ignored.
        NO_DIGIT => return,
        value => value,
    };
    *bits = *bits << 6 | u32::from(value);
    *count += 1;
    if *count == 4 {
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        (*bits, *count) = (0, 0);
    }
}

fn base64_flush(bits: &mut u32, count: &mut u8, out: &mut Vec<u8>) {
    match *count {
        2 => out.push((*bits >> 4) as u8),
        3 => out.extend_from_slice(&((*bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    (*bits, *count) = (0, 0);
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Nothing is held: decode up to the first `=` or line end; what is left. White space at the end of the block is held.
fn quoted_printable_run<'a>(rest: &'a [u8], held: &mut Vec<u8>, out: &mut Vec<u8>) -> &'a [u8] {
    let stop = memchr2(b'=', b'\n', rest);
    let (run, behind) = rest.split_at(stop.unwrap_or(rest.len()));
    if behind.first() == Some(&b'=') {
        out.extend_from_slice(run);
        return behind;
    }
    let text = run.iter().rposition(|b| !is_blank(*b)).map_or(0, |last| last + 1);
    // As many as would be held had they come one by one: where a block is cut must not matter.
    let keep = (run.len() - text).checked_sub(1).map_or(0, |others| others % MAX_HELD + 1);
    let (text, blank) = run.split_at(run.len() - keep);
    out.extend_from_slice(text);
    held.extend_from_slice(blank);
    behind
}

/// One byte where something is held, or a `=` or a line end.
fn quoted_printable_byte(byte: u8, held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let hex = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8);
    match (&held[..], byte) {
        ([], b'=' | b' ' | b'\t' | b'\r') => held.push(byte),
        ([], _) => out.push(byte),
        // A soft line break.
        ([b'=', ..], b'\n') => held.clear(),
        // RFC 2045 section 6.7 (3): white space at the end of a line was added on the way.
        ([.., last], b'\n') => {
            if *last == b'\r' {
                out.push(b'\r');
            }
            out.push(b'\n');
            held.clear();
        }
        ([b'='], _) if hex(byte).is_some() => held.push(byte),
        ([b'=', first], _) if hex(*first).is_some() && hex(byte).is_some() => {
            out.push(hex(*first).unwrap_or(0) << 4 | hex(byte).unwrap_or(0));
            held.clear();
        }
        // White space, perhaps at the end of a line.
        ([.., b'=' | b' ' | b'\t' | b'\r'], b' ' | b'\t' | b'\r') if held.len() < MAX_HELD => held.push(byte),
        _ => {
            out.append(held);
            quoted_printable_byte(byte, held, out);
        }
    }
}

/// The body is over: its last line ends here, since the line end before a boundary belongs to that.
fn quoted_printable_end(held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let blank = held.strip_prefix(b"=").unwrap_or(held).iter().all(|b| is_blank(*b));
    match blank {
        true => held.clear(),
        false => out.append(held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(name: &str, body: &[u8], cut: usize) -> Vec<u8> {
        let (mut transfer, mut out) = (Transfer::of(name.as_bytes()).unwrap(), Vec::new());
        for block in body.chunks(cut) {
            transfer.push(block, false, &mut out);
        }
        transfer.push(b"", true, &mut out);
        out
    }

    #[test]
    fn in_pieces_of_any_size() {
        let table: &[(&str, &str, &[u8], &[u8])] = &[
            ("as is", "7BIT", b"a=41 \n", b"a=41 \n"),
            ("base64", "Base64", b"AAEC/w==\r\n", b"\0\x01\x02\xff"),
            ("base64 cut short", "base64", b"AAECAw", b"\0\x01\x02\x03"),
            ("hex", "quoted-printable", b"=00=ff=FF=41", b"\0\xff\xffA"),
            ("soft breaks", "quoted-printable", b"a=\nb=\r\nc= \t\r\nd", b"abcd"),
            ("hard breaks", "quoted-printable", b"a\nb\r\n\r\n\n", b"a\nb\r\n\r\n\n"),
            ("white space at line ends", "quoted-printable", b"a \nb\t \r\n \nc  ", b"a\nb\r\n\nc"),
            ("white space inside", "quoted-printable", b" a \t b =\n c =41", b" a \t b  c A"),
            ("white space that is meant", "quoted-printable", b"a=20\nb =09\n", b"a \nb \t\n"),
            ("lone CR", "quoted-printable", b"a\rb\r", b"a\rb"),
            ("soft break at the end", "quoted-printable", b"a=", b"a"),
            ("broken", "quoted-printable", b"=x =4 =4x ==41", b"=x =4 =4x =A"),
            ("white space behind a broken one", "quoted-printable", b"=4 \nx", b"=4\nx"),
            ("broken at the end", "quoted-printable", b"a=4", b"a=4"),
        ];
        for (case, name, body, want) in table {
            for cut in 1..=body.len() {
                assert_eq!(
                    decode(name, body, cut).escape_ascii().to_string(),
                    want.escape_ascii().to_string(),
                    "{case}"
                );
            }
        }
        assert_eq!(Transfer::of(b"x-uuencode"), None);
        assert_eq!(Transfer::of(b""), None);
    }

    #[test]
    fn white_space_without_end_is_text() {
        let body = format!("{}\n", " ".repeat(2 * MAX_HELD + 5));
        for cut in [1, 7, MAX_HELD - 1, MAX_HELD, MAX_HELD + 1, body.len()] {
            let want = format!("{}\n", " ".repeat(2 * MAX_HELD));
            assert_eq!(decode("quoted-printable", body.as_bytes(), cut), want.as_bytes(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(body in "[a=4FfGg \t\r\n]{0,60}", bytes in any::<Vec<u8>>(), cut in 1_usize..9) {
            for name in ["base64", "quoted-printable", "binary"] {
                for body in [body.as_bytes(), &bytes] {
                    prop_assert_eq!(decode(name, body, cut), decode(name, body, body.len().max(1)));
                }
            }
        }
    }
}
