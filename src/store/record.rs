//! The records of a [`super::journal`]: what they say and how they are written.
//!
//! A body is one tag byte and its fields. Numbers are LEB128 (seven bits a byte, low ones first), lists of UIDs are sorted and written as
//! differences, texts carry their length. A tag we do not know makes the record unreadable, never wrong: new kinds get new tags,
//! and a change of an old one gets a new version of the file.

use super::keywords::{LETTERS, MAX_KEYWORDS};
use super::uidlist::MAX_UID;
use crate::mail::Flags;

/// The facts of a folder that the uidlist's header has, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT when this was written; later messages raise it.
    pub next_uid: u32,
    /// The mailbox's id.
    pub guid: String,
}

/// What is remembered of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its file's base: the second copy of the UID map.
    pub base: Box<[u8]>,
    /// Mod-sequence of its last change.
    pub modseq: u64,
    /// When it came into this folder, seconds since 1970 (SAVEDATE, RFC 8514).
    pub saved: i64,
    /// Flags at `modseq`: tells after a restart what other programs changed meanwhile.
    pub flags: Flags,
    /// Keywords at `modseq`; bit 0 is letter `a`, bits from 26 on are kept nowhere else.
    pub keywords: u128,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The folder's facts; with another UIDVALIDITY than before, everything earlier is void.
    Folder(Folder),
    /// A message got its UID.
    Message {
        /// The UID.
        uid: u32,
        /// All about it.
        known: Known,
    },
    /// Messages that all have these flags now.
    Flags {
        /// Of the change.
        modseq: u64,
        /// After it.
        flags: Flags,
        /// After it.
        keywords: u128,
        /// Sorted.
        uids: Vec<u32>,
    },
    /// A message's file has another base now (a tool rewrote its fields).
    Base {
        /// Which.
        uid: u32,
        /// The new base.
        base: Box<[u8]>,
    },
    /// Messages are gone.
    Expunged {
        /// Of their going.
        modseq: u64,
        /// Sorted.
        uids: Vec<u32>,
    },
    /// Name of a keyword past the 26th.
    Keyword {
        /// 26 to 127.
        number: u8,
        /// As the client wrote it.
        name: String,
    },
    /// \Recent was told up to here.
    Recent {
        /// The first UID that no session was told.
        below: u32,
    },
    /// Where mod-sequences stand.
    Modseq {
        /// The greatest one given.
        highest: u64,
        /// Expunges up to this one may have been forgotten.
        forgotten: u64,
    },
}

const FOLDER: u8 = 1;
const MESSAGE: u8 = 2;
const FLAGS: u8 = 3;
const BASE: u8 = 4;
const EXPUNGED: u8 = 5;
const KEYWORD: u8 = 6;
const RECENT: u8 = 7;
const MODSEQ: u8 = 8;

impl Record {
    /// The greatest mod-sequence that it speaks of; 0 if none.
    pub fn modseq(&self) -> u64 {
        match self {
            Record::Message { known, .. } => known.modseq,
            Record::Flags { modseq, .. } | Record::Expunged { modseq, .. } => *modseq,
            Record::Modseq { highest, forgotten } => (*highest).max(*forgotten),
            Record::Folder(_) | Record::Base { .. } | Record::Keyword { .. } | Record::Recent { .. } => 0,
        }
    }

    /// Append the body to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Folder(folder) => {
                out.push(FOLDER);
                number(folder.uid_validity.into(), out);
                number(folder.next_uid.into(), out);
                bytes(folder.guid.as_bytes(), out);
            }
            Record::Message { uid, known } => {
                out.push(MESSAGE);
                number((*uid).into(), out);
                number(known.modseq.into(), out);
                // Two's complement: a date before 1970 is long, not lost.
                number(u128::from(known.saved.cast_unsigned()), out);
                out.push(known.flags.bits());
                number(known.keywords, out);
                bytes(&known.base, out);
            }
            Record::Flags { modseq, flags, keywords, uids } => {
                out.push(FLAGS);
                number((*modseq).into(), out);
                out.push(flags.bits());
                number(*keywords, out);
                uid_list(uids, out);
            }
            Record::Base { uid, base } => {
                out.push(BASE);
                number((*uid).into(), out);
                bytes(base, out);
            }
            Record::Expunged { modseq, uids } => {
                out.push(EXPUNGED);
                number((*modseq).into(), out);
                uid_list(uids, out);
            }
            Record::Keyword { number, name } => {
                out.extend([KEYWORD, *number]);
                bytes(name.as_bytes(), out);
            }
            Record::Recent { below } => {
                out.push(RECENT);
                number((*below).into(), out);
            }
            Record::Modseq { highest, forgotten } => {
                out.push(MODSEQ);
                number((*highest).into(), out);
                number((*forgotten).into(), out);
            }
        }
    }

    /// From a body; `None` if it is not one that we write.
    pub(super) fn decode(body: &[u8]) -> Option<Record> {
        let (tag, rest) = body.split_first()?;
        let mut from = Cursor(rest);
        let record = match *tag {
            FOLDER => {
                Record::Folder(Folder { uid_validity: from.number()?, next_uid: from.number()?, guid: from.text()? })
            }
            MESSAGE => {
                let uid = from.uid()?;
                let modseq = from.modseq()?;
                let saved = from.number::<u64>()?.cast_signed();
                let flags = Flags::from_bits(from.byte()?);
                let keywords = from.number()?;
                let base = from.bytes()?.into();
                Record::Message { uid, known: Known { base, modseq, saved, flags, keywords } }
            }
            FLAGS => Record::Flags {
                modseq: from.modseq()?,
                flags: Flags::from_bits(from.byte()?),
                keywords: from.number()?,
                uids: from.uid_list()?,
            },
            BASE => Record::Base { uid: from.uid()?, base: from.bytes()?.into() },
            EXPUNGED => Record::Expunged { modseq: from.modseq()?, uids: from.uid_list()? },
            KEYWORD => Record::Keyword {
                number: from.byte().filter(|n| (LETTERS..MAX_KEYWORDS).contains(&usize::from(*n)))?,
                name: from.text()?,
            },
            RECENT => Record::Recent { below: from.number()? },
            MODSEQ => Record::Modseq { highest: from.modseq()?, forgotten: from.modseq()? },
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }
}

fn number(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    number(value.len() as u128, out);
    out.extend_from_slice(value);
}

fn uid_list(uids: &[u32], out: &mut Vec<u8>) {
    debug_assert!(uids.is_sorted());
    number(uids.len() as u128, out);
    let mut last = 0;
    for uid in uids {
        number(u128::from(uid.wrapping_sub(last)), out);
        last = *uid;
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number<N: TryFrom<u128>>(&mut self) -> Option<N> {
        let mut value = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return N::try_from(value).ok();
            }
        }
        None
    }

    /// A UID; others are as impossible here as in a uidlist, and whoever adds 1 to one need not think.
    fn uid(&mut self) -> Option<u32> {
        self.number().filter(|uid| (1..MAX_UID).contains(uid))
    }

    /// A mod-sequence: 63 bits (RFC 7162), so that there is always a next one.
    fn modseq(&mut self) -> Option<u64> {
        self.number().filter(|modseq| *modseq <= i64::MAX.cast_unsigned())
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn uid_list(&mut self) -> Option<Vec<u32>> {
        let count: usize = self.number()?;
        // Every UID takes a byte at least: a count beyond that is no reason to allocate.
        if count > self.0.len() {
            return None;
        }
        let mut last = 0_u32;
        (0..count)
            .map(|_| {
                last = last.checked_add(self.number()?).filter(|uid| *uid < MAX_UID)?;
                Some(last)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_numbers_are_no_records() {
        let known = |modseq| Known { base: (*b"a").into(), modseq, saved: 0, flags: Flags::NONE, keywords: 0 };
        for (record, is_possible) in [
            (Record::Message { uid: MAX_UID - 1, known: known(1) }, true),
            (Record::Message { uid: u32::MAX, known: known(1) }, false),
            (Record::Message { uid: 1, known: known(u64::MAX) }, false),
            (Record::Expunged { modseq: 1, uids: vec![1, u32::MAX] }, false),
            (Record::Modseq { highest: u64::MAX, forgotten: 0 }, false),
            (Record::Keyword { number: 127, name: "x".into() }, true),
            (Record::Keyword { number: 128, name: "x".into() }, false),
            (Record::Keyword { number: 3, name: "x".into() }, false),
        ] {
            let mut body = Vec::new();
            record.encode(&mut body);
            assert_eq!(Record::decode(&body), is_possible.then_some(record));
        }
    }
}
