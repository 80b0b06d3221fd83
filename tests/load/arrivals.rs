//! Mail that other programs put into `new/` in front of waiting clients.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{done, idle, told};
use super::support::{Client, Demo};

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
    let demo = Demo::with(&["--users", "1"]);
    let maildir = demo.user("user1").maildir;
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| demo.imap("user1")).collect();
    for client in &mut clients {
        assert_eq!(idle(client), 0);
    }
    for n in 0..MESSAGES {
        drop_mail(&maildir, &format!("1700000000.M{n}P1.load.test"));
    }
    let mut first: Option<Vec<u32>> = None;
    for (number, client) in clients.iter_mut().enumerate() {
        told(client, MESSAGES);
        done(client);
        let uids = uids(&client.imap("UID SEARCH ALL"));
        assert_eq!(uids.len(), MESSAGES, "client {number}");
        assert!(uids.is_sorted_by(|a, b| a < b), "client {number}");
        let first = first.get_or_insert_with(|| uids.clone());
        assert!(*first == uids, "client {number} has other UIDs");
    }
    // And so has one that comes afterwards.
    let mut late = demo.imap("user1");
    late.imap("SELECT INBOX");
    assert_eq!(Some(uids(&late.imap("UID SEARCH ALL"))), first);
}

fn uids(lines: &[String]) -> Vec<u32> {
    let found = lines.iter().find_map(|l| l.strip_prefix("* SEARCH")).expect("SEARCH");
    found.split_ascii_whitespace().map(|n| n.parse().expect("a UID")).collect()
}

#[test]
fn a_second_mail_is_told_whatever_its_distance_from_the_first() {
    let demo = Demo::with(&["--users", &DISTANCES_MS.len().to_string()]);
    std::thread::scope(|scope| {
        for (index, distance) in DISTANCES_MS.into_iter().enumerate() {
            let demo = &demo;
            scope.spawn(move || {
                let name = format!("user{}", 1 + index);
                let maildir = demo.user(&name).maildir;
                let mut client = demo.imap(&name);
                assert_eq!(idle(&mut client), 0);
                drop_mail(&maildir, "1700000000.M1P1.load.test");
                std::thread::sleep(Duration::from_millis(distance));
                let there = drop_mail(&maildir, "1700000000.M2P1.load.test");
                let delay = told(&mut client, 2).saturating_duration_since(there);
                assert!(delay < TOLD_WITHIN, "second mail after {distance} ms: told after {delay:?}");
            });
        }
    });
}
