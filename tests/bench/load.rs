//! The clients: the least that drives a server, so that the servers and not the clients are measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::servers::Mailbox;

/// How long mail may take to come out of a queue.
const DELIVERY: Duration = Duration::from_secs(120);

/// A connection that reads replies.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// An IMAP connection, logged in with tag `a`.
    pub fn imap(port: u16, mailbox: &Mailbox) -> Client {
        let mut client = Client::connect(port);
        assert!(client.line().starts_with("* OK"));
        client.send(format!("a LOGIN {} {}\r\n", mailbox.address, mailbox.password).as_bytes());
        client.tagged("a ");
        client
    }

    fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("nodelay");
        Client { reader: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("send");
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the server closed the connection");
        line
    }

    /// The last line of an SMTP reply; it must begin with `code`.
    fn reply(&mut self, code: &str) {
        loop {
            let line = self.line();
            assert!(line.starts_with(code), "expected {code}, got {line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                return;
            }
        }
    }

    /// Up to the line that begins with `tag`, which must be OK.
    pub fn tagged(&mut self, tag: &str) {
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(tag) {
                assert!(rest.starts_with("OK"), "{line}");
                return;
            }
        }
    }
}

/// A message of about `size` bytes.
fn message(size: usize) -> Vec<u8> {
    let mut text = b"From: Sender <sender@example.net>\r\nTo: somebody\r\nSubject: a benchmark\r\n\
        Date: Mon, 7 Feb 2026 21:52:25 -0800\r\nMessage-ID: <bench@example.net>\r\n\r\n"
        .to_vec();
    while text.len() + 78 <= size {
        text.extend_from_slice(&[b'x'; 76]);
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// Deliver `count` messages of `size` bytes over `connections`, one transaction after the other, each pipelined up to DATA.
pub fn deliver(port: u16, lmtp: bool, to: &str, count: usize, connections: usize, size: usize) {
    let message = message(size);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut client = Client::connect(port);
                client.reply("220");
                client.send(if lmtp { b"LHLO bench.test\r\n" } else { b"EHLO bench.test\r\n" });
                client.reply("250");
                let envelope = format!("MAIL FROM:<sender@example.net>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    client.send(envelope.as_bytes());
                    client.reply("250");
                    client.reply("250");
                    client.reply("354");
                    client.send(&[&message[..], b".\r\n"].concat());
                    client.reply("250");
                }
                client.send(b"QUIT\r\n");
                client.reply("221");
            });
        }
    });
}

/// Wait until `dir` has `count` files.
pub fn wait_for_files(dir: &Path, count: usize) {
    let deadline = Instant::now() + DELIVERY;
    loop {
        let have = std::fs::read_dir(dir).map_or(0, Iterator::count);
        if have >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{have} of {count} messages in {}", dir.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Put `count` messages into the mailbox as another program would, some time ago: they are on the disk. (A file that is not yet is
/// removed without touching the disk at all, which would flatter whoever has not synced it.)
pub fn fill(mailbox: &Mailbox, count: usize, size: usize) {
    let text: Vec<u8> = message(size).into_iter().filter(|byte| *byte != b'\r').collect();
    let wire = text.len() + text.iter().filter(|byte| **byte == b'\n').count();
    for sub in ["tmp", "new", "cur"] {
        let dir = mailbox.maildir.join(sub);
        std::fs::create_dir_all(&dir).expect("a Maildir");
        mailbox.own(&dir);
    }
    mailbox.own(&mailbox.maildir);
    mailbox.own(mailbox.maildir.parent().expect("a home"));
    for n in 0..count {
        let path =
            mailbox.maildir.join("cur").join(format!("1700000000.M{n:06}P1.bench,S={},W={wire}:2,S", text.len()));
        std::fs::write(&path, &text).expect("a message");
        mailbox.own(&path);
    }
    let dir = std::fs::File::open(&mailbox.maildir).expect("the Maildir");
    nix::unistd::syncfs(&dir).expect("syncfs");
}

fn pop3_login(port: u16, mailbox: &Mailbox) -> Client {
    let mut client = Client::connect(port);
    assert!(client.line().starts_with("+OK"));
    client.send(format!("USER {}\r\nPASS {}\r\n", mailbox.address, mailbox.password).as_bytes());
    assert!(client.line().starts_with("+OK"));
    let line = client.line();
    assert!(line.starts_with("+OK"), "{line}");
    client
}

/// Log in, STAT, QUIT.
pub fn pop3_stat(port: u16, mailbox: &Mailbox) {
    let mut client = pop3_login(port, mailbox);
    client.send(b"STAT\r\nQUIT\r\n");
    assert!(client.line().starts_with("+OK"));
    assert!(client.line().starts_with("+OK"));
}

/// Log in, UIDL, RETR and DELE everything (pipelined by 50), QUIT.
pub fn pop3_drain(port: u16, mailbox: &Mailbox, count: usize) {
    let mut client = pop3_login(port, mailbox);
    client.send(b"UIDL\r\n");
    while client.line() != ".\r\n" {}
    let numbers: Vec<usize> = (1..=count).collect();
    for batch in numbers.chunks(50) {
        let commands: String = batch.iter().map(|n| format!("RETR {n}\r\n")).collect();
        client.send(commands.as_bytes());
        for _ in batch {
            assert!(client.line().starts_with("+OK"));
            let mut line = Vec::new();
            while line != b".\r\n" {
                line.clear();
                client.reader.read_until(b'\n', &mut line).expect("a line");
            }
        }
    }
    for batch in numbers.chunks(50) {
        let commands: String = batch.iter().map(|n| format!("DELE {n}\r\n")).collect();
        client.send(commands.as_bytes());
        for _ in batch {
            assert!(client.line().starts_with("+OK"));
        }
    }
    client.send(b"QUIT\r\n");
    let line = client.line();
    assert!(line.starts_with("+OK"), "{line}");
}

/// `count` times: connect, LOGIN, SELECT, LOGOUT.
pub fn imap_logins(port: u16, mailbox: &Mailbox, count: usize) {
    for _ in 0..count {
        let mut client = Client::imap(port, mailbox);
        client.send(b"b SELECT INBOX\r\n");
        client.tagged("b ");
        client.send(b"c LOGOUT\r\n");
        client.tagged("c ");
        let mut rest = Vec::new();
        client.reader.read_to_end(&mut rest).expect("the end");
    }
}
