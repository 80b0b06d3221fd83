//! The commands that do next to nothing: RSET, NOOP, QUIT, HELP, VRFY.

use super::commands;
use super::reply::{self, Reply};
use super::session::{Smtp, Then};

/// RSET: forget the transaction, not who the client is (RFC 5321 4.1.1.5).
pub(super) fn rset(session: &mut Smtp, _argument: &str) -> Then {
    session.reset();
    Then::Reply(reply::OK)
}

/// NOOP; its argument is ignored (RFC 5321 4.1.1.9).
pub(super) fn noop(_session: &mut Smtp, _argument: &str) -> Then {
    Then::Reply(reply::OK)
}

/// QUIT.
pub(super) fn quit(_session: &mut Smtp, _argument: &str) -> Then {
    Then::Close(reply::BYE)
}

/// HELP, the same for every argument.
pub(super) fn help(session: &mut Smtp, _argument: &str) -> Then {
    let verbs = commands::verbs(session.kind).join(" ");
    Then::Reply(Reply::made(214, "2.0.0", format!("{verbs}\nRFC 5321 says how to use them")))
}

/// VRFY tells nobody who exists (RFC 5321 7.3).
pub(super) fn vrfy(_session: &mut Smtp, argument: &str) -> Then {
    Then::Reply(if argument.is_empty() { reply::BAD_PARAMETER } else { reply::CANNOT_VERIFY })
}
