//! What is noted, by whom it came, and what following costs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::{Home, Layout, Owner, Settings, Stores};
use super::*;
use crate::notice::Notice;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn store(dir: &Path, layout: Layout) -> Arc<Store> {
    let home = Home { maildir: dir.join("Maildir"), layout, owner: Owner::Daemon };
    Stores::new(Settings { hostname: "host".into(), ..Settings::default() }).unwrap().open(&home).unwrap()
}

/// Wait until there is news that `is_it`, counting from `since`.
fn wait(store: &Store, notice: &Notice, since: u64, is_it: impl Fn(&News) -> bool) -> News {
    let mut all = News { last: since, ..News::default() };
    for _ in 0..500 {
        notice.take();
        store.look_around(&notice.raiser()).unwrap();
        let news = store.lookout().after(since);
        if is_it(&news) {
            return news;
        }
        all = news;
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not told: {all:?}");
}

#[test]
fn what_others_do_in_a_folder_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    store.create(&name("Work"), None).unwrap();
    store.create(&name("Other"), None).unwrap();
    let notice = Notice::new();
    store.lookout().listen(notice.raiser());
    let _work = store.follow(&name("Work")).unwrap();
    let since = store.lookout().last();
    let message = dir.path().join("Maildir/.Work/new/1.1.host");
    fs::write(&message, b"a\n").unwrap();
    fs::write(dir.path().join("Maildir/.Other/new/1.1.host"), b"a\n").unwrap();
    let news = wait(&store, &notice, since, |news| !news.folders.is_empty());
    assert_eq!((news.folders, news.tree, news.subscriptions), (vec![name("Work")], false, false));
    // Nobody follows any more.
    drop(_work);
    let since = store.lookout().last();
    fs::remove_file(&message).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(store.lookout().after(since).folders, []);
}

#[test]
fn folders_that_others_make_and_remove_are_noted() {
    for (layout, below) in [(Layout::Maildirpp, ".A.B"), (Layout::Fs, "A/B")] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), layout);
        store.create(&name("A"), None).unwrap();
        let notice = Notice::new();
        store.lookout().listen(notice.raiser());
        let tree = store.follow_tree().unwrap();
        let folder = dir.path().join("Maildir").join(below);
        let since = store.lookout().last();
        fs::create_dir(&folder).unwrap();
        let news = wait(&store, &notice, since, |news| news.tree);
        assert!(!store.exists(&name("A/B")).unwrap());
        // Half made: what comes into it is seen as well.
        assert!(Arc::ptr_eq(&tree, &store.follow_tree().unwrap()));
        fs::create_dir(folder.join("cur")).unwrap();
        let news = wait(&store, &notice, news.last, |news| news.tree);
        assert!(store.exists(&name("A/B")).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        wait(&store, &notice, news.last, |news| news.tree);
    }
}

#[test]
fn a_folder_that_is_replaced_is_followed_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    store.create(&name("Work"), None).unwrap();
    let notice = Notice::new();
    store.lookout().listen(notice.raiser());
    let since = store.lookout().last();
    let _tree = store.follow_tree().unwrap();
    let before = store.follow(&name("Work")).unwrap();
    assert!(Arc::ptr_eq(&before, &store.follow(&name("Work")).unwrap()));
    fs::rename(dir.path().join("Maildir/.Work"), dir.path().join("Maildir/.Old")).unwrap();
    let news = wait(&store, &notice, since, |news| news.tree);
    store.create(&name("Work"), None).unwrap();
    let after = store.follow(&name("Work")).unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
    drop(before);
    fs::write(dir.path().join("Maildir/.Work/new/1.1.host"), b"a\n").unwrap();
    wait(&store, &notice, news.last, |news| news.folders == [name("Work")]);
}

#[test]
fn a_folder_that_is_deleted_while_it_is_open_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    store.create(&name("Work"), None).unwrap();
    let (notice, ear) = (Notice::new(), Notice::new());
    store.lookout().listen(notice.raiser());
    let work = store.mailbox(&name("Work")).unwrap();
    work.listen(ear.raiser());
    let followed = store.follow(&name("Work")).unwrap();
    store.delete(&name("Work")).unwrap();
    store.create(&name("Work"), None).unwrap();
    let again = store.follow(&name("Work")).unwrap();
    assert!(!Arc::ptr_eq(&followed, &again));
    let since = store.lookout().last();
    fs::write(dir.path().join("Maildir/.Work/new/1.1.host"), b"a\n").unwrap();
    wait(&store, &notice, since, |news| !news.folders.is_empty());
}

#[test]
fn who_did_what_is_remembered_to_a_bound() {
    let lookout = Lookout::default();
    let notice = Notice::new();
    lookout.listen(notice.raiser());
    let since = lookout.last();
    let turn = lookout.turn();
    turn.did(7, Done::Renamed(name("A"), name("B")));
    turn.did(8, Done::Subscribed(name("B")));
    drop(turn);
    assert!(notice.take());
    let news = lookout.after(since);
    assert_eq!(news.done, [(7, Done::Renamed(name("A"), name("B"))), (8, Done::Subscribed(name("B")))]);
    assert!(news.tree && news.subscriptions);
    for _ in 0..2 * MAX_DONE {
        lookout.turn().did(7, Done::Created(name("C")));
    }
    assert_eq!(lookout.after(since).done.len(), MAX_DONE);
}

#[test]
fn one_wake_up_until_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    let notice = Notice::new();
    store.lookout().listen(notice.raiser());
    let _inbox = store.follow(&Name::inbox()).unwrap();
    store.lookout().changed(&Name::inbox());
    assert!(notice.take());
    store.lookout().changed(&Name::inbox());
    assert!(!notice.take(), "was told already");
    store.look_around(&notice.raiser()).unwrap();
    assert_eq!(store.lookout().after(0).folders, [Name::inbox()]);
    store.lookout().changed(&Name::inbox());
    assert!(notice.take());
    assert_eq!(store.lookout().after(store.lookout().last()).folders, []);
}

/// The polling thread may come between any two steps of a session that looks.
#[test]
fn whoever_polls_never_leaves_a_look_that_nobody_hears_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    let (notice, gone) = (Notice::new(), Notice::new());
    store.lookout().listen(notice.raiser());
    store.lookout().look_due();
    assert!(notice.take());
    store.look_around(&notice.raiser()).unwrap();
    store.lookout().look_due();
    store.lookout().after(0);
    assert!(notice.take(), "it fell due while this session was looking");
    store.look_around(&notice.raiser()).unwrap();
    assert!(!store.lookout().look_due.load(Ordering::Acquire) && !notice.take());
    // A look that is left to one who ends.
    drop(notice);
    store.lookout().listen(gone.raiser());
    store.lookout().look_due();
    drop(gone);
    let late = Notice::new();
    store.lookout().listen(late.raiser());
    store.lookout().look_due();
    assert!(late.take());
    // To listen again is to be raised again.
    store.lookout().listen(late.raiser());
    store.lookout().look_due();
    assert!(late.take());
}

#[test]
fn two_who_begin_to_follow_at_once_follow_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), Layout::Maildirpp);
    for folder in ["Work", "Other", "Third"] {
        store.create(&name(folder), None).unwrap();
    }
    // Both have looked for it, neither has found it.
    let begin = || store.begin_to_follow(&name("Work"), dir.path().join("Maildir/.Work"));
    let (one, two) = (begin(), begin());
    let (one, two) = (store.lookout().enter(one), store.lookout().enter(two));
    assert!(Arc::ptr_eq(&one, &two));
    drop(two);
    let _other = store.follow(&name("Other")).unwrap();
    let changed = || {
        let since = store.lookout().last();
        store.lookout().changed(&name("Work"));
        store.lookout().after(since).folders
    };
    assert_eq!(changed(), [name("Work")]);
    // Replaced, and the second ends before the first: there is still one who follows.
    one.gone.store(true, Ordering::Release);
    let two = store.follow(&name("Work")).unwrap();
    assert!(!Arc::ptr_eq(&one, &two));
    drop(two);
    let _third = store.follow(&name("Third")).unwrap();
    assert_eq!(changed(), [name("Work")]);
    drop(one);
    drop(_third);
    let _third = store.follow(&name("Third")).unwrap();
    assert_eq!(changed(), []);
}
