//! What tests of the whole server share: the real binary run as a demo ([`Demo`]), the plainest clients of its protocols
//! ([`Client`]), and the programs of others ([`program`]).
//!
//! A demo's tree is in a temporary directory, its ports are its own, and it ends, by its pid, when the fixture is dropped.

#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long the server may take for one answer; many times what it needs on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Port bases to try before giving up.
const TRIES: u32 = 50;

/// A running `mailcote demo --json --allow-plain`, kept in a temporary directory.
pub struct Demo {
    child: Child,
    root: tempfile::TempDir,
    arguments: Vec<String>,
    base: u16,
    log: Log,
    /// The object it printed.
    pub json: Value,
}

/// What a server logs, as it comes.
type Log = Arc<Mutex<String>>;

/// A user of the demo.
#[derive(Debug, Clone)]
pub struct User {
    /// Full address.
    pub login: String,
    /// In clear.
    pub password: String,
    /// Where the mail is.
    pub maildir: PathBuf,
}

impl Demo {
    /// Start one.
    pub fn start() -> Demo {
        Demo::with(&[])
    }

    /// Start one with more arguments.
    pub fn with(arguments: &[&str]) -> Demo {
        let root = tempfile::tempdir().expect("a temporary directory");
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let log = Log::default();
        for attempt in 0..TRIES {
            let base = base(attempt);
            match spawn(root.path(), base, &arguments, &log) {
                Ok((child, json)) => return Demo { child, root, arguments, base, log, json },
                // The tree may be there already; the next attempt uses it with its own ports.
                Err(said) if said.contains("in use") || said.contains("cannot be used") => {}
                Err(said) => panic!("the demo does not start: {said}"),
            }
        }
        panic!("no free ports after {TRIES} tries");
    }

    /// The port of a service: `imap`, `smtp`, ...
    pub fn port(&self, service: &str) -> u16 {
        let port = self.json["ports"][service].as_u64().unwrap_or_else(|| panic!("a port for {service}"));
        u16::try_from(port).expect("a port")
    }

    /// The CA certificate.
    pub fn ca(&self) -> PathBuf {
        self.json["ca"].as_str().expect("ca").into()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.json["config"].as_str().expect("config").into()
    }

    /// A user by the name before the @.
    pub fn user(&self, name: &str) -> User {
        let users = self.json["users"].as_array().expect("users");
        let text = |user: &Value, key: &str| user[key].as_str().expect("a string").to_owned();
        let user = users.iter().find(|user| text(user, "login").split('@').next() == Some(name));
        let user = user.unwrap_or_else(|| panic!("no user {name}"));
        User { login: text(user, "login"), password: text(user, "password"), maildir: text(user, "maildir").into() }
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// The most memory that it ever had in RAM, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// End it as a power cut would, as far as the process goes (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// End it with SIGTERM and wait; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        terminate(&self.child);
        self.child.wait().expect("wait").code()
    }

    /// Start it again on the same tree and ports, after [`Demo::kill`] or [`Demo::stop`].
    pub fn restart(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match spawn(self.root.path(), self.base, &self.arguments, &self.log) {
                Ok((child, json)) => {
                    (self.child, self.json) = (child, json);
                    return;
                }
                Err(said) => assert!(Instant::now() < deadline, "the demo does not start again: {said}"),
            }
        }
    }

    /// A connection in clear, its greeting read.
    pub fn connect(&self, service: &str) -> Client {
        let mut client = Client::to(self.port(service));
        client.line();
        client
    }

    /// An IMAP connection, logged in.
    pub fn imap(&self, name: &str) -> Client {
        let user = self.user(name);
        let mut client = self.connect("imap");
        client.imap(&format!("login {} {}", user.login, user.password));
        client
    }

    /// A POP3 connection, logged in.
    pub fn pop3(&self, name: &str) -> Client {
        let user = self.user(name);
        let mut client = self.connect("pop3");
        client.pop3(&format!("USER {}", user.login));
        client.pop3(&format!("PASS {}", user.password));
        client
    }

    /// Send one message (LF or CRLF) by SMTP to users by name.
    pub fn send(&self, to: &[&str], message: &str) {
        let mut client = self.connect("smtp");
        client.smtp("EHLO test", "250");
        client.deliver(to, message);
        client.smtp("QUIT", "221");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port base below the range that the system gives out itself, different for each process and attempt.
pub fn base(attempt: u32) -> u16 {
    let spread = std::process::id().wrapping_mul(2_654_435_761).wrapping_add(attempt.wrapping_mul(40_503 * 7));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_micros());
    u16::try_from(11_000 + (spread ^ now) % 20_000).expect("below 31000")
}

/// Start the demo; its object, or what it said instead.
fn spawn(root: &Path, base: u16, arguments: &[String], log: &Log) -> Result<(Child, Value), String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailcote"))
        .args(["demo", "--json", "--allow-plain", "--port-base", &base.to_string(), "--keep"])
        .arg(root)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    stdout.read_line(&mut line).expect("stdout is text");
    let mut stderr = child.stderr.take().expect("stderr");
    if let Ok(json) = serde_json::from_str(&line) {
        let log = log.clone();
        std::thread::spawn(move || keep(BufReader::new(stderr), &log));
        return Ok((child, json));
    }
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("stderr is text");
    child.wait().expect("wait");
    Err(said)
}

/// What it logs is kept, and goes on to our own standard error, so that a failed test shows it.
fn keep(mut stderr: impl BufRead, log: &Log) {
    let mut line = String::new();
    while stderr.read_line(&mut line).is_ok_and(|n| n > 0) {
        eprint!("{line}");
        log.lock().expect("the log").push_str(&line);
        line.clear();
    }
}

/// SIGTERM to a process that we started.
pub fn terminate(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
}

/// A connection that sends lines and reads lines.
pub struct Client {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl Client {
    /// Connect to a port of this machine; the greeting is not read.
    pub fn to(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|e| panic!("port {port}: {e}"));
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client { stream: BufReader::new(stream), tag: 0 }
    }

    /// Send bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("send");
    }

    /// Send a line.
    pub fn send(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes());
    }

    /// The next line, without its end. Panics at the end of the connection.
    pub fn line(&mut self) -> String {
        self.try_line().expect("a line before the connection ends")
    }

    /// The next line, or nothing if the server has closed.
    pub fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("waiting for a line: {e}"),
        }
    }

    /// The next line as it came, its end included; empty at the end of the connection.
    pub fn raw_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a line");
        line
    }

    /// Exactly this many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("bytes before the connection ends");
        bytes
    }

    /// How long to wait for a line from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream.get_mut().set_read_timeout(Some(patience)).expect("a timeout");
    }

    /// An SMTP command and its whole reply, which must begin with `code`.
    pub fn smtp(&mut self, command: &str, code: &str) -> Vec<String> {
        self.send(command);
        self.reply(command, code)
    }

    /// An SMTP reply, which must begin with `code`.
    pub fn reply(&mut self, to: &str, code: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            assert!(line.starts_with(code), "{to}: wanted {code}, got {line}");
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                return lines;
            }
        }
    }

    /// One SMTP transaction after EHLO: a message (LF or CRLF) to users of the demo by name.
    pub fn deliver(&mut self, to: &[&str], message: &str) {
        self.smtp("MAIL FROM:<sender@example.org>", "250");
        for name in to {
            self.smtp(&format!("RCPT TO:<{name}@demo.test>"), "250");
        }
        self.smtp("DATA", "354");
        for line in message.lines() {
            let dot = if line.starts_with('.') { "." } else { "" };
            self.send(&format!("{dot}{line}"));
        }
        self.smtp(".", "250");
    }

    /// An IMAP command that must be answered OK; all lines, the tagged one last. Literals are read as lines.
    pub fn imap(&mut self, command: &str) -> Vec<String> {
        let lines = self.imap_any(command);
        let last = lines.last().expect("a tagged line");
        assert!(last.split(' ').nth(1) == Some("OK"), "{command}: {last}");
        lines
    }

    /// An IMAP command, whatever the answer.
    pub fn imap_any(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(&format!("{tag}{command}"));
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let last = line.starts_with(&tag);
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// A POP3 command that must be answered `+OK`; the first line.
    pub fn pop3(&mut self, command: &str) -> String {
        self.send(command);
        let line = self.line();
        assert!(line.starts_with("+OK"), "{command}: {line}");
        line
    }

    /// A POP3 command with an answer of many lines, dots undone; without the first line.
    pub fn pop3_lines(&mut self, command: &str) -> Vec<String> {
        self.pop3(command);
        let mut lines = Vec::new();
        loop {
            match self.line() {
                line if line == "." => return lines,
                line => lines.push(line.strip_prefix('.').map_or(line.clone(), ToOwned::to_owned)),
            }
        }
    }
}

/// Are absent programs errors (CI)?
pub fn is_strict() -> bool {
    std::env::var_os("MAILCOTE_TESTS").is_some_and(|mode| mode == "strict")
}

/// Is `name` installed? If not: an error in strict mode, else a line that says what is skipped.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(!is_strict(), "{name} is needed (MAILCOTE_TESTS=strict)");
        eprintln!("skipped: needs {name}");
    }
    found
}

/// Look again and again until `look` finds something. Panics with `what` when patience ends.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
