//! Thirty real messages, and the sending of them through the demo's own SMTP.
//!
//! The messages are data of the MimeKit project (`messages/LICENSE`). Sending is the plainest client there is: one
//! connection, one command at a time, any unexpected reply ends it with the reply's text.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::tree::DOMAIN;
use crate::cli::{Done, Failure};

/// How long to wait for one reply.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// Lines end with LF.
const MESSAGES: [&[u8]; 30] = [
    include_bytes!("messages/01-re-mailusr1-navstar1-3-0b6gold-1.eml"),
    include_bytes!("messages/02-attached-image-cache-test-test-2.eml"),
    include_bytes!("messages/03-attached-image-cache-test-test-1.eml"),
    include_bytes!("messages/04-re-4-your-generated-html.eml"),
    include_bytes!("messages/05-more-richtext-questions-comments.eml"),
    include_bytes!("messages/06-multipart-signed-message-format.eml"),
    include_bytes!("messages/07-re-can-you-send-me-an-encrypted.eml"),
    include_bytes!("messages/08-encrypted-message.eml"),
    include_bytes!("messages/09-ready-for-interoperability-testi.eml"),
    include_bytes!("messages/10-very-cool.eml"),
    include_bytes!("messages/11-forwarded-encrypted-message.eml"),
    include_bytes!("messages/12-this-is-signed.eml"),
    include_bytes!("messages/13-re-obtaining-other-people-s-cert.eml"),
    include_bytes!("messages/14-encrypted.eml"),
    include_bytes!("messages/15-deming-software-ready-to-go.eml"),
    include_bytes!("messages/16-frontier-technologies-testing-he.eml"),
    include_bytes!("messages/17-signed-confirmation.eml"),
    include_bytes!("messages/18-signed-sha1-with-verisign-certif.eml"),
    include_bytes!("messages/19-re-problem-with-relative-urls-an.eml"),
    include_bytes!("messages/20-gmail.eml"),
    include_bytes!("messages/21-japanese.eml"),
    include_bytes!("messages/22-ukr.eml"),
    include_bytes!("messages/23-epilogue.eml"),
    include_bytes!("messages/24-rfc8463-example.eml"),
    include_bytes!("messages/25-simple-multipart.eml"),
    include_bytes!("messages/26-simple-embedded-message.eml"),
    include_bytes!("messages/27-feedback-report.eml"),
    include_bytes!("messages/28-disposition-notification.eml"),
    include_bytes!("messages/29-delivery-status.eml"),
    include_bytes!("messages/30-issue1130.eml"),
];

/// Connect, wait for the greeting, and leave.
pub fn greeting(smtp: SocketAddr) -> Done {
    let said = failed(smtp);
    Client::connect(smtp).and_then(|mut client| client.command("QUIT", "221")).map_err(said)
}

fn failed(smtp: SocketAddr) -> impl Fn(std::io::Error) -> Failure {
    move |e| Failure::Other(format!("the demo's SMTP at {smtp}: {e}"))
}

/// Send all to alice, in order.
pub fn send_all(smtp: SocketAddr) -> Done {
    let said = failed(smtp);
    let mut client = Client::connect(smtp).map_err(&said)?;
    for message in MESSAGES {
        client.send(message).map_err(&said)?;
    }
    client.command("QUIT", "221").map_err(said)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(smtp: SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect(smtp)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        let mut client = Client(BufReader::new(stream));
        client.expect("220")?;
        client.command("EHLO localhost", "250")?;
        Ok(client)
    }

    fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        let body = if message.is_ascii() { "" } else { " BODY=8BITMIME" };
        self.command(&format!("MAIL FROM:<corpus@example.org>{body}"), "250")?;
        self.command(&format!("RCPT TO:<alice@{DOMAIN}>"), "250")?;
        self.command("DATA", "354")?;
        self.0.get_mut().write_all(&on_the_wire(message))?;
        self.expect("250")
    }

    fn command(&mut self, line: &str, code: &str) -> std::io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.expect(code)
    }

    /// Read a reply of one or more lines (RFC 5321 4.2.1).
    fn expect(&mut self, code: &str) -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if !line.starts_with(code) {
                return Err(std::io::Error::other(format!("wanted {code}, got: {}", line.trim_end())));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

/// CRLF line ends, dots doubled at the start of lines, and the final dot (RFC 5321 4.5.2).
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 16);
    for line in message.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_lines_end_with_crlf() {
        assert_eq!(on_the_wire(b"a\n.b\n\n..c"), b"a\r\n..b\r\n\r\n...c\r\n.\r\n");
    }

    #[test]
    fn the_messages_can_travel() {
        for message in MESSAGES {
            assert!(!message.contains(&b'\r') && !message.contains(&0));
            assert!(message.split(|b| *b == b'\n').all(|line| line.len() <= 998));
        }
    }
}
