//! Programs that read and fetch: curl, fetchmail, getmail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::support::{Demo, User, program};
use super::{files, must, settings};

/// Messages that a demo begins with.
const MESSAGES: usize = 30;

fn curl(demo: &Demo, user: &User, url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--cacert"]).arg(demo.ca());
    command.args(["--user", &format!("{}:{}", user.login, user.password), url]);
    must(&mut command)
}

/// Every message as the server must send it: CRLF line ends. Read before the server moves files to cur/.
fn on_the_wire(user: &User) -> Vec<String> {
    let text = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).expect("a message")).replace('\n', "\r\n");
    files(&user.maildir).iter().map(text).collect()
}

#[test]
fn curl_reads_by_pop3s() {
    let Some(_) = program("curl") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let messages = on_the_wire(&alice);
    let url = format!("pop3s://localhost:{}/", demo.port("pop3s"));
    let list = curl(&demo, &alice, &url);
    assert_eq!(list.lines().count(), MESSAGES, "{list}");
    for (number, size) in list.lines().map(|line| line.split_once(' ').expect("number and size")) {
        if number.parse::<usize>().expect("a number") % 7 != 1 {
            continue;
        }
        let text = curl(&demo, &alice, &format!("{url}{number}"));
        assert!(messages.contains(&text), "message {number} as it is on disk:\n{text}");
        let bytes = size.trim().parse::<usize>().expect("a size");
        assert!(bytes >= text.chars().count(), "the size of message {number} in octets");
    }
}

#[test]
fn curl_reads_by_imaps() {
    let Some(_) = program("curl") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let messages = on_the_wire(&alice);
    let url = format!("imaps://localhost:{}/", demo.port("imaps"));
    let folders = curl(&demo, &alice, &url);
    for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
        assert!(folders.contains(name), "{folders}");
    }
    let found = curl(&demo, &alice, &format!("{url}INBOX?ALL"));
    assert_eq!(found.split_whitespace().count(), MESSAGES + 2, "{found}");
    for uid in [1, 17, 30] {
        let text = curl(&demo, &alice, &format!("{url}INBOX/;UID={uid}"));
        assert!(messages.contains(&text), "UID {uid} as it is on disk:\n{text}");
    }
}

#[test]
fn fetchmail_by_pop3_and_imap() {
    let Some(_) = program("fetchmail") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    for (protocol, service) in [("POP3", "pop3s"), ("IMAP", "imaps")] {
        let out = dir.path().join(protocol);
        let rc = settings(
            dir.path(),
            "fetchmailrc",
            &format!(
                "set no bouncemail\npoll localhost with protocol {protocol} port {}\n  user \"{}\" password \"{}\" is root here\n  \
                 ssl sslcertck sslcertfile \"{}\" fetchall keep\n  mda \"cat >> {}; echo END-OF-ONE >> {}\"\n",
                demo.port(service),
                alice.login,
                alice.password,
                demo.ca().display(),
                out.display(),
                out.display(),
            ),
        );
        let mut command = Command::new("fetchmail");
        command.env("FETCHMAILHOME", dir.path()).env("HOME", dir.path());
        let said = must(command.args(["--nodetach", "--nosyslog", "-v", "-f"]).arg(&rc));
        let fetched = String::from_utf8_lossy(&fs::read(&out).expect("fetched mail")).into_owned();
        assert_eq!(fetched.matches("END-OF-ONE\n").count(), MESSAGES, "{said}");
        for subject in ["Testing verification of Google DKIM-Signature", "Is dinner ready?"] {
            assert_eq!(fetched.matches(&format!("\nSubject: {subject}")).count(), 1, "{subject}");
        }
        assert_eq!(files(&alice.maildir).len(), MESSAGES, "fetchmail was told to keep");
    }
}

#[test]
fn getmail_by_pop3_and_imap() {
    let Some(_) = program("getmail") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let retrievers = [("SimplePOP3SSLRetriever", "pop3s"), ("SimpleIMAPSSLRetriever", "imaps")];
    for (there, (retriever, service)) in (MESSAGES..).zip(retrievers) {
        let maildir = dir.path().join(service);
        for sub in ["tmp", "new", "cur"] {
            fs::create_dir_all(maildir.join(sub)).expect("a Maildir");
        }
        let rc = settings(
            dir.path(),
            "getmailrc",
            &format!(
                "[retriever]\ntype = {retriever}\nserver = localhost\nport = {}\nusername = {}\npassword = {}\nca_certs = {}\n\
                 [destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = true\n\
                 arguments = ('-c', 'cat > `mktemp {}/new/XXXXXXXX`')\n\
                 [options]\nread_all = false\ndelete = false\nmessage_log_verbose = true\n",
                demo.port(service),
                alice.login,
                alice.password,
                demo.ca().display(),
                maildir.display(),
            ),
        );
        let mut command = Command::new("getmail");
        command.arg(format!("--getmaildir={}", dir.path().display())).arg(format!("--rcfile={}", rc.display()));
        let first = must(&mut command);
        assert_eq!(files(&maildir).len(), there, "{first}");
        // What it has seen it knows by UIDL or UID: those must be the same in the next session.
        let second = must(&mut command);
        assert_eq!(files(&maildir).len(), there, "{second}");
        demo.send(&["alice"], &format!("Subject: one more by {service}\n\nx\n"));
        must(&mut command);
        assert_eq!(files(&maildir).len(), there + 1);
    }
}
