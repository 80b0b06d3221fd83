//! System users: their files belong to them, and a thread that works for one cannot read another's mail.
//!
//! Needs root, since only root may take on others' identities; otherwise it says `skipped`, or fails with
//! `MAILCOTE_TESTS=strict`. The two users are bare numbers that no account has. Leaves nothing behind.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailcote::mail::Flags;
use mailcote::store::{Change, Error, Home, Layout, Name, Owner, Role, Settings, Store, Stores};

/// Two owners that are nobody's account here.
const ANN: u32 = 61_001;
const BEN: u32 = 61_002;

/// Homes of Ann, Ben, and a virtual user.
struct World {
    stores: Stores,
    ann: Home,
    ben: Home,
    virtual_user: Home,
    _dir: tempfile::TempDir,
}

/// `None` if we may not do this here.
fn world() -> Option<World> {
    if !nix::unistd::geteuid().is_root() {
        let strict = std::env::var_os("MAILCOTE_TESTS").is_some_and(|mode| mode == "strict");
        assert!(!strict, "root is needed (MAILCOTE_TESTS=strict)");
        eprintln!("skipped: needs root");
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    // As /home is: everybody may pass, nobody else may look into a home.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
    let settings = Settings {
        hostname: "mail.demo.test".into(),
        coexist: false,
        default_folders: vec![(Name::parse("Sent").expect("a name"), Role::Sent)],
        ..Settings::default()
    };
    let home = |name: &str, uid: u32| {
        let path = dir.path().join(name);
        fs::create_dir(&path).expect("a home");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
        chown(&path, Some(uid), Some(uid)).expect("chown");
        Home { maildir: path.join("Maildir"), layout: Layout::Maildirpp, owner: Owner::User { uid, gid: uid } }
    };
    let mut virtual_user = home("virtual", 0);
    virtual_user.owner = Owner::Daemon;
    Some(World {
        stores: Stores::new(settings).expect("stores"),
        ann: home("ann", ANN),
        ben: home("ben", BEN),
        virtual_user,
        _dir: dir,
    })
}

impl World {
    /// Deliver a message that says whose it is, and return the account.
    fn deliver(&self, home: &Home, text: &str) -> Arc<Store> {
        let store = self.stores.open(home).expect("an account");
        let mut draft = store.draft().expect("a draft");
        draft.write(format!("Subject: x\r\n\r\n{text}\r\n").as_bytes()).expect("written");
        store.deliver(draft, &Name::inbox()).expect("delivered");
        store
    }
}

/// Everything below `dir`, itself included.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.symlink_metadata().expect("there").is_dir() { all.extend(tree(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn files_belong_to_their_user() {
    let Some(world) = world() else { return };
    for (home, uid) in [(&world.ann, ANN), (&world.ben, BEN), (&world.virtual_user, 0)] {
        let store = world.deliver(home, "first");
        let (inbox, work) = (Name::inbox(), Name::parse("Work/Old").expect("a name"));
        store.create(&work, None).expect("created");
        store.subscribe(&work, true).expect("subscribed");
        let mut draft = store.draft().expect("a draft");
        draft.write(b"Subject: y\r\n\r\nappended\r\n").expect("written");
        let folder = store.mailbox(&work).expect("opened");
        folder.append(vec![(draft, Flags::SEEN, vec!["todo".into()], None)]).expect("appended");
        let mailbox = store.mailbox(&inbox).expect("opened");
        mailbox.store_flags(&[1], Change::Add, Flags::FLAGGED, &["todo".into()], None).expect("flagged");
        mailbox.copy(&[1], &folder).expect("copied");
        mailbox.move_to(&[1], &folder).expect("moved");
        let files = tree(&home.maildir);
        assert!(files.len() > 15, "{files:?}");
        for path in &files {
            let meta = path.symlink_metadata().expect("there");
            assert_eq!((meta.uid(), meta.gid()), (uid, uid), "{}", path.display());
            // `dovecot-uidvalidity.XXXXXXXX` is empty and 0444, as Dovecot makes it: its name is all there is to it.
            let says_something = meta.is_dir() || meta.len() > 0;
            assert!(!says_something || meta.mode() & 0o077 == 0, "{} is open to others", path.display());
        }
        let messages = files.iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("cur"))).count();
        assert_eq!(messages, 3, "appended, copied, moved");
    }
}

#[test]
fn one_users_thread_cannot_read_anothers_mail() {
    let Some(world) = world() else { return };
    world.deliver(&world.ann, "for Ann");
    world.deliver(&world.ben, "for Ben");
    let message = tree(&world.ben.maildir.join("new")).pop().expect("Ben's message");
    {
        let _ann = world.ann.owner.assume().expect("root may");
        assert_eq!(fs::read(&message).expect_err("Ann reads").kind(), ErrorKind::PermissionDenied);
        assert_eq!(fs::read_dir(&world.ben.maildir).expect_err("Ann lists").kind(), ErrorKind::PermissionDenied);
        assert_eq!(fs::remove_file(&message).expect_err("Ann removes").kind(), ErrorKind::PermissionDenied);
        assert_eq!(fs::write("/root/x", "").expect_err("Ann is not root").kind(), ErrorKind::PermissionDenied);
        assert!(fs::read_dir(&world.ann.maildir).expect("her own").count() > 3);
        {
            let _ben = world.ben.owner.assume().expect("root may");
            assert!(fs::read(&message).is_ok(), "within Ben's step");
            assert!(fs::read_dir(&world.ann.maildir).is_err(), "Ben is not Ann");
        }
        assert!(fs::read(&message).is_err(), "Ann again");
    }
    assert!(fs::read(&message).is_ok(), "root again");

    // A wrong path in Ann's line must not open Ben's mail either.
    let wrong = Home { maildir: world.ben.maildir.clone(), ..world.ann.clone() };
    let stores = Stores::new(Settings {
        hostname: "h".into(),
        coexist: false,
        default_folders: Vec::new(),
        ..Settings::default()
    });
    let opened = stores.expect("stores").open(&wrong).and_then(|store| store.mailbox(&Name::inbox()).map(drop));
    assert!(
        matches!(&opened, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied),
        "{opened:?}"
    );
}

#[test]
fn the_identity_is_that_of_the_step_and_of_its_thread() {
    let Some(world) = world() else { return };
    let store = world.deliver(&world.ann, "for Ann");
    let mailbox = store.mailbox(&Name::inbox()).expect("opened");
    let mut file = mailbox.open(1).expect("opened");
    // After each call of the store the thread is what it was: what it makes now is root's.
    let mark = world.virtual_user.maildir.with_extension("mark");
    fs::write(&mark, "x").expect("written");
    assert_eq!(fs::metadata(&mark).expect("there").uid(), 0);
    // An open file stays readable, as sessions need it.
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    assert!(text.ends_with("for Ann\n"));

    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (done, seen) = std::sync::mpsc::channel();
    let (owner, anns) = (world.ann.owner, world.ann.maildir.clone());
    let thread = std::thread::spawn(move || {
        let guard = owner.assume().expect("root may");
        done.send(fs::read_dir(&anns).is_ok()).expect("sent");
        wait.recv().expect("told");
        drop(guard);
        fs::write(anns.with_extension("after"), "x").map(|()| anns.with_extension("after"))
    });
    assert!(seen.recv().expect("told"), "the other thread is Ann");
    assert!(fs::read_dir(world.ben.maildir.parent().expect("a home")).is_ok(), "this one is root all the while");
    go.send(()).expect("sent");
    let after = thread.join().expect("no panic").expect("written");
    assert_eq!(fs::metadata(after).expect("there").uid(), 0, "restored");

    let owner = world.ann.owner;
    let panicked = std::panic::catch_unwind(move || {
        let _guard = owner.assume().expect("root may");
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panicked.is_err());
    fs::write(&mark, "y").expect("restored after a panic, too");
}

#[test]
fn a_copy_for_another_user_is_his() {
    let Some(world) = world() else { return };
    let (ann, ben) = (world.stores.open(&world.ann).expect("Ann"), world.stores.open(&world.ben).expect("Ben"));
    let mut first = ann.draft().expect("a draft");
    first.write(b"Delivered-To: ann\r\n").expect("written");
    let mark = first.mark();
    first.write(b"Subject: to both\r\n\r\nhello\r\n").expect("written");
    let second = ben.draft_from(b"Delivered-To: ben\r\n", &mut first, mark).expect("copied");
    ann.deliver(first, &Name::inbox()).expect("delivered");
    ben.deliver(second, &Name::inbox()).expect("delivered");
    for (home, name, uid) in [(&world.ann, "ann", ANN), (&world.ben, "ben", BEN)] {
        let path = tree(&home.maildir.join("new")).pop().expect("a message");
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text, format!("Delivered-To: {name}\nSubject: to both\n\nhello\n"));
        assert_eq!(fs::metadata(&path).expect("there").uid(), uid);
    }
}
