//! A message file on its way to a client: read by blocks, never whole, line ends made CRLF.
//!
//! A [`Source`] is an open file with its beginning in memory (all of it, for most mail). A [`Measure`] counts what a
//! range of it is on the wire, a [`Stream`] sends it; both stop after a block and go on in a later step. Memory: the
//! beginning ([`SMALL`]) and one block ([`BLOCK`]).
//!
//! A literal's size is told before its bytes, so it is always counted from the file itself: names and uidlists that
//! other programs wrote may be wrong. The second reading comes from the page cache. NUL bytes, which no literal
//! may contain (RFC 3501 section 9), go out as 0x80, as from Dovecot: the size stays what it was.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::{memchr, memchr_iter};

use crate::mail::header;
use crate::mail::part::MAX_HEADER;
use crate::wire::Out;

/// Bytes of the file kept in memory when its body is wanted: all of nine mails in ten, in one read.
const SMALL: usize = 128 * 1024;
/// Bytes read first when only the header is wanted: more than most headers have.
const HEADER_FIRST: usize = 16 * 1024;
/// Bytes read at once beyond the beginning.
const BLOCK: usize = 64 * 1024;

/// How much of the file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Its header.
    Header,
    /// Anything.
    All,
}

/// An open message.
#[derive(Debug)]
pub struct Source {
    file: File,
    size: u64,
    head: Vec<u8>,
}

impl Source {
    /// Look into `file`.
    pub fn new(file: File, extent: Extent) -> io::Result<Source> {
        let size = file.metadata()?.len();
        let mut source = Source { file, size, head: Vec::new() };
        match extent {
            Extent::All => source.read_head(SMALL)?,
            Extent::Header => source.read_header()?,
        }
        Ok(source)
    }

    /// Bytes of the file when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The header block, as far as [`MAX_HEADER`], and whether it ends there.
    pub fn header(&self) -> (&[u8], bool) {
        match header::block_len(&self.head) {
            Some(len) => (&self.head[..len], true),
            None => (&self.head[..self.head.len().min(MAX_HEADER)], self.head.len() as u64 >= self.size),
        }
    }

    /// Have the header in memory, as far as [`MAX_HEADER`].
    pub fn read_header(&mut self) -> io::Result<()> {
        let mut want = self.head.len().max(HEADER_FIRST);
        loop {
            self.read_head(want)?;
            if self.header().1 || want >= MAX_HEADER {
                return Ok(());
            }
            want = (want * 4).min(MAX_HEADER);
        }
    }

    fn read_head(&mut self, want: usize) -> io::Result<()> {
        let want = usize::try_from(self.size).unwrap_or(usize::MAX).min(want);
        let mut have = self.head.len();
        self.head.resize(want.max(have), 0);
        while have < self.head.len() {
            match self.file.read_at(&mut self.head[have..], have as u64) {
                // Somebody cut the file while we looked.
                Ok(0) => {
                    self.size = have as u64;
                    self.head.truncate(have);
                }
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Some bytes from `at` on, at most up to `end`; none at the end of the file. `buffer` is for those that are not in memory.
    pub fn block<'a>(&'a self, at: u64, end: u64, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(here) = usize::try_from(at).ok().and_then(|at| self.head.get(at..)).filter(|here| !here.is_empty())
        {
            return Ok(&here[..here.len().min(room)]);
        }
        buffer.resize(room.min(BLOCK), 0);
        loop {
            match self.file.read_at(buffer, at) {
                Ok(n) => return Ok(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// A range that is small by what it is (a header), in memory.
    pub fn bytes(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (mut at, mut bytes, mut buffer) = (range.start, Vec::new(), Vec::new());
        while at < range.end {
            let block = self.block(at, range.end, &mut buffer)?;
            if block.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += block.len() as u64;
            bytes.extend_from_slice(block);
        }
        Ok(bytes)
    }
}

/// Counts the bytes of a range as they go on the wire.
#[derive(Debug)]
pub struct Measure {
    range: Range<u64>,
    after_cr: bool,
    wire: u64,
    enough: u64,
}

impl Measure {
    /// Count `range`, or until `enough` is reached.
    pub fn new(range: Range<u64>, enough: u64) -> Measure {
        Measure { range, after_cr: false, wire: 0, enough }
    }

    /// Count a block; the result when done. Takes what it read from `budget`.
    pub fn step(&mut self, source: &Source, budget: &mut u64) -> io::Result<Option<u64>> {
        let mut buffer = Vec::new();
        let block = source.block(self.range.start, self.range.end, &mut buffer)?;
        self.wire += wire_len(block, self.after_cr);
        self.after_cr = block.last() == Some(&b'\r');
        self.range.start += block.len() as u64;
        *budget = budget.saturating_sub(block.len() as u64);
        let done = block.is_empty() || self.range.is_empty() || self.wire >= self.enough;
        Ok(done.then_some(self.wire))
    }
}

/// Sends a range, or a piece of it that is counted in bytes of the wire.
#[derive(Debug)]
pub struct Stream {
    range: Range<u64>,
    after_cr: bool,
    skip: u64,
    left: u64,
}

impl Stream {
    /// Send `left` bytes of `range` after passing over `skip`, counted on the wire.
    pub fn new(range: Range<u64>, skip: u64, left: u64) -> Stream {
        Stream { range, after_cr: false, skip, left }
    }

    /// Send a block. Returns whether all is sent. A file that became shorter is an error: the client was promised bytes
    /// that do not exist.
    pub fn step(&mut self, source: &Source, out: &mut Out, budget: &mut u64) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(true);
        }
        let mut buffer = Vec::new();
        let block = source.block(self.range.start, self.range.end, &mut buffer)?;
        if block.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = wire_len(block, self.after_cr);
        if len <= self.skip {
            self.skip -= len;
        } else {
            let out = out.buffer();
            let before = out.len();
            convert(block, self.after_cr, out);
            // A block is small; its first bytes are taken out again.
            out.drain(before..before + usize::try_from(self.skip).unwrap_or(0));
            let sent = (len - self.skip).min(self.left);
            out.truncate(before + usize::try_from(sent).unwrap_or(0));
            self.left -= sent;
            self.skip = 0;
        }
        self.after_cr = block.last() == Some(&b'\r');
        self.range.start += block.len() as u64;
        *budget = budget.saturating_sub(block.len() as u64);
        Ok(self.left == 0)
    }
}

/// Bytes that `block` has on the wire.
fn wire_len(block: &[u8], after_cr: bool) -> u64 {
    let is_bare = |lf: &usize| if *lf == 0 { !after_cr } else { block[*lf - 1] != b'\r' };
    block.len() as u64 + memchr_iter(b'\n', block).filter(is_bare).count() as u64
}

/// Add `block` as it goes on the wire to `out`.
pub fn convert(block: &[u8], after_cr: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(block.len() + block.len() / 32);
    let mut from = 0;
    for lf in memchr_iter(b'\n', block) {
        let is_bare = if lf == 0 { !after_cr } else { block[lf - 1] != b'\r' };
        if is_bare {
            out.extend_from_slice(&block[from..lf]);
            out.push(b'\r');
            from = lf;
        }
    }
    out.extend_from_slice(&block[from..]);
    let mut sent = &mut out[start..];
    while let Some(nul) = memchr(0, sent) {
        sent[nul] = 0x80;
        sent = &mut sent[nul + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn source(bytes: &[u8], extent: Extent) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Source::new(file, extent).unwrap()
    }

    fn send(source: &Source, range: Range<u64>, skip: u64, left: u64) -> Vec<u8> {
        let (mut out, mut stream, mut budget) = (Out::new(), Stream::new(range, skip, left), u64::MAX);
        while !stream.step(source, &mut out, &mut budget).unwrap() {}
        out.bytes().to_vec()
    }

    fn measure(source: &Source, range: Range<u64>, enough: u64) -> u64 {
        let (mut measure, mut budget) = (Measure::new(range, enough), u64::MAX);
        loop {
            if let Some(wire) = measure.step(source, &mut budget).unwrap() {
                return wire;
            }
        }
    }

    #[test]
    fn line_ends_and_nuls() {
        let source = source(b"a\nb\r\nc\rd\0\n\n", Extent::All);
        assert_eq!(send(&source, 0..11, 0, 14), b"a\r\nb\r\nc\rd\x80\r\n\r\n");
        assert_eq!(measure(&source, 0..11, u64::MAX), 14);
        assert_eq!(send(&source, 0..11, 2, 3), b"\nb\r");
        assert_eq!(send(&source, 2..4, 0, 2), b"b\r");
    }

    #[test]
    fn files_beyond_the_beginning() {
        let text: Vec<u8> = (0..400_000_u32).flat_map(|n| format!("{n}\r\n\n").into_bytes()).collect();
        let source = source(&text, Extent::All);
        let mut whole = Vec::new();
        convert(&text, false, &mut whole);
        let size = text.len() as u64;
        assert_eq!(measure(&source, 0..size, u64::MAX), whole.len() as u64);
        assert_eq!(send(&source, 0..size, 0, whole.len() as u64), whole);
        let from = SMALL + BLOCK - 3;
        assert_eq!(send(&source, 0..size, from as u64, 100_000), whole[from..from + 100_000]);
        assert!(measure(&source, 0..size, 1000) < 2 * SMALL as u64);
    }

    #[test]
    fn headers_of_any_length() {
        for (len, ends) in [(10, true), (HEADER_FIRST, true), (5 * HEADER_FIRST, true), (2 * MAX_HEADER, false)] {
            let message = [b"X: ", &vec![b'x'; len][..], b"\n\n", &vec![b'b'; 3 * MAX_HEADER]].concat();
            let source = source(&message, Extent::Header);
            let (header, whole) = source.header();
            assert_eq!(whole, ends, "{len}");
            assert_eq!(header.len(), if ends { len + 5 } else { MAX_HEADER });
            assert!(source.head.len() <= MAX_HEADER);
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 2 * SMALL]).unwrap();
        let source = Source::new(file.try_clone().unwrap(), Extent::All).unwrap();
        file.set_len(SMALL as u64).unwrap();
        let (mut out, mut stream, mut budget) = (Out::new(), Stream::new(0..300_000, 0, 300_000), u64::MAX);
        assert!((0..10).any(|_| stream.step(&source, &mut out, &mut budget).is_err()));
    }

    proptest! {
        #[test]
        fn pieces_of_a_conversion(text in "[ab\r\n\0]{0,50}", skip in 0_u64..60, left in 0_u64..60) {
            let mut whole = Vec::new();
            convert(text.as_bytes(), false, &mut whole);
            let source = source(text.as_bytes(), Extent::Header);
            let size = text.len() as u64;
            prop_assert_eq!(measure(&source, 0..size, u64::MAX), whole.len() as u64);
            let skip = skip.min(whole.len() as u64);
            let left = left.min(whole.len() as u64 - skip);
            prop_assert_eq!(send(&source, 0..size, skip, left), &whole[skip as usize..(skip + left) as usize]);
        }
    }
}
