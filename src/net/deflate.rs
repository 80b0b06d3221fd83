//! COMPRESS=DEFLATE (RFC 4978): a raw deflate stream in each direction, inside TLS if there is TLS.
//!
//! **What an idle connection keeps** is not the states of two compressors (300 KiB and 45 KiB by zlib's layout), but the last bytes that its
//! client sent, up to the 32 KiB that deflate may refer back to; a client that only gives commands has sent a few hundred.
//!
//! - *Outwards* each step's output is compressed by its thread's own compressor, from an empty dictionary, up to a sync flush. After the flush
//!   the stream stands at a whole byte between two blocks, so another compressor can go on, as behind a full flush: the client need not know.
//!   A step's output is up to 256 KiB, so nearly nothing is lost by not remembering the step before.
//! - *Inwards* a state is made when bytes come, with what came before as its dictionary, and dropped when the client's own sync flush says that
//!   the stream stands between two blocks again. A client that does not flush so, or is in the middle of a block, keeps its state.
//!
//! Refuses bytes that are no deflate stream: the connection ends. Bounded: a step gets at most [`UNPACKED`] bytes, however few bytes they were on
//! the wire; the rest waits compressed. What the session does with too much of it is as without compression.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::stream::Stream;
use crate::wire::{Input, Out};

/// How hard to compress: two thirds of the best ratio on mail at a small part of its time.
const LEVEL: u32 = 3;

/// How far back deflate may refer (RFC 1951 section 2).
const WINDOW: usize = 32 * 1024;

/// Most bytes that a session is given at a time, as without compression.
const UNPACKED: usize = 64 * 1024;

/// What a sync flush ends with: the lengths of an empty stored block (RFC 1951 section 3.2.4).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// A stored block of one byte: understood as such only by a state that stands between two blocks.
const PROBE: [u8; 6] = [0, 1, 0, 0xfe, 0xff, b'?'];

thread_local! {
    /// Everybody's compressor; see above.
    static PACKER: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(LEVEL), false));
    /// Where unpacked bytes land before it is known how many there are.
    static PLAIN: RefCell<Vec<u8>> = RefCell::new(vec![0; UNPACKED]);
}

/// A stream on which both sides compress.
pub struct Deflated {
    /// What the compressed bytes travel on.
    pub(super) inner: Stream,
    /// Came, and is not unpacked yet.
    packed: Input,
    /// The state of unpacking, while the stream does not stand between two blocks.
    state: Option<Decompress>,
    /// The last bytes that were unpacked, [`WINDOW`] at most.
    history: Vec<u8>,
    /// The last bytes that were used of `packed`.
    last: [u8; 4],
    /// The state has more bytes than there was room for.
    more: bool,
}

impl Deflated {
    /// From here on `inner` carries compressed bytes.
    pub fn new(inner: Stream) -> Deflated {
        Deflated { inner, packed: Input::new(), state: None, history: Vec::new(), last: [0; 4], more: false }
    }

    /// As [`Stream::poll_fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, input: &mut Input) -> Poll<io::Result<usize>> {
        loop {
            if self.more || !self.packed.is_empty() {
                match self.unpack(input)? {
                    // A piece of a block, or a flush.
                    0 => {}
                    n => return Poll::Ready(Ok(n)),
                }
            }
            match self.inner.poll_fill(cx, &mut self.packed) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Pending => {
                    self.rest()?;
                    return Poll::Pending;
                }
                end => return end,
            }
        }
    }

    /// Unpack some of what came into `input`; how many bytes that gave.
    fn unpack(&mut self, input: &mut Input) -> io::Result<usize> {
        PLAIN.with_borrow_mut(|plain| {
            let state = match &mut self.state {
                Some(state) => state,
                none => none.insert(resume(&self.history)?),
            };
            let before = (state.total_in(), state.total_out());
            let status = state.decompress(self.packed.bytes(), plain, FlushDecompress::Sync).map_err(not_deflate)?;
            let used = usize::try_from(state.total_in() - before.0).map_err(io::Error::other)?;
            let made = usize::try_from(state.total_out() - before.1).map_err(io::Error::other)?;
            let stuck = used == 0 && made == 0 && !self.packed.is_empty();
            if made == 0 && (stuck || status == Status::StreamEnd) {
                // RFC 1951 has a last block; behind it there is nothing to understand.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for byte in &self.packed.bytes()[used.saturating_sub(self.last.len())..used] {
                self.last.rotate_left(1);
                self.last[3] = *byte;
            }
            self.packed.consume(used);
            self.more = made == plain.len();
            input.extend(&plain[..made]);
            self.remember(&plain[..made]);
            Ok(made)
        })
    }

    fn remember(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(WINDOW)..];
        let keep = self.history.len().min(WINDOW - new.len());
        self.history.drain(..self.history.len() - keep);
        self.history.extend_from_slice(new);
    }

    /// Nothing more to unpack for now: give back what can be made again.
    fn rest(&mut self) -> io::Result<()> {
        self.packed.shrink();
        // A line has ended and was flushed. (Inside a stored block the bytes of the mark would be the last unpacked ones.)
        let flushed = self.last == FLUSHED && self.history.last().is_none_or(|last| *last == b'\n');
        let Some(mut state) = self.state.take_if(|_| flushed) else { return Ok(()) };
        // The mark could stand inside a block by chance. Then the state is of no use any more, and nothing that follows would be
        // understood rightly: better the end.
        let (before, mut plain) = ((state.total_in(), state.total_out()), [0; 8]);
        state.decompress(&PROBE, &mut plain, FlushDecompress::Sync).map_err(not_deflate)?;
        let used = (state.total_in() - before.0, state.total_out() - before.1);
        if used != (PROBE.len() as u64, 1) || plain[0] != PROBE[5] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a deflate block looks like a flush"));
        }
        self.history.shrink_to_fit();
        Ok(())
    }
}

/// A state that stands between two blocks, behind `history`.
fn resume(history: &[u8]) -> io::Result<Decompress> {
    let mut state = Decompress::new(false);
    if !history.is_empty() {
        state.set_dictionary(history).map_err(not_deflate)?;
    }
    Ok(state)
}

fn not_deflate(error: flate2::DecompressError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Compress what is in `out`, up to a flush.
pub fn pack(out: &mut Out) -> io::Result<()> {
    PACKER.with_borrow_mut(|packer| {
        packer.reset();
        let plain = std::mem::take(out.buffer());
        let packed = out.buffer();
        let mut used = 0;
        loop {
            // Mail halves; with room left the flush is complete.
            packed.reserve((plain.len() - used) / 2 + 64);
            packer.compress_vec(&plain[used..], packed, FlushCompress::Sync).map_err(io::Error::other)?;
            used = usize::try_from(packer.total_in()).map_err(io::Error::other)?;
            if used == plain.len() && packed.len() < packed.capacity() {
                return Ok(());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::super::stream::Socket;
    use super::*;

    /// Our end, and the client's.
    fn pair() -> (Deflated, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Deflated::new(Stream::Plain(Socket::Unix(ours))), theirs)
    }

    fn compressed(client: &mut Compress, plain: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut packed = Vec::with_capacity(plain.len() + 1024);
        client.compress_vec(plain, &mut packed, flush).unwrap();
        packed
    }

    /// Read until `length` bytes are there, then until it would wait.
    async fn read(ours: &mut Deflated, length: usize) -> Vec<u8> {
        let mut input = Input::new();
        while input.bytes().len() < length {
            let more = poll_fn(|cx| ours.poll_fill(cx, &mut input)).await.unwrap();
            assert!(more > 0 && more <= UNPACKED, "{more}");
        }
        assert!(poll_fn(|cx| Poll::Ready(ours.poll_fill(cx, &mut input).is_pending())).await, "and no more");
        input.bytes().to_vec()
    }

    #[tokio::test]
    async fn commands_come_through_and_leave_only_themselves_behind() {
        let (mut ours, mut theirs) = pair();
        let mut client = Compress::new(Compression::best(), false);
        let mut all = Vec::new();
        for n in 0..200 {
            let line = format!("a{n} UID FETCH {n}:* (FLAGS INTERNALDATE RFC822.SIZE)\r\n");
            let packed = compressed(&mut client, line.as_bytes(), FlushCompress::Sync);
            assert!(n == 0 || packed.len() < line.len(), "it refers back");
            theirs.write_all(&packed).await.unwrap();
            assert_eq!(read(&mut ours, line.len()).await, line.as_bytes());
            assert!(ours.state.is_none(), "no state between two commands");
            all.extend_from_slice(line.as_bytes());
        }
        assert_eq!(ours.history, all);
    }

    #[tokio::test]
    async fn long_literals_leave_a_window() {
        let (mut ours, mut theirs) = pair();
        let mut client = Compress::new(Compression::default(), false);
        // Text that repeats only over long distances, and then refers back over a state that was dropped.
        let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 12).to_be_bytes()).collect();
        let text = [&text[..30_000], &text, b"\r\n"].concat();
        for _ in 0..3 {
            let packed = compressed(&mut client, &text, FlushCompress::Sync);
            let send = async { theirs.write_all(&packed).await.unwrap() };
            let (_, got) = tokio::join!(send, read(&mut ours, text.len()));
            assert_eq!(got, text);
            assert!(ours.state.is_none());
            assert_eq!(ours.history.len(), WINDOW);
            assert!(text.ends_with(&ours.history));
        }
    }

    #[tokio::test]
    async fn cut_anywhere_and_flushed_or_not_it_is_the_same() {
        for flush in [FlushCompress::Sync, FlushCompress::Full, FlushCompress::Partial] {
            let (mut ours, mut theirs) = pair();
            let mut client = Compress::new(Compression::default(), false);
            for line in ["a NOOP\r\n", "b SELECT INBOX\r\n", "c IDLE\r\n", "DONE\r\n"] {
                let packed = compressed(&mut client, line.as_bytes(), flush);
                let mut input = Input::new();
                for byte in packed {
                    theirs.write_all(&[byte]).await.unwrap();
                    let some = poll_fn(|cx| ours.poll_fill(cx, &mut input));
                    // Nothing may come of a byte.
                    let _ = tokio::time::timeout(Duration::from_millis(1), some).await;
                }
                assert_eq!(input.bytes(), line.as_bytes(), "{flush:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_comes_in_pieces() {
        let (mut ours, mut theirs) = pair();
        let mut client = Compress::new(Compression::best(), false);
        let zeros = vec![0; 20 * 1024 * 1024];
        let packed = compressed(&mut client, &zeros, FlushCompress::Sync);
        assert!(packed.len() < UNPACKED);
        theirs.write_all(&packed).await.unwrap();
        assert!(read(&mut ours, zeros.len()).await == zeros);
    }

    #[tokio::test]
    async fn what_is_no_deflate_stream_ends_it() {
        let mut client = Compress::new(Compression::default(), false);
        let ended = [compressed(&mut client, b"", FlushCompress::Finish), b"more".to_vec()].concat();
        // A dynamic block that has the mark in its middle is not to be had by chance; its beginning is.
        for (name, bytes) in
            [("plain text", b"a NOOP\r\n".to_vec()), ("ended", ended), ("reserved type", vec![7, 7, 7])]
        {
            let (mut ours, mut theirs) = pair();
            theirs.write_all(&bytes).await.unwrap();
            let mut input = Input::new();
            let end = poll_fn(|cx| ours.poll_fill(cx, &mut input)).await;
            assert!(end.is_err(), "{name}: {end:?}");
        }
    }

    #[test]
    fn what_we_pack_is_one_stream_for_the_client() {
        let mut client = Decompress::new(false);
        let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let text = "* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n".repeat(8_000);
        for step in [b"c OK\r\n".as_slice(), text.as_bytes(), &noise, b"x", b"* 2 EXISTS\r\n", text.as_bytes()] {
            let mut out = Out::new();
            out.put(step);
            pack(&mut out).unwrap();
            assert!(out.bytes().ends_with(&FLUSHED));
            assert!(out.bytes().len() < step.len() + step.len() / 100 + 64);
            let mut got = Vec::with_capacity(step.len() + 1);
            client.decompress_vec(out.bytes(), &mut got, FlushDecompress::Sync).unwrap();
            assert_eq!(got, step);
        }
        assert!(client.total_in() < client.total_out() / 3);
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_the_end() {
        let (mut ours, mut theirs) = pair();
        theirs.shutdown().await.unwrap();
        let mut input = Input::new();
        assert_eq!(poll_fn(|cx| ours.poll_fill(cx, &mut input)).await.unwrap(), 0);
        let mut rest = Vec::new();
        drop(ours);
        theirs.read_to_end(&mut rest).await.unwrap();
    }
}
