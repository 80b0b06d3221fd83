//! How long a client in IDLE waits to be told of mail that another program renames into `new/`.

use std::fs;
use std::time::{Duration, Instant};

use super::load::Client;
use super::servers::{Mailbox, Server, Servers};

/// Messages for us, and for a peer that takes half a second each.
const MESSAGES: usize = 1_000;
const PEER_MESSAGES: usize = 40;

/// Between two messages: long enough that the server has gone to sleep.
const BETWEEN: Duration = Duration::from_millis(10);

/// Print the table.
pub fn compare(servers: &mut Servers) {
    println!("\n| from rename into `new/` to EXISTS | messages | median ms | 99th percentile ms | worst ms |");
    println!("|---|---|---|---|---|");
    for (who, count) in [(Server::Mailcote, MESSAGES), (Server::Dovecot, PEER_MESSAGES)] {
        if !servers.has(who) {
            println!("| {who:?} is not installed | | | | |");
            continue;
        }
        let mailbox = servers.fresh_user(who);
        let mut delays = delays(servers.imap_port(who), &mailbox, count);
        servers.empty(&mailbox);
        delays.sort();
        let ms = |share: usize| delays[(delays.len() - 1) * share / 100].as_secs_f64() * 1000.0;
        println!("| {who:?} | {count} | {:.2} | {:.2} | {:.2} |", ms(50), ms(99), ms(100));
    }
}

fn delays(port: u16, mailbox: &Mailbox, count: usize) -> Vec<Duration> {
    let mut client = Client::imap(port, mailbox);
    client.send(b"s SELECT INBOX\r\n");
    client.tagged("s ");
    client.send(b"i IDLE\r\n");
    while !client.line().starts_with('+') {}
    (1..=count)
        .map(|n| {
            std::thread::sleep(BETWEEN);
            let name = format!("1700000000.M{n}P1.bench.test");
            let tmp = mailbox.maildir.join("tmp").join(&name);
            fs::write(&tmp, "Subject: x\n\nx\n").expect("write");
            mailbox.own(&tmp);
            let begun = Instant::now();
            fs::rename(&tmp, mailbox.maildir.join("new").join(&name)).expect("rename");
            let told = format!("* {n} EXISTS");
            while client.line().trim_end() != told {}
            begun.elapsed()
        })
        .collect()
}
