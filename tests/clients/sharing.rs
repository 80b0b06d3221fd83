//! Programs that work in the Maildir itself while a client waits in IDLE: procmail and mv.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::settings;
use super::support::{Client, Demo, program, wait_for};

/// An IMAP session of alice's in IDLE on INBOX.
fn idling(demo: &Demo) -> Client {
    let mut imap = demo.imap("alice");
    let selected = imap.imap("select INBOX");
    assert!(selected.contains(&"* 30 EXISTS".to_owned()), "{selected:?}");
    imap.send("i idle");
    assert!(imap.line().starts_with("+ "));
    imap
}

/// The next line that tells a count of messages.
fn exists(imap: &mut Client) -> String {
    wait_for("EXISTS", || Some(imap.line()).filter(|line| line.ends_with("EXISTS")))
}

#[test]
fn procmail_delivers_while_a_client_waits() {
    let Some(_) = program("procmail") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let rc = settings(
        dir.path(),
        "procmailrc",
        &format!("DEFAULT={}/\nLOGFILE={}/log\n", alice.maildir.display(), dir.path().display()),
    );
    let mut imap = idling(&demo);
    for n in 31..=33 {
        let mut procmail = Command::new("procmail").arg("-m").arg(&rc).stdin(Stdio::piped()).spawn().expect("procmail");
        let message = format!(
            "From x@example.org Sat Nov 21 00:00:00 2026\nFrom: x@example.org\nSubject: by procmail {n}\n\nhello\n"
        );
        procmail.stdin.take().expect("stdin").write_all(message.as_bytes()).expect("a message");
        assert!(procmail.wait().expect("procmail ends").success());
        assert_eq!(exists(&mut imap), format!("* {n} EXISTS"));
    }
}

#[test]
fn mv_and_rm_are_told_at_once() {
    let demo = Demo::start();
    let alice = demo.user("alice");
    let mut imap = idling(&demo);
    fs::write(alice.maildir.join("tmp/1.mv.test"), "Subject: by mv\n\nx\n").expect("a file");
    let status = Command::new("mv").arg(alice.maildir.join("tmp/1.mv.test")).arg(alice.maildir.join("new")).status();
    assert!(status.expect("mv").success());
    assert_eq!(exists(&mut imap), "* 31 EXISTS");
    // The server may have moved it to cur/ meanwhile, or not.
    let file = wait_for("the file", || {
        super::files(&alice.maildir).into_iter().find(|p| p.display().to_string().contains("1.mv.test"))
    });
    let flagged = alice.maildir.join("cur/1.mv.test:2,F");
    let status = Command::new("mv").arg(&file).arg(&flagged).status();
    assert!(status.expect("mv").success());
    wait_for("the flag", || {
        Some(imap.line()).filter(|line| line.starts_with("* 31 FETCH") && line.contains("\\Flagged"))
    });
    let status = Command::new("rm").arg(&flagged).status();
    assert!(status.expect("rm").success());
    wait_for("the expunge", || Some(imap.line()).filter(|line| line == "* 31 EXPUNGE"));
}
