//! Parts of a message without their transfer encoding: BINARY and BINARY.SIZE (RFC 3516; RFC 9051 section 6.4.5).
//!
//! [`find`] says where a part lies and what undoes its encoding. A [`Decoding`] goes through it twice, block by block: the first
//! time to count what comes out and to see whether there is a NUL in it (a literal8 is needed then), the second time to send it. Memory: one block,
//! once as it is and once decoded.
//!
//! The message itself (`[]`), multiparts and messages in it have no encoding that could be undone (RFC 2045 section 6.4), and go out as they are.
//! An encoding that we do not know is told, not guessed; a damaged one gives what it gives. Line ends are CRLF in every text and in
//! whatever has its lines from the file, which may have LF (RFC 3516 section 6); in other data not a byte is touched.

use std::io;
use std::ops::Range;

use memchr::memchr;

use super::parse::fetch::Binary;
use super::source::{Source, crlf};
use crate::mail::part::{Part, Shape, Tree};
use crate::mail::transfer::Transfer;
use crate::wire::Out;

/// What a part is before anything of it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is no such part.
    Nothing,
    /// Nobody knows how to decode it.
    Undecodable,
    /// It can be decoded from here.
    Part(Place),
}

/// Find the part `path`; the message itself if that is empty, for which no tree is needed.
pub fn find(path: &[u32], source: &Source, tree: Option<&Tree>) -> Found {
    if path.is_empty() {
        return Found::Part(Place::new(0..source.size(), Transfer::Identity, false));
    }
    let Some(part) = tree.and_then(|tree| tree.find(path)) else { return Found::Nothing };
    let encoding = part.content.encoding.as_deref().filter(|_| part.shape == Shape::Leaf);
    match encoding.map_or(Some(Transfer::Identity), Transfer::of) {
        Some(transfer) => Found::Part(Place::new(part.body.range(), transfer, is_lines(part))),
        None => Found::Undecodable,
    }
}

/// Is it text whose lines end with the bytes CR and LF? In UTF-16 and its kin they do not.
fn is_lines(part: &Part) -> bool {
    part.content.media.as_ref().is_none_or(|media| {
        let charset = media.param("charset").unwrap_or_default().to_ascii_lowercase();
        let is_wide = ["utf-16", "utf-32", "ucs-", "iso-10646"].iter().any(|wide| charset.starts_with(wide.as_bytes()));
        media.is_kind("text") && !is_wide
    })
}

/// The name in the answer: `BINARY[1.2]<0>`.
pub fn label(out: &mut Out, name: &str, path: &[u32], first: Option<u64>) {
    let path: Vec<String> = path.iter().map(u32::to_string).collect();
    out.put(format!("{name}[{}]", path.join(".")));
    if let Some(first) = first {
        out.put(format!("<{first}>"));
    }
}

/// The bytes that a client asked for, counted in what was decoded.
pub fn wanted(binary: &Binary) -> Range<u64> {
    let (first, count) = binary.partial.unwrap_or((0, u64::MAX));
    first..first.saturating_add(count)
}

/// When line ends become CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Never.
    Never,
    /// As the bytes come from the file.
    Before,
    /// When they are decoded.
    After,
}

/// A place in a part that is decoded, from which decoding can go on. Clients that fetch a big part in slices would make us decode it from its
/// start for each one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    range: Range<u64>,
    at: u64,
    /// Bytes that came out so far.
    decoded: u64,
    transfer: Transfer,
    lines: Lines,
    after_cr: bool,
}

impl Place {
    fn new(range: Range<u64>, transfer: Transfer, is_text: bool) -> Place {
        let lines = match transfer {
            Transfer::Base64 { .. } if !is_text => Lines::Never,
            Transfer::Base64 { .. } => Lines::After,
            // `=0A` in a text is a line end too.
            Transfer::QuotedPrintable { .. } if is_text => Lines::After,
            Transfer::QuotedPrintable { .. } | Transfer::Identity => Lines::Before,
        };
        Place { at: range.start, range, decoded: 0, transfer, lines, after_cr: false }
    }

    /// A part that is in memory, decoded.
    pub fn decode(mut self, source: &Source) -> Option<Vec<u8>> {
        let bytes = source.in_memory(&self.range)?;
        let mut out = Vec::new();
        self.push(bytes, true, &mut out);
        Some(out)
    }

    /// Decode the next block; returns whether it was the last one.
    fn step(&mut self, source: &Source, budget: &mut u64, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = Vec::new();
        let block = source.block(self.at, self.range.end, &mut buffer)?;
        *budget = budget.saturating_sub(block.len() as u64);
        self.at += block.len() as u64;
        let last = block.is_empty() || self.at >= self.range.end;
        self.push(block, last, out);
        Ok(last)
    }

    fn push(&mut self, block: &[u8], last: bool, out: &mut Vec<u8>) {
        let mut between = Vec::new();
        match self.lines {
            Lines::Never => self.transfer.push(block, last, out),
            Lines::Before => {
                crlf(block, self.after_cr, &mut between);
                self.after_cr = between.last().map_or(self.after_cr, |last| *last == b'\r');
                self.transfer.push(&between, last, out);
            }
            Lines::After => {
                self.transfer.push(block, last, &mut between);
                crlf(&between, self.after_cr, out);
                self.after_cr = between.last().map_or(self.after_cr, |last| *last == b'\r');
            }
        }
        self.decoded += out.len() as u64;
    }
}

/// A part on its way to the client.
#[derive(Debug)]
pub struct Decoding {
    place: Place,
    wanted: Range<u64>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// BINARY.SIZE.
    Size,
    /// BINARY, the first time: the last place before what is wanted, and whether there was a NUL.
    Look { mark: Place, nul: bool },
    /// BINARY, the second time.
    Send,
}

impl Decoding {
    /// Tell how many bytes the part has.
    pub fn size(part: Place) -> Decoding {
        Decoding { place: part, wanted: 0..u64::MAX, phase: Phase::Size }
    }

    /// Send these bytes of the part. `known` is a place that was reached before, perhaps in this part.
    pub fn new(part: Place, wanted: Range<u64>, known: Option<&Place>) -> Decoding {
        let fits = |known: &&Place| known.range == part.range && known.decoded <= wanted.start;
        let place = known.filter(fits).cloned().unwrap_or(part);
        Decoding { phase: Phase::Look { mark: place.clone(), nul: false }, place, wanted }
    }

    /// Go on by a block. When all is written, `Ok(Some(place))`: one near its end. A file that became shorter is an error: the
    /// client was promised bytes that do not exist.
    pub fn step(&mut self, source: &Source, out: &mut Out, budget: &mut u64) -> io::Result<Option<Place>> {
        if matches!(self.phase, Phase::Send) && self.wanted.is_empty() {
            return Ok(Some(self.place.clone()));
        }
        let before = matches!(self.phase, Phase::Send).then(|| self.place.clone());
        let start = self.place.decoded;
        let mut decoded = Vec::new();
        let last = self.place.step(source, budget, &mut decoded)?;
        // What of it is wanted; positions in a block fit.
        let cut = |at: u64| at.saturating_sub(start).min(decoded.len() as u64) as usize;
        let here = &decoded[cut(self.wanted.start)..cut(self.wanted.end)];
        let done = last || self.place.decoded >= self.wanted.end;
        match &mut self.phase {
            Phase::Size if done => {
                out.put(format!(" {}", self.place.decoded));
                return Ok(Some(self.place.clone()));
            }
            Phase::Size => {}
            Phase::Look { mark, nul } => {
                *nul |= memchr(0, here).is_some();
                if self.place.decoded <= self.wanted.start {
                    *mark = self.place.clone();
                }
                if done {
                    let end = self.place.decoded.min(self.wanted.end);
                    self.wanted = self.wanted.start.min(end)..end;
                    announce(out, end - self.wanted.start, *nul);
                    self.place = mark.clone();
                    self.phase = Phase::Send;
                }
            }
            Phase::Send => {
                out.put(here);
                if last && self.place.decoded < self.wanted.end {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if done {
                    return Ok(before);
                }
            }
        }
        Ok(None)
    }
}

/// The head of a literal; of a literal8 if a NUL is in it. RFC 3516 section 4.3: by that a client knows.
pub fn announce(out: &mut Out, size: u64, nul: bool) {
    out.put(format!(" {}{{{size}}}\r\n", if nul { "~" } else { "" }));
}
