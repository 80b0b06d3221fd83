//! AUTH (RFC 4954): the SMTP side of a login.
//!
//! Owns the lines and their base64; what they mean is [`Login`]'s. Only on submission, and only where [`Login::mechanisms`] says
//! that a login is possible: under TLS, or on loopback if that is allowed.
//!
//! SCRAM-SHA-256-PLUS is not offered here. mutt and neomutt as Debian builds them choose it wherever it is, find that their library
//! cannot bind to a TLS 1.3 channel, and give up sending; reading mail, the same programs fall back to a password.

use super::reply::{self, Reply};
use super::session::{Smtp, State, Then};
use crate::account::{Login, Mechanism, Refusal, Step};
use crate::wire::line::{Ends, Taken};
use crate::wire::sasl::{self, MAX_LINE};
use crate::wire::{Answer, Input, Tls, Want};

/// A login under way.
pub(super) struct Exchange {
    login: Login,
    /// A pause was asked for; the next `Flushed` ends it.
    pausing: bool,
}

/// Mechanisms that are possible now.
fn possible(session: &Smtp) -> Vec<Mechanism> {
    if !session.must_log_in() {
        return Vec::new();
    }
    Login::mechanisms(&session.shared.accounts, &session.peer, unbound(session).as_ref())
}

/// The connection's TLS without what a login could be bound to: see above. So a client that could bind is no victim of a downgrade either.
fn unbound(session: &Smtp) -> Option<Tls> {
    session.tls.clone().map(|tls| Tls { exporter: None, ..tls })
}

/// Their names, for EHLO.
pub(super) fn mechanisms(session: &Smtp) -> Vec<&'static str> {
    possible(session).into_iter().map(Mechanism::name).collect()
}

/// Is a login possible now?
pub(super) fn offered(session: &Smtp) -> bool {
    !possible(session).is_empty()
}

/// `AUTH mechanism [initial-response]`
pub(super) fn auth(session: &mut Smtp, argument: &str) -> Then {
    begin(session, argument).unwrap_or_else(Then::Reply)
}

fn begin(session: &mut Smtp, argument: &str) -> Result<Then, Reply> {
    if session.user.is_some() {
        return Err(reply::LOGGED_IN_ALREADY);
    }
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let (Some(name), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(reply::AUTH_SYNTAX);
    };
    let possible = possible(session);
    if possible.is_empty() {
        return Err(reply::NEED_ENCRYPTION);
    }
    let mechanism = possible.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name));
    let mechanism = mechanism.ok_or(reply::UNKNOWN_MECHANISM)?;
    let initial = match initial {
        Some(text) => Some(sasl::initial(text.as_bytes()).ok_or(reply::BAD_BASE64)?),
        None => None,
    };
    let (login, step) =
        Login::sasl(&session.shared.accounts, &session.peer, unbound(session).as_ref(), mechanism, initial.as_deref());
    Ok(follow(session, Box::new(Exchange { login, pausing: false }), step))
}

/// Do what the login wants next.
fn follow(session: &mut Smtp, mut exchange: Box<Exchange>, step: Step) -> Then {
    exchange.pausing = matches!(step, Step::Pause(_));
    match step {
        Step::Challenge(challenge) => {
            session.state = State::Auth(exchange);
            Then::Reply(Reply::made(334, "", sasl::challenge(&challenge)))
        }
        Step::Work(work) => {
            session.state = State::Auth(exchange);
            Then::Want(Want::Work(work))
        }
        Step::Ask(question) => {
            session.state = State::Auth(exchange);
            Then::Want(Want::Ask(question))
        }
        Step::Pause(pause) => {
            session.state = State::Auth(exchange);
            Then::Want(Want::Pause(pause))
        }
        Step::Granted(user, seat) => {
            tracing::info!(peer = %session.peer.remote, login = user.login, "logged in");
            session.user = Some((user, seat));
            Then::Reply(reply::LOGGED_IN)
        }
        Step::Refused(Refusal::TooMany) => Then::Close(reply::TOO_MANY_SEATS),
        Step::Refused(why) => Then::Reply(refused(why)),
    }
}

fn refused(why: Refusal) -> Reply {
    match why {
        Refusal::Credentials => reply::WRONG_CREDENTIALS,
        Refusal::Malformed => reply::AUTH_MALFORMED,
        Refusal::Cancelled => reply::AUTH_CANCELLED,
        Refusal::TooMany => reply::TOO_MANY_SEATS,
        Refusal::Unavailable => reply::LOGIN_UNAVAILABLE,
    }
}

/// The exchange, taken out of the session's state.
fn exchange(session: &mut Smtp) -> Option<Box<Exchange>> {
    match std::mem::replace(&mut session.state, State::Command) {
        State::Auth(exchange) => Some(exchange),
        other => {
            session.state = other;
            None
        }
    }
}

/// The client's next line; `None` if it is not there yet.
pub(super) fn line(session: &mut Smtp, input: &mut Input) -> Option<Then> {
    let mut exchange = exchange(session)?;
    let line = match session.lines.take(input, MAX_LINE, Ends::Strict) {
        Taken::Partial => {
            session.state = State::Auth(exchange);
            return None;
        }
        Taken::Line(line) => line,
        // RFC 4954 4: the exchange fails, the session goes on.
        Taken::TooLong => return Some(Then::Reply(reply::AUTH_LINE_TOO_LONG)),
        Taken::Bare => return Some(Then::Reply(reply::BARE_LINE_END)),
        Taken::Endless => return Some(Then::Close(reply::ENDLESS_LINE)),
    };
    let step = exchange.login.line(&line);
    Some(follow(session, exchange, step))
}

/// The work is done.
pub(super) fn answered(session: &mut Smtp, answer: Answer) -> Then {
    let Some(mut exchange) = exchange(session) else { return Then::Go };
    let step = exchange.login.answered(answer);
    follow(session, exchange, step)
}

/// Output was sent or a pause is over: what the login wants then, if it was its pause.
pub(super) fn resumed(session: &mut Smtp) -> Option<Then> {
    if !matches!(&session.state, State::Auth(exchange) if exchange.pausing) {
        return None;
    }
    let mut exchange = exchange(session)?;
    let step = exchange.login.resumed();
    Some(follow(session, exchange, step))
}
