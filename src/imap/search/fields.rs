//! The header fields of one message for a search that asks many questions of them: decoded and folded once, not once a question.
//!
//! Owns [`Folded`]: what all fields of a name say, one text a name. A header of 256 KiB and a thousand questions then cost some
//! milliseconds for the header and a look through one text for each question, where a walk through all fields for each took seconds.

use std::collections::HashMap;

use crate::mail::needle::Needle;
use crate::mail::{casemap, header, text};

/// Between two fields of a name. No text has it (it is no character, Unicode 23.7), so that nothing is found across.
const BETWEEN: char = '\u{ffff}';

/// What the fields of a header say, by their names in small letters.
pub struct Folded(HashMap<Vec<u8>, String>);

impl Folded {
    /// Of a header block.
    pub fn new(block: &[u8]) -> Folded {
        let mut texts: HashMap<Vec<u8>, String> = HashMap::new();
        for field in header::fields(block).filter(|field| !field.name.is_empty()) {
            let text = texts.entry(field.name.to_ascii_lowercase()).or_default();
            casemap::fold(&text::of_header(field.value()), text);
            text.push(BETWEEN);
        }
        Folded(texts)
    }

    /// Is the string in a field of this name?
    pub fn has(&self, name: &[u8], needle: &Needle) -> bool {
        self.0.get(&name.to_ascii_lowercase()).is_some_and(|text| needle.is_empty() || needle.is_in_folded(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_name_are_one_text_and_stay_apart() {
        let folded = Folded::new("To: Anna\r\nSubject: =?utf-8?q?Gr=C3=BCn?=\r\nto: Bert\r\nX:\r\n".as_bytes());
        for (name, string, found) in [
            ("TO", "ann", true),
            ("To", "BERT", true),
            ("To", "annabert", false),
            ("To", "anna bert", false),
            ("Subject", "GRÜN", true),
            ("Subject", "anna", false),
            ("X", "", true),
            ("Y", "", false),
        ] {
            assert_eq!(folded.has(name.as_bytes(), &Needle::new(string)), found, "{name} {string}");
        }
    }
}
