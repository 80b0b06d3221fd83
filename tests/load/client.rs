//! What these tests need beside the common fixture: IDLE, raw connections, TLS.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use super::support::{Client, Demo, PATIENCE};

/// A bare connection.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// A TLS connection to the demo, whose authority is trusted.
pub fn connect_tls(demo: &Demo, service: &str) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(demo.ca()).expect("the CA")).expect("the CA");
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

/// Select INBOX and wait in IDLE; returns how many messages there are.
pub fn idle(client: &mut Client) -> usize {
    let exists = exists(&client.imap("SELECT INBOX")).expect("EXISTS");
    client.send("i IDLE");
    while !client.line().starts_with('+') {}
    exists
}

/// In IDLE: wait until there are `count` messages; returns when that was told.
pub fn told(client: &mut Client, count: usize) -> Instant {
    loop {
        if exists(&[client.line()]).is_some_and(|n| n >= count) {
            return Instant::now();
        }
    }
}

/// Leave IDLE.
pub fn done(client: &mut Client) {
    client.send("DONE");
    while !client.line().starts_with("i OK") {}
}

/// The number of the last EXISTS.
fn exists(lines: &[String]) -> Option<usize> {
    lines.iter().rev().find_map(|l| l.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok())
}

/// Send one mail, as it is, by SMTP and have it accepted.
pub fn deliver(demo: &Demo, name: &str, message: &[u8]) {
    let mut client = demo.connect("smtp");
    client.smtp("EHLO load.test", "250");
    client.smtp("MAIL FROM:<a@b.test>", "250");
    client.smtp(&format!("RCPT TO:<{name}@demo.test>"), "250");
    client.smtp("DATA", "354");
    client.raw(message);
    client.smtp("\r\n.", "250");
}
