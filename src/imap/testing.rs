//! A small world for the tests of this module: alice of demo.test with an empty INBOX, and a client that holds one end of a
//! session without a socket.

use std::fs;
use std::sync::Arc;

use super::{Imap, Settings, Shared};
use crate::account::{self, Accounts};
use crate::store::{self, Layout, Stores};
use crate::wire::{Asked, Event, Input, Out, Peer, Session, Switch, Want};

/// alice's mail in a temporary directory.
pub(super) struct World {
    shared: Arc<Shared>,
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        World::with(|_, _| {})
    }

    /// With settings changed.
    pub fn with(change: impl FnOnce(&mut account::Settings, &mut Settings)) -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("domains/demo.test")).unwrap();
        World::over(dir, change)
    }

    /// The server starts again, with the settings of [`World::new`], and knows nothing but what is on the disk.
    pub fn restart(self) -> World {
        let World { shared, dir } = self;
        drop(shared);
        World::over(dir, |_, _| {})
    }

    fn over(dir: tempfile::TempDir, change: impl FnOnce(&mut account::Settings, &mut Settings)) -> World {
        let domain = dir.path().join("domains/demo.test");
        fs::write(domain.join("users"), "alice:{PLAIN}alice-secret\n").unwrap();
        let mut accounts = account::Settings {
            domains: dir.path().join("domains"),
            maildir: format!("{}/mail", dir.path().display()),
            layout: Layout::Maildirpp,
            delimiter: None,
            detail: false,
            default_domain: None,
            postmaster: None,
            system_domains: Vec::new(),
            exempt: Vec::new(),
            clear_on_loopback: true,
            max_seats: 10,
            scram: account::Scram::Auto,
            masters: None,
            quota_file: None,
            oauth: None,
            secret_file: None,
        };
        let stores = Stores::new(store::Settings {
            hostname: "host".into(),
            coexist: false,
            default_folders: Vec::new(),
            ..store::Settings::default()
        });
        let mut settings = Settings { max_message_size: 1_000_000, starttls: Switch::new(true), ..Settings::default() };
        change(&mut accounts, &mut settings);
        let accounts = Accounts::new(accounts).unwrap();
        let shared = Shared { settings, accounts: Arc::new(accounts), stores: stores.unwrap() };
        World { shared: Arc::new(shared), dir }
    }

    /// What the users file says of alice behind her password.
    pub fn alice_has(&self, fields: &str) {
        let line = format!("alice:{{PLAIN}}alice-secret::::::{fields}\n");
        fs::write(self.dir.path().join("domains/demo.test/users"), line).unwrap();
    }

    /// bob is another user, of the same mail: all users of this world have one home.
    pub fn with_bob(self) -> World {
        let lines = "alice:{PLAIN}alice-secret\nbob:{PLAIN}bob-secret\n";
        fs::write(self.dir.path().join("domains/demo.test/users"), lines).unwrap();
        self
    }

    /// How many files are in a directory of INBOX.
    pub fn files(&self, directory: &str) -> usize {
        fs::read_dir(self.dir.path().join("mail").join(directory)).map_or(0, Iterator::count)
    }

    /// Delete what INBOX has beside its mail, if it is there.
    pub fn forget(&self, file: &str) {
        let _ = fs::remove_file(self.dir.path().join("mail").join(file));
    }

    /// Put files of these names into a directory of INBOX, as another program would.
    pub fn put(&self, directory: &str, name: &str, bytes: &[u8]) {
        let directory = self.dir.path().join("mail").join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), bytes).unwrap();
    }

    /// As [`World::put`], an hour ago: nobody is writing it any more.
    pub fn put_long_ago(&self, directory: &str, name: &str, bytes: &[u8]) {
        self.put(directory, name, bytes);
        let path = self.dir.path().join("mail").join(directory).join(name);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    }

    /// INBOX, as the sessions have it open.
    pub fn inbox(&self) -> Arc<store::Mailbox> {
        let user = self.shared.accounts.user("alice@demo.test").unwrap();
        self.shared.stores.open(&user.home).unwrap().mailbox(&store::Name::inbox()).unwrap()
    }

    /// Remove a file from a directory of INBOX, as another program would.
    pub fn remove(&self, directory: &str, name: &str) {
        fs::remove_file(self.dir.path().join("mail").join(directory).join(name)).unwrap();
    }

    /// Make a folder, as another program would.
    pub fn make(&self, directory: &str) {
        fs::create_dir_all(self.dir.path().join("mail").join(directory).join("cur")).unwrap();
        fs::create_dir_all(self.dir.path().join("mail").join(directory).join("new")).unwrap();
    }

    /// A client on loopback, greeted.
    pub fn client(&self) -> Client {
        let (local, remote) = (([127, 0, 0, 1], 143).into(), ([127, 0, 0, 1], 40_000).into());
        let peer = Peer::new(remote, local, 1);
        let session = Imap::new(Arc::clone(&self.shared), peer);
        let mut client = Client { session, input: Input::new(), want: Want::Input, steps: 0 };
        client.happens(Event::Opened);
        client
    }
}

/// One end of a conversation.
pub(super) struct Client {
    pub session: Imap,
    input: Input,
    /// What the session wanted last.
    pub want: Want,
    /// Steps it made.
    pub steps: usize,
}

impl Client {
    /// Let something happen; everything that is answered.
    pub fn happens(&mut self, event: Event) -> String {
        let (mut out, mut next) = (Out::new(), Some(event));
        while let Some(event) = next {
            self.steps += 1;
            self.want = self.session.step(event, &mut self.input, &mut out);
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
        String::from_utf8_lossy(out.bytes()).into_owned()
    }

    /// Send bytes; everything that is answered.
    pub fn says(&mut self, text: &str) -> String {
        self.says_bytes(text.as_bytes())
    }

    /// As [`Client::says`], for what is not text. A session that wants to end gets nothing any more.
    pub fn says_bytes(&mut self, bytes: &[u8]) -> String {
        if !matches!(self.want, Want::Input | Want::InputOrNotice(_)) {
            return String::new();
        }
        self.input.extend(bytes);
        self.happens(Event::Input)
    }

    /// Send bytes and let the session make one step.
    pub fn begins(&mut self, text: &str) {
        self.input.extend(text.as_bytes());
        self.want = self.session.step(Event::Input, &mut self.input, &mut Out::new());
    }

    pub fn login(&mut self) {
        assert!(self.says("a login alice@demo.test alice-secret\r\n").starts_with("a OK "));
    }
}
