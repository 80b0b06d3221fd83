//! A batch: how halves of messages lie in the file.
//!
//! ```text
//! batch  = head rows text0 text1 text2 text3
//! head   = magic kind count crc(rows) len(text0..3) crc(text0..3) crc(head)   13 numbers of 4 bytes
//! rows   = count * row, ascending by UID
//! row    = uid(4) key(8) number0..3(8 each) end0..3(4 each)
//! ```
//!
//! All numbers are little-endian. Text n of a row ends at `end n` inside the batch's text n, and begins where the row before ends. So a
//! visitor that needs one text of many messages reads it in one piece, and no byte of the others. Everything that is read is checked:
//! the head and rows when the batch is first seen, a text each time it is read.

use super::facts::{Half, NUMBERS, Piece, TEXTS};

/// Messages in a batch: one read gives so many. (A place in the index has a byte for the row.)
pub(super) const MAX_ROWS: usize = 256;
/// Bytes of texts after which a batch is closed.
const ENOUGH: usize = 512 * 1024;
/// Bytes of one half that is kept: a message with thousands of parts or recipients is read again.
pub(super) const MAX_PIECE: usize = 256 * 1024;
/// Bytes of one text of a batch; more is no batch of ours.
const MAX_TEXT: u32 = (ENOUGH + MAX_PIECE) as u32;

const MAGIC: u32 = 0x3142_434d;
/// Bytes of a head.
pub(super) const HEAD: usize = 13 * 4;
/// Bytes of a row.
pub(super) const ROW: usize = 4 + 8 + NUMBERS * 8 + TEXTS * 4;

/// Which halves a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Body,
}

/// Where a batch lies, and what must be known to check it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) offset: u64,
    pub(super) kind: Kind,
    pub(super) count: u32,
    rows_crc: u32,
    lens: [u32; TEXTS],
    crcs: [u32; TEXTS],
}

impl Batch {
    /// From the first [`HEAD`] bytes of it; `None` if that is no batch.
    pub(super) fn parse(offset: u64, head: &[u8]) -> Option<Batch> {
        let number = |n: usize| u32_at(head, n * 4);
        let (body, sum) = head.get(..HEAD)?.split_at(HEAD - 4);
        if number(0) != MAGIC || crc32fast::hash(body) != u32_at(sum, 0) {
            return None;
        }
        let kind = match number(1) {
            0 => Kind::Head,
            1 => Kind::Body,
            _ => return None,
        };
        let lens: [u32; TEXTS] = std::array::from_fn(|text| number(4 + text));
        let crcs = std::array::from_fn(|text| number(8 + text));
        let count = number(2);
        let fits = (1..=MAX_ROWS as u32).contains(&count) && lens.iter().all(|len| *len <= MAX_TEXT);
        fits.then_some(Batch { offset, kind, count, rows_crc: number(3), lens, crcs })
    }

    pub(super) fn rows_len(&self) -> usize {
        self.count as usize * ROW
    }

    pub(super) fn text_len(&self, text: usize) -> usize {
        self.lens[text] as usize
    }

    /// Where the rows begin.
    pub(super) fn rows_at(&self) -> u64 {
        self.offset + HEAD as u64
    }

    /// Where a text begins.
    pub(super) fn text_at(&self, text: usize) -> u64 {
        let before: u64 = self.lens[..text].iter().map(|len| u64::from(*len)).sum();
        self.rows_at() + self.rows_len() as u64 + before
    }

    /// Behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.text_at(TEXTS)
    }

    /// Are these its rows?
    pub(super) fn holds_rows(&self, rows: &[u8]) -> bool {
        rows.len() == self.rows_len() && crc32fast::hash(rows) == self.rows_crc && {
            let rows: Vec<Row<'_>> = (0..self.count as usize).map(|row| Row::of(rows, row)).collect();
            let ascending = rows.windows(2).all(|pair| {
                pair[0].uid() < pair[1].uid() && (0..TEXTS).all(|text| pair[0].end(text) <= pair[1].end(text))
            });
            let last = rows.last().copied();
            ascending && last.is_some_and(|last| (0..TEXTS).all(|text| last.end(text) == self.text_len(text)))
        }
    }

    /// Are these the bytes of a text?
    pub(super) fn holds_text(&self, text: usize, bytes: &[u8]) -> bool {
        bytes.len() == self.text_len(text) && crc32fast::hash(bytes) == self.crcs[text]
    }
}

/// One row, borrowed from a batch's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// Row number `row` of `rows`, which a batch holds.
    pub(super) fn of(rows: &'a [u8], row: usize) -> Row<'a> {
        Row(&rows[row * ROW..(row + 1) * ROW])
    }

    pub(super) fn uid(&self) -> u32 {
        u32_at(self.0, 0)
    }

    pub(super) fn key(&self) -> u64 {
        u64_at(self.0, 4)
    }

    pub(super) fn numbers(&self) -> [i64; NUMBERS] {
        std::array::from_fn(|number| u64_at(self.0, 12 + number * 8).cast_signed())
    }

    pub(super) fn end(&self, text: usize) -> usize {
        u32_at(self.0, 12 + NUMBERS * 8 + text * 4) as usize
    }
}

/// The half of row number `row`; texts that were not read are empty.
pub(super) fn half<'a>(rows: &'a [u8], row: usize, texts: &'a [Vec<u8>; TEXTS]) -> Half<'a> {
    let this = Row::of(rows, row);
    let before = row.checked_sub(1).map(|before| Row::of(rows, before));
    let text = |text: usize| {
        let start = before.map_or(0, |before| before.end(text));
        texts[text].get(start..this.end(text)).unwrap_or_default()
    };
    Half { numbers: this.numbers(), texts: std::array::from_fn(text) }
}

/// Makes batches of halves that come in ascending order.
pub(super) struct Writer {
    kind: Kind,
    rows: Vec<u8>,
    count: u32,
    texts: [Vec<u8>; TEXTS],
    /// Batches that are complete.
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(kind: Kind) -> Writer {
        Writer { kind, rows: Vec::new(), count: 0, texts: Default::default(), bytes: Vec::new() }
    }

    pub(super) fn add_piece(&mut self, uid: u32, key: u64, piece: &Piece) {
        self.add(uid, key, &piece.half());
    }

    pub(super) fn add(&mut self, uid: u32, key: u64, half: &Half<'_>) {
        if half.texts.iter().map(|text| text.len()).sum::<usize>() > MAX_PIECE {
            return;
        }
        self.rows.extend_from_slice(&uid.to_le_bytes());
        self.rows.extend_from_slice(&key.to_le_bytes());
        half.numbers.iter().for_each(|number| self.rows.extend_from_slice(&number.to_le_bytes()));
        for (all, text) in self.texts.iter_mut().zip(half.texts) {
            all.extend_from_slice(text);
            // Bounded by MAX_TEXT.
            self.rows.extend_from_slice(&(all.len() as u32).to_le_bytes());
        }
        self.count += 1;
        if self.count as usize == MAX_ROWS || self.texts.iter().map(Vec::len).sum::<usize>() > ENOUGH {
            self.close();
        }
    }

    /// The batch in hand is complete.
    pub(super) fn close(&mut self) {
        if self.count == 0 {
            return;
        }
        let mut head = Vec::with_capacity(HEAD);
        let kind = match self.kind {
            Kind::Head => 0,
            Kind::Body => 1,
        };
        let lens = self.texts.iter().map(|text| text.len() as u32);
        let crcs = self.texts.iter().map(|text| crc32fast::hash(text));
        for number in [MAGIC, kind, self.count, crc32fast::hash(&self.rows)].into_iter().chain(lens).chain(crcs) {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        self.bytes.extend_from_slice(&head);
        self.bytes.append(&mut self.rows);
        self.texts.iter_mut().for_each(|text| self.bytes.append(text));
        self.count = 0;
    }
}

/// The number at this place, which is there: lengths are checked before.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

/// As [`u32_at`].
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(n: u8) -> Piece {
        let mut piece = Piece { numbers: [n.into(), -1, 0, i64::MIN], ..Piece::default() };
        for text in 0..TEXTS {
            piece.bytes.extend(std::iter::repeat_n(n, text * usize::from(n)));
            piece.end_text(text);
        }
        piece
    }

    fn batches(bytes: &[u8]) -> Vec<Batch> {
        let (mut at, mut found) = (0, Vec::new());
        while let Some(batch) = Batch::parse(at, &bytes[at as usize..]) {
            at = batch.end();
            found.push(batch);
        }
        assert_eq!(at as usize, bytes.len());
        found
    }

    #[test]
    fn halves_come_back() {
        let mut writer = Writer::new(Kind::Body);
        (1..=3).for_each(|n| writer.add_piece(n.into(), 7, &piece(n)));
        writer.close();
        let bytes = &writer.bytes[..];
        let [batch] = batches(bytes)[..] else { panic!() };
        let rows = &bytes[HEAD..HEAD + batch.rows_len()];
        assert!(batch.holds_rows(rows));
        let texts: [Vec<u8>; TEXTS] = std::array::from_fn(|text| {
            let at = batch.text_at(text) as usize;
            bytes[at..at + batch.text_len(text)].to_vec()
        });
        assert!((0..TEXTS).all(|text| batch.holds_text(text, &texts[text])));
        for n in 1..=3 {
            let half = half(rows, usize::from(n) - 1, &texts);
            assert_eq!((half.numbers, half.texts), (piece(n).numbers, piece(n).half().texts));
            assert_eq!((Row::of(rows, usize::from(n) - 1).uid(), Row::of(rows, 0).key()), (n.into(), 7));
        }
    }

    #[test]
    fn batches_are_bounded_and_big_halves_are_left_out() {
        let mut writer = Writer::new(Kind::Head);
        (1..=600).for_each(|uid| writer.add_piece(uid, 0, &piece(1)));
        let big = Piece { bytes: vec![0; MAX_PIECE + 1], ends: [MAX_PIECE as u32 + 1; TEXTS], ..Piece::default() };
        writer.add_piece(601, 0, &big);
        let large = Piece { bytes: vec![0; MAX_PIECE], ends: [MAX_PIECE as u32; TEXTS], ..Piece::default() };
        (602..=610).for_each(|uid| writer.add_piece(uid, 0, &large));
        writer.close();
        let counts: Vec<u32> = batches(&writer.bytes).iter().map(|batch| batch.count).collect();
        assert_eq!(counts, [256, 256, 90, 3, 3, 1]);
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let mut writer = Writer::new(Kind::Head);
        (1..=3).for_each(|n| writer.add_piece(n.into(), 7, &piece(n)));
        writer.close();
        let whole = writer.bytes;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            let Some(batch) = Batch::parse(0, &bytes) else { continue };
            let rows = batch.holds_rows(&bytes[HEAD..HEAD + batch.rows_len()]);
            let texts = (0..TEXTS).all(|text| {
                let from = batch.text_at(text) as usize;
                batch.holds_text(text, &bytes[from..from + batch.text_len(text)])
            });
            assert!(!(rows && texts), "byte {at}");
        }
    }
}
