//! SEARCH, SORT and THREAD of real messages beside an installed Dovecot 2.3: the same answers, but for [`DIFFERENCES`], each of which says why.
//!
//! Needs `dovecot`. A difference that is gone fails the test as well as a new one.

#[allow(dead_code, reason = "each test file uses the part that it needs")]
#[path = "support/dovecot.rs"]
mod dovecot;
#[allow(dead_code, reason = "each test file uses the part that it needs")]
#[path = "corpus/messages.rs"]
mod messages;
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use support::{Client, Demo};

/// Commands that Dovecot answers otherwise, and why.
const DIFFERENCES: [(&str, &str); 6] = [
    ("search body test", NESTED),
    ("search body from", NESTED),
    ("search body e", NESTED),
    ("search body attachment", NESTED),
    ("search body message", NESTED),
    (
        "search sentbefore 1-Jan-2008",
        "a message without a Date, or with one that names no day, was sent on no day and before none; Dovecot takes 1970 for it",
    ),
];

const NESTED: &str = "the header of a message inside the message is what the body of the outer one holds (RFC 2046 5.2.1), and a \
     reader sees it there; RFC 9051 6.4.4 keeps BODY from the message's own and MIME header fields. Dovecot looks into no header";

const COMMANDS: &[&str] = &[
    "sort (subject) utf-8 all",
    "sort (reverse subject) utf-8 all",
    "sort (from) utf-8 all",
    "sort (reverse from) utf-8 all",
    "sort (to) utf-8 all",
    "sort (reverse to) utf-8 all",
    "sort (cc) utf-8 all",
    "sort (reverse cc) utf-8 all",
    "sort (displayfrom) utf-8 all",
    "sort (reverse displayfrom) utf-8 all",
    "sort (displayto) utf-8 all",
    "sort (reverse displayto) utf-8 all",
    "sort (date) utf-8 all",
    "sort (reverse date) utf-8 all",
    "sort (arrival) utf-8 all",
    "sort (reverse arrival) utf-8 all",
    "sort (size) utf-8 all",
    "sort (reverse size) utf-8 all",
    "sort (subject date) utf-8 all",
    "sort (from reverse date) utf-8 all",
    "thread references utf-8 all",
    "thread references utf-8 20:60",
    "thread refs utf-8 all",
    "thread refs utf-8 20:60",
    "thread orderedsubject utf-8 all",
    "thread orderedsubject utf-8 20:60",
    "search subject re",
    "search subject mail",
    "search from example",
    "search to list",
    "search cc a",
    "search bcc \"\"",
    "search body the",
    "search body test",
    "search body http",
    "search text content",
    "search text the",
    "search text multipart",
    "search text received",
    "search body from",
    "search body e",
    "search text utf",
    "search body zzzz",
    "search text zzzz",
    "search header message-id \"\"",
    "search header received from",
    "search header x-mailer \"\"",
    "search header list-id \"\"",
    "search sentsince 1-Jan-2008",
    "search sentbefore 1-Jan-2008",
    "search senton 1-Jan-2008",
    "search since 20-Sep-2020",
    "search before 14-Sep-2020",
    "search on 14-Sep-2020",
    "search larger 3000",
    "search smaller 1000",
    "search or body the subject re",
    "search not text a",
    "search body delivery",
    "search text boundary",
    "search body attachment",
    "search charset utf-8 text \"é\"",
    "search charset utf-8 body \"が\"",
    "search charset utf-8 text \"の\"",
    "search charset utf-8 subject \"の\"",
    "search body \"final-recipient\"",
    "search text picard",
    "search body message",
    "search text image",
    "search body gif",
];

fn fill(maildir: &Path, messages: &[(String, Vec<u8>)], owner: Option<u32>) {
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(maildir.join(folder)).expect("a Maildir");
    }
    for (n, (_, text)) in messages.iter().enumerate() {
        // Arrived one after the other, an hour between them.
        let seconds = 1_600_000_000 + 3600 * n as u64;
        let path = maildir.join(format!("cur/{seconds}.M{n:06}P1.corpus:2,"));
        fs::write(&path, text).expect("a message");
        File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)))
            .expect("its time");
    }
    let Some(owner) = owner else { return };
    for entry in walkdir::WalkDir::new(maildir.parent().expect("a home")) {
        std::os::unix::fs::chown(entry.expect("a file").path(), Some(owner), Some(owner)).expect("chown");
    }
}

/// The untagged answer.
fn ask(client: &mut Client, command: &str) -> String {
    let lines = client.imap(command);
    let answer =
        lines.iter().find(|line| ["* SEARCH", "* SORT", "* THREAD"].iter().any(|start| line.starts_with(start)));
    answer.expect("an answer").trim_end().to_owned()
}

#[test]
fn answers_are_dovecots() {
    if support::program("dovecot").is_none() {
        return;
    }
    let messages = messages::all();
    let root = tempfile::tempdir().expect("a directory");
    let dovecot = dovecot::Dovecot::start(root.path(), "");
    fill(&dovecot.maildir("corpus"), &messages, nix::unistd::geteuid().is_root().then_some(dovecot::NOBODY));
    let mut theirs = Client::to(dovecot.imap);
    theirs.line();
    theirs.imap(&format!("login corpus {}", dovecot::PASSWORD));
    let demo = Demo::with(&["--users", "1"]);
    fill(&demo.user("user1").maildir, &messages, None);
    let mut ours = demo.imap("user1");
    for client in [&mut ours, &mut theirs] {
        let lines = client.imap("select INBOX");
        assert!(lines.iter().any(|line| line.trim_end() == format!("* {} EXISTS", messages.len())));
    }
    let sizes = ["(size)", "(arrival)"];
    let numbering = |client: &mut Client| sizes.map(|key| ask(client, &format!("sort {key} utf-8 all")));
    assert_eq!(numbering(&mut ours), numbering(&mut theirs), "the messages have the same numbers");
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let (our, their) = (ask(&mut ours, command), ask(&mut theirs, command));
        let known = DIFFERENCES.iter().find(|difference| difference.0 == *command);
        match known {
            None if our == their => {}
            None => wrong.push(format!("{command}\n  {our}\n  {their}")),
            Some((_, why)) if our == their => wrong.push(format!("{command}: no difference any more ({why})")),
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{} commands:\n{}", wrong.len(), wrong.join("\n"));
}
