//! Identifiers and rights in the ACL commands (RFC 4314 section 7).

use super::{Cursor, Result};
use crate::store::acl::{Change, Rights};

/// Bytes in an identifier: the longest address.
const MAX_IDENTIFIER: usize = 320;

impl Cursor<'_> {
    /// An identifier as the client wrote it. RFC 4314 section 3 has it prepared with SASLprep and refused with BAD where that fails or leaves
    /// nothing; what SASLprep forbids is refused here, and names in other compatible spellings are simply other names.
    pub fn identifier(&mut self) -> Result<String> {
        let before = self.clone();
        let bytes = self.astring()?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return before.bad("identifier is not UTF-8") };
        // RFC 4013 2.3: control characters, private use, non-characters and their like; spaces that are not SPACE.
        let is_forbidden = |c: char| {
            c.is_control()
                || (c.is_whitespace() && c != ' ')
                || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{e0001}'..='\u{10ffff}')
        };
        match text {
            "" | "-" => before.bad("identifier is empty"),
            _ if text.len() > MAX_IDENTIFIER => before.bad("identifier is too long"),
            _ if text.contains(is_forbidden) => before.bad("identifier has a character that none may have"),
            _ => Ok(text.to_owned()),
        }
    }

    /// `lrs`, `+w`, `-t`: rights and what is to be done with them.
    pub fn rights(&mut self) -> Result<(Change, Rights)> {
        let before = self.clone();
        let bytes = self.astring()?;
        let (change, letters) = match &bytes[..] {
            [b'+', rest @ ..] => (Change::Add, rest),
            [b'-', rest @ ..] => (Change::Remove, rest),
            all => (Change::Replace, all),
        };
        let mut rights = Rights::NONE;
        for letter in letters {
            // RFC 4314 2.1.1: the two of RFC 2086 stand for several of ours.
            rights = rights.with(match letter {
                b'c' => Rights::CREATE.with(Rights::DELETE),
                b'd' => Rights::DELETED.with(Rights::EXPUNGE),
                // RFC 4314 3.1: a right that we do not know is never passed over.
                other => match Rights::of_letter(char::from(*other)) {
                    Some(right) => right,
                    None => return before.bad("no such right"),
                },
            });
        }
        Ok((change, rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights() {
        let parse = |text: &str| Cursor::new(text.as_bytes()).rights().ok();
        assert_eq!(parse("lr"), Some((Change::Replace, Rights::LOOKUP.with(Rights::READ))));
        assert_eq!(parse("+d"), Some((Change::Add, Rights::DELETED.with(Rights::EXPUNGE))));
        assert_eq!(parse("-c"), Some((Change::Remove, Rights::CREATE.with(Rights::DELETE))));
        assert_eq!(parse("\"\""), Some((Change::Replace, Rights::NONE)));
        for bad in ["lQ", "q", "L", "+-l", "l r!", "0", ""] {
            let mut cursor = Cursor::new(bad.as_bytes());
            assert!(cursor.rights().is_err() || cursor.end().is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers() {
        let parse = |text: &str| Cursor::new(text.as_bytes()).identifier().ok();
        assert_eq!(parse("-bob").as_deref(), Some("-bob"));
        assert_eq!(parse("\"a b\"").as_deref(), Some("a b"));
        for bad in ["\"\"", "-", "\"a\tb\"", "\"\u{200e}\"", "\"\u{a0}\""] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
