//! `mailcote alias`: lines of `domains/NAME/aliases`.
//!
//! `@example.org` is the catch-all of its domain. Targets may be full addresses, or names in the same domain.

use std::io::Write;

use clap::Subcommand;

use super::edit::{self, Kind, TextFile};
use super::{Done, Failure, fail, user};
use crate::account::{aliases, domain};
use crate::config::Config;

/// Sub-commands.
#[derive(Subcommand)]
pub enum Command {
    /// Let an address lead to others; an existing alias gets more targets
    Add {
        /// team@example.org, or @example.org for everybody unknown
        address: String,
        /// Names in the same domain, or full addresses
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Show aliases
    List {
        /// Only those of this domain
        domain: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove an alias, or some of its targets
    Remove {
        /// team@example.org
        address: String,
        /// Only these; without any, the whole alias
        targets: Vec<String>,
    },
}

/// Do it.
pub fn run(command: Command, config: &Config, out: &mut dyn Write) -> Done {
    match command {
        Command::Add { address, targets } => add(&address, &targets, config, out),
        Command::List { domain, json } => list(domain.as_deref(), json, config, out),
        Command::Remove { address, targets } => remove(&address, &targets, config, out),
    }
}

/// The aliases file of an address's domain.
struct Entry {
    /// Name of the entry; the catch-all is `@`.
    name: String,
    domain: String,
    file: TextFile,
}

fn open(address: &str, config: &Config) -> Result<Entry, Failure> {
    let (name, dir) = edit::place(config, address)?;
    let name = if name.is_empty() { "@".to_owned() } else { name };
    let domain = domain::canonical(address.rsplit_once('@').map_or("", |(_, domain)| domain));
    Ok(Entry { name, domain, file: TextFile::open(&dir, Kind::Aliases, config)? })
}

/// The line of an alias, checked.
fn line(entry: &Entry, targets: &[String]) -> Result<String, Failure> {
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    aliases::format(&entry.name, &targets, &entry.domain).map_err(Failure::Other)
}

/// Targets of an entry.
fn targets_of(rest: &str) -> Vec<String> {
    rest.split(',').map(|target| target.trim().to_owned()).filter(|target| !target.is_empty()).collect()
}

fn add(address: &str, targets: &[String], config: &Config, out: &mut dyn Write) -> Done {
    let mut entry = open(address, config)?;
    let place = entry.file.find(&entry.name).into_iter().next();
    let mut all = place.as_ref().map_or(Vec::new(), |place| targets_of(&place.rest));
    let before = all.len();
    for target in targets {
        if !all.iter().any(|known| edit::same(known, target, &entry.domain)) {
            all.push(target.clone());
        }
    }
    if all.len() == before {
        writeln!(out, "{address} leads there already: {}", all.join(", "))?;
        return Ok(());
    }
    let line = line(&entry, &all)?;
    match place {
        Some(place) => entry.file.replace(&place.lines, Some(line)),
        None => entry.file.push(line),
    }
    save(entry, config, || Ok(writeln!(out, "{address} leads to {}", all.join(", "))?))
}

/// Write the file, say what was done, and what is odd about the entry now: a loop, nobody there, a domain elsewhere, a user of the same name.
fn save(entry: Entry, config: &Config, say: impl FnOnce() -> Done) -> Done {
    let place = entry.file.find(&entry.name).into_iter().next().map(|place| place.lines).unwrap_or_default();
    let path = entry.file.path().to_owned();
    entry.file.save()?;
    say()?;
    for (file, problem) in user::accounts(config)?.problems() {
        if file == path && place.iter().any(|line| line + 1 == problem.line) {
            eprintln!("warning: {}", problem.message);
        }
    }
    Ok(())
}

fn list(domain: Option<&str>, json: bool, config: &Config, out: &mut dyn Write) -> Done {
    let domains = match domain {
        Some(domain) => {
            let dir = edit::domain_dir(config, domain)?;
            vec![dir.file_name().unwrap_or_default().to_string_lossy().into_owned()]
        }
        None => edit::domains(config)?,
    };
    let mut rows = Vec::new();
    for domain in domains {
        for entry in edit::entries(&config.accounts.domains.join(&domain), Kind::Aliases)? {
            let name = if entry.name == "@" { "" } else { entry.name.as_str() };
            rows.push((format!("{name}@{domain}"), targets_of(&entry.rest)));
        }
    }
    if json {
        let rows: Vec<_> =
            rows.iter().map(|(address, to)| serde_json::json!({ "address": address, "targets": to })).collect();
        writeln!(out, "{}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    for (address, targets) in rows {
        writeln!(out, "{address}  {}", targets.join(", "))?;
    }
    Ok(())
}

fn remove(address: &str, targets: &[String], config: &Config, out: &mut dyn Write) -> Done {
    let mut entry = open(address, config)?;
    let places = entry.file.find(&entry.name);
    let Some(place) = places.first() else { return fail(format!("there is no alias {address}")) };
    let mut left = targets_of(&place.rest);
    for target in targets {
        let Some(at) = left.iter().position(|known| edit::same(known, target, &entry.domain)) else {
            return fail(format!("{address} does not lead to {target}; it leads to {}", left.join(", ")));
        };
        left.remove(at);
    }
    let gone = targets.is_empty() || left.is_empty();
    let line = if gone { None } else { Some(line(&entry, &left)?) };
    // With the first one, which is the one that counts, a second entry of the name goes, too: it would come to life.
    let whole: Vec<usize> = places.iter().flat_map(|place| place.lines.clone()).collect();
    entry.file.replace(if gone { &whole } else { &place.lines }, line);
    let said = if gone { format!("{address} is removed") } else { format!("{address} leads to {}", left.join(", ")) };
    save(entry, config, || Ok(writeln!(out, "{said}")?))
}
