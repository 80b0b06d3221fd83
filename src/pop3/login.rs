//! USER and PASS (RFC 1939 7), AUTH (RFC 5034).
//!
//! Owns the lines; what they mean is [`Login`]'s. Nothing is possible in clear off loopback. A login that is granted
//! opens the mailbox at once; if that fails (in use, disk trouble) the session is as before the login, with the reason
//! in brackets, so that clients do not ask for another password.

use super::maildrop::Maildrop;
use super::reply::{self, err, ok};
use super::session::{Doing, Pop3, Then};
use crate::account::{Login, Mechanism, Refusal, Step};
use crate::wire::line::{Ends, Lines, Taken};
use crate::wire::{Answer, Input, Out, Secret, Want, sasl};

/// A login under way.
pub(super) struct Exchange {
    login: Login,
    lines: Lines,
    /// The next `Flushed` ends a pause.
    pausing: bool,
}

fn possible(session: &Pop3) -> Vec<Mechanism> {
    Login::mechanisms(&session.shared.accounts, &session.peer, session.tls.as_ref())
}

/// Names of the mechanisms that are possible now; none: USER is not possible either.
pub fn mechanisms(session: &Pop3) -> Vec<&'static str> {
    possible(session).into_iter().map(Mechanism::name).collect()
}

/// A login in clear is refused; what to do about it is said only where it can be done.
fn need_tls(session: &Pop3) -> Then {
    let can = session.tls.is_none() && session.shared.settings.stls.is_on();
    Then::Refuse(if can { reply::NEED_TLS } else { reply::NEED_TLS_ELSEWHERE })
}

/// `USER name`. Whether there is such a user is not told.
pub fn user(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    if possible(session).is_empty() {
        return need_tls(session);
    }
    let name = String::from_utf8_lossy(argument).trim().to_owned();
    if name.is_empty() {
        return Then::Refuse(reply::NEED_NAME);
    }
    session.name = Some(name);
    ok(out, "Send your password");
    Then::Done
}

/// `PASS password`, where everything behind the space is the password, spaces included.
pub fn pass(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    if possible(session).is_empty() {
        return need_tls(session);
    }
    let Some(name) = session.name.take() else { return Then::Refuse(reply::USER_FIRST) };
    let (login, step) = Login::password(&session.shared.accounts, &session.peer, &name, Secret::new(argument));
    follow(session, Box::new(Exchange { login, lines: Lines::new(), pausing: false }), step, out)
}

/// `AUTH [mechanism [initial-response]]`; alone it lists the mechanisms, as clients older than CAPA expect.
pub fn auth(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    let possible = possible(session);
    let mut words = argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (name, initial) = match (words.next(), words.next(), words.next()) {
        (Some(name), initial, None) => (name, initial),
        (None, ..) => {
            ok(out, "Mechanisms follow");
            possible.into_iter().for_each(|mechanism| out.line(mechanism.name()));
            out.line(".");
            return Then::Done;
        }
        _ => return Then::Refuse(reply::AUTH_SYNTAX),
    };
    if possible.is_empty() {
        return need_tls(session);
    }
    let mechanism = possible.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name));
    let Some(mechanism) = mechanism else { return Then::Refuse(reply::UNKNOWN_MECHANISM) };
    let initial = match initial.map(sasl::initial) {
        Some(None) => return Then::Refuse(reply::AUTH_SYNTAX),
        Some(initial) => initial,
        None => None,
    };
    let (shared, tls) = (&session.shared, session.tls.as_ref());
    let (login, step) = Login::sasl(&shared.accounts, &session.peer, tls, mechanism, initial.as_deref());
    follow(session, Box::new(Exchange { login, lines: Lines::new(), pausing: false }), step, out)
}

/// Do what the login wants next.
fn follow(session: &mut Pop3, mut exchange: Box<Exchange>, step: Step, out: &mut Out) -> Then {
    exchange.pausing = matches!(step, Step::Pause(_));
    match step {
        Step::Challenge(message) => {
            out.line(format!("+ {}", sasl::challenge(&message)));
            session.doing = Doing::Login(exchange);
            Then::Done
        }
        Step::Work(work) => {
            session.doing = Doing::Login(exchange);
            Then::Want(Want::Work(work))
        }
        Step::Ask(question) => {
            session.doing = Doing::Login(exchange);
            Then::Want(Want::Ask(question))
        }
        Step::Pause(pause) => {
            session.doing = Doing::Login(exchange);
            Then::Want(Want::Pause(pause))
        }
        Step::Granted(user, seat) => match Maildrop::open(&session.shared.stores, user, seat) {
            Ok(maildrop) => {
                ok(out, format!("Logged in, {} messages", maildrop.len()));
                session.maildrop = Some(Box::new(maildrop));
                Then::Done
            }
            Err(text) => Then::Refuse(text),
        },
        Step::Refused(Refusal::Credentials) => {
            session.failed += 1;
            err(out, reply::refusal(Refusal::Credentials));
            Then::Done
        }
        Step::Refused(why) => Then::Refuse(reply::refusal(why)),
    }
}

/// The exchange, taken out of the session.
fn take(session: &mut Pop3) -> Option<Box<Exchange>> {
    match std::mem::replace(&mut session.doing, Doing::Commands) {
        Doing::Login(exchange) => Some(exchange),
        other => {
            session.doing = other;
            None
        }
    }
}

/// The client's next line; `None` if it is not there yet.
pub fn line(session: &mut Pop3, input: &mut Input, out: &mut Out) -> Option<Then> {
    let mut exchange = take(session)?;
    let step = match exchange.lines.take(input, sasl::MAX_LINE, Ends::Lenient) {
        Taken::Partial => {
            session.doing = Doing::Login(exchange);
            return None;
        }
        Taken::TooLong | Taken::Bare => return Some(Then::Refuse(reply::AUTH_LINE_TOO_LONG)),
        Taken::Endless => return Some(Then::CloseWith(reply::ENDLESS)),
        Taken::Line(line) => exchange.login.line(&line),
    };
    Some(follow(session, exchange, step, out))
}

/// The check is done.
pub fn answered(session: &mut Pop3, answer: Answer, out: &mut Out) -> Option<Then> {
    let mut exchange = take(session)?;
    let step = exchange.login.answered(answer);
    Some(follow(session, exchange, step, out))
}

/// Output was sent, or the pause of a login is over.
pub fn resumed(session: &mut Pop3, out: &mut Out) -> Option<Then> {
    let mut exchange = take(session)?;
    if !exchange.pausing {
        // The output was full while a challenge was written.
        session.doing = Doing::Login(exchange);
        return None;
    }
    let step = exchange.login.resumed();
    Some(follow(session, exchange, step, out))
}
