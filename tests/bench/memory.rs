//! What a client that waits costs: proportional set size (PSS) of a server with all its processes, before and after many
//! clients have logged in, selected a folder of 1,000 messages, and gone into IDLE; and what a large folder costs its first session and each further one.
//!
//! Every row has a server of its own: what an earlier one left in the allocator would be taken for what this one costs.
//!
//! The clients share [`FOLDERS`] folders, which are open before the first measurement, so that the rows say what a client costs and not a folder.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::{ClientConnection, StreamOwned};

use super::cpu;
use super::load;
use super::servers::{Mailbox, Server, Servers};

/// Folders that the clients share, and messages in each.
const FOLDERS: usize = 20;
const MESSAGES: usize = 1_000;
/// Clients at the same time; the second number shows what the first has of what is only paid once.
const CLIENTS: [usize; 2] = [1_000, 5_000];
/// Clients of a peer that has a process for each.
const PEER_CLIENTS: usize = 200;
/// Messages of the large folder, and sessions after its first.
const LARGE: usize = 100_000;
const FURTHER: usize = 10;
/// Open files beside the clients' sockets.
const SPARE: u64 = 200;
/// How long freed memory takes to go back, and helpers to end.
const SETTLE: Duration = Duration::from_secs(3);

/// How a client talks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Tls,
    Deflate,
}

/// A client in IDLE: its socket, and what TLS needs.
enum Waiting {
    Plain { _socket: TcpStream },
    Tls { _socket: Box<StreamOwned<ClientConnection, TcpStream>> },
}

/// Print both tables.
pub fn compare(servers: &mut Servers) {
    let most = u64::try_from(CLIENTS[1]).expect("a number") + SPARE;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), hard).expect("setrlimit");
    println!("\n| clients in IDLE on {MESSAGES} messages | clients | PSS KiB each |\n|---|---|---|");
    let ways = [(Way::Plain, "in clear"), (Way::Tls, "TLS"), (Way::Deflate, "COMPRESS=DEFLATE")];
    for (way, name) in ways {
        servers.restart_mailcote();
        let mailboxes = folders(servers, Server::Mailcote);
        let (before, mut waiting) = (settled(servers, Server::Mailcote), Vec::new());
        for count in CLIENTS {
            wait_in_idle(servers, Server::Mailcote, way, &mailboxes, count, &mut waiting);
            let now = settled(servers, Server::Mailcote);
            println!("| Mailcote, {name} | {count} | {:.1} |", (now as f64 - before as f64) / count as f64);
        }
        drop(waiting);
        mailboxes.iter().for_each(|mailbox| servers.empty(mailbox));
    }
    if servers.has(Server::Dovecot) {
        let mailboxes = folders(servers, Server::Dovecot);
        let (before, mut waiting) = (settled(servers, Server::Dovecot), Vec::new());
        wait_in_idle(servers, Server::Dovecot, Way::Plain, &mailboxes, PEER_CLIENTS, &mut waiting);
        let each = (settled(servers, Server::Dovecot) as f64 - before as f64) / PEER_CLIENTS as f64;
        println!("| Dovecot, in clear | {PEER_CLIENTS} | {each:.1} |");
        drop(waiting);
        mailboxes.iter().for_each(|mailbox| servers.empty(mailbox));
    }
    large_folder(servers);
}

fn large_folder(servers: &mut Servers) {
    servers.restart_mailcote();
    let mailbox = servers.fresh_user(Server::Mailcote);
    load::fill(&mailbox, LARGE, 200);
    let mailboxes = [mailbox];
    // No session before it: the folder would stay open for a while behind that one, and the first would cost nothing.
    let (before, mut waiting) = (settled(servers, Server::Mailcote), Vec::new());
    wait_in_idle(servers, Server::Mailcote, Way::Plain, &mailboxes, 1, &mut waiting);
    let first = settled(servers, Server::Mailcote);
    wait_in_idle(servers, Server::Mailcote, Way::Plain, &mailboxes, 1 + FURTHER, &mut waiting);
    let all = settled(servers, Server::Mailcote);
    println!("\n| a selected folder of {LARGE} messages | PSS MiB |\n|---|---|");
    println!("| its first session | {:.1} |", (first as f64 - before as f64) / 1024.0);
    println!("| each of {FURTHER} further ones | {:.2} |", (all as f64 - first as f64) / 1024.0 / FURTHER as f64);
    drop(waiting);
    servers.empty(&mailboxes[0]);
}

/// Fresh folders, filled and known to the server.
fn folders(servers: &mut Servers, who: Server) -> Vec<Mailbox> {
    let mailboxes: Vec<Mailbox> = (0..FOLDERS).map(|_| servers.fresh_user(who)).collect();
    mailboxes.iter().for_each(|mailbox| load::fill(mailbox, MESSAGES, 400));
    // Not measured: UIDs are given, passwords remembered, allocators grown.
    let mut waiting = Vec::new();
    wait_in_idle(servers, who, Way::Plain, &mailboxes, 2 * FOLDERS, &mut waiting);
    mailboxes
}

/// PSS of the server in KiB, when it has come to rest.
fn settled(servers: &Servers, who: Server) -> u64 {
    std::thread::sleep(SETTLE);
    cpu::pss_of_tree(servers.pid(who))
}

/// Add clients until `count` wait.
fn wait_in_idle(
    servers: &Servers,
    who: Server,
    way: Way,
    mailboxes: &[Mailbox],
    count: usize,
    waiting: &mut Vec<Waiting>,
) {
    let config = (way == Way::Tls).then(|| servers.trust());
    while waiting.len() < count {
        let mailbox = &mailboxes[waiting.len() % mailboxes.len()];
        let port = if way == Way::Tls { servers.imaps_port() } else { servers.imap_port(who) };
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        waiting.push(match &config {
            Some(config) => {
                let name = "localhost".try_into().expect("a name");
                let connection = ClientConnection::new(Arc::clone(config), name).expect("a TLS client");
                let mut stream = Box::new(StreamOwned::new(connection, socket));
                idle(&mut stream, mailbox, None);
                Waiting::Tls { _socket: stream }
            }
            None => {
                let deflate = (way == Way::Deflate)
                    .then(|| (Compress::new(Compression::default(), false), Decompress::new(false)));
                idle(&mut socket, mailbox, deflate);
                Waiting::Plain { _socket: socket }
            }
        });
    }
}

/// Greeting, LOGIN, perhaps COMPRESS, SELECT, IDLE.
fn idle(stream: &mut (impl Read + Write), mailbox: &Mailbox, deflate: Option<(Compress, Decompress)>) {
    until(stream, &mut None, "* OK");
    let login = format!("a LOGIN {} {}\r\n", mailbox.address, mailbox.password);
    stream.write_all(login.as_bytes()).expect("send");
    until(stream, &mut None, "a OK");
    let mut deflate = deflate;
    if deflate.is_some() {
        stream.write_all(b"z COMPRESS DEFLATE\r\n").expect("send");
        until(stream, &mut None, "z OK");
    }
    for (command, end) in [("b SELECT INBOX\r\n", "b OK"), ("c IDLE\r\n", "+ ")] {
        match &mut deflate {
            None => stream.write_all(command.as_bytes()).expect("send"),
            Some((out, _)) => {
                let mut packed = Vec::with_capacity(1024);
                out.compress_vec(command.as_bytes(), &mut packed, FlushCompress::Sync).expect("deflate");
                stream.write_all(&packed).expect("send");
            }
        }
        until(stream, &mut deflate, end);
    }
}

/// Read until a line begins with `start`.
fn until(stream: &mut impl Read, deflate: &mut Option<(Compress, Decompress)>, start: &str) {
    let (mut all, mut block) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let n = stream.read(&mut block).expect("an answer");
        assert!(n > 0, "the server closed the connection");
        match deflate {
            None => all.extend_from_slice(&block[..n]),
            Some((_, incoming)) => {
                all.reserve(256 * 1024);
                incoming.decompress_vec(&block[..n], &mut all, FlushDecompress::Sync).expect("inflate");
            }
        }
        let text = String::from_utf8_lossy(&all);
        if text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(start)) {
            return;
        }
    }
}
