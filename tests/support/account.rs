//! What an account looks like: asked of Dovecot over IMAP, and of our store on the same directories.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mailcote::mail::utf7;
use mailcote::store::{Mailbox, Store};

use super::dovecot::PASSWORD;

/// How long a Dovecot may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What both servers must agree on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub folders: BTreeMap<String, FolderState>,
    pub subscriptions: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct FolderState {
    pub uid_validity: u32,
    pub uid_next: u32,
    /// UID to flags and keywords (in lower case: keywords are equal in any case), and size.
    pub messages: BTreeMap<u32, (BTreeSet<String>, u64)>,
}

/// An IMAP connection to Dovecot.
pub struct Client {
    reader: BufReader<TcpStream>,
    tag: u32,
    separator: String,
}

impl Client {
    pub fn login(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        let mut client = Client { reader: BufReader::new(stream), tag: 0, separator: ".".into() };
        client.line();
        client.run(&format!("LOGIN alice {PASSWORD}"));
        let list = client.run("LIST \"\" \"\"");
        client.separator = list[0].split('"').nth(1).unwrap().into();
        client
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\r\n"), "dovecot closed: {}", line.escape_ascii());
        String::from_utf8(line).unwrap().trim_end().into()
    }

    /// Run a command that must succeed; its untagged responses.
    pub fn run(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        write!(self.reader.get_mut(), "{tag} {command}\r\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix(&tag) {
                Some(status) if status.starts_with(" OK") => {
                    lines.push(line);
                    return lines;
                }
                Some(status) => panic!("{command}: {status}"),
                None => lines.push(line),
            }
        }
    }

    /// End, and wait until Dovecot has let go of the mailbox.
    pub fn logout(mut self) {
        self.run("LOGOUT");
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
    }

    /// Our name as Dovecot takes it.
    pub fn name(&self, text: &str) -> String {
        format!("\"{}\"", text.split('/').map(utf7::encode).collect::<Vec<_>>().join(&self.separator))
    }

    fn text(&self, name: &str) -> String {
        let name = name.trim_matches('"');
        name.split(&self.separator).map(|p| utf7::decode(p.as_bytes()).unwrap()).collect::<Vec<_>>().join("/")
    }

    /// Append a message; its UID.
    pub fn append(&mut self, folder: &str, flags: &str, message: &str) -> u32 {
        let command = format!("APPEND {} ({flags}) {{{}+}}\r\n{message}", self.name(folder), message.len());
        let answer = self.run(&command).pop().unwrap();
        let uid = answer.split("APPENDUID ").nth(1).unwrap().split([' ', ']']).nth(1).unwrap();
        uid.parse().unwrap()
    }

    pub fn account(&mut self) -> Account {
        let mut account = Account::default();
        for line in self.run("LIST \"\" \"*\"") {
            if let Some(name) = listed(&line, "* LIST ")
                && !line.contains("\\NonExistent")
                && !line.contains("\\NoSelect")
                && !line.contains("\\Noselect")
            {
                account.folders.insert(self.text(name), self.folder(name));
            }
        }
        for line in self.run("LSUB \"\" \"*\"") {
            if let Some(name) = listed(&line, "* LSUB ").filter(|_| !line.contains("\\NoSelect")) {
                account.subscriptions.insert(self.text(name));
            }
        }
        account
    }

    pub fn folder(&mut self, name: &str) -> FolderState {
        let mut folder = FolderState::default();
        let mut is_empty = false;
        for line in self.run(&format!("SELECT {name}")) {
            let code = |code: &str| line.split(code).nth(1).and_then(|rest| rest.split(']').next()?.parse().ok());
            folder.uid_validity = code("[UIDVALIDITY ").unwrap_or(folder.uid_validity);
            folder.uid_next = code("[UIDNEXT ").unwrap_or(folder.uid_next);
            is_empty |= line == "* 0 EXISTS";
        }
        if is_empty {
            return folder;
        }
        for line in self.run("FETCH 1:* (UID FLAGS RFC822.SIZE)").iter().filter(|line| line.contains(" FETCH (")) {
            let after = |key: &str| line.split(key).nth(1).unwrap().split([' ', ')']).next().unwrap();
            let flags = line.split("FLAGS (").nth(1).unwrap().split(')').next().unwrap();
            let flags = flags.split_whitespace().filter(|f| *f != "\\Recent").map(str::to_lowercase).collect();
            folder.messages.insert(after("UID ").parse().unwrap(), (flags, after("RFC822.SIZE ").parse().unwrap()));
        }
        folder
    }
}

/// The name in a LIST or LSUB response.
fn listed<'a>(line: &'a str, begins: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(begins)?;
    Some(rest.split_once("\" ")?.1)
}

/// The same, as our store sees it.
pub fn our_account(store: &Store) -> Account {
    let mut account = Account::default();
    for folder in store.folders().unwrap().into_iter().filter(|folder| folder.exists) {
        account.folders.insert(folder.name.to_string(), our_folder(&store.mailbox(&folder.name).unwrap()));
    }
    account.subscriptions = store.subscriptions().unwrap().iter().map(ToString::to_string).collect();
    account
}

pub fn our_folder(mailbox: &Mailbox) -> FolderState {
    let keywords = mailbox.keywords();
    let mut messages: BTreeMap<u32, (BTreeSet<String>, u64)> = mailbox.read(|messages| {
        let flags = |message: &mailcote::store::Message| {
            let named = keywords.iter().enumerate().filter(|(n, _)| message.keywords & 1 << n != 0);
            let names = message.flags.names().map(str::to_lowercase).chain(named.map(|(_, name)| name.to_lowercase()));
            (names.collect(), 0)
        };
        messages.iter().map(|message| (message.uid, flags(message))).collect()
    });
    for (uid, (_, size)) in &mut messages {
        *size = mailbox.wire_size(*uid).unwrap();
    }
    FolderState { uid_validity: mailbox.uid_validity(), uid_next: mailbox.uid_next(), messages }
}

/// alice's UIDLs, as a Dovecot tells them over POP3.
pub fn pop3_uidls(port: u16) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    write!(stream, "USER alice\r\nPASS {PASSWORD}\r\nUIDL\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let lines = answer.lines().skip_while(|line| !line.starts_with("1 ")).take_while(|line| *line != ".");
    lines.map(|line| line.split_once(' ').unwrap().1.into()).collect()
}
