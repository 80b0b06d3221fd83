//! `mailcote user`: lines of `domains/NAME/users`.
//!
//! Never touches mail: a removed user's Maildir stays where it is, and its path is printed.

use std::io::Write;

use clap::Subcommand;

use super::edit::{self, Kind, TextFile, called};
use super::{Done, Failure, fail, password};
use crate::account::password::{Scheme, hash};
use crate::account::{self, Accounts, domain, users};
use crate::config::{Config, meant};
use crate::mail::address::Address;
use crate::store::quota::Limits;

/// Sub-commands.
#[derive(Subcommand)]
pub enum Command {
    /// Make a user; the password is asked for, or read from standard input
    Add {
        /// alice@example.org
        address: String,
        /// How the password is stored [default: ARGON2ID; SCRAM-SHA-256 also serves that login mechanism]
        #[arg(long, value_name = "NAME")]
        scheme: Option<String>,
    },
    /// Change a user's password; it is asked for, or read from standard input
    Passwd {
        /// alice@example.org
        address: String,
        /// How the password is stored [default: ARGON2ID; SCRAM-SHA-256 also serves that login mechanism]
        #[arg(long, value_name = "NAME")]
        scheme: Option<String>,
    },
    /// Show users
    List {
        /// Only those of this domain
        domain: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a user; the mail is kept, and its path printed
    Remove {
        /// alice@example.org
        address: String,
    },
    /// Show one user: where the mail is, how the password is stored, which aliases lead there
    Show {
        /// alice@example.org
        address: String,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// Do it.
pub fn run(command: Command, config: &Config, out: &mut dyn Write) -> Done {
    match command {
        Command::Add { address, scheme } => add(&address, scheme.as_deref(), config, out),
        Command::Passwd { address, scheme } => passwd(&address, scheme.as_deref(), config, out),
        Command::List { domain, json } => list(domain.as_deref(), json, config, out),
        Command::Remove { address } => remove(&address, config, out),
        Command::Show { address, json } => show(&address, json, config, out),
    }
}

fn scheme_called(name: Option<&str>) -> Result<Scheme, Failure> {
    let Some(name) = name else { return Ok(Scheme::Argon2id) };
    let known = || Scheme::TABLE.iter().map(|(name, _)| *name);
    Scheme::from_name(name).ok_or_else(|| {
        let near = meant(name, known()).map_or(String::new(), |near| format!("; did you mean {near}?"));
        Failure::Other(format!(
            "unknown password scheme {name}{near}\nknown: {}",
            known().collect::<Vec<_>>().join(", ")
        ))
    })
}

/// A new password for `address`, as it is stored.
fn stored(address: &str, scheme: Scheme) -> Result<String, Failure> {
    let password = password::ask(address)?;
    hash(scheme, &password).map_err(|e| Failure::Other(format!("{address}: {e}")))
}

fn open(address: &str, config: &Config) -> Result<(String, TextFile), Failure> {
    let (name, dir) = edit::place(config, address)?;
    Ok((name, TextFile::open(&dir, Kind::Users, config)?))
}

fn add(address: &str, scheme: Option<&str>, config: &Config, out: &mut dyn Write) -> Done {
    let scheme = scheme_called(scheme)?;
    let (name, dir) = edit::place(config, address)?;
    let domain = domain::canonical(address.rsplit_once('@').map_or("", |(_, domain)| domain));
    users::name(&name, &domain).map_err(Failure::Other)?;
    if let Some(delimiter) = config.accounts.recipient_delimiter.filter(|d| name.contains(*d)) {
        return fail(format!("\"{name}\" contains {delimiter}, which separates users from details"));
    }
    if let Some(known) = called(edit::entries(&dir, Kind::Users)?, &name).next() {
        return fail(format!("{address} exists already{}", as_written(&known.name, &name)));
    }
    let field = stored(address, scheme)?;
    // Asking took time: look again, now with the lock.
    let (name, mut file) = open(address, config)?;
    if let Some(known) = file.find(&name).first() {
        return fail(format!("{address} exists already{}", as_written(&known.name, &name)));
    }
    file.push(users::format(&name, &field, None, &[]));
    file.save()?;
    writeln!(out, "{address} is added. Mail: {}", maildir(address, config)?)?;
    if let Some(members) = accounts(config)?.taken_over(&Address { local: name, domain }) {
        eprintln!(
            "warning: there is an alias {address}, too, which takes this user's mail to {members} only; \
             to keep a copy for him: mailcote alias add {address} {address}"
        );
    }
    Ok(())
}

fn passwd(address: &str, scheme: Option<&str>, config: &Config, out: &mut dyn Write) -> Done {
    let scheme = scheme_called(scheme)?;
    let (name, file) = open(address, config)?;
    if file.find(&name).is_empty() {
        return fail(format!("there is no user {address}"));
    }
    drop(file);
    let field = stored(address, scheme)?;
    let (name, mut file) = open(address, config)?;
    // The first line is the one that counts.
    let found = file.find(&name);
    let Some(entry) = found.first() else { return fail(format!("{address} was removed meanwhile")) };
    let line = users::with_password(file.line(entry.lines[0]), &field);
    file.replace(&entry.lines, Some(line));
    file.save()?;
    writeln!(out, "{address} has a new password")?;
    Ok(())
}

fn remove(address: &str, config: &Config, out: &mut dyn Write) -> Done {
    let (name, mut file) = open(address, config)?;
    // All of them: a second line of the name, which means nothing now, would make a user of its own.
    let lines: Vec<usize> = file.find(&name).into_iter().flat_map(|entry| entry.lines).collect();
    if lines.is_empty() {
        return fail(format!("there is no user {address}"));
    }
    let maildir = maildir(address, config)?;
    let accounts = accounts(config)?;
    let domain = domain::canonical(address.rsplit_once('@').map_or("", |(_, domain)| domain));
    let login = accounts.user(address).map_or_else(|| format!("{name}@{domain}"), |user| user.login.clone());
    file.replace(&lines, None);
    file.save()?;
    writeln!(out, "{address} is removed and cannot log in or get mail. The mail is kept: {maildir}")?;
    for (alias, _) in leading_to(address, config)? {
        writeln!(out, "The alias {alias} still leads there: mailcote alias remove {alias} ...")?;
    }
    let login = login.to_lowercase();
    forget_quota(&accounts, config, |gone| gone == login)
}

/// The limits that were set over IMAP for users who are removed: the next of that name must not get them.
pub(super) fn forget_quota(accounts: &Accounts, config: &Config, is_gone: impl Fn(&str) -> bool) -> Done {
    accounts.forget_quota(is_gone).map_err(|e| {
        let path = config.quota_file.as_deref().unwrap_or("".as_ref()).display();
        Failure::Other(format!(
            "removed, but limits that were set over IMAP may still be in {path}: {e}; take them away there"
        ))
    })
}

/// How the file writes the name, where it differs: case does not make another user.
fn as_written(known: &str, name: &str) -> String {
    if known == name { String::new() } else { format!(", as {known}: case makes no other user") }
}

/// Accounts as the daemon sees them.
pub(super) fn accounts(config: &Config) -> Result<Accounts, Failure> {
    // No secret file: an admin command makes no state, and asks nobody about tokens.
    let settings = account::Settings { secret_file: None, oauth: None, ..config.account() };
    Accounts::new(settings).map_err(|e| Failure::Other(format!("{}: {e}", config.accounts.domains.display())))
}

/// Where a user's mail is.
fn maildir(address: &str, config: &Config) -> Result<String, Failure> {
    let user = accounts(config)?.user(address);
    Ok(user.map_or_else(|| "unknown; see \"mailcote check\"".into(), |user| user.home.maildir.display().to_string()))
}

/// How much mail a user may have, with what was set over IMAP and what the configuration says of everybody.
fn quota(address: &str, config: &Config) -> Result<Limits, Failure> {
    let accounts = accounts(config)?;
    let user = accounts.user(address);
    Ok(user.map(|user| accounts.quota(&user)).unwrap_or_default().or(config.quota))
}

fn in_words(limits: Limits) -> String {
    let words = [limits.storage.map(|n| format!("{n} bytes")), limits.messages.map(|n| format!("{n} messages"))];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

/// Aliases of the same domain that name `address`, with their targets.
fn leading_to(address: &str, config: &Config) -> Result<Vec<(String, String)>, Failure> {
    let (_, dir) = edit::place(config, address)?;
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let names_it = |rest: &str| rest.split(',').any(|target| edit::same(target.trim(), address, domain));
    let hits = edit::entries(&dir, Kind::Aliases)?.into_iter().filter(|entry| names_it(&entry.rest));
    Ok(hits.map(|entry| (format!("{}@{domain}", entry.name.trim_end_matches('@')), entry.rest)).collect())
}

fn list(domain: Option<&str>, json: bool, config: &Config, out: &mut dyn Write) -> Done {
    let only = domain.map(|domain| edit::domain_dir(config, domain).map(|_| format!("@{}", domain::canonical(domain))));
    let only = only.transpose()?.unwrap_or_default();
    // A file that cannot be read has nobody in it, which must not be told as the truth.
    for domain in edit::domains(config)? {
        edit::entries(&config.accounts.domains.join(domain), Kind::Users)?;
    }
    let mut users = accounts(config)?.users();
    users.retain(|user| user.login.ends_with(&only));
    if json {
        let rows: Vec<_> =
            users.iter().map(|user| serde_json::json!({ "login": user.login, "maildir": user.home.maildir })).collect();
        writeln!(out, "{}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    for user in users {
        writeln!(out, "{}  {}", user.login, user.home.maildir.display())?;
    }
    Ok(())
}

fn show(address: &str, json: bool, config: &Config, out: &mut dyn Write) -> Done {
    let (name, dir) = edit::place(config, address)?;
    let Some(entry) = called(edit::entries(&dir, Kind::Users)?, &name).next() else {
        return fail(format!("there is no user {address}"));
    };
    let scheme = scheme_of(&entry.rest);
    let maildir = maildir(address, config)?;
    let quota = quota(address, config)?;
    let aliases: Vec<String> = leading_to(address, config)?.into_iter().map(|(alias, _)| alias).collect();
    if json {
        let row = serde_json::json!({
            "login": address, "maildir": maildir, "scheme": scheme, "aliases": aliases,
            "quota": quota.storage, "quota_messages": quota.messages,
        });
        writeln!(out, "{row}")?;
        return Ok(());
    }
    writeln!(out, "login     {address}")?;
    writeln!(out, "maildir   {maildir}")?;
    writeln!(out, "password  {}", scheme.unwrap_or("none (login locked)"))?;
    writeln!(out, "quota     {}", in_words(quota))?;
    writeln!(out, "aliases   {}", if aliases.is_empty() { "none".into() } else { aliases.join(", ") })?;
    Ok(())
}

/// How the password is stored, of what stands behind a user's name; none where the field locks the login. The scheme alone: a hash on a
/// screen is one photograph away from being guessed at.
fn scheme_of(rest: &str) -> Option<&str> {
    let field = rest.split(':').next().unwrap_or_default();
    match field.strip_prefix('{').and_then(|field| field.split_once('}')) {
        Some((scheme, _)) => Some(scheme),
        None if field.is_empty() || field.starts_with(['!', '*']) => None,
        None => Some("crypt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_that_are_shown() {
        for (rest, shown) in [
            ("{PLAIN}x:::", Some("PLAIN")),
            ("$6$x$y", Some("crypt")),
            ("", None),
            (":1000:1000::/home/x", None),
            ("!{PLAIN}x", None),
            ("*", None),
        ] {
            assert_eq!(scheme_of(rest), shown, "{rest}");
        }
    }
}
