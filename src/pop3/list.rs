//! STAT, LIST and UIDL (RFC 1939 5, 7).
//!
//! Sizes are those on the wire, CRLF and all, without the dots that are stuffed in. They come from file names and the
//! uidlist; only a message that another program left without is read once. Messages marked by DELE are not listed,
//! nor are those that are gone. One message that cannot be read does not keep the others from being listed.

use std::fmt::Write;

use super::maildrop::Maildrop;
use super::reply::{self, ok};
use super::session::{Pop3, Task, Then, Turn};
use crate::wire::Out;

/// Messages listed in one turn; between turns the step looks at output and clock.
const TURN: usize = 64;

/// A listing under way.
pub(super) struct Listing {
    what: What,
    next: usize,
    messages: u64,
    octets: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Totals,
    Sizes,
    Ids,
}

impl Listing {
    fn begin(what: What) -> Then {
        Then::Task(Task::Listing(Listing { what, next: 0, messages: 0, octets: 0 }))
    }
}

/// `STAT`
pub fn stat(_: &mut Pop3, _: &[u8], _: &mut Out) -> Then {
    Listing::begin(What::Totals)
}

/// `LIST [number]`
pub fn list(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    one_or_all(session, argument, out, What::Sizes)
}

/// `UIDL [number]`
pub fn uidl(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    one_or_all(session, argument, out, What::Ids)
}

fn one_or_all(session: &mut Pop3, argument: &[u8], out: &mut Out, what: What) -> Then {
    let Some(maildrop) = &mut session.maildrop else { return Then::Refuse(reply::NOT_BEFORE_LOGIN) };
    let number = argument.trim_ascii();
    if number.is_empty() {
        ok(out, if what == What::Ids { "Unique ids follow" } else { "Sizes follow" });
        return Listing::begin(what);
    }
    match one(maildrop, number, what) {
        Ok(text) => {
            ok(out, text);
            Then::Done
        }
        Err(text) => Then::Refuse(text),
    }
}

fn one(maildrop: &mut Maildrop, number: &[u8], what: What) -> Result<String, reply::Text> {
    let index = maildrop.index(number)?;
    let number = String::from_utf8_lossy(number).trim_start_matches('0').to_owned();
    let value = if what == What::Ids { maildrop.uidl(index) } else { maildrop.size(index)?.to_string() };
    Ok(format!("{number} {value}"))
}

/// Go on with a listing.
pub fn turn(session: &mut Pop3, listing: &mut Listing, out: &mut Out) -> Turn {
    let Some(maildrop) = &mut session.maildrop else { return Turn::Over(Then::Close) };
    let end = maildrop.len().min(listing.next + TURN);
    for at in listing.next..end {
        let Some(index) = maildrop.present(at) else { continue };
        if listing.what == What::Ids {
            let _ = write!(out, "{} {}\r\n", at + 1, maildrop.uidl(index));
            continue;
        }
        // Gone, or the disk does not even tell its size: it is not listed, and the others are.
        let Ok(size) = maildrop.size(index) else { continue };
        listing.messages += 1;
        listing.octets += size;
        if listing.what == What::Sizes {
            let _ = write!(out, "{} {size}\r\n", at + 1);
        }
    }
    listing.next = end;
    if end < maildrop.len() {
        return Turn::More;
    }
    match listing.what {
        What::Totals => ok(out, format!("{} {}", listing.messages, listing.octets)),
        What::Sizes | What::Ids => out.line("."),
    }
    Turn::Over(Then::Done)
}
