//! DELE, RSET, NOOP and QUIT (RFC 1939 5, 6).
//!
//! DELE only marks. QUIT after login enters the UPDATE state: messages that were fetched and stay get `\Seen`, then the
//! marked ones are removed and the directory synced, and only then `+OK` is said. If some cannot be removed the client
//! is told so with `-ERR`; those that were removed are removed. A failure to set `\Seen` is logged and does not keep
//! the rest from being done.

use super::maildrop::{self, Maildrop};
use super::reply::{self, err, ok};
use super::session::{Pop3, Task, Then, Turn};
use crate::mail::Flags;
use crate::store::Change;
use crate::wire::Out;

/// Messages removed in one turn. Each turn syncs the directory once.
const TURN: usize = 1000;

/// The UPDATE state.
pub(super) struct Update {
    maildrop: Box<Maildrop>,
    seen: Vec<u32>,
    doomed: Vec<u32>,
    /// How many of `doomed` are done.
    done: usize,
}

/// `DELE number`
pub fn dele(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    let Some(maildrop) = &mut session.maildrop else { return Then::Refuse(reply::NOT_BEFORE_LOGIN) };
    match maildrop.index(argument.trim_ascii()) {
        Ok(index) => {
            maildrop.mark(index);
            ok(out, "Marked as deleted");
            Then::Done
        }
        Err(text) => Then::Refuse(text),
    }
}

/// `RSET`
pub fn rset(session: &mut Pop3, _: &[u8], out: &mut Out) -> Then {
    if let Some(maildrop) = &mut session.maildrop {
        maildrop.unmark();
    }
    ok(out, "Nothing is marked");
    Then::Done
}

/// `NOOP`
pub fn noop(_: &mut Pop3, _: &[u8], out: &mut Out) -> Then {
    ok(out, "");
    Then::Done
}

/// `QUIT`
pub fn quit(session: &mut Pop3, _: &[u8], out: &mut Out) -> Then {
    let Some(maildrop) = session.maildrop.take() else {
        ok(out, "Bye");
        return Then::Close;
    };
    let (seen, doomed) = (maildrop.newly_seen(), maildrop.marked());
    Then::Task(Task::Update(Box::new(Update { maildrop, seen, doomed, done: 0 })))
}

/// Go on with the UPDATE state.
pub fn turn(update: &mut Update, out: &mut Out) -> Turn {
    let mailbox = &update.maildrop.mailbox;
    if !update.seen.is_empty() {
        let seen = std::mem::take(&mut update.seen);
        if !mailbox.is_read_only()
            && let Err(error) = mailbox.store_flags(&seen, Change::Add, Flags::SEEN, &[], None)
        {
            maildrop::log(&update.maildrop.user, &error);
        }
        return Turn::More;
    }
    let next = update.doomed.len().min(update.done + TURN);
    // An IMAP session that has not been told may still read what goes: it is one of two then.
    let _reader = mailbox.reader();
    // Those that another program removed meanwhile are gone as wanted.
    if next > update.done
        && let Err(error) = mailbox.remove(&update.doomed[update.done..next])
    {
        maildrop::log(&update.maildrop.user, &error);
        err(out, format!("{}; not all marked messages were removed", reply::trouble(&error)));
        return Turn::Over(Then::Close);
    }
    update.done = next;
    if next < update.doomed.len() {
        return Turn::More;
    }
    tracing::info!(login = %update.maildrop.user.login, removed = next, "POP3 session ended");
    ok(out, if next == 0 { "Bye".to_owned() } else { format!("Bye, {next} messages removed") });
    Turn::Over(Then::Close)
}
