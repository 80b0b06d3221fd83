//! The PROXY protocol (haproxy's proxy-protocol.txt, versions 1 and 2): who the client behind a load balancer is.
//!
//! A listener either expects the header on every connection or never looks for one; guessing would let a client write
//! its own address. A connection to such a listener from an address that is not named as a proxy, without a header in time, or
//! with a malformed one is closed without a word and logged. TLVs of version 2 are read and not believed.
//!
//! The header is read without taking a byte of what follows, since that may be a TLS handshake.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest version 1 line, CRLF included (section 2.1).
const V1_MAX: usize = 107;

/// Shortest version 1 line: `PROXY UNKNOWN` CRLF. Read at once; shorter than a version 2 header.
const V1_MIN: usize = 15;

/// First bytes of version 2 (section 2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses.
const V2_FIXED: usize = 16;

/// Longest version 2 payload we read: addresses and a few TLVs. The field allows 65,535; nobody honest sends 4 KiB.
const V2_MAX: usize = 4096;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The connection is on behalf of this client (source, destination).
    Client(SocketAddr, SocketAddr),
    /// The proxy speaks for itself (health check), or does not know: the socket's own addresses stand, but for loopback.
    Own,
}

impl Header {
    /// Whom the connection is from and to, when the socket's own addresses are these. A client on the proxy's machine has a loopback
    /// address there; for us it is where the proxy is, or it would pass for a client on this machine, who may do more (log in in clear,
    /// fail as fast as it likes). So would one of whom a proxy on our machine says nothing: it is from nowhere.
    pub fn believed(self, remote: SocketAddr, local: SocketAddr) -> (SocketAddr, SocketAddr) {
        let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        match self {
            Header::Client(client, _) if is_here(client) && !is_here(remote) => (remote, local),
            Header::Client(client, to) => (client, to),
            // A proxy on this machine that does not say for whom: nobody known, and not a client on this machine.
            Header::Own if is_here(remote) => (SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), local),
            Header::Own => (remote, local),
        }
    }
}

/// Read the header.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    let mut bytes = vec![0; V1_MIN];
    stream.read_exact(&mut bytes).await?;
    if bytes.starts_with(V2_SIGNATURE) {
        bytes.push(stream.read_u8().await?);
        let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        if length > V2_MAX {
            return Err(malformed("version 2 header too long"));
        }
        bytes.resize(V2_FIXED + length, 0);
        stream.read_exact(&mut bytes[V2_FIXED..]).await?;
        return parse_v2(&bytes);
    }
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() == V1_MAX || !bytes.starts_with(b"PROXY ") {
            return Err(malformed("no PROXY header"));
        }
        bytes.push(stream.read_u8().await?);
    }
    parse_v1(&bytes)
}

fn parse_v1(line: &[u8]) -> io::Result<Header> {
    let line = line.strip_suffix(b"\r\n").and_then(|l| std::str::from_utf8(l).ok()).ok_or(malformed("not a line"))?;
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Err(malformed("no PROXY header"));
    }
    let v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // What follows UNKNOWN is to be ignored.
        Some("UNKNOWN") => return Ok(Header::Own),
        _ => return Err(malformed("unknown protocol family")),
    };
    let mut address = || words.next()?.parse::<IpAddr>().ok().filter(|a| a.is_ipv4() == v4);
    let (source, destination) = (address(), address());
    let mut port = || words.next().filter(|w| w.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok();
    let (source_port, destination_port) = (port(), port());
    match (source, destination, source_port, destination_port, words.next()) {
        (Some(s), Some(d), Some(sp), Some(dp), None) => {
            Ok(Header::Client(SocketAddr::new(s, sp), SocketAddr::new(d, dp)))
        }
        _ => Err(malformed("bad address or port in version 1 header")),
    }
}

fn parse_v2(bytes: &[u8]) -> io::Result<Header> {
    let payload = &bytes[V2_FIXED..];
    let command = match bytes[12] {
        0x20 => return Ok(Header::Own), // LOCAL
        0x21 => bytes[13],
        _ => return Err(malformed("unknown version or command in version 2 header")),
    };
    match command {
        0x11 if payload.len() >= 12 => {
            let ip = |at: usize| IpAddr::V4(Ipv4Addr::from(array::<4>(payload, at)));
            Ok(client(ip(0), ip(4), &payload[8..]))
        }
        0x21 if payload.len() >= 36 => {
            let ip = |at: usize| IpAddr::V6(Ipv6Addr::from(array::<16>(payload, at)));
            Ok(client(ip(0), ip(16), &payload[32..]))
        }
        // UNSPEC and Unix sockets: the addresses are of no use to us, the socket's own stand.
        0x00 | 0x31 => Ok(Header::Own),
        _ => Err(malformed("unknown address family in version 2 header, or too short for it")),
    }
}

fn client(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Header {
    let port = |at| u16::from_be_bytes(array::<2>(ports, at));
    Header::Client(SocketAddr::new(source, port(0)), SocketAddr::new(destination, port(2)))
}

/// `N` bytes from `at`; the caller has checked that they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_on_the_proxys_machine_is_not_on_ours() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (far, near, local) = (at("10.0.0.1:9"), at("127.0.0.1:9"), at("10.0.0.2:143"));
        let (client, own, mapped) = (at("192.0.2.7:5"), at("127.0.0.1:5"), at("[::ffff:127.0.0.1]:5"));
        for (header, remote, want) in [
            (Header::Client(client, local), far, (client, local)),
            (Header::Client(client, local), near, (client, local)),
            (Header::Client(own, own), far, (far, local)),
            (Header::Client(mapped, mapped), far, (far, local)),
            (Header::Client(own, own), near, (own, own)),
            (Header::Own, far, (far, local)),
            (Header::Own, near, (at("0.0.0.0:0"), local)),
            (Header::Own, mapped, (at("0.0.0.0:0"), local)),
        ] {
            assert_eq!(header.believed(remote, local), want, "{header:?} by {remote}");
        }
    }

    fn parse(bytes: &[u8]) -> io::Result<(Header, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let header = runtime.block_on(read(&mut rest))?;
        Ok((header, rest.to_vec()))
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn reads_what_proxies_send_and_nothing_behind_it() {
        let v4 = Header::Client("203.0.113.7:40000".parse().unwrap(), "192.0.2.1:25".parse().unwrap());
        let v6 = Header::Client("[2001:db8::7]:65535".parse().unwrap(), "[2001:db8::1]:993".parse().unwrap());
        let v4_bytes = [203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 0, 25];
        let mut v6_bytes = Vec::new();
        v6_bytes.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6_bytes.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        v6_bytes.extend([0xff, 0xff, 3, 0xe1]);
        let mut with_tlv = v4_bytes.to_vec();
        with_tlv.extend([4, 0, 1, 0]);
        for (name, bytes, expected) in [
            ("v1 tcp4", b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\n".to_vec(), v4),
            ("v1 tcp6", b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 993\r\n".to_vec(), v6),
            ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), Header::Own),
            ("v1 unknown with words", b"PROXY UNKNOWN what ever\r\n".to_vec(), Header::Own),
            ("v2 tcp4", v2(0x21, 0x11, &v4_bytes), v4),
            ("v2 tcp6", v2(0x21, 0x21, &v6_bytes), v6),
            ("v2 with TLV", v2(0x21, 0x11, &with_tlv), v4),
            ("v2 local", v2(0x20, 0, &[]), Header::Own),
            ("v2 unspec", v2(0x21, 0, &[]), Header::Own),
        ] {
            let mut sent = bytes.clone();
            sent.extend(b"EHLO x\r\n");
            let (header, rest) = parse(&sent).unwrap();
            assert_eq!((header, rest.as_slice()), (expected, &b"EHLO x\r\n"[..]), "{name}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for (name, bytes) in [
            ("no header", b"EHLO client.example.org\r\n".to_vec()),
            ("cut short", b"PROXY TCP4 203.0".to_vec()),
            ("family does not match", b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n".to_vec()),
            ("port too large", b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 25\r\n".to_vec()),
            ("signed port", b"PROXY TCP4 203.0.113.7 192.0.2.1 +1 25\r\n".to_vec()),
            ("one word too many", b"PROXY TCP4 203.0.113.7 192.0.2.1 1 25 x\r\n".to_vec()),
            ("two spaces", b"PROXY TCP4  203.0.113.7 192.0.2.1 1 25\r\n".to_vec()),
            ("endless line", [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat()),
            ("v2 wrong version", v2(0x11, 0x11, &[0; 12])),
            ("v2 wrong command", v2(0x22, 0x11, &[0; 12])),
            ("v2 datagram", v2(0x21, 0x12, &[0; 12])),
            ("v2 too short for v4", v2(0x21, 0x11, &[0; 11])),
            ("v2 too short for v6", v2(0x21, 0x21, &[0; 35])),
            ("v2 too long", v2(0x21, 0x11, &[0; V2_MAX + 1])),
            ("v2 cut short", v2(0x21, 0x11, &[0; 12])[..20].to_vec()),
        ] {
            assert!(parse(&bytes).is_err(), "{name}");
        }
    }
}
