//! One message's file, judged in one go: read whole into a buffer that serves one message after the other, and looked through in memory.
//!
//! A message of more than [`MAX_WHOLE`] bytes, or of fewer that very much is asked of, is left to whoever reads it by blocks.

use std::fs::File;
use std::io::{self, Read};

use crate::imap::hunt;
use crate::imap::search::{Cost, Known, Program};
use crate::imap::source::{Extent, Source};
use crate::mail::header;
use crate::mail::scan::MAX_HEADER;

/// Bytes of a message that is searched in one go; each thread has as much memory for it.
const MAX_WHOLE: usize = 1024 * 1024;
/// Bytes of a message times questions asked of it that are looked at in one go: some ten milliseconds.
const MAX_WEIGHT: u64 = 16 * 1024 * 1024;
/// Bytes that nine messages in ten have less than, so that reading one is a read and a look for more.
const USUAL: usize = 128 * 1024;

/// What a look at a file came to.
pub(super) enum Verdict {
    Is(bool),
    Big,
}

/// Look at a message's file; `buffer` is for its bytes.
pub(super) fn judge_file(program: &Program, mut known: Known, file: File, buffer: &mut Vec<u8>) -> io::Result<Verdict> {
    if !program.uses(Cost::Body) {
        let source = Source::new(file, Extent::Header)?;
        program.look_at_header(source.header().0, &mut known);
        return Ok(Verdict::Is(program.judge(&known).unwrap_or(false)));
    }
    let Some(message) = read_whole(file, buffer)? else { return Ok(Verdict::Big) };
    if message.len() as u64 * program.weight() > MAX_WEIGHT {
        // So many questions are asked of so much text in pieces, between which others have their turn.
        return Ok(Verdict::Big);
    }
    let header = header::block_len(message).unwrap_or(message.len());
    program.look_at_header(&message[..header.min(MAX_HEADER)], &mut known);
    if program.judge(&known).is_none() {
        hunt::whole(message, program, &mut known);
    }
    Ok(Verdict::Is(program.judge(&known).unwrap_or(false)))
}

/// A message of [`MAX_WHOLE`] bytes at most; `None` if it is bigger. The buffer keeps its length from one message to the next, so that its
/// memory is filled with zeros once a thread.
fn read_whole(mut file: File, buffer: &mut Vec<u8>) -> io::Result<Option<&[u8]>> {
    let mut len = 0;
    while len <= MAX_WHOLE {
        if len == buffer.len() {
            buffer.resize((len * 2).clamp(USUAL, MAX_WHOLE + 1), 0);
        }
        match file.read(&mut buffer[len..]) {
            Ok(0) => return Ok(Some(&buffer[..len])),
            Ok(more) => len += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}
