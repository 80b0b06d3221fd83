//! Looking for a string in text, as i;unicode-casemap compares ([`super::casemap`]).
//!
//! Most strings that people look for are ASCII, and so is most text: then nothing is folded, and the text is looked through for the two rarest
//! bytes of the string at their distance, in both cases, at the speed of memory. ASCII in any text folds to itself in capitals, so what is found that way is found;
//! what is not may still hide where the text has other characters (`é` holds `e`), and only their neighbourhood is folded.

use memchr::memmem::Finder;

use super::casemap::{fold, folded};

/// How often bytes come in mail, rarest first; letters that are not here are more frequent.
const RARE: &[u8] = b"~`^{}|\\%$#&;*+!?@[]'\"<>_/()=zqjxkvZQJXKVbwpgfyuBWPGFYU0987654321:,.-mchdlMCHDL";
/// Places looked at together: a multiple of what the processor compares at once.
const LANES: usize = 64;

/// Words of a string that are looked for before it is: each is a pass.
const MAX_WORDS: usize = 4;

/// A string to look for, in any case.
pub struct Needle {
    folded: String,
    finder: Finder<'static>,
    /// If it folds to ASCII capitals. Small letters in what is folded come from `ﬁ` and its kin, and are in no ASCII text.
    plain: Option<Plain>,
    /// Then: its words, if they are not just it.
    words: Vec<Plain>,
}

impl Needle {
    /// Look for `text`.
    pub fn new(text: &str) -> Needle {
        let folded = folded(text);
        let finder = Finder::new(&folded).into_owned();
        let is_plain = !folded.is_empty() && !folded.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_lowercase());
        let plain = is_plain.then(|| Plain::of(folded.as_bytes()));
        let words = folded.as_bytes().split(|byte| is_between_words(*byte)).filter(|word| !word.is_empty());
        let words = if is_plain { words.take(MAX_WORDS).map(Plain::of).collect() } else { Vec::new() };
        Needle { folded, finder, plain, words }
    }

    /// Is it in `text`?
    pub fn is_in(&self, text: &str) -> bool {
        if self.plain.is_none() {
            return self.is_empty() || self.is_in_folded(&folded(text));
        }
        self.is_in_bytes(text.as_bytes()) || (!text.is_ascii() && self.is_near_others(text))
    }

    /// Is it in `text`, which [`fold`] made?
    pub fn is_in_folded(&self, text: &str) -> bool {
        self.finder.find(text.as_bytes()).is_some()
    }

    /// Is it in `bytes` as it is, in any case? For a string that is not ASCII the answer is no; for bytes that are ASCII text it is all there
    /// is to know.
    pub fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.plain.as_ref().map_or(self.is_empty(), |plain| plain.find(bytes).is_some())
    }

    /// Can it be in a text that was made of `bytes` by taking out line ends and white space, or by putting fields together? The bytes are ASCII and
    /// written as they are read.
    pub fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.is_empty() || self.plain.is_some() && self.words.iter().all(|word| word.find(bytes).is_some())
    }

    /// Is it there where `text` has characters that are not ASCII? Runs of them that are near each other are folded in one.
    fn is_near_others(&self, text: &str) -> bool {
        let (bytes, reach) = (text.as_bytes(), self.folded.len());
        let mut window = String::new();
        let mut at = 0;
        while let Some(first) = bytes[at..].iter().position(|b| !b.is_ascii()).map(|first| at + first) {
            let mut end = first;
            while end < bytes.len() {
                // As long as the next one is not too far.
                let near = &bytes[end..bytes.len().min(end + 2 * reach + 4)];
                match near.iter().rposition(|b| !b.is_ascii()) {
                    Some(other) => end += other + 1,
                    None => break,
                }
            }
            // What is before and behind is ASCII as far as it matters, but a window may be cut in the middle of a character.
            let mut from = first.saturating_sub(reach);
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            let mut to = bytes.len().min(end + reach);
            while !text.is_char_boundary(to) {
                to += 1;
            }
            window.clear();
            fold(&text[from..to], &mut window);
            if self.is_in_folded(&window) {
                return true;
            }
            at = end;
        }
        false
    }

    /// Bytes of text that must be kept of one block to find a match that goes on in the next: a character of four bytes may fold to one.
    pub fn reach(&self) -> usize {
        4 * self.folded.len()
    }

    /// Looks for nothing, which is everywhere?
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Is it ASCII without white space and colons, so that no fold of a header field and no field's name can be in the middle of it?
    pub fn is_plain(&self) -> bool {
        self.plain.is_some() && !self.folded.bytes().any(is_between_words)
    }
}

/// White space, where a fold may be, and what ends the name of a field.
fn is_between_words(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || byte == b':'
}

/// An ASCII string without small letters, to be found in any case.
pub struct Plain {
    capitals: Vec<u8>,
    /// Its two rarest bytes; twice the same, if it has but one.
    rare: [Rare; 2],
}

/// A byte of the string, as it must be in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rare {
    place: usize,
    byte: u8,
    /// What of it counts: of a letter not its case.
    mask: u8,
}

impl Rare {
    fn of(capitals: &[u8], place: usize) -> Rare {
        let byte = capitals[place];
        Rare { place, byte, mask: if byte.is_ascii_uppercase() { !0x20 } else { !0 } }
    }

    fn is(self, byte: u8) -> bool {
        byte & self.mask == self.byte
    }
}

impl Plain {
    /// Find `capitals`: at least one byte, and no small letters.
    pub fn of(capitals: &[u8]) -> Plain {
        let rank = |byte: u8| RARE.iter().position(|rare| *rare == byte.to_ascii_lowercase()).unwrap_or(RARE.len());
        let mut places: Vec<usize> = (0..capitals.len()).collect();
        places.sort_by_key(|place| rank(capitals[*place]));
        // One byte twice says less than two.
        let first = places[0];
        let second = places.iter().copied().find(|place| capitals[*place] != capitals[first]);
        let second = second.or(places.get(1).copied()).unwrap_or(first);
        Plain { rare: [first, second].map(|place| Rare::of(capitals, place)), capitals: capitals.to_vec() }
    }

    /// Where it is for the first time.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        let ([one, other], len) = (self.rare, self.capitals.len());
        let last = bytes.len().checked_sub(len)?;
        let is_at = |at: usize| bytes[at..at + len].eq_ignore_ascii_case(&self.capitals);
        // Where the two bytes of a string that begins at 0, 1, 2 ... would be.
        let (ones, others) = (&bytes[one.place..=one.place + last], &bytes[other.place..=other.place + last]);
        let (lanes, rest) = ones.as_chunks::<LANES>();
        let (other_lanes, other_rest) = others.as_chunks::<LANES>();
        for (n, (a, b)) in lanes.iter().zip(other_lanes).enumerate() {
            // Without a branch, so that many are compared at once.
            let mut hits = 0;
            for lane in 0..LANES {
                hits |= u8::from(one.is(a[lane])) & u8::from(other.is(b[lane]));
            }
            if hits != 0
                && let Some(lane) =
                    (0..LANES).find(|lane| one.is(a[*lane]) && other.is(b[*lane]) && is_at(n * LANES + lane))
            {
                return Some(n * LANES + lane);
            }
        }
        let behind = lanes.len() * LANES;
        let found = (0..rest.len()).find(|n| one.is(rest[*n]) && other.is(other_rest[*n]) && is_at(behind + n));
        found.map(|n| behind + n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wherever_it_is() {
        for text in
            ["x", "Zz", "a-b", "needle", "a needle that is longer than what is compared at once, by far and a half"]
        {
            let needle = Needle::new(text);
            for before in 0..200 {
                for behind in [0, 1, 63, 64, 65, 130] {
                    let bytes = [".".repeat(before), text.to_ascii_uppercase(), ".".repeat(behind)].concat();
                    assert!(needle.is_in_bytes(bytes.as_bytes()), "{text} behind {before} before {behind}");
                    assert!(!needle.is_in_bytes(&bytes.as_bytes()[..before + text.len() - 1]));
                    assert_eq!(Plain::of(text.to_ascii_uppercase().as_bytes()).find(bytes.as_bytes()), Some(before));
                }
            }
        }
    }

    #[test]
    fn needles_know_no_case() {
        let table = [
            ("ÉTÉ", "en été", true),
            ("ete", "x", false),
            ("", "x", true),
            ("", "", true),
            ("y", "x", false),
            ("xyz", "XY", false),
            ("Xyz", "axYZ", true),
            // RFC 5051: these have no titlecase, and what they decompose to is small.
            ("office", "oﬃce", false),
            ("ﬁi", "fIi", false),
            ("ﬁi", "aﬁI", true),
            ("ꜷ", "Ꜷ", true),
            ("e", "é", true),
            ("kelvin", "\u{212a}elvin", true),
            ("ab", "aéb", false),
            ("~", "a~", true),
        ];
        for (needle, text, want) in table {
            assert_eq!(Needle::new(needle).is_in(text), want, "{needle} in {text}");
        }
    }

    proptest! {
        /// What is there after folds and colons are gone was there word by word.
        #[test]
        fn words(needle in "[ab: \t]{0,6}", text in "[ABab: \t\r\n]{0,40}") {
            let needle = Needle::new(&needle);
            for text in [text.clone(), text.replace("\r\n", ""), text.replace(['\r', '\n', '\t'], " "), text.replace(' ', "  ")] {
                prop_assert!(!needle.is_in(&text) || needle.may_be_in(text.as_bytes()));
            }
        }

        /// The short ways find what folding all finds.
        #[test]
        fn as_folding_all(needle in "[aAfiIxé\u{212a}ﬁ ]{0,4}", text in "[aAfiIxXkﬁ\u{212a}é ]{0,60}", far in "[a ]{0,30}") {
            let text = format!("{far}{text}{far}{text}");
            let needle = Needle::new(&needle);
            prop_assert_eq!(needle.is_in(&text), needle.is_in_folded(&folded(&text)));
            prop_assert_eq!(needle.is_in(&far), needle.is_in_folded(&folded(&far)));
        }
    }
}
