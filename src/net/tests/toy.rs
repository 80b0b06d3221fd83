//! A protocol of one-word lines, a server that speaks it, and a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use crate::net::*;
use crate::notice::Notice;
use crate::wire::{Event, Input, Out, Peer, Session, Want};

/// What a test waits for before it calls something hung.
pub const PATIENT: Duration = Duration::from_secs(10);

/// A protocol of one-word lines, each of which makes the session want something else.
struct Toy {
    patience: Duration,
    notice: Notice,
    transfer: bool,
    blocks: usize,
    under_tls: bool,
    /// Told when the session is dropped, with what it saw last.
    gone: Sender<&'static str>,
    last: &'static str,
}

impl Drop for Toy {
    fn drop(&mut self) {
        let _ = self.gone.send(self.last);
    }
}

impl Session for Toy {
    fn patience(&self) -> Duration {
        self.patience
    }

    fn step(&mut self, event: Event, input: &mut Input, out: &mut Out) -> Want {
        match event {
            Event::Opened => {
                out.line("hello");
                Want::Input
            }
            Event::Input => self.lines(input, out),
            Event::Notice => {
                out.line("noticed");
                Want::InputOrNotice(self.notice.clone())
            }
            Event::Dismissed => {
                out.line("dismissed");
                Want::Close
            }
            Event::Flushed if self.blocks > 0 => {
                self.blocks -= 1;
                out.put(vec![b'x'; crate::wire::STEP_BYTES]);
                Want::Continue
            }
            Event::Flushed => {
                out.line("flushed");
                self.lines(input, out)
            }
            Event::Answer(answer) => {
                out.line(format!("answer {}", answer.downcast_ref::<u32>().unwrap()));
                self.lines(input, out)
            }
            Event::TlsStarted(tls) => {
                self.under_tls = true;
                out.line(format!("{} {}", tls.version, tls.exporter.is_some()));
                Want::Input
            }
            Event::TimedOut => {
                self.last = "timed out";
                out.line("too slow");
                Want::Close
            }
            Event::Shutdown if self.transfer => {
                self.last = "told to stop in a transfer";
                Want::Input
            }
            Event::Shutdown => {
                self.last = "stopped";
                out.line("stopping");
                Want::Close
            }
        }
    }
}

impl Toy {
    fn lines(&mut self, input: &mut Input, out: &mut Out) -> Want {
        while let Some(end) = input.bytes().iter().position(|&b| b == b'\n') {
            let line = String::from_utf8_lossy(&input.bytes()[..end]).trim_end().to_owned();
            input.consume(end + 1);
            match line.as_str() {
                "continue" => return Want::Continue,
                "long pause" => return Want::Pause(6 * PATIENT),
                "pause" => return Want::Pause(Duration::from_millis(30)),
                "work" => return Want::Work(Box::new(|| Box::new(7u32))),
                "break" => return Want::Work(Box::new(|| panic!("work that panics, on purpose"))),
                "idle" => {
                    self.notice.raise();
                    return Want::InputOrNotice(self.notice.clone());
                }
                "tls" => {
                    input.discard();
                    out.line("begin");
                    return Want::StartTls;
                }
                "tls-careless" => return Want::StartTls,
                "block" => std::thread::sleep(Duration::from_millis(600)),
                "flood" => {
                    self.blocks = 400;
                    return Want::Continue;
                }
                "transfer" => self.transfer = true,
                "end" => self.transfer = false,
                "quit" => {
                    out.line("bye");
                    self.last = "quit";
                    return Want::Close;
                }
                _ => {}
            }
            out.line(&line);
        }
        Want::Input
    }
}

/// A running server with one toy listener.
pub struct Fixture {
    pub server: Option<Server>,
    pub address: SocketAddr,
    pub gone: Receiver<&'static str>,
    pub authority: String,
    _certificates: tempfile::TempDir,
}

#[derive(Default)]
pub struct Plan {
    pub settings: Settings,
    pub tls: bool,
    pub proxy: bool,
    pub patience: Option<Duration>,
}

pub fn start(plan: Plan) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["toy.example".to_owned()]).unwrap();
    std::fs::create_dir(directory.path().join("toy")).unwrap();
    std::fs::write(directory.path().join("toy/fullchain.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.path().join("toy/privkey.pem"), made.signing_key.serialize_pem()).unwrap();
    let (certificates, _) = Certificates::load(directory.path(), "toy.example").unwrap();
    let listener = Listener {
        name: "toy".into(),
        address: Address::Tcp("127.0.0.1:0".parse().unwrap()),
        tls: plan.tls,
        proxy: plan.proxy,
        busy: "busy",
    };
    let (mut bound, _) = bind(&[listener]).unwrap();
    let (tell, gone) = mpsc::channel();
    let patience = plan.patience.unwrap_or(PATIENT);
    let open: Opener = Arc::new(move |peer: Peer| {
        let last = if peer.remote.ip().to_string() == "203.0.113.7" { "from behind the proxy" } else { "" };
        Box::new(Toy {
            patience,
            notice: Notice::new(),
            transfer: false,
            blocks: 0,
            under_tls: peer.tls.is_some(),
            gone: tell.clone(),
            last,
        })
    });
    let endpoint = Endpoint { bound: bound.remove(0), open };
    let server = Server::start(plan.settings, Some(certificates), vec![endpoint]).unwrap();
    let Address::Tcp(address) = server.addresses()[0].1 else { panic!("not TCP") };
    Fixture { server: Some(server), address, gone, authority: made.cert.pem(), _certificates: directory }
}

/// A client that speaks lines.
pub struct Client<S: Read + Write>(pub BufReader<S>);

impl Fixture {
    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    pub fn greeted(&self) -> Client<TcpStream> {
        let mut client = self.connect();
        client.expect("hello");
        client
    }

    pub fn tls(&self, stream: TcpStream) -> Client<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("toy.example").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        Client(BufReader::new(rustls::StreamOwned::new(connection, stream)))
    }

    pub fn gone(&self) -> &'static str {
        self.gone.recv_timeout(PATIENT).expect("the session was not dropped")
    }
}

impl<S: Read + Write> Client<S> {
    pub fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// The server closes, in an orderly way.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}
