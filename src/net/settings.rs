//! What the configuration tells this module.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Authorities, ClientAuthorities};
use crate::wire::Network;

/// Connections at once, by default. An idle one costs a few KiB and one file descriptor.
pub const DEFAULT_MAX_CONNECTIONS: usize = 20_000;

/// Connections at once from one IPv4 address or one IPv6 /64, by default: an office behind one address, with
/// ten connections for each of its mail programs.
pub const DEFAULT_MAX_PER_ADDRESS: usize = 200;

/// How long a transfer may go on after SIGTERM, by default; systemd kills after 90 seconds.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(20);

/// Everything that holds for all listeners.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections at once over all listeners; one more is refused with its listener's [`Listener::busy`] line.
    pub max_connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 /64.
    pub max_per_address: usize,
    /// Networks without a limit per address (webmail, monitoring). Loopback and Unix sockets never have one.
    pub unlimited: Vec<Network>,
    /// Who may send a PROXY header to a listener that expects one. Everybody else is refused there.
    pub proxies: Vec<Network>,
    /// Threads that run sessions; 0 means `max(8, 4 × cores)`. More than cores, because a step may wait for the disk.
    pub threads: usize,
    /// How long transfers may go on after a stop was asked for.
    pub drain: Duration,
    /// By whom servers are checked that sessions ask over HTTPS; none: only HTTP can be asked.
    pub authorities: Option<Authorities>,
    /// Who signs certificates of clients; none: clients are not asked for any.
    pub clients: Option<ClientAuthorities>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_per_address: DEFAULT_MAX_PER_ADDRESS,
            unlimited: Vec::new(),
            proxies: Vec::new(),
            threads: 0,
            drain: DEFAULT_DRAIN,
            authorities: None,
            clients: None,
        }
    }
}

/// One socket to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// For logs, and matched with `FileDescriptorName=` of a systemd socket unit.
    pub name: String,
    /// Where.
    pub address: Address,
    /// TLS from the first byte (465, 993, 995).
    pub tls: bool,
    /// Every connection begins with a PROXY header (v1 or v2), from [`Settings::proxies`] or over a Unix socket.
    pub proxy: bool,
    /// The line that refuses a connection when there are too many, without CRLF, in the listener's protocol:
    /// `421 4.7.0 Too many connections`. Not sent where TLS comes first.
    pub busy: &'static str,
}

/// Where a socket listens or did listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// IP address and port. Port 0 lets the system choose (tests).
    Tcp(SocketAddr),
    /// This TCP port on every address of the machine: one socket for IPv6, if the machine has it, and one for IPv4.
    Port(u16),
    /// A Unix stream socket. A stale file of that name is replaced, a live one is an error.
    Unix {
        /// Path of the socket.
        path: PathBuf,
        /// Its permissions; who may connect is who may write it.
        mode: u32,
        /// The group it is given, if not that of whoever starts us.
        group: Option<u32>,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Port(port) => write!(f, "port {port}"),
            Address::Unix { path, .. } => path.display().fmt(f),
        }
    }
}

impl Settings {
    /// May this address send a PROXY header?
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|n| n.contains(address))
    }

    /// Is this address without a limit of its own?
    pub fn is_unlimited(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.unlimited.iter().any(|n| n.contains(address))
    }
}
