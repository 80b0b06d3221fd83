//! Does a message match a SEARCH (RFC 3501 section 6.4.4)?
//!
//! A [`Program`] is the search made ready for one mailbox: strings in UTF-8 and folded, keywords as bits, sets as
//! ranges. [`Program::judge`] decides with what is known so far, in three-valued logic, so that what is cheap is
//! tried first: flags and numbers, then a stat, then the header, and the body only if all of that leaves it open.
//! Nothing here opens a file; [`super::hunt`] looks into bodies.

mod fields;
mod judge;
mod scope;
mod texts;

#[cfg(test)]
pub use texts::text_of_header;
pub use texts::{HeaderText, Inside};
use time::Date;

use self::fields::Folded;
use super::parse::MessageSet;
use super::parse::search::{Key, Op, Search, When};
use super::reply::Reply;
use super::view::View;
use crate::clock;
use crate::mail::header;
use crate::mail::needle::Needle;
use crate::mail::plain::{self, has_words};
use crate::mail::text;
use crate::mail::{Flags, date};
use crate::store::{Message, cache};
use texts::value_has;

/// Charsets that we name when the client's is unknown (RFC 3501 section 7.1 BADCHARSET); all of the web's are known.
const CHARSETS: &str =
    "BADCHARSET (US-ASCII UTF-8 ISO-8859-1 WINDOWS-1252 KOI8-R ISO-2022-JP SHIFT_JIS EUC-KR BIG5 GB18030)";

/// Header fields asked for from which on it pays to decode all fields of a header once.
const MANY_QUESTIONS: usize = 16;

/// What a test has to look at, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// What is in memory.
    Memory,
    /// The file's times and size.
    Stat,
    /// The header.
    Header,
    /// All of it.
    Body,
}

/// One test of a message.
enum Test {
    Always,
    Flag(Flags, bool),
    /// `None`: a keyword that no message here has.
    Keyword(Option<usize>, bool),
    Recent(bool),
    New,
    Numbers(Vec<(u32, u32)>),
    Uids(Vec<(u32, u32)>),
    Arrived(When, Date),
    Saved(When, Date),
    EmailId(String),
    Never,
    /// The INTERNALDATE is this moment or before (true), or this or after.
    Moment(i64, bool),
    Modseq(u64),
    Sent(When, Date),
    Larger(u64),
    Smaller(u64),
    Header(Vec<u8>, Needle),
    Body(Needle),
    Text(Needle),
}

impl Test {
    fn cost(&self) -> Cost {
        match self {
            Test::Always | Test::Flag(..) | Test::Keyword(..) | Test::Recent(_) | Test::New => Cost::Memory,
            Test::Numbers(_) | Test::Uids(_) | Test::Modseq(_) | Test::Never => Cost::Memory,
            Test::Arrived(..) | Test::Moment(..) | Test::Larger(_) | Test::Smaller(_) => Cost::Stat,
            Test::Saved(..) | Test::EmailId(_) => Cost::Stat,
            Test::Sent(..) | Test::Header(..) => Cost::Header,
            Test::Body(_) | Test::Text(_) => Cost::Body,
        }
    }
}

/// A message that may match.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Message number.
    pub number: u32,
    /// As the folder knows it.
    pub message: Message,
    /// \Recent in this session?
    pub recent: bool,
}

/// What is known of one candidate: a value for each test, if it was made.
pub type Known = Vec<Option<bool>>;

/// A search, ready for one mailbox.
pub struct Program {
    tests: Vec<Test>,
    ops: Vec<Op>,
}

impl Program {
    /// Prepare `search` for a mailbox as a client sees it, with these keywords.
    pub fn new(search: Search, view: &View, keywords: &[String]) -> Result<Program, Reply> {
        let charset = search.charset.as_deref().unwrap_or(b"utf-8");
        let (now, last_uid) = (clock::unix(), view.uids().last().unwrap_or(0));
        if text::from_charset(charset, b"").is_none() {
            return Err(Reply::no(CHARSETS, "Unknown charset"));
        }
        let needle = |bytes: &[u8]| {
            text::from_charset(charset, bytes)
                .map(|text| Needle::new(&text))
                .ok_or_else(|| Reply::bad("A string to search for is not in its charset"))
        };
        let test = |key| {
            Ok(match key {
                Key::All => Test::Always,
                Key::Flag(flag, is) => Test::Flag(flag, is),
                Key::Keyword(name, is) => {
                    Test::Keyword(keywords.iter().position(|k| k.eq_ignore_ascii_case(&name)), is)
                }
                Key::Recent(is) => Test::Recent(is),
                Key::New => Test::New,
                // RFC 5182 section 2.1: the same messages, whether numbers or UIDs are meant.
                Key::Numbers(MessageSet::Saved) | Key::Uids(MessageSet::Saved) => Test::Uids(view.saved().to_vec()),
                Key::Numbers(MessageSet::Set(set)) => Test::Numbers(set.normalize(view.count())),
                Key::Uids(MessageSet::Set(set)) => Test::Uids(set.normalize(last_uid)),
                Key::Arrived(when, date) => Test::Arrived(when, date),
                Key::Saved(when, date) => Test::Saved(when, date),
                Key::EmailId(id) => Test::EmailId(id),
                Key::Never => Test::Never,
                Key::Older(seconds) => Test::Moment(now - i64::from(seconds), true),
                Key::Younger(seconds) => Test::Moment(now - i64::from(seconds), false),
                Key::Modseq(least) => Test::Modseq(least),
                Key::Sent(when, date) => Test::Sent(when, date),
                Key::Larger(size) => Test::Larger(size),
                Key::Smaller(size) => Test::Smaller(size),
                Key::Header(field, text) => Test::Header(field, needle(&text)?),
                Key::Body(text) => Test::Body(needle(&text)?),
                Key::Text(text) => Test::Text(needle(&text)?),
            })
        };
        Ok(Program { tests: search.keys.into_iter().map(test).collect::<Result<_, Reply>>()?, ops: search.ops })
    }

    /// Does every message match, whatever it is?
    pub fn is_everything(&self) -> bool {
        matches!((&self.tests[..], &self.ops[..]), ([Test::Always], [Op::Key(0)]))
    }

    /// Nothing known.
    pub fn nothing_known(&self) -> Known {
        vec![None; self.tests.len()]
    }

    /// Make the tests of what is in memory.
    pub fn look_at_memory(&self, candidate: &Candidate, known: &mut Known) {
        let message = &candidate.message;
        self.fill(Cost::Memory, known, |test| match test {
            Test::Flag(flag, is) => message.flags.has(*flag) == *is,
            Test::Keyword(bit, is) => bit.is_some_and(|bit| bit < 128 && message.keywords >> bit & 1 == 1) == *is,
            Test::Recent(is) => candidate.recent == *is,
            Test::New => candidate.recent && !message.flags.has(Flags::SEEN),
            Test::Numbers(ranges) => is_in(ranges, candidate.number),
            Test::Uids(ranges) => is_in(ranges, message.uid),
            Test::Modseq(least) => message.modseq >= *least,
            Test::Never => false,
            _ => true,
        });
    }

    /// Make the tests of times, size and id; each is asked at most once.
    pub fn look_at_stat<E>(
        &self,
        known: &mut Known,
        date: impl FnOnce() -> Result<i64, E>,
        size: impl FnOnce() -> Result<u64, E>,
        saved: impl FnOnce() -> Result<Option<i64>, E>,
        email_id: impl FnOnce() -> Result<String, E>,
    ) -> Result<(), E> {
        let uses = |wanted: fn(&Test) -> bool| self.tests.iter().any(wanted);
        let saved = if uses(|t| matches!(t, Test::Saved(..))) { Some(saved()?) } else { None };
        let asks_date = uses(|t| matches!(t, Test::Arrived(..) | Test::Moment(..))) || saved == Some(None);
        let moment = if asks_date { Some(date()?) } else { None };
        let email_id = if uses(|t| matches!(t, Test::EmailId(_))) { Some(email_id()?) } else { None };
        // RFC 8514 section 4.3: where nobody knows when it was saved, the internal date counts.
        let saved = saved.and_then(|saved| saved.or(moment)).map(date::day);
        let day = moment.map(date::day);
        let size = if uses(|t| matches!(t, Test::Larger(_) | Test::Smaller(_))) { size()? } else { 0 };
        self.fill(Cost::Stat, known, |test| match test {
            Test::Saved(when, limit) => saved.is_some_and(|day| when.holds(day, *limit)),
            Test::EmailId(id) => email_id.as_deref() == Some(id),
            Test::Arrived(when, limit) => day.is_some_and(|day| when.holds(day, *limit)),
            // RFC 5032 section 2: both ends belong to it.
            Test::Moment(limit, older) => {
                moment.is_some_and(|moment| if *older { moment <= *limit } else { moment >= *limit })
            }
            Test::Larger(limit) => size > *limit,
            Test::Smaller(limit) => size < *limit,
            _ => false,
        });
        Ok(())
    }

    /// Make the tests of header fields. The block needs to have those fields only that the tests name.
    pub fn look_at_fields(&self, header: &[u8], known: &mut Known) {
        // What is nowhere in it is in none of its fields.
        let is_plain = header.is_ascii() && !has_words(header);
        let asked = self.tests.iter().filter(|test| matches!(test, Test::Header(..))).count();
        let folded = (asked > MANY_QUESTIONS).then(|| Folded::new(header));
        self.fill(Cost::Header, known, |test| match test {
            Test::Sent(when, limit) => {
                // RFC 3501 6.4.4: the date as written, disregarding time and zone.
                let sent = header::find(header, "Date").next().and_then(|field| date::parse(field.value()));
                sent.is_some_and(|sent| when.holds(sent.date(), *limit))
            }
            Test::Header(_, needle) if is_plain && !needle.may_be_in(header) => false,
            Test::Header(name, needle) if let Some(folded) = &folded => folded.has(name, needle),
            Test::Header(name, needle) => header::fields(header)
                .filter(|field| !field.name.is_empty() && field.name.eq_ignore_ascii_case(name))
                .any(|field| value_has(field.value(), needle)),
            _ => false,
        });
    }

    /// Make the tests of the header, and those tests of TEXT that are decided by it.
    pub fn look_at_header(&self, header: &[u8], known: &mut Known) {
        self.look_at_fields(header, known);
        let mut text = HeaderText::new(header);
        for (n, test) in self.tests.iter().enumerate() {
            if let (Test::Text(needle), None) = (test, known[n])
                && text.has(needle)
            {
                known[n] = Some(true);
            }
        }
    }

    /// Are the header fields that it asks for among those that the store keeps?
    pub fn asks_kept_fields(&self) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Header(name, _) => cache::is_kept(name),
            _ => true,
        })
    }

    /// Tests of bodies that are not made yet: their numbers and what they look for. In a header only those of TEXT look.
    pub fn undecided<'a>(&'a self, known: &'a Known, inside: Inside) -> impl Iterator<Item = (usize, &'a Needle)> {
        self.tests.iter().enumerate().filter_map(move |(n, test)| match test {
            Test::Text(needle) if known[n].is_none() => Some((n, needle)),
            Test::Body(needle) if known[n].is_none() && inside == Inside::Body => Some((n, needle)),
            _ => None,
        })
    }

    /// Make the tests of bodies that a whole message decides at a glance: what is nowhere in one that is written as it is read is not in it.
    pub fn glance(&self, message: &[u8], known: &mut Known) {
        let mut is_plain = None;
        for (test, known) in self.tests.iter().zip(known) {
            if let (Test::Text(needle) | Test::Body(needle), None) = (test, *known)
                && !needle.may_be_in(message)
                && *is_plain.get_or_insert_with(|| plain::is_plain(message))
            {
                *known = Some(false);
            }
        }
    }

    /// Is there a message number in it? Then no expunge may be told meanwhile (RFC 7162 3.2.10.2).
    pub fn has_numbers(&self) -> bool {
        self.tests.iter().any(|test| matches!(test, Test::Numbers(_)))
    }

    /// Is the mod-sequence of what is found to be told (RFC 7162 sections 3.1.5 and 3.1.10)?
    pub fn asks_modseq(&self) -> bool {
        self.tests.iter().any(|test| matches!(test, Test::Modseq(_)))
    }

    /// How many times what is looked at is gone through: each test looks by itself.
    pub fn weight(&self) -> u64 {
        self.tests.len().max(1) as u64
    }

    /// Does any test cost this?
    pub fn uses(&self, cost: Cost) -> bool {
        self.tests.iter().any(|test| test.cost() == cost)
    }

    fn fill(&self, cost: Cost, known: &mut Known, result: impl Fn(&Test) -> bool) {
        for (test, known) in self.tests.iter().zip(known) {
            if test.cost() == cost {
                *known = Some(result(test));
            }
        }
    }
}

/// Is `number` in one of the sorted ranges?
fn is_in(ranges: &[(u32, u32)], number: u32) -> bool {
    ranges.get(ranges.partition_point(|range| range.1 < number)).is_some_and(|range| range.0 <= number)
}

#[cfg(test)]
mod tests;
