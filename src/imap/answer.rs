//! One FETCH response while it is written (RFC 3501 section 7.4.2).
//!
//! Writes item after item, and inside an item block after block, until the output is full or enough of the disk was
//! read, and goes on there in a later step. Owns the open file, and the part tree if an item needs it, so several items share
//! them. What fails here is a disk that fails or a file that was cut while it was read; then nothing true can be said any
//! more in the middle of a response, and the caller ends the connection.

use std::io;
use std::ops::Range;

use super::binary::{self, Decoding, Found};
use super::enabled::Enabled;
use super::parse::fetch::{Binary, Item, Section};
use super::response;
use super::section::{self, Need, Piece};
use super::source::{Extent, Measure, Place, Source, Stream, convert};
use crate::mail::envelope::Envelope;
use crate::mail::part::Tree;
use crate::mail::render::{envelope, structure};
use crate::mail::scan::Scanner;
use crate::mail::{Flags, date, preview};
use crate::wire::Out;

/// Parts of a tree that is kept for the next command: some 30 KB.
const MAX_KEPT_PARTS: usize = 50;

/// See [`Item::ThreadId`].
pub const NO_THREAD: &[u8] = b"THREADID NIL";

/// What a FETCH command wants of every message.
#[derive(Debug)]
pub struct Wanted {
    /// The items, in order.
    pub items: Vec<Item>,
    /// How much of the file they need; `None`: they do not need it.
    pub extent: Option<Extent>,
    /// Does one of them set \Seen?
    pub sets_seen: bool,
    /// Parts that must be decodable, or the message is passed over (RFC 3516 section 4.3).
    pub decoded: Vec<Vec<u32>>,
    /// The client keeps mod-sequences: it is told UID and MODSEQ with flags that this command changed (RFC 7162 3.2.4).
    pub condstore: bool,
    /// The client speaks IMAP4rev2, which looks into message/global as into message/rfc822 (RFC 9051 section 9 media-message).
    pub rev2: bool,
    /// The client has no message numbers (RFC 9586).
    pub uidonly: bool,
}

impl Wanted {
    /// Items of a command. UID is among them if the command is UID FETCH (RFC 3501 6.4.8) and its responses do not begin with it
    /// (RFC 9586 section 3.3).
    pub fn new(mut items: Vec<Item>, by_uid: bool, enabled: Enabled) -> Wanted {
        let Enabled { condstore, rev2, uidonly, .. } = enabled;
        if by_uid && !uidonly && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let extent = items.iter().filter_map(extent).max();
        let sets_seen = items.iter().any(|item| match item {
            Item::Section(section) => !section.peek,
            Item::Binary(binary) => !binary.peek,
            _ => false,
        });
        let decoded = items.iter().filter_map(|item| match item {
            Item::Binary(Binary { path, .. }) | Item::BinarySize(path) if !path.is_empty() => Some(path.clone()),
            _ => None,
        });
        let decoded = decoded.collect();
        Wanted { items, extent, sets_seen, decoded, condstore, rev2, uidonly }
    }
}

fn extent(item: &Item) -> Option<Extent> {
    match item {
        Item::Flags | Item::InternalDate | Item::Size | Item::Uid => None,
        Item::Modseq | Item::SaveDate | Item::EmailId | Item::ThreadId => None,
        Item::Envelope => Some(Extent::Header),
        Item::Section(section) => Some(match (section::need(section), &section.what) {
            (Need::Header, what) if *what != super::parse::fetch::What::Text => Extent::Header,
            _ => Extent::All,
        }),
        Item::Body | Item::BodyStructure | Item::Preview { .. } => Some(Extent::All),
        Item::Binary(_) | Item::BinarySize(_) => Some(Extent::All),
    }
}

/// What is known of the message without its file.
#[derive(Debug)]
pub struct Facts {
    /// Message number.
    pub number: u32,
    /// UID.
    pub uid: u32,
    /// System flags.
    pub flags: Flags,
    /// \Recent in this session?
    pub recent: bool,
    /// Bits of keywords.
    pub keywords: u128,
    /// The flags were changed by this command and must be told (RFC 3501 6.4.5).
    pub tell_flags: bool,
    /// INTERNALDATE, if wanted.
    pub date: i64,
    /// RFC822.SIZE, if wanted.
    pub size: u64,
    /// Mod-sequence.
    pub modseq: u64,
    /// SAVEDATE, if wanted.
    pub saved: Option<i64>,
    /// EMAILID, if wanted.
    pub email_id: String,
}

/// What one response leaves for the next of the same message: clients fetch a big one part by part and slice by
/// slice, and each time would cost a scan of it.
#[derive(Debug)]
pub struct Memory {
    uid: u32,
    size: u64,
    tree: Option<Tree>,
    place: Option<Place>,
    decoded: Option<binary::Place>,
}

/// A response in progress.
pub struct Answer {
    facts: Facts,
    source: Option<Source>,
    tree: Option<Tree>,
    /// Where the last literal ended.
    place: Option<Place>,
    /// The same of a decoded part.
    decoded: Option<binary::Place>,
    /// The next item.
    item: usize,
    work: Work,
    has_begun: bool,
}

/// What goes on inside an item.
enum Work {
    /// Nothing yet.
    Begin,
    /// Looking for parts; the place in the file.
    Scan(Box<Scanner>, u64),
    /// Counting a literal.
    Measure(Range<u64>, Measure),
    /// Sending a literal.
    Stream(Stream),
    /// Decoding a part.
    Decode(Box<Decoding>),
}

/// What [`Answer::check`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Look on.
    Unknown,
    /// The response can be given.
    Good,
    /// A part's encoding is not known.
    Undecodable,
}

impl Answer {
    /// A response to be given. `source` must be there if [`Wanted::extent`] says so.
    pub fn new(facts: Facts, source: Option<Source>, memory: Option<Memory>) -> Answer {
        let size = source.as_ref().map(Source::size);
        let same = memory.filter(|memory| memory.uid == facts.uid && Some(memory.size) == size);
        let (tree, place, decoded) = same.map_or((None, None, None), |m| (m.tree, m.place, m.decoded));
        Answer { facts, source, tree, place, decoded, item: 0, work: Work::Begin, has_begun: false }
    }

    /// Bytes of the file that were read to begin with.
    pub fn read(&self) -> u64 {
        self.source.as_ref().map_or(0, Source::read_so_far)
    }

    /// Was anything written?
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Before anything is written: can all be given? Reads a block of the file if that must be known.
    pub fn check(&mut self, wanted: &Wanted, budget: &mut u64) -> io::Result<Check> {
        if !wanted.decoded.is_empty() && self.tree.is_none() {
            let begun = match std::mem::replace(&mut self.work, Work::Begin) {
                Work::Scan(scanner, at) => (scanner, at),
                _ => (Box::new(Scanner::seeing_global(wanted.rev2)), 0),
            };
            self.scan(begun.0, begun.1, budget)?;
            return Ok(Check::Unknown);
        }
        let Some(source) = &self.source else { return Ok(Check::Good) };
        let find = |path: &Vec<u32>| binary::find(path, source, self.tree.as_ref());
        let undecodable = wanted.decoded.iter().any(|path| find(path) == Found::Undecodable);
        Ok(if undecodable { Check::Undecodable } else { Check::Good })
    }

    /// What is told of the message; to be changed before it begins.
    pub fn facts(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Begin to write.
    pub fn begin_response(&mut self, wanted: &Wanted, out: &mut Out) {
        response::fetch_head(out.buffer(), self.facts.number, self.facts.uid, wanted.uidonly);
        self.has_begun = true;
    }

    /// What is worth keeping when the response is complete: of a big message with few parts, so that an idle session owns little.
    pub fn into_memory(self) -> Option<Memory> {
        let source = self.source.filter(|source| !source.is_small())?;
        let tree = self.tree.filter(|tree| tree.parts().len() <= MAX_KEPT_PARTS);
        Some(Memory { uid: self.facts.uid, size: source.size(), tree, place: self.place, decoded: self.decoded })
    }

    /// Go on. Returns whether the response is complete. `names` are the keywords that the client knows.
    pub fn step(&mut self, wanted: &Wanted, names: &[String], out: &mut Out, budget: &mut u64) -> io::Result<bool> {
        while let Some(item) = wanted.items.get(self.item) {
            if out.full() || *budget == 0 {
                return Ok(false);
            }
            self.go_on(wanted, item, names, out, budget)?;
        }
        if self.facts.tell_flags {
            self.tell_flags(wanted, names, out);
        }
        out.line(")");
        Ok(true)
    }

    /// A piece of an item: what one block of the file gives.
    fn go_on(
        &mut self,
        wanted: &Wanted,
        item: &Item,
        names: &[String],
        out: &mut Out,
        budget: &mut u64,
    ) -> io::Result<()> {
        let done = match (std::mem::replace(&mut self.work, Work::Begin), item, &self.source) {
            (Work::Begin, _, _) => {
                *budget = budget.saturating_sub(self.cost(item));
                self.begin(wanted, item, names, out)?
            }
            (Work::Scan(scanner, at), _, Some(_)) => {
                self.scan(scanner, at, budget)?;
                false
            }
            (Work::Decode(mut decoding), _, Some(source)) => {
                let end = decoding.step(source, out, budget)?;
                if end.is_none() {
                    self.work = Work::Decode(decoding);
                }
                let done = end.is_some();
                self.decoded = end.or(self.decoded.take());
                done
            }
            (Work::Measure(range, mut measure), Item::Section(section), Some(source)) => {
                match measure.step(source, budget)? {
                    Some(wire) => self.send(section, range, wire, out),
                    None => self.work = Work::Measure(range, measure),
                }
                false
            }
            (Work::Stream(mut stream), _, Some(source)) => {
                let end = stream.step(source, out, budget)?;
                if end.is_none() {
                    self.work = Work::Stream(stream);
                }
                let done = end.is_some();
                self.place = end.or(self.place.take());
                done
            }
            // Nothing scans, measures or sends without a file.
            (Work::Scan(..) | Work::Measure(..) | Work::Stream(_) | Work::Decode(_), _, _) => true,
        };
        self.item += usize::from(done);
        Ok(())
    }

    /// What an item costs that is given in one go, in bytes read.
    fn cost(&self, item: &Item) -> u64 {
        match (item, &self.source) {
            (Item::Section(section), Some(source)) => section::cost(section, source, self.tree.as_ref()),
            (Item::Envelope, Some(source)) => source.header().0.len() as u64,
            _ => 0,
        }
    }

    /// Look for parts in the next block.
    fn scan(&mut self, mut scanner: Box<Scanner>, at: u64, budget: &mut u64) -> io::Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut buffer = Vec::new();
        let block = source.block(at, source.size(), &mut buffer)?;
        scanner.push(block);
        *budget = budget.saturating_sub(block.len() as u64);
        if block.is_empty() {
            self.tree = Some(scanner.finish());
        } else {
            self.work = Work::Scan(scanner, at + block.len() as u64);
        }
        Ok(())
    }

    /// Begin an item. Returns whether it is complete; else `self.work` says what is to be done.
    fn begin(&mut self, wanted: &Wanted, item: &Item, names: &[String], out: &mut Out) -> io::Result<bool> {
        let need = match item {
            Item::Section(section) => section::need(section),
            Item::Envelope => Need::Header,
            Item::Body | Item::BodyStructure | Item::Preview { .. } => Need::Tree,
            Item::Flags | Item::InternalDate | Item::Size | Item::Uid => Need::File,
            Item::Modseq | Item::SaveDate | Item::EmailId | Item::ThreadId => Need::File,
            Item::Binary(Binary { path, .. }) | Item::BinarySize(path) if path.is_empty() => Need::File,
            Item::Binary(_) | Item::BinarySize(_) => Need::Tree,
        };
        if self.must_scan(need)? {
            self.work = Work::Scan(Box::new(Scanner::seeing_global(wanted.rev2)), 0);
            return Ok(false);
        }
        if self.item > 0 {
            out.put(" ");
        }
        match item {
            Item::Flags => self.flags(names, out),
            Item::Uid => out.put(format!("UID {}", self.facts.uid)),
            Item::InternalDate => out.put(format!("INTERNALDATE \"{}\"", date::imap(self.facts.date))),
            Item::Size => out.put(format!("RFC822.SIZE {}", self.facts.size)),
            Item::Modseq => out.put(format!("MODSEQ ({})", self.facts.modseq)),
            Item::SaveDate => match self.facts.saved {
                Some(saved) => out.put(format!("SAVEDATE \"{}\"", date::imap(saved))),
                None => out.put("SAVEDATE NIL"),
            },
            Item::EmailId => out.put(format!("EMAILID ({})", self.facts.email_id)),
            // RFC 8474 5.2: NIL for all where nothing is computed. An id may never change once told, and which messages belong together
            // is only known when the last of them has come.
            Item::ThreadId => out.put(NO_THREAD),
            Item::Envelope => self.envelope(out),
            Item::Body => self.structure("BODY ", false, out),
            Item::BodyStructure => self.structure("BODYSTRUCTURE ", true, out),
            Item::Preview { .. } => self.preview(out)?,
            Item::Section(section) => return self.section(section, out),
            Item::Binary(binary) => return Ok(self.binary(binary, out)),
            Item::BinarySize(path) => return Ok(self.binary_size(path, out)),
        }
        Ok(true)
    }

    /// Is the part tree needed and not there? A header whose end is not in memory needs it too.
    fn must_scan(&mut self, need: Need) -> io::Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        if self.tree.is_some() || need == Need::File {
            return Ok(false);
        }
        source.read_header()?;
        Ok(need == Need::Tree || !source.header().1)
    }

    /// What this command changed, as far as it is not among the items.
    fn tell_flags(&self, wanted: &Wanted, names: &[String], out: &mut Out) {
        let lacks = |item| !wanted.items.contains(&item);
        if lacks(Item::Flags) {
            out.put(" ");
            self.flags(names, out);
        }
        if wanted.condstore && !wanted.uidonly && lacks(Item::Uid) {
            out.put(format!(" UID {}", self.facts.uid));
        }
        if wanted.condstore && lacks(Item::Modseq) {
            out.put(format!(" MODSEQ ({})", self.facts.modseq));
        }
    }

    fn flags(&self, names: &[String], out: &mut Out) {
        out.put("FLAGS ");
        response::flags(out.buffer(), self.facts.flags, self.facts.recent, self.facts.keywords, names);
    }

    fn envelope(&self, out: &mut Out) {
        out.put("ENVELOPE ");
        match (self.tree.as_ref().and_then(|tree| tree.root().envelope.as_deref()), &self.source) {
            (Some(known), _) => envelope::write(out.buffer(), known),
            (None, source) => {
                let header = source.as_ref().map_or(&[][..], |source| source.header().0);
                envelope::write(out.buffer(), &Envelope::parse(header));
            }
        }
    }

    fn structure(&self, label: &str, extended: bool, out: &mut Out) {
        if let Some(tree) = &self.tree {
            out.put(label);
            structure::write(out.buffer(), tree, tree.root(), extended);
        }
    }

    /// RFC 8970; empty where there is no text to show (section 3.2).
    fn preview(&self, out: &mut Out) -> io::Result<()> {
        let mut text = String::new();
        if let (Some(source), Some(tree)) = (&self.source, &self.tree)
            && let Some((part, is_html)) = preview::part(tree)
        {
            let range = part.body.range();
            let end = range.end.min(range.start + preview::MAX_READ);
            text = preview::of_part(part, is_html, &source.bytes(range.start..end)?, end == range.end);
        }
        out.put("PREVIEW ");
        response::string(out.buffer(), text.as_bytes());
        Ok(())
    }

    fn section(&mut self, section: &Section, out: &mut Out) -> io::Result<bool> {
        let Some(source) = &self.source else { return Ok(true) };
        let piece = section::find(section, source, self.tree.as_ref())?;
        section::label(out.buffer(), section);
        match piece {
            Piece::Nothing => {
                out.put(" NIL");
                Ok(true)
            }
            Piece::Text(text) => {
                let (skip, left) = window(section, text.len() as u64);
                out.put(format!(" {{{left}}}\r\n"));
                // In memory, so the numbers fit.
                out.put(text.iter().skip(skip as usize).take(left as usize).copied().collect::<Vec<u8>>());
                Ok(true)
            }
            Piece::Range(range, _) if section.partial.is_none() && source.in_memory(&range).is_some() => {
                // Most mail: converted once, not counted first.
                let bytes = source.in_memory(&range).unwrap_or_default();
                response::literal(out.buffer(), |out| convert(bytes, false, out));
                Ok(true)
            }
            Piece::Range(range, Some(wire)) => {
                self.send(section, range, wire, out);
                Ok(false)
            }
            Piece::Range(range, None) => {
                let enough = section.partial.map_or(u64::MAX, |(first, count)| first.saturating_add(count));
                self.work = Work::Measure(range.clone(), Measure::new(range, enough, self.place.as_ref()));
                Ok(false)
            }
        }
    }

    /// A decoded part. Returns whether it is complete.
    fn binary(&mut self, item: &Binary, out: &mut Out) -> bool {
        let Some(source) = &self.source else { return true };
        binary::label(out, "BINARY", &item.path, item.partial.map(|(first, _)| first));
        let wanted = binary::wanted(item);
        match binary::find(&item.path, source, self.tree.as_ref()) {
            Found::Part(part) => match part.clone().decode(source) {
                // Most mail: decoded once, not counted first.
                Some(all) => {
                    let cut = |at: u64| at.min(all.len() as u64) as usize;
                    let data = &all[cut(wanted.start)..cut(wanted.end)];
                    binary::announce(out, data.len() as u64, data.contains(&0));
                    out.put(data);
                    true
                }
                None => {
                    self.work = Work::Decode(Box::new(Decoding::new(part, wanted, self.decoded.as_ref())));
                    false
                }
            },
            // What cannot be decoded was refused by `check`.
            Found::Nothing | Found::Undecodable => {
                out.put(" NIL");
                true
            }
        }
    }

    /// The size of a decoded part: 0 if there is none, as BINARY has NIL then. Returns whether it is complete.
    fn binary_size(&mut self, path: &[u32], out: &mut Out) -> bool {
        let Some(source) = &self.source else { return true };
        binary::label(out, "BINARY.SIZE", path, None);
        match binary::find(path, source, self.tree.as_ref()) {
            Found::Part(part) => {
                self.work = Work::Decode(Box::new(Decoding::size(part)));
                false
            }
            Found::Nothing | Found::Undecodable => {
                out.put(" 0");
                true
            }
        }
    }

    /// The size of a literal is known: tell it, and send what was asked for.
    fn send(&mut self, section: &Section, range: Range<u64>, wire: u64, out: &mut Out) {
        let (skip, left) = window(section, wire);
        out.put(format!(" {{{left}}}\r\n"));
        self.work = Work::Stream(Stream::new(range, skip..skip + left, self.place.as_ref()));
    }
}

/// First byte and number of bytes to send of `wire`. What lies beyond the end is empty (RFC 3501 section 6.4.5).
fn window(section: &Section, wire: u64) -> (u64, u64) {
    let (first, count) = section.partial.unwrap_or((0, u64::MAX));
    let skip = wire.min(first);
    (skip, count.min(wire - skip))
}

#[cfg(test)]
mod tests;
