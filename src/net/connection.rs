//! Drives one session on one connection: moves bytes, keeps time, does what the session wants.
//!
//! Steps run here, on the runtime's own thread (see [`super::lookout`] for what that takes). While a connection waits for
//! its peer it holds the session, two empty buffers, a timer and its places in [`Caps`](super::caps::Caps) and [`Drain`](super::drain::Drain);
//! everything rare (handshake, PROXY header, slow work, goodbye) lives in a box for as long as it lasts.
//!
//! # Time
//!
//! A peer has [`Session::patience`] to make *progress*: an answer from us to what it sent, or [`PROGRESS`](super::pace::PROGRESS) bytes. A
//! client that sends a byte a second therefore keeps its place no longer than one that sends nothing, unless it
//! really talks. A peer that does not read has [`WRITE_PATIENCE`] to take as many. What we say on our own (IDLE) is no
//! progress of the peer.
//!
//! # Ends
//!
//! The session wants to close; the peer closes (noticed only when the session wants input, so a half-closing client
//! gets every answer it asked for); an error or a deadline. When the peer may still be sending, its bytes are taken and thrown away
//! for a moment ([`LINGER`]), because closing a socket with unread bytes makes the kernel destroy what we sent last.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::caps::Admission;
use super::deflate::{self, Deflated};
use super::drain::Ticket;
use super::pace::Pace;
use super::server::Shared;
use super::stream::Stream;
use crate::notice::Notice;
use crate::wire::{Event, Input, Out, Session, Want};

/// How long a peer may refuse to take [`PROGRESS`](super::pace::PROGRESS) bytes of what we send; RFC 5321 section 4.5.3.2 gives five minutes for a command,
/// RFC 9051 section 5.4 leaves writes to us.
const WRITE_PATIENCE: Duration = Duration::from_secs(300);

/// Most bytes that wait unread for a session. Sessions use up or refuse what they get; one that does not is broken.
const MAX_UNREAD: usize = 1024 * 1024;

/// How long, and how much, is read and thrown away after the last word.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Why a connection ended, for the log.
#[derive(Debug)]
pub enum End {
    /// The session said so.
    Closed,
    /// The peer hung up.
    Gone,
    /// It did not take what we sent.
    NotReading,
    /// Something else; an error of the network or of TLS.
    Failed(io::Error),
}

/// A connection with its session.
pub struct Connection {
    stream: Stream,
    session: Box<dyn Session>,
    /// Whose turn it is in the pool for slow work.
    address: IpAddr,
    input: Input,
    out: Out,
    pace: Pace,
    ticket: Ticket,
    shared: Arc<Shared>,
    _admission: Admission,
}

/// What ended a wait.
enum Woken {
    Bytes(usize),
    Gone,
    Notice,
    Stop,
    Dismissed,
    Silence,
}

impl Connection {
    /// Ready to run.
    pub fn new(
        stream: Stream,
        session: Box<dyn Session>,
        address: IpAddr,
        ticket: Ticket,
        admission: Admission,
        shared: Arc<Shared>,
    ) -> Self {
        let (input, out) = (Input::new(), Out::new());
        Connection {
            stream,
            session,
            address,
            input,
            out,
            pace: Pace::new(WRITE_PATIENCE),
            ticket,
            shared,
            _admission: admission,
        }
    }

    /// Run the session to its end.
    pub async fn run(mut self) -> End {
        match self.converse().await {
            Ok(end) => {
                if !matches!(end, End::NotReading) {
                    Box::pin(self.say_goodbye()).await;
                }
                end
            }
            Err(e) if e.kind() == io::ErrorKind::TimedOut => End::NotReading,
            Err(e) if is_gone(&e) => End::Gone,
            Err(e) => End::Failed(e),
        }
    }

    async fn converse(&mut self) -> io::Result<End> {
        let mut event = Event::Opened;
        loop {
            let want = {
                let _running = self.shared.lookout.step();
                self.session.step(event, &mut self.input, &mut self.out)
            };
            if !self.out.is_empty() {
                self.pace.answered();
                self.send().await?;
            }
            event = match want {
                Want::Input => match self.listen(None).await? {
                    Some(event) => event,
                    None => return Ok(End::Gone),
                },
                Want::InputOrNotice(notice) => match self.listen(Some(&notice)).await? {
                    Some(event) => event,
                    None => return Ok(End::Gone),
                },
                Want::Continue => {
                    // A long transfer must not keep this thread from its other connections.
                    tokio::task::yield_now().await;
                    Event::Flushed
                }
                Want::Pause(time) => {
                    Box::pin(self.ticket.unless_stopping(tokio::time::sleep(time))).await;
                    Event::Flushed
                }
                Want::Work(work) => match Box::pin(self.shared.pool.run(self.address, work)).await {
                    Some(answer) => Event::Answer(answer),
                    None => return Ok(End::Failed(io::Error::other("slow work panicked"))),
                },
                Want::Ask(question) => Event::Answer(Box::new(Box::pin(self.shared.asker.ask(question)).await)),
                Want::StartTls => Box::pin(self.start_tls()).await?,
                Want::Compress => self.compress()?,
                Want::Close => return Ok(End::Closed),
            };
            if !matches!(event, Event::Input | Event::Notice) {
                self.pace.progressed();
            }
        }
    }

    /// Wait until the session has something to look at. `None` when the peer has closed.
    async fn listen(&mut self, notice: Option<&Notice>) -> io::Result<Option<Event>> {
        // While stopping, a session is told once each time it comes to want input: at once if it is idle, and again when the
        // transfer that it was in the middle of is over.
        if self.shared.drain.is_stopping() && self.pace.tell_stop() {
            return Ok(Some(Event::Shutdown));
        }
        self.input.shrink();
        self.out.shrink();
        self.pace.wait_for(self.session.patience());
        Ok(match poll_fn(|cx| self.poll_woken(notice, cx)).await? {
            Woken::Bytes(_) if self.input.bytes().len() > MAX_UNREAD => {
                return Err(io::Error::other("the session does not use its input"));
            }
            Woken::Bytes(n) => {
                self.pace.received(n);
                Some(Event::Input)
            }
            Woken::Gone => None,
            Woken::Notice => Some(Event::Notice),
            Woken::Stop => Some(Event::Shutdown),
            Woken::Dismissed => Some(Event::Dismissed),
            Woken::Silence => Some(Event::TimedOut),
        })
    }

    fn poll_woken(&mut self, notice: Option<&Notice>, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        match self.stream.poll_fill(cx, &mut self.input) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(Woken::Gone)),
            Poll::Ready(Ok(n)) => return Poll::Ready(Ok(Woken::Bytes(n))),
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => {}
        }
        if notice.is_some_and(|n| n.poll_raised(cx).is_ready()) {
            return Poll::Ready(Ok(Woken::Notice));
        }
        if self.ticket.call().poll_raised(cx).is_ready() {
            if !self.shared.drain.is_stopping() {
                return Poll::Ready(Ok(Woken::Dismissed));
            }
            if self.pace.tell_stop() {
                return Poll::Ready(Ok(Woken::Stop));
            }
        }
        ready!(self.pace.poll_over(cx));
        Poll::Ready(Ok(Woken::Silence))
    }

    /// Send everything in `out`.
    async fn send(&mut self) -> io::Result<()> {
        if let Stream::Deflate(_) = self.stream {
            deflate::pack(&mut self.out)?;
        }
        let mut sent = 0;
        self.pace.write_for(WRITE_PATIENCE);
        let result = poll_fn(|cx| self.poll_send(cx, &mut sent)).await;
        self.out.clear();
        result
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, sent: &mut usize) -> Poll<io::Result<()>> {
        loop {
            let stream = Pin::new(&mut self.stream);
            let rest = &self.out.bytes()[*sent..];
            let progress = if rest.is_empty() {
                stream.poll_flush(cx).map_ok(|()| None)
            } else {
                stream.poll_write(cx, rest).map_ok(Some)
            };
            match progress {
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Some(0))) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(Some(n))) => {
                    *sent += n;
                    self.pace.written(n);
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    ready!(self.pace.poll_over(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }

    fn compress(&mut self) -> io::Result<Event> {
        // What came before the answer can be of either kind.
        if !self.input.is_empty() {
            return Err(io::Error::other("bytes behind COMPRESS"));
        }
        match std::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Deflate(_) => Err(io::Error::other("the session wants compression a second time")),
            inner => {
                self.stream = Stream::Deflate(Box::new(Deflated::new(inner)));
                Ok(Event::Flushed)
            }
        }
    }

    async fn start_tls(&mut self) -> io::Result<Event> {
        // What came in clear behind STARTTLS must never count as said under TLS (RFC 3207 section 6, CVE-2011-0411).
        if !self.input.is_empty() {
            return Err(io::Error::other("bytes in clear behind STARTTLS"));
        }
        let Some(acceptor) = self.shared.tls.clone() else {
            return Err(io::Error::other("the session wants TLS, but there is no certificate"));
        };
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(io::Error::other("the session wants TLS a second time"));
        };
        let Some(shaken) = self.ticket.unless_stopping(acceptor.accept(socket)).await else {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "stopping"));
        };
        let (stream, agreed) = shaken?;
        self.stream = Stream::Tls(stream);
        Ok(Event::TlsStarted(agreed))
    }

    /// Close in an orderly way; nothing that fails here matters any more.
    async fn say_goodbye(&mut self) {
        let unread = !self.input.is_empty();
        self.input.discard();
        let leave = poll_fn(|cx| {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let mut thrown = 0;
            while thrown < LINGER_BYTES {
                match self.stream.poll_fill(cx, &mut self.input)? {
                    Poll::Ready(0) => break,
                    Poll::Ready(n) => thrown += n,
                    // Nothing more is on its way, as far as one can tell.
                    Poll::Pending if !unread && thrown == 0 => break,
                    Poll::Pending => return Poll::Pending,
                }
                self.input.discard();
            }
            Poll::Ready(io::Result::Ok(()))
        });
        let _ = tokio::time::timeout(LINGER, leave).await;
    }
}

/// Errors that mean no more than that the peer is no longer there.
fn is_gone(e: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection holds of ours besides its session and its TLS state, in bytes.
    const IDLE: usize = 768;

    #[test]
    fn a_waiting_connection_is_small() {
        fn size_of_future<F>(_: impl FnOnce(Connection) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(Connection::run);
        assert!(size <= IDLE, "{size} bytes");
    }
}
