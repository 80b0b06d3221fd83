//! Level one of reading a command: lines and literals, with limits, before any grammar.
//!
//! ```text
//!   text CRLF                          one command
//!   text {5} CRLF  5 bytes  text CRLF  one command with a literal in it; `+ ` is sent before the 5 bytes
//!   text {5+} CRLF 5 bytes ...         the same without waiting (LITERAL+, RFC 7888)
//! ```
//!
//! A [`Frame`] collects one command and hands it over whole, literals in place, so that the bytes of a literal can never be
//! taken for a command and a malformed command is dropped whole. A [`Policy`] is asked at each literal: it may be kept,
//! streamed (the message of APPEND, which never lies in memory), or refused. A refused command is answered at once
//! and its remaining bytes are dropped as they come, up to [`MAX_DROP`]; then the next command begins.
//!
//! Only CRLF ends a line. A bare LF makes the command BAD and what follows it up to the next CRLF is dropped, so that text which
//! a webmail passed on unchecked cannot smuggle in a second command.
//!
//! Bounds: at most [`MAX_LINE`] bytes of text plus [`MAX_LITERALS`] bytes of literals are held.

use super::parse::{Cursor, cursor};
use super::reply::Reply;
use crate::wire::{Input, Out};

/// Bytes of text (line ends included) in one command before login: a user name, a password, a SASL response.
pub const MAX_LINE_BEFORE_LOGIN: usize = 8 * 1024;
/// Bytes of text in one command after login: RFC 2683 3.2.1.5 asks for 8000; sets of scattered UIDs need more.
pub const MAX_LINE: usize = 64 * 1024;
/// Bytes of kept literals in one command after login (before login: [`MAX_LINE_BEFORE_LOGIN`]): mailbox names, search
/// strings.
pub const MAX_LITERALS: usize = 64 * 1024;
/// Bytes of a literal that comes without waiting before login, where LITERAL- holds (RFC 7888 section 5).
pub const MAX_UNASKED: u64 = 4096;
/// Bytes of a refused command that are dropped before the connection is given up, after login: a message that was too
/// big, sent without waiting.
pub const MAX_DROP: u64 = 256 * 1024 * 1024;
/// The same before login.
pub const MAX_DROP_BEFORE_LOGIN: u64 = 1024 * 1024;
/// The longest text `{18446744073709551615+}` that can announce a literal at the end of a line.
const MAX_ANNOUNCEMENT: usize = 24;

/// A literal that the client wants to send.
pub struct Announcement<'a> {
    /// The command so far, without the announcement itself.
    pub before: &'a [u8],
    /// Bytes that would follow.
    pub size: u64,
}

/// What becomes of a literal.
pub enum Verdict {
    /// It stays in the command, if it is within the limits.
    Keep,
    /// Its bytes go to [`Policy::data`]; the command has only `{n}` CRLF in its place.
    Stream,
    /// The command is over.
    Refuse(Reply),
}

/// Who decides about literals.
pub trait Policy {
    /// A literal is announced.
    fn announced(&mut self, literal: &Announcement<'_>) -> Verdict;
    /// The next bytes of the literal that is streamed.
    fn data(&mut self, bytes: &[u8]);
}

/// What was found in the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed {
    /// More input is needed.
    Nothing,
    /// A whole command, without its last CRLF.
    Command(Vec<u8>),
    /// A command that is not to be executed; answer it with this (untagged if it has no tag). Its bytes are dropped.
    Refused(Option<String>, Reply),
    /// A refused command goes on for ever: say BYE.
    Hopeless,
}

/// Where in a command the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// So many bytes of a kept literal are missing.
    Kept(usize),
    /// So many bytes of a streamed literal are missing.
    Streamed(u64),
    /// In a refused command, in text.
    DroppedText,
    /// In a refused command, so many bytes of a literal are missing.
    DroppedLiteral(u64),
}

/// The command that is being read.
#[derive(Debug)]
pub struct Frame {
    command: Vec<u8>,
    /// Where the present line begins in `command`.
    line: usize,
    text: usize,
    literals: usize,
    place: Place,
    dropped: u64,
    logged_in: bool,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// Between two commands, before login.
    pub fn new() -> Frame {
        Frame { command: Vec::new(), line: 0, text: 0, literals: 0, place: Place::Text, dropped: 0, logged_in: false }
    }

    /// The limits after login hold from here on, or those before it. Returns whether that is a change.
    pub fn set_logged_in(&mut self, logged_in: bool) -> bool {
        std::mem::replace(&mut self.logged_in, logged_in) != logged_in
    }

    /// Read on until there is something to say.
    pub fn next(&mut self, input: &mut Input, policy: &mut dyn Policy, out: &mut Out) -> Framed {
        while !input.is_empty() {
            let found = match self.place {
                Place::Text => self.text(input, Some((policy, out))),
                Place::Kept(missing) => self.kept(missing, input),
                Place::Streamed(missing) => self.streamed(missing, input, policy),
                Place::DroppedText => self.dropped_text(input),
                Place::DroppedLiteral(missing) => self.dropped_literal(missing, input),
            };
            if found != Framed::Nothing {
                return found;
            }
        }
        Framed::Nothing
    }

    /// Read one line that is not a command (a SASL response, DONE): a `{5}` at its end means nothing.
    pub fn next_line(&mut self, input: &mut Input) -> Framed {
        while !input.is_empty() {
            let found = match self.place {
                Place::DroppedText => self.dropped_text(input),
                Place::DroppedLiteral(missing) => self.dropped_literal(missing, input),
                Place::Text | Place::Kept(_) | Place::Streamed(_) => self.text(input, None),
            };
            if found != Framed::Nothing {
                return found;
            }
        }
        Framed::Nothing
    }

    /// Has a command begun that is not complete?
    pub fn is_within(&self) -> bool {
        self.place != Place::Text || !self.command.is_empty()
    }

    /// Bytes that are held now.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.command.len()
    }

    fn max_line(&self) -> usize {
        if self.logged_in { MAX_LINE } else { MAX_LINE_BEFORE_LOGIN }
    }

    fn max_literals(&self) -> usize {
        if self.logged_in { MAX_LITERALS } else { MAX_LINE_BEFORE_LOGIN }
    }

    fn text(&mut self, input: &mut Input, literals: Option<(&mut dyn Policy, &mut Out)>) -> Framed {
        let bytes = input.bytes();
        let end = memchr::memchr(b'\n', bytes);
        let room = self.max_line().saturating_sub(self.text);
        let len = end.map_or(bytes.len(), |end| end + 1);
        if len > room {
            let take = room.min(len);
            self.command.extend_from_slice(&bytes[..take]);
            input.consume(take);
            return self.refuse(Reply::bad("Command line is too long"));
        }
        self.command.extend_from_slice(&bytes[..len]);
        self.text += len;
        input.consume(len);
        if end.is_none() {
            return Framed::Nothing;
        }
        if !self.command[self.line..].ends_with(b"\r\n") {
            return self.refuse(Reply::bad("Lines end with CRLF; a bare LF is not a line end"));
        }
        let text_end = self.command.len() - 2;
        match (literals, announcement(&self.command[self.line..text_end])) {
            (Some((policy, out)), Some(found)) => self.announced(found, text_end, policy, out),
            _ => {
                self.command.truncate(text_end);
                let command = std::mem::take(&mut self.command);
                self.reset();
                Framed::Command(command)
            }
        }
    }

    fn announced(&mut self, found: Announced, text_end: usize, policy: &mut dyn Policy, out: &mut Out) -> Framed {
        let Some(size) = found.size else {
            return self.refuse_literal(found, Reply::bad("Literal size is not a number that fits in 63 bits"));
        };
        if !found.waits && !self.logged_in && size > MAX_UNASKED {
            return self.refuse_literal(found, too_big("Literals over 4096 bytes must wait for + before login"));
        }
        let before = &self.command[..text_end - found.len];
        let verdict = policy.announced(&Announcement { before, size });
        let room = self.max_literals().saturating_sub(self.literals);
        match (verdict, usize::try_from(size)) {
            (Verdict::Refuse(reply), _) => return self.refuse_literal(found, reply),
            (Verdict::Stream, _) => self.place = Place::Streamed(size),
            (Verdict::Keep, Ok(size)) if size <= room => {
                self.literals += size;
                self.place = Place::Kept(size);
            }
            (Verdict::Keep, _) => return self.refuse_literal(found, too_big("Literal is too big for this command")),
        }
        self.line = self.command.len();
        if found.waits {
            out.line("+ Ready for the literal");
        }
        self.end_of_literal();
        Framed::Nothing
    }

    fn kept(&mut self, missing: usize, input: &mut Input) -> Framed {
        let len = missing.min(input.bytes().len());
        self.command.extend_from_slice(&input.bytes()[..len]);
        input.consume(len);
        self.place = Place::Kept(missing - len);
        self.line = self.command.len();
        self.end_of_literal();
        Framed::Nothing
    }

    fn streamed(&mut self, missing: u64, input: &mut Input, policy: &mut dyn Policy) -> Framed {
        let len = at_most(missing, input.bytes().len());
        policy.data(&input.bytes()[..len]);
        input.consume(len);
        self.place = Place::Streamed(missing - len as u64);
        self.end_of_literal();
        Framed::Nothing
    }

    fn end_of_literal(&mut self) {
        if matches!(self.place, Place::Kept(0) | Place::Streamed(0)) {
            self.place = Place::Text;
        }
    }

    /// The command is refused in the middle of its text.
    fn refuse(&mut self, reply: Reply) -> Framed {
        let tag = tag_of(&self.command);
        // The end of what was read may be the beginning of an announcement or a CR.
        let keep = self.command.len() - self.command.len().saturating_sub(MAX_ANNOUNCEMENT + 2).max(self.line);
        let tail = self.command.split_off(self.command.len() - keep);
        self.reset();
        self.command = tail;
        self.place = Place::DroppedText;
        Framed::Refused(tag, reply)
    }

    /// The command is refused at the announcement of a literal.
    fn refuse_literal(&mut self, found: Announced, reply: Reply) -> Framed {
        let tag = tag_of(&self.command);
        self.reset();
        if found.waits {
            // The client sees the answer instead of `+`, and sends neither the literal nor the rest.
            return Framed::Refused(tag, reply);
        }
        self.place = Place::DroppedLiteral(found.size.unwrap_or(u64::MAX));
        Framed::Refused(tag, reply)
    }

    fn dropped_text(&mut self, input: &mut Input) -> Framed {
        let bytes = input.bytes();
        let len = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let ended = bytes[..len].ends_with(b"\n");
        self.command.extend_from_slice(&bytes[len.saturating_sub(MAX_ANNOUNCEMENT + 2)..len]);
        self.command.drain(..self.command.len().saturating_sub(MAX_ANNOUNCEMENT + 2));
        input.consume(len);
        if ended && self.command.ends_with(b"\r\n") {
            let found = announcement(&self.command[..self.command.len() - 2]);
            let dropped = self.dropped;
            self.reset();
            // A client that waits has its answer already and sends no literal.
            if let Some(found) = found.filter(|found| !found.waits) {
                self.dropped = dropped;
                self.place = Place::DroppedLiteral(found.size.unwrap_or(u64::MAX));
            }
            return Framed::Nothing;
        }
        self.count_dropped(len as u64)
    }

    fn dropped_literal(&mut self, missing: u64, input: &mut Input) -> Framed {
        if missing > self.max_drop() {
            return Framed::Hopeless;
        }
        let len = at_most(missing, input.bytes().len());
        input.consume(len);
        let missing = missing - len as u64;
        self.place = if missing == 0 { Place::DroppedText } else { Place::DroppedLiteral(missing) };
        self.count_dropped(len as u64)
    }

    fn max_drop(&self) -> u64 {
        if self.logged_in { MAX_DROP } else { MAX_DROP_BEFORE_LOGIN }
    }

    fn count_dropped(&mut self, len: u64) -> Framed {
        self.dropped += len;
        if self.dropped > self.max_drop() { Framed::Hopeless } else { Framed::Nothing }
    }

    fn reset(&mut self) {
        *self = Frame { logged_in: self.logged_in, ..Frame::new() };
    }
}

/// RFC 7888 section 5, RFC 4469 section 4.2.
fn too_big(text: &'static str) -> Reply {
    Reply::bad_code("TOOBIG", text)
}

/// A literal's announcement at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced {
    /// `None`: not a number that fits.
    size: Option<u64>,
    /// The client waits for `+`.
    waits: bool,
    /// Bytes of the announcement, a `~` of BINARY (RFC 3516) not counted: whoever reads the text before it decides what it means.
    len: usize,
}

/// Does `line` end in `{n}` or `{n+}`?
fn announcement(line: &[u8]) -> Option<Announced> {
    let open = memchr::memrchr(b'{', line)?;
    let inside = line[open + 1..].strip_suffix(b"}")?;
    let (digits, waits) = match inside.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inside, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = Cursor::new(digits).number64().ok();
    Some(Announced { size, waits, len: line.len() - open })
}

/// The tag at the beginning of a command, if there is one.
pub fn tag_of(command: &[u8]) -> Option<String> {
    let end = command.iter().position(|b| !cursor::is_astring_char(*b) || *b == b'+')?;
    (end > 0 && command[end] == b' ').then(|| String::from_utf8_lossy(&command[..end]).into_owned())
}

fn at_most(missing: u64, there: usize) -> usize {
    usize::try_from(missing).map_or(there, |missing| missing.min(there))
}

#[cfg(test)]
mod tests;
