//! The conversation: states, events, errors that add up. What may come when is in `commands.rs`.
//!
//! ```text
//!             EHLO/LHLO           MAIL             RCPT             DATA            CRLF.CRLF
//!  (greeted) -----------> idle -----------> open ------> open ------------> Data -------------> idle
//!                          |  ^              BDAT n [LAST], from open: Bdat -> open, or idle after LAST
//!                                                   behind the last of it: Delivery, until it is answered
//!              AUTH: Auth -+--+  STARTTLS: everything is forgotten, back to the start (RFC 3207 4.2)
//! ```
//!
//! `idle` and `open` are one state here ([`State::Command`]), told apart by the transaction being there. A line that
//! is refused changes nothing. Replies to pipelined commands gather in `Out` and leave in one write (RFC 2920).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auth::Exchange;
use super::bdat::{Begun, Chunk};
use super::data::Data;
use super::delivery::Delivery;
use super::reply::{self, Reply};
use super::transaction::Transaction;
use super::{Kind, Shared, auth, bdat, commands, data, delivery, hello, parse, starttls};
use crate::account::{Seat, User};
use crate::wire::line::{Ends, Lines, Taken};
use crate::wire::{Answer, Event, Input, Out, Peer, Session, Tls, Unproven, Want, sasl};

/// Octets in a command line without CRLF. RFC 5321 4.5.3.1.4 has 512, extensions add to it (SIZE 26, BODY 17, SMTPUTF8 10, AUTH 500, ...);
/// 2000 leaves room for the longest allowed UTF-8 path with all of them.
const MAX_COMMAND: usize = 2000;
/// How long the next command may take (RFC 5321 4.5.3.2.7: at least five minutes).
const COMMAND_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How long EHLO may take: who connects and is silent holds a connection that another needs, and a client that knows SMTP
/// greets at once.
const HELLO_PATIENCE: Duration = Duration::from_secs(60);
/// How long the next part of a message may take (RFC 5321 4.5.3.2.5 lets the sender take three minutes a block).
const DATA_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long one step obeys commands that are there already: a thousand RCPTs of big aliases in one packet must not keep this thread from
/// its other connections.
const STEP: Duration = Duration::from_millis(20);

/// What the client said in EHLO, HELO or LHLO.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    /// The name it gave, if it is one; for Received.
    pub name: Option<String>,
    /// EHLO or LHLO, so extensions may be used.
    pub extended: bool,
}

pub(super) enum State {
    /// Waiting for a command line.
    Command,
    /// In the middle of AUTH.
    Auth(Box<Exchange>),
    /// Receiving a message after 354.
    Data(Box<Data>),
    /// Receiving the octets of a BDAT command.
    Bdat(Chunk),
    /// Delivering a message that was received.
    Delivery(Box<Delivery>),
}

/// What follows a command.
pub(super) enum Then {
    /// This reply, then the next command.
    Reply(Reply),
    /// Nothing to say now: the state has changed and reads on.
    Go,
    /// This want; the state knows what follows it.
    Want(Want),
    /// This reply, and the end.
    Close(Reply),
}

/// One SMTP, submission or LMTP conversation.
pub struct Smtp {
    pub(super) shared: Arc<Shared>,
    pub(super) kind: Kind,
    pub(super) peer: Peer,
    pub(super) tls: Option<Tls>,
    pub(super) hello: Option<Hello>,
    pub(super) user: Option<(Arc<User>, Seat)>,
    unproven: Unproven,
    pub(super) transaction: Option<Transaction>,
    /// The message that BDAT has begun, between its chunks; it has the transaction then.
    pub(super) begun: Option<Box<Begun>>,
    pub(super) state: State,
    /// Transactions begun on this connection.
    pub(super) transactions: u32,
    /// Refused commands since the last accepted message.
    errors: u32,
    /// The server is stopping: close when the message under way is done.
    leaving: bool,
    pub(super) lines: Lines,
}

impl Smtp {
    /// A session with `peer`, which is greeted at the first step.
    pub fn new(shared: Arc<Shared>, kind: Kind, peer: Peer) -> Smtp {
        let tls = peer.tls.clone();
        Smtp {
            shared,
            kind,
            peer,
            tls,
            hello: None,
            user: None,
            unproven: Unproven::begin(),
            transaction: None,
            begun: None,
            state: State::Command,
            transactions: 0,
            errors: 0,
            leaving: false,
            lines: Lines::new(),
        }
    }

    /// Was the user removed while he was logged in? A message that has begun is taken.
    fn is_dismissed(&self) -> bool {
        matches!(self.state, State::Command) && self.user.as_ref().is_some_and(|(_, seat)| seat.is_gone())
    }

    /// The transaction ends without a message (RSET, EHLO), or after one.
    pub(super) fn reset(&mut self) {
        self.transaction = None;
        self.begun = None;
    }

    /// A message was accepted: what went wrong before is forgiven.
    pub(super) fn accepted(&mut self) {
        self.errors = 0;
    }

    /// Use input until there is none, or something has to happen first.
    fn go_on(&mut self, input: &mut Input, out: &mut Out) -> Want {
        let begun = Instant::now();
        loop {
            if out.full() || begun.elapsed() > STEP {
                return Want::Continue;
            }
            let then = match &mut self.state {
                State::Command => self.command(input),
                State::Auth(_) => auth::line(self, input),
                State::Data(_) => data::take(self, input, out),
                State::Bdat(_) => bdat::take(self, input, out),
                State::Delivery(_) => match delivery::go_on(self, out) {
                    None => return Want::Continue,
                    then => then,
                },
            };
            let Some(then) = then else { return Want::Input };
            if let Some(want) = self.conclude(then, input, out) {
                return want;
            }
        }
    }

    /// Say what is to be said; the want to return, if the session cannot simply go on.
    fn conclude(&mut self, then: Then, input: &mut Input, out: &mut Out) -> Option<Want> {
        match then {
            Then::Go => {}
            Then::Reply(reply) => {
                reply.write(out);
                if reply.is_permanent() {
                    tracing::debug!(peer = %self.peer.remote, code = reply.code, why = %reply.text, "command refused");
                    self.errors += 1;
                }
            }
            Then::Want(Want::StartTls) => return Some(starttls::begin(self, input, out)),
            Then::Want(want) => return Some(want),
            Then::Close(reply) => return Some(close(&reply, out)),
        }
        if self.errors > self.shared.settings.max_errors {
            tracing::info!(peer = %self.peer.remote, "closing after too many errors");
            return Some(close(&reply::TOO_MANY_ERRORS, out));
        }
        if self.leaving && matches!(self.state, State::Command) {
            return Some(close(&reply::SHUTTING_DOWN, out));
        }
        None
    }

    /// The next command line; `None` if it is not there yet.
    fn command(&mut self, input: &mut Input) -> Option<Then> {
        let limit = if auth::offered(self) { sasl::MAX_LINE } else { MAX_COMMAND };
        let line = match self.lines.take(input, limit, Ends::Strict) {
            Taken::Line(line) => line,
            Taken::Partial => return None,
            Taken::TooLong => return Some(Then::Reply(reply::COMMAND_TOO_LONG)),
            Taken::Bare => return Some(Then::Reply(reply::BARE_LINE_END)),
            Taken::Endless => return Some(Then::Close(reply::ENDLESS_LINE)),
        };
        let Some(line) = parse::text(&line) else {
            return Some(Then::Reply(reply::BAD_CHARACTERS));
        };
        let (verb, argument) = parse::split(line);
        Some(commands::dispatch(self, verb, argument))
    }

    fn answered(&mut self, answer: Answer, input: &mut Input, out: &mut Out) -> Want {
        let then = auth::answered(self, answer);
        self.conclude(then, input, out).unwrap_or_else(|| self.go_on(input, out))
    }

    /// Output was sent, or a pause of AUTH is over.
    fn flushed(&mut self, input: &mut Input, out: &mut Out) -> Want {
        let Some(then) = auth::resumed(self) else { return self.go_on(input, out) };
        self.conclude(then, input, out).unwrap_or_else(|| self.go_on(input, out))
    }
}

fn close(reply: &Reply, out: &mut Out) -> Want {
    reply.write(out);
    Want::Close
}

impl Session for Smtp {
    fn step(&mut self, event: Event, input: &mut Input, out: &mut Out) -> Want {
        match event {
            Event::Opened => {
                hello::greeting(self).write(out);
                self.go_on(input, out)
            }
            Event::Input | Event::Dismissed if self.is_dismissed() => close(&reply::DISMISSED, out),
            Event::Input | Event::Notice | Event::Dismissed => self.go_on(input, out),
            Event::Flushed => self.flushed(input, out),
            Event::Answer(answer) => self.answered(answer, input, out),
            Event::TlsStarted(tls) => {
                starttls::started(self, tls);
                self.lines = Lines::new();
                self.go_on(input, out)
            }
            Event::TimedOut => close(&reply::TIMED_OUT, out),
            Event::Shutdown => match self.state {
                // The message is let through; the driver's own limit bounds the wait.
                State::Data(_) | State::Bdat(_) | State::Delivery(_) => {
                    self.leaving = true;
                    Want::Input
                }
                State::Command | State::Auth(_) => close(&reply::SHUTTING_DOWN, out),
            },
        }
    }

    fn patience(&self) -> Duration {
        let each = match self.state {
            State::Data(_) | State::Bdat(_) | State::Delivery(_) => DATA_PATIENCE,
            _ if self.hello.is_none() => HELLO_PATIENCE,
            _ => COMMAND_PATIENCE,
        };
        // In every state: NOOP without EHLO, or a chunk that is refused and trickles in, must not keep a place either.
        let must_log_in = self.kind == Kind::Submission && self.user.is_none();
        if must_log_in { self.unproven.patience(each) } else { each }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use proptest::prelude::{ProptestConfig, prop_assert_eq};

    use super::super::testing::World;
    use super::*;

    #[test]
    fn a_stopping_server_lets_the_message_through() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.begin(&["bob@demo.test"]);
        client.say("Subject: x\r\n");
        assert_eq!(client.step(Event::Shutdown), "");
        assert!(matches!(client.want, Want::Input));
        let said = client.say("\r\n.\r\n");
        assert!(said.starts_with("250 2.0.0 ") && said.contains("\r\n421 4.3.2 "), "{said}");
        assert!(matches!(client.want, Want::Close));
        let mut client = world.client(Kind::Mx);
        assert!(client.step(Event::Shutdown).starts_with("421 4.3.2"));
    }

    #[test]
    fn silence() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        assert_eq!(client.session.patience(), COMMAND_PATIENCE);
        assert!(client.step(Event::TimedOut).starts_with("421 4.4.2"));
        let peer = client.session.peer.clone();
        assert_eq!(Smtp::new(world.shared.clone(), Kind::Mx, peer).patience(), HELLO_PATIENCE);
    }

    #[test]
    fn who_does_not_log_in_keeps_no_place_whatever_he_says() {
        let world = World::new();
        for said in ["", "NOOP\r\n", "EHLO x\r\n", "BDAT 100000\r\nx", "EHLO x\r\nBDAT 100000\r\nx"] {
            for (kind, ends) in [(Kind::Submission, true), (Kind::Mx, false)] {
                let mut client = world.client(kind);
                client.session = Smtp::new(world.shared.clone(), kind, client.session.peer.clone());
                client.session.unproven =
                    Unproven::since(Instant::now().checked_sub(Duration::from_secs(5 * 60)).unwrap());
                client.step(Event::Opened);
                client.say(said);
                assert_eq!(client.session.patience().is_zero(), ends, "{kind:?} {said:?}");
            }
        }
    }

    #[test]
    fn a_flood_of_commands_does_not_fill_memory() {
        let world = World::new();
        let mut client = world.client(Kind::Mx);
        client.input.extend("HELP\r\n".repeat(20_000).as_bytes());
        let mut out = Out::new();
        let want = client.session.step(Event::Input, &mut client.input, &mut out);
        assert!(matches!(want, Want::Continue) && out.bytes().len() < 2 * crate::wire::STEP_BYTES);
        assert_eq!(client.step(Event::Flushed).matches("214 ").count() + count(&out, "214 "), 20_000);
    }

    fn count(out: &Out, text: &str) -> usize {
        std::str::from_utf8(out.bytes()).unwrap().matches(text).count()
    }

    #[test]
    fn an_idle_session_is_small() {
        let size = std::mem::size_of::<Smtp>();
        assert!(size <= 768, "{size} octets");
    }

    #[test]
    fn transactions_are_counted() {
        let world = World::with(Settings { max_transactions: 2, ..Settings::default() });
        let mut client = world.client(Kind::Mx);
        for _ in 0..2 {
            assert!(client.say("MAIL FROM:<a@x>\r\nRSET\r\n").starts_with("250 2.1.0"));
        }
        assert!(client.say("MAIL FROM:<a@x>\r\n").starts_with("421 4.7.0"));
        assert!(matches!(client.want, Want::Close));
    }

    /// Lines, half lines and rubbish; put together at random they are what strangers send.
    const PIECES: &[&str] = &[
        "EHLO x\r\n",
        "LHLO x\r\n",
        "MAIL FROM:<alice@demo.test>\r\n",
        "MAIL FROM:<> SIZE=10\r\n",
        "RCPT TO:<bob@demo.test>\r\n",
        "RCPT TO:<nobody@demo.test>\r\n",
        "DATA\r\n",
        "Subject: x\r\n\r\n.x\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "\n.\n",
        "\r",
        "\0",
        "é",
        "BDAT 12\r\n",
        "BDAT 5 LAST\r\n",
        "BDAT 0\r\n",
        "BDAT x\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "HELP",
        "AUTH PLAIN\r\n",
        "AUTH LOGIN QUFB\r\n",
        "*\r\n",
        "QUIT\r\n",
    ];

    fn without_ids(said: &str) -> String {
        let cut = |line: &str| line.split(" delivered as ").next().unwrap_or_default().to_owned();
        said.lines().map(cut).collect::<Vec<_>>().join("\n")
    }

    /// However the input is cut, the session says the same, and it waits or closes but does not panic.
    #[test]
    fn cuts_do_not_matter() {
        use proptest::collection::vec;
        let world = World::new();
        let strategy = (vec(0..PIECES.len(), 0..25), vec(1..9_usize, 1..9), proptest::bool::ANY);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
        let result = runner.run(&strategy, |(pieces, sizes, lmtp)| {
            let text: String = pieces.iter().map(|at| PIECES[*at]).collect();
            let kind = if lmtp { Kind::Lmtp } else { Kind::Mx };
            let whole = world.client(kind).say(&text);
            let (mut client, mut said, mut rest) = (world.client(kind), String::new(), text.as_bytes());
            for size in sizes.iter().cycle() {
                if rest.is_empty() || matches!(client.want, Want::Close) {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(*size));
                client.input.extend(piece);
                said.push_str(&client.step(Event::Input));
                rest = later;
            }
            prop_assert_eq!(without_ids(&whole), without_ids(&said));
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{e}"));
    }
}
