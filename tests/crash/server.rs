//! The real server, killed in the middle of a thousand deliveries.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Demo, PATIENCE};

/// Messages that would be sent if nobody pulled the plug.
const MESSAGES: u32 = 1000;
/// Connections that send.
const CONNECTIONS: u32 = 8;
/// Acknowledged messages after which the server is killed.
const KILL_AFTER: u32 = 300;

#[test]
fn a_killed_server_keeps_every_message_that_got_250() {
    let mut demo = Demo::start();
    let (port, alice) = (demo.port("smtp"), demo.user("alice"));
    let (next, acknowledged) = (AtomicU32::new(0), AtomicU32::new(0));
    let said = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| send_until_cut(port, &alice.login, &next, &acknowledged)))
            .collect();
        while acknowledged.load(Ordering::Relaxed) < KILL_AFTER {
            std::thread::sleep(Duration::from_millis(1));
        }
        demo.kill();
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect::<Vec<u32>>()
    });
    assert!(said.len() >= KILL_AFTER as usize && said.len() < MESSAGES as usize, "{} were acknowledged", said.len());
    let on_disk = whole_messages(&alice.maildir);
    demo.restart();
    let mut imap = demo.imap("alice");
    let selected = imap.imap("select INBOX").join("\n");
    for number in &said {
        assert_eq!(on_disk.get(number), Some(&1), "message {number} got 250");
    }
    assert!(on_disk.values().all(|count| *count == 1), "a message is there twice");
    let all = fs::read_dir(alice.maildir.join("new")).expect("new").count();
    let all = all + fs::read_dir(alice.maildir.join("cur")).expect("cur").count();
    assert!(selected.contains(&format!("* {all} EXISTS")), "{all} files, but {selected}");
}

/// The numbers that got 250.
fn send_until_cut(port: u16, to: &str, next: &AtomicU32, acknowledged: &AtomicU32) -> Vec<u32> {
    let mut said = Vec::new();
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return said };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut input = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut output = stream;
    let mut talk = |send: &str, code: &str| -> Option<()> {
        output.write_all(send.as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return line.starts_with(code).then_some(());
            }
        }
    };
    let mut dialogue = || -> Option<()> {
        talk("", "220")?;
        talk("EHLO crash.test\r\n", "250")?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= MESSAGES {
                return Some(());
            }
            talk("MAIL FROM:<sender@example.org>\r\n", "250")?;
            talk(&format!("RCPT TO:<{to}>\r\n"), "250")?;
            talk("DATA\r\n", "354")?;
            talk(&format!("Subject: {number}\r\n\r\n{}end of {number}\r\n.\r\n", "line\r\n".repeat(400)), "250")?;
            said.push(number);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    };
    // `None` is the cut.
    let _ = dialogue();
    said
}

/// How often each message is in new/ or cur/; every file there must be whole.
fn whole_messages(maildir: &Path) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    for sub in ["new", "cur"] {
        for entry in fs::read_dir(maildir.join(sub)).expect("a directory") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("text");
            // The messages that the demo sends itself have other subjects.
            let Some(number) = text.lines().find_map(|line| line.strip_prefix("Subject: ")?.parse::<u32>().ok()) else {
                continue;
            };
            assert!(text.ends_with(&format!("end of {number}\n")), "{} is not whole", path.display());
            *found.entry(number).or_insert(0) += 1;
        }
    }
    found
}
