//! What came in and what goes out.
//!
//! [`Input`] holds bytes that the peer sent and the session has not used yet; [`Out`] holds bytes that the
//! session wrote and the driver has not sent yet. Both give their memory back when empty, since an idle
//! connection should own almost nothing.
//!
//! Bounds: the driver adds to `Input` only when the session says that it wants more, and a session uses up or
//! refuses what it is given, so `Input` stays near one read. A session stops writing when [`Out::full`] and
//! asks to go on, so `Out` stays near [`STEP_BYTES`].
//!
//! The design speaks of file ranges in `Out`. Messages lie on disk with LF and travel with CRLF, so no byte
//! range of a file is ever what is sent; sessions read a block, convert it into `Out`, and go on after the flush.

/// How much a session writes in one step before it asks to go on: 256 KiB keeps a slow reader's memory and a
/// neighbour's wait small.
pub const STEP_BYTES: usize = 256 * 1024;

/// Bytes from the peer, not used yet.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    used: usize,
}

impl Input {
    /// An empty input.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is there to be used.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Nothing left to use.
    pub fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// The session has used `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.used += n;
        assert!(self.used <= self.bytes.len(), "consumed more than there was");
        if self.is_empty() {
            self.bytes.clear();
            self.used = 0;
        }
    }

    /// Throw away everything unread (bytes pipelined behind STARTTLS).
    pub fn discard(&mut self) {
        self.consume(self.bytes().len());
    }

    /// The driver adds bytes that arrived.
    pub fn extend(&mut self, more: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Give the memory back if nothing is in it.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

/// Bytes for the peer, not sent yet.
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
}

impl Out {
    /// An empty output.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add bytes as they are.
    pub fn put(&mut self, bytes: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(bytes.as_ref());
    }

    /// Add bytes and CRLF.
    pub fn line(&mut self, text: impl AsRef<[u8]>) {
        self.put(text);
        self.put(b"\r\n");
    }

    /// Has the session written enough for one step? Then it asks to go on.
    pub fn full(&self) -> bool {
        self.bytes.len() >= STEP_BYTES
    }

    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for encoders that write into it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything was sent.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Give the memory back if nothing is in it.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

impl std::fmt::Write for Out {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.put(s);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_keeps_order_over_partial_use() {
        let mut input = Input::new();
        input.extend(b"abcd");
        input.consume(3);
        input.extend(b"ef");
        assert_eq!(input.bytes(), b"def");
        input.discard();
        assert!(input.is_empty());
    }
}
