//! Numbers and texts inside a record: LEB128 (seven bits a byte, low ones first), and texts after their length.
//!
//! The reader borrows, never panics and never allocates: what does not decode is `None`.

/// Append a number.
pub(super) fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Append a text.
pub(super) fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Append a text that may be absent.
pub(super) fn put_maybe(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            put(value.len() as u64 + 1, out);
            out.extend_from_slice(value);
        }
        None => out.push(0),
    }
}

/// Reads what was put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return N::try_from(value).ok();
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    /// What [`put_maybe`] put: `Some(None)` is an absent text.
    pub(super) fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number::<usize>()? {
            0 => Some(None),
            more => self.take(more - 1).map(Some),
        }
    }
}
