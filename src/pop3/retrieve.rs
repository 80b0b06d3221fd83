//! RETR and TOP (RFC 1939 5, 7): messages on their way to the client.
//!
//! A message costs few system calls: open, a read for each block and one to find the end, close. It is converted (CRLF,
//! dots) into the output block by block, never held whole. Refuses, before the first octet, a message that needs UTF8
//! mode (see the module of `pop3`). A file that cannot be read to its end ends the connection without the final dot, so
//! that the client cannot take a part for the whole.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};

use super::maildrop::parse_number;
use super::reply::{self, ok};
use super::session::{Pop3, Task, Then, Turn};
use crate::wire::Out;
use crate::wire::dot::DotWriter;

/// Bytes read at a time: most messages whole, and a few of these fill a step.
const BLOCK: usize = 64 * 1024;

thread_local! {
    /// What a block is read into. It belongs to the thread, since sessions should own nothing while they wait.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BLOCK].into());
}

/// A message being sent.
pub(super) struct Transfer {
    file: File,
    dots: DotWriter,
    /// Of TOP.
    limit: Option<Top>,
    uid: u32,
}

/// `RETR number`
pub fn retr(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    begin(session, argument.trim_ascii(), None, out).unwrap_or_else(Then::Refuse)
}

/// `TOP number lines`
pub fn top(session: &mut Pop3, argument: &[u8], out: &mut Out) -> Then {
    let mut words = argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(number), Some(lines), None) = (words.next(), words.next().and_then(parse_number), words.next()) else {
        return Then::Refuse(reply::NEED_TWO_NUMBERS);
    };
    begin(session, number, Some(Top::new(lines)), out).unwrap_or_else(Then::Refuse)
}

fn begin(session: &mut Pop3, number: &[u8], limit: Option<Top>, out: &mut Out) -> Result<Then, reply::Text> {
    let utf8 = session.utf8;
    let maildrop = session.maildrop.as_mut().ok_or(reply::NOT_BEFORE_LOGIN)?;
    let index = maildrop.index(number)?;
    let size = maildrop.size(index)?;
    let uid = maildrop.uid(index);
    let file = maildrop.mailbox.open(uid).map_err(|error| maildrop.trouble(index, &error))?;
    let whole = limit.is_none();
    let mut transfer = Transfer { file, dots: DotWriter::new(), limit, uid };
    let greet = |block: &[u8], out: &mut Out| {
        if !utf8 && needs_utf8(block) {
            return false;
        }
        if whole {
            ok(out, format!("{size} octets"))
        } else {
            ok(out, "Top of the message follows")
        }
        true
    };
    // The first block is read here, since it decides on +OK.
    let turn = match transfer.block(out, greet) {
        Ok(Some(turn)) => turn,
        Ok(None) => return Err(reply::NEEDS_UTF8),
        Err(error) => {
            let path = maildrop.user.home.maildir.as_path();
            return Err(maildrop.trouble(index, &crate::store::Error::io(path, error)));
        }
    };
    if whole {
        maildrop.fetched(index);
    }
    Ok(match turn {
        Turn::More => Then::Task(Task::Transfer(transfer)),
        Turn::Over(then) => then,
    })
}

/// Send the next block.
pub fn turn(transfer: &mut Transfer, out: &mut Out) -> Turn {
    match transfer.block(out, |_, _| true) {
        Ok(turn) => turn.unwrap_or(Turn::Over(Then::Close)),
        Err(error) => {
            tracing::warn!(uid = transfer.uid, %error, "message cannot be read to its end; closing the connection");
            Turn::Over(Then::Close)
        }
    }
}

impl Transfer {
    /// Read a block, ask `may` about it, and write it out. `None` if it may not.
    fn block(&mut self, out: &mut Out, may: impl FnOnce(&[u8], &mut Out) -> bool) -> io::Result<Option<Turn>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let got = read(&mut self.file, scratch)?;
            let bytes = &scratch[..got];
            if !may(bytes, out) {
                return Ok(None);
            }
            let (take, over) = match &mut self.limit {
                Some(top) => top.take(bytes),
                None => (got, false),
            };
            self.dots.write(&bytes[..take], out.buffer());
            if over || got == 0 {
                std::mem::take(&mut self.dots).finish(out.buffer());
                return Ok(Some(Turn::Over(Then::Done)));
            }
            Ok(Some(Turn::More))
        })
    }
}

fn read(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Has the header UTF-8, and did the message come by SMTPUTF8, as its Received fields tell (RFC 6531 4.3: `with
/// UTF8SMTP`)?
fn needs_utf8(block: &[u8]) -> bool {
    let header = header(block);
    if header.is_ascii() {
        return false;
    }
    let mut in_received = false;
    header.split(|byte| *byte == b'\n').any(|line| {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            in_received = line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"received:"));
        }
        in_received && line.windows(9).any(|words| words.eq_ignore_ascii_case(b"with utf8"))
    })
}

/// What stands before the first empty line.
fn header(block: &[u8]) -> &[u8] {
    let ends = memchr::memchr_iter(b'\n', block);
    let end = ends.into_iter().find(|at| matches!(block.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])));
    &block[..end.map_or(block.len(), |at| at + 1)]
}

/// Counts off the header and some lines of the body.
struct Top {
    in_header: bool,
    /// The line has had nothing but CR so far.
    empty: bool,
    /// Lines of the body yet to be sent.
    left: u32,
}

impl Top {
    fn new(lines: u32) -> Top {
        Top { in_header: true, empty: true, left: lines }
    }

    /// How much of `bytes` is to be sent, and whether that was all.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut from = 0;
        for lf in memchr::memchr_iter(b'\n', bytes) {
            let empty = self.empty && bytes[from..lf].iter().all(|byte| *byte == b'\r');
            from = lf + 1;
            self.empty = true;
            if !self.in_header {
                self.left -= 1;
            } else if empty {
                self.in_header = false;
            }
            if !self.in_header && self.left == 0 {
                return (from, true);
            }
        }
        self.empty = self.empty && bytes[from..].iter().all(|byte| *byte == b'\r');
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_counts_lines_cut_anywhere() {
        for (message, lines, want) in [
            ("A: 1\nB: 2\n\none\ntwo\nthree\n", 0, "A: 1\nB: 2\n\n"),
            ("A: 1\n\none\ntwo\nthree\n", 1, "A: 1\n\none\n"),
            ("A: 1\r\n\r\none\r\ntwo\r\n", 1, "A: 1\r\n\r\none\r\n"),
            ("A: 1\n\none\ntwo", 2, "A: 1\n\none\ntwo"),
            ("A: 1\n\none\n\nthree\n", 2, "A: 1\n\none\n\n"),
            ("A: 1\n \nB: 2\n\nx\n", 0, "A: 1\n \nB: 2\n\n"),
            ("\nbody\nmore\n", 1, "\nbody\n"),
            ("A: 1\n", 5, "A: 1\n"),
        ] {
            for size in 1..message.len() {
                let (mut top, mut sent, mut over) = (Top::new(lines), Vec::new(), false);
                for piece in message.as_bytes().chunks(size) {
                    let (take, done) = top.take(piece);
                    sent.extend_from_slice(&piece[..take]);
                    over = done;
                    if over {
                        break;
                    }
                }
                assert_eq!(String::from_utf8_lossy(&sent), want, "{message:?} {lines} in pieces of {size}");
                assert!(over || want.len() == message.len(), "{message:?} ends early only if told so");
            }
        }
    }

    #[test]
    fn which_messages_need_utf8() {
        for (message, want) in [
            ("Received: from a by b with UTF8SMTPS id 1\nSubject: \u{e4}\n\nx", true),
            ("Received: from a by b\n\twith utf8lmtp id 1\nSubject: \u{e4}\n\nx", true),
            ("Received: from a by b with ESMTP id 1\nSubject: \u{e4}\n\nx", false),
            ("Received: from a by b with UTF8SMTP id 1\nSubject: a\n\n\u{e4}", false),
            ("Received: from a by b with UTF8SMTP id 1\r\nSubject: a\r\n\r\n\u{e4}", false),
            ("Subject: with UTF8SMTP \u{e4}\n\nx", false),
            ("", false),
        ] {
            assert_eq!(needs_utf8(message.as_bytes()), want, "{message:?}");
        }
    }
}
