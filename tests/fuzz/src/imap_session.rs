//! A whole IMAP session on a small real Maildir. Nothing makes it panic, every command with a tag gets exactly one answer with that tag,
//! and it answers a bounded number of bytes.
//!
//! The lines of the input are commands without their tags; this client gives them. It is a patient one: where a command is not
//! answered, the server waits for a literal, a response or DONE, and gets some. A `~` before a line speaks on a second session.

use mailcote::config::Service;

use super::talk::Talk;
use super::world::World;

/// Commands of one input that are sent.
const MAX_COMMANDS: usize = 40;
/// Times that an unanswered command is helped on.
const MAX_HELP: usize = 12;

/// What a client may be waited for, in turn: the end of IDLE and of AUTHENTICATE, and bytes of a literal.
const HELP: [&[u8]; 4] = [b"DONE\r\n", b"*\r\n", b"Subject: help\r\n\r\n", b"\r\n"];

/// One side, with the number of its last tag.
struct Client {
    talk: Talk,
    tag: usize,
}

impl Client {
    fn new(world: &World, begin: &[&[u8]]) -> Client {
        let mut client = Client { talk: Talk::new(world.session(Service::Imap)), tag: 0 };
        client.talk.take();
        begin.iter().for_each(|command| client.command(command));
        client
    }

    fn command(&mut self, text: &[u8]) {
        if self.talk.is_over() {
            return;
        }
        self.tag += 1;
        let tag = format!("T{}x", self.tag);
        self.talk.say(&[tag.as_bytes(), b" ", text, b"\r\n"].concat());
        let mut said = self.talk.take();
        for help in HELP.iter().cycle().take(MAX_HELP) {
            if self.talk.is_over() || answers(&said, &tag) > 0 {
                break;
            }
            self.talk.say(help);
            said.extend(self.talk.take());
        }
        let mut bytes = 1024;
        // A literal that was announced without waiting, up to what may follow a refused one.
        while !self.talk.is_over() && answers(&said, &tag) == 0 {
            assert!(bytes <= 512 << 20, "{tag} {} is never answered", text.escape_ascii());
            self.talk.say(&b"\r\n".repeat(bytes / 2));
            said.extend(self.talk.take());
            bytes *= 2;
            if bytes > 4 << 20 {
                // Too long to wait for: give up as a client does that closes the connection.
                self.talk.close();
                return;
            }
        }
        let count = answers(&said, &tag);
        let closed = self.talk.is_over() && lines(&said).iter().any(|line| line.starts_with(b"* BYE"));
        assert!(
            count == 1 || closed && count == 0,
            "{count} answers to {tag} {}: {}",
            text.escape_ascii(),
            said.escape_ascii()
        );
    }
}

/// How many lines of `said` are the answer to `tag`?
fn answers(said: &[u8], tag: &str) -> usize {
    let tag = format!("{tag} ");
    lines(said).iter().filter(|line| line.starts_with(tag.as_bytes())).count()
}

/// The first line of each response: what a literal holds is not one.
fn lines(said: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest, mut is_first) = (Vec::new(), said, true);
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        if is_first {
            lines.push(line);
        }
        let literal = announced(line);
        is_first = literal.is_none();
        rest = after.get(literal.unwrap_or(0)..).unwrap_or_default();
    }
    lines
}

/// Bytes of the literal that `line` announces.
fn announced(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let at = line.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(&line[at + 1..]).ok()?.parse().ok()
}

/// The first byte says how the session begins: bit 0 logged in, bit 1 INBOX selected, bit 2 IMAP4rev2, bit 3 QRESYNC, bit 4 UTF8.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let world = World::fresh();
    let mut begin: Vec<&[u8]> = Vec::new();
    if first & 1 == 1 {
        begin.push(b"LOGIN alice@demo.test secret");
        for (bit, command) in [(4, &b"ENABLE IMAP4rev2"[..]), (8, b"ENABLE QRESYNC"), (16, b"ENABLE UTF8=ACCEPT")] {
            if first & bit != 0 {
                begin.push(command);
            }
        }
        if first & 2 != 0 {
            begin.push(b"SELECT INBOX");
        }
    }
    let mut one = Client::new(&world, &begin);
    let mut two = None;
    for line in data.split(|b| *b == b'\n').take(MAX_COMMANDS) {
        match line.strip_prefix(b"~") {
            Some(line) => two.get_or_insert_with(|| Client::new(&world, &begin)).command(line),
            None => one.command(line),
        }
    }
}
