//! Other programs on the same Maildir, before us, after us and beside us.
//!
//! Promise 4: no message changes its UID and no folder its UIDVALIDITY because of a switch from Dovecot or Courier to us and back; flags,
//! keywords and subscriptions stay, too. Each scenario compares what an installed Dovecot 2.3 tells over IMAP with what our
//! store says of the same directories, in Dovecot's three ways to keep folders. The `maildir` crate is the independent reader
//! and writer of single Maildirs. Courier cannot be installed beside Dovecot: its files are made by hand, after its sources.
//!
//! Needs dovecot-imapd, dovecot-pop3d and dovecot-lmtpd 2.3; without them those tests say `skipped`, or fail with `MAILCOTE_TESTS=strict`.

mod support {
    #[expect(dead_code, reason = "other tests use the rest of it")]
    pub mod dovecot;

    pub mod account;
}

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use mailcote::mail::Flags;
use mailcote::store::{Change, Home, Layout, Name, Owner, Settings, Store, Stores};
use support::account::{Account, Client, our_account, our_folder, pop3_uidls};
use support::dovecot::{Dovecot, NOBODY};

/// A way in which Dovecot keeps folders.
#[derive(Debug, Clone, Copy)]
struct Keeping {
    location: &'static str,
    layout: Layout,
    /// What it writes for the folder `Müll` below `Work`.
    directory: &'static str,
}

const KEEPINGS: [Keeping; 3] = [
    Keeping { location: "", layout: Layout::Maildirpp, directory: ".Work.M&APw-ll" },
    Keeping { location: ":UTF-8", layout: Layout::Maildirpp, directory: ".Work.Müll" },
    Keeping { location: ":LAYOUT=fs", layout: Layout::Fs, directory: "Work/M&APw-ll" },
];

/// A running Dovecot and what it needs to live; `None` with a message if there is none.
struct Site {
    dovecot: Dovecot,
    keeping: Keeping,
    root: tempfile::TempDir,
}

impl Site {
    fn start(keeping: Keeping) -> Option<Site> {
        if !Dovecot::installed() {
            let strict = std::env::var_os("MAILCOTE_TESTS").is_some_and(|mode| mode == "strict");
            assert!(!strict, "dovecot 2.3 is not installed (MAILCOTE_TESTS=strict)");
            eprintln!("skipped: needs dovecot");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let location = format!("mail_location = maildir:{}/mail/%n/Maildir{}", root.path().display(), keeping.location);
        Some(Site { dovecot: Dovecot::start(root.path(), &location), keeping, root })
    }

    fn client(&self) -> Client {
        Client::login(self.dovecot.imap)
    }

    fn home(&self) -> Home {
        let owner = match nix::unistd::geteuid().is_root() {
            true => Owner::User { uid: NOBODY, gid: NOBODY },
            false => Owner::Daemon,
        };
        Home { maildir: self.dovecot.maildir("alice"), layout: self.keeping.layout, owner }
    }

    /// What Dovecot says of alice's mail.
    fn account(&self) -> Account {
        let mut client = self.client();
        let account = client.account();
        client.logout();
        account
    }

    /// Our store on alice's Maildir, opened anew: as after a restart.
    fn ours(&self, coexist: bool) -> Arc<Store> {
        stores(coexist).open(&self.home()).unwrap()
    }

    /// Dovecot's log has no complaint.
    fn assert_content(&self) {
        let log = self.dovecot.log();
        let bad = |line: &&str| ["Error:", "Warning:", "Panic:", "Fatal:"].iter().any(|level| line.contains(level));
        let complaints: Vec<&str> = log.lines().filter(bad).collect();
        assert!(complaints.is_empty(), "{:?} in {}: {complaints:#?}", self.keeping, self.root.path().display());
    }
}

fn stores(coexist: bool) -> Stores {
    Stores::new(Settings {
        hostname: "mx.example.org".into(),
        coexist,
        default_folders: Vec::new(),
        ..Settings::default()
    })
    .unwrap()
}

fn message(subject: &str) -> String {
    format!(
        "From: a@example.org\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\nText of {subject}.\r\n"
    )
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn our_append(store: &Store, folder: &str, flags: Flags, keywords: &[&str], message: &str) -> u32 {
    let mut draft = store.draft().unwrap();
    draft.write(message.as_bytes()).unwrap();
    let keywords = keywords.iter().map(ToString::to_string).collect();
    let mailbox = store.mailbox(&name(folder)).unwrap();
    mailbox.append(vec![(draft, flags, keywords, Some(1_600_000_000))]).unwrap()[0]
}

/// What Dovecot leaves to us: folders with names of all kinds, gaps in the UIDs, seven keywords, subscriptions.
fn furnish(client: &mut Client) {
    for folder in ["Work/Müll", "Entwürfe", "R&D", "Work"] {
        let folder = client.name(folder);
        client.run(&format!("CREATE {folder}"));
    }
    for folder in ["Work/Müll", "INBOX", "gone/by"] {
        let folder = client.name(folder);
        // Dovecot refuses to subscribe to what does not exist.
        if folder.contains("gone") {
            client.run(&format!("CREATE {folder}"));
            client.run(&format!("SUBSCRIBE {folder}"));
            client.run(&format!("DELETE {folder}"));
        } else {
            client.run(&format!("SUBSCRIBE {folder}"));
        }
    }
    for (n, flags) in ["\\Seen", "\\Flagged $Label1", "\\Answered \\Draft", "k2 k3 K4", "k5 k6 $Forwarded \\Seen", ""]
        .into_iter()
        .enumerate()
    {
        client.append("INBOX", flags, &message(&format!("inbox-{n}")));
        client.append("Work/Müll", flags, &message(&format!("work-{n}")));
    }
    client.run("SELECT INBOX");
    client.run("UID STORE 2 +FLAGS (\\Deleted)");
    client.run("EXPUNGE");
    client.run("UID STORE 3 +FLAGS (\\Deleted k7)");
    client.run("UID STORE 5 -FLAGS (k5)");
}

#[test]
fn from_dovecot_to_us_and_back() {
    for keeping in KEEPINGS {
        let Some(site) = Site::start(keeping) else { return };
        let mut client = site.client();
        furnish(&mut client);
        let before = client.account();
        assert!(before.folders["INBOX"].messages[&3].0.contains("k7"), "{before:?}");
        assert!(site.dovecot.maildir("alice").join(keeping.directory).join("cur").is_dir(), "{keeping:?}");
        client.logout();

        // To us: the same.
        let store = site.ours(false);
        assert_eq!(our_account(&store), before, "{keeping:?}: Dovecot's as we see it");
        change_everything(&store);
        let ours = our_account(&store);
        drop(store);
        assert_eq!(our_account(&site.ours(false)), ours, "{keeping:?}: ours after a restart");

        // And back: the same again.
        let mut client = site.client();
        assert_eq!(client.account(), ours, "{keeping:?}: ours as Dovecot sees it");
        let text = client.run("UID FETCH 1:* BODY.PEEK[]").join("\n");
        assert!(text.is_ascii());
        let again = client.append("INBOX", "k9 \\Seen", &message("again"));
        assert_eq!(again, ours.folders["INBOX"].uid_next);
        let last = client.account();
        client.logout();
        assert_eq!(our_account(&site.ours(false)), last, "{keeping:?}: and once more");
        site.assert_content();
    }
}

/// One of each kind of change.
fn change_everything(store: &Store) {
    let inbox = store.mailbox(&Name::inbox()).unwrap();
    let keywords = ["K4".to_string(), "brand-new".into()];
    inbox.store_flags(&[1, 5], Change::Add, Flags::ANSWERED, &keywords, None).unwrap();
    inbox.store_flags(&[4], Change::Replace, Flags::SEEN, &["k2".into()], None).unwrap();
    assert_eq!(inbox.expunge(None).unwrap(), [3]);
    let uid = our_append(store, "INBOX", Flags::SEEN.with(Flags::FLAGGED), &["$Label1", "ours"], &message("ours"));
    assert_eq!(uid, 7);
    let mut draft = store.draft().unwrap();
    draft.write(message("delivered").as_bytes()).unwrap();
    store.deliver(draft, &Name::inbox()).unwrap();
    inbox.refresh().unwrap();
    assert_eq!(inbox.uid_next(), 9);
    store.create(&name("Neu/Grüße & Küsse"), None).unwrap();
    store.subscribe(&name("Neu/Grüße & Küsse"), true).unwrap();
    store.subscribe(&name("gone/by"), false).unwrap();
    our_append(store, "Neu/Grüße & Küsse", Flags::NONE, &["ours"], &message("in a folder of ours"));
    let target = store.mailbox(&name("Neu/Grüße & Küsse")).unwrap();
    assert_eq!(inbox.copy(&[1, 7], &target).unwrap(), [(1, 2), (7, 3)]);
    assert_eq!(inbox.move_to(&[6], &target).unwrap(), [(6, 4)]);
    store.rename(&name("Work"), &name("Arbeit")).unwrap();
    store.delete(&name("Entwürfe")).unwrap();
}

/// As `doveadm` or a restore would: the folder is made again, and must not be taken for the old one.
#[test]
fn a_folder_made_again_has_a_greater_uidvalidity_whoever_makes_it() {
    for keeping in KEEPINGS {
        let Some(site) = Site::start(keeping) else { return };
        let mut validities = Vec::new();
        // From this name our store learns how the tree is spelled.
        let mut client = site.client();
        let spelled = client.name("Grün");
        client.run(&format!("CREATE {spelled}"));
        client.logout();
        for round in 0..4 {
            if round % 2 == 0 {
                let mut client = site.client();
                let folder = client.name("Müll");
                client.run(&format!("CREATE {folder}"));
                validities.push(client.folder(&folder).uid_validity);
                client.run("UNSELECT");
                client.run(&format!("DELETE {folder}"));
                client.logout();
            } else {
                let store = site.ours(false);
                store.create(&name("Müll"), None).unwrap();
                validities.push(store.mailbox(&name("Müll")).unwrap().uid_validity());
                let seen = site.account().folders.get("Müll").map(|folder| folder.uid_validity);
                assert_eq!(seen.as_ref(), validities.last(), "{keeping:?}");
                store.delete(&name("Müll")).unwrap();
            }
        }
        assert!(validities.is_sorted_by(|a, b| a < b), "{keeping:?}: {validities:?}");
        site.assert_content();
    }
}

#[test]
fn a_damaged_uidlist_changes_nobodys_uids() {
    let Some(site) = Site::start(KEEPINGS[0]) else { return };
    let mut client = site.client();
    furnish(&mut client);
    client.logout();
    let maildir = site.dovecot.maildir("alice");
    let list = maildir.join("dovecot-uidlist");
    let before = our_account(&site.ours(false));
    let falling = format!("3 V{} N3\n2 :a\n1 :b\n", before.folders["INBOX"].uid_validity);
    for damage in ["", "3 V", &falling, "\0\0\0\0\0\0\0"] {
        fs::write(&list, damage).unwrap();
        assert_eq!(our_account(&site.ours(false)), before, "{damage:?}");
        assert_eq!(site.account(), before, "{damage:?}, to Dovecot: {}", site.dovecot.log());
    }
    let aside = fs::read_dir(&maildir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("dovecot-uidlist.broken-"));
    assert!(aside.count() > 0, "what was damaged is kept for the admin");
}

/// Letters are for 26 keywords; we keep more. Dovecot sees those that have a letter, and does not take the others from us.
#[test]
fn keywords_past_the_26th_survive_dovecot() {
    let Some(site) = Site::start(KEEPINGS[0]) else { return };
    let mut client = site.client();
    client.append("INBOX", "theirs1 theirs2", &message("theirs"));
    client.logout();
    let many: Vec<String> = (0..40).map(|n| format!("many{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let store = site.ours(false);
    let uid = our_append(&store, "INBOX", Flags::NONE, &many, &message("many"));
    let names = |account: &Account| account.folders["INBOX"].messages[&uid].0.clone();
    let before = names(&our_account(&store));
    assert_eq!(before.len(), 40);
    drop(store);

    let seen = names(&site.account());
    assert_eq!(seen.len(), 24, "26 letters, two of them are theirs: {seen:?}");
    assert!(seen.is_subset(&before));
    let mut client = site.client();
    client.run("SELECT INBOX");
    client.run(&format!("UID STORE {uid} +FLAGS (\\Answered)"));
    client.run(&format!("UID STORE {uid} -FLAGS (many00)"));
    client.logout();
    let mut after = before;
    after.remove("many00");
    after.insert("\\answered".into());
    assert_eq!(names(&our_account(&site.ours(false))), after);
    site.assert_content();
}

/// POP3 clients know messages by UIDL, and fetch everything again if it changes. What Dovecot tells is made of UID and
/// UIDVALIDITY as we see them, in the way in which `pop3` makes it (its unit tests hold that to this form).
#[test]
fn pop3_uidls_of_dovecot_are_made_of_the_uids_that_we_see() {
    let Some(site) = Site::start(KEEPINGS[0]) else { return };
    let mut client = site.client();
    for n in 0..12 {
        client.append("INBOX", "", &message(&n.to_string()));
    }
    client.run("SELECT INBOX");
    client.run("UID STORE 3 +FLAGS (\\Deleted)");
    client.run("EXPUNGE");
    client.logout();
    let theirs = pop3_uidls(site.dovecot.pop3);
    let inbox = site.ours(false).mailbox(&Name::inbox()).unwrap();
    let ours: Vec<String> = inbox.read(|messages| {
        let uidl = |uid: u32| format!("{uid:08x}{:08x}", inbox.uid_validity());
        messages.iter().map(|message| uidl(message.uid)).collect()
    });
    assert_eq!(ours, theirs);
}

/// Both servers work on one INBOX at the same time, and neither gives a UID twice or loses a flag.
#[test]
fn beside_a_running_dovecot() {
    const MESSAGES: u32 = 40;
    let Some(site) = Site::start(KEEPINGS[0]) else { return };
    site.client().append("INBOX", "", &message("first"));
    let store = site.ours(true);
    let inbox = store.mailbox(&Name::inbox()).unwrap();
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| {
            let mut client = site.client();
            let mut uids = Vec::new();
            for n in 0..MESSAGES {
                uids.push(client.append("INBOX", "theirs", &message(&format!("theirs-{n}"))));
                client.run("SELECT INBOX");
                client.run("UID STORE 1 FLAGS (\\Seen)");
                client.run("UID STORE 1 FLAGS (\\Answered)");
            }
            uids
        });
        let ours = scope.spawn(|| {
            let append = |n| our_append(&store, "INBOX", Flags::SEEN, &["ours"], &message(&format!("ours-{n}")));
            (0..MESSAGES).map(append).collect::<Vec<_>>()
        });
        (theirs.join().unwrap(), ours.join().unwrap())
    });
    inbox.refresh().unwrap();
    let state = our_folder(&inbox);
    assert_eq!(site.account().folders["INBOX"], state);
    for (who, uids) in [("theirs", &theirs), ("ours", &ours)] {
        assert!(uids.is_sorted_by(|a, b| a < b), "{who}: {uids:?}");
        for uid in uids {
            assert!(state.messages[uid].0.contains(who), "{uid} is {who}: {state:?}");
        }
    }
    assert_eq!(state.messages.len(), 2 * MESSAGES as usize + 1);
    assert_eq!(state.uid_next, 2 * MESSAGES + 2, "no UID was given in vain");
    site.assert_content();
    let left = fs::read_dir(site.dovecot.maildir("alice")).unwrap();
    let locks = left.filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap() == "dovecot-uidlist.lock");
    assert_eq!(locks.count(), 0, "no lock is left");
}

fn home(maildir: &Path) -> Home {
    Home { maildir: maildir.into(), layout: Layout::Maildirpp, owner: Owner::Daemon }
}

#[test]
fn the_maildir_crate_reads_what_we_deliver() {
    let dir = tempfile::tempdir().unwrap();
    let store = stores(false).open(&home(dir.path())).unwrap();
    let mut draft = store.draft().unwrap();
    draft.write(message("new").as_bytes()).unwrap();
    store.deliver(draft, &Name::inbox()).unwrap();
    our_append(&store, "INBOX", Flags::SEEN.with(Flags::DRAFT), &[], &message("old"));
    store.create(&name("Sub"), None).unwrap();

    let theirs = maildir::Maildir::from(dir.path().to_path_buf());
    let subject = |mut entry: maildir::MailEntry| {
        let headers = entry.headers().unwrap();
        headers.iter().find(|header| header.get_key() == "Subject").unwrap().get_value()
    };
    let mut new = theirs.list_new().map(Result::unwrap);
    assert_eq!(subject(new.next().unwrap()), "new");
    assert!(new.next().is_none());
    let old = theirs.list_cur().next().unwrap().unwrap();
    assert!(old.is_seen() && old.is_draft() && !old.is_flagged());
    assert_eq!(subject(old), "old");
    let folders: Vec<_> = theirs.list_subdirs().map(|sub| sub.unwrap().path().to_path_buf()).collect();
    assert_eq!(folders, [dir.path().join(".Sub")]);
}

#[test]
fn we_read_what_the_maildir_crate_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = maildir::Maildir::from(dir.path().to_path_buf());
    theirs.create_dirs().unwrap();
    theirs.create_subfolder_dirs(".Sub").unwrap();
    let text = message("theirs").replace("\r\n", "\n");
    theirs.store_new(text.as_bytes()).unwrap();
    let store = stores(false).open(&home(dir.path())).unwrap();
    assert!(store.exists(&name("Sub")).unwrap());
    let inbox = store.mailbox(&Name::inbox()).unwrap();
    let id = theirs.store_cur_with_flags(text.as_bytes(), "FS").unwrap();
    inbox.refresh().unwrap();
    let flags = inbox.read(|messages| messages.iter().map(|m| (m.uid, m.flags)).collect::<Vec<_>>());
    assert_eq!(flags, [(1, Flags::NONE), (2, Flags::SEEN.with(Flags::FLAGGED))]);
    assert_eq!(inbox.wire_size(1).unwrap(), message("theirs").len() as u64);
    let mut content = String::new();
    inbox.open(2).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, text);
    theirs.add_flags(&id, "R").unwrap();
    theirs.remove_flags(&id, "F").unwrap();
    inbox.refresh().unwrap();
    assert_eq!(inbox.message(2).unwrap().flags, Flags::SEEN.with(Flags::ANSWERED));
    theirs.delete(&id).unwrap();
    inbox.refresh().unwrap();
    assert!(inbox.message(2).is_none());
}

/// Files as courier-imap 4 writes them (its names are modified UTF-7; 5 writes UTF-8).
#[test]
fn from_courier_to_us() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for directory in
        ["cur", "new", "tmp", "courierimapkeywords", ".Entw&APw-rfe/cur", ".Entw&APw-rfe/new", ".Entw&APw-rfe/tmp"]
    {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let (one, two) =
        ("1600000001.M1P2V0000000000000801I0000000000001234_0.host,S=5", "1600000002.M1P2V801I1235_0.host");
    fs::write(root.join("cur").join(format!("{one}:2,RS")), "a: b\n").unwrap();
    fs::write(root.join("cur").join(format!("{two}:2,")), "a: b\n").unwrap();
    fs::write(root.join("new/1600000003.M1P2V801I1236_0.host"), "a: b\n").unwrap();
    fs::write(root.join("courierimapuiddb"), format!("1 600123456 78\n31 {one}\n77 {two}\n")).unwrap();
    fs::write(root.join("courierimapkeywords/:list"), format!("$Label1\nWork\n\n{two}:0 1\n")).unwrap();
    fs::write(root.join("courierimapkeywords/1600000001.M1P2V0000000000000801I0000000000001234_0.host"), "Work\n")
        .unwrap();
    fs::write(root.join("courierimapsubscribed"), "INBOX\nINBOX.Entw&APw-rfe\n").unwrap();

    for round in ["first", "after a restart"] {
        let store = stores(false).open(&home(root)).unwrap();
        let account = our_account(&store);
        assert_eq!(account.folders.keys().collect::<Vec<_>>(), ["Entwürfe", "INBOX"], "{round}");
        assert_eq!(account.subscriptions, ["Entwürfe".to_string(), "INBOX".into()].into(), "{round}");
        let inbox = &account.folders["INBOX"];
        assert_eq!((inbox.uid_validity, inbox.uid_next), (600_123_456, 79), "{round}");
        let flags: Vec<_> = inbox
            .messages
            .iter()
            .map(|(uid, (flags, _))| (*uid, flags.iter().cloned().collect::<Vec<_>>().join(" ")))
            .collect();
        let expected = [(31, "\\answered \\seen work"), (77, "$label1 work"), (78, "")];
        assert_eq!(flags, expected.map(|(uid, flags)| (uid, flags.to_string())), "{round}");
    }
    assert!(root.join("courierimapuiddb").exists(), "Courier's own files stay, for the way back");
}
