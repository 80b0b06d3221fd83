//! A command while it runs.
//!
//! Most commands are done at once: their `begin` returns [`Begun::Done`]. A command that writes much, waits, or talks
//! back and forth returns a [`Job`]; the session steps it until it is done and does nothing else meanwhile, so
//! commands run one after the other. A job that writes stops when the output is full and asks to go on.

use std::time::Duration;

use super::context::Context;
use super::parse::Cursor;
use super::reply::Reply;
use crate::notice::Notice;
use crate::wire::{Answer, Out, Question, Work};

/// What a command's `begin` is given.
pub struct Call<'a> {
    /// The session's state.
    pub context: &'a mut Context,
    /// The command's tag.
    pub tag: &'a str,
    /// What follows the command's name: a space and arguments, or nothing.
    pub args: Cursor<'a>,
    /// Where untagged responses go.
    pub out: &'a mut Out,
    /// The command has the prefix UID.
    pub uid: bool,
}

/// What `begin` returns. An `Err` ends the command as well.
pub enum Begun {
    /// The command is over.
    Done(Reply),
    /// Step this; its first step is made at once, with [`Wake::Begin`].
    Job(Box<dyn Job>),
}

/// What happened, for a job.
pub enum Wake {
    /// The first step.
    Begin,
    /// The output was sent, or the pause is over.
    Flushed,
    /// The client sent this line (without CRLF).
    Line(Vec<u8>),
    /// The notice was raised.
    Notice,
    /// The work is done.
    Answer(Answer),
}

/// What a job wants.
pub enum Progress {
    /// The command is over.
    Done(Reply),
    /// To go on when the output was sent.
    Continue,
    /// A line from the client that is not a command.
    Line,
    /// A line, or this notice.
    LineOrNotice(Notice),
    /// An answer of slow work.
    Work(Work),
    /// An answer from a server elsewhere.
    Ask(Question),
    /// To go on after a while.
    Pause(Duration),
    /// To close the connection without another byte: what was written ends in the middle of something.
    Abort,
    /// The command is over with this reply, and TLS begins behind it.
    StartTls(Reply),
    /// The command is over with this reply, and compression begins behind it.
    Compress(Reply),
}

/// A running command.
pub trait Job: Send {
    /// Do a bounded part of the command.
    fn step(&mut self, context: &mut Context, wake: Wake, out: &mut Out) -> Result<Progress, Reply>;
}

impl From<Reply> for Begun {
    fn from(reply: Reply) -> Begun {
        Begun::Done(reply)
    }
}
