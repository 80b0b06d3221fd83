//! Clients written for what IMAP became: imapflow for Node, Python's imapclient with its own tests for live servers, and neomutt with
//! QRESYNC and a header cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{Demo, is_strict, program};
use super::{must, run, settings};

/// What `tests/packages.sh` installed of npm's and PyPI's packages.
fn library(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients").join(path);
    if !path.exists() {
        assert!(!is_strict(), "{} is needed (MAILCOTE_TESTS=strict): tests/packages.sh", path.display());
        eprintln!("skipped: needs {}, which tests/packages.sh installs", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn imapflow_with_everything_enabled() {
    let (Some(_), Some(modules)) = (program("node"), library("node_modules")) else { return };
    let demo = Demo::start();
    let said = must(
        Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/imapflow.mjs"))
            .arg(demo.json.to_string())
            .env("NODE_PATH", modules),
    );
    assert!(said.ends_with("all good\n"), "{said}");
}

/// What fails of imapclient's tests for reasons of its own, as against any server.
const NOT_OURS: &[&str] = &[
    // Want a connection and an answer slower than 1 ms and 10 ms: not over loopback.
    "test_small_connection_timeout_fail",
    "test_small_read_timeout_fail",
    // Compares an Envelope, which is no sequence any more, as one; without UIDs it wants none in any FETCH response, while RFC 7162 3.2.4
    // demands one when \Seen is told.
    "test_fetch",
    // Takes its own settings, which are a Namespace, for a dictionary.
    "test_getacl",
    // MOVE without UID: Python's imaplib does not know the command.
    "test_move",
    // Wants NO for SUBSCRIBE to a folder that does not exist; RFC 3501 6.3.6 leaves it open, and Dovecot says OK too.
    "test_subscriptions",
];

/// What it does not try: Gmail's own extensions, and what needs UIDs where it goes by numbers.
const NOT_TRIED: &[&str] = &["test_gmail_labels", "test_gmail_search", "test_uid_expunge"];

#[test]
fn imapclients_own_live_tests() {
    let (Some(_), Some(modules)) = (program("python3"), library("python")) else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let (port, login, password) = (demo.port("imap"), alice.login, alice.password);
    let text = format!(
        "[DEFAULT]\nhost = 127.0.0.1\nport = {port}\nssl = False\nusername = {login}\npassword = {password}\ntimeout = 60\n"
    );
    let ini = settings(dir.path(), "live.ini", &text);
    let (_, said) = run(Command::new("python3")
        .args(["-m", "imapclient.livetest"])
        .arg(&ini)
        .arg("-v")
        .env("PYTHONPATH", modules)
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    let (mut passed, mut failed, mut skipped) = (0, BTreeSet::new(), BTreeSet::new());
    // "test_sort (of this class) ... ok"; what a test itself prints may stand before the verdict.
    for line in said.lines() {
        if line.ends_with("... ok") {
            passed += 1;
        } else if let Some(name) = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: ")) {
            failed.insert(name.split(' ').next().unwrap_or_default().to_owned());
        } else if line.contains("... skipped") {
            skipped.insert(line.split(' ').next().unwrap_or_default().to_owned());
        }
    }
    assert!(passed > 40, "{said}");
    let unknown: Vec<&String> = failed.iter().filter(|name| !NOT_OURS.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}\n{said}");
    let untried: Vec<&String> = skipped.iter().filter(|name| !NOT_TRIED.contains(&name.as_str())).collect();
    assert!(untried.is_empty(), "{untried:?}\n{said}");
}
