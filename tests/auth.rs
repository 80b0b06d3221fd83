//! Logins without a password of one's own, against the real binary: by token, checked at an authorization server that the
//! test plays; by client certificate; and as a master user.

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use support::{Client, Demo, PATIENCE};

/// An authorization server: what it answers for which token, and how often it was asked.
struct Authority {
    port: u16,
    asked: Arc<AtomicUsize>,
    answers: Arc<Mutex<HashMap<String, String>>>,
}

impl Authority {
    fn start() -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashMap::new())));
        let authority = Authority { port, asked: asked.clone(), answers: answers.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                asked.fetch_add(1, Ordering::SeqCst);
                let answers = answers.clone();
                std::thread::spawn(move || answer(stream.expect("a connection"), &answers));
            }
        });
        authority
    }

    fn knows(&self, token: &str, answer: &str) {
        self.answers.lock().expect("answers").insert(token.into(), answer.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// One request (RFC 7662 2.1) and its answer; one without our secret gets none.
fn answer(stream: TcpStream, answers: &Mutex<HashMap<String, String>>) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut known) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("a header") == 0 {
            return;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        // mailcote:the secret
        known |= line == "authorization: basic bwfpbgnvdgu6dghljtiwc2vjcmv0";
        if line.is_empty() {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).expect("the form");
    let form = String::from_utf8(form).expect("text");
    let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).expect("a token");
    let body = answers.lock().expect("answers").get(token).cloned();
    if body.as_deref() == Some("silence") {
        std::thread::sleep(PATIENCE);
    }
    let body = body.unwrap_or_else(|| "{\"active\":false}".into());
    let status = if known { "200 OK" } else { "401 Unauthorized" };
    let reply =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    reader.get_mut().write_all(reply.as_bytes()).expect("the answer is taken");
}

/// A demo with these settings besides its own, and its port of a service as a client that was greeted.
fn demo(settings: &str) -> (tempfile::TempDir, Demo) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("base.toml");
    fs::write(&file, settings).expect("settings");
    let demo = Demo::with(&["--config", file.to_str().expect("a path")]);
    (dir, demo)
}

fn greeted(demo: &Demo, service: &str) -> Client {
    let mut client = Client::to(demo.port(service));
    client.line();
    client
}

fn bearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\u{1}host=localhost\u{1}port=143\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

#[test]
fn tokens_are_checked_at_the_authorization_server() {
    let authority = Authority::start();
    let alice = r#"{"active":true,"scope":"openid mail","email":"alice@demo.test"}"#;
    authority.knows("good", alice);
    authority.knows("other", alice);
    authority.knows("unscoped", &alice.replace(" mail", ""));
    authority.knows("slow", "silence");
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(secret.path(), "the secret\n").expect("the secret");
    let (_dir, demo) = demo(&format!(
        "[oauth]\nintrospection = \"http://localhost:{}/introspect\"\nclient = \"mailcote\"\nsecret = \"{}\"\n\
         username = \"email\"\nscope = \"mail\"\nconfiguration = \"https://demo.test/.well-known/openid-configuration\"\n\
         timeout = \"1s\"\n",
        authority.port,
        secret.path().display()
    ));

    let mut imap = greeted(&demo, "imap");
    let capabilities = imap.imap("capability").remove(0);
    assert!(capabilities.contains("AUTH=OAUTHBEARER AUTH=XOAUTH2"), "{capabilities}");
    // RFC 7628 3.2.2 and 3.2.3: why, as JSON; then the client ends it, and it fails.
    imap.send(&format!("a1 authenticate oauthbearer {}", bearer("alice@demo.test", "stolen")));
    let challenge = imap.line();
    let why = STANDARD.decode(challenge.strip_prefix("+ ").expect("a challenge")).expect("base64");
    let why: serde_json::Value = serde_json::from_slice(&why).expect("JSON");
    assert_eq!(
        why,
        serde_json::json!({
            "status": "invalid_token",
            "scope": "mail",
            "openid-configuration": "https://demo.test/.well-known/openid-configuration",
        })
    );
    imap.send("AQ==");
    assert!(imap.line().starts_with("a1 NO [AUTHENTICATIONFAILED]"));
    imap.send(&format!("a2 authenticate oauthbearer {}", bearer("alice@demo.test", "unscoped")));
    let challenge = STANDARD.decode(&imap.line()[2..]).expect("base64");
    assert!(String::from_utf8_lossy(&challenge).contains("insufficient_scope"));
    imap.send("*");
    assert!(imap.line().starts_with("a2 NO [AUTHENTICATIONFAILED]"));
    imap.send(&format!("a3 authenticate oauthbearer {}", bearer("bob@demo.test", "good")));
    imap.line();
    imap.send("AQ==");
    assert!(imap.line().starts_with("a3 NO [AUTHENTICATIONFAILED]"), "alice's token is not bob's");
    // While one waits for a server that says nothing, others go on; then it is told to try later.
    let mut waiting = greeted(&demo, "imap");
    waiting.send(&format!("w1 authenticate oauthbearer {}", bearer("alice@demo.test", "slow")));
    imap.send(&format!("a4 authenticate oauthbearer {}", bearer("alice@demo.test", "good")));
    assert!(imap.line().starts_with("a4 OK"));
    assert!(waiting.line().starts_with("w1 NO [UNAVAILABLE]"));
    imap.imap("select INBOX");

    // Known by now: nobody is asked again, over any protocol.
    let before = authority.asked();
    let mut pop = greeted(&demo, "pop3");
    assert!(
        pop.pop3_lines("CAPA").iter().any(|line| line.starts_with("SASL ") && line.contains(" OAUTHBEARER XOAUTH2"))
    );
    pop.send(&format!("AUTH OAUTHBEARER {}", bearer("alice@demo.test", "good")));
    assert!(pop.line().starts_with("+OK"));
    assert_eq!(authority.asked(), before);
    let mut smtp = greeted(&demo, "submission");
    assert!(smtp.smtp("EHLO x", "250").iter().any(|line| line.contains("AUTH ") && line.contains(" XOAUTH2")));
    let google = STANDARD.encode("user=alice@demo.test\u{1}auth=Bearer other\u{1}\u{1}");
    smtp.smtp("AUTH XOAUTH2", "334");
    smtp.smtp(&google, "235");
    smtp.smtp("MAIL FROM:<alice@demo.test>", "250");
    assert_eq!(authority.asked(), before + 1);
}

#[test]
fn without_a_setting_nothing_is_offered() {
    let demo = Demo::start();
    let mut imap = greeted(&demo, "imap");
    let capabilities = imap.imap("capability").remove(0);
    for mechanism in ["OAUTHBEARER", "XOAUTH2", "EXTERNAL"] {
        assert!(!capabilities.contains(mechanism), "{capabilities}");
        assert!(
            imap.imap_any(&format!("authenticate {mechanism}")).pop().is_some_and(|line| line.contains(" NO [CANNOT]"))
        );
    }
    let login = format!("login \"alice@demo.test*root\" {}", demo.user("alice").password);
    assert!(imap.imap_any(&login).pop().is_some_and(|line| line.contains(" NO [AUTHENTICATIONFAILED]")));
}

#[test]
fn a_master_user_is_let_in_and_logged() {
    let masters = tempfile::NamedTempFile::new().expect("a file");
    fs::write(masters.path(), "root:{PLAIN}master-secret\n").expect("masters");
    let (_dir, demo) = demo(&format!("log = \"info\"\n[auth]\nmasters = \"{}\"\n", masters.path().display()));
    let mut imap = greeted(&demo, "imap");
    imap.imap("login \"alice@demo.test*root\" master-secret");
    assert!(imap.imap("status INBOX (messages)")[0].contains("MESSAGES 30"), "it is alice's mailbox");
    // As one does for one user after the other on one connection (RFC 8437 1).
    imap.imap("unauthenticate");
    imap.imap("login \"bob@demo.test*root\" master-secret");
    assert!(imap.imap("status INBOX (messages)")[0].contains("MESSAGES 0"));
    let log = demo.log();
    let line = log.lines().find(|line| line.contains("logged in as master")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("alice@demo.test") && line.contains("root") && !log.contains("master-secret"), "{line}");
}

/// A certificate with these names, and its key; as PEM.
fn certificate(name: &str, alternatives: Vec<SanType>, issuer: &Issuer<'static, KeyPair>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = alternatives;
    let key = KeyPair::generate().expect("a key");
    let made = params.signed_by(&key, issuer).expect("a certificate");
    (made.pem(), key.serialize_pem())
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a CA").pem();
    (Issuer::new(params, key), pem)
}

type Stream = BufReader<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>;

/// Connect with TLS, and with this certificate.
fn connect(port: u16, ca: &Path, own: Option<&(String, String)>) -> Stream {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("the CA")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")];
            config
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"))
                .expect("fits")
        }
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a connection");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    BufReader::new(rustls::StreamOwned::new(connection, socket))
}

/// Send a line if there is one, and read up to a line that begins with `until`; nothing if the connection ends.
fn say(stream: &mut Stream, line: &str, until: &str) -> Option<String> {
    if !line.is_empty() {
        stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()?;
    }
    loop {
        let mut said = String::new();
        if stream.read_line(&mut said).ok()? == 0 {
            return None;
        }
        if said.starts_with(until) {
            return Some(said);
        }
    }
}

#[test]
fn a_client_certificate_is_a_login() {
    let ((ours, pem), (others, _)) = (authority(), authority());
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), pem).expect("the CA");
    let (_dir, demo) = demo(&format!("[tls]\nclient_ca = \"{}\"\n", file.path().display()));
    let mail = |address: &str| vec![SanType::Rfc822Name(address.try_into().expect("an address"))];
    let alice = certificate("Alice", mail("alice@demo.test"), &ours);
    let bob = certificate("bob@demo.test", Vec::new(), &ours);
    let nobody = certificate("A printer", Vec::new(), &ours);
    let forged = certificate("Alice", mail("alice@demo.test"), &others);
    let to = |own: Option<&(String, String)>| connect(demo.port("imaps"), &demo.ca(), own);

    for (own, login) in [(&alice, "alice"), (&bob, "bob")] {
        let mut stream = to(Some(own));
        let greeting = say(&mut stream, "", "* OK").expect("a greeting");
        assert!(greeting.contains("AUTH=EXTERNAL"), "{greeting}");
        let other = STANDARD.encode(if login == "alice" { "bob@demo.test" } else { "alice@demo.test" });
        let told = say(&mut stream, &format!("a1 authenticate external {other}"), "a1 ").expect("an answer");
        assert!(told.starts_with("a1 NO [AUTHENTICATIONFAILED]"), "{told}");
        assert!(say(&mut stream, "a2 authenticate external =", "a2 ").expect("an answer").starts_with("a2 OK"));
        let messages = say(&mut stream, "a3 status INBOX (messages)", "* STATUS").expect("an answer");
        assert_eq!(messages.contains("MESSAGES 30"), login == "alice", "{login}: {messages}");
        // RFC 8437 4.2: the certificate outlives the login.
        assert!(say(&mut stream, "a4 unauthenticate", "a4 ").expect("an answer").starts_with("a4 OK"));
        assert!(say(&mut stream, "a5 authenticate external =", "a5 ").expect("an answer").starts_with("a5 OK"));
    }
    for own in [None, Some(&nobody)] {
        let greeting = say(&mut to(own), "", "* OK").expect("a greeting");
        assert!(!greeting.contains("EXTERNAL") && greeting.contains("AUTH=PLAIN"), "{greeting}");
    }
    assert!(say(&mut to(Some(&forged)), "", "* OK").is_none(), "signed by somebody else");
    let mut pop = connect(demo.port("pop3s"), &demo.ca(), Some(&alice));
    say(&mut pop, "", "+OK");
    assert!(say(&mut pop, "AUTH EXTERNAL =", "").expect("an answer").starts_with("+OK"));
    let mut smtp = connect(demo.port("submissions"), &demo.ca(), Some(&alice));
    say(&mut smtp, "EHLO x", "250 ");
    assert!(say(&mut smtp, "AUTH EXTERNAL =", "").expect("an answer").starts_with("235"));
}
