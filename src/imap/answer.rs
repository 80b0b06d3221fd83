//! One FETCH response while it is written (RFC 3501 section 7.4.2).
//!
//! Writes item after item, and inside an item block after block, until the output is full or enough of the disk was
//! read, and goes on there in a later step. Owns the open file, and the part tree if an item needs it, so several items share
//! them. What fails here is a disk that fails or a file that was cut while it was read; then nothing true can be said any
//! more in the middle of a response, and the caller ends the connection.

use std::io;
use std::ops::Range;

use super::parse::fetch::{Item, Section};
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
    /// The client keeps mod-sequences: it is told UID and MODSEQ with flags that this command changed (RFC 7162 3.2.4).
    pub condstore: bool,
    /// The client speaks IMAP4rev2, which looks into message/global as into message/rfc822 (RFC 9051 section 9 media-message).
    pub rev2: bool,
}

impl Wanted {
    /// Items of a command; UID is among them if the command is UID FETCH (RFC 3501 6.4.8).
    pub fn new(mut items: Vec<Item>, by_uid: bool) -> Wanted {
        if by_uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let extent = items.iter().filter_map(extent).max();
        let sets_seen = items.iter().any(|item| matches!(item, Item::Section(section) if !section.peek));
        Wanted { items, extent, sets_seen, condstore: false, rev2: false }
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
}

/// A response in progress.
pub struct Answer {
    facts: Facts,
    source: Option<Source>,
    tree: Option<Tree>,
    /// Where the last literal ended.
    place: Option<Place>,
    /// The next item.
    item: usize,
    work: Work,
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
}

impl Answer {
    /// Begin the response. `source` must be there if [`Wanted::extent`] says so.
    pub fn new(facts: Facts, source: Option<Source>, memory: Option<Memory>, out: &mut Out) -> Answer {
        out.put(format!("* {} FETCH (", facts.number));
        let size = source.as_ref().map(Source::size);
        let same = memory.filter(|memory| memory.uid == facts.uid && Some(memory.size) == size);
        let (tree, place) = same.map_or((None, None), |memory| (memory.tree, memory.place));
        Answer { facts, source, tree, place, item: 0, work: Work::Begin }
    }

    /// What is worth keeping when the response is complete: of a big message with few parts, so that an idle session owns little.
    pub fn into_memory(self) -> Option<Memory> {
        let source = self.source.filter(|source| !source.is_small())?;
        let tree = self.tree.filter(|tree| tree.parts().len() <= MAX_KEPT_PARTS);
        Some(Memory { uid: self.facts.uid, size: source.size(), tree, place: self.place })
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
            (Work::Begin, _, _) => self.begin(wanted, item, names, out)?,
            (Work::Scan(scanner, at), _, Some(source)) => {
                let mut buffer = Vec::new();
                let (mut scanner, block) = (scanner, source.block(at, source.size(), &mut buffer)?);
                scanner.push(block);
                *budget = budget.saturating_sub(block.len() as u64);
                if block.is_empty() {
                    self.tree = Some(scanner.finish());
                } else {
                    self.work = Work::Scan(scanner, at + block.len() as u64);
                }
                false
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
            (Work::Scan(..) | Work::Measure(..) | Work::Stream(_), _, _) => true,
        };
        self.item += usize::from(done);
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
        if wanted.condstore && lacks(Item::Uid) {
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
                let enough = section.partial.map_or(u64::MAX, |(first, count)| first + count);
                self.work = Work::Measure(range.clone(), Measure::new(range, enough, self.place.as_ref()));
                Ok(false)
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
