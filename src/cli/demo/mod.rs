//! `mailcote demo`: a whole server to play with, on this machine only.
//!
//! Makes a tree (configuration, users, certificates, mail) in a new temporary directory or in `--keep DIR`, runs the real
//! server on it, sends thirty real messages through its SMTP, and prints how to use it. Refuses ports that are taken
//! and a `--keep` directory that holds something else. Leaves nothing on disk after Ctrl-C or SIGTERM, or the tree with `--keep`,
//! which the next start uses again: same passwords, same CA, same mail.
//!
//! The server runs on the main thread. An attendant thread, started before the server confines the process, waits
//! until everything listens, sends, prints, waits for the end, and removes the tree.

use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Done, Failure, fail, serve};
use crate::account::{self, Accounts};
use crate::config::{Config, Service};
use crate::store::{Mounts, Stores};

mod ca;
mod mail;
mod screen;
mod tree;

use tree::Tree;

/// How long the server may take until every port answers; starting is a matter of milliseconds.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often to look whether it does.
const START_LOOK: Duration = Duration::from_millis(10);
/// Users of `--users` at most: their passwords are hashed at start, 2 ms each.
const MAX_USERS: u32 = 100_000;

/// Users whose Maildirs are made before the start; those of more users are made at their first use, since each costs some
/// thirty syncs.
const READY_MAILDIRS: usize = 20;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Keep everything in DIR and use it again at the next start, instead of a temporary directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where the ports begin: SMTP at N+25, IMAP at N+143, and so on
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=64_000))]
    port_base: u16,
    /// Make more users: user1, user2, ... userN
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_USERS)))]
    users: u32,
    /// Allow logins in clear
    #[arg(long)]
    allow_plain: bool,
    /// Print one JSON object on the first line instead of text, then serve quietly
    #[arg(long)]
    json: bool,
}

/// A service and where its port is above the base.
const PORTS: [(Service, u16); 8] = [
    (Service::Smtp, 25),
    (Service::Submission, 587),
    (Service::Submissions, 465),
    (Service::Lmtp, 24),
    (Service::Imap, 143),
    (Service::Imaps, 993),
    (Service::Pop3, 110),
    (Service::Pop3s, 995),
];

/// The name of the service in `--json` and in the configuration, and its port.
fn ports(base: u16) -> impl Iterator<Item = (&'static str, u16)> {
    PORTS.iter().map(move |(service, offset)| (service.key(), base + offset))
}

/// Do it.
pub fn run(args: Args, base_config: Option<&Path>, out: &mut dyn Write) -> Done {
    if let Some(dir) = args.keep.as_deref().filter(|dir| dir.is_dir()) {
        // Before the ports, which that demo has taken, too.
        drop(tree::lock(dir)?);
    }
    refuse_taken_ports(args.port_base)?;
    if let Some(path) = base_config {
        // Mistakes are told with their place in this file, not in the one that the demo makes of it.
        Config::load(path)?;
    }
    if !args.json && args.users > 1000 {
        writeln!(out, "Hashing {} passwords ...", args.users)?;
    }
    let tree = Tree::prepare(&args, base_config)?;
    let made = Config::load(&tree.config_file()).map_err(Failure::from);
    let config = match made.and_then(|config| make_maildirs(&config).map(|()| config)) {
        Ok(config) => config,
        Err(failure) => {
            tree.finish()?;
            return Err(failure);
        }
    };
    let (running, ended) = mpsc::channel::<()>();
    let attendant = thread::Builder::new().name("demo".into()).spawn(move || attend(tree, &args, &ended))?;
    let served = serve::run(config);
    drop(running);
    let attended = attendant.join().unwrap_or_else(|_| fail("the demo's attendant thread panicked"));
    served.and(attended)
}

/// Maildirs are there from the start, for programs that deliver into them before their users first log in.
fn make_maildirs(config: &Config) -> Done {
    let failed = |e: &dyn std::fmt::Display| Failure::Other(format!("making the Maildirs: {e}"));
    let accounts =
        Accounts::new(account::Settings { secret_file: None, ..config.account() }).map_err(|e| failed(&e))?;
    let stores = Stores::new(config.store(Mounts::default())).map_err(|e| failed(&e))?;
    for user in accounts.users().iter().take(READY_MAILDIRS) {
        stores.open(&user.home).map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// Say which port is taken, and by which option to move, before anything is made.
fn refuse_taken_ports(base: u16) -> Done {
    for (name, port) in ports(base) {
        for address in loopback(port) {
            if let Err(e) = TcpListener::bind(address) {
                return fail(format!(
                    "port {port} ({name}) cannot be used: {e}. Another demo may be running; choose other ports with --port-base, \
                     for example --port-base {}",
                    if base < 50_000 { base + 2000 } else { 20_000 }
                ));
            }
        }
    }
    Ok(())
}

/// Our addresses: 127.0.0.1, and ::1 where the machine has it.
fn loopback(port: u16) -> Vec<SocketAddr> {
    let mut all = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        all.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }
    all
}

/// Everything around the server; runs on a thread of its own until the server ends.
fn attend(tree: Tree, args: &Args, ended: &Receiver<()>) -> Done {
    let mut tree = tree;
    let done = introduce(&mut tree, args, ended);
    if done.is_err() {
        // The server must not go on without its mail. It ends as by Ctrl-C, and we say why.
        let _ = kill(Pid::this(), Signal::SIGTERM);
    }
    // Nothing is ever sent: this returns when the server has ended and dropped its side.
    let _ = ended.recv();
    tree.finish().and(done)
}

/// Wait for the server, fill it, and print how to use it.
fn introduce(tree: &mut Tree, args: &Args, ended: &Receiver<()>) -> Done {
    if !everything_listens(args.port_base, ended)? {
        return Ok(());
    }
    if !tree.is_delivered() {
        mail::send_all(smtp_address(args.port_base))?;
        tree.set_delivered()?;
    }
    let mut out = io::stdout();
    if args.json {
        screen::json(tree, args, &mut out)?
    } else {
        screen::text(tree, args, &mut out)?
    }
    out.flush()?;
    Ok(())
}

/// Wait until every port is open. False if the server has ended instead: its own error says why.
fn everything_listens(base: u16, ended: &Receiver<()>) -> Result<bool, Failure> {
    let start = Instant::now();
    for (name, port) in ports(base) {
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
            if start.elapsed() > START_LIMIT {
                return fail(format!("{name} did not answer on port {port} within {} seconds", START_LIMIT.as_secs()));
            }
            match ended.recv_timeout(START_LOOK) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                _ => return Ok(false),
            }
        }
    }
    // Ports are open before anybody accepts: a greeting says that somebody does.
    mail::greeting(smtp_address(base))?;
    Ok(true)
}

fn smtp_address(base: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], base + 25))
}
