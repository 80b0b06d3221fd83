//! Looking for a string in text, as i;unicode-casemap compares ([`super::casemap`]).
//!
//! Most strings that people look for are ASCII, and so is most text: then nothing is folded, and the text is looked through for the rarest
//! byte of the string, in both cases, at the speed of memory. ASCII in any text folds to itself in capitals, so what is found that way is found;
//! what is not may still hide where the text has other characters (`é` holds `e`), and only their neighbourhood is folded.

use memchr::memchr2_iter;
use memchr::memmem::Finder;

use super::casemap::{fold, folded};

/// How often bytes come in mail, rarest first; letters that are not here are more frequent.
const RARE: &[u8] = b"~`^{}|\\%$#&;*+!?@[]'\"<>_/()=zqjxkvZQJXKVbwpgfyuBWPGFYU0987654321:,.-mchdlMCHDL";

/// A string to look for, in any case.
pub struct Needle {
    folded: String,
    finder: Finder<'static>,
    /// For one that folds to ASCII capitals: the rarest byte of it, small and capital, and its place. Small letters in what is folded come from
    /// `ﬁ` and its kin, and are in no ASCII text.
    rare: Option<(u8, u8, usize)>,
}

impl Needle {
    /// Look for `text`.
    pub fn new(text: &str) -> Needle {
        let folded = folded(text);
        let finder = Finder::new(&folded).into_owned();
        let rank = |byte: u8| RARE.iter().position(|rare| *rare == byte).unwrap_or(RARE.len());
        let rarest = folded.bytes().enumerate().min_by_key(|(_, byte)| rank(byte.to_ascii_lowercase()));
        let rare = rarest
            .filter(|_| !folded.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_lowercase()))
            .map(|(at, byte)| (byte.to_ascii_lowercase(), byte.to_ascii_uppercase(), at));
        Needle { folded, finder, rare }
    }

    /// Is it in `text`?
    pub fn is_in(&self, text: &str) -> bool {
        if self.rare.is_none() {
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
        let Some((small, capital, place)) = self.rare else { return self.is_empty() };
        let needle = self.folded.as_bytes();
        let Some(last) = bytes.len().checked_sub(needle.len()) else { return false };
        memchr2_iter(small, capital, &bytes[place..=last + place])
            .any(|at| bytes[at..at + needle.len()].eq_ignore_ascii_case(needle))
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
        self.rare.is_some() && !self.folded.bytes().any(|b| b.is_ascii_whitespace() || b == b':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
