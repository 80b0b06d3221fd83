//! Real directories and real inotify events; what cannot be watched; what is told later.

use std::fs;
use std::time::Duration;

use super::*;

/// Longest wait for an event in a test.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Sink for Notes {
    fn seen(&self, which: Which, seen: Seen<'_>) {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let text = match seen {
            Seen::Appeared(n) => format!("+{}", name(n)),
            Seen::Removed(n) => format!("-{}", name(n)),
            Seen::MovedAway(n) => format!("<{}", name(n)),
            other => format!("{other:?}"),
        };
        lock(&self.0).push(format!("{which:?} {text}"));
    }
}

fn wait_for(notes: &Notes, expected: &[&str]) {
    let start = Instant::now();
    while *lock(&notes.0) != expected {
        assert!(start.elapsed() < PATIENCE, "{:?} instead of {expected:?}", lock(&notes.0));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn look(watch: &Watch, dir: &Path, which: Which) -> (Arc<Notes>, Looking) {
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn Sink> = notes.clone();
    let looking = watch.look(dir, which, &sink);
    (notes, looking)
}

#[test]
fn names_that_come_and_go_are_told_and_reading_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (new, cur) = (dir.path().join("new"), dir.path().join("cur"));
    fs::create_dir(&new).unwrap();
    fs::create_dir(&cur).unwrap();
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &new, Which::New);
    assert!(looking.is_watched());
    fs::write(new.join("a"), "x").unwrap();
    fs::read(new.join("a")).unwrap();
    fs::rename(new.join("a"), cur.join("a:2,")).unwrap();
    fs::rename(cur.join("a:2,"), new.join("b")).unwrap();
    fs::rename(new.join("b"), new.join("c")).unwrap();
    fs::remove_file(new.join("c")).unwrap();
    wait_for(&notes, &["New +a", "New <a", "New +b", "New <b", "New +c", "New -c"]);
}

#[test]
fn the_last_one_who_looks_takes_the_watch_along() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (first, one) = look(&watch, dir.path(), Which::Cur);
    let (second, two) = look(&watch, dir.path(), Which::Cur);
    fs::write(dir.path().join("a"), "").unwrap();
    wait_for(&first, &["Cur +a"]);
    wait_for(&second, &["Cur +a"]);
    drop(one);
    fs::write(dir.path().join("b"), "").unwrap();
    wait_for(&second, &["Cur +a", "Cur +b"]);
    wait_for(&first, &["Cur +a"]);
    drop(two);
    assert!(lock(&watch.shared.table).directories.is_empty());
    assert!(lock(&watch.shared.table).watches.is_empty());
    let fence = watch.shared.raise_fence().unwrap();
    fs::write(dir.path().join("c"), "").unwrap();
    assert!(watch.fence(PATIENCE) && !lock(&watch.shared.fences).contains(&fence));
    wait_for(&second, &["Cur +a", "Cur +b"]);
}

#[test]
fn two_paths_to_one_directory_share_a_watch() {
    let dir = tempfile::tempdir().unwrap();
    let (cur, link) = (dir.path().join("cur"), dir.path().join("link"));
    fs::create_dir(&cur).unwrap();
    std::os::unix::fs::symlink(&cur, &link).unwrap();
    let watch = Watch::new();
    let (first, one) = look(&watch, &cur, Which::Cur);
    let (second, _two) = look(&watch, &link, Which::Cur);
    fs::write(cur.join("a"), "").unwrap();
    assert!(watch.fence(PATIENCE));
    drop(one);
    fs::write(cur.join("b"), "").unwrap();
    assert!(watch.fence(PATIENCE));
    wait_for(&first, &["Cur +a"]);
    wait_for(&second, &["Cur +a", "Cur +b"]);
}

#[test]
fn a_fence_is_passed_when_everything_before_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, _looking) = look(&watch, dir.path(), Which::New);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (watch, notes, dir) = (&watch, &notes, dir.path());
            scope.spawn(move || {
                for n in 0..200 {
                    let name = format!("{thread}.{n}");
                    fs::write(dir.join(&name), "").unwrap();
                    assert!(watch.fence(PATIENCE));
                    assert_eq!(lock(&notes.0).iter().filter(|note| **note == format!("New +{name}")).count(), 1);
                }
            });
        }
    });
    assert!(lock(&watch.shared.fences).is_empty());
    assert!(watch.fence(PATIENCE), "when nothing happens, too");
}

#[test]
fn a_fence_that_nobody_tells_of_is_not_passed() {
    let watch = Watch::new();
    // As if its event had been read and lost.
    let lost = lock(&watch.shared.setting).kernel.take().unwrap();
    assert!(!watch.fence(PATIENCE), "no inotify at all");
    let deaf = Kernel::new().unwrap();
    lock(&watch.shared.setting).kernel = Some(deaf);
    assert!(!watch.fence(Duration::from_millis(5)));
    assert!(lock(&watch.shared.fences).is_empty());
    // Whoever waits while the queue overflows is told to look, and need not wait longer.
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| watch.fence(PATIENCE * 10));
        while lock(&watch.shared.fences).is_empty() {
            std::thread::yield_now();
        }
        watch.shared.handle(overflow());
        assert!(waiter.join().unwrap());
    });
    *lock(&watch.shared.setting) = Setting { kernel: Some(lost), standing: None };
}

#[test]
fn reading_mail_wakes_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, _looking) = look(&watch, dir.path(), Which::New);
    fs::write(dir.path().join("a"), "x").unwrap();
    assert!(watch.fence(PATIENCE));
    let woken = watch.shared.batches.load(Ordering::Relaxed);
    for _ in 0..100 {
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"x");
    }
    assert!(watch.fence(PATIENCE));
    assert_eq!(watch.shared.batches.load(Ordering::Relaxed), woken + 1, "by the fence");
    wait_for(&notes, &["New +a"]);
}

#[test]
fn a_storm_wakes_the_thread_seldom_and_a_fence_ends_its_rest() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, _looking) = look(&watch, dir.path(), Which::Cur);
    let names = |n| [dir.path().join(format!("{n}:2,")), dir.path().join(format!("{n}:2,S"))];
    (0..2000).for_each(|n| fs::write(&names(n)[0], "").unwrap());
    assert!(watch.fence(PATIENCE));
    let before = watch.shared.batches.load(Ordering::Relaxed);
    let start = Instant::now();
    for n in 0..2000 {
        let [old, new] = names(n);
        fs::rename(old, new).unwrap();
    }
    assert!(watch.fence(PATIENCE));
    let woken = watch.shared.batches.load(Ordering::Relaxed) - before;
    // One a millisecond, but for the first two and the fence's.
    assert!(woken as u128 <= start.elapsed().as_millis() + 4, "{woken} in {:?}", start.elapsed());
    assert_eq!(lock(&notes.0).len(), 2000 + 2 * 2000, "all were told");
}

#[test]
fn after_the_end_of_the_reading_thread_everything_is_polled() {
    struct Panics;
    impl Sink for Panics {
        fn seen(&self, _: Which, seen: Seen<'_>) {
            assert_eq!(seen, Seen::Rescan, "this panic is part of the test");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, looking) = look(&watch, dir.path(), Which::New);
    let sink: Arc<dyn Sink> = Arc::new(Panics);
    let _panics = watch.look(dir.path(), Which::New, &sink);
    fs::write(dir.path().join("a"), "").unwrap();
    wait_for(&notes, &["New +a", "New Rescan"]);
    drop(sink);
    looking.try_again();
    assert!(!looking.is_watched() && watch.polled() == 1 && !watch.fence(PATIENCE));
    lock(&notes.0).clear();
    wait_for(&notes, &["New Look"]);
}

#[test]
fn a_directory_that_goes_away_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let cur = dir.path().join("cur");
    fs::create_dir(&cur).unwrap();
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &cur, Which::Cur);
    fs::remove_dir(&cur).unwrap();
    wait_for(&notes, &["Cur DirectoryGone"]);
    drop(looking);
    // The same name again is a new directory with a watch of its own.
    fs::create_dir(&cur).unwrap();
    let (notes, _looking) = look(&watch, &cur, Which::Cur);
    fs::write(cur.join("x"), "").unwrap();
    wait_for(&notes, &["Cur +x"]);
}

fn overflow() -> Raw<'static> {
    Raw { watch: -1, mask: AddWatchFlags::IN_Q_OVERFLOW, name: b"" }
}

#[test]
fn an_overflow_makes_everybody_look() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::new();
    let (notes, _looking) = look(&watch, dir.path(), Which::New);
    watch.shared.handle(overflow());
    wait_for(&notes, &["New Rescan"]);
}

#[test]
fn what_cannot_be_watched_is_polled_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("later");
    let watch = Watch::new();
    let (notes, looking) = look(&watch, &missing, Which::New);
    assert!(!looking.is_watched());
    assert_eq!(watch.polled(), 1);
    wait_for(&notes, &["New Look"]);
    looking.try_again();
    assert!(!looking.is_watched());
    fs::create_dir(&missing).unwrap();
    looking.try_again();
    assert!(looking.is_watched());
    assert_eq!(watch.polled(), 0);
    wait_for(&notes, &["New Look", "New Rescan"]);
    fs::write(missing.join("a"), "").unwrap();
    wait_for(&notes, &["New Look", "New Rescan", "New +a"]);
}

#[test]
fn who_asks_to_be_told_later_is_told_once() {
    let watch = Watch::new();
    let notes = Arc::new(Notes::default());
    let sink: Arc<dyn Sink> = notes.clone();
    watch.look_later(&sink, Duration::from_millis(30));
    watch.look_later(&sink, Duration::from_millis(1));
    wait_for(&notes, &["Cur Look", "Cur Look"]);
    drop(sink);
    std::thread::sleep(Duration::from_millis(50));
    wait_for(&notes, &["Cur Look", "Cur Look"]);
    // Who is gone meanwhile is not.
    let sink: Arc<dyn Sink> = notes.clone();
    watch.look_later(&sink, Duration::from_millis(1));
    drop((sink, notes));
    let start = Instant::now();
    while !lock(&watch.shared.table).later.is_empty() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
}
