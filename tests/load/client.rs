//! A client that speaks lines, with a limit on how long it waits.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use super::demo::{Demo, User};

/// How long any answer may take before a test calls it missing.
pub const PATIENT: Duration = Duration::from_secs(30);

/// A connection in clear.
pub struct Client(BufReader<TcpStream>);

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(PATIENT)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENT)).expect("a timeout");
    stream
}

/// A TLS connection to the demo, whose authority is trusted.
pub fn connect_tls(demo: &Demo, service: &str) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let authority = demo.settings["ca"].as_str().expect("the path of the CA");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("the CA")).expect("the CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    rustls::StreamOwned::new(connection, connect(demo.port(service)))
}

impl Client {
    pub fn connect(port: u16) -> Client {
        Client(BufReader::new(connect(port)))
    }

    /// An IMAP connection, logged in.
    pub fn imap(demo: &Demo, user: &User) -> Client {
        let mut client = Client::connect(demo.port("imap"));
        client.until("* OK");
        client.command(&format!("LOGIN {} {}", user.login, user.password));
        client
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("send");
    }

    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("a line");
        assert!(!line.is_empty(), "the server closed the connection");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Lines up to the first that begins with `start`.
    pub fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line());
            if lines[lines.len() - 1].starts_with(start) {
                return lines;
            }
        }
    }

    /// An IMAP command with tag `t`, which must be OK.
    pub fn command(&mut self, command: &str) -> Vec<String> {
        let lines = self.try_command(command);
        assert!(lines.last().is_some_and(|l| l.starts_with("t OK")), "{command}: {lines:?}");
        lines
    }

    /// An IMAP command with tag `t`, whatever it is answered.
    pub fn try_command(&mut self, command: impl AsRef<[u8]>) -> Vec<String> {
        self.send([b"t ", command.as_ref(), b"\r\n"].concat());
        self.until("t ")
    }

    /// Select INBOX and wait in IDLE; returns how many messages there are.
    pub fn idle(&mut self) -> usize {
        let exists = exists(&self.command("SELECT INBOX")).expect("EXISTS");
        self.send("t IDLE\r\n");
        self.until("+");
        exists
    }

    /// In IDLE: wait until there are `count` messages; returns when that was told.
    pub fn told(&mut self, count: usize) -> Instant {
        loop {
            let line = self.line();
            if exists(&[line]).is_some_and(|n| n >= count) {
                return Instant::now();
            }
        }
    }

    /// Send one mail by SMTP and have it accepted.
    pub fn deliver(&mut self, to: &str, message: &[u8]) {
        self.until("220");
        for (command, code) in [
            ("EHLO load.test", "250 "),
            ("MAIL FROM:<a@b.test>", "250"),
            (&format!("RCPT TO:<{to}>"), "250"),
            ("DATA", "354"),
        ] {
            self.send(format!("{command}\r\n"));
            let answer = self.smtp_answer();
            assert!(answer.starts_with(code.trim()), "{command}: {answer}");
        }
        self.send([message, b"\r\n.\r\n"].concat());
        let answer = self.smtp_answer();
        assert!(answer.starts_with("250"), "{answer}");
    }

    fn smtp_answer(&mut self) -> String {
        loop {
            let line = self.line();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }
}

/// The number of the last EXISTS.
pub fn exists(lines: &[String]) -> Option<usize> {
    lines.iter().rev().find_map(|l| l.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok())
}
