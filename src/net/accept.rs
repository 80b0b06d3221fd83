//! The first moments of a connection: caps, PROXY header, TLS, then its session.
//!
//! Refusals are told in the listener's protocol and logged, at most one line a second for all of them together.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tracing::{debug, info, warn};

use super::Listener;
use super::caps::{Admission, Full};
use super::connection::{Connection, End};
use super::drain::Ticket;
use super::listener::{Bound, Listening};
use super::proxy;
use super::server::{Opener, Shared};
use super::stream::{Socket, Stream};
use crate::clock;
use crate::wire::Peer;

/// How long a PROXY header may take; a proxy sends it with the first packet.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// Pause after running out of file descriptors or memory, so that the accept loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A peer on a Unix socket has no address; it is on this machine.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// One listener with what is spoken there.
pub struct Site {
    listener: Listener,
    open: Opener,
    shared: Arc<Shared>,
}

impl Site {
    /// Begin to accept. To be called within the runtime.
    pub fn start(bound: Bound, open: Opener, shared: Arc<Shared>) -> io::Result<()> {
        let Bound { listener, socket, file } = bound;
        let site = Arc::new(Site { listener, open, shared });
        match socket {
            Listening::Tcp(socket) => {
                let socket = TcpListener::from_std(socket)?;
                tokio::spawn(async move { site.accept_tcp(socket).await });
            }
            Listening::Unix(socket) => {
                let socket = UnixListener::from_std(socket)?;
                tokio::spawn(async move {
                    let _file = file;
                    site.accept_unix(socket).await;
                });
            }
        }
        Ok(())
    }

    async fn accept_tcp(self: Arc<Self>, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.shared.drain.stopped() => return,
            };
            match accepted {
                Ok((stream, remote)) => {
                    // Replies are written whole; waiting for more to send only delays them.
                    let local = stream.set_nodelay(true).and_then(|()| stream.local_addr());
                    // An error here means that the client has gone already.
                    if let Ok(local) = local {
                        self.welcome(Socket::Tcp(stream), remote, local);
                    }
                }
                Err(error) => self.not_accepted(error).await,
            }
        }
    }

    async fn accept_unix(self: Arc<Self>, socket: UnixListener) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.shared.drain.stopped() => return,
            };
            match accepted {
                Ok((stream, _)) => self.welcome(Socket::Unix(stream), UNIX_PEER, UNIX_PEER),
                Err(error) => self.not_accepted(error).await,
            }
        }
    }

    async fn not_accepted(&self, error: io::Error) {
        // The client went away while it waited: its own affair.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        if let Some(skipped) = self.shared.refused.now() {
            warn!(listener = self.listener.name, %error, skipped, "cannot accept connections for the moment");
        }
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }

    /// Let a new connection in, or refuse it.
    fn welcome(self: &Arc<Self>, socket: Socket, remote: SocketAddr, local: SocketAddr) {
        let mut admission = match self.shared.caps.admit() {
            Ok(admission) => admission,
            Err(full) => return self.refuse(socket, remote, full),
        };
        if !self.listener.proxy
            && let Err(full) = self.count(&mut admission, remote)
        {
            return self.refuse(socket, remote, full);
        }
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let ticket = self.shared.drain.enter(id);
        let peer = Peer { dismissal: ticket.call().raiser(), ..Peer::new(remote, local, id) };
        let site = self.clone();
        tokio::spawn(async move {
            // What comes before the session is large and short-lived: it must not make every waiting connection larger.
            let begun = Box::pin(site.begin(socket, peer, ticket, admission)).await;
            let Some((connection, peer)) = begun else { return };
            drop(site);
            match connection.run().await {
                End::Failed(error) => info!(id, %peer, %error, "connection failed"),
                end => debug!(id, %peer, ?end, "connection ended"),
            }
        });
    }

    fn count(&self, admission: &mut Admission, remote: SocketAddr) -> Result<(), Full> {
        if self.shared.settings.is_unlimited(remote.ip()) { Ok(()) } else { admission.count(remote.ip()) }
    }

    /// Say the listener's busy line and close. The line fits in any socket's empty buffer, so nothing is waited for.
    fn refuse(&self, socket: Socket, remote: SocketAddr, full: Full) {
        if let Some(skipped) = self.shared.refused.now() {
            warn!(listener = self.listener.name, peer = %remote.ip(), reason = %full, skipped, "connection refused");
        }
        if self.listener.tls {
            return;
        }
        let line = format!("{}\r\n", self.listener.busy);
        // If it cannot be said, closing says it.
        let _ = match socket {
            Socket::Tcp(s) => s.into_std().and_then(|mut s| s.write(line.as_bytes())),
            Socket::Unix(s) => s.into_std().and_then(|mut s| s.write(line.as_bytes())),
        };
    }

    /// PROXY header, TLS, then the session. `None` if it did not come to that.
    async fn begin(
        &self,
        mut socket: Socket,
        mut peer: Peer,
        ticket: Ticket,
        mut admission: Admission,
    ) -> Option<(Connection, SocketAddr)> {
        let prelude = async {
            if self.listener.proxy {
                self.read_proxy(&mut socket, &mut peer).await?;
                if let Err(full) = self.count(&mut admission, peer.remote) {
                    self.refuse(socket, peer.remote, full);
                    return Ok(None);
                }
            }
            let stream = match self.shared.tls.as_ref().filter(|_| self.listener.tls) {
                Some(acceptor) => {
                    let (stream, agreed) = acceptor.accept(socket).await?;
                    peer.tls = Some(agreed);
                    Stream::Tls(stream)
                }
                None => Stream::Plain(socket),
            };
            io::Result::Ok(Some((stream, peer)))
        };
        let (id, at) = (ticket.id(), self.listener.name.as_str());
        let begun = ticket.unless_stopping(prelude).await?;
        match begun {
            Ok(Some((stream, peer))) => {
                debug!(id, listener = at, peer = %peer.remote, tls = peer.tls.is_some(), "connected");
                let remote = peer.remote;
                let session = (self.open)(peer);
                let shared = self.shared.clone();
                Some((Connection::new(stream, session, remote.ip(), ticket, admission, shared), remote))
            }
            Ok(None) => None,
            Err(error) => {
                info!(id, listener = at, %error, "connection ended before its session began");
                None
            }
        }
    }

    async fn read_proxy(&self, socket: &mut Socket, peer: &mut Peer) -> io::Result<()> {
        if matches!(socket, Socket::Tcp(_)) && !self.shared.settings.is_proxy(peer.remote.ip()) {
            let text = format!("{} is not one of the named proxies", peer.remote.ip());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let header = tokio::time::timeout(PROXY_HEADER, proxy::read(socket)).await;
        let header = header.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no PROXY header in time"))??;
        (peer.remote, peer.local) = header.believed(peer.remote, peer.local);
        Ok(())
    }
}

/// Lets one log line a second through, and counts the others.
#[derive(Default)]
pub struct Seldom {
    last: AtomicI64,
    skipped: AtomicU64,
}

impl Seldom {
    /// May a line be logged now? Then with how many were not, since the last.
    pub fn now(&self) -> Option<u64> {
        let now = clock::unix();
        if self.last.swap(now, Ordering::Relaxed) == now {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.skipped.swap(0, Ordering::Relaxed))
    }
}
