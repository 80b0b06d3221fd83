//! An IMAP client that believes what it is told and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use mailcote::imap::{Imap, Shared};
use mailcote::wire::{Asked, Event, Input, Out, Peer, Session, Want};

/// Flags that are played with.
pub const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Deleted", "work", "$later"];

/// What is known of a message.
#[derive(Debug, Clone, Default)]
pub struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// A client with the mailbox open.
pub struct Client {
    session: Imap,
    want: Want,
    name: usize,
    show: bool,
    /// What it believes, by message number.
    pub known: Vec<Known>,
}

impl Client {
    /// Log in and select INBOX.
    pub fn new(shared: &Arc<Shared>, name: usize, show: bool) -> Client {
        let (local, remote) = (([127, 0, 0, 1], 143).into(), ([127, 0, 0, 1], 40_000).into());
        let session = Imap::new(Arc::clone(shared), Peer::new(remote, local, 1));
        let mut client = Client { session, want: Want::Input, name, show, known: Vec::new() };
        client.exchange(Event::Opened, "");
        client.command("login alice@demo.test alice-secret");
        client.command("select INBOX");
        client
    }

    fn exchange(&mut self, event: Event, text: &str) -> Vec<String> {
        let (mut input, mut out, mut next) = (Input::new(), Out::new(), Some(event));
        input.extend(text.as_bytes());
        while let Some(event) = next {
            self.want = self.session.step(event, &mut input, &mut out);
            next = match std::mem::replace(&mut self.want, Want::Continue) {
                Want::Continue | Want::Pause(_) => Some(Event::Flushed),
                Want::Work(work) => Some(Event::Answer(work())),
                Want::Ask(_) => Some(Event::Answer(Box::new(Asked::Failed("nobody to ask here".into())))),
                other => {
                    self.want = other;
                    None
                }
            };
        }
        let said = String::from_utf8_lossy(out.bytes()).into_owned();
        if self.show {
            println!("{}> {text}\n{said}", self.name);
        }
        said.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Give a command, which must be answered OK; believe what it says.
    pub fn command(&mut self, text: &str) -> Vec<String> {
        let lines = self.exchange(Event::Input, &format!("a {text}\r\n"));
        let by_number = ["fetch ", "store ", "search "].iter().any(|name| text.starts_with(name));
        for line in &lines {
            assert!(!(by_number && line.ends_with(" EXPUNGE")), "{line} in answer to {text}");
            self.believe(line);
        }
        let end = lines.last().expect("an answer");
        // What others expunged, and we were not told, cannot be moved or copied.
        assert!(end.starts_with("a OK ") || end.starts_with("a NO [EXPUNGEISSUED]"), "{text}: {end}");
        lines
    }

    /// Wait a moment for what others do.
    pub fn idle(&mut self) {
        for line in self.exchange(Event::Input, "a idle\r\n") {
            self.believe(&line);
        }
        if let Want::InputOrNotice(notice) = &self.want
            && notice.take()
        {
            for line in self.exchange(Event::Notice, "") {
                self.believe(&line);
            }
        }
        for line in self.exchange(Event::Input, "DONE\r\n") {
            self.believe(&line);
        }
    }

    /// STORE or UID STORE. A silent one tells nothing: the client knows itself what it did.
    pub fn store(&mut self, number: usize, sign: &str, flags: &[&str], silent: bool, by_uid: bool) {
        let suffix = if silent { ".silent" } else { "" };
        let change = format!("{sign}flags{suffix} ({})", flags.join(" "));
        if by_uid {
            let Some(uid) = self.uid(number) else { return };
            self.assume(number, sign, flags, silent);
            self.command(&format!("uid store {uid} {change}"));
        } else {
            self.assume(number, sign, flags, silent);
            self.command(&format!("store {number} {change}"));
        }
    }

    fn assume(&mut self, number: usize, sign: &str, flags: &[&str], silent: bool) {
        let Some(known) = self.known[number - 1].flags.as_mut().filter(|_| silent) else { return };
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        match sign {
            "+" => known.extend(flags),
            "-" => known.retain(|flag| !flags.clone().any(|gone| gone == *flag)),
            _ => *known = flags.collect(),
        }
    }

    /// A command on the UID of a message, if it was told.
    pub fn by_uid(&mut self, number: usize, command: &str, rest: &str) {
        if let Some(uid) = self.uid(number) {
            self.command(&format!("uid {command} {uid}{rest}"));
        }
    }

    fn uid(&self, number: usize) -> Option<u32> {
        self.known.get(number - 1).and_then(|known| known.uid)
    }

    /// UID, flags and size of every message. After a NOOP nothing is left to be told: what is known must be true.
    pub fn look(&mut self) -> Vec<(u32, BTreeSet<String>, u32)> {
        self.command("noop");
        let before = self.known.clone();
        let mut all = Vec::new();
        if before.is_empty() {
            return all;
        }
        for line in self.command("fetch 1:* (uid flags rfc822.size)") {
            let Some((number, items)) = fetch(&line).filter(|(_, items)| items.contains("RFC822.SIZE")) else {
                continue;
            };
            let (uid, flags, size) = (value(items, "UID"), flags(items), value(items, "RFC822.SIZE"));
            if let Some(told) = &before[number - 1].flags {
                assert_eq!(*told, flags, "client {}: flags of message {number} were told otherwise", self.name);
            }
            all.push((uid.expect("a UID"), flags, size.expect("a size")));
        }
        assert_eq!(all.len(), before.len());
        all
    }

    fn believe(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["*", count, "EXISTS"] => {
                let count: usize = count.parse().unwrap();
                assert!(count >= self.known.len(), "EXISTS must not make the mailbox smaller: {line}");
                self.known.resize(count, Known::default());
            }
            ["*", number, "EXPUNGE"] => {
                let number: usize = number.parse().unwrap();
                assert!((1..=self.known.len()).contains(&number), "no such message: {line}");
                self.known.remove(number - 1);
            }
            _ => {
                let Some((number, items)) = fetch(line) else { return };
                assert!((1..=self.known.len()).contains(&number), "no such message: {line}");
                let known = &mut self.known[number - 1];
                if let Some(uid) = value(items, "UID") {
                    assert_eq!(*known.uid.get_or_insert(uid), uid, "the number means another message: {line}");
                }
                known.flags = Some(flags(items));
            }
        }
    }
}

/// Number and items of a FETCH response.
fn fetch(line: &str) -> Option<(usize, &str)> {
    let (number, items) = line.strip_prefix("* ")?.split_once(" FETCH ")?;
    Some((number.parse().ok()?, items))
}

fn value(items: &str, name: &str) -> Option<u32> {
    let (_, rest) = items.split_once(&format!("{name} "))?;
    rest.split([' ', ')']).next()?.parse().ok()
}

/// Flags without \Recent, which belongs to a session and not to the message.
fn flags(items: &str) -> BTreeSet<String> {
    let (_, rest) = items.split_once("FLAGS (").expect("FLAGS");
    let (list, _) = rest.split_once(')').expect("FLAGS list");
    list.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").map(str::to_owned).collect()
}
