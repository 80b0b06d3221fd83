//! Arguments of SEARCH (RFC 3501 section 6.4.4): a boolean expression over keys, with those of WITHIN (RFC 5032) and
//! CONDSTORE (RFC 7162), and of MESSAGELIMIT (RFC 9738). SORT and THREAD (RFC 5256) have the same.
//!
//! The expression becomes a list of operations in postfix order, as a pocket calculator takes them, so that neither reading nor
//! evaluating it recurses: clients send `OR a OR b OR c ...` hundreds long, and a stranger may send `((((`. Strings stay
//! in the charset of the client; the command converts them.

use super::{Cursor, MessageSet, Result, SequenceSet, SetRange};
use crate::mail::Flags;
use time::Date;

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

/// A test of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// `ALL`.
    All,
    /// A system flag is set (true) or not.
    Flag(Flags, bool),
    /// `KEYWORD` (true) or `UNKEYWORD`.
    Keyword(String, bool),
    /// `RECENT` (true) or `OLD`.
    Recent(bool),
    /// `NEW`: recent and not seen.
    New,
    /// Message numbers.
    Numbers(MessageSet),
    /// `UID`.
    Uids(MessageSet),
    /// `BEFORE`, `ON`, `SINCE`: the day of the INTERNALDATE.
    Arrived(When, Date),
    /// `SAVEDBEFORE`, `SAVEDON`, `SAVEDSINCE` (RFC 8514): the day on which it came into the mailbox.
    Saved(When, Date),
    /// `EMAILID` (RFC 8474).
    EmailId(String),
    /// Matches nothing: `THREADID` (RFC 8474 section 5.2), since no threads are known, and `UIDBEFORE 1`.
    Never,
    /// `SENTBEFORE`, `SENTON`, `SENTSINCE`: the day in the Date field.
    Sent(When, Date),
    /// `OLDER`: the INTERNALDATE is at least so many seconds ago.
    Older(u32),
    /// `YOUNGER`: at most.
    Younger(u32),
    /// `MODSEQ`: the mod-sequence is at least this.
    Modseq(u64),
    /// `LARGER`: size in bytes over this.
    Larger(u64),
    /// `SMALLER`: size in bytes under this.
    Smaller(u64),
    /// `HEADER`, `FROM`, `SUBJECT`, ...: a field, and what is in it.
    Header(Vec<u8>, Vec<u8>),
    /// `BODY`.
    Body(Vec<u8>),
    /// `TEXT`.
    Text(Vec<u8>),
}

/// How a day compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Earlier.
    Before,
    /// The same.
    On,
    /// The same or later.
    Since,
}

impl When {
    /// Does `day` stand so to `limit`?
    pub fn holds(self, day: Date, limit: Date) -> bool {
        match self {
            When::Before => day < limit,
            When::On => day == limit,
            When::Since => day >= limit,
        }
    }
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

    fn search_key(&mut self) -> Result<Key> {
        if matches!(self.peek(), Some(b'0'..=b'9' | b'*' | b'$')) {
            return self.message_set().map(Key::Numbers);
        }
        let before = self.clone();
        let word = self.word()?.to_ascii_uppercase();
        if let Some(key) = plain_key(&word) {
            return Ok(key);
        }
        // What is left has an argument.
        let key = match word.as_str() {
            "HEADER" => {
                self.space()?;
                let field = self.astring()?.into_owned();
                self.space()?;
                Key::Header(field, self.astring()?.into_owned())
            }
            "FROM" | "TO" | "CC" | "BCC" | "SUBJECT" => {
                self.space()?;
                Key::Header(word.into_bytes(), self.astring()?.into_owned())
            }
            "BODY" => Key::Body(self.search_text()?),
            "TEXT" => Key::Text(self.search_text()?),
            "UID" => {
                self.space()?;
                Key::Uids(self.message_set()?)
            }
            // RFC 9738 section 3.2.
            "UIDAFTER" => uids_between(self.search_uid()?.checked_add(1), Some(u32::MAX)),
            "UIDBEFORE" => uids_between(Some(1), self.search_uid()?.checked_sub(1)),
            "OLDER" => Key::Older(self.search_interval()?),
            "YOUNGER" => Key::Younger(self.search_interval()?),
            "MODSEQ" => Key::Modseq(self.search_modseq()?),
            "LARGER" => Key::Larger(self.search_size()?),
            "SMALLER" => Key::Smaller(self.search_size()?),
            "KEYWORD" => Key::Keyword(self.search_keyword()?, true),
            "UNKEYWORD" => Key::Keyword(self.search_keyword()?, false),
            "BEFORE" => Key::Arrived(When::Before, self.search_date()?),
            "ON" => Key::Arrived(When::On, self.search_date()?),
            "SINCE" => Key::Arrived(When::Since, self.search_date()?),
            "SAVEDBEFORE" => Key::Saved(When::Before, self.search_date()?),
            "SAVEDON" => Key::Saved(When::On, self.search_date()?),
            "SAVEDSINCE" => Key::Saved(When::Since, self.search_date()?),
            "EMAILID" => Key::EmailId(self.object_id()?),
            "THREADID" => {
                self.object_id()?;
                Key::Never
            }
            "SENTBEFORE" => Key::Sent(When::Before, self.search_date()?),
            "SENTON" => Key::Sent(When::On, self.search_date()?),
            "SENTSINCE" => Key::Sent(When::Since, self.search_date()?),
            _ => return before.bad("unknown search key"),
        };
        Ok(key)
    }

    fn search_text(&mut self) -> Result<Vec<u8>> {
        self.space()?;
        Ok(self.astring()?.into_owned())
    }

    fn search_size(&mut self) -> Result<u64> {
        self.space()?;
        self.number64()
    }

    fn search_uid(&mut self) -> Result<u32> {
        self.space()?;
        self.nz_number()
    }

    /// RFC 5032: seconds, not 0.
    fn search_interval(&mut self) -> Result<u32> {
        self.space()?;
        self.nz_number()
    }

    /// RFC 7162 section 3.1.5: the entry that the client names is passed over, since messages have one mod-sequence for all of their flags.
    fn search_modseq(&mut self) -> Result<u64> {
        self.space()?;
        if self.peek() == Some(b'"') {
            let entry = self.string()?;
            let is_flag = entry.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"/flags/"));
            if !is_flag || entry.len() == 7 {
                return self.bad("expected an entry such as \"/flags/\\\\seen\"");
            }
            self.space()?;
            if !["all", "priv", "shared"].iter().any(|kind| self.eat_text(kind)) {
                return self.bad("expected all, priv or shared");
            }
            self.space()?;
        }
        self.modseq_or_zero()
    }

    /// RFC 8474 section 7.
    fn object_id(&mut self) -> Result<String> {
        self.space()?;
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let id = self.run(is_id, "expected an object id")?;
        if id.len() > 255 { self.bad("object id is too long") } else { Ok(String::from_utf8_lossy(id).into_owned()) }
    }

    fn search_keyword(&mut self) -> Result<String> {
        self.space()?;
        self.atom().map(str::to_owned)
    }

    fn search_date(&mut self) -> Result<Date> {
        self.space()?;
        self.date()
    }
}

/// The UIDs from `low` to `high`, both included.
fn uids_between(low: Option<u32>, high: Option<u32>) -> Key {
    match (low, high) {
        (Some(low), Some(high)) if low <= high => {
            let range = SetRange { first: Some(low), last: Some(high) };
            Key::Uids(MessageSet::Set(SequenceSet(vec![range])))
        }
        _ => Key::Never,
    }
}

/// Keys without an argument.
fn plain_key(word: &str) -> Option<Key> {
    Some(match word {
        // RFC 8514 section 4.3: every mailbox has save dates.
        "ALL" | "SAVEDATESUPPORTED" => Key::All,
        "ANSWERED" => Key::Flag(Flags::ANSWERED, true),
        "UNANSWERED" => Key::Flag(Flags::ANSWERED, false),
        "DELETED" => Key::Flag(Flags::DELETED, true),
        "UNDELETED" => Key::Flag(Flags::DELETED, false),
        "DRAFT" => Key::Flag(Flags::DRAFT, true),
        "UNDRAFT" => Key::Flag(Flags::DRAFT, false),
        "FLAGGED" => Key::Flag(Flags::FLAGGED, true),
        "UNFLAGGED" => Key::Flag(Flags::FLAGGED, false),
        "SEEN" => Key::Flag(Flags::SEEN, true),
        "UNSEEN" => Key::Flag(Flags::SEEN, false),
        "RECENT" => Key::Recent(true),
        "OLD" => Key::Recent(false),
        "NEW" => Key::New,
        _ => return None,
    })
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
    fn keys() {
        let set = |text: &str| Cursor::new(text.as_bytes()).message_set().unwrap();
        let day = Cursor::new(b"1-Feb-1994").date().unwrap();
        let table = [
            ("answered", Key::Flag(Flags::ANSWERED, true)),
            ("UNDRAFT", Key::Flag(Flags::DRAFT, false)),
            ("OLD", Key::Recent(false)),
            ("2,4:*", Key::Numbers(set("2,4:*"))),
            ("*", Key::Numbers(set("*"))),
            ("UID 7:9", Key::Uids(set("7:9"))),
            ("UIDAFTER 7", Key::Uids(set("8:4294967295"))),
            ("UIDBEFORE 7", Key::Uids(set("1:6"))),
            ("UIDBEFORE 1", Key::Never),
            ("UIDAFTER 4294967295", Key::Never),
            ("KEYWORD $Junk", Key::Keyword("$Junk".into(), true)),
            ("UNKEYWORD x", Key::Keyword("x".into(), false)),
            ("SINCE 1-Feb-1994", Key::Arrived(When::Since, day)),
            ("SENTON \"1-Feb-1994\"", Key::Sent(When::On, day)),
            ("LARGER 5000000000", Key::Larger(5_000_000_000)),
            ("SMALLER 0", Key::Smaller(0)),
            ("FROM \"a b\"", Key::Header(b"FROM".to_vec(), b"a b".to_vec())),
            ("HEADER Message-ID \"\"", Key::Header(b"Message-ID".to_vec(), b"".to_vec())),
            ("BODY {3}\r\nx y", Key::Body(b"x y".to_vec())),
            ("TEXT x", Key::Text(b"x".to_vec())),
            ("$", Key::Numbers(MessageSet::Saved)),
            ("UID $", Key::Uids(MessageSet::Saved)),
            ("OLDER 86400", Key::Older(86400)),
            ("YOUNGER 1", Key::Younger(1)),
            ("MODSEQ 620162338", Key::Modseq(620_162_338)),
            ("MODSEQ \"/flags/\\\\draft\" all 0", Key::Modseq(0)),
            ("MODSEQ \"/flags/Work\" PRIV 7", Key::Modseq(7)),
        ];
        for (text, want) in table {
            assert_eq!(parse(text).unwrap().keys, [want], "{text}");
        }
        assert_eq!(parse("CHARSET utf-8 ALL").unwrap().charset.as_deref(), Some(&b"utf-8"[..]));
        let criteria = |text: &str| Cursor::new(text.as_bytes()).search_criteria();
        assert_eq!(criteria("\"utf-8\" ALL").unwrap(), parse("CHARSET utf-8 ALL").unwrap());
        assert!(criteria("ALL").is_err() && criteria("(ALL)").is_err());
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
