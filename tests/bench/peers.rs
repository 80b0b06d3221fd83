//! `make bench`: the same work on Mailcote and on an installed Dovecot and Postfix, alternating, in one run.
//!
//! Prints a Markdown table: rate, CPU time a message, and the ratio to the peer, medians of the rounds. The
//! servers run on loopback below one temporary directory; every round uses a fresh mailbox, since file creation
//! gets slower in directories that were used before. Numbers go into `tests/bench/README.md` with the machine
//! they came from; nothing here asserts on time.
//!
//! `cargo bench --bench peers -- [ROUNDS] [ROW ...]`; rows: disk smtp lmtp pop3 login idle memory syscalls.

mod cpu;
mod disk;
#[path = "../support/dovecot.rs"]
#[allow(dead_code)] // The bench starts it; tests of other files use the rest.
mod dovecot;
mod idle;
mod load;
mod memory;
#[allow(dead_code)] // The bench of IMAP starts less.
mod servers;

use std::time::Duration;

use servers::{Server, Servers};

/// Messages, connections and sizes of the delivery rows.
const DELIVERIES: [(usize, usize, usize); 6] = [
    (2_000, 1, 2_048),
    (4_000, 16, 2_048),
    (1_000, 1, 20_480),
    (2_000, 16, 20_480),
    (40, 1, 1 << 20),
    (120, 16, 1 << 20),
];
/// Messages in a POP3 drain.
const DRAIN: usize = 1_000;
/// Logins in a login row.
const LOGINS: usize = 300;

/// One measured round.
#[derive(Clone, Copy)]
struct Round {
    count: usize,
    wall: Duration,
    cpu: Duration,
}

impl Round {
    fn rate(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0 / self.count as f64
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let rounds = words.first().and_then(|word| word.parse().ok()).unwrap_or(5);
    let rows: Vec<&str> = words.iter().map(String::as_str).filter(|word| word.parse::<usize>().is_err()).collect();
    let wanted = |row: &str| rows.is_empty() || rows.contains(&row);
    let root = tempfile::Builder::new().prefix("mailcote-bench").tempdir().expect("a temporary directory");
    println!("# Mailcote beside its peers, {rounds} rounds, medians\n");
    if wanted("disk") {
        disk::bare_limits(root.path());
    }
    let mut servers = Servers::start(root.path());
    println!(
        "| work | Mailcote /s | CPU ms each | peer | peer /s | peer CPU ms each | times faster | times less CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (count, connections, size) in DELIVERIES {
        let name = |by: &str| format!("{by}, {connections} connection(s), {} KiB", size / 1024);
        if wanted("smtp") {
            compare(&mut servers, &name("SMTP"), rounds, Server::Mailcote, Server::Postfix, |servers, who| {
                deliver(servers, who, false, count, connections, size)
            });
        }
        if wanted("lmtp") {
            compare(&mut servers, &name("LMTP"), rounds, Server::Mailcote, Server::Dovecot, |servers, who| {
                deliver(servers, who, true, count, connections, size)
            });
        }
    }
    if wanted("pop3") {
        compare(
            &mut servers,
            "POP3 drain of 1,000 messages of 2 KiB",
            rounds,
            Server::Mailcote,
            Server::Dovecot,
            drain,
        );
    }
    if wanted("login") {
        compare(&mut servers, "IMAP login, SELECT, LOGOUT", rounds, Server::Mailcote, Server::Dovecot, logins);
    }
    if wanted("idle") {
        idle::compare(&mut servers);
    }
    if wanted("memory") {
        memory::compare(&mut servers);
    }
    if wanted("syscalls") {
        system_calls(&mut servers);
    }
}

fn compare(
    servers: &mut Servers,
    name: &str,
    rounds: usize,
    ours: Server,
    theirs: Server,
    mut work: impl FnMut(&mut Servers, Server) -> Round,
) {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        us.push(work(servers, ours));
        if servers.has(theirs) {
            them.push(work(servers, theirs));
        }
    }
    let (rate, cpu) = (median(us.iter().map(Round::rate)), median(us.iter().map(Round::cpu_ms)));
    if them.is_empty() {
        println!("| {name} | {rate:.0} | {cpu:.3} | {theirs:?} is not installed | | | | |");
        return;
    }
    let (peer_rate, peer_cpu) = (median(them.iter().map(Round::rate)), median(them.iter().map(Round::cpu_ms)));
    println!(
        "| {name} | {rate:.0} | {cpu:.3} | {theirs:?} | {peer_rate:.0} | {peer_cpu:.3} | {:.1} | {:.1} |",
        rate / peer_rate,
        peer_cpu / cpu
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measured(servers: &Servers, who: Server, count: usize, work: impl FnOnce()) -> Round {
    let before = cpu::of_tree(servers.pid(who));
    let start = std::time::Instant::now();
    work();
    let wall = start.elapsed();
    Round { count, wall, cpu: cpu::of_tree(servers.pid(who)).saturating_sub(before) }
}

fn deliver(servers: &mut Servers, who: Server, lmtp: bool, count: usize, connections: usize, size: usize) -> Round {
    let mailbox = servers.fresh_user(who);
    let port = servers.delivery_port(who, lmtp);
    let round = measured(servers, who, count, || {
        load::deliver(port, lmtp, &mailbox.address, count, connections, size);
        // Postfix answers 250 when the mail is in its queue; the work is done when it is in the Maildir.
        load::wait_for_files(&mailbox.maildir.join("new"), count);
    });
    servers.empty(&mailbox);
    round
}

fn drain(servers: &mut Servers, who: Server) -> Round {
    let mailbox = servers.fresh_user(who);
    load::fill(&mailbox, DRAIN, 2_048);
    let port = servers.pop3_port(who);
    // The first session gives the UIDs and remembers the password.
    load::pop3_stat(port, &mailbox);
    let round = measured(servers, who, DRAIN, || load::pop3_drain(port, &mailbox, DRAIN));
    servers.empty(&mailbox);
    round
}

fn logins(servers: &mut Servers, who: Server) -> Round {
    let mailbox = servers.fresh_user(who);
    load::fill(&mailbox, 100, 2_048);
    let port = servers.imap_port(who);
    load::imap_logins(port, &mailbox, 3);
    let round = measured(servers, who, LOGINS, || load::imap_logins(port, &mailbox, LOGINS));
    servers.empty(&mailbox);
    round
}

/// System calls and syncs a message, counted by strace on a run of its own (strace makes the times useless).
fn system_calls(servers: &mut Servers) {
    const COUNT: usize = 500;
    println!("\nSystem calls of Mailcote for {COUNT} messages of 2 KiB by SMTP on one connection (strace -f -c):\n");
    let mailbox = servers.fresh_user(Server::Mailcote);
    let port = servers.delivery_port(Server::Mailcote, false);
    let Some(table) = cpu::strace(servers.pid(Server::Mailcote), || {
        load::deliver(port, false, &mailbox.address, COUNT, 1, 2_048);
    }) else {
        println!("strace is not installed");
        return;
    };
    println!("| call | a message |\n|---|---|");
    for (name, calls) in table {
        println!("| {name} | {:.2} |", calls as f64 / COUNT as f64);
    }
}
