//! Mailbox patterns of LIST and LSUB (RFC 3501 6.3.8): `*` is any text, `%` any text without `/`.
//!
//! A pattern is matched by walking once over the name and keeping the set of places in the pattern where one may be, as bits.
//! So the time is the name's length times a sixty-fourth of the pattern's, whatever the wildcards: `%*%*%*a` has no
//! slow case. A pattern that has more letters than the name, which no wildcard can help, is not even begun.

use crate::mail::utf7;
use crate::store::Name;

/// Bytes of a pattern with its reference. Longer ones than a name can be are mostly wildcards.
pub const MAX_PATTERN: usize = 2000;

/// Does the pattern ask for levels (`%`), so that levels above a match are wanted too (RFC 3501 6.3.9)?
pub const LEVEL: u8 = b'%';

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Words of a bit set; bit n is set if n elements of the pattern are used up.
    words: usize,
    /// For each byte, the places where it is the next element.
    literal: Vec<u64>,
    /// The places where `*`, and `*` or `%`, is next.
    star: Vec<u64>,
    wild: Vec<u64>,
    elements: usize,
    /// Those that are no wildcards.
    letters: usize,
    /// Has a `%`.
    pub by_level: bool,
}

impl Pattern {
    /// Compile `reference` followed by `pattern`, both as on the wire. `None` if no name can match: too long, or not modified UTF-7.
    pub fn new(reference: &[u8], pattern: &[u8]) -> Option<Pattern> {
        Pattern::speaking(reference, pattern, false)
    }

    /// As [`Pattern::new`], from a client that speaks `utf8` (RFC 6855 section 3) and so writes no modified UTF-7.
    pub fn speaking(reference: &[u8], pattern: &[u8], utf8: bool) -> Option<Pattern> {
        let text = [reference, pattern].concat();
        if text.len() > MAX_PATTERN {
            return None;
        }
        let text = if utf8 { String::from_utf8(text).ok()? } else { utf7::decode(&text)? };
        // Wildcards are plain characters in modified UTF-7, so they come through. Next to each other, the wider one says it all.
        let mut elements: Vec<u8> = Vec::new();
        for b in text.bytes() {
            match (elements.last_mut(), b) {
                (Some(b'*'), b'*' | b'%') | (Some(b'%'), b'%') => {}
                (Some(last @ b'%'), b'*') => *last = b'*',
                _ => elements.push(b),
            }
        }
        let words = elements.len() / 64 + 1;
        let mut compiled = Pattern {
            words,
            literal: vec![0; 256 * words],
            star: vec![0; words],
            wild: vec![0; words],
            elements: elements.len(),
            letters: elements.iter().filter(|b| !matches!(b, b'*' | b'%')).count(),
            by_level: elements.contains(&LEVEL),
        };
        for (n, b) in elements.iter().enumerate() {
            let (word, bit) = (n / 64, 1 << (n % 64));
            match b {
                b'*' => {
                    compiled.star[word] |= bit;
                    compiled.wild[word] |= bit;
                }
                b'%' => compiled.wild[word] |= bit,
                other => compiled.literal[usize::from(*other) * words + word] |= bit,
            }
        }
        Some(compiled)
    }

    /// Does the whole name match? INBOX as first level matches in any case.
    pub fn matches(&self, name: &Name) -> bool {
        if self.letters > name.as_str().len() {
            return false;
        }
        let inbox = name.is_inbox() || name.is_below(&Name::inbox());
        let mut places = vec![0u64; self.words];
        places[0] = 1;
        self.skip_wildcards(&mut places);
        for (n, b) in name.as_str().bytes().enumerate() {
            let other_case = if inbox && n < 5 { b.to_ascii_lowercase() } else { b };
            self.advance(&mut places, b, other_case);
        }
        places[self.elements / 64] >> (self.elements % 64) & 1 == 1
    }

    fn advance(&self, places: &mut [u64], b: u8, other_case: u8) {
        let masks = |b: u8| &self.literal[usize::from(b) * self.words..][..self.words];
        let (literal, other) = (masks(b), masks(other_case));
        let stay = if b == b'/' { &self.star } else { &self.wild };
        let mut carry = 0;
        #[cfg(test)]
        tests::STEPS.set(tests::STEPS.get() + places.len());
        for (n, place) in places.iter_mut().enumerate() {
            let moved = *place & (literal[n] | other[n]);
            let stayed = *place & stay[n];
            *place = moved << 1 | carry | stayed;
            carry = moved >> 63;
        }
        self.skip_wildcards(places);
    }

    /// A wildcard may also stand for nothing. No two are neighbours, so one pass does it.
    fn skip_wildcards(&self, places: &mut [u64]) {
        let mut carry = 0;
        for (n, place) in places.iter_mut().enumerate() {
            let skipped = *place & self.wild[n];
            *place |= skipped << 1 | carry;
            carry = skipped >> 63;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        /// Words of bit sets that were looked at.
        pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// Ten thousand folders and the worst patterns: steps are counted, since time says nothing on a machine with other work. As many as the names
    /// have bytes, for each word of the pattern.
    #[test]
    fn no_pattern_is_slow() {
        let names: Vec<Name> = (0..10_000)
            .map(|n| {
                Name::parse(&format!("{}/{}aaaaaaaaaaaaaaaaaaaaaaaaab{n}", "a".repeat(n % 50 + 1), "ab".repeat(9)))
                    .unwrap()
            })
            .collect();
        let bytes: usize = names.iter().map(|name| name.as_str().len()).sum();
        let patterns = [
            "*".repeat(2000),
            "*%".repeat(1000),
            "*a".repeat(30) + "c",
            "%a*a".repeat(12) + "*c",
            "*a*b".repeat(10) + "/c",
            "a*".repeat(1000),
            "%/".repeat(1000),
            format!("{}c", "*a".repeat(999)),
        ];
        for pattern in patterns {
            let compiled = Pattern::new(b"", pattern.as_bytes()).unwrap();
            STEPS.set(0);
            let matching = names.iter().filter(|name| compiled.matches(name)).count();
            let steps = STEPS.get();
            let words = if compiled.letters > 120 { 0 } else { compiled.words };
            assert!(steps <= bytes * words.min(2), "{pattern:.20}: {steps} steps for {bytes} bytes in {words} words");
            let all = matches!(&pattern[..3], "***" | "*%*");
            assert_eq!(matching, if all { names.len() } else { 0 }, "{pattern:.20}");
        }
    }

    #[test]
    fn matching() {
        let table = [
            ("*", "INBOX", true),
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("a/%", "a/b", true),
            ("a/%", "a", false),
            ("a*", "a/b", true),
            ("a%*c", "a/b/c", true),
            ("%b", "a/b", false),
            ("*b", "a/b", true),
            ("*2", "baz2/bar22", true),
            ("inbox", "INBOX", true),
            ("InB%", "INBOX", true),
            ("inbox/x", "INBOX/x", true),
            ("inbox/X", "INBOX/x", false),
            ("work", "Work", false),
            ("", "a", false),
            ("&AOQ-*", "ärger", true),
            ("%%%*%%", "a/b", true),
        ];
        for (pattern, name, expected) in table {
            let compiled = Pattern::new(b"", pattern.as_bytes()).unwrap();
            assert_eq!(compiled.matches(&Name::parse(name).unwrap()), expected, "{pattern} {name}");
        }
        assert!(Pattern::new(b"a/", b"%").unwrap().matches(&Name::parse("a/b").unwrap()));
        assert!(Pattern::new(b"", b"&").is_none());
        assert!(Pattern::new(b"", &[b'a'; 3000]).is_none());
    }

    /// The same answer as the obvious recursive definition, over the word boundaries of the bit sets too.
    #[test]
    fn agrees_with_the_definition() {
        fn define(pattern: &[u8], name: &[u8]) -> bool {
            match pattern.split_first() {
                None => name.is_empty(),
                Some((b'*', rest)) => (0..=name.len()).any(|n| define(rest, &name[n..])),
                Some((b'%', rest)) => {
                    (0..=name.len()).take_while(|n| !name[..*n].contains(&b'/')).any(|n| define(rest, &name[n..]))
                }
                Some((b, rest)) => name.first() == Some(b) && define(rest, &name[1..]),
            }
        }
        let long = "x".repeat(61);
        for head in ["", &long] {
            for pattern in ["a%b*", "%a/b", "*a%", "a%/*b", "%", "ab*%/a", "*/%/*"] {
                for name in ["a", "ab", "a/b", "aab/ba", "ab/a", "a/a/b", "b/a"] {
                    let (pattern, name) = (format!("{head}{pattern}"), format!("{head}{name}"));
                    let compiled = Pattern::new(b"", pattern.as_bytes()).unwrap();
                    let expected = define(pattern.as_bytes(), name.as_bytes());
                    assert_eq!(compiled.matches(&Name::parse(&name).unwrap()), expected, "{pattern} {name}");
                }
            }
        }
    }
}
