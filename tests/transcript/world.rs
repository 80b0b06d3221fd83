//! What a transcript is played in: a throw-away configuration with alice and bob, opened as the daemon opens it.
//!
//! Everything lies below one temporary directory and is gone with it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use nix::unistd::geteuid;

use mailcote::config::{Config, Service};
use mailcote::daemon::{Opened, Running, Services};
use mailcote::net::Address;
use mailcote::store::{Home, Layout, Name, Owner};
use mailcote::wire::{Peer, Switch};

use super::drive::{Connection, Direct, Socket, made_up_tls};
use super::faults::Faults;
use super::outside::Outside;
use super::run::World;

/// How a transcript is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Straight into a session.
    Direct,
    /// Over a socket.
    Socket,
    /// Straight in, one byte at a time.
    Cut,
}

/// Who owns alice's mail with `given owner`: a number that no account has.
const ALICE: u32 = 61_003;

/// One world.
pub struct Fixture {
    mode: Mode,
    service: Service,
    tls: bool,
    services: Arc<Services>,
    running: Option<Running>,
    client: Arc<rustls::ClientConfig>,
    outside: Outside,
    faults: Faults,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// Make the world that the `given` lines ask for.
    pub fn new(folder: &str, given: &[Vec<String>], mode: Mode) -> Result<Fixture, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let root = dir.path();
        let has = |what: &str| given.iter().any(|words| words[0] == what);
        let protocol = given.iter().find(|words| words[0] == "protocol").map_or(folder, |words| words[1].as_str());
        let tls = has("tls");
        let service = service(protocol, tls)?;
        let client = certificate(root)?;
        let outside =
            Outside::new(root.join("mail/alice/Maildir"), (has("owner") && geteuid().is_root()).then_some(ALICE));
        if outside.owner.is_some() {
            outside.make("INBOX")?;
            chown(root.join("mail/alice"), outside.owner, outside.owner).map_err(|e| e.to_string())?;
            // As /home is: everybody may pass.
            fs::set_permissions(root, fs::Permissions::from_mode(0o711)).map_err(|e| e.to_string())?;
        }
        let mut config = configuration(root, service, !has("clear-refused"), outside.owner)?;
        if has("master") {
            let file = root.join("masters");
            fs::write(&file, "root:{PLAIN}master-secret\n").map_err(|e| e.to_string())?;
            config.auth.masters = Some(file);
        }
        // Smaller than the configuration allows: transcripts have few messages.
        config.limits.imap_messages.messages = number(given, "message-limit")?;
        config.limits.imap_messages.saves = number(given, "save-limit")?;
        let (services, running) = if mode == Mode::Socket {
            let opened = Opened::new(&config).map_err(|e| e.to_string())?;
            let services = Arc::new(Services::new(&config, Switch::new(true))?);
            let running = Running::start(&config, opened, services.clone()).map_err(|e| e.to_string())?;
            (services, Some(running))
        } else {
            (Arc::new(Services::new(&config, Switch::new(true))?), None)
        };
        let faults = Faults::new(root.to_owned());
        let fixture = Fixture { mode, service, tls, services, running, client, outside, faults, _dir: dir };
        fixture.fill(given)?;
        Ok(fixture)
    }

    /// Stop the server, if there is one.
    pub fn end(self) {
        if let Some(running) = self.running {
            running.stop();
        }
    }

    fn fill(&self, given: &[Vec<String>]) -> Result<(), String> {
        let owner = self.outside.owner.map_or(Owner::Daemon, |uid| Owner::User { uid, gid: uid });
        let home = Home { maildir: self.outside.maildir.clone(), layout: Layout::Maildirpp, owner };
        let store = self.services.stores.open(&home).map_err(|e| e.to_string())?;
        for words in given {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words[..] {
                ["protocol" | "message-limit" | "save-limit", _]
                | ["tls"]
                | ["clear-refused"]
                | ["owner"]
                | ["master"] => {}
                ["folder", name] => {
                    let name = Name::parse(name).map_err(|e| e.to_string())?;
                    store.create(&name, None).map_err(|e| e.to_string())?;
                }
                _ if self.outside.given(&words)? => {}
                _ => return Err(format!("given {}: not understood", words.join(" "))),
            }
        }
        Ok(())
    }
}

impl World for Fixture {
    fn connect(&mut self) -> Result<Box<dyn Connection>, String> {
        if let Some(running) = &self.running {
            let port = running.addresses().iter().find_map(|(_, address)| match address {
                Address::Tcp(address) => Some(address.port()),
                _ => None,
            });
            let port = port.ok_or("no port")?;
            return Ok(Box::new(Socket::connect(port, self.tls, self.client.clone())?));
        }
        let peer = Peer {
            tls: self.tls.then(made_up_tls),
            ..Peer::new(([127, 0, 0, 1], 40_000).into(), ([127, 0, 0, 1], 143).into(), 1)
        };
        Ok(Box::new(Direct::new(self.services.session(self.service, peer), self.mode == Mode::Cut)))
    }

    fn act(&mut self, words: &[String]) -> Result<(), String> {
        if self.faults.act(words)? { Ok(()) } else { self.outside.act(words) }
    }
}

/// The number of a `given` line, if there is such a line.
fn number(given: &[Vec<String>], name: &str) -> Result<Option<u32>, String> {
    let Some(words) = given.iter().find(|words| words[0] == name) else { return Ok(None) };
    let text = words.get(1).map_or("", String::as_str);
    text.parse().map(Some).map_err(|_| format!("given {name} {text}: not a number"))
}

fn service(protocol: &str, tls: bool) -> Result<Service, String> {
    Ok(match (protocol, tls) {
        ("smtp", _) => Service::Smtp,
        ("lmtp", _) => Service::Lmtp,
        ("submission", false) => Service::Submission,
        ("submission", true) => Service::Submissions,
        ("imap", false) => Service::Imap,
        ("imap", true) => Service::Imaps,
        ("pop3", false) => Service::Pop3,
        ("pop3", true) => Service::Pop3s,
        _ => return Err(format!("given protocol {protocol}: not understood")),
    })
}

/// A certificate for the server, and a client that trusts it.
pub fn certificate(root: &Path) -> Result<Arc<rustls::ClientConfig>, String> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).map_err(|e| e.to_string())?;
    let dir = root.join("certs/localhost");
    fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    fs::write(dir.join("fullchain.pem"), made.cert.pem()).map_err(|e| e.to_string())?;
    fs::write(dir.join("privkey.pem"), made.signing_key.serialize_pem()).map_err(|e| e.to_string())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).map_err(|e| e.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A port that nobody has at this moment; a configuration cannot say "any".
fn free_port() -> Result<u16, String> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(socket.local_addr().map_err(|e| e.to_string())?.port())
}

fn configuration(root: &Path, service: Service, clear: bool, owner: Option<u32>) -> Result<Config, String> {
    let domain = root.join("domains/demo.test");
    fs::create_dir_all(&domain).map_err(|e| e.to_string())?;
    let ids = owner.map_or(String::new(), |uid| format!(":{uid}:{uid}"));
    let users = format!(
        "alice:{{PLAIN}}alice-secret{ids}\nbob:{{PLAIN}}bob-secret\nsmall:{{PLAIN}}small-secret::::::quota=2k quota_messages=3\n"
    );
    fs::write(domain.join("users"), users).map_err(|e| e.to_string())?;
    fs::write(domain.join("aliases"), "team: alice, bob\n").map_err(|e| e.to_string())?;
    let address = format!("\"127.0.0.1:{}\"", free_port()?);
    let listen: String = Service::TABLE
        .iter()
        .map(|(s, key)| format!("{key} = [{}]\n", if *s == service { address.as_str() } else { "" }))
        .collect();
    let text = format!(
        "hostname = \"mail.demo.test\"\n[listen]\n{listen}[auth]\nallow_plain_on_loopback = {clear}\n\
         secret = \"secret\"\n[sharing]\nanyone = true\nindex = \"shared\"\n[quota]\nfile = \"quota\"\n[metadata]\ncomment = \"Shared comment\"\nadmin = \"mailto:postmaster@demo.test\"\n[mail]\nhome = \"{}/mail/{{user}}/Maildir\"\n[limits]\nmax_message_size = \"1M\"\nmax_recipients = 100\n",
        root.display()
    );
    Config::parse(&root.join("mailcote.toml"), &text).map_err(|problems| problems.to_string())
}
