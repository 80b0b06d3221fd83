//! `mailcote demo`: what programs rely on (`--json`), what is left on disk and what is not.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::Demo;

/// The binary, with its temporary directories below `dir`.
fn demo(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcote"));
    command.arg("demo").args(arguments).env("TMPDIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Start on free ports; the process, the first line that it prints, and the rest.
fn start(dir: &Path, arguments: &[&str]) -> (Child, String, BufReader<ChildStdout>) {
    for attempt in 0..50 {
        let base = support::base(attempt).to_string();
        let mut child = demo(dir, arguments).args(["--port-base", &base]).spawn().expect("the binary runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("stdout"));
        while line.trim().is_empty() && out.read_line(&mut line).expect("text") > 0 {}
        if !line.is_empty() {
            return (child, line, out);
        }
        let mut said = String::new();
        child.stderr.take().expect("stderr").read_to_string(&mut said).expect("text");
        child.wait().expect("wait");
        assert!(said.contains("cannot be used") || said.contains("in use"), "{said}");
    }
    panic!("no free ports");
}

fn signal(child: &Child, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, signal).expect("a signal");
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn the_object_has_what_programs_rely_on() {
    let demo = Demo::with(&["--users", "3"]);
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(keys(&demo.json), set(&["host", "domain", "ports", "ca", "users", "max_message_size", "config", "pid"]));
    assert_eq!(
        keys(&demo.json["ports"]),
        set(&["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"])
    );
    assert_eq!(demo.json["domain"], "demo.test");
    assert_eq!(demo.json["max_message_size"], 50 << 20);
    assert_eq!(demo.json["pid"], demo.pid());
    let users = demo.json["users"].as_array().expect("users");
    assert!(users.iter().all(|user| keys(user) == set(&["login", "password", "maildir"])), "{users:?}");
    let logins: Vec<_> = users.iter().map(|user| user["login"].as_str().expect("a login")).collect();
    assert_eq!(logins, ["alice@demo.test", "bob@demo.test", "user1@demo.test", "user2@demo.test", "user3@demo.test"]);
    let passwords: BTreeSet<_> = users.iter().map(|user| user["password"].to_string()).collect();
    assert_eq!(passwords.len(), users.len(), "each has a password of its own");
    for name in ["alice", "bob", "user3"] {
        assert!(demo.user(name).maildir.join("new").is_dir(), "{name} can be delivered to by mv");
        assert!(demo.imap(name).imap("list \"\" *").len() > 5);
    }
    assert!(demo.ca().is_file() && demo.config().is_file());
    let check = Command::new(env!("CARGO_BIN_EXE_mailcote")).args(["check", "--config"]).arg(demo.config()).output();
    let check = check.expect("runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn a_kept_demo_goes_on_where_it_was() {
    let mut demo = Demo::start();
    let before = (demo.user("alice").password, fs::read(demo.ca()).expect("the CA"));
    demo.send(&["bob"], "Subject: kept\n\nx\n");
    let validity = |demo: &Demo| {
        let lines = demo.imap("alice").imap("select inbox");
        lines.into_iter().filter(|line| line.contains("UIDVALIDITY") || line.contains("EXISTS")).collect::<Vec<_>>()
    };
    let told = validity(&demo);
    let tree = demo.config().parent().expect("a directory").display().to_string();
    let second =
        Command::new(env!("CARGO_BIN_EXE_mailcote")).args(["demo", "--keep", &tree, "--port-base", "30000"]).output();
    let second = second.expect("runs");
    let why = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && why.contains("is used by another demo"), "{why}");
    assert!(told.contains(&"* 30 EXISTS".to_owned()), "{told:?}");
    assert_eq!(demo.stop(), Some(0));
    demo.restart();
    assert_eq!((demo.user("alice").password, fs::read(demo.ca()).expect("the CA")), before);
    assert_eq!(validity(&demo), told, "the thirty messages are not sent again");
    assert_eq!(demo.imap("bob").imap("select inbox").iter().filter(|line| *line == "* 1 EXISTS").count(), 1);
    demo.kill();
    demo.restart();
    assert_eq!(validity(&demo), told);
    let secrets = demo.config().with_file_name("demo.json");
    assert_eq!(fs::metadata(&secrets).expect("demo.json").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_demo_that_is_not_kept_leaves_nothing() {
    for ending in [Signal::SIGINT, Signal::SIGTERM] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut child, line, _out) = start(dir.path(), &["--json"]);
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let root = PathBuf::from(object["config"].as_str().expect("config")).parent().expect("a parent").to_owned();
        assert_eq!(entries(dir.path()).len(), 1);
        assert_eq!(
            fs::metadata(&root).expect("the tree").permissions().mode() & 0o777,
            0o700,
            "nobody else's business"
        );
        signal(&child, ending);
        assert_eq!(child.wait().expect("wait").code(), Some(0), "{ending}");
        assert!(entries(dir.path()).is_empty(), "{ending}: {:?}", entries(dir.path()));
    }
}

#[test]
fn people_get_a_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut child, first, mut out) = start(dir.path(), &[]);
    signal(&child, Signal::SIGTERM);
    let mut text = String::new();
    out.read_to_string(&mut text).expect("text");
    child.wait().expect("wait");
    let text = first + &text;
    for wanted in [
        "alice@demo.test",
        "bob@demo.test",
        "password",
        "IMAP",
        "POP3",
        "STARTTLS",
        "ca.pem",
        "curl ",
        "mutt -f",
        "idle",
    ] {
        assert!(text.contains(wanted), "{wanted}:\n{text}");
    }
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let running = Demo::start();
    let dir = tempfile::tempdir().expect("a directory");
    let base = (running.port("smtp") - 25).to_string();
    let output = demo(dir.path(), &["--port-base", &base]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("port {}", running.port("smtp"))) && said.contains("--port-base"), "{said}");
    assert!(entries(dir.path()).is_empty(), "nothing was made");
}

#[test]
fn a_directory_of_something_else_is_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("thesis.tex"), "x").expect("a file");
    for attempt in 0..50 {
        let base = support::base(attempt).to_string();
        let keep = dir.path().display().to_string();
        let output = demo(dir.path(), &["--keep", &keep, "--port-base", &base]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("cannot be used") {
            continue;
        }
        assert!(said.contains("holds something else"), "{said}");
        assert_eq!(entries(dir.path()).len(), 1);
        return;
    }
    panic!("no free ports");
}

#[test]
fn settings_with_mistakes_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("mine.toml");
    fs::write(&file, "[limits]\nconections = 1\n").expect("a file");
    for attempt in 0..50 {
        let base = support::base(attempt).to_string();
        let output = demo(dir.path(), &["--config", &file.display().to_string(), "--port-base", &base]).output();
        let output = output.expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !said.contains("cannot be used") {
            assert!(output.status.code() == Some(78) && said.contains("mine.toml:2:1: unknown key"), "{said}");
            assert_eq!(entries(dir.path()), [file]);
            return;
        }
    }
    panic!("no free ports");
}

#[test]
fn logins_in_clear_must_be_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut child, line, _out) = start(dir.path(), &["--json"]);
    let object: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let port = |name: &str| u16::try_from(object["ports"][name].as_u64().expect("a port")).expect("a port");
    let (login, password) =
        (object["users"][0]["login"].as_str().unwrap(), object["users"][0]["password"].as_str().unwrap());
    let mut imap = support::Client::to(port("imap"));
    assert!(imap.line().contains("LOGINDISABLED"));
    let answer = imap.imap_any(&format!("login {login} {password}")).pop().expect("an answer");
    assert!(answer.contains(" NO ") && answer.contains("PRIVACYREQUIRED"), "{answer}");
    let mut pop3 = support::Client::to(port("pop3"));
    pop3.line();
    pop3.send(&format!("USER {login}"));
    assert!(pop3.line().starts_with("-ERR"));
    signal(&child, Signal::SIGTERM);
    child.wait().expect("wait");
}

#[test]
fn settings_of_a_file_hold_where_the_demo_needs_no_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("mine.toml");
    fs::write(&file, "[limits]\nmax_message_size = \"1M\"\n[folders]\njunk = \"Spam\"\n").expect("a file");
    let demo = Demo::with(&["--config", &file.display().to_string()]);
    assert_eq!(demo.json["max_message_size"], 1 << 20);
    let folders = demo.imap("bob").imap("list \"\" *").join("\n");
    assert!(folders.contains("Spam") && !folders.contains("Junk\""), "{folders}");
}

#[test]
fn folders_can_be_shared_in_a_demo() {
    let demo = Demo::start();
    let mut alice = demo.imap("alice");
    alice.imap("create Projects");
    alice.imap("setacl Projects bob@demo.test lrs");
    let seen = demo.imap("bob").imap("list \"\" shared/*").join("\n");
    assert!(seen.contains("shared/alice@demo.test/Projects"), "{seen}");
}
