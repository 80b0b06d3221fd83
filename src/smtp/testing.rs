//! A small world for the tests of this module: users on file, a tree in a temporary directory, and a client that holds
//! one end of a session without a socket.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Kind, Memory, Settings, Shared, Smtp};
use crate::account::{self, Accounts};
use crate::store::{self, Layout, Name, Stores};
use crate::wire::{Asked, Event, Input, Out, Peer, Session, Tls, Want};

/// alice and bob of demo.test, an alias `team` of both, alice's folder Work.
pub(super) struct World {
    pub shared: Arc<Shared>,
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        Self::with(Settings { hostname: "mail.demo.test".into(), ..Settings::default() })
    }

    pub fn with(settings: Settings) -> World {
        Self::with_memory(settings, Memory::default())
    }

    pub fn with_memory(settings: Settings, memory: Memory) -> World {
        let users = "alice:{PLAIN}alice-secret\nbob:{PLAIN}bob-secret\n";
        Self::build(settings, memory, users, "team: alice, bob\n")
    }

    /// user1 to `count` beside alice, and an alias of all of them, `everybody`.
    pub fn with_users(count: usize) -> World {
        let names: Vec<String> = (1..=count).map(|n| format!("user{n}")).collect();
        let users = format!("alice:{{PLAIN}}alice-secret\n{}:{{PLAIN}}secret\n", names.join(":{PLAIN}secret\n"));
        let aliases = format!("everybody: {}\n", names.join(", "));
        Self::build(Settings::default(), Memory::default(), &users, &aliases)
    }

    fn build(settings: Settings, memory: Memory, users: &str, aliases: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let domain = dir.path().join("domains/demo.test");
        fs::create_dir_all(&domain).unwrap();
        fs::write(domain.join("users"), users).unwrap();
        fs::write(domain.join("aliases"), aliases).unwrap();
        let accounts = Accounts::new(account::Settings {
            domains: dir.path().join("domains"),
            maildir: format!("{}/mail/{{user}}", dir.path().display()),
            layout: Layout::Maildirpp,
            delimiter: Some('+'),
            detail: true,
            default_domain: None,
            postmaster: None,
            system_domains: Vec::new(),
            exempt: Vec::new(),
            clear_on_loopback: false,
            max_seats: 10,
            scram: account::Scram::Auto,
            masters: None,
            quota_file: None,
            oauth: None,
            secret_file: None,
        })
        .unwrap();
        let stores = Stores::new(store::Settings { hostname: "host".into(), ..store::Settings::default() }).unwrap();
        let shared = Shared { settings, accounts: Arc::new(accounts), stores, memory };
        let world = World { shared: Arc::new(shared), dir };
        let home =
            store::Home { maildir: world.maildir("alice"), layout: Layout::Maildirpp, owner: store::Owner::Daemon };
        world.shared.stores.open(&home).unwrap().create(&Name::parse("Work").unwrap(), None).unwrap();
        world
    }

    pub fn maildir(&self, user: &str) -> PathBuf {
        self.dir.path().join("mail").join(user)
    }

    /// What is in a directory below a user's Maildir (`new`, `.Work/new`, `tmp`), sorted by name; nothing if it is not there.
    pub fn files(&self, user: &str, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.maildir(user).join(directory)) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| String::from_utf8(fs::read(path).unwrap()).unwrap()).collect()
    }

    /// Put a file in the place of a directory of a user's Maildir, so that nothing can be made in it.
    pub fn break_directory(&self, user: &str, directory: &str) {
        let path = self.maildir(user).join(directory);
        fs::create_dir_all(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
    }

    pub fn client(&self, kind: Kind) -> Client {
        let address = "192.0.2.1:4321".parse().unwrap();
        let tls = Tls { version: "TLSv1.3".into(), cipher: "TLS_X".into(), ..Tls::default() };
        let tls = (kind == Kind::Submission).then_some(tls);
        let peer = Peer { tls, ..Peer::new(address, "192.0.2.2:25".parse().unwrap(), 1) };
        let mut client = Client {
            session: Smtp::new(self.shared.clone(), kind, peer),
            input: Input::new(),
            out: Out::new(),
            want: Want::Input,
        };
        client.step(Event::Opened);
        let hello = if kind == Kind::Lmtp { "LHLO" } else { "EHLO" };
        client.say(&format!("{hello} client.example\r\n"));
        if kind == Kind::Submission {
            // \0alice@demo.test\0alice-secret
            let said = client.say("AUTH PLAIN AGFsaWNlQGRlbW8udGVzdABhbGljZS1zZWNyZXQ=\r\n");
            assert!(said.starts_with("235"), "{said}");
        }
        client
    }
}

/// One end of a session.
pub(super) struct Client {
    pub session: Smtp,
    pub input: Input,
    pub want: Want,
    out: Out,
}

impl Client {
    /// Send all at once; what came back, when the session waits for more.
    pub fn say(&mut self, text: &str) -> String {
        self.input.extend(text.as_bytes());
        self.step(Event::Input)
    }

    pub fn step(&mut self, event: Event) -> String {
        let mut said = String::new();
        let mut event = event;
        loop {
            self.want = self.session.step(event, &mut self.input, &mut self.out);
            said.push_str(std::str::from_utf8(self.out.bytes()).unwrap());
            self.out.clear();
            event = match std::mem::replace(&mut self.want, Want::Close) {
                Want::Continue | Want::Pause(_) => Event::Flushed,
                Want::Work(work) => Event::Answer(work()),
                Want::Ask(_) => Event::Answer(Box::new(Asked::Failed("nobody to ask here".into()))),
                waits => {
                    self.want = waits;
                    return said;
                }
            };
        }
    }

    /// MAIL, RCPT for each, DATA: ready for the message.
    pub fn begin(&mut self, recipients: &[&str]) {
        let said = self.say("MAIL FROM:<alice@demo.test>\r\n");
        assert!(said.starts_with("250"), "{said}");
        for recipient in recipients {
            let said = self.say(&format!("RCPT TO:<{recipient}>\r\n"));
            assert!(said.starts_with("250"), "{recipient}: {said}");
        }
        assert!(self.say("DATA\r\n").starts_with("354"));
    }
}
