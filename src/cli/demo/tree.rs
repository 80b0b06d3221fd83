//! What the demo has on disk.
//!
//! ```text
//! ROOT/mailcote.toml                 written anew at every start
//! ROOT/demo.json                     passwords in clear, and whether the messages were sent; mode 600
//! ROOT/ca.pem  ROOT/certs/demo.test/ certificates
//! ROOT/domains/demo.test/            users, aliases
//! ROOT/mail/demo.test/alice/Maildir  mail
//! ```
//!
//! ROOT is `--keep DIR`, or a new directory under `$TMPDIR` that [`Tree::finish`] removes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User as SystemUser};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Args, ca, loopback, ports};
use crate::account::password::{Scheme, hash};
use crate::cli::edit::at;
use crate::cli::{Done, Failure, fail};
use crate::fsio;
use crate::wire::Secret;

/// The demo's domain; `.test` is nobody's (RFC 6761).
pub const DOMAIN: &str = "demo.test";
/// Users that are always there.
const NAMES: [&str; 2] = ["alice", "bob"];
/// Characters of a password: 16 of 32 are 80 bits, and none is mistaken for another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const PASSWORD_LENGTH: usize = 16;
/// Connections in all: few enough for the open files that an ordinary account may have.
const CONNECTIONS: u32 = 10_000;
/// Logged-in connections of one user: a demo is also what load tests run against.
const CONNECTIONS_PER_USER: u32 = 2000;

/// A user as `demo.json` keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Full address.
    pub login: String,
    /// In clear, since it is printed at every start.
    pub password: String,
    /// The users line, so that the next start need not hash again.
    line: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    users: Vec<User>,
    delivered: bool,
}

/// The demo's directory.
pub struct Tree {
    root: PathBuf,
    /// Held as long as the tree is used.
    _lock: Option<Flock<File>>,
    keep: bool,
    state: State,
}

impl Tree {
    /// Make the tree, or complete a kept one, for these options.
    pub fn prepare(args: &Args, base_config: Option<&Path>) -> Result<Tree, Failure> {
        let lock = args.keep.as_deref().map(lock).transpose()?;
        let mut state = match &args.keep {
            Some(dir) => kept_state(dir)?,
            None => State::default(),
        };
        // Slow things first: until the tree exists an interrupt leaves nothing behind.
        add_users(&mut state, args.users)?;
        let root = match &args.keep {
            Some(dir) => {
                make_dirs(dir)?;
                fs::canonicalize(dir).map_err(at(dir))?
            }
            None => temporary_root()?,
        };
        let tree = Tree { root, _lock: lock, keep: args.keep.is_some(), state };
        match tree.write_all(args, base_config) {
            Ok(()) => Ok(tree),
            // The tree is gone or half made; the first error is the one to tell.
            Err(failure) => {
                Err(tree.finish().err().map_or_else(|| failure, |_| Failure::Other("cannot clean up".into())))
            }
        }
    }

    fn write_all(&self, args: &Args, base_config: Option<&Path>) -> Done {
        ca::ensure(&self.root)?;
        let domain = self.root.join("domains").join(DOMAIN);
        make_dirs(&domain)?;
        make_dirs(&self.root.join("mail"))?;
        let lines: Vec<&str> = self.state.users.iter().map(|user| user.line.as_str()).collect();
        write_new(&domain.join("users"), &lines)?;
        write_new(&domain.join("aliases"), &["postmaster: alice", "team: alice, bob"])?;
        write(&self.config_file(), configuration(&self.root, args, base_config)?.as_bytes(), 0o644)?;
        self.save_state()
    }

    /// `mailcote.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("mailcote.toml")
    }

    /// The CA certificate for clients.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// Everybody, alice first.
    pub fn users(&self) -> &[User] {
        &self.state.users
    }

    /// Where a user's mail is.
    pub fn maildir(&self, user: &User) -> PathBuf {
        let name = user.login.split('@').next().unwrap_or_default();
        self.root.join("mail").join(DOMAIN).join(name).join("Maildir")
    }

    /// Will it be there after the end?
    pub fn is_kept(&self) -> bool {
        self.keep
    }

    /// Were the messages sent, now or at an earlier start?
    pub fn is_delivered(&self) -> bool {
        self.state.delivered
    }

    /// Remember that the messages were sent.
    pub fn set_delivered(&mut self) -> Done {
        self.state.delivered = true;
        self.save_state()
    }

    fn save_state(&self) -> Done {
        let json = serde_json::to_vec_pretty(&self.state).map_err(io::Error::from)?;
        write(&self.root.join("demo.json"), &json, 0o600)
    }

    /// The end: remove the tree unless it is to be kept.
    pub fn finish(&self) -> Done {
        if self.keep { Ok(()) } else { fs::remove_dir_all(&self.root).map_err(at(&self.root)) }
    }
}

/// Make `dir` if need be, and see that no other demo uses it.
pub fn lock(dir: &Path) -> Result<Flock<File>, Failure> {
    make_dirs(dir)?;
    let opened = File::open(dir).map_err(at(dir))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
        Errno::EWOULDBLOCK => Failure::Other(format!(
            "{} is used by another demo that is running; stop it, or give another directory with --keep",
            dir.display()
        )),
        e => Failure::Other(format!("{}: lock: {e}", dir.display())),
    })
}

/// What an earlier start left in `dir`; an empty or missing directory is a first start.
fn kept_state(dir: &Path) -> Result<State, Failure> {
    let path = dir.join("demo.json");
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).map_err(|e| Failure::Other(format!("{}: {e}", path.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if is_used(dir).map_err(at(dir))? {
                return fail(format!(
                    "{} holds something else than a demo; give an empty or new directory",
                    dir.display()
                ));
            }
            Ok(State::default())
        }
        Err(e) => Err(at(&path)(e)),
    }
}

/// Is anything in `dir`?
fn is_used(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn temporary_root() -> Result<PathBuf, Failure> {
    let template = std::env::temp_dir().join("mailcote-demo-XXXXXX");
    let made = nix::unistd::mkdtemp(&template).map_err(|e| at(&template)(e.into()))?;
    fs::canonicalize(&made).map_err(at(&made))
}

/// Add alice, bob and `user1` to `userN` where they are missing, hashing on every core.
fn add_users(state: &mut State, more: u32) -> Done {
    let names = NAMES.map(String::from).into_iter().chain((1..=more).map(|n| format!("user{n}")));
    let known: std::collections::HashSet<String> = state.users.iter().map(|user| user.login.clone()).collect();
    let missing: Vec<String> = names.filter(|name| !known.contains(&format!("{name}@{DOMAIN}"))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let made: Result<Vec<Vec<User>>, Failure> = thread::scope(|scope| {
        let parts: Vec<_> = missing
            .chunks(missing.len().div_ceil(cores))
            .map(|part| scope.spawn(move || part.iter().map(|name| make_user(name)).collect()))
            .collect();
        parts.into_iter().map(|part| part.join().unwrap_or_else(|_| fail("hashing passwords panicked"))).collect()
    });
    state.users.extend(made?.into_iter().flatten());
    Ok(())
}

fn make_user(name: &str) -> Result<User, Failure> {
    let mut bytes = [0; PASSWORD_LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Failure::Other("the system gives no random numbers".into()))?;
    let password: String = bytes.iter().map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()])).collect();
    // SCRAM-SHA-256 serves every login mechanism and hashes in milliseconds; against guessing these passwords need no more.
    let field = hash(Scheme::ScramSha256, &Secret::new(password.as_bytes()))
        .map_err(|e| Failure::Other(format!("hashing a password: {e}")))?;
    Ok(User { login: format!("{name}@{DOMAIN}"), password, line: format!("{name}:{field}::::::") })
}

/// `mailcote.toml` of the demo: what `--config` gave, with the demo's own settings put over it.
fn configuration(root: &Path, args: &Args, base_config: Option<&Path>) -> Result<String, Failure> {
    let mut config: toml::Table = match base_config {
        None => toml::Table::new(),
        Some(path) => fs::read_to_string(path)
            .map_err(at(path))?
            .parse()
            .map_err(|e| Failure::Other(format!("{}: {e}", path.display())))?,
    };
    let own = toml::Table::from_iter([
        ("hostname".into(), format!("mail.{DOMAIN}").into()),
        ("user".into(), own_name().into()),
        ("listen".into(), listen(root, args.port_base).into()),
        ("tls".into(), section([("certs", "certs".into()), ("fallback", DOMAIN.into())])),
        ("accounts".into(), section([("domains", "domains".into())])),
        ("auth".into(), section([("allow_plain_on_loopback", args.allow_plain.into()), ("secret", "secret".into())])),
        // Beside the mail, not where an installed server keeps its own.
        ("sharing".into(), section([("index", "shared".into())])),
        ("mail".into(), section([("home", format!("{}/mail/{{domain}}/{{user}}/Maildir", root.display()).into())])),
    ]);
    for (key, value) in own {
        match (config.get_mut(&key), value) {
            (Some(toml::Value::Table(given)), toml::Value::Table(own)) if key != "listen" => given.extend(own),
            (_, value) => {
                config.insert(key, value);
            }
        }
    }
    // Quiet, since what it prints is for people to read.
    config.entry("log").or_insert("warn".into());
    let limits = config.entry("limits").or_insert_with(|| toml::Table::new().into());
    if let Some(limits) = limits.as_table_mut() {
        limits.entry("connections").or_insert(CONNECTIONS.into());
        limits.entry("connections_per_user").or_insert(CONNECTIONS_PER_USER.into());
    }
    let text = toml::to_string(&config).map_err(|e| Failure::Other(format!("the demo's configuration: {e}")))?;
    Ok(format!("# Written by \"mailcote demo\" at every start.\n{text}"))
}

fn section<const N: usize>(keys: [(&str, toml::Value); N]) -> toml::Value {
    toml::Table::from_iter(keys.map(|(key, value)| (key.to_owned(), value))).into()
}

/// Every service on loopback, and LMTP on a Unix socket too.
fn listen(root: &Path, base: u16) -> toml::Table {
    let mut table = toml::Table::new();
    for (name, port) in ports(base) {
        let mut places: Vec<toml::Value> = loopback(port).iter().map(|address| address.to_string().into()).collect();
        if name == "lmtp" {
            places.push(root.join("lmtp.sock").display().to_string().into());
        }
        table.insert(name.into(), places.into());
    }
    table
}

/// Name of the account that runs the demo, so that the server stays that account even when started as root.
fn own_name() -> String {
    let uid = Uid::effective();
    SystemUser::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Make a directory and its parents, for us alone.
pub fn make_dirs(path: &Path) -> Done {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_dirs(parent)?;
    }
    match fsio::make_dir(path, 0o755) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(at(path)(e)),
        _ => Ok(()),
    }
}

/// Write a file, replacing an older one.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Done {
    fsio::replace(path, bytes, mode).map_err(at(path))
}

/// Make the file with these lines, or add those whose entry it does not have: what somebody changed by hand stays.
fn write_new(path: &Path, lines: &[&str]) -> Done {
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(at(path)(e)),
    };
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let known: std::collections::HashSet<String> = text.lines().map(name).collect();
    for line in lines.iter().filter(|line| !known.contains(&name(line))) {
        text.push_str(line);
        text.push('\n');
    }
    write(path, text.as_bytes(), 0o600)
}
