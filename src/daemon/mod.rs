//! The daemon: start-up order, signals, reload, shutdown.
//!
//! The order is the point of this module:
//!
//! 1. raise the limit of open files; open every port; read the certificates (what only root may do);
//! 2. become the account of the setting `user` ([`privileges`]);
//! 3. read the accounts, and confine the process to the paths that they and the configuration name ([`sandbox`]);
//! 4. open the stores ([`Services`]), as the account that will use them;
//! 5. give up the last capability that only the watching thread needs;
//! 6. start the runtime, whose threads inherit all of this, and accept;
//! 7. tell systemd, wait for signals.
//!
//! SIGHUP reads users, aliases and certificates again and says what of `mailcote.toml` needs a restart. SIGTERM and
//! SIGINT drain: idle sessions are told, transfers finish within `limits.drain`.
//!
//! Leaves on disk: a Unix socket's file while it runs; the directories for mail and state, made if they are missing.

use std::sync::Arc;

use nix::unistd::{Group, Uid, User};
use tracing::{error, info, warn};

use crate::account::{self, DISMISSAL_CHECK};
use crate::config::{Config, Listener, Place, Service};
use crate::net::{self, Address, Bound, Certificates, Endpoint, Server, Signal};
use crate::store::Mounts;

mod log;
mod privileges;
mod reach;
mod sandbox;
mod services;
mod systemd;

pub use log::init as init_log;
pub use services::Services;

/// The group that the LMTP socket is given where the configuration names none and this system has it: that of the server
/// which hands in mail.
const POSTFIX: &str = "postfix";

/// Why the daemon does not run. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken or not ours to open.
    #[error(transparent)]
    Bind(#[from] net::BindError),
    /// TLS is asked for, but there is nothing to speak it with.
    #[error("{0}; without a certificate, take submissions, imaps and pop3s out of [listen]")]
    Certificates(#[from] net::CertError),
    /// Root's rights could not be given up.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// Something that a setting names is not there or cannot be used.
    #[error("{0}")]
    Setting(String),
    /// A secret cannot be used.
    #[error(transparent)]
    Accounts(#[from] account::Error),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Does starting again make no sense before somebody has put the configuration right?
    pub fn is_configuration(&self) -> bool {
        use privileges::Error::{Missing, NoUser};
        match self {
            Error::Certificates(_) | Error::Setting(_) | Error::Privileges(NoUser(_) | Missing) => true,
            Error::Accounts(e) => matches!(e, account::Error::Setting(..)),
            Error::Bind(_) | Error::Privileges(_) | Error::Other(_) => false,
        }
    }
}

/// What was opened while we had the right to.
pub struct Opened {
    listeners: Vec<(Service, Bound)>,
    certificates: Arc<Certificates>,
    authorities: Option<net::Authorities>,
    clients: Option<net::ClientAuthorities>,
}

/// A server that accepts connections.
pub struct Running {
    server: Server,
    services: Arc<Services>,
    certificates: Arc<Certificates>,
}

/// Run until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), Error> {
    info!(version = env!("CARGO_PKG_VERSION"), config = %config.file.display(), "starting");
    privileges::raise_file_limit(config.limits.connections);
    let opened = Opened::new(&config)?;
    // Before the process is confined: /etc is none of its own directories.
    let mounts = Mounts::read(config.mail.mount_point.as_deref());
    reach::mounted(&config, &mounts)?;
    reach::make_directories(&config)?;
    let system_users = !config.accounts.system_domains.is_empty();
    privileges::become_user(&config.user, system_users)?;
    for problem in opened.certificates.unreadable() {
        warn!("{problem}; a renewed certificate will need a restart");
    }
    let accounts = Services::accounts(&config)?;
    if config.sandbox {
        sandbox::enter(&reach::paths(&config, &accounts, &mounts));
    }
    let ready = opened.certificates.ready().clone();
    let services = Services::of(&config, accounts, mounts, ready).map(Arc::new).map_err(Error::Other)?;
    let running = Running::start(&config, opened, services)?;
    running.serve(config)
}

impl Opened {
    /// Open every port and read every certificate.
    pub fn new(config: &Config) -> Result<Opened, Error> {
        let needs_tls = config.listeners.iter().any(|l| l.service.implicit_tls());
        let fallback = config.tls.fallback.as_deref().unwrap_or(&config.hostname);
        let (certificates, problems) = Certificates::watch(&config.tls.certs, fallback);
        if certificates.ready().is_on() {
            problems.iter().for_each(|problem| error!("{problem}"));
        } else {
            let e = problems.into_iter().next().unwrap_or(net::CertError::None(config.tls.certs.clone()));
            if needs_tls {
                return Err(e.into());
            }
            warn!("{e}; STARTTLS is not offered until a certificate is there");
        }
        let group = socket_group(config)?;
        let asked: Vec<net::Listener> =
            config.listeners.iter().map(|listener| asked(listener, config.socket_mode, group)).collect();
        let (bound, unclaimed) = net::bind(&asked)?;
        for name in unclaimed {
            warn!(name, "systemd handed us a socket that no key of [listen] names");
        }
        let listeners = bound
            .into_iter()
            .map(|bound| {
                let which = asked.iter().position(|a| *a == bound.listener);
                let service = which.map(|i| config.listeners[i].service);
                service
                    .map(|service| (service, bound))
                    .ok_or_else(|| Error::Other("a listener without a service".into()))
            })
            .collect::<Result<_, _>>()?;
        // Only an endpoint that is asked over HTTPS is checked.
        let https = config.oauth.as_ref().filter(|tokens| tokens.settings.endpoint.starts_with("https:"));
        let authorities = https.map(|tokens| net::Authorities::load(tokens.ca.as_deref())).transpose();
        let authorities = authorities.map_err(|e| Error::Setting(format!("oauth.ca: {e}")))?;
        let clients = config.tls.client_ca.as_deref().map(net::ClientAuthorities::load).transpose();
        let clients = clients.map_err(|e| Error::Setting(format!("tls.client_ca: {e}")))?;
        Ok(Opened { listeners, certificates, authorities, clients })
    }
}

impl Running {
    /// Accept connections on what was opened.
    pub fn start(config: &Config, opened: Opened, services: Arc<Services>) -> Result<Running, Error> {
        let endpoints = opened
            .listeners
            .into_iter()
            .map(|(service, bound)| {
                let services = services.clone();
                Endpoint { bound, open: Arc::new(move |peer| services.session(service, peer)) }
            })
            .collect();
        let certificates = opened.certificates;
        let settings = net::Settings { authorities: opened.authorities, clients: opened.clients, ..config.net() };
        let server = Server::start(settings, Some(certificates.clone()), endpoints)
            .map_err(|e| Error::Other(format!("cannot start: {e}")))?;
        for (name, address) in server.addresses() {
            info!(service = name, %address, "listening");
        }
        let checked = certificates.clone();
        let dismissing = services.clone();
        server.every(DISMISSAL_CHECK, move || dismissing.accounts.dismiss_removed());
        server.every(net::CERTIFICATE_CHECK, move || reload_certificates(&checked, Certificates::reload));
        Ok(Running { server, services, certificates })
    }

    /// Names of services and where they really listen.
    pub fn addresses(&self) -> &[(String, Address)] {
        self.server.addresses()
    }

    /// Drain and end. Returns how many connections had to be cut.
    pub fn stop(self) -> usize {
        self.server.stop()
    }

    fn serve(self, config: Config) -> Result<(), Error> {
        let mut signals = self.server.signals().map_err(|e| Error::Other(format!("cannot catch signals: {e}")))?;
        if let Some(period) = systemd::watchdog() {
            self.server.every(period, systemd::alive);
        }
        systemd::ready();
        info!("ready");
        while signals.wait() == Signal::Reload {
            systemd::reloading();
            self.reload(&config);
            systemd::ready();
        }
        systemd::stopping();
        info!(connections = self.server.connections(), "stopping");
        let cut = self.stop();
        info!(cut, "stopped");
        Ok(())
    }

    fn reload(&self, config: &Config) {
        info!("reading users, aliases and certificates again");
        self.services.accounts.reload();
        reload_certificates(&self.certificates, Certificates::read_again);
        match Config::load(&config.file) {
            Ok(new) if format!("{new:?}") == format!("{config:?}") => {}
            Ok(_) => warn!("mailcote.toml has changed; its settings take effect at the next start"),
            Err(problems) => error!("mailcote.toml has become wrong, which will prevent the next start:\n{problems}"),
        }
    }
}

fn reload_certificates(certificates: &Certificates, look: fn(&Certificates) -> Vec<net::CertError>) {
    let before = certificates.ready().is_on();
    for problem in look(certificates) {
        error!("{problem}; what was read before stays in use");
    }
    match (before, certificates.ready().is_on()) {
        (false, true) => info!("there is a certificate now: STARTTLS is offered"),
        (true, false) => warn!("the last certificate is gone: TLS is not offered any more"),
        _ => {}
    }
}

/// The group of Unix sockets: the one that was named; else, as far as we may give them away, Postfix's or that of the account that we run as.
fn socket_group(config: &Config) -> Result<Option<u32>, Error> {
    let known = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    match &config.socket_group {
        Some(name) => match known(name) {
            Some(group) => Ok(Some(group)),
            None => Err(Error::Setting(format!("listen.lmtp_group: this system has no group \"{name}\""))),
        },
        None if Uid::effective().is_root() => {
            let account = || User::from_name(&config.user).ok().flatten().map(|account| account.gid.as_raw());
            Ok(known(POSTFIX).or_else(account))
        }
        None => Ok(None),
    }
}

/// What `net` is told about a listener.
fn asked(listener: &Listener, mode: u32, group: Option<u32>) -> net::Listener {
    net::Listener {
        name: listener.service.key().into(),
        address: match &listener.place {
            Place::Port(port) => Address::Port(*port),
            Place::Address(address) => Address::Tcp(*address),
            Place::Unix(path) => Address::Unix { path: path.clone(), mode, group },
        },
        tls: listener.service.implicit_tls(),
        proxy: listener.proxy,
        busy: match listener.service {
            // RFC 5321 section 3.8: 421 and close is the one way to refuse for now.
            Service::Smtp | Service::Submission | Service::Submissions | Service::Lmtp => {
                "421 4.7.0 Too many connections, try again later"
            }
            // RFC 9051 section 7.1.5: BYE may be the greeting.
            Service::Imap | Service::Imaps => "* BYE Too many connections, try again later",
            // RFC 3206 section 4.
            Service::Pop3 | Service::Pop3s => "-ERR [SYS/TEMP] Too many connections, try again later",
        },
    }
}
