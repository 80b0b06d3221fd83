//! The folder as a whole, on real directories, with other programs played by `std::fs`.

mod cache;
mod faults;
mod others;
mod outside;
mod repair;
mod sessions;
mod threads;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Draft, Home, Layout, Mailbox, Name, Owner, Role, Settings, Store, Stores};
use crate::mail::Flags;
use crate::notice::Notice;

/// Longest wait for something that happens at once.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Fixture {
    pub(super) root: tempfile::TempDir,
    pub(super) stores: Stores,
    pub(super) store: Arc<Store>,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        Fixture::in_directory(tempfile::tempdir().unwrap())
    }

    pub(super) fn in_directory(root: tempfile::TempDir) -> Fixture {
        let settings = Settings {
            hostname: "mail.test".into(),
            coexist: false,
            default_folders: vec![(Name::parse("Trash").unwrap(), Role::Trash)],
            ..Settings::default()
        };
        let stores = Stores::new(settings).unwrap();
        let home = Home { maildir: root.path().join("Maildir"), layout: Layout::Maildirpp, owner: Owner::Daemon };
        let store = stores.open(&home).unwrap();
        Fixture { root, stores, store }
    }

    /// As after a restart of the process.
    pub(super) fn restart(self) -> Fixture {
        let Fixture { root, stores, store } = self;
        drop((stores, store));
        Fixture::in_directory(root)
    }

    pub(super) fn maildir(&self) -> PathBuf {
        self.root.path().join("Maildir")
    }

    pub(super) fn inbox(&self) -> Arc<Mailbox> {
        self.store.mailbox(&Name::inbox()).unwrap()
    }

    pub(super) fn trash(&self) -> Arc<Mailbox> {
        self.store.mailbox(&Name::parse("Trash").unwrap()).unwrap()
    }

    pub(super) fn draft(&self, text: &str) -> Draft {
        let mut draft = self.store.draft().unwrap();
        draft.write(text.as_bytes()).unwrap();
        draft
    }

    pub(super) fn append(&self, mailbox: &Mailbox, text: &str, flags: Flags) -> u32 {
        mailbox.append(vec![(self.draft(text), flags, Vec::new(), None)]).unwrap()[0]
    }

    pub(super) fn deliver(&self, text: &str) {
        self.store.deliver(self.draft(text), &Name::inbox()).unwrap();
    }

    /// What another program did a while ago: write to tmp/, rename.
    pub(super) fn drop_in(&self, sub: &str, name: &str, text: &str) {
        let tmp = self.maildir().join("tmp").join(name);
        fs::write(&tmp, text).unwrap();
        let file = fs::File::options().write(true).open(&tmp).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
        fs::rename(tmp, self.maildir().join(sub).join(name)).unwrap();
    }

    /// The message file that holds `text`.
    pub(super) fn path_of(&self, text: &str) -> PathBuf {
        let files = ["new", "cur"].map(|sub| self.maildir().join(sub)).map(|dir| fs::read_dir(dir).unwrap());
        let mut paths = files.into_iter().flatten().map(|entry| entry.unwrap().path());
        paths.find(|path| fs::read_to_string(path).unwrap().trim_end() == text).unwrap()
    }

    pub(super) fn names(&self, sub: &str) -> Vec<String> {
        names(&self.maildir().join(sub))
    }
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn uids(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.read(|messages| messages.iter().map(|m| m.uid).collect())
}

pub(super) fn text(mailbox: &Mailbox, uid: u32) -> String {
    let mut text = String::new();
    mailbox.open(uid).unwrap().read_to_string(&mut text).unwrap();
    text
}

pub(super) fn flags(mailbox: &Mailbox, uid: u32) -> String {
    mailbox.message(uid).unwrap().flags.letters().map(char::from).collect()
}

/// Refresh until `check` holds; what a session in IDLE would do when woken.
pub(super) fn eventually(mailbox: &Mailbox, notice: &Notice, check: impl Fn(&Mailbox) -> bool) {
    let start = Instant::now();
    while !check(mailbox) {
        assert!(start.elapsed() < PATIENCE, "never happened; {:?}", uids(mailbox));
        if notice.take() {
            mailbox.refresh().unwrap();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
