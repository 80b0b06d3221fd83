//! Mail that other programs put into `new/` in front of waiting clients.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::Client;
use super::demo::Demo;

/// How many messages, how many clients (the promise of the issue tracker's "done when").
const MESSAGES: usize = 10_000;
const CLIENTS: usize = 10;

/// Between the first and the second mail. Other servers lose the second at some of them.
const DISTANCES_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// Within this a waiting client must have been told; what is usual, the benchmark measures.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// As another program delivers: written in `tmp/`, renamed into `new/`. Returns when it was there.
pub fn drop_mail(maildir: &Path, name: &str) -> Instant {
    let tmp = maildir.join("tmp").join(name);
    fs::write(&tmp, format!("From: a@b.test\nSubject: {name}\n\nbody\n")).expect("write");
    fs::rename(&tmp, maildir.join("new").join(name)).expect("rename");
    Instant::now()
}

#[test]
fn ten_thousand_arrivals_give_every_waiting_client_the_same_uids() {
    let demo = Demo::start(&["--users", "1"]);
    let user = demo.user(2);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::imap(&demo, &user)).collect();
    for client in &mut clients {
        assert_eq!(client.idle(), 0);
    }
    for n in 0..MESSAGES {
        drop_mail(&user.maildir, &format!("1700000000.M{n}P1.load.test"));
    }
    let mut first: Option<Vec<u32>> = None;
    for (number, client) in clients.iter_mut().enumerate() {
        client.told(MESSAGES);
        client.send("DONE\r\n");
        client.until("t OK");
        let uids = uids(&client.command("UID SEARCH ALL"));
        assert_eq!(uids.len(), MESSAGES, "client {number}");
        assert!(uids.is_sorted_by(|a, b| a < b), "client {number}");
        let first = first.get_or_insert_with(|| uids.clone());
        assert!(*first == uids, "client {number} has other UIDs");
    }
    // And so has one that comes afterwards.
    let mut late = Client::imap(&demo, &user);
    late.command("SELECT INBOX");
    assert_eq!(Some(uids(&late.command("UID SEARCH ALL"))), first);
}

fn uids(lines: &[String]) -> Vec<u32> {
    let found = lines.iter().find_map(|l| l.strip_prefix("* SEARCH")).expect("SEARCH");
    found.split_ascii_whitespace().map(|n| n.parse().expect("a UID")).collect()
}

#[test]
fn a_second_mail_is_told_whatever_its_distance_from_the_first() {
    let demo = Demo::start(&["--users", &DISTANCES_MS.len().to_string()]);
    std::thread::scope(|scope| {
        for (index, distance) in DISTANCES_MS.into_iter().enumerate() {
            let demo = &demo;
            scope.spawn(move || {
                let user = demo.user(2 + index);
                let mut client = Client::imap(demo, &user);
                assert_eq!(client.idle(), 0);
                drop_mail(&user.maildir, "1700000000.M1P1.load.test");
                std::thread::sleep(Duration::from_millis(distance));
                let there = drop_mail(&user.maildir, "1700000000.M2P1.load.test");
                let told = client.told(2);
                let delay = told.saturating_duration_since(there);
                assert!(delay < TOLD_WITHIN, "second mail after {distance} ms: told after {delay:?}");
            });
        }
    });
}
