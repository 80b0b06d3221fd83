//! Accounts that are opened, kept, made and refused; folders that are deleted and renamed under their users.

use super::super::{Layout, Owner};
use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn stores() -> Stores {
    let default_folders = vec![(name("Sent"), Role::Sent), (name("Müll"), Role::Trash)];
    Stores::new(Settings { hostname: "mx.example.org".into(), coexist: false, default_folders, ..Settings::default() })
        .unwrap()
}

fn home(dir: &std::path::Path, layout: Layout) -> Home {
    Home { maildir: dir.join("example.org/alice/Maildir"), layout, owner: Owner::Daemon }
}

fn listed(store: &Store) -> Vec<(String, Option<Role>)> {
    store.folders().unwrap().into_iter().map(|f| (f.name.to_string(), f.role)).collect()
}

#[test]
fn a_fresh_home_is_made_with_its_folders() {
    for layout in [Layout::Maildirpp, Layout::Fs] {
        let dir = tempfile::tempdir().unwrap();
        let store = stores().open(&home(dir.path(), layout)).unwrap();
        let folders = [("INBOX", None), ("Müll", Some(Role::Trash)), ("Sent", Some(Role::Sent))];
        assert_eq!(listed(&store), folders.map(|(n, r)| (n.to_string(), r)), "{layout:?}");
        assert_eq!(store.subscriptions().unwrap(), [name("Sent"), name("Müll")].into());
        for part in ["cur", "new", "tmp"] {
            assert!(store.home().maildir.join(part).is_dir(), "{part}");
        }
        assert!(!store.home().maildir.join("maildirfolder").exists(), "never in the root");
    }
}

#[test]
fn a_home_that_was_half_made_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path(), Layout::Maildirpp);
    std::fs::create_dir_all(home.maildir.join(".Sent/cur")).unwrap();
    std::fs::create_dir_all(home.maildir.join("tmp")).unwrap();
    let store = stores().open(&home).unwrap();
    let names: Vec<String> = listed(&store).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["INBOX", "Müll", "Sent"]);
}

#[test]
fn a_home_of_somebody_else_gets_no_folders() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path(), Layout::Maildirpp);
    std::fs::create_dir_all(home.maildir.join("new")).unwrap();
    let store = stores().open(&home).unwrap();
    assert_eq!(listed(&store), [("INBOX".to_string(), None)]);
    assert!(store.subscriptions().unwrap().is_empty());
}

#[test]
fn one_store_an_account_while_somebody_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let (stores, home) = (stores(), home(dir.path(), Layout::Maildirpp));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (stores, home) = (stores.clone(), home.clone());
            std::thread::spawn(move || stores.open(&home).unwrap())
        })
        .collect();
    let opened: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(opened.iter().all(|store| Arc::ptr_eq(store, &opened[0])));
    let weak = Arc::downgrade(&opened[0]);
    drop(opened);
    assert!(weak.upgrade().is_some(), "kept for a while");
    lock(&stores.0.kept).clear();
    assert!(weak.upgrade().is_none(), "nobody holds it");
    stores.open(&home).unwrap();
}

#[test]
fn a_home_that_was_removed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (stores, home) = (stores(), home(dir.path(), Layout::Maildirpp));
    stores.open(&home).unwrap();
    std::fs::remove_dir_all(&home.maildir).unwrap();
    assert!(stores.open(&home).unwrap().exists(&name("Sent")).unwrap());
}

#[test]
fn the_table_forgets_those_whom_nobody_holds() {
    let dir = tempfile::tempdir().unwrap();
    let stores = stores();
    let kept = stores.open(&home(dir.path(), Layout::Maildirpp)).unwrap();
    for n in 0..FIRST_CLEANING {
        let maildir = dir.path().join(n.to_string());
        std::fs::create_dir_all(maildir.join("cur")).unwrap();
        stores.open(&Home { maildir, layout: Layout::Maildirpp, owner: Owner::Daemon }).unwrap();
    }
    assert!(lock(&stores.0.table).slots.len() < MAX_KEPT + 10);
    assert!(lock(&stores.0.kept).len() <= MAX_KEPT);
    assert!(Arc::ptr_eq(&kept, &stores.open(&home(dir.path(), Layout::Maildirpp)).unwrap()));
}

#[test]
fn nobody_opens_a_folder_while_it_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = stores().open(&home(dir.path(), Layout::Maildirpp)).unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let opened = scope.spawn({
            let store = &store;
            move || {
                begins.recv().unwrap();
                store.mailbox(&name("Sent"))
            }
        });
        let gone = |folder: &Name| folder == &name("Sent");
        let work = || {
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            assert!(store.open_already(&name("Sent")).is_none(), "not opened meanwhile");
            store.tree.delete(&name("Sent")).map(|moved| vec![moved])
        };
        store.undisturbed(gone, work).unwrap();
        assert!(matches!(opened.join().unwrap(), Err(Error::NotFound)));
    });
}

#[test]
fn a_home_is_not_made_where_its_file_system_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let base = std::fs::canonicalize(dir.path()).unwrap();
    let settings = Settings { hostname: "h".into(), mounts: Mounts::read(Some(&base)), ..Settings::default() };
    let stores = Stores::new(settings).unwrap();
    let home = home(&base, Layout::Maildirpp);
    let Err(error) = stores.open(&home) else { panic!("made") };
    assert!(error.is_temporary() && error.to_string().contains("not mounted"), "{error}");
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0, "nothing is made");
    // What is there is served.
    std::fs::create_dir_all(home.maildir.join("cur")).unwrap();
    assert!(stores.open(&home).is_ok());
}

#[test]
fn the_setting_says_how_names_are_spelled() {
    for (setting, directory) in [(None, ".&APw-"), (Some(Charset::Utf7), ".&APw-"), (Some(Charset::Utf8), ".\u{fc}")] {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path(), Layout::Maildirpp);
        // A tree of ASCII names, which was taken for modified UTF-7 before.
        std::fs::create_dir_all(home.maildir.join("cur")).unwrap();
        std::fs::create_dir_all(home.maildir.join(".Work/cur")).unwrap();
        drop(stores().open(&home).unwrap());
        let settings = Settings { hostname: "h".into(), mailbox_names: setting, ..Settings::default() };
        let store = Stores::new(settings).unwrap().open(&home).unwrap();
        store.create(&name("\u{fc}"), None).unwrap();
        assert!(home.maildir.join(directory).is_dir(), "{setting:?}");
        drop(store);
        // It is recorded, and holds without the setting.
        assert!(stores().open(&home).unwrap().exists(&name("\u{fc}")).unwrap(), "{setting:?}");
    }
}

#[test]
fn subscriptions_outlive_folders_and_must_be_possible_names() {
    let dir = tempfile::tempdir().unwrap();
    let store = stores().open(&home(dir.path(), Layout::Maildirpp)).unwrap();
    store.create(&name("A"), None).unwrap();
    store.subscribe(&name("A"), true).unwrap();
    store.delete(&name("A")).unwrap();
    assert!(store.subscriptions().unwrap().contains(&name("A")));
    assert!(matches!(store.subscribe(&name("a.b"), true), Err(Error::BadName(_))));
    store.subscribe(&name("A"), false).unwrap();
    store.subscribe(&name("a.b"), false).unwrap();
    assert!(!store.subscriptions().unwrap().contains(&name("A")));
}

#[test]
fn renaming_inbox_moves_its_messages_and_leaves_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let store = stores().open(&home(dir.path(), Layout::Maildirpp)).unwrap();
    store.create(&name("INBOX/Child"), None).unwrap();
    for text in ["one", "two"] {
        let mut draft = store.draft().unwrap();
        draft.write(format!("Subject: {text}\r\n\r\n").as_bytes()).unwrap();
        store.deliver(draft, &Name::inbox()).unwrap();
    }
    store.rename(&Name::inbox(), &name("Old/2026")).unwrap();
    let count = |text: &str| store.mailbox(&name(text)).unwrap().read(<[_]>::len);
    assert_eq!((count("INBOX"), count("Old/2026")), (0, 2));
    assert!(store.exists(&name("INBOX/Child")).unwrap() && store.exists(&name("Old")).unwrap());
    assert!(matches!(store.rename(&Name::inbox(), &name("Old")), Err(Error::Exists)));
}

#[test]
fn who_has_a_folder_open_is_told_that_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = stores().open(&home(dir.path(), Layout::Maildirpp)).unwrap();
    for text in ["A", "A/B", "C"] {
        store.create(&name(text), None).unwrap();
    }
    let open = ["A", "A/B", "C"].map(|text| store.mailbox(&name(text)).unwrap());
    store.rename(&name("A"), &name("X")).unwrap();
    store.delete(&name("C")).unwrap();
    for mailbox in open {
        assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    }
    store.create(&name("C"), None).unwrap();
    assert!(store.mailbox(&name("C")).unwrap().refresh().is_ok());
    assert!(store.mailbox(&name("X/B")).unwrap().refresh().is_ok());
}
