//! An IMAP client that costs as little as it can, so that the server and not the client is measured: it looks for the tagged
//! line at the end of what came, and at nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Ends every command's reply; no message has it.
const TAG: &str = "z9x8";

/// A connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connect and read the greeting.
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Client { stream, buffer: vec![0; BLOCK] };
        let greeted = client.stream.read(&mut client.buffer).expect("a greeting");
        assert!(greeted > 0, "a greeting");
        client
    }

    /// Connect and log in.
    pub fn login(port: u16, user: &str, password: &str) -> Client {
        let mut client = Client::connect(port);
        client.run(&format!("LOGIN {user} {password}"));
        client
    }

    /// Run a command to its OK.
    pub fn run(&mut self, command: &str) {
        self.stream.write_all(format!("{TAG} {command}\r\n").as_bytes()).expect("send");
        self.read_reply(command, |_| ())
    }

    /// Run a command and return what came.
    pub fn ask(&mut self, command: &str) -> String {
        self.stream.write_all(format!("{TAG} {command}\r\n").as_bytes()).expect("send");
        let mut text = Vec::new();
        self.read_reply(command, |bytes| text.extend_from_slice(bytes));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// APPEND with a literal that does not wait.
    pub fn append(&mut self, folder: &str, message: &[u8]) {
        let command = format!("{TAG} APPEND {folder} {{{}+}}\r\n", message.len());
        self.stream.write_all(&[command.as_bytes(), message, b"\r\n"].concat()).expect("send");
        self.read_reply("APPEND", |_| ());
    }

    /// Say LOGOUT and wait for the end.
    pub fn logout(mut self) {
        self.stream.write_all(format!("{TAG} LOGOUT\r\n").as_bytes()).expect("send");
        while self.stream.read(&mut self.buffer).expect("the end") > 0 {}
    }

    fn read_reply(&mut self, command: &str, mut take: impl FnMut(&[u8])) {
        // The beginning of a line that was cut by the end of a block.
        let mut tail: Vec<u8> = Vec::new();
        loop {
            let got = self.stream.read(&mut self.buffer).expect("a reply in time");
            assert!(got > 0, "the server closed the connection in {command}");
            let bytes = &self.buffer[..got];
            take(bytes);
            // The last whole line, and what stands before it in case it is cut.
            let keep = bytes.len().min(1024);
            tail.extend_from_slice(&bytes[bytes.len() - keep..]);
            tail.drain(..tail.len().saturating_sub(1024));
            if !tail.ends_with(b"\r\n") {
                continue;
            }
            let line = tail[..tail.len() - 2].rsplit(|b| *b == b'\n').next().unwrap_or_default();
            if let Some(rest) = line.strip_prefix(TAG.as_bytes()) {
                let said = String::from_utf8_lossy(rest);
                assert!(said.starts_with(" OK"), "{command}: {said}");
                return;
            }
        }
    }
}
