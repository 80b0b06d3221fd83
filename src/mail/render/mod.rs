//! ENVELOPE, BODY and BODYSTRUCTURE as IMAP writes them (RFC 3501 section 7.4.2), and the strings that they are made of.
//!
//! Here and not in the protocol, since the store keeps these texts ready-made: a client that lists a folder then costs a copy a
//! message. Nothing is refused; the only limit is [`MAX_QUOTED`], past which a string is a literal.

pub mod envelope;
pub mod structure;

/// Longest string that is sent quoted; longer ones go as literals. Some clients read a quoted string into a small buffer.
const MAX_QUOTED: usize = 1000;

/// RFC 3501 string: quoted if it can be, else a literal. NULs, which no string may contain, are left out.
pub fn string(out: &mut Vec<u8>, value: &[u8]) {
    // RFC 3501 section 9 TEXT-CHAR: no CR, no LF, 7 bits.
    let quotable =
        value.len() <= MAX_QUOTED && value.iter().all(|b| matches!(b, 1..=0x7f) && !matches!(b, b'\r' | b'\n'));
    if quotable {
        quoted(out, value);
        return;
    }
    let nuls = value.iter().filter(|b| **b == 0).count();
    out.extend_from_slice(format!("{{{}}}\r\n", value.len() - nuls).as_bytes());
    out.extend(value.iter().filter(|b| **b != 0));
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for b in value {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
}

/// A number in decimal digits.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// RFC 3501 nstring.
pub fn nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}
