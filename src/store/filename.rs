//! The name of a message's file: who it is, how big it is, which flags it has.
//!
//! `<base>[:2,<letters>[,<more>]]`. The base identifies the message; `,S=` and `,W=` in it are its two sizes; the
//! letters are flags (capitals) and keywords (a to z). Nothing in a name is ever lost by us: letters that we do not
//! know and everything after a second comma are written back, as Dovecot does.
//!
//! Other programs put fields into a base after delivery (mbsync `,U=`, OfflineIMAP `,FMD5=`, quota tools `,S=`), so
//! the [`MessageName::key`] of a message is its base without such fields, and a tool that rewrites them does not make
//! a new message. Two files whose keys are equal but whose bases differ may still be two messages: match the whole
//! base first, the key second.
//!
//! Names are bytes: what lies in a Maildir need not be UTF-8.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::mail::Flags;

/// Bytes in a file name (NAME_MAX of every Linux file system).
pub const MAX_FILE_NAME: usize = 255;
/// Bytes of the host in a new name: leaves room for time, sizes and all letters.
const MAX_HOST: usize = 100;
/// Fields of a base that are not part of the message's identity.
const KNOWN_FIELDS: [&[u8]; 4] = [b"S", b"W", b"U", b"FMD5"];

/// A file name taken apart; borrows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageName<'a> {
    base: &'a [u8],
    /// Between `:2,` and the next comma, as found.
    letters: &'a [u8],
    /// From the second comma on, or the whole of an info part that is not `2,`.
    more: &'a [u8],
}

impl<'a> MessageName<'a> {
    /// Take `name` apart. `None` if no message can be called so: dot files, an empty base, line ends.
    pub fn parse(name: &'a [u8]) -> Option<Self> {
        let colon = name.iter().position(|b| *b == b':').unwrap_or(name.len());
        let (base, info) = name.split_at(colon);
        if !is_base(base) || info.iter().any(|b| matches!(b, b'\r' | b'\n' | b'/' | 0)) {
            return None;
        }
        let (letters, more) = match info.strip_prefix(b":2,") {
            Some(rest) => rest.split_at(rest.iter().position(|b| *b == b',').unwrap_or(rest.len())),
            // Some other info ("1," is experimental): no flags; kept behind our own second comma.
            None => (&[][..], info.strip_prefix(b":").unwrap_or_default()),
        };
        Some(MessageName { base, letters, more })
    }

    /// What identifies the file: everything before the first colon.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    /// What identifies the message: the base without known `,X=` fields.
    pub fn key(&self) -> Cow<'a, [u8]> {
        key(self.base)
    }

    /// Bytes on disk, from `,S=`.
    pub fn size(&self) -> Option<u64> {
        number_field(self.base, b"S")
    }

    /// Bytes with CRLF line ends (RFC822.SIZE), from `,W=`.
    pub fn wire_size(&self) -> Option<u64> {
        number_field(self.base, b"W")
    }

    /// The system flags.
    pub fn flags(&self) -> Flags {
        self.letters.iter().filter_map(|l| Flags::from_letter(*l)).fold(Flags::NONE, Flags::with)
    }

    /// Keyword letters: bit 0 is `a`, bit 25 is `z`.
    pub fn keywords(&self) -> u32 {
        self.letters.iter().filter(|l| l.is_ascii_lowercase()).fold(0, |set, l| set | 1 << (l - b'a'))
    }

    /// The file name with exactly these flags and keyword letters, everything else kept; letters sorted.
    pub fn with(&self, flags: Flags, keywords: u32) -> Vec<u8> {
        let unknown =
            self.letters.iter().copied().filter(|l| !l.is_ascii_lowercase() && Flags::from_letter(*l).is_none());
        let mut letters: Vec<u8> = unknown.chain(flags.letters()).chain(keyword_letters(keywords)).collect();
        letters.sort_unstable();
        letters.dedup();
        let mut name = [self.base, b":2,", &letters].concat();
        if !self.more.is_empty() {
            if !self.more.starts_with(b",") {
                name.push(b',');
            }
            name.extend_from_slice(self.more);
        }
        name
    }
}

/// May a message be called `base`? Not empty, no dot first, no colon, no slash, no line end, no NUL.
pub fn is_base(base: &[u8]) -> bool {
    !base.is_empty() && base[0] != b'.' && !base.iter().any(|b| matches!(b, b'/' | b':' | b'\r' | b'\n' | 0))
}

/// The letters of a keyword set, in order.
pub fn keyword_letters(keywords: u32) -> impl Iterator<Item = u8> {
    (b'a'..=b'z').filter(move |l| keywords & 1 << (l - b'a') != 0)
}

/// `base` without known `,X=` fields.
pub fn key(base: &[u8]) -> Cow<'_, [u8]> {
    let is_known = |field: &[u8]| {
        field.iter().position(|b| *b == b'=').is_some_and(|equals| KNOWN_FIELDS.contains(&&field[..equals]))
    };
    let mut fields = base.split(|b| *b == b',');
    if !fields.clone().skip(1).any(is_known) {
        return Cow::Borrowed(base);
    }
    let mut key = fields.next().unwrap_or_default().to_vec();
    for field in fields.filter(|field| !is_known(field)) {
        key.push(b',');
        key.extend_from_slice(field);
    }
    Cow::Owned(key)
}

fn number_field(base: &[u8], name: &[u8]) -> Option<u64> {
    let value = base.split(|b| *b == b',').skip(1).find_map(|f| f.strip_prefix(name)?.strip_prefix(b"="))?;
    // Digits only: what `parse` takes beyond them (a plus sign) is no size to a Maildir.
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Where `base` stands in order of arrival: leading seconds, then `M` microseconds. New UIDs are given in the order of
/// `(arrival(base), base)`.
pub fn arrival(base: &[u8]) -> (u64, u64) {
    let digits = |bytes: &[u8]| {
        bytes.iter().take(18).take_while(|b| b.is_ascii_digit()).fold(0, |n: u64, d| n * 10 + u64::from(d - b'0'))
    };
    let mut parts = base.splitn(3, |b| *b == b'.');
    let seconds = digits(parts.next().unwrap_or_default());
    let middle = parts.next().unwrap_or_default();
    let micros = middle.iter().position(|b| *b == b'M').map_or(0, |at| digits(&middle[at + 1..]));
    (seconds, micros)
}

/// `hostname` as a file name can bear it (cr.yp.to/proto/maildir.html): `/` and `:` in octal, and so is a comma, which would
/// begin a field, and whatever is not printable ASCII.
pub fn escape_host(hostname: &str) -> String {
    let mut escaped = String::new();
    for byte in hostname.bytes() {
        let plain = byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b',' | b'\\');
        if escaped.len() + if plain { 1 } else { 4 } > MAX_HOST {
            break;
        }
        match plain {
            true => escaped.push(char::from(byte)),
            false => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\{byte:03o}");
            }
        }
    }
    if escaped.is_empty() { "localhost".into() } else { escaped }
}

/// A new name that nobody else uses: `<secs>.M<usec>P<pid>R<random>.<host>`, `host` from [`escape_host`].
///
/// The time strictly grows inside a process, whatever the clock does and however many threads ask, and so names sort in
/// the order in which they were asked for. `R` is drawn at process start: it tells apart two processes with one pid and
/// one host name (containers).
pub fn unique(host: &str) -> String {
    static LAST_MICROS: AtomicU64 = AtomicU64::new(0);
    static PROCESS: OnceLock<(u32, u32)> = OnceLock::new();
    // The pid is a system call, too.
    let (pid, tag) = PROCESS.get_or_init(|| {
        let mut bytes = [0; 4];
        // Without randomness the time and the pid still tell names apart, and delivery never replaces a file.
        let _ = SystemRandom::new().fill(&mut bytes);
        (std::process::id(), u32::from_be_bytes(bytes))
    });
    let now = u64::try_from(clock::now().as_micros()).unwrap_or(u64::MAX - 1);
    let next = |last: u64| now.max(last + 1);
    let last = LAST_MICROS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    let micros = last.map_or(now, next);
    format!("{}.M{:06}P{pid}R{tag:08x}.{host}", micros / 1_000_000, micros % 1_000_000)
}

/// `unique` with its two sizes: bytes on disk and bytes with CRLF line ends.
pub fn with_sizes(unique: &str, size: u64, wire_size: u64) -> String {
    format!("{unique},S={size},W={wire_size}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn parts_of_names() {
        for (name, base, key, size, wire_size, flags, keywords) in [
            (
                "1795299995.M669320P18697.vm,S=20,W=23:2,Sab",
                "1795299995.M669320P18697.vm,S=20,W=23",
                "1795299995.M669320P18697.vm",
                Some(20),
                Some(23),
                "S",
                0b11,
            ),
            ("1.foo,U=3:2,", "1.foo,U=3", "1.foo", None, None, "", 0),
            ("1.foo,FMD5=d41d8c,S=7", "1.foo,FMD5=d41d8c,S=7", "1.foo", Some(7), None, "", 0),
            ("a,b,S=9,c:2,FS", "a,b,S=9,c", "a,b,c", Some(9), None, "FS", 0),
            ("bar:2,Sz,xyz", "bar", "bar", None, None, "S", 1 << 25),
            ("x,S=+5,W=1x:1,T", "x,S=+5,W=1x", "x", None, None, "", 0),
            ("x,S=", "x,S=", "x", None, None, "", 0),
            ("x,S=99999999999999999999", "x,S=99999999999999999999", "x", None, None, "", 0),
        ] {
            let parsed = MessageName::parse(name.as_bytes()).unwrap();
            assert_eq!(parsed.base(), base.as_bytes(), "{name}");
            assert_eq!(*parsed.key(), *key.as_bytes(), "{name}");
            assert_eq!((parsed.size(), parsed.wire_size()), (size, wire_size), "{name}");
            assert_eq!(parsed.flags().letters().collect::<Vec<_>>(), flags.as_bytes(), "{name}");
            assert_eq!(parsed.keywords(), keywords, "{name}");
        }
    }

    #[test]
    fn what_is_no_message() {
        for bad in [&b""[..], b".", b".nfs0001", b":2,S", b"a\nb", b"a/b", b"a:2,\r"] {
            assert!(MessageName::parse(bad).is_none(), "{}", bad.escape_ascii());
        }
        assert!(MessageName::parse(b"\xff\xfe").is_some(), "names are bytes");
    }

    #[test]
    fn changed_flags_drop_nothing() {
        let seen = Flags::SEEN;
        for (case, name, flags, keywords, after) in [
            ("no info yet", "a", seen, 0, "a:2,S"),
            ("no flag at all", "a:2,S", Flags::NONE, 0, "a:2,"),
            ("passed is kept", "a:2,PS", Flags::FLAGGED, 0, "a:2,FP"),
            ("unknown letters are kept and sorted", "a:2,ZSQ1", seen, 1, "a:2,1QSZa"),
            ("twice the same letter", "a:2,SS", seen, 0, "a:2,S"),
            ("after the second comma", "a:2,S,x,y", Flags::NONE, 0b100, "a:2,c,x,y"),
            ("experimental info", "a:1,xyz", seen, 0, "a:2,S,1,xyz"),
            ("sizes stay", "a,S=1:2,", seen, 0, "a,S=1:2,S"),
        ] {
            let renamed = MessageName::parse(name.as_bytes()).unwrap().with(flags, keywords);
            assert_eq!(renamed.escape_ascii().to_string(), after, "{case}");
        }
    }

    #[test]
    fn order_of_arrival() {
        let mut names = ["10.M5P1.h", "9.M7P1.h", "10.P1M20.h", "abc", "10.1234.h"];
        names.sort_by_key(|n| (arrival(n.as_bytes()), *n));
        assert_eq!(names, ["abc", "9.M7P1.h", "10.1234.h", "10.M5P1.h", "10.P1M20.h"]);
    }

    #[test]
    fn hosts_are_escaped_and_bounded() {
        assert_eq!(escape_host("mx1.example.org"), "mx1.example.org");
        assert_eq!(escape_host("a/b:c,d\\ü"), "a\\057b\\072c\\054d\\134\\303\\274");
        assert_eq!(escape_host(&"/".repeat(200)).len(), MAX_HOST);
        assert_eq!(escape_host(""), "localhost");
    }

    #[test]
    fn new_names_are_unique_across_threads_and_in_order() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..2000).map(|_| unique("h")).collect::<Vec<_>>())).collect();
        let mut all = HashSet::new();
        for thread in threads {
            let names = thread.join().unwrap();
            assert!(names.is_sorted_by_key(|n| arrival(n.as_bytes())));
            all.extend(names);
        }
        assert_eq!(all.len(), 8000);
        let name = with_sizes(&unique(&escape_host(&"h".repeat(300))), u64::MAX, u64::MAX);
        let flagged = MessageName::parse(name.as_bytes()).unwrap().with(Flags::from_bits(0xff), u32::MAX);
        assert!(flagged.len() <= MAX_FILE_NAME, "{}", flagged.len());
    }
}
