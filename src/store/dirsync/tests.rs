//! Syncs that are shared, ordered and deferred; what becomes of those that fail.

use super::*;

#[test]
fn everybody_is_served_and_the_table_is_empty_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = DirSyncs::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (syncs, dir) = (&syncs, dir.path());
            scope.spawn(move || {
                for n in 0..20 {
                    std::fs::write(dir.join(format!("{thread}.{n}")), "x").unwrap();
                    syncs.now(dir).unwrap();
                }
            });
        }
    });
    assert!(lock(&syncs.shared.groups).is_empty());
}

#[test]
fn callers_who_meet_share_a_round() {
    let dir = tempfile::tempdir().unwrap();
    let group = Group::default();
    // A round is under way; three callers come; when it ends, one more round serves all three.
    lock(&group.state).started = 1;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| group.sync(|| fsio::sync_dir(dir.path())).unwrap());
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(lock(&group.state).started, 1, "nobody starts a second sync beside the first");
        lock(&group.state).finished = 1;
        group.done.notify_all();
    });
    assert_eq!(lock(&group.state).started, 2);
}

#[test]
fn a_failure_is_told_to_everybody_it_concerns() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = DirSyncs::new();
    let missing = dir.path().join("missing");
    assert_eq!(syncs.now(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    std::fs::create_dir(&missing).unwrap();
    syncs.now(&missing).unwrap();
}

#[test]
fn a_deferred_sync_happens_at_the_latest_when_the_process_stops() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = DirSyncs::new();
    syncs.soon(dir.path(), Owner::Daemon);
    syncs.soon(dir.path(), Owner::Daemon);
    let shared = Arc::clone(&syncs.shared);
    assert_eq!(lock(&shared.waiting).directories.len(), 1);
    drop(syncs);
    assert!(lock(&shared.waiting).directories.is_empty());
}

/// Directories in `root` that were synced from now on.
fn synced(root: &Path) -> (fsio::Watching, Arc<Mutex<Vec<PathBuf>>>) {
    let seen = Arc::<Mutex<Vec<PathBuf>>>::default();
    let (note, root) = (Arc::clone(&seen), root.to_owned());
    let watching = fsio::watch_steps(move |_, step| {
        if matches!(step, fsio::Step::SyncDir(_)) && step.path().starts_with(&root) {
            lock(&note).push(step.path().to_owned());
        }
        Ok(())
    });
    (watching, seen)
}

#[test]
fn the_new_place_comes_before_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = DirSyncs::new();
    let (old, gone) = (dir.path().join("old"), dir.path().join("gone"));
    std::fs::create_dir(&old).unwrap();
    let (_watching, seen) = synced(dir.path());
    for to in [dir.path(), &gone, &old] {
        syncs.moving(&old, to, || ());
    }
    syncs.now(&old).unwrap();
    assert_eq!(*lock(&seen), [dir.path(), &gone, &old], "what is gone is no hindrance");
    assert!(lock(&syncs.shared.orders).is_empty());
    // A target that cannot be synced keeps the old directory from the disk, too, and stays on the list.
    std::fs::write(dir.path().join("file"), "").unwrap();
    syncs.moving(&old, &dir.path().join("file"), || ());
    assert!(syncs.now(&old).is_err());
    assert_eq!(lock(&syncs.shared.order(&old).first).len(), 1);
}

#[test]
fn nothing_is_renamed_between_the_syncs_of_the_new_place_and_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    std::fs::create_dir(&new).unwrap();
    let syncs = DirSyncs::new();
    let moved = std::sync::atomic::AtomicUsize::new(0);
    let log = Arc::<Mutex<Vec<&str>>>::default();
    let (note, places) = (Arc::clone(&log), (old.clone(), new.clone()));
    let _watching = fsio::watch_steps(move |_, step| {
        if matches!(step, fsio::Step::SyncDir(_)) && [&places.0, &places.1].contains(&&step.path().to_owned()) {
            lock(&note).push(if step.path() == places.0 { "old" } else { "new" });
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                syncs.moving(&old, &new, || lock(&log).push("rename"));
                moved.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        while moved.load(std::sync::atomic::Ordering::Relaxed) < 200 {
            syncs.now(&old).unwrap();
        }
    });
    let log = lock(&log);
    assert!(log.contains(&"new"));
    assert!(!log.windows(2).any(|two| two == ["rename", "old"]), "{log:?}");
}

#[test]
fn a_deferred_sync_finds_its_directory_under_its_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("A"), dir.path().join("B"));
    std::fs::create_dir_all(before.join("cur")).unwrap();
    let (_watching, seen) = synced(dir.path());
    let syncs = DirSyncs::new();
    syncs.soon(&before.join("cur"), Owner::Daemon);
    std::fs::rename(&before, &after).unwrap();
    // Another folder takes the name.
    std::fs::create_dir_all(before.join("cur")).unwrap();
    syncs.soon(&before.join("cur"), Owner::Daemon);
    syncs.soon(&before.join("cur"), Owner::Daemon);
    drop(syncs);
    assert_eq!(lock(&seen).len(), 2, "both, once each");
}

#[test]
fn too_many_that_wait_are_not_held_open() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = DirSyncs::new();
    let (_watching, seen) = synced(dir.path());
    for n in 0..MAX_WAITING + 3 {
        let path = dir.path().join(n.to_string());
        std::fs::create_dir(&path).unwrap();
        syncs.soon(&path, Owner::Daemon);
        assert!(lock(&syncs.shared.waiting).directories.len() <= MAX_WAITING);
    }
    drop(syncs);
    assert_eq!(lock(&seen).len(), MAX_WAITING + 3);
}
