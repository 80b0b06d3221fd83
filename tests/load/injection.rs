//! Commands sent in clear behind STARTTLS (CVE-2011-0411): never answered, never executed.

use std::io::{Read, Write};

use super::client::connect;
use super::support::{Client, Demo};

/// Service, what comes before, the command, what is injected behind it (with its answer, were it executed), and how it is refused.
const CASES: [(&str, &str, &str, &str, &str, &str); 5] = [
    ("smtp", "EHLO x", "STARTTLS", "VRFY alice", "252", "554 5.7.0 "),
    ("submission", "EHLO x", "STARTTLS", "VRFY alice", "252", "554 5.7.0 "),
    ("lmtp", "LHLO x", "STARTTLS", "VRFY alice", "252", "554 5.7.0 "),
    ("imap", "h NOOP", "s STARTTLS", "i NOOP", "i OK", "s BAD "),
    ("pop3", "CAPA", "STLS", "QUIT", "+OK", "-ERR "),
];

/// All that the server says from now on, until it closes.
fn rest(stream: &mut std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too: the server closes with our bytes unread.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is said up to a piece of text.
fn until(stream: &mut std::net::TcpStream, text: &str) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&said).contains(text) {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("waiting for {text}: {error}"));
        said.push(byte[0]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A connection that was greeted and said its first command.
fn begun(demo: &Demo, service: &str, first: &str) -> std::net::TcpStream {
    let mut stream = connect(demo.port(service));
    until(&mut stream, "\n");
    stream.write_all(format!("{first}\r\n").as_bytes()).expect("send");
    let end = match service {
        "imap" => "h OK",
        "pop3" => "\r\n.\r\n",
        _ => "\n250 ",
    };
    until(&mut stream, end);
    if service != "pop3" {
        until(&mut stream, "\n");
    }
    stream
}

#[test]
fn commands_behind_starttls_in_one_packet_end_the_session() {
    let demo = Demo::start();
    for (service, first, command, injected, answer, refusal) in CASES {
        let mut stream = begun(&demo, service, first);
        stream.write_all(format!("{command}\r\n{injected}\r\n").as_bytes()).expect("send");
        let said = rest(&mut stream);
        assert!(said.starts_with(refusal), "{service}: {said}");
        assert!(!said.lines().any(|line| line.starts_with(answer)), "{service}: {said}");
        assert!(said.lines().count() <= 2, "{service}: {said}");
        // Others are served.
        Client::to(demo.port(service)).line();
    }
}

#[test]
fn commands_in_clear_where_tls_should_begin_are_not_heard() {
    let demo = Demo::start();
    for (service, first, command, injected, ..) in CASES {
        let mut stream = begun(&demo, service, first);
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("send");
        let agreed = until(&mut stream, "\n");
        assert!(["220 ", "s OK", "+OK "].iter().any(|ok| agreed.starts_with(ok)), "{service}: {agreed}");
        stream.write_all(format!("{injected}\r\n").repeat(100).as_bytes()).expect("send");
        // An alert of TLS, and nothing that a client in clear could read.
        let said = rest(&mut stream);
        assert!(said.len() <= 7 && !said.contains('\n'), "{service}: {said:?}");
    }
}
