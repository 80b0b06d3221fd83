//! A message file on its way to a client: read by blocks, never whole, line ends made CRLF.
//!
//! A [`Source`] is an open file with its beginning in memory (all of it, for most mail). A [`Measure`] counts what a
//! range of it is on the wire, a [`Stream`] sends it; both stop after a block and go on in a later step. Memory: the
//! beginning ([`SMALL`]) and one block ([`BLOCK`]).
//!
//! A literal's size is told before its bytes, so it is always counted from the file itself: names and uidlists that
//! other programs wrote may be wrong. The second reading comes from the page cache. NUL bytes, which no literal
//! may contain (RFC 3501 section 9), go out as 0x80, as from Dovecot: the size stays what it was.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::{memchr_iter, memchr2_iter};

use crate::mail::header;
use crate::mail::scan::MAX_HEADER;
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

thread_local! {
    /// Where a file's beginning lands before it is known how much there is.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SMALL]);
}

impl Source {
    /// Look into `file`.
    pub fn new(file: File, extent: Extent) -> io::Result<Source> {
        let first = match extent {
            Extent::All => SMALL,
            Extent::Header => HEADER_FIRST,
        };
        let head = SCRATCH.with_borrow_mut(|scratch| {
            let got = read_at(&file, &mut scratch[..first], 0)?;
            io::Result::Ok(scratch[..got].to_vec())
        })?;
        // read(2) gives less than was asked for at the end of a file only: most mail costs no question for its size.
        let size = if head.len() < first { head.len() as u64 } else { file.metadata()?.len() };
        let mut source = Source { file, size, head };
        if extent == Extent::Header {
            source.read_header()?;
        }
        Ok(source)
    }

    /// Is all of it in memory?
    pub fn is_small(&self) -> bool {
        self.head.len() as u64 >= self.size
    }

    /// Bytes that are in memory.
    pub fn read_so_far(&self) -> u64 {
        self.head.len() as u64
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
            match read_at(&self.file, &mut self.head[have..], have as u64)? {
                // Somebody cut the file while we looked.
                0 => {
                    self.size = have as u64;
                    self.head.truncate(have);
                }
                n => have += n,
            }
        }
        Ok(())
    }

    /// A range, if all of the file is in memory.
    pub fn in_memory(&self, range: &Range<u64>) -> Option<&[u8]> {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        self.is_small().then(|| self.head.get(start..end)).flatten()
    }

    /// Some bytes from `at` on, at most up to `end`; none at the end of the file. `buffer` is for those that are not in memory.
    pub fn block<'a>(&'a self, at: u64, end: u64, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(here) = usize::try_from(at).ok().and_then(|at| self.head.get(at..)).filter(|here| !here.is_empty())
        {
            return Ok(&here[..here.len().min(room)]);
        }
        buffer.resize(room.min(BLOCK), 0);
        let got = read_at(&self.file, buffer, at)?;
        Ok(&buffer[..got])
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

/// A place in a range, known by its distance on the wire. Clients that fetch a big message in slices would make us count from
/// its start for each one; from here it is one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    range: Range<u64>,
    at: u64,
    after_cr: bool,
    wire: u64,
}

impl Place {
    /// The start of `range`, or `known` if that is a place in it not behind byte `wire`.
    fn before(range: Range<u64>, wire: u64, known: Option<&Place>) -> Place {
        match known {
            Some(place) if place.range == range && place.wire <= wire => place.clone(),
            _ => Place { at: range.start, range, after_cr: false, wire: 0 },
        }
    }

    /// Go on behind `block`, which has `wire` bytes on the wire.
    fn pass(&mut self, block: &[u8], wire: u64) {
        self.at += block.len() as u64;
        self.wire += wire;
        self.after_cr = block.last() == Some(&b'\r');
    }
}

/// Counts the bytes of a range as they go on the wire.
#[derive(Debug)]
pub struct Measure {
    place: Place,
    enough: u64,
}

impl Measure {
    /// Count `range`, or until `enough` is reached.
    pub fn new(range: Range<u64>, enough: u64, known: Option<&Place>) -> Measure {
        Measure { place: Place::before(range, enough, known), enough }
    }

    /// Count a block; the result when done. Takes what it read from `budget`.
    pub fn step(&mut self, source: &Source, budget: &mut u64) -> io::Result<Option<u64>> {
        let mut buffer = Vec::new();
        let block = source.block(self.place.at, self.place.range.end, &mut buffer)?;
        self.place.pass(block, wire_len(block, self.place.after_cr));
        *budget = budget.saturating_sub(block.len() as u64);
        let done = block.is_empty() || self.place.at == self.place.range.end || self.place.wire >= self.enough;
        Ok(done.then_some(self.place.wire))
    }
}

/// Sends a range, or a piece of it that is counted in bytes of the wire.
#[derive(Debug)]
pub struct Stream {
    place: Place,
    /// First byte on the wire to send, and the one behind the last.
    wanted: Range<u64>,
}

impl Stream {
    /// Send the bytes `wanted`, counted on the wire, of `range`.
    pub fn new(range: Range<u64>, wanted: Range<u64>, known: Option<&Place>) -> Stream {
        Stream { place: Place::before(range, wanted.start, known), wanted }
    }

    /// Send a block. Returns a place near the end when all is sent. A file that became shorter is an error: the client
    /// was promised bytes that do not exist.
    pub fn step(&mut self, source: &Source, out: &mut Out, budget: &mut u64) -> io::Result<Option<Place>> {
        if self.wanted.is_empty() {
            return Ok(Some(self.place.clone()));
        }
        let mut buffer = Vec::new();
        let block = source.block(self.place.at, self.place.range.end, &mut buffer)?;
        if block.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let wire = wire_len(block, self.place.after_cr);
        let here = self.place.wire..self.place.wire + wire;
        if here.end > self.wanted.start {
            let out = out.buffer();
            let start = out.len();
            convert(block, self.place.after_cr, out);
            // Positions in a block fit.
            out.truncate(start + (self.wanted.end.min(here.end) - here.start) as usize);
            out.drain(start..start + (self.wanted.start.max(here.start) - here.start) as usize);
        }
        *budget = budget.saturating_sub(block.len() as u64);
        if here.end >= self.wanted.end {
            return Ok(Some(self.place.clone()));
        }
        self.place.pass(block, wire);
        Ok(None)
    }
}

/// As [`FileExt::read_at`], whatever interrupts it.
fn read_at(file: &File, to: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(to, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Bytes that `block` has on the wire.
fn wire_len(block: &[u8], after_cr: bool) -> u64 {
    let is_bare = |lf: &usize| if *lf == 0 { !after_cr } else { block[*lf - 1] != b'\r' };
    block.len() as u64 + memchr_iter(b'\n', block).filter(is_bare).count() as u64
}

/// Add `block` as it goes on the wire to `out`, in one pass.
pub fn convert(block: &[u8], after_cr: bool, out: &mut Vec<u8>) {
    out.reserve(block.len() + block.len() / 32);
    let mut from = 0;
    for at in memchr2_iter(b'\n', 0, block) {
        if block[at] == 0 {
            out.extend_from_slice(&block[from..at]);
            out.push(0x80);
            from = at + 1;
        } else if if at == 0 { !after_cr } else { block[at - 1] != b'\r' } {
            out.extend_from_slice(&block[from..at]);
            out.push(b'\r');
            from = at;
        }
    }
    out.extend_from_slice(&block[from..]);
}

/// Add `block` to `out`, every line end CRLF.
pub fn crlf(block: &[u8], after_cr: bool, out: &mut Vec<u8>) {
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
        let (mut out, mut stream, mut budget) = (Out::new(), Stream::new(range, skip..skip + left, None), u64::MAX);
        while stream.step(source, &mut out, &mut budget).unwrap().is_none() {}
        out.bytes().to_vec()
    }

    fn measure(source: &Source, range: Range<u64>, enough: u64) -> u64 {
        measure_on(Measure::new(range, enough, None), source, &mut u64::MAX.clone())
    }

    fn measure_on(mut measure: Measure, source: &Source, budget: &mut u64) -> u64 {
        loop {
            if let Some(wire) = measure.step(source, budget).unwrap() {
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
    fn slices_go_on_where_the_last_one_ended() {
        let text = b"a\nbc\r\n".repeat(100_000);
        let source = source(&text, Extent::All);
        let range = 0..text.len() as u64;
        let mut whole = Vec::new();
        convert(&text, false, &mut whole);
        let (mut sent, mut place, mut read) = (Vec::new(), None, u64::MAX);
        while sent.len() < whole.len() {
            let first = sent.len() as u64;
            let wire = Measure::new(range.clone(), first + 50_000, place.as_ref());
            let last = first + (measure_on(wire, &source, &mut read) - first).min(50_000);
            let mut stream = Stream::new(range.clone(), first..last, place.as_ref());
            let mut out = Out::new();
            place = loop {
                if let Some(place) = stream.step(&source, &mut out, &mut read).unwrap() {
                    break Some(place);
                }
            };
            sent.extend_from_slice(out.bytes());
        }
        assert!(sent == whole);
        assert!(u64::MAX - read < 10 * text.len() as u64, "read {} of {}", u64::MAX - read, text.len());
        assert_eq!(Place::before(0..5, 9, place.as_ref()).at, 0, "a place in another range is of no use");
        assert_eq!(Place::before(range, 9, place.as_ref()).at, 0, "nor is one behind");
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
        let (mut out, mut stream, mut budget) = (Out::new(), Stream::new(0..300_000, 0..300_000, None), u64::MAX);
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
