//! The messages of an APPEND or REPLACE while they come in: drafts in `tmp/`, one after the other, each of one or several pieces.
//!
//! Owns what is common to the two commands from the first literal to the folder: the place in the command up to which it was
//! understood (a [`Place`]; each literal goes on there, so that nothing is read twice), the limits, and the drafts. A message never lies in
//! memory. Refuses, before a byte of it is sent where the client waits: a message over the limit (RFC 7889 4), an empty one (RFC 3502 6.3.11),
//! too many at once. A failure in the middle of a literal is remembered; the rest of it is read and dropped, and the command answers.
//! Leaves files in `tmp/` only while it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::Context;
use super::message_limit::too_many;
use super::parse::FlagSet;
use super::place;
use super::reply::Reply;
use super::url::Opened;
use crate::store::acl::Rights;
use crate::store::{Draft, Mailbox, Name, NewMessage};

/// Messages of one command (RFC 3502): each holds a file open until the last is there.
const MAX_MESSAGES: usize = 100;
/// Messages that all sessions together may hold back so, beside one each: below what `daemon` has of files to spare (2048), so that a few users
/// with many connections do not leave the server without any.
const MAX_HELD: usize = 1000;
/// How many there are.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the messages that the URLs of one command name, in messages of the largest size: each is read from end to end, in one step,
/// for a text of a dozen bytes.
const MAX_LOOKED_THROUGH: u64 = 4;

/// Where in the command the next thing to be read stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the arguments.
    Start,
    /// Before a message, or at the end.
    Message,
    /// At a literal that was streamed; in `UTF8 (...)`, and in a CATENATE list, or not.
    Literal {
        /// RFC 6855: a parenthesis closes behind it.
        utf8: bool,
        /// RFC 4469: it is one part of several.
        part: bool,
    },
    /// Before a part of a CATENATE list; the first, or not.
    Part {
        /// No space stands before it.
        first: bool,
    },
}

/// Messages of one command that wait for its last; given back when they are in the folder, or dropped.
#[derive(Debug, Default)]
pub struct Held(usize);

impl Held {
    /// One more, if there is room.
    fn take(&mut self, all: &AtomicUsize) -> bool {
        let room = |held: usize| (held < MAX_HELD).then_some(held + 1);
        let taken = all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        self.0 += usize::from(taken);
        taken
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A command that is complete.
pub struct Whole {
    /// Where the messages go.
    pub mailbox: Arc<Mailbox>,
    /// At least one.
    pub messages: Vec<NewMessage>,
    /// May the user know what UIDs they get? RFC 9051 6.3.12: not where he cannot open the mailbox.
    pub tells_uids: bool,
    /// Their places.
    pub held: Held,
}

/// What is being uploaded.
pub struct Upload {
    /// Where the command is to be read on, and what is expected there.
    pub at: usize,
    /// See there.
    pub place: Place,
    /// Where the messages go.
    pub target: Option<Name>,
    mailbox: Option<Arc<Mailbox>>,
    /// The same, and what the user may do there.
    folder: Option<place::Place>,
    done: Vec<NewMessage>,
    held: Held,
    now: Option<Current>,
    failed: Option<Reply>,
    limit: u64,
    /// Bytes of messages that URLs had looked through.
    looked_through: u64,
    /// The message of the last URL.
    pub opened: Option<Opened>,
    /// The message that goes when this one is there (REPLACE).
    pub replaces: Option<Replaced>,
}

/// A message that makes room for another.
pub struct Replaced {
    /// Login of whose it is, if it is not the user's own.
    pub owner: Option<String>,
    /// Bytes on disk.
    pub size: u64,
}

/// The message that is being read.
struct Current {
    draft: Draft,
    flags: FlagSet,
    date: Option<i64>,
    size: u64,
    head: Head,
    checks: Checks,
}

/// What a literal may not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checks {
    /// It came as literal8 (RFC 3516): what a Maildir cannot give back as it came must not be in it.
    pub binary: bool,
    /// Its header may have UTF-8 (RFC 6855 4).
    pub utf8: bool,
}

impl Upload {
    /// Nothing yet; messages of at most `limit` bytes.
    pub fn new(limit: u64) -> Upload {
        Upload {
            at: 0,
            place: Place::Start,
            target: None,
            mailbox: None,
            folder: None,
            done: Vec::new(),
            held: Held::default(),
            now: None,
            failed: None,
            limit,
            looked_through: 0,
            opened: None,
            replaces: None,
        }
    }

    /// A URL has a message of `size` bytes looked through.
    pub fn looks_through(&mut self, size: u64) -> Result<(), Reply> {
        self.looked_through = self.looked_through.saturating_add(size);
        if self.looked_through > self.limit.saturating_mul(MAX_LOOKED_THROUGH) {
            return Err(Reply::no("LIMIT", "The URLs name too many messages, or too large ones"));
        }
        Ok(())
    }

    /// How many messages are complete.
    pub fn count(&self) -> usize {
        self.done.len()
    }

    /// Begin a message.
    pub fn begin(&mut self, context: &Context, mut flags: FlagSet, date: Option<i64>) -> Result<(), Reply> {
        // RFC 9738 section 3.1.
        if let Some(limit) = context.message_limits().of_saves().filter(|limit| self.done.len() >= *limit as usize) {
            return Err(too_many(limit));
        }
        if self.done.len() == MAX_MESSAGES {
            return Err(Reply::no("LIMIT", format!("At most {MAX_MESSAGES} messages can be appended at once")));
        }
        if !self.done.is_empty() && !self.held.take(&HELD) {
            return Err(Reply::no("LIMIT", "Too many messages are being appended at once; append them one by one"));
        }
        if self.folder.is_none() {
            let name = self.target.as_ref().ok_or_else(|| Reply::bad("Expected a mailbox"))?;
            let folder = context.target(name, Rights::INSERT)?;
            let mailbox = folder.mailbox().map_err(Reply::target)?;
            if mailbox.is_read_only() {
                return Err(Reply::no("NOPERM", "Mailbox is read-only"));
            }
            self.mailbox = Some(mailbox);
            self.folder = Some(folder);
        }
        let folder = self.folder.as_ref().ok_or_else(|| Reply::bad("Expected a mailbox"))?;
        flags.restrict(folder.rights);
        let draft = folder.store.draft()?;
        self.now = Some(Current { draft, flags, date, size: 0, head: Head::default(), checks: Checks::default() });
        Ok(())
    }

    /// A piece of `size` bytes is to come.
    pub fn announce(&mut self, size: u64, checks: Checks) -> Result<(), Reply> {
        if let Some(reply) = &self.failed {
            return Err(reply.clone());
        }
        let Some(now) = &mut self.now else { return Err(Reply::bad("Expected a message")) };
        now.size = now.size.saturating_add(size);
        now.checks = checks;
        if now.size > self.limit {
            return Err(too_big(self.limit));
        }
        // RFC 9208 section 4.3.1; all messages of the command together.
        let size = now.size + self.done.iter().map(|(draft, ..)| draft.disk_size()).sum::<u64>();
        let Some(folder) = &self.folder else { return Ok(()) };
        match self.replaces.as_ref().filter(|replaced| replaced.owner == folder.owner) {
            // RFC 8508 3.4: less room than before can always be had, and is one message as before.
            Some(replaced) if size <= replaced.size => Ok(()),
            Some(replaced) => Ok(folder.store.has_quota_for(size - replaced.size, 0, false)?),
            None => Ok(folder.store.has_quota_for(size, self.done.len() as u64 + 1, false)?),
        }
    }

    /// The folder that is written to, once a message began.
    pub fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        self.mailbox.as_ref()
    }

    /// Add bytes of the piece.
    pub fn write(&mut self, bytes: &[u8]) {
        let Some(now) = self.now.as_mut().filter(|_| self.failed.is_none()) else { return };
        if let Err(reply) = now.write(bytes) {
            self.failed = Some(reply);
        }
    }

    /// The message has all its pieces.
    pub fn end(&mut self) -> Result<(), Reply> {
        if let Some(reply) = self.failed.take() {
            return Err(reply);
        }
        let Some(now) = self.now.take() else { return Err(Reply::bad("Expected a message")) };
        if now.size == 0 {
            return Err(Reply::no("CANNOT", "Message is empty"));
        }
        self.done.push((now.draft, now.flags.flags, now.flags.keywords, now.date));
        Ok(())
    }

    /// The folder and the messages, all there; and what is to be dropped behind them.
    pub fn finish(self) -> Result<Whole, Reply> {
        let tells_uids = self.folder.as_ref().is_some_and(|folder| folder.rights.has(Rights::READ));
        match (self.failed, self.mailbox) {
            (Some(reply), _) => Err(reply),
            (None, Some(mailbox)) if self.now.is_none() && !self.done.is_empty() => {
                Ok(Whole { mailbox, messages: self.done, tells_uids, held: self.held })
            }
            _ => Err(Reply::bad("Expected the message as a literal")),
        }
    }
}

/// The refusal of a message over the limit: RFC 4469 section 4.2, RFC 7889 section 4.
pub fn too_big(limit: u64) -> Reply {
    Reply::no("TOOBIG", format!("Message is larger than {limit} bytes"))
}

impl Current {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let clean = self.head.follow(bytes);
        if !clean && !self.checks.utf8 {
            // RFC 6855 section 4.
            return Err(Reply::no(
                "CANNOT",
                "8-bit characters in a header: ENABLE UTF8=ACCEPT and append it as UTF8 (...)",
            ));
        }
        if self.checks.binary && !self.head.is_text {
            // RFC 3516 section 4.4.
            return Err(Reply::no(
                "UNKNOWN-CTE",
                "A Maildir keeps lines that end in CRLF, without NUL; encode the part",
            ));
        }
        Ok(self.draft.write(bytes)?)
    }
}

/// Looks at a message's bytes as they pass.
struct Head {
    /// Still in the header.
    inside: bool,
    /// The line has no byte yet (a CR does not count).
    empty: bool,
    cr: bool,
    /// Every line so far ends in CRLF, and there is no NUL.
    is_text: bool,
}

impl Default for Head {
    fn default() -> Head {
        Head { inside: true, empty: true, cr: false, is_text: true }
    }
}

impl Head {
    /// Look at the next bytes; false if there is an 8-bit byte in the header.
    fn follow(&mut self, bytes: &[u8]) -> bool {
        let mut clean = true;
        for &byte in bytes {
            let bare = if byte == b'\n' { !self.cr } else { self.cr };
            self.is_text &= !bare && byte != 0;
            self.cr = byte == b'\r';
            clean &= !self.inside || byte < 0x80;
            match byte {
                b'\n' if self.empty => self.inside = false,
                b'\n' => self.empty = true,
                b'\r' => {}
                _ => self.empty = false,
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_messages_wait() {
        let mut held = Held::default();
        let all = AtomicUsize::new(MAX_HELD - 2);
        assert_eq!([(); 4].map(|()| held.take(&all)), [true, true, false, false]);
        assert_eq!((held.0, all.into_inner()), (2, MAX_HELD));
        // Not taken from the count of all.
        held.0 = 0;
    }

    #[test]
    fn urls_look_through_so_much() {
        let mut upload = Upload::new(1000);
        (0..MAX_LOOKED_THROUGH).for_each(|_| upload.looks_through(1000).unwrap());
        assert_eq!(upload.looks_through(1).unwrap_err().code.as_deref(), Some("LIMIT"));
    }

    #[test]
    fn what_passes_is_looked_at() {
        type Case = (&'static str, &'static [u8], bool, bool);
        let table: &[Case] = &[
            ("plain", b"A: b\r\n\r\nx\r\n", true, true),
            ("8 bits in the body", b"A: b\r\n\r\n\xff\r\n", true, true),
            ("8 bits in the header", b"A: \xc3\xa4\r\n\r\nx\r\n", false, true),
            ("no header", b"\r\n\xff", true, true),
            ("lone LF", b"A: b\n\n\xff", true, false),
            ("lone CR", b"A: b\r\n\r\na\rb", true, false),
            ("NUL", b"A: b\r\n\r\n\0", true, false),
            ("only a header", b"A: b\xff", false, true),
        ];
        for (name, bytes, clean, is_text) in table {
            for size in 1..=bytes.len() {
                let mut head = Head::default();
                let each: Vec<bool> = bytes.chunks(size).map(|piece| head.follow(piece)).collect();
                let all = !each.contains(&false);
                assert_eq!((all, head.is_text), (*clean, *is_text), "{name} in pieces of {size}");
            }
        }
    }
}
