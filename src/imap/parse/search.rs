//! Arguments of SEARCH (RFC 3501 section 6.4.4): a boolean expression over keys, with those of WITHIN (RFC 5032) and
//! CONDSTORE (RFC 7162), and of MESSAGELIMIT (RFC 9738). SORT and THREAD (RFC 5256) have the same.
//!
//! The expression becomes a list of operations in postfix order, as a pocket calculator takes them, so that neither reading nor
//! evaluating it recurses: clients send `OR a OR b OR c ...` hundreds long, and a stranger may send `((((`. Strings stay
//! in the charset of the client; the command converts them.

pub use super::search_key::{Key, When};
use super::{Cursor, Result};

/// Keys in one command. Clients that look for many Message-IDs at once use some hundred; each costs a test a message.
pub const MAX_KEYS: usize = 1000;
/// Operators and parentheses that are open at once.
const MAX_OPEN: usize = 1000;

/// A SEARCH command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// The name after CHARSET.
    pub charset: Option<Vec<u8>>,
    /// The tests.
    pub keys: Vec<Key>,
    /// How their results combine, in postfix order; [`Op::Key`] refers to `keys`.
    pub ops: Vec<Op>,
}

/// One operation on a stack of truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Push the result of a test.
    Key(usize),
    /// Replace the top by its opposite.
    Not,
    /// Replace the two on top by whether one is true.
    Or,
    /// Replace as many on top by whether all are true.
    And(usize),
}

/// What waits for keys.
enum Open {
    /// For one.
    Not,
    /// For two.
    Or,
    /// For the second.
    OrSecond,
    /// A list in parentheses, or the command itself, with the number of keys so far.
    List(usize),
}

impl Search {
    fn add(&mut self, key: Key) {
        self.ops.push(Op::Key(self.keys.len()));
        self.keys.push(key);
    }
}

impl Cursor<'_> {
    /// The arguments of SEARCH behind its result options.
    pub fn search(&mut self) -> Result<Search> {
        let mut charset = None;
        if self.eat_text("CHARSET ") {
            charset = Some(self.astring()?.into_owned());
            self.space()?;
        }
        self.search_keys(charset)
    }

    /// RFC 5256 section 5 search-criteria: as those of SEARCH, but the charset must be there.
    pub fn search_criteria(&mut self) -> Result<Search> {
        let charset = Some(self.astring()?.into_owned());
        self.space()?;
        self.search_keys(charset)
    }

    fn search_keys(&mut self, charset: Option<Vec<u8>>) -> Result<Search> {
        let mut search = Search { charset, ..Search::default() };
        let mut open = vec![Open::List(0)];
        loop {
            if self.eat(b'(') {
                open.push(Open::List(0));
            } else if self.eat_text("NOT ") {
                open.push(Open::Not);
            } else if self.eat_text("OR ") {
                open.push(Open::Or);
            } else {
                let key = self.search_key()?;
                search.add(key);
                if self.close(&mut open, &mut search.ops)? {
                    return Ok(search);
                }
                self.space()?;
            }
            if open.len() > MAX_OPEN {
                return self.bad("too many nested search keys");
            }
            if search.keys.len() >= MAX_KEYS {
                return self.bad("too many search keys");
            }
        }
    }

    /// A key is complete: give it to what waits for it. Returns whether that was the end of the command.
    fn close(&mut self, open: &mut Vec<Open>, ops: &mut Vec<Op>) -> Result<bool> {
        while let Some(top) = open.pop() {
            match top {
                Open::Not => ops.push(Op::Not),
                Open::Or => {
                    open.push(Open::OrSecond);
                    return Ok(false);
                }
                Open::OrSecond => ops.push(Op::Or),
                Open::List(before) => {
                    let keys = before + 1;
                    let is_command = open.is_empty();
                    let ends = if is_command { self.clone().end().is_ok() } else { self.eat(b')') };
                    if !ends {
                        open.push(Open::List(keys));
                        return Ok(false);
                    }
                    if keys > 1 {
                        ops.push(Op::And(keys));
                    }
                    if is_command {
                        return self.end().map(|()| true);
                    }
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Search> {
        Cursor::new(text.as_bytes()).search()
    }

    /// The operations, keys as their numbers.
    fn ops(text: &str) -> String {
        let search = parse(text).unwrap();
        let op = |op: &Op| match op {
            Op::Key(n) => n.to_string(),
            Op::Not => "not".into(),
            Op::Or => "or".into(),
            Op::And(n) => format!("and{n}"),
        };
        search.ops.iter().map(op).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn expressions() {
        let table = [
            ("ALL", "0"),
            ("ALL SEEN NEW", "0 1 2 and3"),
            ("NOT SEEN", "0 not"),
            ("NOT NOT SEEN OLD", "0 not not 1 and2"),
            ("OR SEEN NEW", "0 1 or"),
            ("OR SEEN NEW OLD", "0 1 or 2 and2"),
            ("OR NOT SEEN OR NEW OLD", "0 not 1 2 or or"),
            ("(SEEN)", "0"),
            ("(SEEN NEW) OLD", "0 1 and2 2 and2"),
            ("NOT (OR (SEEN NEW) 1:3)", "0 1 and2 2 or not"),
            ("((((SEEN))))", "0"),
        ];
        for (text, want) in table {
            assert_eq!(ops(text), want, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        let table = [
            "",
            "()",
            "(ALL",
            "ALL)",
            "NOT",
            "NOT ",
            "OR ALL",
            "ALL  ALL",
            "FOO",
            "SEENALL",
            "CHARSET utf-8",
            "BODY",
            "HEADER x",
            "LARGER x",
            "LARGER -1",
            "SINCE 31-Feb-2020",
            "UID",
            "UID x",
            "UIDAFTER 0",
            "UIDAFTER",
            "UIDBEFORE 1:2",
            "UIDBEFORE *",
            "UIDBEFORE 4294967296",
            "0",
            "1:",
            "KEYWORD (x)",
            "ALL x",
            "$,1",
            "OLDER 0",
            "YOUNGER -1",
            "OLDER",
            "MODSEQ",
            "MODSEQ x",
            "MODSEQ \"/flags/x\" 7",
            "MODSEQ \"/flags/x\" none 7",
            "MODSEQ \"/x\" all 7",
        ];
        for text in table {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_and_no_recursion() {
        assert!(parse(&format!("{}ALL ALL", "OR ALL ".repeat(MAX_KEYS - 3))).is_ok());
        for text in [
            format!("{}ALL", "ALL ".repeat(MAX_KEYS)),
            "(".repeat(100_000),
            "NOT ".repeat(100_000),
            format!("{}ALL ALL", "OR ".repeat(100_000)),
        ] {
            assert!(parse(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_search_ends_with_one_value(text in "(ALL |NOT |OR |\\(|\\)|SEEN|1 ){0,20}", bytes in any::<Vec<u8>>()) {
            if let Ok(search) = parse(text.trim_end()) {
                let mut height = 0_usize;
                for op in search.ops {
                    match op {
                        Op::Key(_) => height += 1,
                        Op::Not => prop_assert!(height > 0),
                        Op::Or => height -= 1,
                        Op::And(n) => height -= n - 1,
                    }
                }
                prop_assert_eq!(height, 1);
            }
            let _ = Cursor::new(&bytes).search();
        }
    }
}
