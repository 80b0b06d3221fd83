//! Programs that people use, against the real binary: each sends or reads real mail, and what it says it did is
//! checked on disk or over another protocol.
//!
//! An absent program is an error with `MAILCOTE_TESTS=strict`; otherwise the test says `skipped: needs X`.

#[path = "clients/binding.rs"]
mod binding;
#[path = "clients/fetching.rs"]
mod fetching;
#[path = "clients/modern.rs"]
mod modern;
#[path = "clients/mutt.rs"]
mod mutt;
#[path = "clients/python.rs"]
mod python;
#[path = "clients/sending.rs"]
mod sending;
#[path = "clients/sharing.rs"]
mod sharing;
mod support;
#[path = "clients/syncing.rs"]
mod syncing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{User, wait_for};

/// Run a program to its end; what it said, both outputs together.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// Run a program that must succeed; what it said.
fn must(command: &mut Command) -> String {
    let (code, said) = run(command);
    assert_eq!(code, Some(0), "{command:?} said:\n{said}");
    said
}

/// A file with settings for a program, for nobody else to read: msmtp and fetchmail insist.
fn settings(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    fs::write(&path, text).expect("settings");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    path
}

/// Message files of a Maildir's INBOX, new/ and cur/, by name.
fn files(maildir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["new", "cur"]
        .iter()
        .flat_map(|sub| fs::read_dir(maildir.join(sub)).unwrap_or_else(|e| panic!("{}: {e}", maildir.display())))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    all.sort();
    all
}

/// The one message in a user's INBOX that has `subject`, as it is on disk.
fn message_about(user: &User, subject: &str) -> String {
    let line = format!("Subject: {subject}\n");
    let found = wait_for(&format!("a message about {subject}"), || {
        let texts: Vec<String> = files(&user.maildir)
            .iter()
            .filter_map(|path| fs::read(path).ok())
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .collect();
        let mut found: Vec<String> = texts.into_iter().filter(|text| text.contains(&line)).collect();
        assert!(found.len() <= 1, "{subject} was delivered {} times", found.len());
        found.pop()
    });
    assert!(found.starts_with("Return-Path: <"), "{found}");
    found
}
