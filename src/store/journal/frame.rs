//! Records as they lie in the file: length and CRC-32 of the body (4 bytes each, little-endian), then the body ([`super::Record`]).
//!
//! Pure functions of bytes. [`Pieces`] walks over a file's records and never stops at damage: behind it, the next place where a length,
//! a checksum and a body agree is where records go on (a false one is as likely as a false checksum of a body that also decodes). The
//! search reads every byte once and checks sums over at most [`MAX_SEARCHED`] bytes, so that no file makes it slow.

use super::{MAX_BODY, Record};
use crate::store::{Error, Result};

/// Bytes under checksums that a search behind damage computes in one file: a quarter of a second. Past it the rest counts as torn.
const MAX_SEARCHED: usize = 256 << 20;
/// Bytes before a body.
const HEAD: usize = 8;

/// What stands next in the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A good record.
    Record(Record),
    /// A whole record of a kind that we do not know.
    Unknown,
    /// Bytes that are no record, with a good one behind them.
    Damage,
}

/// The pieces of a file, each with its length in bytes. What is left in `rest` at the end is torn: no record begins there.
#[derive(Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    budget: usize,
}

impl<'a> Pieces<'a> {
    /// Of `bytes`, which begin with a record.
    pub fn new(bytes: &'a [u8]) -> Pieces<'a> {
        Pieces { rest: bytes, budget: MAX_SEARCHED }
    }

    /// What was not handed out.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Distance to the next place where a good record begins.
    fn search(&mut self) -> Option<usize> {
        (1..self.rest.len().saturating_sub(HEAD)).find(|&at| {
            let candidate = &self.rest[at..];
            let Some(length) = body_length(candidate).filter(|n| *n <= candidate.len() - HEAD) else { return false };
            if length > self.budget {
                return false;
            }
            self.budget -= length;
            frame(candidate).is_some_and(|(body, _)| Record::decode(body).is_some())
        })
    }
}

impl Iterator for Pieces<'_> {
    type Item = (Piece, usize);

    fn next(&mut self) -> Option<(Piece, usize)> {
        let (piece, length) = match frame(self.rest) {
            Some((body, length)) => (Record::decode(body).map_or(Piece::Unknown, Piece::Record), length),
            None => (Piece::Damage, self.search()?),
        };
        self.rest = &self.rest[length..];
        Some((piece, length))
    }
}

/// The body at the beginning of `bytes`, and the bytes it takes with its head; `None` if it is not whole or its sum is wrong.
fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = body_length(bytes)?;
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let body = rest.get(..length)?;
    (head[4..] == crc32fast::hash(body).to_le_bytes()).then_some((body, HEAD + length))
}

/// The length that stands there, if a body can have it.
fn body_length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    usize::try_from(length).ok().filter(|n| (1..=MAX_BODY).contains(n))
}

/// Append `record` with its head.
pub(super) fn put(record: &Record, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    record.encode(out);
    let (head, body) = out[start..].split_at_mut(HEAD);
    let length = u32::try_from(body.len()).ok().filter(|n| *n as usize <= MAX_BODY);
    let length = length.ok_or(Error::Limit("too many messages in one change"))?;
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recents(numbers: std::ops::Range<u32>) -> Vec<Record> {
        numbers.map(|below| Record::Recent { below }).collect()
    }

    fn bytes_of(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| put(record, &mut bytes).unwrap());
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, usize, usize) {
        let mut pieces = Pieces::new(bytes);
        let (mut records, mut damages) = (Vec::new(), 0);
        for (piece, _) in &mut pieces {
            match piece {
                Piece::Record(record) => records.push(record),
                Piece::Unknown => {}
                Piece::Damage => damages += 1,
            }
        }
        (records, damages, pieces.rest().len())
    }

    #[test]
    fn records_go_on_behind_damage_of_any_kind() {
        let (before, after) = (bytes_of(&recents(1..4)), bytes_of(&recents(4..9)));
        let long = bytes_of(&[Record::Keyword { number: 30, name: "x".repeat(300) }]);
        for (case, damage) in [
            ("zeros where a page was lost", vec![0; 4096]),
            ("a length that is too great", vec![0xff; 40]),
            ("a length that reaches over what follows", [&[60, 0, 0, 0][..], &[7; 9]].concat()),
            ("a record with its beginning lost", long[40..].to_vec()),
            ("a record with its end lost", long[..200].to_vec()),
            ("a byte", vec![1]),
        ] {
            let bytes = [&before[..], &damage, &after].concat();
            assert_eq!(read(&bytes), (recents(1..9), 1, 0), "{case}");
            assert_eq!(
                read(&bytes[..before.len() + damage.len()]),
                (recents(1..4), 0, damage.len()),
                "{case}, at the end"
            );
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_no_damage() {
        let mut bytes = bytes_of(&recents(1..2));
        let body = [200, 1, 2, 3];
        bytes.extend_from_slice(&4_u32.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        assert_eq!(read(&bytes), (recents(1..2), 0, 0));
    }

    #[test]
    fn a_search_does_not_take_for_ever() {
        // Every fourth byte begins a length of eight million: summed up without a bound that would take hours.
        let bytes = 8_000_000_u32.to_le_bytes().repeat(4 << 20);
        let start = std::time::Instant::now();
        assert_eq!(read(&bytes).2, bytes.len());
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }

    proptest::proptest! {
        #[test]
        fn garbage_between_records_costs_no_record(bytes in proptest::collection::vec(0_u8..=255, 0..200)) {
            let file = [bytes_of(&recents(1..3)), bytes.clone(), bytes_of(&recents(3..5))].concat();
            let (records, ..) = read(&file);
            proptest::prop_assert!(records.starts_with(&recents(1..3)) && records.ends_with(&recents(3..5)), "{records:?}");
            let _ = Record::decode(&bytes);
        }
    }
}
