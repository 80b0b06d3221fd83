//! Garbage on every port, while others go on working; and mail that is made to break its readers.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{connect, connect_tls, deliver};
use super::support::Demo;

/// The stated bound: with everything below going on at once, the server stays under this. Most of it is what verified passwords
/// and the build without optimization cost; an idle connection costs a few KiB.
const MEMORY: usize = 256 * 1024 * 1024;

/// Within this the others are served, on a machine of two cores that runs every attack at the same time.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// Connections that say nothing, or half a command, and stay.
const HALF_OPEN: usize = 400;

/// Connections that send a byte a second.
const TRICKLING: usize = 40;

/// Levels of `message/rfc822` in one mail, of parentheses in one command.
const DEPTH: usize = 100_000;

const SERVICES: [&str; 8] = ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s"];

/// Bytes of an attack, by name.
fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |bytes: &[u8], times: usize| bytes.repeat(times);
    vec![
        ("random bytes", random(1 << 20)),
        ("an endless line", repeat(b"a", 8 << 20)),
        ("a huge literal", b"a LOGIN {4294967295}\r\nx".to_vec()),
        ("a huge literal without waiting", [b"a LOGIN {4294967295+}\r\n".to_vec(), repeat(b"x", 1 << 20)].concat()),
        ("a literal beyond numbers", b"a LOGIN {99999999999999999999999}\r\nx\r\n".to_vec()),
        ("a negative literal", b"a LOGIN {-1}\r\nx\r\n".to_vec()),
        ("many literals", repeat(b"a LOGIN {1+}\r\nx {1+}\r\n", 5000)),
        ("NULs", vec![0; 1 << 20]),
        ("parentheses", [b"a SEARCH ".to_vec(), repeat(b"(", DEPTH), b"\r\n".to_vec()].concat()),
        (
            "parentheses to the end",
            [b"a FETCH 1 ".to_vec(), repeat(b"(", DEPTH), repeat(b")", DEPTH), b"\r\n".to_vec()].concat(),
        ),
        ("NOT upon NOT", [b"a SEARCH ".to_vec(), repeat(b"NOT ", DEPTH), b"ALL\r\n".to_vec()].concat()),
        ("commands and no reading", repeat(b"NOOP\r\na NOOP\r\n", 50_000)),
        ("line ends", repeat(b"\r\n", 500_000)),
        ("bare line ends", [repeat(b"\n", 100_000), repeat(b"\r", 100_000)].concat()),
        (
            "a huge chunk",
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@demo.test>\r\nBDAT 18446744073709551616\r\n".to_vec(),
        ),
        ("an endless address", [b"EHLO x\r\nMAIL FROM:<".to_vec(), repeat(b"a", 1 << 20), b">\r\n".to_vec()].concat()),
        (
            "an endless route",
            [b"EHLO x\r\nMAIL FROM:<".to_vec(), repeat(b"@a,", 100_000), b":b@c>\r\n".to_vec()].concat(),
        ),
        (
            "too many recipients",
            [b"EHLO x\r\nLHLO x\r\nMAIL FROM:<>\r\n".to_vec(), repeat(b"RCPT TO:<alice@demo.test>\r\n", 20_000)]
                .concat(),
        ),
        (
            "an endless header",
            [
                b"EHLO x\r\nLHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@demo.test>\r\nDATA\r\nSubject: ".to_vec(),
                repeat(b"x", 4 << 20),
            ]
            .concat(),
        ),
        ("SASL that is not base64", repeat(b"AUTH PLAIN !!!!\r\na AUTHENTICATE PLAIN !!!!\r\n", 1000)),
        ("an endless password", [b"USER alice\r\nPASS ".to_vec(), repeat(b"p", 1 << 20), b"\r\n".to_vec()].concat()),
        ("an endless tag", [repeat(b"t", 1 << 20), b" NOOP\r\n".to_vec()].concat()),
        ("half a handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
    ]
}

/// Bytes that look random and are the same every time (xorshift).
fn random(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}

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
        std::thread::scope(|scope| {
            for service in SERVICES {
                let (demo, attacks) = (&demo, &attacks);
                scope.spawn(move || {
                    for (_, bytes) in attacks {
                        attack(demo, service, bytes);
                    }
                });
            }
        });
        let memory = demo.memory();
        stop.store(true, Ordering::Relaxed);
        let (rounds, slowest) = honest.join().expect("the honest client");
        trickle.join().expect("the trickling clients");
        drop(half);
        eprintln!("{rounds} rounds of honest work, the slowest {slowest:?}; memory {} MiB", memory >> 20);
        assert!(rounds >= 2, "the honest client did {rounds} rounds");
        assert!(slowest < SERVED_WITHIN, "an honest client waited {slowest:?}");
        assert!(memory < MEMORY, "{} MiB", memory >> 20);
    });
    assert!(!demo.log().contains("panic"), "{}", demo.log());
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
        client.imap(command);
        assert!(begun.elapsed() < SERVED_WITHIN, "{command} took {:?}", begun.elapsed());
    }
    let memory = demo.memory();
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
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
