//! What a SEARCH or SORT is to return (RFC 4466 search-return-opts): RFC 4731, 5182, 5267, 9394.
//!
//! ```text
//! returns  = "RETURN" SP "(" [option *(SP option)] ")" SP
//! option   = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE" / "UPDATE" [[SP] "(" fetch-item *(SP fetch-item) ")"] / "CONTEXT" / "PARTIAL" SP range
//! range    = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number
//! ```
//!
//! An option that is not one of these is BAD (RFC 9051 section 6.4.4), and so is PARTIAL beside ALL or another PARTIAL
//! (RFC 9394 section 3.1).

use std::fmt;

use super::fetch::Item;
use super::{Cursor, Result};

/// The options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returns {
    /// The first message.
    pub min: bool,
    /// The last message.
    pub max: bool,
    /// All messages.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Remember them as `$`.
    pub save: bool,
    /// Tell what changes in the result.
    pub update: bool,
    /// Some of them.
    pub partial: Option<Partial>,
}

/// A piece of a result, counted from its beginning or from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// As written.
    first: u32,
    /// As written; may be the smaller one.
    last: u32,
    from_end: bool,
}

impl Returns {
    /// RFC 5182 section 1: SAVE alone suppresses the response.
    pub fn only_save(self) -> bool {
        self == Returns { save: true, ..Returns::default() }
    }
}

impl Partial {
    /// Which of `count` results are meant, as indices from the beginning.
    pub fn indices(self, count: usize) -> std::ops::Range<usize> {
        let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (low, high) = (index(self.first.min(self.last)) - 1, index(self.first.max(self.last)));
        let (low, high) = (low.min(count), high.min(count));
        if self.from_end { count - high..count - low } else { low..high }
    }

    /// How many results there must be, from the end that it counts from.
    pub fn reach(self) -> (bool, usize) {
        (self.from_end, usize::try_from(self.first.max(self.last)).unwrap_or(usize::MAX))
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.first, self.last)
    }
}

impl Cursor<'_> {
    /// `RETURN (...)` and a space, if it is there. An empty list means ALL (RFC 4731 section 3.1). What UPDATE wants fetched of new messages (RFC 5465
    /// section 7) goes into `items`.
    pub fn search_returns(&mut self, items: &mut Vec<Item>) -> Result<Option<Returns>> {
        if !self.eat_text("RETURN (") {
            return Ok(None);
        }
        let mut returns = Returns::default();
        if self.eat(b')') {
            returns.all = true;
        } else {
            loop {
                self.search_return(&mut returns, items)?;
                if self.eat(b')') {
                    break;
                }
                self.expect(b' ', "expected a space or )")?;
            }
        }
        self.space()?;
        Ok(Some(returns))
    }

    fn search_return(&mut self, returns: &mut Returns, items: &mut Vec<Item>) -> Result<()> {
        let before = self.clone();
        match self.word()?.to_ascii_uppercase().as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "UPDATE" => {
                returns.update = true;
                // The grammar of RFC 5465 has no space there, its example has one.
                if self.clone().eat_text(" (") {
                    self.space()?;
                }
                if self.peek() == Some(b'(') {
                    *items = self.fetch_items()?;
                }
            }
            // RFC 5267 4.2: a hint that may be ignored.
            "CONTEXT" => {}
            "PARTIAL" if returns.partial.is_none() => {
                self.space()?;
                returns.partial = Some(self.partial_range()?);
            }
            "PARTIAL" => return before.bad("only one PARTIAL is allowed"),
            _ => return before.bad("unknown result option"),
        }
        if returns.all && returns.partial.is_some() {
            return before.bad("ALL and PARTIAL exclude each other");
        }
        Ok(())
    }

    /// RFC 9394 partial-range.
    pub fn partial_range(&mut self) -> Result<Partial> {
        let from_end = self.eat(b'-');
        let first = self.nz_number()?;
        self.expect(b':', "expected a range such as 1:100")?;
        if self.eat(b'-') != from_end {
            return self.bad("both ends of the range must have a minus sign, or none");
        }
        Ok(Partial { first, last: self.nz_number()?, from_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Option<Returns>> {
        Cursor::new(text.as_bytes()).search_returns(&mut Vec::new()).ok()
    }

    #[test]
    fn options() {
        let none = Returns::default();
        let partial = |first, last, from_end| Some(Partial { first, last, from_end });
        let table = [
            ("ALL", Some(None)),
            ("RETURN () x", Some(Some(Returns { all: true, ..none }))),
            ("return (min Max) x", Some(Some(Returns { min: true, max: true, ..none }))),
            ("RETURN (COUNT SAVE COUNT) x", Some(Some(Returns { count: true, save: true, ..none }))),
            ("RETURN (UPDATE CONTEXT) x", Some(Some(Returns { update: true, ..none }))),
            ("RETURN (UPDATE (UID FLAGS) MIN) x", Some(Some(Returns { update: true, min: true, ..none }))),
            ("RETURN (UPDATE(UID)) x", Some(Some(Returns { update: true, ..none }))),
            ("RETURN (UPDATE ()) x", None),
            ("RETURN (PARTIAL 1:500) x", Some(Some(Returns { partial: partial(1, 500, false), ..none }))),
            ("RETURN (PARTIAL -500:-1) x", Some(Some(Returns { partial: partial(500, 1, true), ..none }))),
            ("RETURN (MIN)", None),
            ("RETURN MIN x", Some(None)),
            ("RETURN (MIN", None),
            ("RETURN (MIN  MAX) x", None),
            ("RETURN (FUZZY) x", None),
            ("RETURN (PARTIAL) x", None),
            ("RETURN (PARTIAL 0:5) x", None),
            ("RETURN (PARTIAL 1:*) x", None),
            ("RETURN (PARTIAL 1) x", None),
            ("RETURN (PARTIAL -1:5) x", None),
            ("RETURN (PARTIAL 1:-5) x", None),
            ("RETURN (PARTIAL 1:5 ALL) x", None),
            ("RETURN (ALL PARTIAL 1:5) x", None),
            ("RETURN (PARTIAL 1:5 PARTIAL 6:9) x", None),
        ];
        for (text, want) in table {
            assert_eq!(parse(text), want, "{text}");
        }
        assert!(parse("RETURN (SAVE) x").unwrap().unwrap().only_save());
        assert!(!parse("RETURN (SAVE MIN) x").unwrap().unwrap().only_save());
    }

    #[test]
    fn pieces() {
        let table = [
            ("1:5", 10, 0..5),
            ("5:1", 10, 0..5),
            ("8:20", 10, 7..10),
            ("11:20", 10, 10..10),
            ("-1:-3", 10, 7..10),
            ("-3:-1", 10, 7..10),
            ("-9:-20", 10, 0..2),
            ("-11:-20", 10, 0..0),
            ("1:4294967295", 0, 0..0),
            ("-1:-4294967295", 3, 0..3),
        ];
        for (text, count, want) in table {
            let partial = Cursor::new(text.as_bytes()).partial_range().unwrap();
            assert_eq!(partial.indices(count), want, "{text} of {count}");
            assert_eq!(partial.to_string(), text);
        }
    }
}
