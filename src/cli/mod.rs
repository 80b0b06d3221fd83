//! The command line: one file a sub-command.
//!
//! Owns the options, the texts that people read, and the exit codes: 0 done, 1 could not be done (why is on standard
//! error), 2 wrong arguments, 78 the configuration is wrong (EX_CONFIG of sysexits). The admin commands edit the same plain files
//! that an administrator edits by hand; a running daemon notices.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Config, DEFAULT_FILE, Problems};

mod alias;
mod check;
mod demo;
mod domain;
mod edit;
mod password;
mod readable;
mod serve;
mod user;

/// Exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const EX_CONFIG: u8 = 78;

/// A mail server: SMTP in, Maildir on disk, IMAP and POP3 out.
#[derive(Parser)]
#[command(name = "mailcote", version, max_term_width = 100)]
struct Args {
    /// Configuration file [default: /etc/mailcote/mailcote.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server in the foreground
    Serve,
    /// Run a throw-away server with two users and thirty messages, on this machine only
    Demo(demo::Args),
    /// Tell everything that is wrong with the configuration
    Check(check::Args),
    /// Serve a domain, or stop serving it
    #[command(subcommand)]
    Domain(domain::Command),
    /// Users and their passwords
    #[command(subcommand)]
    User(user::Command),
    /// Addresses that lead to other addresses
    #[command(subcommand)]
    Alias(alias::Command),
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The configuration is wrong, as was found at the start of the server.
    #[error("mailcote: {0}")]
    Setup(String),
    /// Anything else, said in full.
    #[error("mailcote: {0}")]
    Other(String),
    /// Standard output went away.
    #[error("mailcote: standard output: {0}")]
    Output(#[from] io::Error),
}

/// What a command returns.
type Done = Result<(), Failure>;

/// Fail with this text.
fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Other(text.into()))
}

/// The definition of the command line, for tests that compare it with the manual.
pub fn definition() -> clap::Command {
    Args::command()
}

/// Parse the arguments of the process, do what they say, and tell the exit code.
pub fn run() -> ExitCode {
    let args = Args::parse();
    let file = args.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    // Not locked: `demo` prints from a thread of its own while this one serves.
    let out = &mut io::stdout();
    let load = || Config::load(&file);
    let done = match args.command {
        Command::Serve => load().map_err(Failure::from).and_then(serve::run),
        Command::Demo(demo) => demo::run(demo, args.config.as_deref(), out),
        Command::Check(check) => check::run(&check, &file, out),
        Command::Domain(command) => load().map_err(Failure::from).and_then(|c| domain::run(command, &c, out)),
        Command::User(command) => load().map_err(Failure::from).and_then(|c| user::run(command, &c, out)),
        Command::Alias(command) => load().map_err(Failure::from).and_then(|c| alias::run(command, &c, out)),
    };
    match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // `mailcote user list | head` is no failure.
        Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            match failure {
                Failure::Config(_) | Failure::Setup(_) => ExitCode::from(EX_CONFIG),
                Failure::Other(_) | Failure::Output(_) => ExitCode::FAILURE,
            }
        }
    }
}
