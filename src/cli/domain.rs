//! `mailcote domain`: a domain is served because its directory exists.
//!
//! Makes and removes `domains/NAME/` with its `users` and `aliases`. Never touches mail: removing a domain leaves every
//! Maildir where it is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;

use clap::Subcommand;

use super::edit::{self, DIR_MODE, Kind, TextFile, at};
use super::{Done, fail};
use crate::account::domain::canonical;
use crate::config::{Config, is_host_name};
use crate::fsio;

/// Sub-commands.
#[derive(Subcommand)]
pub enum Command {
    /// Serve a domain: make its directory
    Add {
        /// For example example.org
        domain: String,
    },
    /// Show the domains that are served
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Stop serving a domain: remove its directory; mail is kept
    Remove {
        /// For example example.org
        domain: String,
        /// Also if it still has users or aliases
        #[arg(long)]
        force: bool,
    },
}

/// Do it.
pub fn run(command: Command, config: &Config, out: &mut dyn Write) -> Done {
    match command {
        Command::Add { domain } => add(&domain, config, out),
        Command::List { json } => list(json, config, out),
        Command::Remove { domain, force } => remove(&domain, force, config, out),
    }
}

fn add(domain: &str, config: &Config, out: &mut dyn Write) -> Done {
    let domain = domain.to_lowercase();
    if !is_host_name(&domain) {
        return fail(format!("\"{domain}\" is not a domain name"));
    }
    let domains = &config.accounts.domains;
    let known = edit::domains(config)?.into_iter().find(|known| canonical(known) == canonical(&domain));
    let dir = domains.join(known.as_ref().unwrap_or(&domain));
    if known.is_some() || dir.exists() {
        return fail(format!("{domain} is served already: {}", dir.display()));
    }
    for dir in [domains, &dir] {
        if !dir.exists() {
            fsio::make_dir(dir, DIR_MODE).map_err(at(dir))?;
            if let Some(group) = edit::daemon_group(config) {
                chown(dir, None, Some(group.as_raw())).map_err(at(dir))?;
            }
        }
    }
    for (kind, comment) in [
        (Kind::Users, "# name:password:uid:gid:comment:home:shell:extra   see mailcote-users(5)"),
        (Kind::Aliases, "# name: address, ...   see mailcote-users(5)"),
    ] {
        let mut file = TextFile::open(&dir, kind, config)?;
        file.push(comment.into());
        file.save()?;
    }
    fsio::sync_dir(domains).map_err(at(domains))?;
    writeln!(out, "{domain} is served. Add users with: mailcote user add NAME@{domain}")?;
    Ok(())
}

fn list(json: bool, config: &Config, out: &mut dyn Write) -> Done {
    let mut rows = Vec::new();
    for domain in edit::domains(config)? {
        let dir = config.accounts.domains.join(&domain);
        let [users, aliases] = Kind::ALL.map(|kind| edit::entries(&dir, kind).map(|entries| entries.len()));
        rows.push((domain, users?, aliases?));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(domain, users, aliases)| serde_json::json!({ "domain": domain, "users": users, "aliases": aliases }))
            .collect();
        writeln!(out, "{}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    for (domain, users, aliases) in rows {
        writeln!(out, "{domain}  {users} users, {aliases} aliases")?;
    }
    Ok(())
}

fn remove(domain: &str, force: bool, config: &Config, out: &mut dyn Write) -> Done {
    let dir = edit::domain_dir(config, domain)?;
    // Held until the directory is gone: a command that adds a user meanwhile waits, and then finds no domain.
    let _lock = edit::lock(&dir)?;
    let names = Kind::ALL.map(|kind| dir.join(kind.file()));
    let entries = edit::entries(&dir, Kind::Users)?.len() + edit::entries(&dir, Kind::Aliases)?.len();
    if entries > 0 && !force {
        return fail(format!("{domain} still has users or aliases ({entries}); remove them first, or say --force"));
    }
    for entry in fs::read_dir(&dir).map_err(at(&dir))? {
        let path = entry.map_err(at(&dir))?.path();
        if !names.contains(&path) {
            return fail(format!("{} is not ours to remove; move it away first", path.display()));
        }
    }
    for path in names.iter().filter(|path| path.exists()) {
        fsio::unlink(path).map_err(at(path))?;
    }
    fsio::remove_dir(&dir).map_err(at(&dir))?;
    let domains = &config.accounts.domains;
    fsio::sync_dir(domains).map_err(at(domains))?;
    // The template up to the user: below it are the Maildirs of all.
    let home = config.mail.home.replace("{domain}", domain);
    let mail = home.split_once("{user}").map_or(home.as_str(), |(above, _)| above);
    writeln!(out, "{domain} is no longer served. Its mail is kept: {mail}")?;
    let end = format!("@{}", canonical(domain)).to_lowercase();
    super::user::forget_quota(&super::user::accounts(config)?, config, |login| login.ends_with(&end))
}
