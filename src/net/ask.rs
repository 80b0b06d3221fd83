//! Asks servers elsewhere for sessions: one HTTP POST on a connection of its own.
//!
//! Owns the client side of HTTP/1.1 (hyper) and of TLS, and the CAs that it believes. Everything is bounded: the time, by the
//! question; the answer, by [`MAX_ANSWER`]; questions at a time, by [`AT_ONCE`], and what is too many waits for its turn within its
//! time. Look-ups of names are [`LOOK_UPS`] at most, until the system's resolver is done with them, which may be long after the question
//! was given up: what it has not finished keeps no thread from anybody else. A redirect is an answer like any other: a token goes only where the configuration sends it. Nothing is
//! written, and no thread waits, but the system's for the look-up of a name.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::wire::{Asked, Question};

/// Bytes in an answer: token introspection says some hundred.
const MAX_ANSWER: usize = 64 * 1024;
/// Questions on their way at a time.
const AT_ONCE: usize = 64;
/// Look-ups of names under way at a time, each on a blocking thread of its own: the system's resolver blocks for seconds when a name
/// server is gone.
pub const LOOK_UPS: usize = 4;

/// Asks the system for the addresses of a host and port; blocks.
type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Whom we believe when we are the client.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<ClientConfig>);

impl Authorities {
    /// The CAs of `file` (PEM), or those that the system trusts. Read once: the process may be confined later.
    ///
    /// # Errors
    /// In words: what cannot be read, or that nothing is in it.
    pub fn load(file: Option<&Path>) -> Result<Authorities, String> {
        let (certificates, place) = match file {
            Some(file) => {
                let told = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
                let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|e| told(&e))?.collect();
                (all.map_err(|e| told(&e))?, file.display().to_string())
            }
            // What cannot be read of the system's is not believed; if that is everything, the check below says so.
            None => (rustls_native_certs::load_native_certs().certs, "the system's store of CAs".into()),
        };
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(certificates);
        if taken == 0 {
            return Err(format!("{place}: no usable certificate of a CA in it"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Authorities(Arc::new(config)))
    }
}

/// Asks for all connections.
pub struct Asker {
    authorities: Option<Authorities>,
    places: Semaphore,
    look_up: LookUp,
    /// Of look-ups that run.
    look_ups: Arc<Semaphore>,
}

impl Asker {
    /// Believes these; without any, only `http` can be asked.
    pub fn new(authorities: Option<Authorities>) -> Asker {
        let look_up: LookUp = |host, port| (host, port).to_socket_addrs().map(Iterator::collect);
        Asker { authorities, places: Semaphore::new(AT_ONCE), look_up, look_ups: Arc::new(Semaphore::new(LOOK_UPS)) }
    }

    /// Where to connect to.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let permit = self.look_ups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (look_up, host) = (self.look_up, host.to_owned());
        let looking = tokio::task::spawn_blocking(move || {
            let found = look_up(&host, port);
            // Not before: who asked may have gone, but the thread is taken until here.
            drop(permit);
            found
        });
        looking.await.map_err(io::Error::other)?
    }

    /// Ask, within the question's time.
    pub async fn ask(&self, question: Question) -> Asked {
        let asked = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            self.post(&question).await
        };
        match tokio::time::timeout(question.timeout, asked).await {
            Ok(Ok((status, body))) => Asked::Said(status, body),
            Ok(Err(reason)) => Asked::Failed(reason),
            Err(_) => Asked::Failed(format!("no answer within {:?}", question.timeout)),
        }
    }

    async fn post(&self, question: &Question) -> Result<(u16, Vec<u8>), String> {
        let uri: Uri = question.url.parse().map_err(|e| format!("{}: {e}", question.url))?;
        let host = uri.host().ok_or_else(|| format!("{}: no host in it", question.url))?;
        // An IPv6 address stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let told = |e: io::Error| format!("{host} port {port}: {e}");
        let addresses = self.addresses(host, port).await.map_err(told)?;
        let socket = TcpStream::connect(addresses.as_slice()).await.map_err(told)?;
        if !https {
            return talk(socket, &uri, question).await;
        }
        let authorities = self.authorities.clone().ok_or("no CA is known to check the server by")?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| format!("{host}: {e}"))?;
        let stream = TlsConnector::from(authorities.0).connect(name, socket).await;
        talk(stream.map_err(|e| format!("{host} port {port}: TLS: {e}"))?, &uri, question).await
    }
}

/// One request and its answer.
async fn talk<S>(stream: S, uri: &Uri, question: &Question) -> Result<(u16, Vec<u8>), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| format!("HTTP: {e}"))?;
    // Moves the bytes; ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(authorization) = &question.authorization {
        let mut value = HeaderValue::from_bytes(authorization.expose()).map_err(|e| e.to_string())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let form = Full::new(Bytes::copy_from_slice(question.form.expose()));
    let request = request.body(form).map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(|e| format!("HTTP: {e}"))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    Ok((status, body.map_err(|e| format!("the answer: {e}"))?.to_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;
    use std::time::Duration;

    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::wire::Secret;

    /// A server that reads one request to its end, says `answer`, and closes; what it read.
    fn server(answer: Vec<u8>) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            while !text.ends_with(b"token=x") {
                let n = peer.read(&mut buffer).unwrap();
                assert!(n > 0, "the whole question comes");
                text.extend_from_slice(&buffer[..n]);
            }
            // A client that has heard enough may be gone.
            let _ = peer.write_all(&answer);
            String::from_utf8(text).unwrap()
        });
        (port, serving)
    }

    /// The same over HTTPS, for any number of clients; its CA.
    fn secure_server() -> (u16, tempfile::NamedTempFile) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for peer in listener.incoming() {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, peer.unwrap());
                // A client that does not believe us goes away.
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                }
            }
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.cert.pem()).unwrap();
        (port, file)
    }

    #[test]
    fn only_a_server_that_is_believed_gets_a_token() {
        let ((port, ca), (_, other)) = (secure_server(), secure_server());
        let url = format!("https://localhost:{port}/introspect");
        let believed = |file: &Path| Some(Authorities::load(Some(file)).unwrap());
        assert!(matches!(ask_with(believed(ca.path()), &url, LONG), Asked::Said(200, _)));
        assert!(matches!(ask_with(believed(other.path()), &url, LONG), Asked::Failed(why) if why.contains("TLS")));
        assert!(matches!(ask_with(None, &url, LONG), Asked::Failed(why) if why.contains("no CA")));
        let by_number = url.replace("localhost", "127.0.0.1");
        assert!(matches!(ask_with(believed(ca.path()), &by_number, LONG), Asked::Failed(why) if why.contains("TLS")));
        std::fs::write(ca.path(), "nothing").unwrap();
        assert!(Authorities::load(Some(ca.path())).is_err());
    }

    fn ask(port: u16, timeout: Duration) -> Asked {
        ask_with(None, &format!("http://127.0.0.1:{port}/introspect?a=b"), timeout)
    }

    fn ask_with(authorities: Option<Authorities>, url: &str, timeout: Duration) -> Asked {
        let question = Question {
            url: url.into(),
            authorization: Some(Secret::new("Basic eDp5")),
            form: Secret::new("token=x"),
            timeout,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Asker::new(authorities).ask(question))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_question_and_its_answer() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n{}",
        ] {
            let (port, serving) = server(answer.into());
            assert!(matches!(ask(port, LONG), Asked::Said(200, body) if body == b"{}"), "{answer}");
            let request = serving.join().unwrap();
            assert!(request.starts_with("POST /introspect?a=b HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("authorization: Basic eDp5\r\n"), "{request}");
        }
        let (port, serving) =
            server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".into());
        assert!(matches!(ask(port, LONG), Asked::Said(302, _)), "not followed");
        serving.join().unwrap();
    }

    /// A resolver that does not answer: look-ups go on behind their questions, and are never more than there are threads for.
    #[test]
    fn look_ups_that_nobody_waits_for_take_no_threads_from_hashes() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let asker = Asker {
            look_up: |_, _| {
                BEGUN.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_secs(1));
                Err(io::ErrorKind::NotFound.into())
            },
            ..Asker::new(None)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOK_UPS + 1)
            .build()
            .unwrap();
        runtime.block_on(async {
            for n in 0..2 * LOOK_UPS {
                let question = Question {
                    url: format!("http://host{n}.test/"),
                    authorization: None,
                    form: Secret::new("token=x"),
                    timeout: Duration::from_millis(20),
                };
                assert!(matches!(asker.ask(question).await, Asked::Failed(why) if why.contains("no answer")));
            }
            let begun = std::time::Instant::now();
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert!(begun.elapsed() < Duration::from_millis(500), "a hash finds its thread");
        });
        assert_eq!(BEGUN.load(Ordering::SeqCst), LOOK_UPS);
    }

    #[test]
    fn what_is_no_answer() {
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; MAX_ANSWER + 1]].concat();
        for (answer, says) in [
            (endless, "limit"),
            (b"SSH-2.0-x\r\n".to_vec(), "HTTP"),
            (b"".to_vec(), "HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec(), "the answer"),
        ] {
            let (port, serving) = server(answer);
            let Asked::Failed(reason) = ask(port, LONG) else { panic!("{says}") };
            assert!(reason.contains(says), "{reason}");
            serving.join().unwrap();
        }
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        assert!(matches!(ask(port, Duration::from_millis(50)), Asked::Failed(why) if why.contains("no answer")));
        drop(silent);
        assert!(matches!(ask(port, LONG), Asked::Failed(why) if why.contains("refused")));
    }
}
