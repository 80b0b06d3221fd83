//! The scripts, and the child that plays them until it is stopped.
//!
//! Whatever the child was promised it writes down after the call that promised it, in `log`, which it shares with the parent
//! (a killed process loses no written bytes): `done <n>` for the n-th operation, `told <folder> <validity> <uid> <message>` for
//! each UID that a session has seen.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailcote::fsio;
use mailcote::mail::Flags;
use mailcote::store::{Change, Draft, Home, Layout, Mailbox, Name, Owner, Settings, Store, Stores};
use nix::sys::signal::{Signal, raise};

use crate::model::Survivor;
use crate::shadow::Shadow;

/// After this time a flag change is on the disk (promise 1).
const SECOND: Duration = Duration::from_secs(1);

/// A message is called by a small number.
pub type Number = u32;

/// One operation, as a client would ask for it.
#[derive(Debug, Clone)]
pub enum Op {
    /// The account is opened for the first time.
    Open,
    /// SMTP.
    Deliver(&'static str, Number),
    /// A session looks, is told UIDs and takes \Recent.
    Look(&'static str),
    /// Another program delivers without any sync, and then a session looks.
    DropIn(&'static str, Number),
    Append(&'static str, Vec<Number>, Flags),
    Flag(&'static str, Number, Flags),
    Keyword(&'static str, Number, &'static str),
    Copy(&'static str, Vec<Number>, &'static str),
    Move(&'static str, Vec<Number>, &'static str),
    Expunge(&'static str, Vec<Number>),
    Create(&'static str),
    Rename(&'static str, &'static str),
    Delete(&'static str),
    Subscribe(&'static str, bool),
    /// A second goes by: flag changes before it are promised to survive a power cut.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    Messages,
    Folders,
    FirstUse,
}

impl Script {
    pub fn named(name: &str) -> Script {
        [Script::Messages, Script::Folders, Script::FirstUse].into_iter().find(|s| s.name() == name).expect("a script")
    }

    pub fn name(self) -> &'static str {
        match self {
            Script::Messages => "messages",
            Script::Folders => "folders",
            Script::FirstUse => "first-use",
        }
    }

    /// Operations that are done, undisturbed, before the script begins.
    pub fn before(self) -> Vec<Op> {
        match self {
            Script::Messages => vec![Op::Open, Op::Create("Work")],
            Script::Folders => vec![
                Op::Open,
                Op::Create("A"),
                Op::Append("A", vec![1, 2], Flags::SEEN),
                Op::Create("A/B"),
                Op::Append("A/B", vec![3], Flags::NONE),
                Op::Append("INBOX", vec![4, 5], Flags::FLAGGED),
                Op::Look("A/B"),
            ],
            Script::FirstUse => vec![],
        }
    }

    pub fn ops(self) -> Vec<Op> {
        match self {
            Script::Messages => vec![
                Op::Deliver("INBOX", 1),
                Op::Deliver("INBOX", 2),
                Op::Look("INBOX"),
                Op::Append("INBOX", vec![3], Flags::SEEN),
                Op::Append("Work", vec![4, 5], Flags::NONE),
                Op::Flag("INBOX", 1, Flags::FLAGGED),
                Op::Keyword("INBOX", 2, "Todo"),
                Op::DropIn("INBOX", 6),
                Op::Copy("INBOX", vec![1, 2], "Work"),
                Op::Deliver("Work", 7),
                Op::Move("INBOX", vec![2, 3], "Work"),
                Op::Expunge("Work", vec![4]),
                Op::Look("Work"),
                Op::Flag("Work", 5, Flags::ANSWERED),
                Op::Move("Work", vec![5, 7], "INBOX"),
                Op::Expunge("INBOX", vec![1, 7]),
                Op::Deliver("INBOX", 8),
                Op::Look("INBOX"),
                Op::Flag("INBOX", 8, Flags::SEEN),
                Op::Wait,
                Op::Deliver("INBOX", 9),
            ],
            Script::Folders => vec![
                Op::Create("C/D"),
                Op::Append("C/D", vec![6], Flags::DRAFT),
                Op::Rename("A", "X"),
                Op::Look("X"),
                Op::Subscribe("X", true),
                Op::Create("A"),
                Op::Deliver("A", 7),
                Op::Look("A"),
                Op::Delete("X"),
                Op::Look("X/B"),
                Op::Rename("C/D", "E"),
                Op::Rename("INBOX", "Old"),
                Op::Deliver("INBOX", 8),
                Op::Look("INBOX"),
                Op::Delete("A"),
                Op::Create("A"),
                Op::Subscribe("X", false),
            ],
            Script::FirstUse => {
                vec![Op::Open, Op::Deliver("INBOX", 1), Op::Look("INBOX"), Op::Append("Sent", vec![2], Flags::SEEN)]
            }
        }
    }
}

/// The text of a message: long enough to be cut in the middle, and telling when it is.
pub fn text(number: Number) -> String {
    format!("Subject: {number}\r\n\r\n{}end of {number}\r\n", format!("line of {number}\r\n").repeat(300))
}

/// Which message a file holds; an error if it is not whole.
pub fn number(stored: &str) -> Result<Number, String> {
    let first = stored.lines().next().unwrap_or_default();
    let number = first.strip_prefix("Subject: ").and_then(|n| n.parse().ok()).ok_or(format!("begins {first:?}"))?;
    if stored == text(number).replace("\r\n", "\n") {
        return Ok(number);
    }
    Err(format!("{} bytes of message {number}", stored.len()))
}

pub fn open(maildir: &Path) -> Arc<Store> {
    let folder = |name: &str, role| (Name::parse(name).expect("a name"), role);
    let settings = Settings {
        hostname: "crash.test".into(),
        coexist: false,
        default_folders: vec![
            folder("Sent", mailcote::store::Role::Sent),
            folder("Trash", mailcote::store::Role::Trash),
        ],
        ..Settings::default()
    };
    let home = Home { maildir: maildir.to_owned(), layout: Layout::Maildirpp, owner: Owner::Daemon };
    Stores::new(settings).expect("stores").open(&home).expect("the account opens")
}

/// The tree after the stop.
pub fn tree(directory: &Path, survivor: Survivor) -> PathBuf {
    match survivor {
        Survivor::Process => directory.join("home/Maildir"),
        Survivor::Disk => directory.join("shadow/Maildir"),
    }
}

/// Lines of the log.
pub fn acknowledged(directory: &Path) -> Vec<String> {
    fs::read_to_string(directory.join("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Steps that a run to the end took.
pub fn steps_taken(directory: &Path) -> u64 {
    fs::read_to_string(directory.join("steps")).expect("steps").parse().expect("a number")
}

/// In the child: play `script` until step `stop`.
pub fn play(script: Script, stop: u64, directory: &Path) {
    let home = directory.join("home");
    fs::create_dir(&home).expect("home");
    let log = OpenOptions::new().create(true).append(true).open(directory.join("log")).expect("log");
    let mut player = Player { maildir: home.join("Maildir"), store: None, open: HashMap::new(), log: None };
    for op in script.before() {
        player.play(&op);
    }
    player.log = Some(log);
    // What the preparation left for later must not count as a step of the script.
    player.close();
    let shadow = Mutex::new(Shadow::of(&home));
    let taken = Arc::new(Mutex::new(0_u64));
    let (count, to) = (Arc::clone(&taken), directory.join("shadow"));
    let _watching = fsio::watch_steps(move |_, step| {
        // One lock over all of it: steps of two threads must not mix, and after the stop there is none.
        let mut shadow = shadow.lock().expect("the shadow");
        let mut count = count.lock().expect("the count");
        if *count == stop {
            shadow.write(&to);
            raise(Signal::SIGKILL).expect("the end");
        }
        *count += 1;
        shadow.before(step);
        if stop == u64::MAX {
            // Run to the end: the shadow of the last moment is written when everything is done.
            let _ = fs::remove_dir_all(&to);
            shadow.write(&to);
        }
        Ok(())
    });
    for (n, op) in script.ops().iter().enumerate() {
        player.play(op);
        player.note(&format!("done {n}"));
    }
    let steps = *taken.lock().expect("the count");
    fs::write(directory.join("steps"), steps.to_string()).expect("steps");
    fsio::sync_dir(&home).expect("one more step, which brings the shadow up to the last one");
}

struct Player {
    maildir: PathBuf,
    store: Option<Arc<Store>>,
    /// Sessions keep their folders open.
    open: HashMap<&'static str, Arc<Mailbox>>,
    log: Option<File>,
}

impl Player {
    fn note(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            // One write a line: it is there or not.
            log.write_all(format!("{line}\n").as_bytes()).expect("log");
        }
    }

    fn close(&mut self) {
        self.open.clear();
        self.store = None;
    }

    fn store(&mut self) -> Arc<Store> {
        let maildir = &self.maildir;
        Arc::clone(self.store.get_or_insert_with(|| open(maildir)))
    }

    fn mailbox(&mut self, folder: &'static str) -> Arc<Mailbox> {
        let store = self.store();
        let name = Name::parse(folder).expect("a name");
        let mailbox = store.mailbox(&name).unwrap_or_else(|e| panic!("{folder}: {e}"));
        self.open.insert(folder, Arc::clone(&mailbox));
        mailbox
    }

    fn draft(&mut self, number: Number) -> Draft {
        let mut draft = self.store().draft().expect("a draft");
        draft.write(text(number).as_bytes()).expect("a written draft");
        draft
    }

    fn play(&mut self, op: &Op) {
        let name = |folder: &str| Name::parse(folder).expect("a name");
        match op {
            Op::Open => drop(self.store()),
            Op::Deliver(folder, number) => {
                let draft = self.draft(*number);
                self.store().deliver(draft, &name(folder)).expect("delivery");
            }
            Op::Look(folder) => self.look(folder),
            Op::DropIn(folder, number) => {
                assert_eq!(*folder, "INBOX");
                let base = format!("1.M{number}P1.outside");
                let tmp = self.maildir.join("tmp").join(&base);
                fs::write(&tmp, text(*number).replace("\r\n", "\n")).expect("tmp");
                fs::rename(tmp, self.maildir.join("new").join(base)).expect("new");
                self.look(folder);
            }
            Op::Append(folder, numbers, flags) => {
                let drafts = numbers.iter().map(|n| (self.draft(*n), *flags, Vec::new(), None)).collect();
                let mailbox = self.mailbox(folder);
                let uids = mailbox.append(drafts).expect("append");
                for (uid, number) in uids.into_iter().zip(numbers) {
                    self.tell(folder, &mailbox, uid, *number);
                }
            }
            Op::Flag(folder, number, flags) => self.flag(folder, *number, *flags, &[]),
            Op::Keyword(folder, number, keyword) => self.flag(folder, *number, Flags::NONE, &[(*keyword).into()]),
            Op::Copy(from, numbers, to) => self.transfer(from, numbers, to, Mailbox::copy),
            Op::Move(from, numbers, to) => self.transfer(from, numbers, to, Mailbox::move_to),
            Op::Expunge(folder, numbers) => {
                let mailbox = self.mailbox(folder);
                let uids = uids(&mailbox, numbers);
                mailbox.store_flags(&uids, Change::Add, Flags::DELETED, &[], None).expect("flags");
                assert_eq!(mailbox.expunge(None).expect("expunge"), uids);
            }
            Op::Create(folder) => self.store().create(&name(folder), None).expect("create"),
            Op::Rename(from, to) => self.store().rename(&name(from), &name(to)).expect("rename"),
            Op::Delete(folder) => self.store().delete(&name(folder)).expect("delete"),
            Op::Wait => std::thread::sleep(SECOND),
            Op::Subscribe(folder, on) => self.store().subscribe(&name(folder), *on).expect("subscribe"),
        }
    }

    fn look(&mut self, folder: &'static str) {
        let mailbox = self.mailbox(folder);
        mailbox.refresh().expect("refresh");
        mailbox.claim_recent(false);
        for (uid, number) in contents(&mailbox).expect("whole messages") {
            self.tell(folder, &mailbox, uid, number);
        }
    }

    fn flag(&mut self, folder: &'static str, number: Number, flags: Flags, keywords: &[String]) {
        let mailbox = self.mailbox(folder);
        let uids = uids(&mailbox, &[number]);
        mailbox.store_flags(&uids, Change::Add, flags, keywords, None).expect("flags");
    }

    fn transfer(&mut self, from: &'static str, numbers: &[Number], to: &'static str, how: Transfer) {
        let (source, target) = (self.mailbox(from), self.mailbox(to));
        let pairs = how(&source, &uids(&source, numbers), &target).expect("transfer");
        assert_eq!(pairs.len(), numbers.len());
        for ((_, uid), number) in pairs.into_iter().zip(numbers) {
            self.tell(to, &target, uid, *number);
        }
    }

    fn tell(&mut self, folder: &str, mailbox: &Mailbox, uid: u32, number: Number) {
        self.note(&format!("told {folder} {} {uid} {number}", mailbox.uid_validity()));
    }
}

/// `Mailbox::copy` or `Mailbox::move_to`.
type Transfer = fn(&Mailbox, &[u32], &Mailbox) -> mailcote::store::Result<Vec<(u32, u32)>>;

/// UIDs of messages, in the order asked for.
fn uids(mailbox: &Mailbox, numbers: &[Number]) -> Vec<u32> {
    let contents = contents(mailbox).expect("whole messages");
    let uid = |number: &Number| {
        contents.iter().find(|row| row.1 == *number).unwrap_or_else(|| panic!("{number} in {contents:?}")).0
    };
    numbers.iter().map(uid).collect()
}

/// UID and number of every message; an error if one is not whole.
pub fn contents(mailbox: &Mailbox) -> Result<Vec<(u32, Number)>, String> {
    let uids: Vec<u32> = mailbox.read(|messages| messages.iter().map(|m| m.uid).collect());
    let one = |uid| {
        let mut stored = String::new();
        mailbox
            .open(uid)
            .map(|mut file| file.read_to_string(&mut stored))
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        Ok((uid, number(&stored).map_err(|e| format!("UID {uid}: {e}"))?))
    };
    uids.into_iter().map(one).collect()
}
