//! Looks for strings in the body of a message, for SEARCH BODY and TEXT.
//!
//! A message that is in memory is looked through in one go ([`whole`]). Of a bigger one a [`Hunt`]
//! reads the file twice by blocks: once for its parts, once for its texts, which are decoded and searched as they
//! come. BODY looks into texts and into the headers of messages inside the message; TEXT also into the headers of parts
//! (RFC 9051 section 6.4.4). Other data are passed over unread. Memory: the part tree, a decoded block, and as much of the block before as the longest string.

use std::io;
use std::ops::Range;

use super::search::{HeaderText, Inside, Known, Program};
use super::source::Source;
use crate::mail::part::{Part, Shape, Tree};
use crate::mail::scan::{MAX_HEADER, Scanner};
use crate::mail::text::{self, Decoder};

/// A hunt in progress.
pub struct Hunt {
    state: State,
}

enum State {
    /// Looking for parts; the place in the file.
    Scan(Box<Scanner>, u64),
    /// Searching; the part.
    Search(Tree, usize, Option<Reading>),
}

/// A text part that is being read.
struct Reading {
    at: u64,
    end: u64,
    decoder: Decoder,
    /// The end of what was searched, and what was decoded since.
    window: String,
}

impl Default for Hunt {
    fn default() -> Self {
        Hunt { state: State::Scan(Box::new(Scanner::without_envelopes()), 0) }
    }
}

impl Hunt {
    /// Go on for a block. Returns whether all is known: tests that found nothing are false then.
    pub fn step(
        &mut self,
        source: &Source,
        program: &Program,
        known: &mut Known,
        budget: &mut u64,
    ) -> io::Result<bool> {
        let mut buffer = Vec::new();
        match &mut self.state {
            State::Scan(scanner, at) => {
                let block = source.block(*at, source.size(), &mut buffer)?;
                scanner.push(block);
                *at += block.len() as u64;
                *budget = budget.saturating_sub(block.len() as u64);
                if block.is_empty() {
                    let scanner = std::mem::replace(scanner, Box::new(Scanner::without_envelopes()));
                    self.state = State::Search(scanner.finish(), 0, None);
                }
                return Ok(false);
            }
            State::Search(tree, index, reading) => match tree.parts().get(*index) {
                None => {
                    give_up(program, known);
                    return Ok(true);
                }
                Some(part) => match reading {
                    None => {
                        if *index > 0 {
                            let range = header_of(part);
                            find_in_header(part, &source.bytes(range)?, program, known);
                        }
                        // So that 10,000 parts without a text take their steps too.
                        *budget = budget.saturating_sub(1024);
                        *reading = Reading::of(part);
                        *index += usize::from(reading.is_none());
                    }
                    Some(text) => {
                        let block = source.block(text.at, text.end, &mut buffer)?;
                        *budget = budget.saturating_sub(block.len() as u64 * program.weight());
                        if text.search(block, program, known) {
                            *reading = None;
                            *index += 1;
                        }
                    }
                },
            },
        }
        Ok(program.judge(known).is_some())
    }
}

/// Look through a message. All is known then.
pub fn whole(message: &[u8], program: &Program, known: &mut Known) {
    program.glance(message, known);
    if program.judge(known).is_some() {
        return;
    }
    let tree = Tree::without_envelopes(message);
    let piece = |range: Range<u64>| {
        let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        range.and_then(|(start, end)| message.get(start..end)).unwrap_or_default()
    };
    for (index, part) in tree.parts().iter().enumerate() {
        if index > 0 {
            find_in_header(part, piece(header_of(part)), program, known);
        }
        if let Some(decoder) = decoder_of(part) {
            find(&decoder.whole(piece(part.body.range())), program, known);
        }
        if program.judge(known).is_some() {
            return;
        }
    }
    give_up(program, known);
}

/// Tests that found nothing are false.
fn give_up(program: &Program, known: &mut Known) {
    let left: Vec<usize> = program.undecided(known, Inside::Body).map(|(n, _)| n).collect();
    left.into_iter().for_each(|n| known[n] = Some(false));
}

/// Where the header of a part is, as far as it is looked at.
fn header_of(part: &Part) -> Range<u64> {
    let Range { start, end } = part.header.range();
    start..end.min(start + MAX_HEADER as u64)
}

/// Search the header of a part. That of a message inside the message is what the outer one's body holds, so BODY finds it.
fn find_in_header(part: &Part, header: &[u8], program: &Program, known: &mut Known) {
    let inside = if part.is_message() { Inside::Body } else { Inside::Header };
    let mut text = HeaderText::new(header);
    let mut names = None;
    let found: Vec<usize> = program
        .undecided(known, inside)
        .filter(|(_, needle)| text.has(needle) || needle.is_in(names.get_or_insert_with(|| names_of(part))))
        .map(|(n, _)| n)
        .collect();
    found.into_iter().for_each(|n| known[n] = Some(true));
}

/// Names of a part that its header may have encoded by RFC 2231, as a reader sees them.
fn names_of(part: &Part) -> String {
    let content = &part.content;
    let media = content.media.iter().flat_map(|media| &media.params);
    let params = media.chain(content.disposition.iter().flat_map(|disposition| &disposition.params));
    let names = params.filter(|param| param.name.to_ascii_lowercase().windows(4).any(|part| part == b"name"));
    names.map(|param| text::of_param(param) + "\n").collect()
}

/// What undoes the encoding of a part, if it is a text; so are delivery reports and the like, which are `message/...`.
fn decoder_of(part: &Part) -> Option<Decoder> {
    let media = part.content.media.as_ref();
    let is_text = media.is_none_or(|media| media.is_kind("text") || media.is_kind("message"));
    if part.shape != Shape::Leaf || !is_text {
        return None;
    }
    let charset = media.and_then(|media| media.param("charset"));
    Some(Decoder::new(part.content.encoding.as_deref(), charset))
}

impl Reading {
    /// Begin to read a part, if it is a text.
    fn of(part: &Part) -> Option<Reading> {
        let (decoder, range) = (decoder_of(part)?, part.body.range());
        Some(Reading { at: range.start, end: range.end, decoder, window: String::new() })
    }

    /// Search the next block. Returns whether it was the last.
    fn search(&mut self, block: &[u8], program: &Program, known: &mut Known) -> bool {
        self.at += block.len() as u64;
        // A file that was cut meanwhile ends early.
        let last = block.is_empty() || self.at >= self.end;
        self.decoder.push(block, last, &mut self.window);
        find(&self.window, program, known);
        let keep = program.undecided(known, Inside::Body).map(|(_, needle)| needle.reach()).max().unwrap_or(0);
        let mut cut = self.window.len().saturating_sub(keep);
        while !self.window.is_char_boundary(cut) {
            cut -= 1;
        }
        self.window.drain(..cut);
        last
    }
}

/// Make the tests that find their string in `text`.
fn find(text: &str, program: &Program, known: &mut Known) {
    let found: Vec<usize> =
        program.undecided(known, Inside::Body).filter(|(_, needle)| needle.is_in(text)).map(|(n, _)| n).collect();
    found.into_iter().for_each(|n| known[n] = Some(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::parse::Cursor;
    use crate::imap::search::text_of_header;
    use crate::imap::source::Extent;
    use crate::imap::view::View;
    use crate::mail::casemap;
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    fn matches(search: &str, message: &[u8]) -> bool {
        let program = Program::new(Cursor::new(search.as_bytes()).search().unwrap(), &View::of(&[1]), &[]).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(message).unwrap();
        let source = Source::new(file, Extent::All).unwrap();
        let mut known = program.nothing_known();
        program.look_at_header(source.header().0, &mut known);
        let (mut hunt, mut budget) = (Hunt::default(), u64::MAX);
        let mut at_once = known.clone();
        while program.judge(&known).is_none() {
            hunt.step(&source, &program, &mut known, &mut budget).unwrap();
        }
        if program.judge(&at_once).is_none() {
            whole(message, &program, &mut at_once);
        }
        assert_eq!(program.judge(&at_once), program.judge(&known), "whole and by blocks: {search}");
        program.judge(&known).unwrap()
    }

    #[test]
    fn bodies() {
        let message = "Subject: outer\nContent-Type: multipart/mixed; boundary=x\n\npreamble\n--x\n\
            Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe an al=\nle\n\
            --x\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nPHA+SGVsbG8gV29ybGQ8L3A+\n\
            --x\nContent-Type: image/png; name=\"holiday.png\"\n\nsecretbytes\n\
            --x\nContent-Type: message/delivery-status\n\nFinal-Recipient: x\n\
            --x\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?inn=C3=A9r?=\n\ninner text\n--x--\n";
        let table = [
            ("BODY \"GRÜßE AN ALLE\"", true),
            ("BODY \"hello world\"", true),
            ("BODY secretbytes", false),
            ("BODY holiday.png", false),
            ("TEXT holiday.png", true),
            ("TEXT image/png", true),
            ("TEXT \"quoted-printable\"", true),
            ("NOT TEXT \"image/gif\"", true),
            ("BODY \"innér\"", true),
            ("BODY \"INNER TEXT\"", true),
            ("BODY outer", false),
            ("BODY quoted-printable", false),
            ("BODY \"final-recipient: x\"", true),
            ("TEXT outer", true),
            ("TEXT \"hello world\"", true),
            ("TEXT \"hello\" BODY \"inner\"", true),
            ("TEXT hello BODY nothing", false),
            ("OR BODY nothing BODY hello", true),
            ("NOT BODY nothing", true),
            ("BODY \"\"", true),
        ];
        for (search, want) in table {
            assert_eq!(matches(search, message.as_bytes()), want, "{search}");
        }
    }

    #[test]
    fn strings_across_blocks() {
        for shift in 0..8 {
            let mut message = format!("A: b\n\n{}", "é".repeat(shift)).into_bytes();
            message.extend(std::iter::repeat_n(b'.', 200_000));
            for at in [128 * 1024 - 4, 192 * 1024 - 4] {
                let text = "nädel".as_bytes();
                message[at..at + text.len()].copy_from_slice(text);
            }
            assert!(matches("BODY \"NÄDEL.\"", &message));
            message[128 * 1024 - 4] = b'x';
            assert!(matches("BODY \"nÄdel..\"", &message));
            message[192 * 1024 - 4] = b'x';
            assert!(!matches("BODY \"nädel\"", &message));
        }
    }

    /// What a reader sees of a message: everything decoded and folded, and no short way taken.
    fn slowly(needle: &str, everywhere: bool, message: &[u8]) -> bool {
        let (needle, tree) = (casemap::folded(needle), Tree::of(message));
        let piece = |range: Range<u64>| &message[range.start as usize..range.end as usize];
        let seen = tree.parts().iter().enumerate().flat_map(|(index, part)| {
            let mut texts = Vec::new();
            if everywhere || index > 0 && part.is_message() {
                texts.push(text_of_header(piece(header_of(part))));
            }
            if index > 0 && (everywhere || part.is_message()) {
                texts.push(names_of(part));
            }
            if let Some(mut decoder) = decoder_of(part) {
                let mut text = String::new();
                piece(part.body.range()).chunks(999).for_each(|block| decoder.push(block, false, &mut text));
                decoder.push(b"", true, &mut text);
                texts.push(text);
            }
            texts
        });
        let mut seen = seen.map(|text| casemap::folded(&text));
        seen.any(|text| text.contains(&needle))
    }

    /// Real messages, of a size that folding them again and again takes no minutes.
    fn corpus() -> Vec<Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let files = ["corpus", "messages"].into_iter().flat_map(|dir| fs::read_dir(root.join(dir)).unwrap());
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).filter(|message| message.len() < 10_000).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// A piece of a message as it lies or as it is read, its letters changed, is found or not as the slow way finds it.
        #[test]
        fn as_the_slow_way(which in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
                           at in any::<prop::sample::Index>(), len in 1_usize..14, capitals in any::<bool>()) {
            let corpus = corpus();
            let (message, other) = (which.get(&corpus), other.get(&corpus));
            for from in [message, other] {
                let tree = Tree::of(from);
                let part = at.get(tree.parts());
                let body = &from[part.body.range().start as usize..part.body.range().end as usize];
                let mut text = String::from_utf8_lossy(from).into_owned();
                text.extend(decoder_of(part).map(|decoder| decoder.whole(body).into_owned()));
                let chars: Vec<char> = text.chars().collect();
                let start = at.index(chars.len().max(1));
                let needle: String = chars.iter().skip(start).take(len).collect();
                let needle = if capitals { needle.to_uppercase() } else { needle };
                if needle.contains('\0') {
                    continue;
                }
                for (key, everywhere) in [("TEXT", true), ("BODY", false)] {
                    let search = format!("{key} {{{}}}\r\n{needle}", needle.len());
                    prop_assert_eq!(matches(&search, message), slowly(&needle, everywhere, message), "{}", search);
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_nested_messages() {
        let message = "Content-Type: message/rfc822\n\n".repeat(100_000);
        assert!(!matches("BODY nothing", message.as_bytes()));
    }
}
