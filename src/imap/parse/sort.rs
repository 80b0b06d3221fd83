//! Arguments of SORT and THREAD (RFC 5256 section 5, RFC 5957) before their search criteria.
//!
//! ```text
//! sort-criteria = "(" ["REVERSE" SP] key *(SP ["REVERSE" SP] key) ")"
//! key           = "ARRIVAL" / "CC" / "DATE" / "FROM" / "SIZE" / "SUBJECT" / "TO" / "DISPLAYFROM" / "DISPLAYTO"
//! ```

use super::{Cursor, Result};
pub use crate::store::cache::SortKey;

/// Criteria in one command. There are nine keys; one that comes again decides nothing more.
const MAX_CRITERIA: usize = 20;

/// A key and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// By what.
    pub key: SortKey,
    /// From high to low.
    pub reverse: bool,
}

/// How messages are threaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 5256.
    OrderedSubject,
    /// RFC 5256.
    References,
    /// draft-ietf-morg-inthread.
    Refs,
}

impl Cursor<'_> {
    /// RFC 5256 sort-criteria.
    pub fn sort_criteria(&mut self) -> Result<Vec<Criterion>> {
        let criteria = self.list1(Cursor::sort_criterion)?;
        if criteria.len() > MAX_CRITERIA {
            return self.bad("too many sort criteria");
        }
        Ok(criteria)
    }

    fn sort_criterion(&mut self) -> Result<Criterion> {
        let reverse = self.eat_text("REVERSE ");
        let before = self.clone();
        let key = match self.word()?.to_ascii_uppercase().as_str() {
            "ARRIVAL" => SortKey::Arrival,
            "CC" => SortKey::Cc,
            "DATE" => SortKey::Date,
            "FROM" => SortKey::From,
            "SIZE" => SortKey::Size,
            "SUBJECT" => SortKey::Subject,
            "TO" => SortKey::To,
            "DISPLAYFROM" => SortKey::DisplayFrom,
            "DISPLAYTO" => SortKey::DisplayTo,
            _ => return before.bad("unknown sort key"),
        };
        Ok(Criterion { key, reverse })
    }

    /// RFC 5256 thread-alg.
    pub fn thread_algorithm(&mut self) -> Result<Algorithm> {
        let before = self.clone();
        match self.atom()?.to_ascii_uppercase().as_str() {
            "ORDEREDSUBJECT" => Ok(Algorithm::OrderedSubject),
            "REFERENCES" => Ok(Algorithm::References),
            "REFS" => Ok(Algorithm::Refs),
            _ => before.bad("unknown threading algorithm"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria() {
        let parse = |text: &str| Cursor::new(text.as_bytes()).sort_criteria().ok();
        let one = |key, reverse| Criterion { key, reverse };
        let table = [
            ("(SUBJECT)", Some(vec![one(SortKey::Subject, false)])),
            ("(subject reverse date)", Some(vec![one(SortKey::Subject, false), one(SortKey::Date, true)])),
            (
                "(DISPLAYFROM REVERSE DISPLAYTO)",
                Some(vec![one(SortKey::DisplayFrom, false), one(SortKey::DisplayTo, true)]),
            ),
            ("()", None),
            ("SUBJECT", None),
            ("(REVERSE)", None),
            ("(REVERSE REVERSE DATE)", None),
            ("(BCC)", None),
            ("(DATE", None),
        ];
        for (text, want) in table {
            assert_eq!(parse(text), want, "{text}");
        }
        assert!(parse(&format!("({}DATE)", "DATE ".repeat(MAX_CRITERIA))).is_none());
    }

    #[test]
    fn algorithms() {
        let parse = |text: &str| Cursor::new(text.as_bytes()).thread_algorithm().ok();
        assert_eq!(parse("orderedsubject"), Some(Algorithm::OrderedSubject));
        assert_eq!(parse("REFERENCES"), Some(Algorithm::References));
        assert_eq!(parse("REFS"), Some(Algorithm::Refs));
        assert_eq!(parse("JWZ"), None);
    }
}
