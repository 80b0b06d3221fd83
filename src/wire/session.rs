//! A protocol session: a struct that is fed bytes and asked what it wants.
//!
//! The driver (`net`, or a test) owns the connection. It calls [`Session::step`] with what happened; the session
//! uses bytes from [`Input`], writes answers to [`Out`], and returns a [`Want`]. The driver sends everything in
//! `Out` *before* it acts on the want, except that it may read ahead. A session must not care how its input was cut.
//!
//! ```text
//!            Opened                                  Input, Notice, Answer, Flushed, TlsStarted, ...
//!   driver ----------> session.step(..) -> Want --------------------------------------------> step(..) -> ...
//! ```
//!
//! | want | the driver | next event |
//! |---|---|---|
//! | `Input` | sends `Out`, reads more bytes (or finds unread ones waiting that the session has not looked at: none) | `Input`, `TimedOut`, `Shutdown` |
//! | `InputOrNotice(n)` | the same, and waits on the notice too | also `Notice` |
//! | `Continue` | sends all of `Out` | `Flushed` |
//! | `Work(w)` | runs `w` on the bounded pool for slow work (password hashes) | `Answer` |
//! | `Ask(q)` | asks a server elsewhere ([`Question`]), no thread waits for it | `Answer`, with an [`super::Asked`] |
//! | `Pause(d)` | sends `Out`, waits `d` (a slowed login) | `Flushed` |
//! | `StartTls` | sends `Out`, does the handshake | `TlsStarted` |
//! | `Compress` | sends `Out`, then packs what it sends and unpacks what comes | `Flushed` |
//! | `Close` | sends `Out`, closes | none |
//!
//! When the peer closes, the driver lets the session finish what it was doing with the bytes it has
//! (`Continue`, `Work`, `Pause`), and drops it when it wants input. A session that is dropped has lost its peer: nothing that needs
//! a goodbye (POP3 DELE) is done.
//!
//! A step may block on the disk, for a bounded time; it never waits for a stranger.

use std::any::Any;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Input, Out, Question};
use crate::notice::{Notice, Raiser};

/// From the greeting to a login, whatever the client says meanwhile: NOOP every minute must not keep a place for ever. A second factor
/// and a slow typist need one or two minutes.
pub const LOGIN_TIME: Duration = Duration::from_secs(5 * 60);

/// Since when a client that must log in has not.
#[derive(Debug, Clone, Copy)]
pub struct Unproven(Instant);

impl Unproven {
    /// The connection begins.
    pub fn begin() -> Unproven {
        Unproven(Instant::now())
    }

    /// The connection began then.
    #[cfg(test)]
    pub fn since(begun: Instant) -> Unproven {
        Unproven(begun)
    }

    /// How long such a client may be silent: `each` time at most, and never past [`LOGIN_TIME`] in all.
    pub fn patience(self, each: Duration) -> Duration {
        self.patience_after(self.0.elapsed(), each)
    }

    fn patience_after(self, elapsed: Duration, each: Duration) -> Duration {
        each.min(LOGIN_TIME.saturating_sub(elapsed))
    }
}

/// What a piece of slow work returns; the session that asked knows the type.
pub type Answer = Box<dyn Any + Send>;

/// Slow work for the bounded pool, such as checking a password. Must not touch the connection.
pub type Work = Box<dyn FnOnce() -> Answer + Send>;

/// What happened since the last step.
pub enum Event {
    /// The connection is there: greet. Always the first event, once.
    Opened,
    /// There are new bytes in the input.
    Input,
    /// The notice that was waited on was raised.
    Notice,
    /// All output was sent (after `Continue`), or the pause is over (after `Pause`).
    Flushed,
    /// The work is done.
    Answer(Answer),
    /// The handshake is done; everything the session believed about its peer is to be forgotten (RFC 3207 4.2).
    TlsStarted(Tls),
    /// Somebody raised [`Peer::dismissal`]: the user may not exist any more. Comes only while the session wants input.
    Dismissed,
    /// The peer sent nothing for [`Session::patience`]: say so and want `Close`.
    TimedOut,
    /// The server is stopping: say so (421, BYE) and want `Close`. Comes only while the session wants input; a session
    /// in the middle of a transfer may go on wanting input and is closed by the driver's own limit.
    Shutdown,
}

/// What the session wants next.
pub enum Want {
    /// More bytes.
    Input,
    /// More bytes, or a raised notice.
    InputOrNotice(Notice),
    /// To go on when the output was sent.
    Continue,
    /// An answer from slow work.
    Work(Work),
    /// An answer from elsewhere.
    Ask(Question),
    /// To go on after this time.
    Pause(Duration),
    /// To speak TLS from here on. Unread input must have been discarded.
    StartTls,
    /// To go on when the output was sent, with both sides compressing from here on (RFC 4978). There is no unread input.
    Compress,
    /// To end.
    Close,
}

impl std::fmt::Debug for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Want::Input => "Input",
            Want::InputOrNotice(_) => "InputOrNotice",
            Want::Continue => "Continue",
            Want::Work(_) => "Work",
            Want::Ask(_) => "Ask",
            Want::Pause(_) => "Pause",
            Want::StartTls => "StartTls",
            Want::Compress => "Compress",
            Want::Close => "Close",
        })
    }
}

/// What a TLS handshake agreed on.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Protocol version, as in a Received header: `TLSv1.3`.
    pub version: String,
    /// Cipher suite, as IANA names it.
    pub cipher: String,
    /// Channel binding `tls-exporter` (RFC 9266), 32 bytes; only with TLS 1.3, or 1.2 with extended master secret.
    pub exporter: Option<[u8; 32]>,
    /// Server name that the client asked for.
    pub server_name: Option<String>,
    /// Mail addresses in the client's certificate, if it showed one that was verified.
    pub client: Vec<String>,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address of the client (from the PROXY header where one is expected). A Unix socket counts as `127.0.0.1:0`.
    pub remote: SocketAddr,
    /// Our own address.
    pub local: SocketAddr,
    /// TLS, if the connection began with it.
    pub tls: Option<Tls>,
    /// A number for this connection, unique in this process; for logs.
    pub id: u64,
    /// Raised to have the session look whether its user may stay ([`Event::Dismissed`]).
    pub dismissal: Raiser,
}

impl Peer {
    /// A peer that was let in, before TLS; nobody can dismiss it.
    pub fn new(remote: SocketAddr, local: SocketAddr, id: u64) -> Peer {
        Peer { remote, local, tls: None, id, dismissal: Raiser::default() }
    }

    /// Is the client on this machine (then logins in clear may be allowed, and failures are not slowed)?
    pub fn is_loopback(&self) -> bool {
        self.remote.ip().to_canonical().is_loopback()
    }
}

/// One conversation. Made for a [`Peer`], then stepped until it wants [`Want::Close`] or is dropped.
pub trait Session: Send {
    /// Take notice of `event`, use `input`, answer into `out`, and say what is wanted next.
    fn step(&mut self, event: Event, input: &mut Input, out: &mut Out) -> Want;

    /// How long the peer may be silent in the present state before `TimedOut`.
    fn patience(&self) -> Duration;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_only_talks_runs_out_of_time_to_log_in() {
        let (unproven, each) = (Unproven::begin(), Duration::from_secs(120));
        assert_eq!(unproven.patience_after(Duration::from_secs(100), each), each);
        assert_eq!(unproven.patience_after(Duration::from_secs(200), each), Duration::from_secs(100));
        assert_eq!(unproven.patience_after(Duration::from_secs(900), each), Duration::ZERO);
    }
}
