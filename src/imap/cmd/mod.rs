//! The commands: one file each, and the table whose columns are their rules.

pub mod append;
pub mod authenticate;
pub mod cancelupdate;
pub mod capability;
pub mod check;
pub mod close;
pub mod compress;
pub mod copy;
pub mod create;
pub mod delete;
pub mod deleteacl;
pub mod enable;
pub mod expunge;
pub mod fetch;
pub mod getacl;
pub mod getmetadata;
pub mod getquota;
pub mod id;
pub mod idle;
pub mod list;
pub mod listrights;
pub mod login;
pub mod logout;
pub mod myrights;
pub mod namespace;
pub mod noop;
pub mod notify;
pub mod rename;
pub mod replace;
pub mod search;
pub mod select;
pub mod setacl;
pub mod setmetadata;
pub mod setquota;
pub mod sort;
pub mod starttls;
pub mod status;
pub mod store;
pub mod subscribe;
pub mod thread;
pub mod unauthenticate;
pub mod unselect;

use super::context::Context;
use super::frame::Verdict;
use super::job::{Begun, Call};
use super::parse::{Cursor, Result};
use super::reply::Reply;

/// States that a command is allowed in (RFC 3501 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// Before login only.
    pub const NOT_AUTHENTICATED: States = States(1);
    /// Logged in, no mailbox open.
    pub const AUTHENTICATED: States = States(2);
    /// A mailbox is open.
    pub const SELECTED: States = States(4);
    /// Logged in, with or without an open mailbox.
    pub const LOGGED_IN: States = States(6);
    /// Always.
    pub const ANY: States = States(7);

    /// Is `state` one of them?
    pub fn has(self, state: States) -> bool {
        self.0 & state.0 != 0
    }
}

/// What may be announced between a command's own responses and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Nothing: the command opens, closes or knows no mailbox.
    Nothing,
    /// Everything but expunges, since the client's numbers must hold; with UID, expunges too (RFC 3501 7.4.1).
    ByNumber,
    /// Everything.
    All,
}

/// Decides about a literal of so many bytes; the cursor stands behind the command's name, which had UID before it or not.
pub type LiteralHook = fn(&mut Context, Cursor<'_>, u64, bool) -> Verdict;

/// Reads a command's arguments and does it, or begins to.
pub type Begin = fn(Call<'_>) -> std::result::Result<Begun, Reply>;

/// A command's rules.
#[derive(Debug)]
pub struct Row {
    /// As on the wire, in capitals.
    pub name: &'static str,
    /// When it is allowed.
    pub states: States,
    /// What it lets be announced.
    pub announce: Announce,
    /// Is there a form with UID before it?
    pub uid: bool,
    /// Does the form without UID take or tell message numbers, so that RFC 9586 section 3.2 forbids it?
    pub by_number: bool,
    /// What does it.
    pub begin: Begin,
    /// Who decides about its literals; none: they are strings.
    pub literal: Option<LiteralHook>,
}

const fn row(name: &'static str, states: States, announce: Announce, begin: Begin) -> Row {
    Row { name, states, announce, uid: false, by_number: false, begin, literal: None }
}

const fn with_uid(row: Row) -> Row {
    Row { uid: true, by_number: true, ..row }
}

/// Every command there is.
pub static TABLE: &[Row] = {
    use Announce::{All, ByNumber, Nothing};
    type S = States;
    &[
        // Any state.
        row("CAPABILITY", S::ANY, All, capability::begin),
        row("NOOP", S::ANY, All, noop::begin),
        row("LOGOUT", S::ANY, Nothing, logout::begin),
        row("ID", S::ANY, All, id::begin),
        // Not authenticated.
        row("STARTTLS", S::NOT_AUTHENTICATED, Nothing, starttls::begin),
        row("AUTHENTICATE", S::NOT_AUTHENTICATED, Nothing, authenticate::begin),
        row("LOGIN", S::NOT_AUTHENTICATED, Nothing, login::begin),
        // Logged in.
        row("ENABLE", S::LOGGED_IN, All, enable::begin),
        row("COMPRESS", S::LOGGED_IN, Nothing, compress::begin),
        row("NAMESPACE", S::LOGGED_IN, All, namespace::begin),
        row("SELECT", S::LOGGED_IN, Nothing, select::select),
        row("EXAMINE", S::LOGGED_IN, Nothing, select::examine),
        row("CREATE", S::LOGGED_IN, All, create::begin),
        row("DELETE", S::LOGGED_IN, All, delete::begin),
        row("RENAME", S::LOGGED_IN, All, rename::begin),
        row("SUBSCRIBE", S::LOGGED_IN, All, subscribe::subscribe),
        row("UNSUBSCRIBE", S::LOGGED_IN, All, subscribe::unsubscribe),
        row("LIST", S::LOGGED_IN, All, list::list),
        row("XLIST", S::LOGGED_IN, All, list::xlist),
        row("LSUB", S::LOGGED_IN, All, list::lsub),
        row("STATUS", S::LOGGED_IN, All, status::begin),
        Row { literal: Some(append::announced), ..row("APPEND", S::LOGGED_IN, All, append::begin) },
        row("SETACL", S::LOGGED_IN, All, setacl::begin),
        row("DELETEACL", S::LOGGED_IN, All, deleteacl::begin),
        row("GETACL", S::LOGGED_IN, All, getacl::begin),
        row("LISTRIGHTS", S::LOGGED_IN, All, listrights::begin),
        row("MYRIGHTS", S::LOGGED_IN, All, myrights::begin),
        row("GETQUOTA", S::LOGGED_IN, All, getquota::begin),
        row("GETQUOTAROOT", S::LOGGED_IN, All, getquota::root),
        row("SETQUOTA", S::LOGGED_IN, All, setquota::begin),
        row("GETMETADATA", S::LOGGED_IN, All, getmetadata::begin),
        Row { literal: Some(setmetadata::announced), ..row("SETMETADATA", S::LOGGED_IN, All, setmetadata::begin) },
        row("IDLE", S::LOGGED_IN, All, idle::begin),
        row("NOTIFY", S::LOGGED_IN, All, notify::begin),
        row("UNAUTHENTICATE", S::LOGGED_IN, Nothing, unauthenticate::begin),
        // Selected.
        row("CHECK", S::SELECTED, All, check::begin),
        row("CLOSE", S::SELECTED, Nothing, close::begin),
        row("UNSELECT", S::SELECTED, Nothing, unselect::begin),
        Row { uid: true, ..row("EXPUNGE", S::SELECTED, All, expunge::begin) },
        with_uid(row("FETCH", S::SELECTED, ByNumber, fetch::begin)),
        with_uid(row("SEARCH", S::SELECTED, ByNumber, search::begin)),
        row("CANCELUPDATE", S::SELECTED, All, cancelupdate::begin),
        with_uid(row("SORT", S::SELECTED, ByNumber, sort::begin)),
        with_uid(row("THREAD", S::SELECTED, ByNumber, thread::begin)),
        with_uid(row("STORE", S::SELECTED, ByNumber, store::begin)),
        Row { literal: Some(replace::announced), ..with_uid(row("REPLACE", S::SELECTED, All, replace::begin)) },
        with_uid(row("COPY", S::SELECTED, All, copy::copy)),
        with_uid(row("MOVE", S::SELECTED, All, copy::move_)),
    ]
};

/// Read a command's name: its row, and whether UID stood before it.
pub fn find(cursor: &mut Cursor<'_>) -> Result<(&'static Row, bool)> {
    if !cursor.eat(b' ') {
        return cursor.bad("expected a tag, a space and a command");
    }
    let before = cursor.clone();
    let mut word = cursor.word()?;
    let uid = word.eq_ignore_ascii_case("UID");
    if uid {
        cursor.space()?;
        word = cursor.word()?;
    }
    match TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(word)) {
        Some(row) if row.uid || !uid => Ok((row, uid)),
        Some(_) => before.bad("this command has no form with UID"),
        None => before.bad("no such command"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let table = [
            (" noop", Some(("NOOP", false))),
            (" UID STORE 1", Some(("STORE", true))),
            (" uid noop", None),
            (" UID", None),
            (" XYZZY", None),
            ("", None),
            (" \"NOOP\"", None),
        ];
        for (text, expected) in table {
            let found = find(&mut Cursor::new(text.as_bytes())).ok();
            assert_eq!(found.map(|(row, uid)| (row.name, uid)), expected, "{text}");
        }
    }
}
