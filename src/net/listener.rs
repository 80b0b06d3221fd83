//! Sockets to listen on: opened here, or handed over by systemd.
//!
//! Opening is done before privileges are dropped and before the runtime exists, so this file is plain blocking code. A Unix
//! socket is made under a temporary name, given its mode and renamed into place: there is no moment at which it
//! can be reached with another mode. A stale one (nobody answers) is replaced; a live one is an error. Its file
//! is removed when the [`Bound`] is dropped; a socket that systemd made is systemd's to remove.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};

use super::{Address, Listener};

/// Connections that the kernel holds until we accept them: a burst after a restart, when every client comes back.
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    /// What it was asked to be.
    pub listener: Listener,
    pub(super) socket: Listening,
    pub(super) file: Option<SocketFile>,
}

/// The file of a Unix socket that we made; removed on drop.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

/// The socket, not yet known to the runtime.
#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for `{name}`: {source}{}", hint(.source, .address))]
pub struct BindError {
    /// The listener's name.
    pub name: String,
    /// Where.
    pub address: String,
    /// What the system said.
    pub source: io::Error,
}

fn hint(e: &io::Error, address: &str) -> &'static str {
    match e.kind() {
        io::ErrorKind::NotFound => {
            "; its directory does not exist: make it, or start by systemd, whose unit makes /run/mailcote"
        }
        io::ErrorKind::PermissionDenied if address.starts_with('/') => {
            "; the account that starts Mailcote must be allowed to write in its directory"
        }
        io::ErrorKind::AddrInUse if address.starts_with('/') => "; another program answers there, stop it first",
        io::ErrorKind::AddrInUse => "; another program listens there, stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket unit"
        }
        _ => "",
    }
}

/// Open every listener, taking over what systemd handed us. Returns names of handed sockets that no listener claims.
pub fn bind(listeners: &[Listener]) -> Result<(Vec<Bound>, Vec<String>), BindError> {
    bind_with(listeners, handed())
}

fn bind_with(listeners: &[Listener], handed: Vec<Handed>) -> Result<(Vec<Bound>, Vec<String>), BindError> {
    let claims = claims(listeners, &handed);
    let mut handed: Vec<(Option<usize>, Handed)> = claims.into_iter().zip(handed).collect();
    let mut bound = Vec::new();
    for (index, listener) in listeners.iter().enumerate() {
        let failed = |source| BindError { name: listener.name.clone(), address: listener.address.to_string(), source };
        // systemd may hand several sockets under one name (IPv4 and IPv6).
        let (ours, rest): (Vec<_>, Vec<_>) = handed.into_iter().partition(|(claim, _)| *claim == Some(index));
        handed = rest;
        if ours.is_empty() {
            for (socket, file) in open(&listener.address).map_err(failed)? {
                bound.push(Bound { listener: listener.clone(), socket, file });
            }
        }
        for (_, h) in ours {
            h.socket.set_nonblocking().map_err(failed)?;
            bound.push(Bound { listener: listener.clone(), socket: h.socket, file: None });
        }
    }
    Ok((bound, handed.into_iter().map(|(_, h)| h.name).collect()))
}

/// Which listener each handed socket is for: the one with its address; else one with its name, whose own address was not handed
/// over. Two listeners of a service have one name, and may differ in more than the address (PROXY).
fn claims(listeners: &[Listener], handed: &[Handed]) -> Vec<Option<usize>> {
    let by_address: Vec<Option<usize>> =
        handed.iter().map(|h| listeners.iter().position(|listener| h.is_at(&listener.address))).collect();
    let named = |h: &Handed, free: bool| {
        let fits = |(index, listener): (usize, &Listener)| {
            listener.name == h.name && !(free && by_address.contains(&Some(index)))
        };
        listeners.iter().enumerate().position(fits)
    };
    let claim = |(h, at): (&Handed, &Option<usize>)| at.or_else(|| named(h, true)).or_else(|| named(h, false));
    handed.iter().zip(&by_address).map(claim).collect()
}

/// The sockets that an address stands for.
fn open(address: &Address) -> io::Result<Vec<(Listening, Option<SocketFile>)>> {
    Ok(match address {
        Address::Tcp(address) => vec![(Listening::Tcp(tcp(*address)?), None)],
        Address::Port(port) => {
            let mut sockets = vec![(Listening::Tcp(tcp((Ipv4Addr::UNSPECIFIED, *port).into())?), None)];
            match tcp((Ipv6Addr::UNSPECIFIED, *port).into()) {
                Ok(socket) => sockets.push((Listening::Tcp(socket), None)),
                Err(e) if is_without_v6(&e) => {}
                Err(e) => return Err(e),
            }
            sockets
        }
        Address::Unix { path, mode, group } => {
            vec![(Listening::Unix(unix(path, *mode, *group)?), Some(SocketFile(path.clone())))]
        }
    })
}

/// Has this machine no IPv6 (not built in, or switched off)?
fn is_without_v6(e: &io::Error) -> bool {
    [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL].iter().any(|no| e.raw_os_error() == Some(*no as i32))
}

impl Bound {
    /// Where it really listens (port 0 was replaced by the system's choice).
    pub fn address(&self) -> io::Result<Address> {
        match (&self.socket, &self.listener.address) {
            (Listening::Tcp(socket), _) => Ok(Address::Tcp(socket.local_addr()?)),
            (Listening::Unix(_), address) => Ok(address.clone()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the socket");
        }
    }
}

impl Listening {
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listening::Tcp(s) => s.set_nonblocking(true),
            Listening::Unix(s) => s.set_nonblocking(true),
        }
    }
}

/// A TCP socket; an IPv6 one takes IPv6 only, so that `0.0.0.0` and `[::]` can be listened on side by side.
fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket::socket(family, SockType::Stream, flags, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

fn unix(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a socket has this name"));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
    }
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let socket = UnixListener::bind(&temporary)?;
    socket.set_nonblocking(true)?;
    // Nobody else may connect before both are right.
    fs::set_permissions(&temporary, Permissions::from_mode(0o600))?;
    if group.is_some() {
        chown(&temporary, None, group)?;
    }
    fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
    fs::rename(&temporary, path)?;
    Ok(socket)
}

/// A socket that systemd handed us.
struct Handed {
    name: String,
    socket: Listening,
}

impl Handed {
    /// Does it listen at this address?
    fn is_at(&self, address: &Address) -> bool {
        match (&self.socket, address) {
            (Listening::Tcp(socket), Address::Tcp(address)) => socket.local_addr().is_ok_and(|a| a == *address),
            (Listening::Tcp(socket), Address::Port(port)) => socket.local_addr().is_ok_and(|a| a.port() == *port),
            (Listening::Unix(socket), Address::Unix { path, .. }) => {
                socket.local_addr().is_ok_and(|a| a.as_pathname() == Some(path))
            }
            _ => false,
        }
    }
}

/// What systemd handed us (sd_listen_fds(3)), with the names from `FileDescriptorName=`.
fn handed() -> Vec<Handed> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut fds = ListenFd::from_env();
    let mut handed = Vec::new();
    for index in 0..fds.len() {
        let name = names.next().unwrap_or("unknown").to_owned();
        let tcp = fds.take_tcp_listener(index).ok().flatten().map(Listening::Tcp);
        let socket = tcp.or_else(|| fds.take_unix_listener(index).ok().flatten().map(Listening::Unix));
        match socket {
            Some(socket) => handed.push(Handed { name, socket }),
            None => tracing::warn!(name, "systemd handed us something that is not a TCP or Unix stream socket"),
        }
    }
    handed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: Address) -> Listener {
        Listener { name: "test".into(), address, tls: false, proxy: false, busy: "busy" }
    }

    #[test]
    fn a_unix_socket_has_its_mode_replaces_a_stale_one_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lmtp");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a stale socket is there");
        let (bound, _) = bind(&[listener(Address::Unix { path: path.clone(), mode: 0o620, group: None })]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
        let again = bind(&[listener(Address::Unix { path: path.clone(), mode: 0o620, group: None })]).unwrap_err();
        assert_eq!(again.source.kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "x").unwrap();
        assert!(bind(&[listener(Address::Unix { path: path.clone(), mode: 0o600, group: None })]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_socket_without_a_directory_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no/lmtp");
        let error = bind(&[listener(Address::Unix { path, mode: 0o600, group: None })]).unwrap_err();
        assert!(error.to_string().contains("its directory does not exist"), "{error}");
    }

    #[test]
    fn sockets_that_are_handed_over_under_one_name_go_where_their_addresses_say() {
        let open = || tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let (plain, proxied, other) = (open(), open(), open());
        let at = |socket: &TcpListener| socket.local_addr().unwrap();
        let listeners = [
            listener(Address::Tcp(at(&plain))),
            Listener { proxy: true, ..listener(Address::Tcp(at(&proxied))) },
            listener(Address::Tcp("127.0.0.1:0".parse().unwrap())),
        ];
        let wanted = [at(&plain), at(&proxied), at(&other)];
        let handed = |name: &str, socket| Handed { name: name.into(), socket: Listening::Tcp(socket) };
        // Of no listener's address: by its name, where nothing else was handed.
        let all = vec![handed("test", other), handed("test", proxied), handed("test", plain), handed("x", open())];
        let (bound, unclaimed) = bind_with(&listeners, all).unwrap();
        assert_eq!(unclaimed, ["x"]);
        let got: Vec<_> = bound.iter().map(|bound| (bound.listener.proxy, bound.address().unwrap())).collect();
        assert_eq!(got, [false, true, false].into_iter().zip(wanted.map(Address::Tcp)).collect::<Vec<_>>());
    }

    #[test]
    fn a_taken_port_is_said_to_be_taken() {
        let (bound, _) = bind(&[listener(Address::Tcp("127.0.0.1:0".parse().unwrap()))]).unwrap();
        let Ok(Address::Tcp(taken)) = bound[0].address() else { panic!("no address") };
        let error = bind(&[listener(Address::Tcp(taken))]).unwrap_err();
        assert!(error.to_string().contains("another program listens there"), "{error}");
    }
}
