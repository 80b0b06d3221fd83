//! An IMAP client that believes what it is told and nothing else.
//!
//! One that keeps mod-sequences (RFC 7162) remembers what it believes when its connection is cut, and asks only for what changed when it
//! comes back; how far it knows everything it reckons as section 6 there says.

use std::collections::{BTreeMap, BTreeSet};
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

/// What a client uses to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Nothing: it begins anew.
    Plain,
    /// FETCH with CHANGEDSINCE, and a list of all UIDs.
    Condstore,
    /// SELECT with QRESYNC.
    Qresync,
}

/// One end of a conversation.
pub struct Wire {
    session: Imap,
    /// What the session wanted last.
    pub want: Want,
    name: usize,
    show: bool,
}

impl Wire {
    /// A connection that is not greeted yet.
    pub fn new(shared: &Arc<Shared>, name: usize, show: bool) -> Wire {
        let (local, remote) = (([127, 0, 0, 1], 143).into(), ([127, 0, 0, 1], 40_000).into());
        let session = Imap::new(Arc::clone(shared), Peer::new(remote, local, 1));
        Wire { session, want: Want::Input, name, show }
    }

    /// Let something happen; every line that is answered.
    pub fn exchange(&mut self, event: Event, text: &str) -> Vec<String> {
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
}

/// A client with the mailbox open.
pub struct Client {
    shared: Arc<Shared>,
    speaks: Speaks,
    validity: u32,
    /// Everything up to this mod-sequence is known.
    modseq: u64,
    /// The highest MODSEQ, and the last HIGHESTMODSEQ, since the last tagged reply.
    seen: (u64, Option<u64>),
    wire: Wire,
    name: usize,
    show: bool,
    /// What it says to NOTIFY, if anything: it is told between commands, too.
    notify: Option<&'static str>,
    /// What it believes, by message number.
    pub known: Vec<Known>,
}

impl Client {
    /// Log in and select INBOX.
    pub fn new(shared: &Arc<Shared>, name: usize, speaks: Speaks, notify: Option<&'static str>, show: bool) -> Client {
        let wire = Wire::new(shared, name, show);
        let (shared, known) = (Arc::clone(shared), Vec::new());
        let (validity, modseq, seen) = (0, 0, (0, None));
        let mut client = Client { shared, speaks, validity, modseq, seen, wire, name, show, notify, known };
        client.begin();
        client
    }

    /// Log in and select INBOX, with what is remembered of it.
    fn begin(&mut self) {
        self.exchange(Event::Opened, "");
        self.exchange(Event::Input, "a login alice@demo.test alice-secret\r\n");
        let cached = std::mem::take(&mut self.known).into_iter().filter_map(|known| Some((known.uid?, known.flags)));
        let mut cached: BTreeMap<u32, Option<BTreeSet<String>>> = cached.collect();
        let (validity, modseq, next) = (self.validity, self.modseq, cached.keys().last().map_or(1, |last| last + 1));
        let comes_back = self.modseq > 0 && self.speaks != Speaks::Plain;
        let select = match self.speaks {
            Speaks::Plain => "select INBOX".to_owned(),
            Speaks::Condstore => "select INBOX (CONDSTORE)".to_owned(),
            Speaks::Qresync => {
                self.exchange(Event::Input, "a enable qresync\r\n");
                let known = format!(" (QRESYNC ({validity} {modseq}))");
                format!("select INBOX{}", if comes_back { &known } else { "" })
            }
        };
        let lines = self.exchange(Event::Input, &format!("a {select}\r\n"));
        let word = |line: &String, start: &str| line.split_once(start)?.1.split([']', ' ']).next()?.parse::<u64>().ok();
        let exists = lines.iter().find_map(|line| line.strip_suffix(" EXISTS")?.strip_prefix("* ")?.parse().ok());
        let count: usize = exists.expect("EXISTS");
        self.validity = lines.iter().find_map(|line| word(line, "[UIDVALIDITY ")).unwrap().try_into().unwrap();
        let now = lines.iter().rev().find_map(|line| word(line, "[HIGHESTMODSEQ ")).unwrap();
        if !comes_back {
            cached.clear();
        }
        if self.speaks == Speaks::Qresync {
            for line in &lines {
                if let Some(gone) = line.strip_prefix("* VANISHED (EARLIER) ") {
                    let gone: Vec<(u32, u32)> = uids(gone).collect();
                    cached.retain(|uid, _| !gone.iter().any(|(low, high)| (low..=high).contains(&uid)));
                }
                if let Some(uid) = fetch(line).and_then(|(_, items)| value(items, "UID")).filter(|uid| *uid < next) {
                    assert!(
                        cached.contains_key(&uid),
                        "client {}: {line} of a message that it does not know",
                        self.name
                    );
                    cached.insert(uid, fetch(line).map(|(_, items)| flags(items)));
                }
            }
            assert!(cached.len() <= count, "client {}: remembers {cached:?}, and {count} are there", self.name);
            self.known = cached.into_iter().map(|(uid, flags)| Known { uid: Some(uid), flags }).collect();
            self.known.resize(count, Known::default());
        } else {
            self.known.resize(count, Known::default());
            if !cached.is_empty() && count > 0 {
                self.command("fetch 1:* (uid)");
                for known in &mut self.known {
                    known.flags = known.uid.and_then(|uid| cached.get(&uid).cloned().flatten());
                }
                self.command(&format!("uid fetch 1:* (flags) (changedsince {modseq})"));
            }
        }
        self.modseq = self.modseq.max(now);
        self.learn();
        if let Some(notify) = self.notify {
            self.command(notify);
        }
    }

    /// The connection is lost, perhaps in the middle of an answer; a new one is made.
    pub fn lose_connection(&mut self, after: usize) {
        for line in self.exchange(Event::Input, "a noop\r\n").iter().take(after).filter(|line| !line.starts_with("a "))
        {
            self.believe(line);
        }
        self.seen = (0, None);
        self.wire = Wire::new(&self.shared, self.name, self.show);
        self.begin();
    }

    /// Who keeps what it knows asks for what it does not know yet.
    fn learn(&mut self) {
        while self.speaks != Speaks::Plain
            && let Some(first) = self.known.iter().position(|known| known.uid.is_none() || known.flags.is_none())
        {
            let before = self.known.clone();
            self.say(&format!("fetch {}:* (uid flags)", first + 1));
            if self
                .known
                .iter()
                .skip(first)
                .zip(&before[first..])
                .all(|(now, then)| now.uid == then.uid && now.flags == then.flags)
            {
                // Gone, and not told yet.
                self.say("noop");
            }
        }
        let uids: Vec<_> = self.known.iter().filter_map(|known| known.uid).collect();
        assert!(uids.is_sorted(), "client {}: {uids:?}", self.name);
    }

    fn exchange(&mut self, event: Event, text: &str) -> Vec<String> {
        self.wire.exchange(event, text)
    }

    /// Give a command, which must be answered OK; believe what it says.
    pub fn command(&mut self, text: &str) -> Vec<String> {
        let lines = self.say(text);
        self.learn();
        lines
    }

    fn say(&mut self, text: &str) -> Vec<String> {
        let lines = self.exchange(Event::Input, &format!("a {text}\r\n"));
        let by_number = ["fetch ", "store ", "search "].iter().any(|name| text.starts_with(name));
        let end = lines.iter().position(|line| line.starts_with("a ")).expect("an answer");
        for line in &lines[..end] {
            let expunges = line.ends_with(" EXPUNGE") || line.starts_with("* VANISHED ") && !line.contains("(EARLIER)");
            assert!(!(by_number && expunges), "{line} in answer to {text}");
            self.believe(line);
        }
        self.believe(&lines[end]);
        self.reckon();
        // What NOTIFY asked for is told behind it.
        lines[end + 1..].iter().for_each(|line| self.believe(line));
        let end = &lines[end];
        // What others expunged, and we were not told, cannot be moved or copied.
        assert!(end.starts_with("a OK ") || end.starts_with("a NO [EXPUNGEISSUED]"), "{text}: {end}");
        lines
    }

    /// Wait a moment for what others do.
    pub fn idle(&mut self) {
        for line in self.exchange(Event::Input, "a idle\r\n") {
            self.believe(&line);
        }
        if let Want::InputOrNotice(notice) = &self.wire.want
            && notice.take()
        {
            for line in self.exchange(Event::Notice, "") {
                self.believe(&line);
            }
        }
        for line in self.exchange(Event::Input, "DONE\r\n") {
            self.believe(&line);
        }
        self.reckon();
        self.learn();
    }

    /// Hear what is told without a command.
    pub fn listen(&mut self) {
        if let Want::InputOrNotice(notice) = &self.wire.want
            && notice.take()
        {
            for line in self.exchange(Event::Notice, "") {
                self.believe(&line);
            }
            self.learn();
        }
    }

    /// Give a command that may be refused.
    pub fn attempt(&mut self, text: &str) {
        let lines = self.exchange(Event::Input, &format!("a {text}\r\n"));
        let end = lines.iter().position(|line| line.starts_with("a ")).expect("an answer");
        lines[..=end].iter().for_each(|line| self.believe(line));
        self.reckon();
        lines[end + 1..].iter().for_each(|line| self.believe(line));
        self.learn();
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

    /// At a tagged reply: how far everything is known (RFC 7162 section 6).
    fn reckon(&mut self) {
        let (highest, code) = std::mem::take(&mut self.seen);
        self.modseq = code.unwrap_or_else(|| self.modseq.max(highest));
    }

    fn believe(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once("[HIGHESTMODSEQ ") {
            self.seen.1 = rest.split(']').next().and_then(|number| number.parse().ok());
        }
        if let Some((_, rest)) = line.split_once("MODSEQ (") {
            self.seen.0 = self.seen.0.max(rest.split(')').next().and_then(|n| n.parse().ok()).expect("a mod-sequence"));
        }
        if let Some(gone) = line.strip_prefix("* VANISHED ").filter(|gone| !gone.starts_with('(')) {
            assert!(self.speaks == Speaks::Qresync, "{line}");
            for uid in uids(gone).flat_map(|(low, high)| low..=high) {
                // One that it was told of by EXISTS only is one of those at the end.
                let at = self.known.iter().position(|known| known.uid == Some(uid));
                let at = at.or_else(|| self.known.iter().position(|known| known.uid.is_none()));
                self.known.remove(at.unwrap_or_else(|| panic!("no message has this UID: {line}")));
            }
            return;
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["*", count, "EXISTS"] => {
                let count: usize = count.parse().unwrap();
                assert!(count >= self.known.len(), "EXISTS must not make the mailbox smaller: {line}");
                self.known.resize(count, Known::default());
            }
            ["*", number, "EXPUNGE"] => {
                assert!(self.speaks != Speaks::Qresync, "{line}");
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
                if items.contains("FLAGS (") {
                    known.flags = Some(flags(items));
                }
            }
        }
    }
}

/// Number and items of a FETCH response.
fn fetch(line: &str) -> Option<(usize, &str)> {
    let (number, items) = line.strip_prefix("* ")?.split_once(" FETCH ")?;
    Some((number.parse().ok()?, items))
}

/// Ranges of a UID set.
fn uids(set: &str) -> impl Iterator<Item = (u32, u32)> {
    set.split(',').map(|range| {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        (low.parse().unwrap(), high.parse().unwrap())
    })
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
