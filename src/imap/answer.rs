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
use super::source::{Extent, Measure, Place, Source, Stream};
use super::{bodystructure, envelope};
use crate::mail::envelope::Envelope;
use crate::mail::part::{Scanner, Tree};
use crate::mail::{Flags, date};
use crate::wire::Out;

/// Parts of a tree that is kept for the next command: some 30 KB.
const MAX_KEPT_PARTS: usize = 50;

/// What a FETCH command wants of every message.
#[derive(Debug)]
pub struct Wanted {
    /// The items, in order.
    pub items: Vec<Item>,
    /// How much of the file they need; `None`: they do not need it.
    pub extent: Option<Extent>,
    /// Does one of them set \Seen?
    pub sets_seen: bool,
}

impl Wanted {
    /// Items of a command; UID is among them if the command is UID FETCH (RFC 3501 6.4.8).
    pub fn new(mut items: Vec<Item>, by_uid: bool) -> Wanted {
        if by_uid && !items.contains(&Item::Uid) {
            items.insert(0, Item::Uid);
        }
        let extent = items.iter().filter_map(extent).max();
        let sets_seen = items.iter().any(|item| matches!(item, Item::Section(section) if !section.peek));
        Wanted { items, extent, sets_seen }
    }
}

fn extent(item: &Item) -> Option<Extent> {
    match item {
        Item::Flags | Item::InternalDate | Item::Size | Item::Uid => None,
        Item::Envelope => Some(Extent::Header),
        Item::Section(section) => Some(match (section::need(section), &section.what) {
            (Need::Header, what) if *what != super::parse::fetch::What::Text => Extent::Header,
            _ => Extent::All,
        }),
        Item::Body | Item::BodyStructure => Some(Extent::All),
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
            self.go_on(item, names, out, budget)?;
        }
        if self.facts.tell_flags && !wanted.items.contains(&Item::Flags) {
            out.put(" ");
            self.flags(names, out);
        }
        out.line(")");
        Ok(true)
    }

    /// A piece of an item: what one block of the file gives.
    fn go_on(&mut self, item: &Item, names: &[String], out: &mut Out, budget: &mut u64) -> io::Result<()> {
        let done = match (std::mem::replace(&mut self.work, Work::Begin), item, &self.source) {
            (Work::Begin, _, _) => self.begin(item, names, out)?,
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
    fn begin(&mut self, item: &Item, names: &[String], out: &mut Out) -> io::Result<bool> {
        let need = match item {
            Item::Section(section) => section::need(section),
            Item::Envelope => Need::Header,
            Item::Body | Item::BodyStructure => Need::Tree,
            Item::Flags | Item::InternalDate | Item::Size | Item::Uid => Need::File,
        };
        if self.must_scan(need)? {
            self.work = Work::Scan(Box::default(), 0);
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
            Item::Envelope => self.envelope(out),
            Item::Body => self.structure("BODY ", false, out),
            Item::BodyStructure => self.structure("BODYSTRUCTURE ", true, out),
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
            bodystructure::write(out.buffer(), tree, tree.root(), extended);
        }
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
            Piece::Range(range, Some(wire)) => {
                self.send(section, range, wire, out);
                Ok(false)
            }
            Piece::Range(range, None) => {
                let enough = section.partial.map_or(u64::MAX, |(first, count)| u64::from(first) + u64::from(count));
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
    let (first, count) = section.partial.map_or((0, u64::MAX), |(first, count)| (first.into(), count.into()));
    let skip = wire.min(first);
    (skip, count.min(wire - skip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;
    use proptest::prelude::*;
    use std::io::Write;

    /// The response to FETCH `items` of `message`, and how many steps it took.
    fn fetch_in_steps(message: &[u8], items: &str, step: u64) -> (String, usize) {
        let fetch = Cursor::new(format!("1 {items}").as_bytes()).fetch().unwrap();
        let wanted = Wanted::new(fetch.items, false);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(message).unwrap();
        let source = wanted.extent.map(|extent| Source::new(file, extent).unwrap());
        let facts = Facts {
            number: 1,
            uid: 7,
            flags: Flags::SEEN,
            recent: true,
            keywords: 2,
            tell_flags: wanted.sets_seen,
            date: 837_571_465,
            size: 99,
        };
        let names = ["a".to_owned(), "Work".to_owned()];
        let (mut sent, mut out, mut steps) = (Vec::new(), Out::new(), 1);
        let mut answer = Answer::new(facts, source, None, &mut out);
        while !answer.step(&wanted, &names, &mut out, &mut step.clone()).unwrap() {
            assert!(out.bytes().len() < 2 * crate::wire::STEP_BYTES);
            sent.extend_from_slice(out.bytes());
            out.clear();
            steps += 1;
        }
        sent.extend_from_slice(out.bytes());
        (String::from_utf8_lossy(&sent).into_owned(), steps)
    }

    #[test]
    fn slices_of_a_part_scan_once() {
        let message =
            format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n\n{}\n--x--\n", "line\n".repeat(100_000));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(message.as_bytes()).unwrap();
        let (mut memory, mut text, mut first_cost, mut read) = (None, Vec::new(), 0, 0);
        while text.len() < 600_000 {
            let item = format!("1 BODY.PEEK[1]<{}.50000>", text.len());
            let wanted = Wanted::new(Cursor::new(item.as_bytes()).fetch().unwrap().items, false);
            let source = Source::new(file.try_clone().unwrap(), Extent::All).unwrap();
            let facts = Facts {
                number: 1,
                uid: 7,
                flags: Flags::NONE,
                recent: false,
                keywords: 0,
                tell_flags: false,
                date: 0,
                size: 0,
            };
            let (mut out, mut budget) = (Out::new(), u64::MAX);
            let mut answer = Answer::new(facts, Some(source), memory.take(), &mut out);
            assert!(answer.step(&wanted, &[], &mut out, &mut budget).unwrap());
            memory = answer.into_memory();
            let start = out.bytes().iter().position(|b| *b == b'\n').unwrap() + 1;
            text.extend_from_slice(&out.bytes()[start..out.bytes().len() - 3]);
            read += u64::MAX - budget;
            first_cost = if first_cost == 0 { read } else { first_cost };
        }
        assert!(text.chunks(6).all(|line| line == b"line\r\n"));
        assert!(first_cost >= 500_000 && read < 4 * first_cost, "first {first_cost}, all {read}");
    }

    /// The value of the one item.
    fn item(message: &str, item: &str) -> String {
        let peek = item.replacen("BODY[", "BODY.PEEK[", 1);
        let (text, _) = fetch_in_steps(message.as_bytes(), &peek, u64::MAX);
        let text = text.strip_prefix("* 1 FETCH (").and_then(|text| text.strip_suffix(")\r\n")).unwrap();
        let name = item.split('<').next().unwrap();
        text.strip_prefix(name).unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    #[test]
    fn without_the_file() {
        let want =
            "* 1 FETCH (FLAGS (\\Seen \\Recent Work) INTERNALDATE \"17-Jul-1996 02:44:25 +0000\" RFC822.SIZE 99)\r\n";
        assert_eq!(fetch_in_steps(b"", "FAST", u64::MAX).0, want);
        assert_eq!(Wanted::new(vec![Item::Flags, Item::Size], true).items, [Item::Uid, Item::Flags, Item::Size]);
        assert_eq!(Wanted::new(vec![Item::Flags], true).extent, None);
        assert_eq!(Wanted::new(vec![Item::Envelope], true).extent, Some(Extent::Header));
    }

    #[test]
    fn pieces_of_a_plain_message() {
        let message = "Subject: plain\nX-A: 1\nx-a: 2\n fold\nY: z\n\nbody\nline2\n";
        let header = "Subject: plain\r\nX-A: 1\r\nx-a: 2\r\n fold\r\nY: z\r\n\r\n";
        let table = [
            ("BODY[]", format!(" {{60}}\r\n{header}body\r\nline2\r\n")),
            ("BODY[HEADER]", format!(" {{47}}\r\n{header}")),
            ("BODY[TEXT]", " {13}\r\nbody\r\nline2\r\n".into()),
            ("BODY[1]", " {13}\r\nbody\r\nline2\r\n".into()),
            ("BODY[1.MIME]", format!(" {{47}}\r\n{header}")),
            ("BODY[1.HEADER]", " NIL".into()),
            ("BODY[1.1]", " NIL".into()),
            ("BODY[2]", " NIL".into()),
            ("BODY[HEADER.FIELDS (y X-A)]", " {31}\r\nX-A: 1\r\nx-a: 2\r\n fold\r\nY: z\r\n\r\n".into()),
            ("BODY[HEADER.FIELDS (none)]", " {2}\r\n\r\n".into()),
            ("BODY[HEADER.FIELDS.NOT (Subject x-a)]", " {8}\r\nY: z\r\n\r\n".into()),
            ("BODY[HEADER.FIELDS (Subject)]<8.7>", "<8> {7}\r\n plain\r".into()),
            ("BODY[]<0.5>", "<0> {5}\r\nSubje".into()),
            ("BODY[]<45.6>", "<45> {6}\r\n\r\nbody".into()),
            ("BODY[]<58.10>", "<58> {2}\r\n\r\n".into()),
            ("BODY[]<60.10>", "<60> {0}\r\n".into()),
            ("BODY[TEXT]<4294967295.4294967295>", "<4294967295> {0}\r\n".into()),
            ("BODY[1]<5.3>", "<5> {3}\r\n\nli".into()),
        ];
        for (name, want) in table {
            assert_eq!(item(message, name), want, "{name}");
        }
    }

    #[test]
    fn pieces_of_a_multipart() {
        let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-ID: c1\n\na1\n\
            --x\nContent-Type: message/rfc822\nContent-ID: c2\n\nSubject: in\nX: y\n\nb2\nb3\n--x--\n";
        let table = [
            ("BODY[1]", " {2}\r\na1"),
            ("BODY[1.MIME]", " {18}\r\nContent-ID: c1\r\n\r\n"),
            ("BODY[1.TEXT]", " NIL"),
            ("BODY[2]", " {27}\r\nSubject: in\r\nX: y\r\n\r\nb2\r\nb3"),
            ("BODY[2.MIME]", " {48}\r\nContent-Type: message/rfc822\r\nContent-ID: c2\r\n\r\n"),
            ("BODY[2.HEADER]", " {21}\r\nSubject: in\r\nX: y\r\n\r\n"),
            ("BODY[2.TEXT]", " {6}\r\nb2\r\nb3"),
            ("BODY[2.HEADER.FIELDS (Subject)]", " {15}\r\nSubject: in\r\n\r\n"),
            ("BODY[2.1]", " {6}\r\nb2\r\nb3"),
            ("BODY[2.1.MIME]", " {21}\r\nSubject: in\r\nX: y\r\n\r\n"),
            ("BODY[3]", " NIL"),
        ];
        for (name, want) in table {
            assert_eq!(item(message, name), want, "{name}");
        }
    }

    #[test]
    fn seen_is_told_with_the_message() {
        assert!(
            fetch_in_steps(b"a: b\n\nc", "BODY[TEXT]", u64::MAX)
                .0
                .ends_with("{1}\r\nc FLAGS (\\Seen \\Recent Work))\r\n")
        );
        let both = fetch_in_steps(b"a: b\n\nc", "(RFC822.TEXT FLAGS)", u64::MAX).0;
        assert_eq!(both, "* 1 FETCH (RFC822.TEXT {1}\r\nc FLAGS (\\Seen \\Recent Work))\r\n");
    }

    #[test]
    fn big_messages_come_in_steps() {
        let message = format!("Subject: x\n\n{}", "0123456789\n".repeat(400_000));
        let (text, steps) = fetch_in_steps(message.as_bytes(), "(BODYSTRUCTURE BODY.PEEK[])", 1 << 20);
        assert!(steps > 10, "{steps}");
        assert!(text.starts_with(
            "* 1 FETCH (BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 4800000 400000 "
        ));
        assert!(text.contains(" BODY[] {4800014}\r\nSubject: x\r\n\r\n0123456789\r\n"));
        assert_eq!(text.matches("0123456789\r\n").count(), 400_000);
        assert!(text.ends_with("9\r\n)\r\n"));
    }

    #[test]
    fn a_header_longer_than_any_limit_is_sent_whole() {
        let message = format!("X: {}\nSubject: s\n\nbody\n", "y".repeat(crate::mail::part::MAX_HEADER));
        let size = message.len() + 4;
        assert!(item(&message, "BODY[HEADER]").starts_with(&format!(" {{{}}}\r\nX: yyy", size - 6)));
        assert_eq!(item(&message, "BODY[TEXT]"), " {6}\r\nbody\r\n");
    }

    #[test]
    fn a_hundred_thousand_nested_messages() {
        let message = "Content-Type: message/rfc822\n\n".repeat(100_000);
        let text = item(&message, "BODYSTRUCTURE");
        assert_eq!(text.matches("\"rfc822\"").count(), crate::mail::part::MAX_DEPTH - 1);
        let deep = format!("BODY[{}1]", "1.".repeat(50));
        assert!(item(&message, &deep).ends_with("Content-Type: message/rfc822\r\n\r\n"));
    }

    proptest! {
        /// Every literal has the size that it claims, in whatever steps.
        #[test]
        fn literals_are_true(
            message in "(Content-Type: multipart/mixed; boundary=x\n\n)?[ab:x\\-\r\n\0]{0,60}",
            name in prop::sample::select(vec![
                "BODY[]", "BODY[TEXT]", "BODY[HEADER]", "BODY[1]", "BODY[1.MIME]", "BODY[HEADER.FIELDS (a)]",
                "BODY[]<3.9>", "BODY[TEXT]<1.4>", "BODY[1]<2.2>",
            ]),
        ) {
            let value = item(&message, name);
            if let Some((_, literal)) = value.split_once('{') {
                let (size, bytes) = literal.split_once("}\r\n").unwrap();
                // 0x80 became U+FFFD, which has three bytes.
                prop_assert_eq!(size.parse::<usize>().unwrap(), bytes.replace('\u{fffd}', "0").len());
            } else {
                prop_assert!(value.ends_with(" NIL"));
            }
        }
    }
}
