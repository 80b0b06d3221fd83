//! The servers that are measured: ours as `mailcote demo`, Dovecot and Postfix with private configurations.
//!
//! Each has its own mail below the temporary directory. Postfix runs only as root, so without it that row is left out
//! and the table says so.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::dovecot::{Dovecot, NOBODY, PASSWORD, free_port};

/// Mailboxes that our server has; every round takes the next.
const USERS: usize = 400;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Mailcote,
    Dovecot,
    Postfix,
}

/// A mailbox on one of the servers.
pub struct Mailbox {
    pub address: String,
    pub password: String,
    pub maildir: PathBuf,
    owner: Option<u32>,
}

impl Mailbox {
    /// Give a file that we made to the server's user.
    pub fn own(&self, path: &Path) {
        if let Some(uid) = self.owner {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("chown");
        }
    }
}

/// All of them, running.
pub struct Servers {
    mailcote: Child,
    settings: serde_json::Value,
    dovecot: Option<Dovecot>,
    postfix: Option<Postfix>,
    root: PathBuf,
    used: usize,
}

impl Servers {
    /// Start everything that is installed.
    pub fn start(root: &Path) -> Servers {
        Servers::start_some(root, true)
    }

    /// Start what speaks IMAP.
    pub fn start_imap(root: &Path) -> Servers {
        Servers::start_some(root, false)
    }

    fn start_some(root: &Path, with_postfix: bool) -> Servers {
        // The peers drop root and must be able to walk down to their mail.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o711)).expect("chmod");
        let (mailcote, settings) = start_mailcote(root);
        let directory = |name: &str| {
            let dir = root.join(name);
            std::fs::create_dir(&dir).expect("a directory");
            dir
        };
        let dovecot = Dovecot::installed().then(|| Dovecot::start(&directory("dovecot"), "mail_fsync = always"));
        let postfix = (with_postfix && Postfix::possible()).then(|| Postfix::start(&directory("postfix")));
        Servers { mailcote, settings, dovecot, postfix, root: root.into(), used: 0 }
    }

    /// Mailcote ends and begins anew on the same mail, so that what it is measured by is not what earlier rows left.
    pub fn restart_mailcote(&mut self) {
        end(&mut self.mailcote);
        (self.mailcote, self.settings) = start_mailcote(&self.root);
    }

    /// Is it running here?
    pub fn has(&self, who: Server) -> bool {
        match who {
            Server::Mailcote => true,
            Server::Dovecot => self.dovecot.is_some(),
            Server::Postfix => self.postfix.is_some(),
        }
    }

    /// Process id of its master.
    pub fn pid(&self, who: Server) -> u32 {
        match who {
            Server::Mailcote => self.mailcote.id(),
            Server::Dovecot => self.dovecot.as_ref().expect("dovecot").pid(),
            Server::Postfix => self.postfix.as_ref().expect("postfix").pid,
        }
    }

    /// A mailbox that no round has used.
    pub fn fresh_user(&mut self, who: Server) -> Mailbox {
        self.used += 1;
        let owner = nix::unistd::geteuid().is_root().then_some(NOBODY);
        match who {
            Server::Mailcote => {
                // The first two are alice and bob, who have mail already.
                let user = &self.settings["users"][1 + self.used];
                let text = |key: &str| user[key].as_str().expect("a user of the demo").to_owned();
                Mailbox {
                    address: text("login"),
                    password: text("password"),
                    maildir: text("maildir").into(),
                    owner: None,
                }
            }
            Server::Dovecot => {
                let name = format!("u{}", self.used);
                Mailbox {
                    maildir: self.dovecot.as_ref().expect("dovecot").maildir(&name),
                    address: name,
                    password: PASSWORD.into(),
                    owner,
                }
            }
            Server::Postfix => {
                let name = format!("u{}", self.used);
                Mailbox {
                    maildir: self.root.join("postfix/mail").join(&name),
                    address: format!("{name}@bench.test"),
                    password: String::new(),
                    owner,
                }
            }
        }
    }

    /// Free the disk of a mailbox that was measured.
    pub fn empty(&self, mailbox: &Mailbox) {
        for sub in ["new", "cur"] {
            for entry in std::fs::read_dir(mailbox.maildir.join(sub)).into_iter().flatten().flatten() {
                std::fs::remove_file(entry.path()).expect("remove");
            }
        }
    }

    fn demo_port(&self, name: &str) -> u16 {
        self.settings["ports"][name].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
    }

    /// Where to deliver.
    pub fn delivery_port(&self, who: Server, lmtp: bool) -> u16 {
        match who {
            Server::Mailcote => self.demo_port(if lmtp { "lmtp" } else { "smtp" }),
            Server::Dovecot => self.dovecot.as_ref().expect("dovecot").lmtp,
            Server::Postfix => self.postfix.as_ref().expect("postfix").port,
        }
    }

    /// POP3 in clear.
    pub fn pop3_port(&self, who: Server) -> u16 {
        if who == Server::Mailcote { self.demo_port("pop3") } else { self.dovecot.as_ref().expect("dovecot").pop3 }
    }

    /// IMAP under TLS; ours only.
    pub fn imaps_port(&self) -> u16 {
        self.demo_port("imaps")
    }

    /// A TLS client that trusts our demo's authority.
    pub fn trust(&self) -> std::sync::Arc<rustls::ClientConfig> {
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let ca = self.settings["ca"].as_str().expect("the authority's file");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).expect("a certificate")).expect("a root");
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        std::sync::Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }

    /// IMAP in clear.
    pub fn imap_port(&self, who: Server) -> u16 {
        if who == Server::Mailcote { self.demo_port("imap") } else { self.dovecot.as_ref().expect("dovecot").imap }
    }
}

/// Where our ports begin: below those that the system gives away, and not where those of another run are.
fn port_base() -> String {
    let is_free = |base: &u32| {
        let port = |last: u32| u16::try_from(base + last).expect("below 65536");
        [24, 25, 110, 143, 465, 587, 993, 995]
            .iter()
            .all(|last| std::net::TcpListener::bind(("127.0.0.1", port(*last))).is_ok())
    };
    let mut bases = (0..20).map(|n| 10_000 + (std::process::id() + n) % 20 * 1_000);
    bases.find(is_free).expect("free ports").to_string()
}

impl Drop for Servers {
    fn drop(&mut self) {
        end(&mut self.mailcote);
    }
}

/// `mailcote demo` below `root`, and what it says of itself.
fn start_mailcote(root: &Path) -> (Child, serde_json::Value) {
    let mut mailcote = Command::new(env!("CARGO_BIN_EXE_mailcote"))
        .args(["demo", "--json", "--allow-plain", "--users", &USERS.to_string(), "--port-base", &port_base(), "--keep"])
        .arg(root.join("mailcote"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mailcote demo");
    let mut line = String::new();
    BufReader::new(mailcote.stdout.take().expect("stdout")).read_line(&mut line).expect("the settings");
    let settings = serde_json::from_str(&line).expect("JSON");
    (mailcote, settings)
}

fn end(mailcote: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(mailcote.id()).expect("a pid"));
    // It may be gone already; the wait says so either way.
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    let _ = mailcote.wait();
}

/// A private Postfix that delivers to Maildirs by its `virtual` agent.
struct Postfix {
    root: PathBuf,
    port: u16,
    pid: u32,
}

impl Postfix {
    fn possible() -> bool {
        Path::new("/usr/sbin/postfix").exists() && nix::unistd::geteuid().is_root()
    }

    fn start(root: &Path) -> Postfix {
        let port = free_port();
        for dir in ["conf", "queue", "data", "mail"] {
            std::fs::create_dir(root.join(dir)).expect("a directory");
        }
        let postfix = nix::unistd::User::from_name("postfix").ok().flatten().expect("the user postfix");
        std::os::unix::fs::chown(root.join("data"), Some(postfix.uid.as_raw()), None).expect("chown");
        std::os::unix::fs::chown(root.join("mail"), Some(NOBODY), Some(NOBODY)).expect("chown");
        // virtual(8) takes no patterns with substitutions, so every mailbox has its line.
        let users: String = (1..=USERS).map(|n| format!("u{n}@bench.test u{n}/\n")).collect();
        std::fs::write(root.join("users"), users).expect("the users");
        std::fs::write(root.join("conf/main.cf"), main_cf(root)).expect("main.cf");
        std::fs::write(root.join("conf/master.cf"), master_cf(port)).expect("master.cf");
        let started = Command::new("/usr/sbin/postfix").arg("-c").arg(root.join("conf")).arg("start").status();
        assert!(started.is_ok_and(|status| status.success()), "postfix does not start");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "postfix does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let pid = std::fs::read_to_string(root.join("queue/pid/master.pid")).expect("its pid");
        Postfix { root: root.into(), port, pid: pid.trim().parse().expect("a number") }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Its own stop command ends what its start command started, by its own pid file.
        let _ = Command::new("/usr/sbin/postfix").arg("-c").arg(self.root.join("conf")).arg("stop").status();
    }
}

fn main_cf(root: &Path) -> String {
    let root = root.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
         setgid_group = postdrop\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = bench.test\n\
         mydestination =\nvirtual_mailbox_domains = bench.test\nvirtual_mailbox_base = {root}/mail\n\
         virtual_mailbox_maps = texthash:{root}/users\nvirtual_uid_maps = static:{NOBODY}\n\
         virtual_gid_maps = static:{NOBODY}\nvirtual_mailbox_limit = 0\nmailbox_size_limit = 0\n\
         message_size_limit = 50000000\nsmtpd_client_connection_count_limit = 0\nsmtpd_peername_lookup = no\n\
         maillog_file = {root}/log\nmaillog_file_prefixes = /\nin_flow_delay = 0\n"
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "{port} inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
         proxywrite unix - - n - 1 proxymap\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\n\
         showq unix n - n - - showq\nerror unix - - n - - error\nretry unix - - n - - error\n\
         discard unix - - n - - discard\nlocal unix - n n - - local\nvirtual unix - n n - - virtual\n\
         lmtp unix - - n - - lmtp\nanvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
