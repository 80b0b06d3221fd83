//! The lines of a uidlist: what they say and how they are written.
//!
//! Pure functions of bytes. Strict, since a list that is read wrongly gives mail to the wrong UID: whatever is not a line of the
//! format is a fault, told by name, and never passed over.

use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::store::filename;

/// UIDs are below this (Dovecot keeps the greatest number for itself).
pub const MAX_UID: u32 = u32::MAX - 1;

/// First line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// UIDVALIDITY, never 0.
    pub uid_validity: u32,
    /// UIDNEXT, never 0, never lower than it was.
    pub next_uid: u32,
    /// The mailbox's id, 32 lower-case hexadecimal digits.
    pub guid: String,
    /// Fields with other letters, kept as they are (`P` is the default POP3 UIDL format).
    pub others: Vec<String>,
}

impl Header {
    /// Of a new folder.
    pub fn new(uid_validity: u32) -> Header {
        Header { uid_validity, next_uid: 1, guid: new_guid(), others: Vec::new() }
    }
}

/// 32 hexadecimal digits that no other folder has.
pub fn new_guid() -> String {
    let mut bytes = [0; 16];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // No random source: time and pid are unique enough for an id that is no secret.
        bytes = (clock::now().as_nanos() << 32 | u128::from(std::process::id())).to_be_bytes();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its UID.
    pub uid: u32,
    /// Its file name up to the first colon.
    pub base: Box<[u8]>,
    /// Fields as in the file, separated by one space: `S20 W23 Pabc`. Most messages have none.
    pub fields: Option<Box<[u8]>>,
}

impl Record {
    /// A message without fields.
    pub fn new(uid: u32, base: &[u8]) -> Record {
        Record { uid, base: base.into(), fields: None }
    }

    /// Value of a field: S size, W size with CRLF, P POP3 UIDL, O POP3 order, G the message's id.
    pub fn field(&self, letter: u8) -> Option<&[u8]> {
        let mut fields = self.fields.as_deref()?.split(|b| *b == b' ');
        fields.find_map(|f| f.strip_prefix(&[letter]))
    }

    /// Value of a field that is a number.
    pub fn number(&self, letter: u8) -> Option<u64> {
        std::str::from_utf8(self.field(letter)?).ok()?.parse().ok()
    }

    /// Set a field, in its place if it is there. `value` must hold no space and no line end.
    pub fn set_field(&mut self, letter: u8, value: &[u8]) {
        let mut fields: Vec<Vec<u8>> = match &self.fields {
            Some(fields) => fields.split(|b| *b == b' ').map(<[u8]>::to_vec).collect(),
            None => Vec::new(),
        };
        let field = [&[letter], value].concat();
        match fields.iter_mut().find(|f| f.first() == Some(&letter)) {
            Some(old) => *old = field,
            None => fields.push(field),
        }
        self.fields = Some(fields.join(&b' ').into());
    }

    /// Its line.
    pub(super) fn render(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.uid.to_string().as_bytes());
        if let Some(fields) = &self.fields {
            out.push(b' ');
            out.extend_from_slice(fields);
        }
        out.extend_from_slice(b" :");
        out.extend_from_slice(&self.base);
        out.push(b'\n');
    }
}

/// A list that does not follow the rules, with what stood before the first fault.
#[derive(Debug)]
pub struct Damage {
    /// Line of the fault, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: &'static str,
    /// The header, if that was good; its `guid` is empty if there was none.
    pub header: Option<Header>,
    /// Records before the fault.
    pub records: Vec<Record>,
}

/// A value, or what is wrong.
pub(super) type Fault<T> = std::result::Result<T, &'static str>;

/// Whole lines of a buffer; what follows the last line end stays in `bytes`.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    /// Lines taken so far.
    pub(super) line: usize,
}

impl<'a> Iterator for Reader<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.bytes)?;
        let line = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        self.line += 1;
        Some(line)
    }
}

/// Version and header.
pub(super) fn parse_header(line: &[u8]) -> Fault<(u32, Header)> {
    let text = std::str::from_utf8(line).map_err(|_| "header is not text")?;
    let mut fields = text.split(' ');
    let nonzero = |value: &str| value.parse().ok().filter(|n: &u32| *n != 0);
    let mut header = Header { uid_validity: 0, next_uid: 0, guid: String::new(), others: Vec::new() };
    let version = match fields.next() {
        Some("1") => {
            header.uid_validity = fields.next().and_then(nonzero).ok_or("bad UIDVALIDITY")?;
            header.next_uid = fields.next().and_then(nonzero).ok_or("bad next UID")?;
            1
        }
        Some("3") => {
            for field in fields.filter(|f| !f.is_empty()) {
                let (letter, value) = field.split_at_checked(1).ok_or("bad header field")?;
                match letter {
                    "V" => header.uid_validity = nonzero(value).ok_or("bad UIDVALIDITY")?,
                    "N" => header.next_uid = nonzero(value).ok_or("bad next UID")?,
                    "G" if is_guid(value) => header.guid = value.to_ascii_lowercase(),
                    "G" => {}
                    _ => header.others.push(field.into()),
                }
            }
            3
        }
        _ => return Err("unknown version"),
    };
    match (header.uid_validity, header.next_uid) {
        (0, _) => Err("no UIDVALIDITY"),
        (_, 0) => Err("no next UID"),
        _ => Ok((version, header)),
    }
}

/// 32 hexadecimal digits?
pub fn is_guid(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// One message of a list of `version`.
pub(super) fn parse_record(line: &[u8], version: u32) -> Fault<Record> {
    let digits = line.iter().position(|b| !b.is_ascii_digit()).unwrap_or(line.len());
    let (number, rest) = line.split_at(digits);
    let uid: u32 = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).ok_or("bad UID")?;
    if uid == 0 || uid >= MAX_UID {
        return Err("UID out of range");
    }
    let mut rest = rest.strip_prefix(b" ").ok_or("no space after the UID")?;
    let mut fields: Vec<&[u8]> = Vec::new();
    if version == 3 {
        while rest.first() != Some(&b':') {
            let space = memchr::memchr(b' ', rest).ok_or("no file name")?;
            if !rest[0].is_ascii_uppercase() {
                return Err("bad field");
            }
            fields.push(&rest[..space]);
            rest = &rest[space + 1..];
        }
        rest = &rest[1..];
    }
    // Dovecot's documentation shows names with flags, its code writes them without: take both.
    let base = &rest[..memchr::memchr(b':', rest).unwrap_or(rest.len())];
    if !filename::is_base(base) {
        return Err("bad file name");
    }
    let fields = if fields.is_empty() { None } else { Some(fields.join(&b' ').into()) };
    Ok(Record { uid, base: base.into(), fields })
}

/// The first line.
pub(super) fn render_header(header: &Header) -> Vec<u8> {
    let mut line = format!("3 V{} N{} G{}", header.uid_validity, header.next_uid, header.guid);
    for other in &header.others {
        line.push(' ');
        line.push_str(other);
    }
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_their_fields() {
        let record = parse_record(b"7 S20 W23 P O5 Gabc Q :1.M2P3.h,S=20:2,FS", 3).unwrap();
        assert_eq!((record.uid, &*record.base), (7, &b"1.M2P3.h,S=20"[..]));
        assert_eq!((record.number(b'S'), record.number(b'O')), (Some(20), Some(5)));
        assert_eq!(
            (record.field(b'P'), record.field(b'G'), record.field(b'X')),
            (Some(&b""[..]), Some(&b"abc"[..]), None)
        );
        let mut changed = record.clone();
        changed.set_field(b'W', b"99");
        changed.set_field(b'Z', b"new");
        let mut line = Vec::new();
        changed.render(&mut line);
        assert_eq!(line.escape_ascii().to_string(), "7 S20 W99 P O5 Gabc Q Znew :1.M2P3.h,S=20\\n");
        assert_eq!(parse_record(line.trim_ascii_end(), 3), Ok(changed));
        assert_eq!(parse_record(b"7 name with: spaces", 1).map(|r| r.base), Ok(b"name with"[..].into()));
    }

    #[test]
    fn headers_in_any_order_with_what_we_do_not_know() {
        let (version, header) = parse_header(b"3 G4003E5279b1a026b0949000083ecc375 Pfoo N9  V8 Q").unwrap();
        assert_eq!((version, header.uid_validity, header.next_uid), (3, 8, 9));
        assert_eq!(render_header(&header), b"3 V8 N9 G4003e5279b1a026b0949000083ecc375 Pfoo Q\n");
        assert_eq!(parse_header(b"3 V8 N9 Gshort").unwrap().1.guid, "");
        for bad in ["", "3", "3 V4294967296 N1", "3 V-1 N1", "1 5", "1 0 1", "4 V1 N1", "\u{fe}"] {
            assert!(parse_header(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic_and_what_is_read_is_written_the_same(line in "[0-9]{1,11}( [A-Z][a-z0-9]{0,3}){0,3} :[!-~]{1,20}|.{0,30}") {
            for version in [1, 3] {
                let Ok(record) = parse_record(line.as_bytes(), version) else { continue };
                let mut again = Vec::new();
                record.render(&mut again);
                proptest::prop_assert_eq!(parse_record(again.strip_suffix(b"\n").unwrap_or_default(), 3), Ok(record));
            }
            if let Ok((_, header)) = parse_header(line.as_bytes()) {
                proptest::prop_assert!(parse_header(render_header(&header).trim_ascii_end()).is_ok());
            }
        }
    }
}
