//! One IMAP conversation: reads commands, runs them one after the other, announces what changed.
//!
//! ```text
//!   Ready --command--> begin() --job--> Running --done--> Ending --announcements, tagged reply--> Ready
//!                         |                                 ^
//!                         +---------------done--------------+
//! ```
//!
//! The rules of a command are columns of [`cmd::TABLE`]; the session looks them up and keeps them. Changes of the open mailbox
//! are announced between a command's own responses and its tagged reply, and by IDLE; what NOTIFY asks for is told while there is no command, too.
//!
//! Fails by replying; it ends the conversation with BYE after [`MAX_BAD`] bad commands in a row or
//! [`MAX_FAILED_LOGINS`] failed logins, when nothing can be
//! understood any more, when the open mailbox was deleted or may no longer be read, and when the driver says so.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::cmd::{self, Announce, Row};
use super::context::{Context, State};
use super::frame::{self, Frame, Framed};
use super::job::{Begun, Call, Job, Progress, Wake};
use super::parse::Cursor;
use super::reply::{AUTHENTICATION_FAILED, Condition, MAILBOX_GONE, Reply};
use crate::notice::Notice;
use crate::store;
use crate::wire::{Event, Input, Out, Peer, Session, Unproven, Want};

/// Silence before login: enough for a person to find a password.
const PATIENCE_BEFORE_LOGIN: Duration = Duration::from_secs(2 * 60);
/// Silence after login: RFC 3501 5.4 demands at least 30 minutes; RFC 2177 has clients renew IDLE every 29.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// Bad commands in a row before BYE: a client that speaks something else is not worth more.
const MAX_BAD: u32 = 20;
/// Failed logins before BYE: a person has looked the password up by then, and a guesser pays for a new connection.
const MAX_FAILED_LOGINS: u32 = 5;
/// Pipelined commands in one step, so that a long pipeline does not starve other sessions.
const COMMANDS_A_STEP: u32 = 16;

/// Of the BYE behind more bytes of a refused command than are dropped (RFC 7888 section 5 has the code).
const TOO_BIG: &str = "[TOOBIG] Too many bytes that are not a command";

/// An IMAP session.
pub struct Imap {
    context: Context,
    frame: Frame,
    doing: Doing,
    bad: u32,
    failed_logins: u32,
    unproven: Unproven,
}

/// What the session is in the middle of.
enum Doing {
    /// Between two commands.
    Ready,
    /// A command runs.
    Running(Running, Box<dyn Job>, Waits),
    /// A command is done; announcements and its reply are to be written.
    Ending(Running, Reply),
    /// What NOTIFY asked for is being told, though no command is in progress.
    Telling,
}

/// A command that is not over.
struct Running {
    tag: String,
    row: &'static Row,
    uid: bool,
}

/// What a running job waits for.
enum Waits {
    /// The event of its own want.
    Event,
    /// A line from the client, and perhaps a notice.
    Line(Option<Notice>),
}

impl Imap {
    /// A session with `peer`, which has not been greeted yet.
    pub fn new(shared: Arc<Shared>, peer: Peer) -> Imap {
        Imap {
            context: Context::new(shared, peer),
            frame: Frame::new(),
            doing: Doing::Ready,
            bad: 0,
            failed_logins: 0,
            unproven: Unproven::begin(),
        }
    }

    fn greet(&self, out: &mut Out) {
        // RFC 3501 7.1: the greeting may carry the capabilities, which saves the client a round trip.
        let capabilities = cmd::capability::list(&self.context);
        Reply::ok_code(format!("CAPABILITY {capabilities}"), "Mailcote ready").write("*", out);
    }

    fn bye(&mut self, text: &str, out: &mut Out) -> Want {
        tracing::info!(session = self.context.peer.id, why = text, "imap session ended by us");
        out.line(format!("* BYE {text}"));
        self.context.state = State::Logout;
        self.context.upload = None;
        self.doing = Doing::Ready;
        Want::Close
    }

    /// Go on until something is wanted.
    fn run(&mut self, mut wake: Option<Wake>, input: &mut Input, out: &mut Out) -> Want {
        let mut commands = 0;
        if !matches!(self.doing, Doing::Running(..)) {
            // It was for output that is out now.
            wake = None;
        }
        loop {
            let want = match std::mem::replace(&mut self.doing, Doing::Ready) {
                Doing::Ready if matches!(self.context.state, State::Logout) => Some(Want::Close),
                Doing::Ready if out.full() || commands == COMMANDS_A_STEP => Some(Want::Continue),
                Doing::Ready => {
                    commands += 1;
                    self.next_command(input, out)
                }
                Doing::Running(running, job, Waits::Line(notice)) => match wake.take() {
                    Some(Wake::Notice) => self.step_job(running, job, Wake::Notice, input, out),
                    _ => self.next_line(running, job, notice, input, out),
                },
                Doing::Running(running, job, Waits::Event) => match wake.take() {
                    Some(wake) => self.step_job(running, job, wake, input, out),
                    // Just begun: no driver sends an event that was not wanted.
                    None => self.step_job(running, job, Wake::Begin, input, out),
                },
                Doing::Ending(running, reply) => self.end(running, reply, out),
                Doing::Telling => self.tell(out),
            };
            if let Some(want) = want {
                return want;
            }
        }
    }

    fn next_command(&mut self, input: &mut Input, out: &mut Out) -> Option<Want> {
        match self.frame.next(input, &mut self.context, out) {
            // In the middle of a command nothing is told; the notice stays raised.
            Framed::Nothing if self.frame.is_within() => Some(Want::Input),
            Framed::Nothing => {
                self.doing = Doing::Telling;
                None
            }
            Framed::Command(bytes) => self.begin(&bytes, out),
            Framed::Refused(tag, reply) => {
                self.context.upload = None;
                reply.write(tag.as_deref().unwrap_or("*"), out);
                self.count(&reply, out)
            }
            Framed::Hopeless => Some(self.bye(TOO_BIG, out)),
        }
    }

    /// There is nothing to read: tell what NOTIFY asks for (RFC 5465 section 3.1: even when no command is in progress), then wait.
    fn tell(&mut self, out: &mut Out) -> Option<Want> {
        let told = self.context.tell_unasked(out);
        if self.context.is_broken() {
            return Some(Want::Close);
        }
        match told {
            Ok(false) => {
                self.doing = Doing::Telling;
                return Some(Want::Continue);
            }
            Ok(true) => {}
            Err(store::Error::NotFound) => return Some(self.bye(MAILBOX_GONE, out)),
            // Logged; the next notice may find the disk in better health.
            Err(error) => drop(Reply::from(error)),
        }
        Some(self.context.ear().map_or(Want::Input, Want::InputOrNotice))
    }

    fn begin(&mut self, bytes: &[u8], out: &mut Out) -> Option<Want> {
        let mut args = Cursor::new(bytes).speaking(self.context.enabled.speaks_utf8());
        let (tag, found) = match args.tag() {
            Ok(tag) => (tag, cmd::find(&mut args)),
            Err(bad) => ("*", Err(bad)),
        };
        let refused = match found {
            Err(bad) => bad.into(),
            Ok((row, uid)) => match self.context.permits(row, uid) {
                Ok(()) => {
                    let running = Running { tag: tag.into(), row, uid };
                    let begun = match self.still_permitted(row) {
                        Ok(()) => (row.begin)(Call { context: &mut self.context, tag, args, out, uid }),
                        Err(reply) => Err(reply),
                    };
                    // Whatever became of the command: a message that it did not take is dropped.
                    self.context.upload = None;
                    self.doing = match begun {
                        Ok(Begun::Done(reply)) | Err(reply) => Doing::Ending(running, reply),
                        Ok(Begun::Job(job)) => Doing::Running(running, job, Waits::Event),
                    };
                    return None;
                }
                Err(reply) => reply,
            },
        };
        self.context.upload = None;
        refused.write(tag, out);
        self.count(&refused, out)
    }

    /// Another user's mailbox may be closed to this one while he has it open: then nothing is read from it or changed in it, and
    /// the announcements behind the command find the same and end the conversation.
    fn still_permitted(&mut self, row: &Row) -> Result<(), Reply> {
        match self.context.renew_rights() {
            // Where nobody can say what the rights are, going away is always possible. CLOSE may expunge.
            Err(_) if row.announce == Announce::Nothing && row.name != "CLOSE" => return Ok(()),
            renewed => renewed?,
        }
        let touches = row.states == cmd::States::SELECTED && row.announce != Announce::Nothing;
        if touches && !self.context.may_read_selected() { Err(store::Error::NotFound.into()) } else { Ok(()) }
    }

    fn next_line(
        &mut self,
        running: Running,
        job: Box<dyn Job>,
        notice: Option<Notice>,
        input: &mut Input,
        out: &mut Out,
    ) -> Option<Want> {
        match self.frame.next_line(input) {
            Framed::Command(line) => self.step_job(running, job, Wake::Line(line), input, out),
            Framed::Nothing => {
                let want = notice.clone().map_or(Want::Input, Want::InputOrNotice);
                self.doing = Doing::Running(running, job, Waits::Line(notice));
                Some(want)
            }
            Framed::Refused(_, reply) => {
                self.doing = Doing::Ending(running, reply);
                None
            }
            Framed::Hopeless => Some(self.bye(TOO_BIG, out)),
        }
    }

    fn step_job(
        &mut self,
        running: Running,
        mut job: Box<dyn Job>,
        wake: Wake,
        input: &mut Input,
        out: &mut Out,
    ) -> Option<Want> {
        let progress = job.step(&mut self.context, wake, out).unwrap_or_else(Progress::Done);
        let (waits, want) = match progress {
            Progress::Done(reply) => {
                self.doing = Doing::Ending(running, reply);
                return None;
            }
            Progress::Abort => {
                self.context.state = State::Logout;
                return Some(Want::Close);
            }
            Progress::StartTls(reply) => return Some(self.start_tls(&running, &reply, input, out)),
            Progress::Compress(reply) => return Some(self.compress(&running, &reply, input, out)),
            Progress::Line => (Waits::Line(None), None),
            Progress::LineOrNotice(notice) => (Waits::Line(Some(notice)), None),
            Progress::Continue => (Waits::Event, Some(Want::Continue)),
            Progress::Work(work) => (Waits::Event, Some(Want::Work(work))),
            Progress::Ask(question) => (Waits::Event, Some(Want::Ask(question))),
            Progress::Pause(pause) => (Waits::Event, Some(Want::Pause(pause))),
        };
        self.doing = Doing::Running(running, job, waits);
        want
    }

    fn start_tls(&mut self, running: &Running, reply: &Reply, input: &mut Input, out: &mut Out) -> Want {
        if !input.is_empty() {
            // Commands injected in clear behind STARTTLS would be executed as if they came under TLS
            // (CVE-2011-0411 and its kin).
            input.discard();
            Reply::bad("Nothing may follow STARTTLS before TLS begins").write(&running.tag, out);
            return self.bye("Commands behind STARTTLS", out);
        }
        reply.write(&running.tag, out);
        Want::StartTls
    }

    fn compress(&mut self, running: &Running, reply: &Reply, input: &mut Input, out: &mut Out) -> Want {
        if !input.is_empty() {
            // Clear or compressed? RFC 4978 section 3 has the client wait, so that there is no question.
            input.discard();
            Reply::bad("Nothing may follow COMPRESS before its reply").write(&running.tag, out);
            return self.bye("Commands behind COMPRESS", out);
        }
        reply.write(&running.tag, out);
        self.context.compressed = true;
        self.bad = 0;
        Want::Compress
    }

    /// Announce what may be announced, then reply.
    fn end(&mut self, running: Running, reply: Reply, out: &mut Out) -> Option<Want> {
        let expunges = match running.row.announce {
            Announce::Nothing => None,
            // RFC 3501 7.4.1: no EXPUNGE in answer to FETCH, STORE and SEARCH; their UID forms are other commands.
            Announce::ByNumber => Some(running.uid && !self.context.keep_numbers),
            Announce::All => Some(true),
        };
        if running.row.announce == Announce::All && reply.condition != Condition::Bad && !self.context.tell_others(out)
        {
            self.doing = Doing::Ending(running, reply);
            return Some(Want::Continue);
        }
        if let Some(expunges) = expunges
            && reply.condition != Condition::Bad
        {
            match self.context.announce(expunges, running.uid, false, out) {
                Ok(_) if self.context.is_broken() => return Some(Want::Close),
                Ok(true) => {}
                Ok(false) => {
                    self.doing = Doing::Ending(running, reply);
                    return Some(Want::Continue);
                }
                Err(store::Error::NotFound) => {
                    reply.write(&running.tag, out);
                    return Some(self.bye(MAILBOX_GONE, out));
                }
                Err(error) => drop(Reply::from(error)),
            }
        }
        self.context.keep_numbers = false;
        let reply = self.context.add_sync_point(reply, out);
        // Behind the sync point, whose place RFC 7162 3.2.7 says; RFC 9738 section 3.1 has another for this one.
        let reply = self.context.add_message_limit(reply, out);
        reply.write(&running.tag, out);
        let logged_in = self.context.access().is_ok();
        if self.frame.set_logged_in(logged_in) && !logged_in {
            // UNAUTHENTICATE: there is as much time for the next login as for the first.
            self.unproven = Unproven::begin();
        }
        self.count(&reply, out)
    }

    /// Log a refusal; count bad commands in a row, and failed logins.
    fn count(&mut self, reply: &Reply, out: &mut Out) -> Option<Want> {
        if reply.condition != Condition::Ok {
            let (session, code) = (self.context.peer.id, reply.code.as_deref().unwrap_or(""));
            tracing::debug!(session, condition = ?reply.condition, code, text = %reply.text, "imap command refused");
        }
        self.failed_logins += u32::from(reply.code.as_deref() == Some(AUTHENTICATION_FAILED));
        if self.failed_logins >= MAX_FAILED_LOGINS {
            return Some(self.bye("Too many failed logins", out));
        }
        self.bad = if reply.condition == Condition::Bad { self.bad + 1 } else { 0 };
        (self.bad >= MAX_BAD).then(|| self.bye("Too many bad commands", out))
    }
}

impl Session for Imap {
    fn step(&mut self, event: Event, input: &mut Input, out: &mut Out) -> Want {
        if self.context.is_dismissed() && matches!(event, Event::Input | Event::Notice | Event::Dismissed) {
            return self.bye("This account is closed", out);
        }
        let wake = match event {
            Event::Opened => {
                self.greet(out);
                None
            }
            // Of a login that is over.
            Event::Dismissed => None,
            Event::Input => None,
            Event::Notice => Some(Wake::Notice),
            Event::Answer(answer) => Some(Wake::Answer(answer)),
            Event::Flushed => Some(Wake::Flushed),
            Event::TlsStarted(tls) => {
                // RFC 3501 6.2.1: nothing learnt before TLS counts.
                self.context.tls = Some(tls);
                self.frame = Frame::new();
                self.bad = 0;
                None
            }
            Event::TimedOut => return self.bye("Disconnected: no command for too long", out),
            Event::Shutdown => return self.bye("Server is shutting down", out),
        };
        self.run(wake, input, out)
    }

    fn patience(&self) -> Duration {
        if self.context.access().is_ok() { PATIENCE } else { self.unproven.patience(PATIENCE_BEFORE_LOGIN) }
    }
}

impl frame::Policy for Context {
    fn announced(&mut self, literal: &frame::Announcement<'_>) -> frame::Verdict {
        let mut before = Cursor::new(literal.before).speaking(self.enabled.speaks_utf8());
        let row = before.tag().and_then(|_| cmd::find(&mut before));
        match row {
            Ok((row @ Row { literal: Some(hook), .. }, uid)) => match self.permits(row, uid) {
                Ok(()) => hook(self, before, literal.size, uid),
                Err(reply) => frame::Verdict::Refuse(reply),
            },
            _ => frame::Verdict::Keep,
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        if let Some(upload) = &mut self.upload {
            upload.write(bytes);
        }
    }
}

#[cfg(test)]
mod limits;
#[cfg(test)]
mod tests;
