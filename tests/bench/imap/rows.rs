//! The rows of the table: what is done, on which folder, and what is put right again unmeasured.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::Client;
use super::servers::{Mailbox, Server, Servers};
use super::{Round, cpu, folders};

/// Short work is repeated until a round takes so long: CPU time is counted coarsely.
const ENOUGH: Duration = Duration::from_millis(300);
/// And at most so often.
const MAX_TIMES: u32 = 2_000;
/// Messages in the rows that copy and move.
const SOME: usize = 1_000;
/// Folders of the STATUS row.
const FOLDERS: usize = 500;
/// Messages of the APPEND rows.
const APPENDS: usize = 640;

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    /// For every size of folder, or once.
    pub every_size: bool,
    /// A round, or nothing where the server cannot do it.
    pub work: fn(&mut Bench, Server, usize) -> Option<Round>,
}

impl Row {
    /// Messages (or whatever is counted) in one piece of work on a folder of `size`.
    pub fn messages(&self, size: usize) -> usize {
        match self.name {
            "copy" | "move" => SOME.min(size),
            "status" => FOLDERS,
            "append1" | "append16" => APPENDS,
            "login" | "session" | "select" | "select-cold" | "qresync" if !self.every_size => 1,
            _ => size,
        }
    }
}

const ENVELOPE: &str = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)";
const STRUCTURE: &str = "FETCH 1:* (BODYSTRUCTURE)";
const BODIES: &str = "FETCH 1:* (BODY.PEEK[])";
const HEADERS: &str = "FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID References)])";

macro_rules! warm {
    ($name:literal, $command:expr) => {
        Row { name: $name, every_size: true, work: |bench, who, size| bench.warm(who, size, "", $command) }
    };
    ($name:literal, $capability:literal, $command:expr) => {
        Row { name: $name, every_size: true, work: |bench, who, size| bench.warm(who, size, $capability, $command) }
    };
}

macro_rules! cold {
    ($name:literal, $command:expr) => {
        Row { name: $name, every_size: true, work: |bench, who, size| bench.cold(who, size, $command) }
    };
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row { name: "login", every_size: false, work: |bench, who, _| bench.login(who) },
    Row { name: "session", every_size: true, work: |bench, who, size| bench.session(who, size) },
    Row { name: "select", every_size: true, work: |bench, who, size| bench.select(who, size) },
    cold!("select-cold", None),
    warm!("envelope", ENVELOPE),
    cold!("envelope-cold", Some(ENVELOPE)),
    warm!("structure", STRUCTURE),
    cold!("structure-cold", Some(STRUCTURE)),
    warm!("headers", HEADERS),
    warm!("bodies", BODIES),
    cold!("bodies-cold", Some(BODIES)),
    warm!("search-subject", "SEARCH SUBJECT \"number 77\""),
    warm!("search-from", "SEARCH FROM \"person77@\""),
    warm!("search-since", "SEARCH SINCE 1-Jan-2020"),
    warm!("search-text", "SEARCH TEXT \"nowhereatall\""),
    warm!("search-body", "SEARCH BODY \"nowhereatall\""),
    warm!("sort-date", "SORT", "SORT (DATE) UTF-8 ALL"),
    warm!("sort-subject", "SORT", "SORT (SUBJECT) UTF-8 ALL"),
    warm!("sort-from", "SORT", "SORT (FROM) UTF-8 ALL"),
    warm!("thread", "THREAD=REFERENCES", "THREAD REFERENCES UTF-8 ALL"),
    warm!("thread-refs", "THREAD=REFS", "THREAD REFS UTF-8 ALL"),
    Row { name: "store", every_size: true, work: |bench, who, size| bench.store(who, size) },
    Row { name: "copy", every_size: true, work: |bench, who, size| bench.copy(who, size, false) },
    Row { name: "move", every_size: true, work: |bench, who, size| bench.copy(who, size, true) },
    Row { name: "qresync", every_size: true, work: |bench, who, size| bench.qresync(who, size) },
    Row { name: "status", every_size: false, work: |bench, who, _| bench.status(who) },
    Row { name: "append1", every_size: false, work: |bench, who, _| bench.append(who, 1) },
    Row { name: "append16", every_size: false, work: |bench, who, _| bench.append(who, 16) },
];

/// The servers, and the mailboxes that were made on them.
pub struct Bench {
    pub servers: Servers,
    mailboxes: HashMap<(bool, usize), Mailbox>,
    messages: Vec<Vec<u8>>,
    _root: std::path::PathBuf,
}

impl Bench {
    pub fn new(servers: Servers, root: &Path) -> Bench {
        Bench { servers, mailboxes: HashMap::new(), messages: folders::corpus(), _root: root.into() }
    }

    /// The mailbox with `size` messages in INBOX, made at first use.
    fn mailbox(&mut self, who: Server, size: usize) -> &Mailbox {
        let key = (who == Server::Mailcote, size);
        if !self.mailboxes.contains_key(&key) {
            let mailbox = self.servers.fresh_user(who);
            folders::fill(&mailbox, &mailbox.maildir, size);
            self.mailboxes.insert(key, mailbox);
        }
        &self.mailboxes[&key]
    }

    fn client(&mut self, who: Server, size: usize) -> Client {
        let port = self.servers.imap_port(who);
        let mailbox = self.mailbox(who, size);
        Client::login(port, &mailbox.address, &mailbox.password)
    }

    /// Measure `work`, which is done `times` times.
    fn measure(&self, who: Server, times: u32, mut work: impl FnMut()) -> Round {
        let before = cpu::of_tree(self.servers.pid(who));
        let start = Instant::now();
        (0..times).for_each(|_| work());
        let wall = start.elapsed();
        Round { times, wall, cpu: cpu::of_tree(self.servers.pid(who)).saturating_sub(before) }
    }

    /// Do `work` once unmeasured, and then often enough.
    fn repeat(&self, who: Server, mut work: impl FnMut()) -> Round {
        work();
        let start = Instant::now();
        work();
        let once = start.elapsed().max(Duration::from_micros(1));
        let times = (ENOUGH.as_micros() / once.as_micros()).clamp(1, MAX_TIMES.into());
        self.measure(who, times as u32, work)
    }

    fn warm(&mut self, who: Server, size: usize, capability: &str, command: &str) -> Option<Round> {
        let mut client = self.client(who, size);
        if !client.ask("CAPABILITY").to_ascii_uppercase().contains(capability) {
            return None;
        }
        client.run("SELECT INBOX");
        let round = self.repeat(who, || client.run(command));
        client.logout();
        Some(round)
    }

    /// SELECT, and `command` if there is one, on a folder that the server has never seen.
    fn cold(&mut self, who: Server, size: usize, command: Option<&str>) -> Option<Round> {
        self.mailbox(who, size);
        let old = self.mailboxes.remove(&(who == Server::Mailcote, size))?;
        let new = self.servers.fresh_user(who);
        let home = new.maildir.parent().expect("a home");
        std::fs::create_dir_all(home).expect("a home");
        new.own(home);
        let _ = std::fs::remove_dir_all(&new.maildir);
        std::fs::rename(&old.maildir, &new.maildir).expect("move the Maildir");
        folders::forget(&new.maildir);
        let (port, login) = (self.servers.imap_port(who), (new.address.clone(), new.password.clone()));
        self.mailboxes.insert((who == Server::Mailcote, size), new);
        let mut client = Client::login(port, &login.0, &login.1);
        if !folders::drop_caches() {
            return None;
        }
        let round = match command {
            None => self.measure(who, 1, || client.run("SELECT INBOX")),
            Some(command) => {
                client.run("SELECT INBOX");
                folders::drop_caches();
                self.measure(who, 1, || client.run(command))
            }
        };
        client.logout();
        Some(round)
    }

    fn login(&mut self, who: Server) -> Option<Round> {
        let port = self.servers.imap_port(who);
        let mailbox = self.mailbox(who, 1_000);
        let (user, password) = (mailbox.address.clone(), mailbox.password.clone());
        Some(self.repeat(who, || Client::login(port, &user, &password).logout()))
    }

    fn session(&mut self, who: Server, size: usize) -> Option<Round> {
        let port = self.servers.imap_port(who);
        let mailbox = self.mailbox(who, size);
        let (user, password) = (mailbox.address.clone(), mailbox.password.clone());
        Some(self.repeat(who, || {
            let mut client = Client::login(port, &user, &password);
            client.run("SELECT INBOX");
            client.logout();
        }))
    }

    fn select(&mut self, who: Server, size: usize) -> Option<Round> {
        let mut client = self.client(who, size);
        let round = self.repeat(who, || client.run("SELECT INBOX"));
        client.logout();
        Some(round)
    }

    /// Set a flag on all, and take it away again; the time of one of both.
    fn store(&mut self, who: Server, size: usize) -> Option<Round> {
        let mut client = self.client(who, size);
        client.run("SELECT INBOX");
        let mut add = false;
        let round = self.repeat(who, || {
            add = !add;
            client.run(if add { "STORE 1:* +FLAGS (\\Flagged)" } else { "STORE 1:* -FLAGS (\\Flagged)" });
        });
        client.logout();
        Some(round)
    }

    /// The first thousand into a new folder; a moved one goes back unmeasured.
    fn copy(&mut self, who: Server, size: usize, moves: bool) -> Option<Round> {
        let mut client = self.client(who, size);
        client.run("CREATE Target");
        client.run("SELECT INBOX");
        let set = format!("1:{}", SOME.min(size));
        let command = if moves { "MOVE" } else { "COPY" };
        let round = self.measure(who, 1, || client.run(&format!("{command} {set} Target")));
        if moves {
            client.run("SELECT Target");
            client.run("MOVE 1:* INBOX");
        }
        client.run("SELECT INBOX");
        client.run("DELETE Target");
        client.logout();
        Some(round)
    }

    /// Ten flags are changed by one client; another, which knew the folder before, comes back.
    fn qresync(&mut self, who: Server, size: usize) -> Option<Round> {
        let mut client = self.client(who, size);
        if !client.ask("CAPABILITY").to_ascii_uppercase().contains("QRESYNC") {
            return None;
        }
        client.run("ENABLE QRESYNC");
        let said = client.ask("SELECT INBOX");
        let number = |key: &str| -> Option<u64> {
            let rest = &said[said.find(key)? + key.len()..];
            rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let (validity, modseq) = (number("UIDVALIDITY")?, number("HIGHESTMODSEQ")?);
        client.run("STORE 1:10 +FLAGS (\\Answered)");
        client.run("STORE 1:10 -FLAGS (\\Answered)");
        let command = format!("SELECT INBOX (QRESYNC ({validity} {modseq}))");
        let round = self.repeat(who, || client.run(&command));
        client.logout();
        Some(round)
    }

    /// A message as a client sends it. Without 8-bit characters: RFC 6855 section 4 has a server refuse them in a header.
    fn to_append(&self, n: usize) -> Vec<u8> {
        let text = folders::message(&self.messages, n);
        String::from_utf8_lossy(&text).replace(|c: char| !c.is_ascii(), "?").replace('\n', "\r\n").into()
    }

    fn status(&mut self, who: Server) -> Option<Round> {
        let mut client = self.client(who, 1_000);
        if !client.ask("LIST \"\" *").contains("Many") {
            for n in 0..FOLDERS {
                client.run(&format!("CREATE Many{n}"));
                client.append(&format!("Many{n}"), &self.to_append(n));
            }
        }
        let command = "LIST \"\" \"Many*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))";
        if !client.ask("CAPABILITY").contains("LIST-STATUS") {
            return None;
        }
        let round = self.repeat(who, || client.run(command));
        client.logout();
        Some(round)
    }

    fn append(&mut self, who: Server, connections: usize) -> Option<Round> {
        let mailbox = self.servers.fresh_user(who);
        folders::fill(&mailbox, &mailbox.maildir, 0);
        let port = self.servers.imap_port(who);
        let mut clients: Vec<Client> =
            (0..connections).map(|_| Client::login(port, &mailbox.address, &mailbox.password)).collect();
        let messages: Vec<Vec<u8>> = (0..40).map(|n| self.to_append(n)).collect();
        let round = self.measure(who, 1, || {
            std::thread::scope(|scope| {
                for client in &mut clients {
                    scope.spawn(|| {
                        for n in 0..APPENDS / connections {
                            client.append("INBOX", &messages[n % messages.len()]);
                        }
                    });
                }
            });
        });
        clients.into_iter().for_each(Client::logout);
        self.servers.empty(&mailbox);
        Some(round)
    }
}
