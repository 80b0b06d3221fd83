//! Garbage on every port, while others go on working; and mail that is made to break its readers.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::attacks::{DEPTH, attacks, logged_in};
use super::client::{connect, connect_tls, deliver};
use super::support::Demo;

/// The stated bound: with everything here going on at once, the server never takes more than this, and what one password
/// hash a core takes. Idle connections cost a few KiB each.
const MEMORY: usize = 128 * 1024 * 1024;
const MEMORY_PER_CORE: usize = 24 * 1024 * 1024;

/// Within this the others are served, on a machine of two cores that runs every attack at the same time.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// Connections that say nothing, or half a command, and stay.
const HALF_OPEN: usize = 400;

/// Connections that send a byte a second.
const TRICKLING: usize = 40;

const SERVICES: [&str; 8] = ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"];

/// What an honest client does, again and again; returns the slowest round.
fn work(demo: &Demo, stop: &AtomicBool) -> (u32, Duration) {
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        deliver(demo, "bob", b"Subject: honest\r\n\r\nwork");
        let mut imap = demo.imap("bob");
        imap.imap("SELECT INBOX");
        imap.imap("FETCH * (FLAGS ENVELOPE)");
        imap.imap("LOGOUT");
        demo.pop3("bob").pop3("QUIT");
        slowest = slowest.max(begun.elapsed());
        rounds += 1;
    }
    (rounds, slowest)
}

/// Send `bytes` as far as the server takes them, then read what it has to say.
fn attack(demo: &Demo, service: &str, bytes: &[u8]) {
    // It may close in the middle; that is an answer too.
    if service.ends_with('s') {
        let mut tls = connect_tls(demo, service);
        let _ = tls.write_all(&bytes[..bytes.len().min(1 << 20)]);
        tls.conn.send_close_notify();
        let _ = tls.flush();
    }
    let mut plain = connect(demo.port(service));
    plain.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let _ = plain.write_all(bytes);
    let _ = plain.shutdown(Shutdown::Write);
    plain.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut answer = [0; 16 * 1024];
    while let Ok(1..) = plain.read(&mut answer) {}
}

#[test]
fn garbage_on_every_port_changes_nothing_for_others_and_memory_stays_bounded() {
    let demo = Demo::start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| work(&demo, &stop));
        // Ends the honest client too if an assertion below fails.
        let _end = Guard(&stop);
        let half = half_open(&demo);
        let trickle = scope.spawn(|| trickle(&demo, &stop));
        let attacks = attacks();
        let user = demo.user("alice");
        std::thread::scope(|scope| {
            for service in SERVICES {
                let (demo, attacks) = (&demo, &attacks);
                scope.spawn(move || {
                    for (_, bytes) in attacks {
                        attack(demo, service, bytes);
                    }
                });
            }
            for (service, bytes) in logged_in(&user.login, &user.password) {
                let demo = &demo;
                scope.spawn(move || attack(demo, service, &bytes));
            }
        });
        let memory = assert_bounded(&demo);
        stop.store(true, Ordering::Relaxed);
        let (rounds, slowest) = honest.join().expect("the honest client");
        trickle.join().expect("the trickling clients");
        drop(half);
        eprintln!("{rounds} rounds of honest work, the slowest {slowest:?}; memory {} MiB", memory >> 20);
        assert!(rounds >= 2, "the honest client did {rounds} rounds");
        assert!(slowest < SERVED_WITHIN, "an honest client waited {slowest:?}");
    });
    assert!(!demo.log().contains("panic"), "{}", demo.log());
}

/// The most memory the server has had is within the bound; returns it.
fn assert_bounded(demo: &Demo) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = demo.peak_memory();
    assert!(memory < MEMORY + cores * MEMORY_PER_CORE, "{} MiB", memory >> 20);
    memory
}

struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connections that stay as they are.
fn half_open(demo: &Demo) -> Vec<std::net::TcpStream> {
    let begun = [&b""[..], b"EHL", b"a LOGIN ", b"\x16\x03\x01\x02\x00", b"USER"];
    (0..HALF_OPEN)
        .map(|n| {
            let mut stream = connect(demo.port(SERVICES[n % SERVICES.len()]));
            stream.write_all(begun[n % begun.len()]).expect("send");
            stream
        })
        .collect()
}

fn trickle(demo: &Demo, stop: &AtomicBool) {
    let mut all: Vec<_> = (0..TRICKLING).map(|n| connect(demo.port(SERVICES[n % SERVICES.len()]))).collect();
    while !stop.load(Ordering::Relaxed) {
        // Some are closed by now: that is what should happen.
        all.retain_mut(|stream| stream.write_all(b"x").is_ok());
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn mail_made_to_break_its_readers_is_stored_and_shown() {
    let demo = Demo::with(&["--users", "1"]);
    let nested = b"Content-Type: message/rfc822\r\n\r\n".repeat(DEPTH);
    let mut multipart = Vec::new();
    for level in 0..DEPTH / 10 {
        multipart.extend(format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").bytes());
    }
    let wide = [
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec(),
        b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(DEPTH),
    ]
    .concat();
    let comments = [b"From: ".to_vec(), b"(".repeat(DEPTH), b"\r\n\r\nx".to_vec()].concat();
    let groups = [b"To: ".to_vec(), b"g:".repeat(DEPTH), b"\r\n\r\nx".to_vec()].concat();
    let messages = [nested, multipart, wide, comments, groups];
    for message in &messages {
        // A header line may be refused as too long by its sender's own limit; ours is about what is accepted.
        deliver(&demo, "user1", &folded(message));
    }
    let mut client = demo.imap("user1");
    client.imap("SELECT INBOX");
    for command in [
        "FETCH 1:* BODYSTRUCTURE",
        "FETCH 1:* (BODY ENVELOPE)",
        "FETCH 1:* (BODY.PEEK[1.1.1.1.HEADER] BODY.PEEK[1.1.1.MIME] BODY.PEEK[2])",
        "SEARCH BODY needle",
        "SEARCH TEXT needle",
        "SEARCH FROM needle",
        "NOOP",
    ] {
        let begun = Instant::now();
        let lines = client.imap(command);
        if command.starts_with("FETCH") {
            let answered = (1..=messages.len()).filter(|n| {
                let start = format!("* {n} FETCH (BODY");
                lines.iter().any(|line| line.starts_with(&start))
            });
            assert_eq!(answered.count(), messages.len(), "{command}");
        }
        assert!(begun.elapsed() < SERVED_WITHIN, "{command} took {:?}", begun.elapsed());
    }
    assert_bounded(&demo);
    assert!(!demo.log().contains("panic"), "{}", demo.log());
}

/// With every header line at most 900 octets, by folding.
fn folded(message: &[u8]) -> Vec<u8> {
    let mut folded = Vec::with_capacity(message.len() + message.len() / 100);
    let mut length = 0;
    for &byte in message {
        folded.push(byte);
        length = if byte == b'\n' { 0 } else { length + 1 };
        if length == 900 {
            folded.extend(b"\r\n ");
            length = 1;
        }
    }
    folded
}
