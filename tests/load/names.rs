//! Mailbox names that try to leave the Maildir, or to be something that no file can be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::{Client, Demo};

/// As sent, with IMAP quoting where a name needs it.
fn names() -> Vec<(&'static str, Vec<u8>)> {
    let mut names: Vec<(&str, Vec<u8>)> = [
        ("parent", "\"../x\""),
        ("parent of a child", "\"a/../../b\""),
        ("parent at the end", "\"a/..\""),
        ("dot", "\".\""),
        ("dots", "\"..\""),
        ("dot inside", "\"a/./b\""),
        ("root", "\"/etc/mailcote\""),
        ("slash at the end", "\"a/\""),
        ("two slashes", "\"a//b\""),
        ("Maildir++ dots", "\"..a\""),
        ("Maildir++ parent", "\"x/.../y\""),
        ("home", "\"~root/x\""),
        ("ASCII in modified UTF-7", "\"&AC4ALgAv-x\""),
        ("NUL in modified UTF-7", "\"a&AAA-b\""),
        ("broken modified UTF-7", "\"a&b\""),
        ("line end in modified UTF-7", "\"a&AAoADQ-b\""),
        ("our own files", "\"dovecot-uidlist\""),
        ("message directories", "\"cur\""),
        ("empty", "\"\""),
    ]
    .map(|(what, name)| (what, name.as_bytes().to_vec()))
    .into();
    names.push(("NUL", b"{3+}\r\na\0b".to_vec()));
    names.push(("line end", b"{4+}\r\na\r\nb".to_vec()));
    names.push(("control", b"{3+}\r\na\x01b".to_vec()));
    names.push(("not UTF-8", b"{3+}\r\na\xffb".to_vec()));
    names.push(("long part", format!("\"{}\"", "p".repeat(300)).into_bytes()));
    names.push(("long name", format!("\"{}\"", ["part"; 2000].join("/")).into_bytes()));
    names.push(("deep name", format!("\"{}\"", ["a"; 500].join("/")).into_bytes()));
    names
}

/// Every path below `root`, except what is below `inside`.
fn outside(root: &Path, inside: &Path) -> BTreeSet<PathBuf> {
    let entries = walkdir::WalkDir::new(root).into_iter().filter_entry(|e| e.path() != inside);
    entries.filter_map(|e| Some(e.ok()?.into_path())).collect()
}

#[test]
fn no_name_leads_out_of_the_maildir() {
    let demo = Demo::with(&["--users", "1"]);
    let user = demo.user("user1");
    let mut client = demo.imap("user1");
    // The Maildir is there once somebody has logged in; from now on, nothing outside it may change.
    client.imap("SELECT INBOX");
    let config = demo.config();
    let root = config.parent().expect("its directory");
    let before = outside(root, &user.maildir);
    assert!(before.len() > 5, "{before:?}");
    for (what, name) in names() {
        for command in [
            &b"CREATE %"[..],
            b"RENAME INBOX %",
            b"SELECT %",
            b"STATUS % (MESSAGES)",
            b"APPEND % {5+}\r\nhello",
            b"SUBSCRIBE %",
            b"LIST % *",
            b"DELETE %",
        ] {
            let at = command.iter().position(|&b| b == b'%').expect("a place for the name");
            answered(&mut client, &[&command[..at], &name, &command[at + 1..]].concat());
            let after = outside(root, &user.maildir);
            assert_eq!(before, after, "{what}: {}", String::from_utf8_lossy(command));
        }
    }
    let answer = answered(&mut client, b"CREATE \"../x\"");
    assert!(answer.starts_with("n NO") || answer.starts_with("n BAD"), "{answer}");
    for entry in walkdir::WalkDir::new(&user.maildir).min_depth(1).max_depth(1) {
        let entry = entry.expect("a readable Maildir");
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("..") && name.len() < 256, "{name}");
    }
    // And the connection, the account and the others are as well as before.
    client.imap("NOOP");
    client.imap("CREATE good");
    demo.imap("alice").imap("SELECT INBOX");
}

/// Send a command of any bytes; its tagged answer, whatever it is.
fn answered(client: &mut Client, command: &[u8]) -> String {
    client.raw(&[b"n ", command, b"\r\n"].concat());
    loop {
        let line = client.line();
        if line.starts_with("n ") {
            return line;
        }
    }
}
