//! The command table: which service knows a command, when it is allowed, and what runs it.
//!
//! Everything here is decided before the command's own file sees its argument. The one exception is BDAT, whose octets
//! follow the line even if it is refused; it asks [`Smtp::cannot_take_message`] itself.

use super::reply::{self, Reply};
use super::session::{Smtp, Then};
use super::{Kind, auth, bdat, data, hello, mail, plain, rcpt, starttls};

/// Where in the conversation a command is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Anywhere.
    Any,
    /// After EHLO or LHLO.
    Greeted,
    /// After EHLO or LHLO, not within a transaction.
    Idle,
    /// The same, and on submission after AUTH: MAIL.
    Sending,
    /// Within a transaction, before BDAT has begun the message.
    Open,
}

/// One row of the table.
struct Command {
    verb: &'static str,
    kinds: &'static [Kind],
    when: When,
    /// Does it take an argument? If not, one is refused.
    argument: bool,
    run: fn(&mut Smtp, &str) -> Then,
}

const ALL: &[Kind] = &[Kind::Mx, Kind::Submission, Kind::Lmtp];
const SMTP: &[Kind] = &[Kind::Mx, Kind::Submission];
const SEND: &[Kind] = &[Kind::Submission];
const LMTP: &[Kind] = &[Kind::Lmtp];

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    // verb                     services     when                 argument         what it does
    Command { verb: "MAIL",     kinds: ALL,  when: When::Sending, argument: true,  run: mail::mail },
    Command { verb: "RCPT",     kinds: ALL,  when: When::Open,    argument: true,  run: rcpt::rcpt },
    Command { verb: "DATA",     kinds: ALL,  when: When::Open,    argument: false, run: data::data },
    // Its octets follow whatever the state: it looks at the state itself, and drains them.
    Command { verb: "BDAT",     kinds: ALL,  when: When::Any,     argument: true,  run: bdat::bdat },
    Command { verb: "EHLO",     kinds: SMTP, when: When::Any,     argument: true,  run: hello::ehlo },
    Command { verb: "HELO",     kinds: SMTP, when: When::Any,     argument: true,  run: hello::helo },
    Command { verb: "LHLO",     kinds: LMTP, when: When::Any,     argument: true,  run: hello::ehlo },
    Command { verb: "AUTH",     kinds: SEND, when: When::Idle,    argument: true,  run: auth::auth },
    Command { verb: "STARTTLS", kinds: ALL,  when: When::Greeted, argument: false, run: starttls::starttls },
    Command { verb: "RSET",     kinds: ALL,  when: When::Any,     argument: false, run: plain::rset },
    Command { verb: "NOOP",     kinds: ALL,  when: When::Any,     argument: true,  run: plain::noop },
    Command { verb: "QUIT",     kinds: ALL,  when: When::Any,     argument: false, run: plain::quit },
    Command { verb: "HELP",     kinds: ALL,  when: When::Any,     argument: true,  run: plain::help },
    Command { verb: "VRFY",     kinds: ALL,  when: When::Any,     argument: true,  run: plain::vrfy },
];

/// Commands that are known and not done, with the answer. EXPN would show the members of a list; ETRN and TURN are for
/// clients that fetch mail by SMTP; AUTH is for the submission port.
const NOT_DONE: &[(&str, Reply)] = &[
    ("EXPN", reply::NOT_IMPLEMENTED),
    ("ETRN", reply::NOT_IMPLEMENTED),
    ("TURN", reply::NOT_IMPLEMENTED),
    ("AUTH", reply::NO_AUTH_HERE),
];

/// First words of HTTP and its proxies: a browser was tricked into talking to us, or somebody looks for open proxies. What
/// follows must not be taken for commands.
const NOT_SMTP: &[&str] =
    &["GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "PRI", "HOST:", "USER-AGENT:"];

/// The commands of a service, for HELP.
pub(super) fn verbs(kind: Kind) -> Vec<&'static str> {
    COMMANDS.iter().filter(|command| command.kinds.contains(&kind)).map(|command| command.verb).collect()
}

/// Run the command that begins with `verb`, if it may come now.
pub(super) fn dispatch(session: &mut Smtp, verb: &str, argument: &str) -> Then {
    let found = COMMANDS.iter().find(|c| c.verb.eq_ignore_ascii_case(verb) && c.kinds.contains(&session.kind));
    let Some(command) = found else { return unknown(verb) };
    if !command.argument && !argument.is_empty() {
        return Then::Reply(reply::NO_ARGUMENT_ALLOWED);
    }
    if let Some(refusal) = session.out_of_order(command.when) {
        return Then::Reply(refusal);
    }
    (command.run)(session, argument)
}

fn unknown(verb: &str) -> Then {
    if NOT_SMTP.iter().any(|word| word.eq_ignore_ascii_case(verb)) {
        return Then::Close(reply::NOT_SMTP);
    }
    let not_done = NOT_DONE.iter().find(|(known, _)| known.eq_ignore_ascii_case(verb));
    Then::Reply(not_done.map_or(reply::UNKNOWN_COMMAND, |(_, answer)| answer.clone()))
}

impl Smtp {
    /// The rule columns of the table.
    fn out_of_order(&self, when: When) -> Option<Reply> {
        if when == When::Any {
            return None;
        }
        if self.hello.is_none() {
            return Some(if self.kind == Kind::Lmtp { reply::SAY_LHLO } else { reply::SAY_HELLO });
        }
        let open = self.transaction.is_some() || self.begun.is_some();
        match when {
            When::Sending | When::Open if self.must_log_in() => Some(self.login_hint()),
            When::Sending if open => Some(reply::NESTED_MAIL),
            When::Idle if open => Some(reply::NOT_IN_TRANSACTION),
            When::Open if self.begun.is_some() => Some(reply::BDAT_BEGUN),
            When::Open if self.transaction.is_none() => Some(reply::MAIL_FIRST),
            _ => None,
        }
    }

    /// Why a BDAT that begins a message is refused; its octets follow all the same.
    pub(super) fn cannot_take_message(&self) -> Option<Reply> {
        self.out_of_order(When::Open)
    }

    /// RFC 6409 4.3: nobody submits without a login.
    pub(super) fn must_log_in(&self) -> bool {
        self.kind == Kind::Submission && self.user.is_none()
    }

    fn login_hint(&self) -> Reply {
        if auth::offered(self) { reply::LOGIN_FIRST } else { reply::TLS_BEFORE_LOGIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_row_once() {
        for kind in [Kind::Mx, Kind::Submission, Kind::Lmtp] {
            let mut verbs = verbs(kind);
            verbs.sort_unstable();
            let all = verbs.len();
            verbs.dedup();
            assert_eq!(verbs.len(), all);
        }
    }
}
