//! The two ways to hold a conversation: straight into a session, with no socket anywhere, and over a real one.
//!
//! [`Direct`] is the session driver in its plainest form (the table in `wire::Session`'s module): it proves that a
//! session needs nothing else, and with `cut` set it feeds one byte at a time, since a session must not care how its
//! input was grouped. [`Socket`] is a client on loopback, with TLS by rustls when the transcript asks for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailcote::wire::{Asked, Event, Input, Out, Session, Tls, Want};

/// How long a line may take before the transcript fails.
const LINE_WAIT: Duration = Duration::from_secs(10);

/// One side of a conversation, as a client has it.
pub trait Connection {
    /// Send bytes as they are.
    fn send(&mut self, bytes: &[u8]);
    /// The next line without CRLF; `None` when the server has closed.
    fn line(&mut self) -> Result<Option<Vec<u8>>, String>;
    /// Go on under TLS.
    fn start_tls(&mut self) -> Result<(), String>;
    /// Go on with both sides compressing (RFC 4978).
    fn compress(&mut self) -> Result<(), String>;
}

/// A TLS handshake's outcome, as a session that runs without sockets is told it.
pub fn made_up_tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        exporter: Some([7; 32]),
        server_name: None,
        client: Vec::new(),
    }
}

/// Straight into a session.
pub struct Direct {
    session: Box<dyn Session>,
    input: Input,
    out: Out,
    want: Want,
    received: Vec<u8>,
    cut: bool,
}

impl Direct {
    /// Open the conversation; with `cut`, every byte arrives alone.
    pub fn new(mut session: Box<dyn Session>, cut: bool) -> Direct {
        let (mut input, mut out) = (Input::new(), Out::new());
        let want = session.step(Event::Opened, &mut input, &mut out);
        let mut direct = Direct { session, input, out, want, received: Vec::new(), cut };
        direct.pump();
        direct
    }

    fn step(&mut self, event: Event) {
        self.want = self.session.step(event, &mut self.input, &mut self.out);
        self.pump();
    }

    /// Do what the session wants until it wants its peer.
    fn pump(&mut self) {
        loop {
            self.received.extend_from_slice(self.out.bytes());
            self.out.clear();
            let event = match std::mem::replace(&mut self.want, Want::Close) {
                Want::Continue | Want::Pause(_) => Event::Flushed,
                Want::Work(work) => Event::Answer(work()),
                Want::Ask(_) => Event::Answer(Box::new(Asked::Failed("nobody to ask here".into()))),
                waits => {
                    self.want = waits;
                    return;
                }
            };
            self.want = self.session.step(event, &mut self.input, &mut self.out);
        }
    }
}

impl Connection for Direct {
    fn send(&mut self, bytes: &[u8]) {
        let size = if self.cut { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(size) {
            if !matches!(self.want, Want::Input | Want::InputOrNotice(_)) {
                return;
            }
            self.input.extend(piece);
            self.step(Event::Input);
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let deadline = Instant::now() + LINE_WAIT;
        loop {
            if let Some(line) = take_line(&mut self.received) {
                return Ok(Some(line));
            }
            match &self.want {
                Want::Close => return Ok(None),
                Want::InputOrNotice(notice) if notice.take() => self.step(Event::Notice),
                Want::InputOrNotice(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                want => return Err(format!("the session says nothing and wants {want:?}")),
            }
        }
    }

    fn start_tls(&mut self) -> Result<(), String> {
        if !matches!(self.want, Want::StartTls) {
            return Err(format!("the session wants {:?}, not TLS", self.want));
        }
        if !self.input.is_empty() {
            return Err("bytes from before the handshake are still in the input".into());
        }
        self.step(Event::TlsStarted(made_up_tls()));
        Ok(())
    }

    /// No bytes travel here, so there is nothing to compress.
    fn compress(&mut self) -> Result<(), String> {
        if !matches!(self.want, Want::Compress) {
            return Err(format!("the session wants {:?}, not compression", self.want));
        }
        self.step(Event::Flushed);
        Ok(())
    }
}

fn take_line(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = received.windows(2).position(|pair| pair == b"\r\n")?;
    let mut line: Vec<u8> = received.drain(..end + 2).collect();
    line.truncate(end);
    Some(line)
}

/// A client on a real socket.
pub struct Socket {
    stream: Stream,
    deflate: Option<Box<Deflate>>,
    received: Vec<u8>,
    config: Arc<rustls::ClientConfig>,
}

/// The client's side of COMPRESS.
struct Deflate {
    out: flate2::Compress,
    incoming: flate2::Decompress,
}

impl Deflate {
    fn pack(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(bytes.len() + 1024);
        self.out.compress_vec(bytes, &mut packed, flate2::FlushCompress::Sync).expect("deflate");
        packed
    }

    fn unpack(&mut self, mut bytes: &[u8], to: &mut Vec<u8>) -> Result<(), String> {
        loop {
            to.reserve(64 * 1024);
            let before = self.incoming.total_in();
            self.incoming.decompress_vec(bytes, to, flate2::FlushDecompress::Sync).map_err(|e| e.to_string())?;
            bytes = &bytes[usize::try_from(self.incoming.total_in() - before).expect("a length")..];
            if bytes.is_empty() && to.len() < to.capacity() {
                return Ok(());
            }
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
    Gone,
}

impl Socket {
    /// Connect; with `tls`, the handshake comes first.
    pub fn connect(port: u16, tls: bool, config: Arc<rustls::ClientConfig>) -> Result<Socket, String> {
        Socket::connect_to(([127, 0, 0, 1], port).into(), tls, config, LINE_WAIT)
    }

    /// As [`Socket::connect`], to any address, and wait `wait` for a line.
    pub fn connect_to(
        address: SocketAddr,
        tls: bool,
        config: Arc<rustls::ClientConfig>,
        wait: Duration,
    ) -> Result<Socket, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(wait)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut socket = Socket { stream: Stream::Plain(stream), deflate: None, received: Vec::new(), config };
        if tls {
            socket.start_tls()?;
        }
        Ok(socket)
    }
}

impl Connection for Socket {
    fn send(&mut self, bytes: &[u8]) {
        let packed = self.deflate.as_mut().map(|deflate| deflate.pack(bytes));
        let bytes = packed.as_deref().unwrap_or(bytes);
        // A server that has already closed is found out by the next expected line.
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Ok(()),
        };
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut block = [0; 16 * 1024];
        loop {
            if let Some(line) = take_line(&mut self.received) {
                return Ok(Some(line));
            }
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut block),
                Stream::Tls(stream) => stream.read(&mut block),
                Stream::Gone => return Ok(None),
            };
            match read {
                Ok(0) => return Ok(None),
                Ok(n) => match &mut self.deflate {
                    Some(deflate) => deflate.unpack(&block[..n], &mut self.received)?,
                    None => self.received.extend_from_slice(&block[..n]),
                },
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(format!("no line came: {e}")),
            }
        }
    }

    fn start_tls(&mut self) -> Result<(), String> {
        let Stream::Plain(mut plain) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err("TLS inside TLS".into());
        };
        let name = "localhost".try_into().expect("a valid name");
        let mut tls = rustls::ClientConnection::new(self.config.clone(), name).map_err(|e| e.to_string())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut plain).map_err(|e| format!("handshake: {e}"))?;
        }
        self.stream = Stream::Tls(Box::new(rustls::StreamOwned::new(tls, plain)));
        Ok(())
    }

    fn compress(&mut self) -> Result<(), String> {
        let out = flate2::Compress::new(flate2::Compression::default(), false);
        let incoming = flate2::Decompress::new(false);
        // What came behind the OK is compressed already.
        let early = std::mem::take(&mut self.received);
        let mut deflate = Deflate { out, incoming };
        deflate.unpack(&early, &mut self.received)?;
        self.deflate = Some(Box::new(deflate));
        Ok(())
    }
}
