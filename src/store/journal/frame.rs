//! Records as they lie in the file: length and CRC-32 of the body, then the body ([`super::Record`]).
//!
//! Pure functions of bytes.

use super::{MAX_BODY, Record};
use crate::store::{Error, Result};

/// A record as it lies in the file.
pub(super) struct Framed<'a> {
    sum: u32,
    body: &'a [u8],
}

impl<'a> Framed<'a> {
    pub(super) fn body(&self) -> Option<&'a [u8]> {
        (crc32fast::hash(self.body) == self.sum).then_some(self.body)
    }
}

/// Take one record off `bytes`; `None` if not all of it is there.
pub(super) fn frame(bytes: &[u8]) -> Option<(Framed<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|n| (1..=MAX_BODY).contains(n))?;
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Framed { sum: u32::from_le_bytes(*sum), body }, rest))
}

pub(super) fn put(record: &Record, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    record.encode(out);
    let (head, body) = out[start..].split_at_mut(8);
    let length = u32::try_from(body.len()).ok().filter(|n| *n as usize <= MAX_BODY);
    let length = length.ok_or(Error::Limit("too many messages in one change"))?;
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(())
}
