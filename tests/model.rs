//! Random commands of four IMAP sessions on one mailbox, and other programs at work in it, against what a client believes.
//!
//! Each client keeps the plainest model that RFC 3501 lets it keep: a list of messages that EXISTS makes longer and EXPUNGE
//! shorter, with the UID and flags that FETCH responses told. What must hold:
//!
//! - a message number means the same message to both sides: a UID that was told for a place never changes;
//! - no EXPUNGE in answer to FETCH, STORE and SEARCH by number;
//! - a UID is one message for ever (each message has a size of its own to know it by);
//! - a client that has said NOTIFY for its mailbox, delayed or not, is never told a number that lies, and one that has said it for all mailboxes and then
//!   only listens ends with the names, subscriptions and counters that a new one finds;
//! - a client that uses CONDSTORE or QRESYNC, is cut off anywhere and comes back knows what a new one learns;
//! - after a NOOP nothing is left untold: flags that were told are the flags that are, all clients see the same
//!   messages, and as many as there are files.
//!
//! A failure names its seed; `MODEL_SEED=n` plays only that one and prints the conversation.

#[path = "model/client.rs"]
mod client;
#[path = "model/watcher.rs"]
mod watcher;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, FLAGS, Speaks};
use mailcote::account::{self, Accounts};
use mailcote::imap::{Settings, Shared};
use mailcote::store::{self, Layout, Stores};
use watcher::Watcher;

/// Random walks; `MODEL_SEEDS=n` makes more.
const SEEDS: u64 = 24;
/// Steps of each.
const STEPS: usize = 120;
/// Sessions on the mailbox.
const CLIENTS: usize = 4;
/// How long other programs' changes may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers that look random and can be had again (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

struct Walk {
    random: Random,
    maildir: PathBuf,
    clients: Vec<Client>,
    shared: Arc<Shared>,
    watcher: Watcher,
    show: bool,
    /// Messages made, each one byte longer than the last.
    made: usize,
    /// Size of each UID.
    sizes: HashMap<u32, u32>,
    _dir: tempfile::TempDir,
}

fn shared(root: &Path) -> Arc<Shared> {
    let domain = root.join("domains/demo.test");
    fs::create_dir_all(&domain).unwrap();
    fs::write(domain.join("users"), "alice:{PLAIN}alice-secret\n").unwrap();
    let accounts = Accounts::new(account::Settings {
        domains: root.join("domains"),
        maildir: root.join("mail").display().to_string(),
        layout: Layout::Maildirpp,
        delimiter: None,
        detail: false,
        default_domain: None,
        postmaster: None,
        system_domains: Vec::new(),
        exempt: Vec::new(),
        clear_on_loopback: true,
        max_seats: 10,
        scram: account::Scram::Never,
        masters: None,
        quota_file: None,
        oauth: None,
        secret_file: None,
    });
    let stores = Stores::new(store::Settings {
        hostname: "host".into(),
        coexist: false,
        default_folders: vec![(store::Name::parse("Other").unwrap(), store::Role::Archive)],
        ..store::Settings::default()
    });
    let settings = Settings { max_message_size: 1_000_000, ..Settings::default() };
    Arc::new(Shared { settings, accounts: Arc::new(accounts.unwrap()), stores: stores.unwrap() })
}

impl Walk {
    fn new(seed: u64, show: bool) -> Walk {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(dir.path());
        let clients = [Speaks::Plain, Speaks::Qresync, Speaks::Condstore, Speaks::Qresync];
        let all = "(MessageNew (uid flags) MessageExpunge FlagChange)";
        let all: [&'static str; 2] = [
            Box::leak(format!("notify set (selected-delayed {all})").into_boxed_str()),
            Box::leak(format!("notify set (selected {all})").into_boxed_str()),
        ];
        let notify = [None, Some(all[0]), Some(all[1]), None];
        let clients = (0..CLIENTS).map(|n| Client::new(&shared, n, clients[n], notify[n], show)).collect();
        let watcher = Watcher::new(&shared, show);
        let maildir = dir.path().join("mail");
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Walk { random, maildir, clients, shared, watcher, show, made: 0, sizes: HashMap::new(), _dir: dir }
    }

    fn message(&mut self) -> String {
        self.made += 1;
        format!("Subject: m\r\n\r\n{}\r\n", "x".repeat(self.made))
    }

    fn step(&mut self) {
        let who = self.random.below(CLIENTS);
        let what = self.random.below(24);
        if self.random.below(3) == 0 {
            self.watcher.listen();
        }
        if self.random.below(3) == 0 {
            self.clients[who].listen();
        }
        let count = self.clients[who].known.len();
        let number = self.random.below(count.max(1)) + 1;
        let flags: Vec<&str> = FLAGS.iter().copied().filter(|_| self.random.below(3) == 0).collect();
        let sign = ["", "+", "-"][self.random.below(3)];
        let silent = self.random.below(2) == 0;
        match what {
            0 | 1 => self.deliver(),
            2 => self.outside(|walk, path| {
                let letters = ["", "S", "FS", "T", "DR"][walk.random.below(5)];
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let base = name.split(':').next().unwrap().to_owned();
                fs::rename(path, walk.maildir.join("cur").join(format!("{base}:2,{letters}"))).unwrap();
            }),
            3 => self.outside(|_, path| fs::remove_file(path).unwrap()),
            4 => {
                let message = self.message();
                let flags = flags.join(" ");
                let head = format!("append INBOX ({flags}) {{{}+}}\r\n{message}", message.len());
                self.clients[who].command(&head);
            }
            5 => self.clients[who].idle(),
            18 => {
                let after = self.random.below(5);
                self.clients[who].lose_connection(after);
            }
            6 => drop(self.clients[who].command("expunge")),
            20 | 21 => self.change_tree(who),
            22 => self.change_tree_outside(),
            _ if count == 0 => drop(self.clients[who].command("noop")),
            7..=9 => self.clients[who].store(number, sign, &flags, silent, false),
            10 => self.clients[who].store(number, sign, &flags, silent, true),
            11 => drop(self.clients[who].command(&format!("copy {number} INBOX"))),
            12 => drop(self.clients[who].command(&format!("move {number} Other"))),
            13 => self.clients[who].by_uid(number, "expunge", ""),
            14 => self.clients[who].by_uid(number, "move", " Other"),
            15 => drop(self.clients[who].command(&format!("fetch {number} (uid flags)"))),
            16 => {
                let found = self.clients[who].command("search all");
                let all = (1..=count).fold("* SEARCH".to_owned(), |line, n| format!("{line} {n}"));
                let said = found.iter().find(|line| line.starts_with("* SEARCH")).expect("a SEARCH response");
                // Messages that are gone, but not told yet, may be left out; none may be invented.
                assert!(said.split(' ').all(|word| all.split(' ').any(|known| known == word)), "{said}");
            }
            _ => drop(self.clients[who].command("noop")),
        }
    }

    /// One of a few commands on one of a few names; what is not possible is refused.
    fn change_tree(&mut self, who: usize) {
        const NAMES: [&str; 5] = ["A", "A/B", "C", "C/D/E", "Other"];
        let (one, other) = (NAMES[self.random.below(5)], NAMES[self.random.below(4)]);
        let command = match self.random.below(6) {
            0 | 1 => format!("create {one}"),
            2 if one != "Other" => format!("rename {one} {other}"),
            3 if one != "Other" => format!("delete {one}"),
            4 => format!("subscribe {one}"),
            5 => format!("unsubscribe {one}"),
            _ => {
                let message = self.message();
                format!("append {one} {{{}+}}\r\n{message}", message.len())
            }
        };
        self.clients[who].attempt(&command);
    }

    /// The same by another program.
    fn change_tree_outside(&mut self) {
        let one = [".A", ".A.B", ".C"][self.random.below(3)];
        let path = self.maildir.join(one);
        match (path.join("cur").is_dir(), self.random.below(3)) {
            (false, _) => {
                // No folder of ours may be in the making: this is one thread.
                ["tmp", "cur", "new"].iter().for_each(|part| fs::create_dir_all(path.join(part)).unwrap());
            }
            (true, 0) => fs::remove_dir_all(&path).unwrap(),
            (true, _) => {
                self.made += 1;
                let name = format!("1700000000.M{}P2.outside", self.made);
                fs::write(path.join("new").join(name), "Subject: o\n\no\n").unwrap();
            }
        }
    }

    fn deliver(&mut self) {
        let text = self.message().replace("\r\n", "\n");
        let name = format!("1700000000.M{}P1.outside", self.made);
        let path = self.maildir.join("tmp").join(&name);
        fs::write(&path, text).unwrap();
        fs::rename(path, self.maildir.join("new").join(name)).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = ["new", "cur"].into_iter().flat_map(|sub| fs::read_dir(self.maildir.join(sub)).unwrap());
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn outside(&mut self, act: impl FnOnce(&mut Walk, &Path)) {
        let files = self.files();
        if !files.is_empty() {
            let n = self.random.below(files.len());
            act(self, &files[n]);
        }
    }

    /// Everybody looks; everybody must see the same, and all of it.
    fn agree(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let all = loop {
            // What another program did is seen a moment later, perhaps between two of these.
            let all: Vec<_> = self.clients.iter_mut().map(Client::look).collect();
            let files = self.files().len();
            if all.iter().all(|list| list.len() == files && *list == all[0]) {
                break all;
            }
            assert!(Instant::now() < deadline, "{files} files, and the clients see {all:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        loop {
            self.watcher.listen();
            let (now, subscribed) = watcher::look(&self.shared, self.show);
            let known = &self.watcher.known;
            let counted = known.iter().all(|(name, told)| now.get(name).is_some_and(|now| watcher::is_true(told, now)));
            if known.keys().eq(now.keys()) && counted && self.watcher.subscribed == subscribed {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{known:?} {:?} was told, and it is {now:?} {subscribed:?}",
                self.watcher.subscribed
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        for (uid, _, size) in all.iter().flatten() {
            assert_eq!(self.sizes.entry(*uid).or_insert(*size), size, "UID {uid} is another message now");
        }
    }
}

fn walk(seed: u64, show: bool) {
    let mut walk = Walk::new(seed, show);
    for step in 1..=STEPS {
        walk.step();
        if step % 30 == 0 {
            walk.agree();
        }
    }
}

#[test]
fn clients_and_files_agree() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("MODEL_SEED") {
        walk(seed, true);
        return;
    }
    let seeds = 1..=number("MODEL_SEEDS").unwrap_or(SEEDS);
    let failed: Vec<u64> = seeds.filter(|seed| std::panic::catch_unwind(|| walk(*seed, false)).is_err()).collect();
    assert!(failed.is_empty(), "failed with seeds {failed:?}; see the messages above, or MODEL_SEED=n for one of them");
}
