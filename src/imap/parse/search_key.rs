//! One key of SEARCH (RFC 3501 section 6.4.4), with those of WITHIN (RFC 5032), CONDSTORE (RFC 7162), OBJECTID (RFC 8474) and SAVEDATE (RFC 8514).
//!
//! Strings stay in the charset of the client; the command converts them. What combines keys is in [`super::search`].

use time::Date;

use super::{Cursor, MessageSet, Result, SequenceSet, SetRange};
use crate::mail::Flags;

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

impl Cursor<'_> {
    pub(super) fn search_key(&mut self) -> Result<Key> {
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
    use crate::imap::parse::search::Search;

    fn parse(text: &str) -> Result<Search> {
        Cursor::new(text.as_bytes()).search()
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
}
