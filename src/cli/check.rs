//! `mailcote check`: everything that is wrong with the configuration, at once.
//!
//! Tells warnings, too: what works and may surprise. Only errors make it fail. Reads `mailcote.toml`, every domain's users and aliases, and the certificates; opens no port and writes nothing.

use std::io::{ErrorKind, Write};
use std::path::Path;

use nix::unistd::{Group, Uid, User};

use super::{Done, edit, readable};
use crate::account::{self, Accounts, domain};
use crate::config::{Config, Place, Problem, Problems, Service, Severity};
use crate::net::{Authorities, CertError, Certificates, ClientAuthorities};

/// What the systemd unit makes at start (`RuntimeDirectory=`).
const RUNTIME_DIRECTORY: &str = "/run/mailcote";

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// As JSON, for programs: a list of file, line, column, message and severity
    #[arg(long)]
    json: bool,
}

/// Do it.
pub fn run(args: &Args, file: &Path, out: &mut dyn Write) -> Done {
    let problems = problems(file);
    let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&problems).map_err(std::io::Error::from)?)?;
    } else if !errors {
        let warnings = if problems.is_empty() { "" } else { ", but see the warnings" };
        writeln!(out, "{}: no errors{warnings}", file.display())?;
    }
    out.flush()?;
    if errors {
        return Err(Problems(problems).into());
    }
    if !problems.is_empty() {
        eprintln!("{}", Problems(problems));
    }
    Ok(())
}

/// A mistake in `mailcote.toml` does not hide those in other files: where a setting is wrong, its default is looked at.
fn problems(file: &Path) -> Vec<Problem> {
    let (config, mut problems) = Config::look(file);
    if let Some(config) = config {
        problems.extend(
            [
                accounts(&config),
                sockets(&config),
                certificates(&config),
                authorities(&config),
                account(&config),
                secret(&config),
                homes(&config),
            ]
            .concat(),
        );
    }
    problems
}

/// Mistakes in users and aliases.
fn accounts(config: &Config) -> Vec<Problem> {
    // No secret file: a check makes nothing, and asks nobody about tokens.
    let settings = account::Settings { secret_file: None, oauth: None, ..config.account() };
    match Accounts::new(settings) {
        Err(e) => vec![Problem::whole(&config.accounts.domains, e.to_string())],
        Ok(accounts) => accounts
            .problems()
            .into_iter()
            .map(|(file, p)| {
                let severity = if p.warning { Severity::Warning } else { Severity::Error };
                Problem { file, line: p.line, column: p.column, message: p.message, severity }
            })
            .collect(),
    }
}

/// Directories of Unix sockets that are not there, and a group that nobody has.
fn sockets(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for listener in &config.listeners {
        let Place::Unix(path) = &listener.place else { continue };
        let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) else { continue };
        let key = listener.service.key();
        let said = format!("listen.{key}: the directory {} does not exist", directory.display());
        problems.push(if directory == Path::new(RUNTIME_DIRECTORY) {
            Problem::whole(&config.file, format!("{said}; systemd makes it at start, others have to make it")).warning()
        } else {
            Problem::whole(&config.file, format!("{said}; make it, or choose another place for the socket"))
        });
    }
    if let Some(name) = &config.socket_group
        && !matches!(Group::from_name(name), Ok(Some(_)))
    {
        let message = format!("listen.lmtp_group: this system has no group \"{name}\"");
        problems.push(Problem::whole(&config.file, message));
    }
    problems
}

/// Certificates that cannot be used, and none where one is needed.
fn certificates(config: &Config) -> Vec<Problem> {
    let certs = &config.tls.certs;
    let prefix = format!("{}: ", certs.display());
    let whole = |text: String| Problem::whole(certs, text.strip_prefix(&prefix).unwrap_or(&text));
    let fallback = config.tls.fallback.as_deref().unwrap_or(&config.hostname);
    let (certificates, problems) = Certificates::watch(certs, fallback);
    let usable = certificates.ready().is_on();
    let missing = problems.iter().all(|p| matches!(p, CertError::Directory(_, e) if e.kind() == ErrorKind::NotFound));
    // An absent directory is a mistake only where a certificate is needed; what is in one that is there has to be good.
    let mut all: Vec<Problem> =
        if missing { Vec::new() } else { problems.iter().map(|problem| whole(problem.to_string())).collect() };
    if let Some(name) = config.tls.fallback.as_deref().filter(|name| usable && !certificates.knows(name)) {
        let message = format!("tls.fallback: {} has no certificate for \"{name}\"", certs.display());
        all.push(Problem::whole(&config.file, message));
    }
    if usable {
        return all;
    }
    let has = |found: fn(Service) -> bool| config.listeners.iter().any(|listener| found(listener.service));
    let none = CertError::None(certs.clone());
    if has(Service::implicit_tls) {
        all.push(whole(format!("{none}; without a certificate, take submissions, imaps and pop3s out of [listen]")));
    } else if has(Service::has_logins) && !config.auth.allow_plain_on_loopback {
        all.push(whole(format!("{none}; without one nobody can log in, since passwords in clear are refused")));
    } else if has(Service::has_logins) {
        let said = format!("{none}; without one, only programs on this machine can log in");
        all.push(whole(said).warning());
    }
    all
}

/// CAs that cannot be read, of clients and of the endpoint that tokens are checked at, and our secret there.
fn authorities(config: &Config) -> Vec<Problem> {
    let clients = config.tls.client_ca.as_deref().map(|file| ("tls.client_ca", ClientAuthorities::load(file).err()));
    let endpoint = config.oauth.as_ref().and_then(|tokens| tokens.ca.as_deref());
    let endpoint = endpoint.map(|file| ("oauth.ca", Authorities::load(Some(file)).err()));
    let secret = config.oauth.as_ref().and_then(|tokens| tokens.settings.secret_file.as_deref());
    let unreadable = |file: &Path| std::fs::read(file).err().map(|e| format!("{}: {e}", file.display()));
    let secret = secret.map(|file| ("oauth.secret", unreadable(file)));
    let wrong = [clients, endpoint, secret].into_iter().flatten();
    wrong.filter_map(|(key, e)| Some(Problem::whole(&config.file, format!("{key}: {}", e?)))).collect()
}

/// Our own secret, where it is there and cannot be used.
fn secret(config: &Config) -> Vec<Problem> {
    let wrong = account::read_secret(&config.auth.secret).err();
    wrong.map(|e| Problem::whole(&config.file, e.to_string())).into_iter().collect()
}

/// A place for mail that users of two domains would share.
fn homes(config: &Config) -> Vec<Problem> {
    let system = &config.accounts.system_domains;
    let own = |name: &String| !system.iter().any(|other| domain::canonical(other) == domain::canonical(name));
    // A directory that cannot be read is told elsewhere.
    let domains = edit::domains(config).unwrap_or_default().into_iter().filter(own).count();
    if domains < 2 || config.mail.home.contains("{domain}") {
        return Vec::new();
    }
    let said = "mail.home: there is no {domain} in it: users of one name in two domains would share a Maildir";
    vec![Problem::whole(&config.file, said).warning()]
}

/// The account to run as, which root must be able to become, and which must be able to read what the server reads.
fn account(config: &Config) -> Vec<Problem> {
    if !Uid::effective().is_root() {
        return Vec::new();
    }
    let user = match User::from_name(&config.user) {
        Ok(Some(user)) => user,
        Ok(None) => {
            let said = format!("user: this system has no account \"{}\" to run as", config.user);
            return vec![Problem::whole(&config.file, said)];
        }
        Err(_) => return Vec::new(),
    };
    let domains = &config.accounts.domains;
    let mut files = vec![config.auth.secret.clone(), domains.clone()];
    files.extend(config.auth.masters.clone());
    files.extend(config.oauth.as_ref().and_then(|tokens| tokens.settings.secret_file.clone()));
    for name in edit::domains(config).unwrap_or_default() {
        let directory = domains.join(name);
        files.extend(edit::Kind::ALL.map(|kind| directory.join(kind.file())));
        files.push(directory);
    }
    match readable::refused(&user, &files) {
        Ok(refused) => refused
            .into_iter()
            .map(|(file, e)| {
                let said =
                    format!("the server cannot read this: {e}; it must be readable by the account \"{}\"", user.name);
                Problem::whole(&file, said)
            })
            .collect(),
        Err(e) => {
            let said = format!("user: cannot see what the account \"{}\" may read: {e}", user.name);
            vec![Problem::whole(&config.file, said).warning()]
        }
    }
}
