//! One connection's bytes: a TCP or Unix socket, in clear or under TLS.
//!
//! Owns no buffer: bytes are read into one scratch buffer a thread and copied to the session's [`Input`] only when there are any,
//! so a connection that waits holds no read buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::deflate::Deflated;
use crate::wire::Input;

/// Most bytes read before the session looks at them: 64 KiB is one system call for most messages, and bounds
/// what a step gets at a time.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where bytes land before it is known how many there are.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The socket itself.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

/// The socket and what is spoken on it.
pub enum Stream {
    /// In clear.
    Plain(Socket),
    /// Under TLS. Boxed: it is large, and plain connections should not pay for it.
    Tls(Box<TlsStream<Socket>>),
    /// With both sides compressing, over one of the others.
    Deflate(Box<Deflated>),
    /// Being handed to a handshake, or closed.
    Closed,
}

impl Stream {
    /// Add what has arrived to `input`; ready with how many bytes that was, 0 at the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, input: &mut Input) -> Poll<io::Result<usize>> {
        if let Stream::Deflate(deflated) = self {
            return deflated.poll_fill(cx, input);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            loop {
                let before = buffer.filled().len();
                match Pin::new(&mut *self).poll_read(cx, &mut buffer) {
                    Poll::Pending if before == 0 => return Poll::Pending,
                    Poll::Ready(Err(e)) if before == 0 => return Poll::Ready(Err(e)),
                    // An error or end after some bytes comes again at the next read.
                    Poll::Pending | Poll::Ready(Err(_)) => break,
                    Poll::Ready(Ok(())) if buffer.filled().len() == before => break,
                    Poll::Ready(Ok(())) => {}
                }
                // TLS hands out a record at a time; a plain socket gave all it had.
                if buffer.remaining() == 0 || matches!(self, Stream::Plain(_)) {
                    break;
                }
            }
            input.extend(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

macro_rules! delegate {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain(Socket::Tcp(inner)) => {
                let $inner = Pin::new(inner);
                $call
            }
            Stream::Plain(Socket::Unix(inner)) => {
                let $inner = Pin::new(inner);
                $call
            }
            Stream::Tls(inner) => {
                let $inner = Pin::new(&mut **inner);
                $call
            }
            Stream::Deflate(deflated) => {
                let $inner = Pin::new(&mut deflated.inner);
                $call
            }
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => inner.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, inner => inner.poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => inner.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => inner.poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Socket::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_write(cx, bytes),
            Socket::Unix(s) => Pin::new(s).poll_write(cx, bytes),
        }
    }
    /// TLS writes its records with this: many records in one system call.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(s) => Pin::new(s).poll_write_vectored(cx, slices),
            Socket::Unix(s) => Pin::new(s).poll_write_vectored(cx, slices),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that closed first is no error.
        let done = match self.get_mut() {
            Socket::Tcp(s) => ready!(Pin::new(s).poll_shutdown(cx)),
            Socket::Unix(s) => ready!(Pin::new(s).poll_shutdown(cx)),
        };
        Poll::Ready(match done {
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}
