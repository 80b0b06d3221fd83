//! The conversation: states, the table of commands, and what one step does.
//!
//! ```text
//!  Opened        USER, PASS, AUTH               RETR, LIST, ...
//! --------> Before ----------------> Logged in <---------------> a task that writes, block by block
//!            |    STLS: all forgotten    | QUIT
//!            +---------- QUIT -----------+-----> a task that removes; closed
//! ```
//!
//! Pipelined commands are worked off in one step as long as their answers fit into [`crate::wire::STEP_BYTES`], so that
//! the answers leave in one write (RFC 2449 6.6). A long answer is a [`Task`], which gets a turn until the output is
//! full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delete::Update;
use super::list::Listing;
use super::login::Exchange;
use super::maildrop::Maildrop;
use super::retrieve::Transfer;
use super::{Shared, capa, delete, language, list, login, reply, retrieve};
use crate::wire::line::{Ends, Lines, Taken};
use crate::wire::{Event, Input, Out, Peer, Session, Tls, Unproven, Want, sasl};

/// Octets in a command line without CRLF (RFC 2449 4: 255 with it). AUTH may be longer, as its initial response is.
const MAX_COMMAND: usize = 253;
/// How long a client may be silent before it logs in: people do not type POP3, and a login with a second factor takes a
/// minute.
const LOGIN_PATIENCE: Duration = Duration::from_secs(180);
/// How long a client may be silent after login (RFC 1939 3: at least ten minutes).
const PATIENCE: Duration = Duration::from_secs(600);
/// Time one step may take before others have their turn, where a task has little to write (sizes that must be counted).
const STEP_TIME: Duration = Duration::from_millis(100);
/// Logins that may fail on one connection.
const MAX_FAILED_LOGINS: u32 = 5;

/// What follows a command.
pub(super) enum Then {
    /// It was answered with +OK, or with a challenge.
    Done,
    /// Answer this; before login it counts as an error.
    Refuse(reply::Text),
    /// Write the answer piece by piece.
    Task(Task),
    /// A login wants this.
    Want(Want),
    /// Answer this and close.
    CloseWith(reply::Text),
    /// It was answered; close.
    Close,
}

/// What is being written or done, piece by piece.
pub(super) enum Task {
    Listing(Listing),
    Transfer(Transfer),
    Update(Box<Update>),
}

/// How a turn of a task ended.
pub(super) enum Turn {
    /// There is more.
    More,
    Over(Then),
}

/// What input is taken for.
pub(super) enum Doing {
    Commands,
    /// An exchange of AUTH, or a password being checked.
    Login(Box<Exchange>),
    Task(Task),
}

/// One POP3 conversation.
pub struct Pop3 {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    pub(super) tls: Option<Tls>,
    /// The name that USER gave.
    pub(super) name: Option<String>,
    /// After login.
    pub(super) maildrop: Option<Box<Maildrop>>,
    pub(super) utf8: bool,
    pub(super) doing: Doing,
    /// Logins that failed.
    pub(super) failed: u32,
    errors: u32,
    lines: Lines,
    unproven: Unproven,
}

/// When a command is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
    Any,
}

/// What stands behind the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// Nothing may.
    No,
    /// The command looks itself.
    Any,
}

struct Command {
    name: &'static str,
    when: When,
    argument: Argument,
    run: fn(&mut Pop3, &[u8], &mut Out) -> Then,
}

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    // name                   allowed              argument                 what it does
    Command { name: "CAPA",   when: When::Any,     argument: Argument::No,  run: capa::capa },
    Command { name: "USER",   when: When::Before,  argument: Argument::Any, run: login::user },
    Command { name: "PASS",   when: When::Before,  argument: Argument::Any, run: login::pass },
    Command { name: "AUTH",   when: When::Before,  argument: Argument::Any, run: login::auth },
    Command { name: "STLS",   when: When::Before,  argument: Argument::No,  run: capa::stls },
    Command { name: "UTF8",   when: When::Before,  argument: Argument::No,  run: language::utf8 },
    Command { name: "LANG",   when: When::Any,     argument: Argument::Any, run: language::lang },
    Command { name: "STAT",   when: When::After,   argument: Argument::No,  run: list::stat },
    Command { name: "LIST",   when: When::After,   argument: Argument::Any, run: list::list },
    Command { name: "UIDL",   when: When::After,   argument: Argument::Any, run: list::uidl },
    Command { name: "RETR",   when: When::After,   argument: Argument::Any, run: retrieve::retr },
    Command { name: "TOP",    when: When::After,   argument: Argument::Any, run: retrieve::top },
    Command { name: "DELE",   when: When::After,   argument: Argument::Any, run: delete::dele },
    Command { name: "RSET",   when: When::After,   argument: Argument::No,  run: delete::rset },
    Command { name: "NOOP",   when: When::After,   argument: Argument::No,  run: delete::noop },
    Command { name: "QUIT",   when: When::Any,     argument: Argument::No,  run: delete::quit },
];

impl Pop3 {
    /// A session with `peer`, which is greeted at the first step.
    pub fn new(shared: Arc<Shared>, peer: Peer) -> Pop3 {
        let tls = peer.tls.clone();
        Pop3 {
            shared,
            peer,
            tls,
            name: None,
            maildrop: None,
            utf8: false,
            doing: Doing::Commands,
            failed: 0,
            errors: 0,
            lines: Lines::new(),
            unproven: Unproven::begin(),
        }
    }

    /// Use input until there is none, or something has to happen first.
    fn go_on(&mut self, input: &mut Input, out: &mut Out) -> Want {
        let began = Instant::now();
        loop {
            if out.full() || began.elapsed() >= STEP_TIME {
                return Want::Continue;
            }
            let then = match &mut self.doing {
                Doing::Commands => self.command(input, out),
                Doing::Login(_) => login::line(self, input, out),
                Doing::Task(_) => match self.turn(out) {
                    Turn::More => continue,
                    Turn::Over(then) => Some(then),
                },
            };
            let Some(then) = then else { return Want::Input };
            if let Some(want) = self.conclude(then, input, out) {
                return want;
            }
        }
    }

    fn turn(&mut self, out: &mut Out) -> Turn {
        let Doing::Task(mut task) = std::mem::replace(&mut self.doing, Doing::Commands) else { return Turn::More };
        let turn = match &mut task {
            Task::Listing(listing) => list::turn(self, listing, out),
            Task::Transfer(transfer) => retrieve::turn(transfer, out),
            Task::Update(update) => delete::turn(update, out),
        };
        if matches!(turn, Turn::More) {
            self.doing = Doing::Task(task);
        }
        turn
    }

    /// The want to return, if the session cannot simply go on.
    fn conclude(&mut self, then: Then, input: &mut Input, out: &mut Out) -> Option<Want> {
        match then {
            Then::Done => {}
            Then::Task(task) => self.doing = Doing::Task(task),
            Then::Want(Want::StartTls) => return Some(capa::begin_tls(input, out)),
            Then::Want(want) => return Some(want),
            Then::Refuse(text) => {
                reply::err(out, text);
                // After login it is somebody we know, whose messages may have been removed by another program.
                self.errors += u32::from(self.maildrop.is_none());
            }
            Then::CloseWith(text) => {
                reply::err(out, text);
                return Some(Want::Close);
            }
            Then::Close => return Some(Want::Close),
        }
        if self.errors >= self.shared.settings.max_errors || self.failed >= MAX_FAILED_LOGINS {
            tracing::info!(client = %self.peer.remote, id = self.peer.id, "closing after too many errors");
            reply::err(out, reply::TOO_MANY_ERRORS);
            return Some(Want::Close);
        }
        None
    }

    /// The next command; `None` if it is not there yet.
    fn command(&mut self, input: &mut Input, out: &mut Out) -> Option<Then> {
        let limit = if self.maildrop.is_none() { sasl::MAX_LINE } else { MAX_COMMAND };
        let line = match self.lines.take(input, limit, Ends::Lenient) {
            Taken::Line(line) => line,
            Taken::Partial => return None,
            Taken::TooLong | Taken::Bare => return Some(Then::Refuse(reply::LINE_TOO_LONG)),
            Taken::Endless => return Some(Then::CloseWith(reply::ENDLESS)),
        };
        let (name, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (&line[..], &[][..]),
        };
        let Some(command) = COMMANDS.iter().find(|command| command.name.as_bytes().eq_ignore_ascii_case(name)) else {
            return Some(Then::Refuse(reply::UNKNOWN));
        };
        if line.len() > MAX_COMMAND && command.name != "AUTH" {
            return Some(Then::Refuse(reply::LINE_TOO_LONG));
        }
        Some(match (command.when, self.maildrop.is_some()) {
            (When::After, false) => Then::Refuse(reply::NOT_BEFORE_LOGIN),
            (When::Before, true) => Then::Refuse(reply::NOT_AFTER_LOGIN),
            _ if command.argument == Argument::No && !argument.trim_ascii().is_empty() => {
                Then::Refuse(reply::NO_ARGUMENT)
            }
            _ => (command.run)(self, argument, out),
        })
    }
}

impl Session for Pop3 {
    fn step(&mut self, event: Event, input: &mut Input, out: &mut Out) -> Want {
        let dismissed = self.maildrop.as_ref().is_some_and(|maildrop| maildrop.seat.is_gone());
        if dismissed && matches!(event, Event::Input | Event::Dismissed) {
            // Nothing is removed, as when the connection is lost (RFC 1939 6).
            reply::err(out, reply::DISMISSED);
            return Want::Close;
        }
        let then = match event {
            Event::Opened => {
                // No timestamp in <>: that would announce APOP (RFC 1939 7).
                reply::ok(out, format!("{} POP3 ready", self.shared.settings.hostname));
                Some(Then::Done)
            }
            Event::Input | Event::Notice | Event::Dismissed => None,
            Event::Flushed => login::resumed(self, out),
            Event::Answer(answer) => login::answered(self, answer, out),
            Event::TlsStarted(tls) => {
                capa::tls_started(self, tls);
                self.lines = Lines::new();
                None
            }
            // RFC 1939 3: closed without a word, and nothing is removed.
            Event::TimedOut => return Want::Close,
            Event::Shutdown => {
                reply::err(out, reply::SHUTTING_DOWN);
                return Want::Close;
            }
        };
        if let Some(want) = then.and_then(|then| self.conclude(then, input, out)) {
            return want;
        }
        self.go_on(input, out)
    }

    fn patience(&self) -> Duration {
        if self.maildrop.is_some() { PATIENCE } else { self.unproven.patience(LOGIN_PATIENCE) }
    }
}

#[cfg(test)]
mod tests;
