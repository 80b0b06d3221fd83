//! mutt and neomutt, on the Maildir itself and over IMAP, at a terminal of their own (`script`), their keys pushed by their own command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Demo, program};
use super::{files, settings};

/// What a person would type: copy everything into an mbox, flag the third message, save flags, leave.
fn keys(mbox: &Path) -> String {
    format!(
        "<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{}<enter>\
         <untag-pattern>~A<enter>3<enter><flag-message><sync-mailbox><quit>",
        mbox.display()
    )
}

fn mutt(dir: &Path, name: &str, folder: &str, more: &str) -> String {
    at_terminal("mutt", dir, name, folder, more)
}

/// What the user of `program` copied out of `folder`.
fn at_terminal(program: &str, dir: &Path, name: &str, folder: &str, more: &str) -> String {
    let mbox = dir.join(format!("{name}.mbox"));
    // Without a folder that exists mutt begins with a question, which takes the first of the keys.
    let rc = settings(
        dir,
        &format!("{name}.rc"),
        &format!(
            "set folder={dir}\nset mbox_type=mbox\nset confirmcreate=no\nset confirmappend=no\nset copy=no\nset quit=yes\nset wait_key=no\nset sort=mailbox-order\n\
             set certificate_file={dir}/certificates\nset sleep_time=0\n{more}\npush '{keys}'\n",
            dir = dir.display(),
            keys = keys(&mbox),
        ),
    );
    let command = format!("{program} -n -F {} -f '{folder}'", rc.display());
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "vt100").env("HOME", dir);
    // An open standard input: at its end `script` would type Ctrl-D.
    let mut running = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
    let keyboard = running.stdin.take();
    let output = running.wait_with_output().expect("mutt ends");
    drop(keyboard);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&fs::read(&mbox).expect("what mutt copied")).into_owned()
}

fn count(mbox: &str) -> usize {
    mbox.lines().filter(|line| line.starts_with("Message-I")).count()
}

#[test]
fn mutt_on_the_maildir() {
    let (Some(_), Some(_)) = (program("mutt"), program("script")) else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let mut imap = demo.imap("alice");
    imap.imap("select INBOX");
    let copied = mutt(dir.path(), "maildir", &alice.maildir.display().to_string(), "");
    assert_eq!(copied.matches("\nDelivered-To: alice@demo.test\n").count(), 30, "{} bytes", copied.len());
    assert!(count(&copied) > 20);
    let flagged = files(&alice.maildir).iter().filter(|path| path.display().to_string().contains(":2,F")).count();
    assert_eq!(flagged, 1);
    // The session that was open sees what mutt did.
    let told = imap.imap("noop").join("\n");
    assert!(told.contains("\\Flagged"), "{told}");
    let found = imap.imap("search flagged");
    assert_eq!(found[0].split(' ').count(), 3, "{found:?}");
}

#[test]
fn mutt_over_imap() {
    let (Some(_), Some(_)) = (program("mutt"), program("script")) else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let more = format!(
        "set ssl_ca_certificates_file={}\nset imap_user={}\nset imap_pass={}\nset ssl_verify_host=yes",
        demo.ca().display(),
        alice.login,
        alice.password
    );
    let copied = mutt(dir.path(), "imap", &format!("imaps://localhost:{}/INBOX", demo.port("imaps")), &more);
    assert_eq!(copied.matches("\nDelivered-To: alice@demo.test\n").count(), 30, "{} bytes", copied.len());
    let mut imap = demo.imap("alice");
    imap.imap("select INBOX");
    let found = imap.imap("search flagged");
    assert_eq!(found[0], "* SEARCH 3");
}

#[test]
fn neomutt_with_qresync_and_a_header_cache() {
    let (Some(_), Some(_)) = (program("neomutt"), program("script")) else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("headers");
    fs::create_dir(&spool).expect("a directory");
    let log = dir.path().join("neomutt.log");
    let more = format!(
        "set ssl_ca_certificates_file={ca}\nset imap_user={}\nset imap_pass={}\nset ssl_verify_host=yes\n\
         set imap_condstore=yes\nset imap_qresync=yes\nset header_cache={}\nset debug_file={}\nset debug_level=2",
        alice.login,
        alice.password,
        spool.display(),
        log.display(),
        ca = demo.ca().display(),
    );
    let folder = format!("imaps://localhost:{}/INBOX", demo.port("imaps"));
    let first = at_terminal("neomutt", dir.path(), "first", &folder, &more);
    assert_eq!(first.matches("\nDelivered-To: alice@demo.test\n").count(), 30, "{} bytes", first.len());

    // While neomutt is away: one expunged, one more flagged, one arrived.
    let mut imap = demo.imap("alice");
    imap.imap("select INBOX");
    imap.imap("store 10,20 +flags (\\Answered)");
    imap.imap("store 5 +flags (\\Deleted)");
    imap.imap("expunge");
    demo.send(&["alice"], "From: x@example.org\nSubject: meanwhile\nMessage-ID: <meanwhile@example.org>\n\nx\n");
    fs::write(&log, "").expect("the log begins anew");
    let second = at_terminal("neomutt", dir.path(), "second", &folder, &more);
    assert_eq!(second.matches("\nDelivered-To: alice@demo.test\n").count(), 30, "{} bytes", second.len());
    assert_eq!(second.matches("<meanwhile@example.org>").count(), 1);
    let said = all_logs(dir.path());
    let asked = said.lines().any(|line| line.contains("(CHANGEDSINCE ") && line.contains(" VANISHED)"));
    assert!(asked, "it did not ask for changes alone:\n{said}");
    // The same key on the same message takes the flag away.
    assert_eq!(imap.imap("search flagged")[0], "* SEARCH");
}

/// neomutt numbers its logs.
fn all_logs(dir: &Path) -> String {
    let entries = fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry").path());
    let logs = entries.filter(|path| path.display().to_string().contains("neomutt.log"));
    logs.map(|path| String::from_utf8_lossy(&fs::read(path).expect("a log")).into_owned()).collect()
}
