//! `mailcote check`: everything that is wrong with the configuration, at once.
//!
//! Reads `mailcote.toml`, every domain's users and aliases, and the certificates; opens no port and writes nothing.

use std::io::Write;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::Done;
use crate::account::{self, Accounts};
use crate::config::{Config, Problem, Problems};
use crate::net::Certificates;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// As JSON, for programs: a list of file, line, column and message
    #[arg(long)]
    json: bool,
}

/// Do it.
pub fn run(args: &Args, file: &Path, out: &mut dyn Write) -> Done {
    let problems = problems(file);
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&problems).map_err(std::io::Error::from)?)?;
    }
    if problems.is_empty() {
        if !args.json {
            writeln!(out, "{}: no errors", file.display())?;
        }
        return Ok(());
    }
    out.flush()?;
    Err(Problems(problems).into())
}

fn problems(file: &Path) -> Vec<Problem> {
    match Config::load(file) {
        Err(Problems(problems)) => problems,
        Ok(config) => [accounts(&config), certificates(&config), account(&config)].concat(),
    }
}

/// Mistakes in users and aliases.
fn accounts(config: &Config) -> Vec<Problem> {
    // No secret file: a check makes nothing.
    let settings = account::Settings { secret_file: None, ..config.account() };
    match Accounts::new(settings) {
        Err(e) => vec![Problem::whole(&config.accounts.domains, e.to_string())],
        Ok(accounts) => accounts
            .problems()
            .into_iter()
            .map(|(file, p)| Problem { file, line: p.line, column: p.column, message: p.message })
            .collect(),
    }
}

/// Certificates that cannot be used, and none where one is needed.
fn certificates(config: &Config) -> Vec<Problem> {
    let prefix = format!("{}: ", config.tls.certs.display());
    let whole = |text: String| Problem::whole(&config.tls.certs, text.strip_prefix(&prefix).unwrap_or(&text));
    let fallback = config.tls.fallback.as_deref().unwrap_or(&config.hostname);
    let needed = config.listeners.iter().any(|listener| listener.service.implicit_tls());
    match Certificates::load(&config.tls.certs, fallback) {
        Ok((_, problems)) => problems.iter().map(|problem| whole(problem.to_string())).collect(),
        Err(_) if !needed => Vec::new(),
        Err(e) => vec![whole(format!("{e}; without a certificate, take submissions, imaps and pop3s out of [listen]"))],
    }
}

/// The account to run as, which root must be able to become.
fn account(config: &Config) -> Vec<Problem> {
    match User::from_name(&config.user) {
        Ok(None) if Uid::effective().is_root() => {
            vec![Problem::whole(
                &config.file,
                format!("user: this system has no account \"{}\" to run as", config.user),
            )]
        }
        _ => Vec::new(),
    }
}
