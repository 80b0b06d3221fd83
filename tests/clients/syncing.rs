//! mbsync, in both directions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{Client, Demo, program};
use super::{files, must, settings};

/// Everything below a directory but mbsync's own state: path and content.
fn snapshot(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry"));
    entries
        .filter(|entry| entry.file_type().is_file() && !entry.file_name().to_string_lossy().starts_with(".mbsync"))
        .filter(|entry| entry.file_name() != ".uidvalidity")
        .map(|entry| (entry.path().display().to_string(), fs::read(entry.path()).expect("a file")))
        .collect()
}

/// UIDs and flags of a folder, as the server tells them.
fn server_side(imap: &mut Client, folder: &str) -> Vec<String> {
    imap.imap(&format!("select {folder}"));
    let mut lines = imap.imap("uid fetch 1:* (flags)");
    lines.pop();
    imap.imap("unselect");
    // \Recent is a session's own.
    lines.iter().map(|line| line.replace("\\Recent", "").replace("( ", "(").replace(" )", ")")).collect()
}

#[test]
fn mbsync_both_ways_and_then_nothing() {
    let Some(_) = program("mbsync") else { return };
    let demo = Demo::start();
    let alice = demo.user("alice");
    let dir = tempfile::tempdir().expect("a directory");
    let local = dir.path().join("mail");
    fs::create_dir(&local).expect("a directory");
    let rc = settings(
        dir.path(),
        "mbsyncrc",
        &format!(
            "IMAPStore far\nHost localhost\nPort {}\nUser {}\nPass {}\nSSLType IMAPS\nCertificateFile {}\n\n\
             MaildirStore near\nPath {local}/\nInbox {local}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            demo.port("imaps"),
            alice.login,
            alice.password,
            demo.ca().display(),
            local = local.display(),
        ),
    );
    let sync = || must(Command::new("mbsync").env("HOME", dir.path()).arg("-V").arg("-c").arg(&rc).arg("all"));
    let said = sync();
    let inbox = local.join("INBOX");
    assert_eq!(files(&inbox).len(), 30, "{said}");

    let mut imap = demo.imap("alice");
    let unchanged = |imap: &mut Client| {
        let before = (snapshot(&local), server_side(imap, "INBOX"), server_side(imap, "Sent"));
        let said = sync();
        assert_eq!((snapshot(&local), server_side(imap, "INBOX"), server_side(imap, "Sent")), before, "{said}");
    };
    unchanged(&mut imap);

    // Here: one read and flagged, one removed, one new in Sent. There: one deleted.
    let here = files(&inbox);
    let name = |at: usize| here[at].file_name().expect("a name").to_string_lossy().into_owned();
    let base = name(0).split(":2,").next().expect("a base").to_owned();
    fs::rename(&here[0], inbox.join("cur").join(format!("{base}:2,FS"))).expect("flags");
    fs::remove_file(&here[1]).expect("removed");
    fs::write(local.join("Sent/new/1.mbsync-test.here"), "From: a@demo.test\nSubject: from here\n\nx\n").expect("new");
    imap.imap("select INBOX");
    imap.imap("store 30 +flags (\\Deleted)");
    imap.imap("expunge");
    imap.imap("unselect");
    let said = sync();
    let there = server_side(&mut imap, "INBOX");
    assert_eq!(there.len(), 28, "{said}\n{there:?}");
    assert_eq!(
        there.iter().filter(|line| line.contains("\\Flagged") && line.contains("\\Seen")).count(),
        1,
        "{there:?}"
    );
    assert_eq!(server_side(&mut imap, "Sent").len(), 1);
    assert_eq!(files(&inbox).len(), 28);
    unchanged(&mut imap);

    // A folder made there appears here, with its message.
    imap.imap("create Lists/rust");
    imap.imap("select INBOX");
    imap.imap("copy 1 Lists/rust");
    imap.imap("unselect");
    let said = sync();
    assert_eq!(files(&local.join("Lists/rust")).len(), 1, "{said}");
    unchanged(&mut imap);
}
