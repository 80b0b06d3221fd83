//! `mailcote.toml` becomes a [`Config`].
//!
//! Owns the keys, their defaults ([`DEFAULTS`], one place) and the reading of their values. An empty file is a complete
//! configuration. Refuses unknown keys and values out of range, all of them at once, each with file, line, column and what
//! may have been meant ([`Problems`]). Reads one file and writes nothing; users and aliases are `account`'s.
//!
//! Only `daemon` and `cli` import this module: every other module takes its own small `Settings`.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::{OAuth, Scram};
use crate::imap;
use crate::store::{Charset, Layout, Name, Role, quota};
use crate::wire::Network;

mod convert;
mod defaults;
mod problem;
mod read;
mod value;

pub use defaults::DEFAULTS;
pub use problem::{Problem, Problems, Severity, meant};
pub use read::keys;
pub use value::is_host_name;

/// Where the configuration is unless `--config` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/mailcote/mailcote.toml";

/// Everything an administrator can set, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// Our name in greetings, Received headers and file names: never empty.
    pub hostname: String,
    /// The account that the daemon runs as once its ports are open; unused where it is not started as root.
    pub user: String,
    /// What to log: a level, or a filter as `tracing` understands it.
    pub log: String,
    /// Confine the process after start-up.
    pub sandbox: bool,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Who may send a PROXY header, on listeners that expect one.
    pub proxy_from: Vec<Network>,
    /// Permissions of Unix sockets.
    pub socket_mode: u32,
    /// Their group; by default that of Postfix, else that of `user`.
    pub socket_group: Option<String>,
    /// Certificates and their keys.
    pub tls: Tls,
    /// Where users and aliases are.
    pub accounts: Accounts,
    /// How logins are checked.
    pub auth: Auth,
    /// Logins by token; none without an endpoint to ask.
    pub oauth: Option<Tokens>,
    /// Where and how mail is kept.
    pub mail: Mail,
    /// How much mail an account may have that has no limits of its own.
    pub quota: quota::Limits,
    /// Where limits are kept that administrators set over IMAP; none: they cannot.
    pub quota_file: Option<PathBuf>,
    /// How users share folders.
    pub sharing: Sharing,
    /// What clients are told of this server.
    pub metadata: Metadata,
    /// Bounds.
    pub limits: Limits,
}

/// A protocol, and whether TLS is there from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Mail from other servers; no login.
    Smtp,
    /// Mail from our users, TLS after STARTTLS.
    Submission,
    /// Mail from our users, TLS from the start.
    Submissions,
    /// Mail from a program beside us, which was checked already.
    Lmtp,
    /// IMAP, TLS after STARTTLS.
    Imap,
    /// IMAP, TLS from the start.
    Imaps,
    /// POP3, TLS after STLS.
    Pop3,
    /// POP3, TLS from the start.
    Pop3s,
}

impl Service {
    /// Every service with its key in `[listen]`.
    pub const TABLE: [(Service, &'static str); 8] = [
        (Service::Smtp, "smtp"),
        (Service::Submission, "submission"),
        (Service::Submissions, "submissions"),
        (Service::Lmtp, "lmtp"),
        (Service::Imap, "imap"),
        (Service::Imaps, "imaps"),
        (Service::Pop3, "pop3"),
        (Service::Pop3s, "pop3s"),
    ];

    /// Its key in `[listen]`.
    pub fn key(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Do users log in there?
    pub fn has_logins(self) -> bool {
        !matches!(self, Service::Smtp | Service::Lmtp)
    }

    /// Does a connection begin with a TLS handshake?
    pub fn implicit_tls(self) -> bool {
        matches!(self, Service::Submissions | Service::Imaps | Service::Pop3s)
    }
}

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What is spoken there.
    pub service: Service,
    /// Where.
    pub place: Place,
    /// Every connection begins with a PROXY header (versions 1 and 2), from a peer in `proxy_from`.
    pub proxy: bool,
}

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This TCP port on every address of the machine, IPv6 and IPv4.
    Port(u16),
    /// This address alone.
    Address(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Port(port) => write!(f, "port {port}"),
            Place::Address(address) => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `[tls]`.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Directory of `NAME/fullchain.pem` and `NAME/privkey.pem`.
    pub certs: PathBuf,
    /// Certificate for clients that send no name or one we have none for; by default that of the host name, else the first.
    pub fallback: Option<String>,
    /// CAs of client certificates; none: clients are not asked for any.
    pub client_ca: Option<PathBuf>,
}

/// `[accounts]`.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Directory with one directory a domain.
    pub domains: PathBuf,
    /// Domains whose users are users of this system, with mail in their `~/Maildir`; lower case.
    pub system_domains: Vec<String>,
    /// Domain of a login, or of the bare `postmaster`, without one; by default the only domain there is.
    pub default_domain: Option<String>,
    /// Who gets mail for a postmaster whom no file names; by default the first user of the domain.
    pub postmaster: Option<String>,
    /// What separates a user from the detail in `user+detail`.
    pub recipient_delimiter: Option<char>,
    /// Deliver `user+detail` to the folder of that name, if it exists.
    pub detail_to_folder: bool,
}

/// `[auth]`.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Passwords may travel in clear between programs on this machine.
    pub allow_plain_on_loopback: bool,
    /// Networks of webmail and monitoring: failed logins are not slowed down, and no limit per address holds.
    /// Loopback is always one.
    pub exempt: Vec<Network>,
    /// When SCRAM mechanisms are announced.
    pub scram: Scram,
    /// File of 32 random bytes, made when it is missing.
    pub secret: PathBuf,
    /// File of master users; none: there are none.
    pub masters: Option<PathBuf>,
}

/// `[oauth]`.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// What is asked, and how the answer is read.
    pub settings: OAuth,
    /// CAs that the endpoint's certificate is checked by; none: those of the system.
    pub ca: Option<PathBuf>,
}

/// `[mail]` and `[folders]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Where a virtual user's Maildir is; `{domain}` and `{user}` stand for the parts of the address.
    pub home: String,
    /// How folders lie in it.
    pub layout: Layout,
    /// How names of folders are spelled on disk; `None` is as each Maildir has them.
    pub mailbox_names: Option<Charset>,
    /// A running Dovecot works in the same Maildirs: honour its locks.
    pub coexist: bool,
    /// A file system that must be mounted there before a Maildir is made below it.
    pub mount_point: Option<PathBuf>,
    /// Folders made at first use.
    pub folders: Vec<(Name, Role)>,
}

/// `[sharing]`.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// First level of the names of other users' folders; none: nothing is shared.
    pub prefix: Option<String>,
    /// May folders be shared with everybody of a domain?
    pub anyone: bool,
    /// Directory of the files that say who shares with whom.
    pub index: PathBuf,
}

/// `[metadata]`: annotations of the server that every user sees (RFC 5464).
#[derive(Debug, Clone)]
pub struct Metadata {
    /// `/shared/comment`.
    pub comment: Option<String>,
    /// `/shared/admin`: a URI.
    pub admin: Option<String>,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes in a message on the wire.
    pub max_message_size: u64,
    /// Recipients in one SMTP transaction.
    pub max_recipients: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Logged-in connections of one user.
    pub connections_per_user: usize,
    /// How long a transfer may go on after SIGTERM.
    pub drain: Duration,
    /// Messages that one IMAP command may work on.
    pub imap_messages: imap::message_limit::Limits,
}

impl Config {
    /// Read `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it; a file that cannot be read is one problem.
    pub fn load(file: &Path) -> Result<Config, Problems> {
        match Config::look(file) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(Problems(problems)),
        }
    }

    /// Read `file` as far as it can be understood: what is wrong has its default, and is told. None if it cannot be
    /// read at all.
    pub fn look(file: &Path) -> (Option<Config>, Vec<Problem>) {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
        match fs::read_to_string(&file) {
            Ok(text) => {
                let (config, problems) = Config::understand(&file, &text);
                (Some(config), problems)
            }
            Err(e) => (None, vec![Problem::whole(&file, format!("cannot be read: {e}"))]),
        }
    }

    /// Understand `text`, which is what `file` (an absolute path) holds.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Config, Problems> {
        match Config::understand(file, text) {
            (config, problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(Problems(problems)),
        }
    }

    fn understand(file: &Path, text: &str) -> (Config, Vec<Problem>) {
        let dir = file.parent().unwrap_or(Path::new("/"));
        let mut reader = read::Reader::new(file, text);
        let r = &mut reader;
        let config = Config {
            file: file.into(),
            hostname: hostname(r),
            user: r.get("user", value::text),
            log: r.get("log", value::text),
            sandbox: r.get("sandbox", value::switch),
            listeners: listeners(r, dir),
            proxy_from: r.get("listen.proxy_from", value::networks),
            socket_mode: r.get("listen.lmtp_mode", value::mode),
            socket_group: Some(r.get("listen.lmtp_group", value::text)).filter(|name| !name.is_empty()),
            tls: Tls {
                certs: r.get("tls.certs", |v| value::path(v, dir)),
                fallback: Some(r.get("tls.fallback", value::text)).filter(|name| !name.is_empty()),
                client_ca: r.get("tls.client_ca", |v| value::some_path(v, dir)),
            },
            accounts: Accounts {
                domains: r.get("accounts.domains", |v| value::path(v, dir)),
                system_domains: r.get("accounts.system_domains", value::domains),
                default_domain: r.get("accounts.default_domain", value::domain),
                postmaster: r.get("accounts.postmaster", value::address),
                detail_to_folder: r.get("accounts.detail_to_folder", value::switch),
                recipient_delimiter: r.get("accounts.recipient_delimiter", value::delimiter),
            },
            auth: Auth {
                allow_plain_on_loopback: r.get("auth.allow_plain_on_loopback", value::switch),
                exempt: r.get("auth.exempt", value::networks),
                scram: r.get("auth.scram", value::scram),
                secret: r.get("auth.secret", |v| value::path(v, dir)),
                masters: r.get("auth.masters", |v| value::some_path(v, dir)),
            },
            oauth: tokens(r, dir),
            mail: Mail {
                home: r.get("mail.home", value::home),
                layout: r.get("mail.layout", value::layout),
                mailbox_names: r.get("mail.mailbox_names", value::mailbox_names),
                coexist: r.get("mail.coexist", value::switch),
                mount_point: r.get("mail.mount_point", value::mount_point),
                folders: folders(r),
            },
            quota: quota::Limits {
                storage: r.get("quota.storage", value::size_if_any),
                messages: r.get("quota.messages", value::number_if_any),
            },
            quota_file: r.get("quota.file", |v| value::some_path(v, dir)),
            sharing: Sharing {
                prefix: r.get("sharing.prefix", value::level),
                anyone: r.get("sharing.anyone", value::switch),
                index: r.get("sharing.index", |v| value::path(v, dir)),
            },
            metadata: Metadata {
                comment: Some(r.get("metadata.comment", value::text)).filter(|text| !text.is_empty()),
                admin: r.get("metadata.admin", value::uri),
            },
            limits: Limits {
                max_message_size: r.get("limits.max_message_size", value::size),
                max_recipients: r.get("limits.max_recipients", value::count),
                connections: r.get("limits.connections", value::count),
                connections_per_address: r.get("limits.connections_per_address", value::count),
                connections_per_user: r.get("limits.connections_per_user", value::count),
                drain: r.get("limits.drain", value::duration),
                imap_messages: imap::message_limit::Limits {
                    messages: r.get("limits.imap_message_limit", value::message_limit),
                    saves: r.get("limits.imap_save_limit", value::message_limit),
                },
            },
        };
        check_log(&mut reader, &config);
        check_proxy(&mut reader, &config);
        check_message_limits(&mut reader, &config);
        (config, reader.finish())
    }
}

/// The name that was set, or the system's.
fn hostname(r: &mut read::Reader<'_>) -> String {
    let name = r.get("hostname", value::text);
    if name.is_empty() {
        let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        return own.filter(|name| value::is_host_name(name)).unwrap_or_else(|| "localhost".into());
    }
    if !value::is_host_name(&name) {
        r.note_at("hostname", format!("hostname: \"{name}\" is not a host name such as \"mail.example.org\""));
    }
    name
}

fn listeners(r: &mut read::Reader<'_>, dir: &Path) -> Vec<Listener> {
    let mut all: Vec<Listener> = Vec::new();
    for (service, name) in Service::TABLE {
        let key = format!("listen.{name}");
        for listener in r.get(&key, |v| value::listeners(v, service, dir)) {
            match all.iter().find(|other| other.place == listener.place) {
                Some(other) => {
                    r.note_at(&key, format!("{key}: {} is in listen.{} already", listener.place, other.service.key()));
                }
                None => all.push(listener),
            }
        }
    }
    all
}

fn tokens(r: &mut read::Reader<'_>, dir: &Path) -> Option<Tokens> {
    let settings = OAuth {
        endpoint: r.get("oauth.introspection", value::endpoint),
        client: r.get("oauth.client", value::text),
        secret_file: r.get("oauth.secret", |v| value::some_path(v, dir)),
        username: r.get("oauth.username", value::word),
        scope: r.get("oauth.scope", value::text),
        configuration: r.get("oauth.configuration", value::text),
        cache: r.get("oauth.cache", value::up_to_a_day),
        timeout: r.get("oauth.timeout", value::up_to_a_day),
    };
    let tokens = Tokens { settings, ca: r.get("oauth.ca", |v| value::some_path(v, dir)) };
    // RFC 7628 3.2.2: it will have the https scheme.
    if !tokens.settings.configuration.is_empty() && !tokens.settings.configuration.starts_with("https://") {
        r.note_at("oauth.configuration", "oauth.configuration: clients demand that it begins with https://");
    }
    Some(tokens).filter(|tokens| !tokens.settings.endpoint.is_empty())
}

fn folders(r: &mut read::Reader<'_>) -> Vec<(Name, Role)> {
    let mut all: Vec<(Name, Role)> = Vec::new();
    for (key, role) in [
        ("folders.drafts", Role::Drafts),
        ("folders.sent", Role::Sent),
        ("folders.junk", Role::Junk),
        ("folders.trash", Role::Trash),
        ("folders.archive", Role::Archive),
        ("folders.important", Role::Important),
    ] {
        let Some(name) = r.get(key, value::folder) else { continue };
        if all.iter().any(|(other, _)| *other == name) {
            r.note_at(key, format!("{key}: the folder \"{name}\" has another role already"));
        } else {
            all.push((name, role));
        }
    }
    all
}

fn check_log(r: &mut read::Reader<'_>, config: &Config) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    if tracing_subscriber::EnvFilter::try_new(&config.log).is_err() || config.log.is_empty() {
        r.note_at("log", format!("log: \"{}\" is not a level; {} are", config.log, LEVELS.join(", ")));
    } else if !config.log.contains(['=', ',']) && !LEVELS.contains(&config.log.to_ascii_lowercase().as_str()) {
        // EnvFilter takes any word as the name of a module, which would silence the log over a misspelt level.
        let near = meant(&config.log, LEVELS).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        r.note_at("log", format!("log: \"{}\" is not a level{near}", config.log));
    }
}

fn check_proxy(r: &mut read::Reader<'_>, config: &Config) {
    // Who may connect to a Unix socket is said by its mode and directory.
    let over_tcp = |listener: &&Listener| listener.proxy && !matches!(listener.place, Place::Unix(_));
    let expects = config.listeners.iter().find(over_tcp);
    if let (Some(listener), true) = (expects, config.proxy_from.is_empty()) {
        let key = format!("listen.{}", listener.service.key());
        r.note_at(&key, format!("{key}: proxy = true, but listen.proxy_from names nobody who may send the header"));
    }
}

fn check_message_limits(r: &mut read::Reader<'_>, config: &Config) {
    let imap::message_limit::Limits { messages, saves } = config.limits.imap_messages;
    // RFC 9738 section 3: a client that knows only the other would be refused for no reason that it can see.
    if saves.is_some_and(|saves| messages.is_some_and(|messages| saves < messages)) {
        r.note_at("limits.imap_save_limit", "limits.imap_save_limit: this must not be below limits.imap_message_limit");
    }
}

#[cfg(test)]
mod tests;
