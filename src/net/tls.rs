//! TLS 1.2 and 1.3 on a connection, by rustls over ring.
//!
//! Owns the one server configuration; the certificates are [`Certificates`]' business. A client's certificate is
//! asked for where the configuration names CAs for it, and need not be shown; one that they did not sign ends the handshake.
//! Sessions resume by tickets whose key lives in this process only, so nothing about them is kept in memory
//! or on disk. 0-RTT is off: a login must not be replayable.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::cert::Certificates;
use super::identity;
use super::stream::Socket;
use crate::wire::Tls;

/// How long a handshake may take: three round trips over a bad mobile line, with room.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Most bytes that TLS keeps for a peer that reads slowly; the session's own output waits outside.
const BUFFERED: usize = 64 * 1024;

/// What a TLS 1.3 client gets for resumption: one ticket, as mail programs open their next connection later.
const TICKETS: usize = 1;

/// Length of the channel binding (RFC 9266 section 3).
const BINDING: usize = 32;

/// Accepts handshakes. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// For these certificates.
    pub fn new(
        certificates: Arc<Certificates>,
        clients: Option<&ClientAuthorities>,
    ) -> Result<Acceptor, rustls::Error> {
        let config = ServerConfig::builder_with_provider(certificates.provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let config = match clients {
            Some(clients) => config.with_client_cert_verifier(clients.0.clone()),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(certificates);
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS;
        Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
    }

    /// Do the handshake, within [`HANDSHAKE`].
    pub async fn accept(&self, socket: Socket) -> io::Result<(Box<TlsStream<Socket>>, Tls)> {
        let handshake = self.0.accept_with(socket, |connection| connection.set_buffer_limit(Some(BUFFERED)));
        let stream = tokio::time::timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time"))??;
        let agreed = agreed(stream.get_ref().1);
        Ok((Box::new(stream), agreed))
    }
}

/// Who signs certificates of clients.
#[derive(Debug, Clone)]
pub struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

impl ClientAuthorities {
    /// The CAs in `file` (PEM).
    ///
    /// # Errors
    /// In words: the file cannot be read, or no CA is in it.
    pub fn load(file: &Path) -> Result<ClientAuthorities, String> {
        let told = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| told(&e))? {
            roots.add(certificate.map_err(|e| told(&e))?).map_err(|e| told(&e))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
        Ok(ClientAuthorities(verifier.build().map_err(|e| told(&e))?))
    }
}

/// What the handshake agreed on.
fn agreed(connection: &ServerConnection) -> Tls {
    let version = connection.protocol_version();
    let cipher = connection.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).unwrap_or("unknown");
    Tls {
        version: match version {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".into(),
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".into(),
            _ => "unknown".into(),
        },
        // rustls writes TLS13_AES_..., IANA TLS_AES_...
        cipher: cipher.replacen("TLS13_", "TLS_", 1),
        // RFC 9266 section 4.2 allows it under TLS 1.2 only with the extended master secret, which rustls does not tell.
        exporter: (version == Some(ProtocolVersion::TLSv1_3)).then(|| exporter(connection)).flatten(),
        server_name: connection.server_name().map(str::to_owned),
        // Only certificates that were verified are kept by rustls.
        client: connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map_or(Vec::new(), |leaf| identity::addresses(leaf)),
    }
}

/// The `tls-exporter` channel binding (RFC 9266 section 2).
fn exporter(connection: &ServerConnection) -> Option<[u8; BINDING]> {
    connection.export_keying_material([0; BINDING], b"EXPORTER-Channel-Binding", Some(b"")).ok()
}
